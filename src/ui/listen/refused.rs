//! What is no request of HTTP, said as every refusal is. hyper's own words for it are a status alone, of which
//! [`Client`](super::client) keeps the last.

use std::time::Duration;

use axum::{
    body::to_bytes,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    super::{failure::Failure, guard},
    HEAD, HEAD_BYTES,
    client::Client,
};

/// For what is still being sent by somebody who is to read an answer: a connection that is closed before is reset.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes of that. Whoever sends more does not listen.
const UNREAD: u64 = 4 << 20;

/// Bytes of an answer.
const LONGEST: usize = 4096;

/// Says on a connection that has `ended`, maybe with a request `begun`, what is still to be said.
pub(super) async fn answer(client: Client, ended: hyper::Result<()>, begun: bool) {
    let (mut stream, held) = client.into_parts();
    let bytes = match ended {
        Err(cause) if cause.is_parse() && !held.is_empty() => last(no_request(status(&held), &cause)).await,
        Err(cause) if cause.is_timeout() && begun => {
            let text = format!("the head of the request has not come to its end in {} s", HEAD.as_secs());
            last(Failure::http(StatusCode::REQUEST_TIMEOUT, "usage", text)).await
        }
        // It only looked like an answer of hyper's own; browsers break connections off as they like.
        Ok(()) | Err(_) if held.is_empty() => return,
        Ok(()) | Err(_) => held,
    };
    let said = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(UNREAD), &mut tokio::io::sink()).await
    };
    // Whether anybody listens is up to him.
    let _ = tokio::time::timeout(LINGER, said).await;
}

/// Of hyper's own answer.
fn status(answer: &[u8]) -> StatusCode {
    let digits = answer.get("HTTP/1.1 ".len()..).and_then(|it| it.get(..3));
    digits.and_then(|it| StatusCode::from_bytes(it).ok()).unwrap_or(StatusCode::BAD_REQUEST)
}

fn no_request(status: StatusCode, cause: &hyper::Error) -> Failure {
    let failure = |text: String| Failure::http(status, "usage", text);
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            failure(format!("the head of the request has too many lines, or more than {HEAD_BYTES} bytes")).with_hint(
                "browsers send the cookies of all programs of a machine: remove those of `localhost`, or open the page by \
                 another of its names",
            )
        }
        StatusCode::URI_TOO_LONG => failure("the address that is asked for is too long".to_owned()),
        _ => failure(format!("what was sent is no request of HTTP/1.1: {cause}")),
    }
}

/// The bytes of the last answer on a connection.
async fn last(failure: Failure) -> Vec<u8> {
    let mut response = failure.into_response();
    guard::harden(response.headers_mut(), true);
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, LONGEST).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat()
    };
    let lines = parts.headers.iter().flat_map(line);
    let mut bytes = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    bytes.extend(lines);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}
