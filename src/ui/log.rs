//! A run's log as it grows, by byte offset: what was there and what comes is one sequence, so a page that comes back with
//! the offset it had misses nothing and sees nothing twice. Nobody is waited for: a slow reader reads later, from the file.
//!
//! Whoever is at the end of a log is sent what was read there once for all ([`feed`]); whoever is further back reads for
//! himself until he is there ([`behind`]). All streams of a run as one are read for each page ([`merged`]).

mod behind;
mod feed;
pub mod merged;
mod raw;
pub mod search;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Bytes,
    extract::{
        RawPathParams, RawQuery, State,
        ws::{Message, WebSocket},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::{
    logs::{Stream, StreamLog, streams},
    platform::fs::FsError,
    run::{RunDir, RunId},
};

use super::{
    App,
    failure::{Answer, Failure},
    routes::{aside, params},
    runs::dir,
    session::{Pass, Session},
    stream::{End, Upgrade},
};

use behind::Behind;
use feed::{Feed, Recent, Rest};

pub use feed::Feeds;
pub use raw::{Whole, range, raw};

/// Bytes of a frame at most.
const FRAME: usize = 64 * 1024;

/// A page that has taken nothing for so long has gone.
const STALLED: Duration = Duration::from_mins(1);

/// Where to begin, and how far the page may fall behind.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    #[schemars(with = "String")]
    id: RunId,
    /// `launcher` or `rankN`.
    #[serde(default)]
    stream: Option<String>,
    /// An offset. Beyond the end there is nothing: it begins at the end then, as `start` says.
    from: Option<u64>,
    /// Instead of `from`: so many bytes from the end.
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

/// Bytes of the log, as they go out.
#[derive(Clone, Debug)]
struct Frame {
    start: u64,
    /// Before this offset in it bytes are missing, which never reached the log.
    gap: Option<u64>,
    /// The offset of the first byte, little end first, and the bytes.
    message: Bytes,
}

/// One piece of what goes to the page.
#[derive(Clone, Debug)]
enum Piece {
    Frame(Frame),
    Said(Said),
}

/// Somebody who follows one stream of one run.
struct Follower {
    dir: RunDir,
    stream: Stream,
    feed: Arc<Feed>,
    recent: watch::Receiver<Recent>,
    /// Offset of the next byte.
    at: u64,
    lag: Option<u64>,
    ready: VecDeque<Piece>,
    /// What is read from the file, while he is not at the end.
    behind: Option<mpsc::Receiver<Piece>>,
    /// Since the last time he was behind there was nothing to read: it is waited for.
    stuck: bool,
    is_over: bool,
}

impl Follow {
    /// # Errors
    /// When it says twice where to begin.
    fn plain(self) -> Answer<Self> {
        match (self.from, self.tail) {
            (Some(_), Some(_)) => Err(twice("from", "tail")),
            _ => Ok(self),
        }
    }
}

/// Both say where to begin.
fn twice(one: &str, other: &str) -> Failure {
    let text = format!("`{one}` and `{other}` are given, and both say where to begin");
    Failure::http(StatusCode::BAD_REQUEST, "usage", text).with_hint("leave one of them out")
}

pub async fn follow(
    app: State<App>,
    path: RawPathParams,
    query: RawQuery,
    pass: Extension<Pass>,
    upgrade: Upgrade,
) -> Response {
    let asked = params::<Follow>(&path, &query).and_then(Follow::plain);
    open(app, pass, upgrade, asked, |app, asked| Follower::new(app, &asked)).await
}

/// Sends what `begin` makes of what was asked, while there is a place.
async fn open<A: Send + 'static, P: Pieces + 'static>(
    State(app): State<App>,
    Extension(pass): Extension<Pass>,
    Upgrade(upgrade): Upgrade,
    asked: Answer<A>,
    begin: impl FnOnce(&App, A) -> Answer<P> + Send + 'static,
) -> Response {
    let looking = app.clone();
    let opened = async {
        let asked = asked?;
        let place = place(&app)?;
        Ok::<_, Failure>((aside(move || begin(&looking, asked)).await?, place))
    };
    match opened.await {
        Ok((pieces, place)) => upgrade.on_upgrade(async move |socket| {
            let _said_to_the_end = app.over.wait_for_me();
            serve(&Session::of(&app, pass), socket, pieces).await;
            drop(place);
        }),
        Err(failure) => failure.into_response(),
    }
}

/// One of those that can follow a log at once.
fn place(app: &App) -> Answer<OwnedSemaphorePermit> {
    Arc::clone(&app.log_places).try_acquire_owned().map_err(|_| {
        let text = "as many logs are being followed as this server can";
        Failure::http(StatusCode::SERVICE_UNAVAILABLE, "busy", text).with_hint("close some of the pages")
    })
}

/// What is sent piece by piece.
trait Pieces: Send {
    /// `None` after the last. Nothing is lost when this is broken off and asked again.
    fn next(&mut self) -> impl Future<Output = Option<Message>> + Send;
}

async fn serve(session: &Session, mut socket: WebSocket, mut pieces: impl Pieces) {
    let mut ended = std::pin::pin!(session.ended());
    loop {
        let message = tokio::select! {
            message = pieces.next() => match message {
                Some(message) => message,
                None => break,
            },
            // What pages say is pings, which are answered, and that they go.
            said = socket.recv() => match said {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            end = &mut ended => return end.tell(&mut socket).await,
        };
        match tokio::time::timeout(STALLED, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => return End::TooSlow.tell(&mut socket).await,
        }
    }
    End::Done.tell(&mut socket).await;
}

impl Frame {
    fn new(start: u64, bytes: &[u8], gap: Option<u64>) -> Self {
        let mut message = Vec::with_capacity(8 + bytes.len());
        message.extend_from_slice(&start.to_le_bytes());
        message.extend_from_slice(bytes);
        Self { start, gap, message: Bytes::from(message) }
    }

    fn end(&self) -> u64 {
        self.start + self.message.len() as u64 - 8
    }

    /// What of it comes from `at` on, which is in it.
    fn from(&self, at: u64) -> Self {
        if at <= self.start {
            return self.clone();
        }
        let skipped = usize::try_from(at - self.start).unwrap_or(usize::MAX).min(self.message.len() - 8);
        Self::new(at, &self.message[8 + skipped..], self.gap.filter(|it| *it >= at))
    }
}

impl Piece {
    fn message(self) -> Message {
        match self {
            Self::Frame(frame) => Message::Binary(frame.message),
            Self::Said(said) => Message::Text(serde_json::to_string(&said).unwrap_or_default().into()),
        }
    }

    /// Where who was sent it goes on.
    fn end(&self) -> Option<u64> {
        match self {
            Self::Frame(frame) => Some(frame.end()),
            Self::Said(Said::Gap { to, lost: false, .. } | Said::Trimmed { to }) => Some(*to),
            Self::Said(Said::Gap { .. } | Said::Start { .. } | Said::End { .. } | Said::Failed { .. }) => {
                None
            }
        }
    }
}

impl Pieces for Follower {
    async fn next(&mut self) -> Option<Message> {
        self.piece().await.map(Piece::message)
    }
}

impl Follower {
    fn new(app: &App, asked: &Follow) -> Answer<Self> {
        let dir = dir(&app.workspace, &asked.id)?;
        let stream = stream(&dir, asked.stream.as_deref())?;
        let mut log = StreamLog::new(&stream.folder(&dir.log()));
        let size = log.end()?;
        let at = match (asked.from, asked.tail) {
            (Some(from), _) => from.min(size),
            (None, Some(tail)) => beginning(&mut log, size, tail)?,
            (None, None) => 0,
        };
        let feed = app.feeds.of(&dir, stream, size);
        Ok(Self {
            recent: feed.watch(),
            feed,
            dir,
            stream,
            at,
            lag: asked.lag,
            ready: [Piece::Said(Said::Start { offset: at, size })].into(),
            behind: None,
            stuck: false,
            is_over: false,
        })
    }

    async fn piece(&mut self) -> Option<Piece> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.is_over {
                return None;
            }
            if let Some(pieces) = &mut self.behind {
                let Some(piece) = pieces.recv().await else {
                    self.behind = None;
                    continue;
                };
                self.stuck = false;
                self.at = piece.end().unwrap_or(self.at);
                self.is_over = matches!(piece, Piece::Said(Said::Failed { .. }));
                return Some(piece);
            }
            let rest = self.recent.borrow_and_update().after(self.at, self.lag);
            match rest {
                Rest::Frames(frames) => self.take(frames),
                Rest::Behind if !self.stuck => {
                    self.stuck = true;
                    self.behind = Some(Behind::begin(self));
                }
                // What should be there is not: the file was cut, or removed.
                Rest::Behind if self.recent.borrow().is_over() => {
                    self.ready.push_back(Piece::Said(Said::End { size: self.at }));
                    self.is_over = true;
                }
                Rest::Behind | Rest::Nothing => {
                    self.stuck = false;
                    // The feed lives as long as somebody follows it.
                    let _ = self.recent.changed().await;
                }
                Rest::Over(said) => {
                    self.ready.push_back(Piece::Said(said));
                    self.is_over = true;
                }
            }
        }
    }

    fn take(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            let frame = frame.from(self.at);
            self.at = frame.end();
            self.ready.extend(frame.gap.map(|at| Piece::Said(Said::Gap { from: at, to: at, lost: true })));
            self.ready.push_back(Piece::Frame(frame));
        }
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
