//! The end of a log, read once for all who are there. The thread that reads ends when nobody follows any more.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    logs::{Stream, StreamLog, index::Times, store::Found},
    platform::{
        clock, fs,
        limits::{self, Priority},
        watch::Watch,
    },
    run::{RunDir, RunId},
};

use super::{FRAME, Frame, Said, cut_at_line_end};

/// After something was read, more is gathered for so long: a line that comes alone is sent at once. At a thousand lines a
/// second each frame has six of them, which costs half of what three do, and nobody sees three milliseconds.
const GATHER: Duration = Duration::from_millis(6);

/// As long as a screen takes for a picture, where lines come in floods.
const GATHER_FLOOD: Duration = Duration::from_millis(16);

/// Bytes in one go that are a flood.
const FLOOD: u64 = 8 * 1024;

/// Between two looks whether the run is over, where no change of a file says so.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Bytes that are kept for those who are not quite at the end.
const KEPT: u64 = 2 << 20;

/// The feeds of all logs that are followed.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<HashMap<(RunId, Stream), Weak<Feed>>>);

/// The newest of one stream of one run.
#[derive(Debug)]
pub(super) struct Feed(watch::Sender<Recent>);

/// What came last, without a hole.
#[derive(Debug)]
pub(super) struct Recent {
    frames: VecDeque<Frame>,
    /// Offset behind the last byte of them.
    end: u64,
    /// Nothing more will come, and why.
    over: Option<Over>,
}

#[derive(Clone, Debug)]
enum Over {
    Ended,
    Failed(String),
}

/// What there is for somebody at an offset.
#[derive(Debug)]
pub(super) enum Rest {
    Frames(Vec<Frame>),
    /// More than is kept, or more than he wants to be behind.
    Behind,
    Nothing,
    Over(Said),
}

/// The thread that reads.
struct Reading {
    feed: Weak<Feed>,
    dir: RunDir,
    log: StreamLog,
    times: Times,
    at: u64,
}

/// Nobody follows any more.
struct Alone;

impl Feeds {
    /// That of a stream, which begins at `end` if nobody follows it yet.
    pub(super) fn of(&self, dir: &RunDir, stream: Stream, end: u64) -> Arc<Feed> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, it| it.strong_count() > 0);
        let key = (dir.id().clone(), stream);
        if let Some(feed) = all.get(&key).and_then(Weak::upgrade) {
            return feed;
        }
        let feed = Arc::new(Feed(watch::Sender::new(Recent { frames: VecDeque::new(), end, over: None })));
        all.insert(key, Arc::downgrade(&feed));
        let log = StreamLog::new(&stream.folder(&dir.log()));
        let times = Times::new(log.folder());
        let reading = Reading { feed: Arc::downgrade(&feed), dir: dir.clone(), log, times, at: end };
        std::thread::spawn(move || {
            // Whoever trains goes first.
            limits::stand_back(Priority::AfterTraining);
            // Only that nobody follows any more ends it early.
            let _ = reading.run();
        });
        feed
    }
}

impl Feed {
    pub(super) fn watch(&self) -> watch::Receiver<Recent> {
        self.0.subscribe()
    }

    /// Somebody at `at` need not read for himself.
    pub(super) fn reaches(&self, at: u64, lag: Option<u64>) -> bool {
        self.0.borrow().reaches(at, lag)
    }
}

impl Recent {
    fn reaches(&self, at: u64, lag: Option<u64>) -> bool {
        let first = self.frames.front().map_or(self.end, |it| it.start);
        at >= first && self.end.saturating_sub(at) <= lag.unwrap_or(u64::MAX)
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over.is_some()
    }

    pub(super) fn after(&self, at: u64, lag: Option<u64>) -> Rest {
        if !self.reaches(at, lag) {
            // Nobody will read what is gone.
            return match &self.over {
                Some(Over::Failed(message)) => Rest::Over(Said::Failed { message: message.clone() }),
                Some(Over::Ended) | None => Rest::Behind,
            };
        }
        let first = self.frames.partition_point(|it| it.end() <= at);
        if first < self.frames.len() {
            return Rest::Frames(self.frames.range(first..).cloned().collect());
        }
        match &self.over {
            None => Rest::Nothing,
            Some(Over::Ended) => Rest::Over(Said::End { size: at }),
            Some(Over::Failed(message)) => Rest::Over(Said::Failed { message: message.clone() }),
        }
    }

    fn push(&mut self, frame: Frame) {
        self.end = frame.end();
        self.frames.push_back(frame);
        while self.frames.front().is_some_and(|it| self.end - it.start > KEPT) {
            self.frames.pop_front();
        }
    }
}

impl Reading {
    fn run(mut self) -> Result<(), Alone> {
        let watch = Watch::over([self.dir.path(), self.log.folder()]);
        loop {
            let before = self.at;
            self.drain()?;
            if self.at > before {
                clock::pause(if self.at - before < FLOOD { GATHER } else { GATHER_FLOOD });
                continue;
            }
            if !fs::exists(&self.dir.spec_file()) {
                return self.end(Over::Failed("the run was deleted".to_owned()));
            }
            if self.dir.snapshot().ok().flatten().is_some_and(|it| it.state.outcome().is_some()) {
                // What was written before the end is there now.
                self.drain()?;
                return self.end(Over::Ended);
            }
            watch.wait(LONGEST_WAIT);
        }
    }

    /// Hands on all that is there.
    fn drain(&mut self) -> Result<(), Alone> {
        loop {
            let mut bytes = vec![];
            match self.log.read(self.at, FRAME, &mut bytes) {
                Ok(Found::Bytes) => {
                    cut_at_line_end(&mut bytes);
                    let end = self.at + bytes.len() as u64;
                    let gap = lost(&mut self.times, &self.log, self.at, end);
                    let frame = Frame::new(self.at, &bytes, gap);
                    self.at = end;
                    self.tell(|recent| recent.push(frame))?;
                }
                Ok(Found::Nothing) => return self.feed.upgrade().map(drop).ok_or(Alone),
                Ok(Found::Trimmed { up_to }) => {
                    // Who follows reads for himself, and is told.
                    self.at = up_to;
                    self.tell(|recent| {
                        recent.frames.clear();
                        recent.end = up_to;
                    })?;
                }
                Err(cause) => {
                    self.end(Over::Failed(cause.to_string()))?;
                    return Err(Alone);
                }
            }
        }
    }

    fn end(&self, over: Over) -> Result<(), Alone> {
        self.tell(|recent| recent.over = Some(over))
    }

    fn tell(&self, change: impl FnOnce(&mut Recent)) -> Result<(), Alone> {
        self.feed.upgrade().ok_or(Alone)?.0.send_modify(change);
        Ok(())
    }
}

/// The first offset between the two before which bytes are missing: the disk was full.
pub(super) fn lost(times: &mut Times, log: &StreamLog, from: u64, to: u64) -> Option<u64> {
    times.refresh(log.segment()?);
    // Asked for what it forgets: what is before.
    times.at(from);
    times.gap(from, to)
}
