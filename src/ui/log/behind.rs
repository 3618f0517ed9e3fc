//! Reading for somebody who is not at the end of a log, until he is.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    logs::{StreamLog, index::Times, store::Found},
    platform::limits::{self, Priority},
};

use super::{
    FRAME, Follower, Frame, Piece, Said, beginning, cut_at_line_end,
    feed::{Feed, lost},
};

/// Pieces on their way: who takes them slowly has them read slowly.
const UNDER_WAY: usize = 4;

pub(super) struct Behind {
    feed: Arc<Feed>,
    log: StreamLog,
    times: Times,
    at: u64,
    lag: Option<u64>,
    out: mpsc::Sender<Piece>,
}

/// The page has gone.
struct Gone;

impl Behind {
    /// Reads from where `follower` is.
    pub(super) fn begin(follower: &Follower) -> mpsc::Receiver<Piece> {
        let (out, pieces) = mpsc::channel(UNDER_WAY);
        let log = StreamLog::new(&follower.stream.folder(&follower.dir.log()));
        let times = Times::new(log.folder());
        let feed = Arc::clone(&follower.feed);
        let mut reading = Self { feed, log, times, at: follower.at, lag: follower.lag, out };
        std::thread::spawn(move || {
            // Whoever trains goes first.
            limits::stand_back(Priority::AfterTraining);
            // Only a page that has gone ends it early.
            let _ = reading.run();
        });
        pieces
    }

    fn run(&mut self) -> Result<(), Gone> {
        while !self.feed.reaches(self.at, self.lag) {
            let mut bytes = vec![];
            match self.log.read(self.at, FRAME, &mut bytes) {
                Ok(Found::Bytes) => {
                    cut_at_line_end(&mut bytes);
                    let (start, end) = (self.at, self.at + bytes.len() as u64);
                    let gap = lost(&mut self.times, &self.log, start, end);
                    if let Some(at) = gap {
                        self.say(Said::Gap { from: at, to: at, lost: true })?;
                    }
                    self.put(Piece::Frame(Frame::new(start, &bytes, gap)))?;
                    self.at = end;
                    self.skip_if_far()?;
                }
                Ok(Found::Nothing) => break,
                Ok(Found::Trimmed { up_to }) => {
                    self.at = up_to;
                    self.say(Said::Trimmed { to: up_to })?;
                }
                Err(cause) => return self.say(Said::Failed { message: cause.to_string() }),
            }
        }
        Ok(())
    }

    fn skip_if_far(&mut self) -> Result<(), Gone> {
        let Some(lag) = self.lag else { return Ok(()) };
        let Ok(size) = self.log.end() else { return Ok(()) };
        if size.saturating_sub(self.at) <= lag {
            return Ok(());
        }
        let to = beginning(&mut self.log, size, (lag / 8).max(FRAME as u64)).unwrap_or(size);
        // One who wants to be hardly behind at all is not put back.
        if to <= self.at {
            return Ok(());
        }
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
