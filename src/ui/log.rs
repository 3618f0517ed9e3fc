//! A run's log as it grows, by byte offset: what was there and what comes is one loop, so a page that comes back with the
//! offset it had misses nothing and sees nothing twice. Nobody is waited for: a slow reader reads later, from the file.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{
        RawPathParams, RawQuery, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    logs::{Stream, StreamLog, index::Times, store::Found, streams},
    platform::{
        clock::{self, Stopwatch},
        limits::{self, Priority},
        watch::Watch,
    },
    run::{RunDir, RunId},
};

use super::{
    App,
    failure::{Answer, Failure},
    routes::{aside, params},
    runs::dir,
};

/// Bytes of a frame at most.
const FRAME: usize = 64 * 1024;

/// A line that comes after such a silence is sent at once; then lines are gathered for a moment.
const SILENCE: Duration = Duration::from_millis(20);
const GATHER: Duration = Duration::from_millis(16);

/// Between two looks whether the run is over or the page gone, where no change of a file says so.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// A page that has taken nothing for so long has gone.
const STALLED: Duration = Duration::from_mins(1);

/// "Try again later".
const AGAIN: u16 = 1013;

/// Where to begin, and how far the page may fall behind.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    #[schemars(with = "String")]
    id: RunId,
    /// `launcher` or `rankN`.
    #[serde(default)]
    stream: Option<String>,
    /// An offset.
    from: Option<u64>,
    /// So many bytes from the end.
    tail: Option<u64>,
    /// Bytes: a page further behind than that is put to the end, and told of the gap. Without it nothing is ever left out.
    lag: Option<u64>,
}

/// What is said between the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Said {
    /// The first byte that comes, and how many there are now.
    Start { offset: u64, size: u64 },
    /// Bytes that the page has not been sent, or that never reached the log.
    Gap { from: u64, to: u64, lost: bool },
    /// What was before is not kept any more.
    Trimmed { to: u64 },
    /// The run is over, and this was all.
    End { size: u64 },
    /// It cannot be read on.
    Failed { message: String },
}

/// One piece of what goes to the page.
#[derive(Debug)]
enum Piece {
    /// Where it begins in the log, and the bytes.
    Bytes(u64, Vec<u8>),
    Said(Said),
}

/// Follows one stream of one run.
struct Follower {
    dir: RunDir,
    stream: Stream,
    log: StreamLog,
    times: Times,
    at: u64,
    lag: Option<u64>,
    out: mpsc::Sender<Piece>,
    sent: Stopwatch,
}

/// The page has gone.
struct Gone;

pub async fn follow(
    State(app): State<App>,
    path: RawPathParams,
    query: RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let asked = match params::<Follow>(&path, &query) {
        Ok(asked) => asked,
        Err(failure) => return failure.into_response(),
    };
    let (out, pieces) = mpsc::channel(4);
    let made = aside(move || Follower::new(&app, &asked, out)).await;
    match made {
        Ok(follower) => {
            upgrade.max_message_size(1024).on_upgrade(move |socket| serve(socket, follower, pieces))
        }
        Err(failure) => failure.into_response(),
    }
}

async fn serve(mut socket: WebSocket, follower: Follower, mut pieces: mpsc::Receiver<Piece>) {
    std::thread::spawn(move || {
        // Whoever trains goes first.
        limits::stand_back(Priority::AfterTraining);
        follower.run();
    });
    loop {
        let message = tokio::select! {
            piece = pieces.recv() => match piece {
                Some(piece) => piece.message(),
                None => break,
            },
            // What pages say is pings, which are answered, and that they go.
            said = socket.recv() => match said {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
        };
        match tokio::time::timeout(STALLED, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                let close = CloseFrame { code: AGAIN, reason: Utf8Bytes::from_static("too slow") };
                let _ = tokio::time::timeout(SILENCE, socket.send(Message::Close(Some(close)))).await;
                return;
            }
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}

impl Piece {
    /// Bytes go out as they are, after the offset of the first, little end first.
    fn message(self) -> Message {
        match self {
            Self::Bytes(start, bytes) => {
                let mut frame = Vec::with_capacity(8 + bytes.len());
                frame.extend_from_slice(&start.to_le_bytes());
                frame.extend_from_slice(&bytes);
                Message::Binary(Bytes::from(frame))
            }
            Self::Said(said) => Message::Text(serde_json::to_string(&said).unwrap_or_default().into()),
        }
    }
}

impl Follower {
    fn new(app: &App, asked: &Follow, out: mpsc::Sender<Piece>) -> Answer<Self> {
        let dir = dir(&app.workspace, &asked.id)?;
        let stream = stream(&dir, asked.stream.as_deref())?;
        let mut log = StreamLog::new(&stream.folder(&dir.log()));
        let size = log.end()?;
        let at = match (asked.from, asked.tail) {
            (Some(from), _) => from.min(size),
            (None, Some(tail)) => beginning(&mut log, size, tail)?,
            (None, None) => 0,
        };
        let times = Times::new(log.folder());
        Ok(Self { dir, stream, log, times, at, lag: asked.lag, out, sent: Stopwatch::start() })
    }

    fn run(mut self) {
        // Only a page that has gone ends it early.
        let _ = self.follow();
    }

    fn follow(&mut self) -> Result<(), Gone> {
        let watch = Watch::over([self.dir.path(), &self.stream.folder(&self.dir.log())]);
        let size = self.log.end().unwrap_or(self.at);
        self.say(Said::Start { offset: self.at, size })?;
        loop {
            // The end before the bytes: what was written before it is never missed.
            let is_over = self.dir.snapshot().ok().flatten().is_some_and(|it| it.state.outcome().is_some());
            let before = self.at;
            self.drain()?;
            if is_over {
                let size = self.at;
                return self.say(Said::End { size });
            }
            if self.out.is_closed() {
                return Err(Gone);
            }
            if self.at > before && self.sent.elapsed() < SILENCE {
                clock::pause(GATHER);
            } else {
                watch.wait(LONGEST_WAIT);
            }
        }
    }

    /// Sends all that is there.
    fn drain(&mut self) -> Result<(), Gone> {
        loop {
            let mut bytes = vec![];
            match self.log.read(self.at, FRAME, &mut bytes) {
                Ok(Found::Bytes) => {
                    cut_at_line_end(&mut bytes);
                    let (start, count) = (self.at, bytes.len() as u64);
                    self.tell_of_lost(start, start + count)?;
                    self.put(Piece::Bytes(start, bytes))?;
                    self.at += count;
                    self.sent = Stopwatch::start();
                    self.skip_if_far_behind()?;
                }
                Ok(Found::Nothing) => return Ok(()),
                Ok(Found::Trimmed { up_to }) => {
                    self.at = up_to;
                    self.say(Said::Trimmed { to: up_to })?;
                }
                Err(cause) => {
                    self.say(Said::Failed { message: cause.to_string() })?;
                    return Err(Gone);
                }
            }
        }
    }

    /// Bytes that never reached the log, because the disk was full, are told of where they would be.
    fn tell_of_lost(&mut self, from: u64, to: u64) -> Result<(), Gone> {
        let Some(segment) = self.log.segment() else { return Ok(()) };
        self.times.refresh(segment);
        // Asked for what it forgets: what is before.
        self.times.at(from);
        match self.times.gap(from, to) {
            Some(at) => self.say(Said::Gap { from: at, to: at, lost: true }),
            None => Ok(()),
        }
    }

    fn skip_if_far_behind(&mut self) -> Result<(), Gone> {
        let Some(lag) = self.lag else { return Ok(()) };
        let Ok(size) = self.log.end() else { return Ok(()) };
        if size.saturating_sub(self.at) <= lag {
            return Ok(());
        }
        let to = beginning(&mut self.log, size, (lag / 8).max(FRAME as u64)).unwrap_or(size);
        let from = std::mem::replace(&mut self.at, to);
        self.say(Said::Gap { from, to, lost: false })
    }

    fn say(&self, said: Said) -> Result<(), Gone> {
        self.put(Piece::Said(said))
    }

    fn put(&self, piece: Piece) -> Result<(), Gone> {
        self.out.blocking_send(piece).map_err(|_| Gone)
    }
}

/// A frame ends with a line where it can; a line that is longer than a frame goes on in the next.
fn cut_at_line_end(bytes: &mut Vec<u8>) {
    if bytes.len() == FRAME
        && let Some(end) = memchr::memrchr2(b'\n', b'\r', bytes)
    {
        bytes.truncate(end + 1);
    }
}

/// The start of the line that is `tail` bytes before the end.
fn beginning(log: &mut StreamLog, size: u64, tail: u64) -> Answer<u64> {
    let first = log.start()?;
    let wanted = size.saturating_sub(tail).max(first);
    let mut bytes = vec![];
    log.read(wanted, FRAME, &mut bytes)?;
    let cut = wanted > first;
    let line = memchr::memchr(b'\n', &bytes).filter(|_| cut).map_or(0, |it| it as u64 + 1);
    Ok(wanted + line)
}

fn stream(dir: &RunDir, name: Option<&str>) -> Answer<Stream> {
    let usual = || streams(&dir.log()).map(|all| all.first().copied().unwrap_or(Stream::Launcher));
    let Some(name) = name else { return Ok(usual()?) };
    let wrong = |cause| Failure::http(StatusCode::BAD_REQUEST, "usage", cause);
    let stream: Stream = name.parse().map_err(wrong)?;
    let known = streams(&dir.log())?;
    // One that has just begun may have written nothing yet.
    if known.contains(&stream) || stream == Stream::Launcher || dir.spec()?.streams().contains(&stream) {
        return Ok(stream);
    }
    let text = format!("{} has no stream `{stream}`", dir.id());
    Err(Failure::http(StatusCode::NOT_FOUND, "not-found", text))
}

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
fn range(header: Option<&str>, size: u64) -> Answer<Option<(u64, u64)>> {
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

    #[test]
    fn a_frame_ends_with_a_line_where_there_is_one() {
        let check = |text: Vec<u8>, expected: usize| {
            let mut bytes = text;
            cut_at_line_end(&mut bytes);
            assert_eq!(bytes.len(), expected);
        };
        let with = |at: usize, byte: u8| {
            let mut bytes = vec![b'x'; FRAME];
            bytes[at] = byte;
            bytes
        };
        check(with(100, b'\n'), 101);
        check(with(100, b'\r'), 101);
        check(vec![b'x'; FRAME], FRAME);
        check(b"a\nb".to_vec(), 3);
    }
}
