//! A run's log as it grows, by byte offset: what was there and what comes is one loop, so a page that comes back with the
//! offset it had misses nothing and sees nothing twice. Nobody is waited for: a slow reader reads later, from the file.

mod raw;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{
        RawPathParams, RawQuery, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    logs::{Stream, StreamLog, index::Times, store::Found, streams},
    platform::{
        clock::{self, Stopwatch},
        fs::{self, FsError},
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
    session::Session,
};

pub use raw::{Whole, raw};

/// Bytes of a frame at most.
const FRAME: usize = 64 * 1024;

/// A line that comes after such a silence is sent at once; then lines are gathered for a moment: as long as a screen
/// takes for a picture where they come in floods.
const SILENCE: Duration = Duration::from_millis(20);
const GATHER: Duration = Duration::from_millis(2);
const GATHER_FLOOD: Duration = Duration::from_millis(16);

/// Bytes in one go that are a flood.
const FLOOD: u64 = 8 * 1024;

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
    let Ok(place) = Arc::clone(&app.log_places).try_acquire_owned() else {
        let text = "as many logs are being followed as this server can";
        return Failure::http(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
            .with_hint("close some of the pages")
            .into_response();
    };
    let (out, pieces) = mpsc::channel(4);
    let looking = app.clone();
    let made = aside(move || Follower::new(&looking, &asked, out)).await;
    match made {
        Ok(follower) => upgrade.max_message_size(1024).on_upgrade(async move |socket| {
            serve(&app, socket, follower, pieces).await;
            drop(place);
        }),
        Err(failure) => failure.into_response(),
    }
}

async fn serve(app: &App, mut socket: WebSocket, follower: Follower, mut pieces: mpsc::Receiver<Piece>) {
    let session = Session::of(app);
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
            () = session.ended() => return session.close(&mut socket).await,
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
            let before = self.at;
            self.drain()?;
            if self.out.is_closed() {
                return Err(Gone);
            }
            if self.at > before && self.sent.elapsed() < SILENCE {
                clock::pause(if self.at - before < FLOOD { GATHER } else { GATHER_FLOOD });
                continue;
            }
            if !fs::exists(&self.dir.spec_file()) {
                return self.say(Said::Failed { message: "the run was deleted".to_owned() });
            }
            if self.dir.snapshot().ok().flatten().is_some_and(|it| it.state.outcome().is_some()) {
                // What was written before the end is there now.
                self.drain()?;
                let size = self.at;
                return self.say(Said::End { size });
            }
            watch.wait(LONGEST_WAIT);
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

/// The streams of a run, the one that tells most first: where each rank has its own, the launcher says little. There is
/// always one.
pub fn told_first(dir: &RunDir) -> Result<Vec<Stream>, FsError> {
    let mut all = streams(&dir.log())?;
    if all.len() > 1 {
        all.rotate_left(1);
    }
    if all.is_empty() {
        all.push(Stream::Launcher);
    }
    Ok(all)
}

fn stream(dir: &RunDir, name: Option<&str>) -> Answer<Stream> {
    let Some(name) = name else { return Ok(told_first(dir)?[0]) };
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

#[cfg(test)]
mod tests {
    use super::*;

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
