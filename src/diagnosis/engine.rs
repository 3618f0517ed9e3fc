//! One pass over a log: lines with a word of the catalogue are looked at, the others are not even cut out.

use std::collections::BTreeMap;

use memchr::{memchr, memchr2, memrchr2};

use super::{
    catalogue::{Catalogue, Word},
    line,
    traceback::{Read, Traceback},
};

/// Ranks that are told apart; whoever starts more is told of them together.
const MOST_RANKS: usize = 256;

/// Looks for causes in bytes that come in pieces of any size, from one or several processes. Its memory does not grow with
/// the log.
pub struct Diagnoser<'a> {
    pub(super) catalogue: &'a Catalogue,
    /// By the rank that is known to write it; `None` for what several write to.
    streams: BTreeMap<Option<u32>, Stream>,
    /// By the cause's place in the catalogue and the rank that it was seen of.
    pub(super) sights: BTreeMap<(usize, Option<u32>), Sight>,
    reading: BTreeMap<Option<u32>, Traceback>,
    /// The ends of the tracebacks that no pattern explains: the last one of each rank.
    pub(super) raised: BTreeMap<Option<u32>, Sight>,
    /// Lines that begin as complaints do and that no pattern explains: the last one of each rank.
    pub(super) complaints: BTreeMap<Option<u32>, Sight>,
    /// Things noticed so far: the clock of this log.
    noticed: u64,
    /// Training steps so far.
    pub(super) steps: u64,
    /// The trainer said that it was done.
    pub(super) done: bool,
    /// Kept for its memory.
    words: Vec<Word>,
}

/// Where something was seen.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) offset: u64,
    pub(super) text: String,
    /// When it was seen first, by the clock of the log.
    pub(super) at: u64,
    /// The steps that had been done when it was seen last.
    pub(super) steps: u64,
}

/// The line of a stream that has no end yet.
#[derive(Default)]
struct Stream {
    /// At most [`line::LONGEST`] bytes.
    partial: Vec<u8>,
    start: u64,
    /// It has begun, perhaps with bytes that are not kept.
    begun: bool,
}

impl Default for Diagnoser<'static> {
    fn default() -> Self {
        Self::new()
    }
}

impl Diagnoser<'static> {
    /// Looks for all causes that are known.
    pub fn new() -> Self {
        Self::with(Catalogue::get())
    }
}

impl<'a> Diagnoser<'a> {
    /// Looks for those of `catalogue`.
    pub const fn with(catalogue: &'a Catalogue) -> Self {
        Self {
            catalogue,
            streams: BTreeMap::new(),
            sights: BTreeMap::new(),
            reading: BTreeMap::new(),
            raised: BTreeMap::new(),
            complaints: BTreeMap::new(),
            noticed: 0,
            steps: 0,
            done: false,
            words: vec![],
        }
    }

    /// The trainer said that it was done.
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// Takes the next bytes of a log. `rank` wrote them, if that is known; the first of them is at `offset`.
    pub fn push(&mut self, offset: u64, rank: Option<u32>, bytes: &[u8]) {
        let rank = rank.filter(|_| self.streams.len() < MOST_RANKS || self.streams.contains_key(&rank));
        let mut stream = self.streams.remove(&rank).unwrap_or_default();
        let mut rest = bytes;
        let mut offset = offset;
        if stream.begun {
            let end = memchr2(b'\n', b'\r', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            stream.keep(line);
            if let Some(end) = end {
                self.line(rank, stream.start, &stream.partial);
                stream = Stream { partial: stream.partial, ..Stream::default() };
                stream.partial.clear();
                offset += end as u64 + 1;
                rest = &rest[end + 1..];
            } else {
                rest = &[];
            }
        }
        let whole = memrchr2(b'\n', b'\r', rest).map_or(0, |it| it + 1);
        self.whole_lines(rank, offset, &rest[..whole]);
        if whole < rest.len() {
            stream.begun = true;
            stream.start = offset + whole as u64;
            stream.keep(&rest[whole..]);
        }
        self.streams.insert(rank, stream);
    }

    /// No more bytes come: the last lines count without their ends.
    pub fn finish(&mut self) {
        for (rank, stream) in std::mem::take(&mut self.streams) {
            if stream.begun {
                self.line(rank, stream.start, &stream.partial);
            }
        }
    }

    /// Whole lines, the last one with its end.
    fn whole_lines(&mut self, rank: Option<u32>, offset: u64, bytes: &[u8]) {
        let mut from = 0;
        let (mut word, mut escape) = (0, 0);
        while from < bytes.len() {
            let start = if self.reading.is_empty() {
                // Colours may stand in the middle of a word.
                if escape <= from {
                    escape = memchr(0x1b, &bytes[from..]).map_or(bytes.len(), |it| from + it);
                }
                if word <= from {
                    word = self.catalogue.next_word(bytes, from).map_or(bytes.len(), |it| it - 1);
                }
                let at = word.min(escape);
                if at == bytes.len() {
                    return;
                }
                from + memrchr2(b'\n', b'\r', &bytes[from..at]).map_or(0, |it| it + 1)
            } else {
                from
            };
            let end = start + memchr2(b'\n', b'\r', &bytes[start..]).unwrap_or(bytes.len() - start);
            self.line(rank, offset + start as u64, &bytes[start..end]);
            from = end + 1;
        }
    }

    fn line(&mut self, stream: Option<u32>, offset: u64, raw: &[u8]) {
        let plain = line::plain(&raw[..raw.len().min(line::LONGEST)]);
        let mut words = std::mem::take(&mut self.words);
        self.catalogue.meanings(&plain, &mut words);
        if !(words.is_empty() && self.reading.is_empty()) {
            let (rank, text) = line::of_rank(&plain);
            let before = &plain[..plain.len() - text.len()];
            self.look(&words, [text, before], rank.or(stream), offset);
        }
        self.words = words;
    }

    /// `parts` of a line: what a rank wrote, and what stood before that.
    fn look(&mut self, words: &[Word], parts: [&[u8]; 2], rank: Option<u32>, offset: u64) {
        self.noticed += 1;
        let texts = parts.map(<[u8]>::trim_ascii);
        let (mut known, mut complains) = (false, false);
        for word in words {
            match *word {
                Word::Pattern { cause, pattern } => {
                    let matched = texts.iter().find(|text| {
                        !known && !text.is_empty() && self.catalogue.matches(cause, pattern, text)
                    });
                    if let Some(text) = matched {
                        known = true;
                        self.see(cause, rank, offset, text);
                    }
                }
                Word::Traceback if self.reading.len() < MOST_RANKS => {
                    self.reading.insert(rank, Traceback::default());
                    return;
                }
                Word::Traceback => {}
                Word::Step => {
                    let has_step = |text: &&[u8]| memchr::memmem::find(text, b" iter time (s): ").is_some();
                    self.steps += u64::from(parts.iter().any(has_step));
                }
                Word::Complaint => complains = is_complaint(texts[0]),
                Word::Done => self.done = true,
            }
        }
        if complains && !known && !self.reading.contains_key(&rank) && self.complaints.len() < MOST_RANKS {
            let sight = self.sight(offset, texts[0]);
            self.complaints.insert(rank, sight);
        }
        let read = self.reading.get_mut(&rank).map(|it| it.read(parts[0]));
        match read {
            None | Some(Read::On) => {}
            Some(Read::Lost) => drop(self.reading.remove(&rank)),
            Some(Read::Raised) => {
                self.reading.remove(&rank);
                if !known {
                    let sight = self.sight(offset, texts[0]);
                    self.raised.insert(rank, sight);
                }
            }
        }
    }

    fn see(&mut self, cause: usize, rank: Option<u32>, offset: u64, text: &[u8]) {
        let new = self.sight(offset, text);
        let steps = self.steps;
        self.sights.entry((cause, rank)).and_modify(|it| it.steps = steps).or_insert(new);
    }

    fn sight(&self, offset: u64, text: &[u8]) -> Sight {
        Sight { offset, text: line::quote(text), at: self.noticed, steps: self.steps }
    }
}

/// `error: no such file`, and not a line that has this in the middle.
fn is_complaint(line: &[u8]) -> bool {
    [&b"error: "[..], b"fatal: "]
        .iter()
        .any(|it| line.get(..it.len()).is_some_and(|start| start.eq_ignore_ascii_case(it)))
}

impl Stream {
    fn keep(&mut self, bytes: &[u8]) {
        let room = line::LONGEST - self.partial.len();
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
