//! What all streams to pages have in common: how one is asked for, and how it ends.

use std::time::Duration;

use axum::{
    extract::{
        FromRequestParts, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::failure::Failure;

/// Bytes of what a page may say.
pub const LONGEST_WORD: usize = 1024;

/// For a last word to somebody who may not listen, and to somebody who still takes what came before it.
const FAREWELL: Duration = Duration::from_millis(20);
const LAST_WORD: Duration = Duration::from_mins(1);

/// How a stream ends, as RFC 6455 (7.4.1) and the registry after it call it; the description of the API has it from here.
pub const CLOSED: &str = "It is closed with 1000 after its last word, 1001 when the server ends, 1008 when the session has ended, and 1013 \
     when nothing of it was taken for a minute: the last three may be asked for again.";

/// Why a stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All was said.
    Done,
    /// The server ends; another one may come.
    Leaving,
    /// What one came in with lets nobody in any more.
    SessionOver,
    /// Nothing was taken for too long.
    TooSlow,
}

impl End {
    const fn frame(self) -> (u16, &'static str) {
        match self {
            Self::Done => (1000, "that was all"),
            Self::Leaving => (1001, "the server ends"),
            Self::SessionOver => (1008, "the session has ended"),
            Self::TooSlow => (1013, "too slow"),
        }
    }

    pub async fn tell(self, socket: &mut WebSocket) {
        let (code, reason) = self.frame();
        let close = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let patience = if self == Self::Done { LAST_WORD } else { FAREWELL };
        // Whoever does not take it is gone as well.
        let _ = tokio::time::timeout(patience, socket.send(Message::Close(Some(close)))).await;
    }
}

/// A request that is to become a stream.
#[derive(Debug)]
pub struct Upgrade(pub WebSocketUpgrade);

/// Why it does not.
#[derive(Debug)]
pub struct NoUpgrade(StatusCode, &'static str);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = NoUpgrade;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NoUpgrade> {
        use WebSocketUpgradeRejection as Why;
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        let upgrade = upgrade.map_err(|why| match why {
            Why::InvalidWebSocketVersionHeader(_) => {
                NoUpgrade(StatusCode::BAD_REQUEST, "a stream is asked for as a WebSocket of version 13")
            }
            Why::WebSocketKeyHeaderMissing(_) => {
                NoUpgrade(StatusCode::BAD_REQUEST, "a WebSocket is asked for with `Sec-WebSocket-Key`")
            }
            _ => NoUpgrade(StatusCode::UPGRADE_REQUIRED, "this is a stream: it is asked for as a WebSocket"),
        })?;
        // What pages say is short, and nobody is to have memory kept for more. The buffer is cleared each time that somebody
        // looks whether there is a word.
        let short = upgrade.max_message_size(LONGEST_WORD).max_frame_size(LONGEST_WORD);
        Ok(Self(short.read_buffer_size(LONGEST_WORD)))
    }
}

impl IntoResponse for NoUpgrade {
    fn into_response(self) -> Response {
        let Self(status, text) = self;
        let hint = "`/api/openapi.json` says what comes as a stream";
        let mut response = Failure::http(status, "usage", text).with_hint(hint).into_response();
        if status == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}
