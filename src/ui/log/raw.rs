//! A stream's bytes as a file, whole or a range of them: for downloads, and for what a page has left out.

use axum::{
    body::{Body, Bytes},
    extract::{RawPathParams, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::{
    logs::{StreamLog, store::Found},
    run::RunId,
};

use super::{
    super::{
        App,
        failure::{Answer, Failure},
        routes::{aside, params},
        runs::dir,
    },
    FRAME, stream,
};

/// Which stream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    #[schemars(with = "String")]
    id: RunId,
    #[serde(default)]
    stream: Option<String>,
}

/// A stream's bytes as a file, whole or a range of them.
pub async fn raw(
    State(app): State<App>,
    path: RawPathParams,
    query: RawQuery,
    headers: HeaderMap,
) -> Answer<Response> {
    let asked = params::<Whole>(&path, &query)?;
    let name = format!("{}.log", asked.id);
    let (out, pieces) = mpsc::channel::<Result<Bytes, std::io::Error>>(2);
    let wanted = headers.get(header::RANGE).and_then(|it| it.to_str().ok()).map(str::to_owned);
    let (first, last, size) = aside(move || {
        let dir = dir(&app.workspace, &asked.id)?;
        let stream = stream(&dir, asked.stream.as_deref())?;
        let mut log = StreamLog::new(&stream.folder(&dir.log()));
        let (start, size) = (log.start()?, log.end()?);
        let (first, last) = range(wanted.as_deref(), size)?.unwrap_or((start, size));
        if wanted.is_some() && last <= start {
            let text = format!("these bytes are not kept any more: the log begins at {start}");
            return Err(Failure::http(StatusCode::RANGE_NOT_SATISFIABLE, "usage", text));
        }
        std::thread::spawn(move || send(&mut log, (first.max(start), last), &out));
        Ok((first.max(start), last, size))
    })
    .await?;
    let partial = headers.contains_key(header::RANGE);
    let status = if partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = Response::new(Body::from_stream(Pieces(pieces)));
    *response.status_mut() = status;
    let put = |headers: &mut HeaderMap, name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    let headers = response.headers_mut();
    put(headers, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    put(headers, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
    put(headers, header::ACCEPT_RANGES, "bytes");
    put(headers, header::CONTENT_LENGTH, &last.saturating_sub(first).to_string());
    if partial {
        put(headers, header::CONTENT_RANGE, &format!("bytes {first}-{}/{size}", last.saturating_sub(1)));
    }
    Ok(response)
}

/// `bytes=a-b`, `bytes=a-` or `bytes=-n`, as a half-open range. Several ranges are none.
///
/// # Errors
/// When there are no such bytes among `size`.
pub fn range(header: Option<&str>, size: u64) -> Answer<Option<(u64, u64)>> {
    let Some(text) = header else { return Ok(None) };
    let wrong = || Failure::http(StatusCode::RANGE_NOT_SATISFIABLE, "usage", "there are no such bytes");
    let (first, last) = text.strip_prefix("bytes=").and_then(|it| it.split_once('-')).ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let range = match (first, last) {
        ("", last) => (size.saturating_sub(number(last)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => (number(first)?, number(last)?.saturating_add(1).min(size)),
    };
    if range.0 < range.1 { Ok(Some(range)) } else { Err(wrong()) }
}

fn send(log: &mut StreamLog, (mut at, end): (u64, u64), out: &mpsc::Sender<Result<Bytes, std::io::Error>>) {
    while at < end {
        let mut bytes = vec![];
        let most = usize::try_from(end - at).unwrap_or(FRAME).min(FRAME);
        let piece = match log.read(at, most, &mut bytes) {
            Ok(Found::Bytes) => Ok(Bytes::from(bytes)),
            // It was trimmed meanwhile: a download that breaks off is not taken for a whole one.
            Ok(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Err(cause) => Err(cause.source),
        };
        let is_bad = piece.is_err();
        at += piece.as_ref().map_or(0, |it| it.len() as u64);
        if out.blocking_send(piece).is_err() || is_bad {
            return;
        }
    }
}

/// A channel as a body.
struct Pieces(mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_the_header_says_and_never_beyond_the_end() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            assert_eq!(range(Some(text), 100).ok().flatten(), expected, "{text}");
        };
        check("bytes=0-9", Some((0, 10)));
        check("bytes=90-", Some((90, 100)));
        check("bytes=-10", Some((90, 100)));
        check("bytes=-1000", Some((0, 100)));
        check("bytes=50-18446744073709551615", Some((50, 100)));
        for wrong in
            ["bytes=100-", "bytes=9-3", "bytes=-0", "bytes=a-b", "bytes=0-1,3-4", "0-9", "bytes=", "bytes=-"]
        {
            check(wrong, None);
        }
        assert_eq!(range(None, 100), Ok(None));
    }
}
