//! The lines of one or more streams, from where the reader wants them, in the order in which they came, until nobody
//! writes any more. What was there before and what comes while one looks are one loop over offsets, so nothing is left
//! out or shown twice between them.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use crate::platform::{fs::FsError, watch::Watch};

use super::{
    Colours, Fold, Line, StreamLog,
    index::Times,
    store::Found,
    stream::{Stream, streams},
    tail,
};

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// Lines handed over before whoever reads gets a word in.
const BATCH: usize = 10_000;

/// Between two questions whether the run has ended, where no change of a file says so.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// Between two looks at a log that grows: at a thousand lines a second each finds three, for a third of the work.
const GATHER: Duration = Duration::from_millis(3);

/// A line of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub stream: Stream,
    pub line: Line<'a>,
    /// When its last byte came; `None` if nobody asked for times, or it is not known.
    pub time: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    Line(Entry<'a>),
    /// Bytes that the reader wanted are gone: the log begins at `up_to`.
    Trimmed {
        stream: Stream,
        from: u64,
        up_to: u64,
    },
    /// Bytes before `at` never reached the log: the disk was full.
    Gap {
        stream: Stream,
        at: u64,
    },
}

/// How lines are made.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub colours: Colours,
    /// For eyes; programs get longer lines.
    pub for_people: bool,
    /// Times are wanted.
    pub timed: bool,
}

/// Every stream of the log in the folder `log`, from its beginning.
pub fn beginnings(log: &Path) -> Result<Vec<(Stream, u64)>, FsError> {
    Ok(streams(log)?.into_iter().map(|stream| (stream, 0)).collect())
}

/// Every stream of the log in the folder `log`, from the first of its last `count` lines on.
pub fn last_lines(log: &Path, count: usize) -> Result<Vec<(Stream, u64)>, FsError> {
    let start = |stream: Stream| Ok((stream, tail::lines(&mut StreamLog::new(&stream.folder(log)), count)?));
    streams(log)?.into_iter().map(start).collect()
}

/// The lines that are there by now from these offsets on, for people, without colours.
pub fn read_through(
    log: &Path,
    starts: &[(Stream, u64)],
    mut on_entry: impl FnMut(&Entry<'_>),
) -> Result<(), FsError> {
    let mut reader = Reader::new(log, starts, PLAIN);
    let mut on_item = |item: Item<'_>| {
        if let Item::Line(entry) = item {
            on_entry(&entry);
        }
    };
    while reader.next(|| true, &mut on_item)? {}
    reader.finish(on_item);
    Ok(())
}

#[derive(Debug)]
pub struct Reader {
    log: PathBuf,
    sources: Vec<Source>,
    style: Style,
    /// Streams that begin later are read as well.
    grows: bool,
    watch: Option<Watch>,
    /// The stream that the last bytes came from.
    newest: usize,
}

/// The pauses of who reads a log that grows. The end is asked for before the log is read for the last time: what was
/// written before it is never missed.
#[derive(Debug)]
pub struct Waiting<E> {
    ended: E,
    watch: Option<Watch>,
    is_last: bool,
}

/// For people, where colours would be noise and nobody asks for times.
pub const PLAIN: Style = Style { colours: Colours::Drop, for_people: true, timed: false };

#[derive(Debug)]
struct Source {
    stream: Stream,
    log: StreamLog,
    offset: u64,
    fold: Fold,
    style: Style,
    times: Times,
    bytes: Vec<u8>,
    /// Lines that wait for those of other streams, with the removed bytes before them.
    pending: VecDeque<Pending>,
    exhausted: bool,
}

#[derive(Debug)]
enum Pending {
    Line { offset: u64, end: u64, text: String, time: Option<Timestamp> },
    Trimmed { from: u64, up_to: u64 },
    Gap { at: u64 },
}

impl Reader {
    /// Of the log in the folder `log`, from these offsets on, each the start of a line.
    pub fn new(log: &Path, streams: &[(Stream, u64)], style: Style) -> Self {
        // Whoever puts lines in order has to know when they came.
        let style = Style { timed: style.timed || streams.len() > 1, ..style };
        let sources = streams.iter().map(|(stream, offset)| Source::new(log, *stream, *offset, style));
        Self { log: log.to_owned(), sources: sources.collect(), style, grows: false, watch: None, newest: 0 }
    }

    /// The same with all that comes through streams that are not there yet.
    #[must_use]
    pub const fn growing(mut self) -> Self {
        self.grows = true;
        self
    }

    /// Takes in the streams that have begun since, and says whether there were any.
    fn has_grown(&mut self) -> bool {
        // A log that cannot be listed now may be so later, and what is read already goes on.
        let all = if self.grows { streams(&self.log).unwrap_or_default() } else { vec![] };
        let is_new = |stream: &Stream| self.sources.iter().all(|it| it.stream != *stream);
        let new: Vec<Stream> = all.into_iter().filter(is_new).collect();
        if new.is_empty() {
            return false;
        }
        self.style.timed = true;
        self.sources.iter_mut().for_each(|it| it.style.timed = true);
        self.sources.extend(new.into_iter().map(|it| Source::new(&self.log, it, 0, self.style)));
        true
    }

    /// Hands over the lines that have come; waits for some, if it must. False when there will be no more.
    ///
    /// `ended` says whether nobody writes any more. After it does, everything is read once again: what was written
    /// before the end is never missed.
    pub fn next(
        &mut self,
        ended: impl FnMut() -> bool,
        mut on_item: impl FnMut(Item<'_>),
    ) -> Result<bool, FsError> {
        let mut waiting = Waiting { ended, watch: self.watch.take(), is_last: false };
        while !self.advance(&mut on_item)? {
            if self.has_grown() {
                // Their folders are to be watched as well.
                waiting.watch = None;
                continue;
            }
            if !waiting.wait(&self.watched()) {
                return Ok(false);
            }
        }
        self.watch = waiting.watch;
        Ok(true)
    }

    /// The lines that no newline ended: nobody writes any more.
    pub fn finish(&mut self, mut on_item: impl FnMut(Item<'_>)) {
        for source in &mut self.sources {
            let (stream, times) = (source.stream, &mut source.times);
            source.fold.finish(|line| {
                on_item(Item::Line(Entry { stream, line, time: times.at(line.end.saturating_sub(1)) }));
            });
        }
    }

    /// What the line shows by now that is being written, often a progress bar.
    pub fn unfinished(&self) -> Option<String> {
        self.sources.get(self.newest)?.fold.unfinished()
    }

    /// Whether anything was there.
    fn advance(&mut self, on_item: &mut dyn FnMut(Item<'_>)) -> Result<bool, FsError> {
        if let [source] = &mut self.sources[..] {
            return source.read(&mut |item| on_item(item));
        }
        let mut any = false;
        self.sources.iter_mut().for_each(|source| source.exhausted = false);
        for _ in 0..BATCH {
            for (number, source) in self.sources.iter_mut().enumerate() {
                while source.pending.is_empty() && !source.exhausted {
                    if source.fill()? {
                        (any, self.newest) = (true, number);
                    }
                }
            }
            // A stream without a line has nothing that came earlier than those of the others.
            let waiting = self.sources.iter_mut().filter(|source| !source.pending.is_empty());
            let Some(next) = waiting.min_by_key(|source| source.next_time()) else { break };
            next.hand_over(on_item);
            any = true;
        }
        Ok(any)
    }

    /// The folders in which a change means something: those of the streams, and the run's, where its end is told.
    fn watched(&self) -> Vec<PathBuf> {
        let streams = self.sources.iter().map(|source| source.log.folder().to_owned());
        let above = [self.log.parent().unwrap_or(&self.log).to_owned(), self.log.clone()];
        streams.chain(above).collect()
    }
}

impl<E: FnMut() -> bool> Waiting<E> {
    pub fn new(ended: E) -> Self {
        Self { ended, watch: None, is_last: false }
    }

    /// Nothing was there: waits until something may be. False when there will be nothing any more.
    pub fn wait(&mut self, folders: &[PathBuf]) -> bool {
        if self.is_last {
            return false;
        }
        self.is_last = (self.ended)();
        match &mut self.watch {
            _ if self.is_last => {}
            Some(watch) => watch.wait_paced(LONGEST_WAIT, GATHER),
            // Once round without waiting: the bytes that came before the watch was there.
            None => self.watch = Some(Watch::over(folders)),
        }
        true
    }

    /// Something was there, and more may be.
    pub const fn has_read(&mut self) {
        self.is_last = false;
    }
}

impl Source {
    fn new(log: &Path, stream: Stream, offset: u64, style: Style) -> Self {
        let folder = stream.folder(log);
        Self {
            stream,
            log: StreamLog::new(&folder),
            offset,
            fold: fold(offset, style),
            style,
            times: Times::new(&folder),
            bytes: vec![],
            pending: VecDeque::new(),
            exhausted: false,
        }
    }

    /// Hands over the lines in the next piece, and says whether there was one.
    fn read(&mut self, on_item: &mut dyn FnMut(Item<'_>)) -> Result<bool, FsError> {
        self.bytes.clear();
        match self.log.read(self.offset, PIECE, &mut self.bytes)? {
            Found::Nothing => return Ok(false),
            Found::Trimmed { up_to } => {
                on_item(Item::Trimmed { stream: self.stream, from: self.offset, up_to });
                (self.offset, self.fold) = (up_to, fold(up_to, self.style));
            }
            Found::Bytes => self.take(on_item),
        }
        Ok(true)
    }

    /// Makes lines of the bytes that were read, up to each gap in them and then on.
    fn take(&mut self, on_item: &mut dyn FnMut(Item<'_>)) {
        let (stream, times, is_timed) = (self.stream, &mut self.times, self.style.timed);
        times.refresh(self.log.segment().unwrap_or(0));
        let end = self.offset + self.bytes.len() as u64;
        let (mut from, mut rest) = (self.offset, &self.bytes[..]);
        loop {
            let gap = times.gap(from, end);
            let position = end - rest.len() as u64;
            let count = gap.map_or(rest.len(), |at| usize::try_from(at - position).unwrap_or(rest.len()));
            let (before, after) = rest.split_at(count);
            self.fold.feed(before, |line| {
                let time = if is_timed { times.at(line.end - 1) } else { None };
                on_item(Item::Line(Entry { stream, line, time }));
            });
            let Some(at) = gap else { break };
            on_item(Item::Gap { stream, at });
            (from, rest) = (at + 1, after);
        }
        self.offset = end;
        // Times that nobody asks for are not kept.
        times.at(end - 1);
    }

    /// The same, kept for later.
    fn fill(&mut self) -> Result<bool, FsError> {
        let mut came = std::mem::take(&mut self.pending);
        let read = self.read(&mut |item| {
            came.push_back(match item {
                Item::Line(Entry { line, time, .. }) => {
                    Pending::Line { offset: line.offset, end: line.end, text: line.text.to_owned(), time }
                }
                Item::Trimmed { from, up_to, .. } => Pending::Trimmed { from, up_to },
                Item::Gap { at, .. } => Pending::Gap { at },
            });
        });
        self.pending = came;
        self.exhausted = !read?;
        Ok(!self.exhausted)
    }

    /// Lines of unknown time are not held back.
    fn next_time(&self) -> Option<Timestamp> {
        match self.pending.front() {
            Some(Pending::Line { time, .. }) => *time,
            Some(Pending::Trimmed { .. } | Pending::Gap { .. }) | None => None,
        }
    }

    fn hand_over(&mut self, on_item: &mut dyn FnMut(Item<'_>)) {
        let stream = self.stream;
        match self.pending.pop_front() {
            Some(Pending::Line { offset, end, text, time }) => {
                on_item(Item::Line(Entry { stream, line: Line { offset, end, text: &text }, time }));
            }
            Some(Pending::Trimmed { from, up_to }) => on_item(Item::Trimmed { stream, from, up_to }),
            Some(Pending::Gap { at }) => on_item(Item::Gap { stream, at }),
            None => {}
        }
    }
}

fn fold(offset: u64, style: Style) -> Fold {
    let fold = Fold::new(offset, style.colours);
    if style.for_people { fold } else { fold.for_programs() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::{
        logs::{index::IndexWriter, segment},
        platform::{clock, fs},
    };

    use super::*;

    fn append(log: &Path, stream: Stream, text: &str) {
        let folder = stream.folder(log);
        fs::create_dir_all(&folder).expect("created");
        let path = segment::plain(&folder, 0);
        let length = fs::size(&path).unwrap_or(0);
        IndexWriter::open(&folder, 0).note(length);
        let mut file = fs::open_append(&path).expect("opened");
        fs::append(&mut file, &path, text).expect("written");
    }

    fn text(item: Item<'_>) -> String {
        match item {
            Item::Line(Entry { stream, line, .. }) => format!("{stream} {} {}", line.offset, line.text),
            Item::Trimmed { stream, from, up_to } => format!("{stream} {from} to {up_to} are gone"),
            Item::Gap { stream, at } => format!("{stream} has a gap at {at}"),
        }
    }

    #[test]
    fn what_is_written_while_the_end_is_being_decided_is_read() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let mut reader = Reader::new(dir.path(), &[(Stream::Launcher, 0)], PLAIN);
        let asked = Cell::new(0);
        // The stream appears, grows, and gets its last line just before the run has ended.
        let ended = || {
            asked.set(asked.get() + 1);
            match asked.get() {
                3 => append(dir.path(), Stream::Launcher, "step 1\n"),
                6 => append(dir.path(), Stream::Launcher, "step 2\n"),
                _ => {}
            }
            asked.get() >= 6
        };
        let mut lines = vec![];
        while reader.next(ended, |item| lines.push(text(item))).expect("read") {}
        assert_eq!(lines, ["launcher 0 step 1", "launcher 7 step 2"]);
    }

    #[test]
    fn lines_of_several_streams_come_in_the_order_in_which_they_were_finished() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (one, two) = (Stream::Rank(0), Stream::Rank(1));
        for (stream, text) in [
            (one, "a\nhalf"),
            (two, "b\n"),
            (one, " and half\n"),
            (two, "c\n"),
            (one, "d\nrest"),
            (two, "e\n"),
        ] {
            append(dir.path(), stream, text);
            clock::pause(Duration::from_millis(2));
        }
        let mut reader = Reader::new(dir.path(), &[(one, 0), (two, 0)], PLAIN);
        let mut lines = vec![];
        while reader.next(|| true, |item| lines.push(text(item))).expect("read") {}
        reader.finish(|item| lines.push(text(item)));
        let expected = [
            "rank0 0 a",
            "rank1 0 b",
            "rank0 2 half and half",
            "rank1 2 c",
            "rank0 16 d",
            "rank1 4 e",
            "rank0 18 rest",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_never_reached_the_disk_is_said_where_it_is_missing() {
        let dir = tempfile::tempdir().expect("a temp dir");
        append(dir.path(), Stream::Launcher, "one\n");
        IndexWriter::open(&Stream::Launcher.folder(dir.path()), 0).note_gap(4);
        append(dir.path(), Stream::Launcher, "three\nfour\n");
        let mut lines = vec![];
        let mut reader = Reader::new(dir.path(), &[(Stream::Launcher, 0)], PLAIN);
        while reader.next(|| true, |item| lines.push(text(item))).expect("read") {}
        assert_eq!(
            lines,
            ["launcher 0 one", "launcher has a gap at 4", "launcher 4 three", "launcher 10 four"]
        );
    }

    #[test]
    fn what_was_removed_is_said_once_and_the_rest_is_read() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let folder = Stream::Launcher.folder(dir.path());
        fs::create_dir_all(&folder).expect("created");
        fs::write_atomic(&segment::plain(&folder, 100), "left\n").expect("written");
        let mut reader = Reader::new(dir.path(), &[(Stream::Launcher, 0)], PLAIN);
        let mut lines = vec![];
        while reader.next(|| true, |item| lines.push(text(item))).expect("read") {}
        assert_eq!(lines, ["launcher 0 to 100 are gone", "launcher 100 left"]);
    }
}
