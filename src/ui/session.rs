//! Signing in and out.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{
        State,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    App,
    failure::Answer,
    guard,
    routes::{aside, parsed},
};

/// What the link brought.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The code after `#t=`, or the token itself.
    token: String,
}

/// What a stream was opened with. It ends with the token that let it in.
#[derive(Debug)]
pub struct Session {
    app: App,
    cookie: String,
}

/// Between two looks whether the token is still the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// "Policy violation".
const ENDED: u16 = 1008;

impl Session {
    pub fn of(app: &App) -> Self {
        Self { app: app.clone(), cookie: app.keys.cookie() }
    }

    /// Returns when there is another token.
    pub async fn ended(&self) {
        while self.app.keys.is_cookie(&self.cookie) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub async fn close(&self, socket: &mut WebSocket) {
        let close = CloseFrame { code: ENDED, reason: Utf8Bytes::from_static("the session has ended") };
        // Whoever does not take it is gone as well.
        let _ = tokio::time::timeout(LOOK_EVERY, socket.send(Message::Close(Some(close)))).await;
    }
}

/// Gives a cookie for a code.
pub async fn sign_in(State(app): State<App>, body: Bytes) -> Answer<Response> {
    let SignIn { token } = parsed(&body)?;
    let asking = app.clone();
    let is_good = aside(move || Ok(asking.keys.is_token(&token) || asking.keys.take_code(&token)?)).await?;
    if !is_good {
        tokio::time::sleep(super::REFUSAL).await;
        return Err(guard::unauthorised());
    }
    Ok(with_cookie(&app, &app.keys.cookie(), ""))
}

/// Whether one is signed in: the guard has answered already.
pub async fn show() -> StatusCode {
    StatusCode::NO_CONTENT
}

pub async fn sign_out(State(app): State<App>) -> Response {
    with_cookie(&app, "", "; Max-Age=0")
}

/// Ends all sessions, this one too.
pub async fn rotate(State(app): State<App>) -> Answer<Response> {
    let asking = app.clone();
    aside(move || Ok(asking.keys.rotate()?)).await?;
    Ok(with_cookie(&app, "", "; Max-Age=0"))
}

fn with_cookie(app: &App, value: &str, more: &str) -> Response {
    let name = app.names.cookie();
    let cookie = format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/{more}");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
