//! The bytes of several streams in the order in which they came, as far as that is known.

use std::path::Path;

use jiff::Timestamp;

use crate::platform::fs::FsError;

use super::{StreamLog, index, segment, stream::Stream};

/// Bytes that one stream got at about one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub stream: Stream,
    pub start: u64,
    /// Offset behind the last byte.
    pub end: u64,
}

/// What there is by now of these streams of the log in the folder `log`, from these offsets on. Of one stream it is one
/// piece; several are cut where their indices say when bytes came.
pub fn in_order(log: &Path, starts: &[(Stream, u64)]) -> Result<Vec<Piece>, FsError> {
    let mut timed = vec![];
    for (stream, start) in starts {
        let folder = stream.folder(log);
        let mut store = StreamLog::new(&folder);
        let (start, end) = ((*start).max(store.start()?), store.end()?);
        let mut cuts = vec![(start, Timestamp::MIN)];
        if starts.len() > 1 {
            for segment in segment::list(&folder)? {
                for record in index::records(&folder, segment.start) {
                    // The last record before the first byte says when that came.
                    if record.offset <= start {
                        cuts = vec![(start, record.time)];
                    } else {
                        cuts.push((record.offset, record.time));
                    }
                }
            }
        }
        // A clock that was set back does not put a stream's own bytes out of order.
        let mut latest = Timestamp::MIN;
        for (_, time) in &mut cuts {
            latest = latest.max(*time);
            *time = latest;
        }
        let ends = cuts.iter().skip(1).map(|(offset, _)| (*offset).min(end)).chain([end]);
        timed.extend(
            cuts.iter()
                .zip(ends)
                .map(|((start, time), end)| (*time, Piece { stream: *stream, start: *start, end })),
        );
    }
    timed.sort_by_key(|(time, _)| *time);
    Ok(timed.into_iter().map(|(_, piece)| piece).filter(|piece| piece.start < piece.end).collect())
}
