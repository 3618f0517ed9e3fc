//! Signing in and out.

use axum::{
    body::Bytes,
    extract::State,
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
