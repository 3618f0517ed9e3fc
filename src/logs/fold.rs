//! From bytes in any pieces to whole lines as a terminal would have left them.

use super::render::{Colours, Effect, render};

/// Bytes of a line, or of one state of a progress bar, that are kept; what is more is counted and dropped.
pub const LONGEST: usize = 64 * 1024;

/// The same for programs, which can search what nobody would read.
const LONGEST_FOR_PROGRAMS: usize = 16 << 20;

/// One finished line, safe to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Line<'a> {
    /// Where its first byte is in the log.
    pub offset: u64,
    /// Offset behind its last byte, the newline if it has one.
    #[serde(skip)]
    pub end: u64,
    pub text: &'a str,
}

/// Makes lines of bytes. How these are cut into pieces does not change the lines.
///
/// A carriage return begins the line anew: of a progress bar, its last visible state remains. Sequences that move the
/// cursor up are not followed, so nested bars leave a line for each of their states.
#[derive(Debug)]
pub struct Fold {
    colours: Colours,
    longest: usize,
    /// Of the next byte in the log.
    position: u64,
    /// Of the first byte of the unfinished line.
    line_start: u64,
    /// What the unfinished line shows without `segment`.
    shown: String,
    /// Bytes since the last `\r` or `\n`, at most `longest`.
    segment: Vec<u8>,
    /// Bytes of the segment that were dropped.
    dropped: u64,
    /// Kept for its memory.
    scratch: String,
}

impl Fold {
    /// `offset` is where in the log the first piece will come from; it must be the start of a line.
    pub fn new(offset: u64, colours: Colours) -> Self {
        Self {
            colours,
            longest: LONGEST,
            position: offset,
            line_start: offset,
            shown: String::new(),
            segment: Vec::new(),
            dropped: 0,
            scratch: String::new(),
        }
    }

    /// Lines are whole up to a length that nobody prints, because no person reads them.
    #[must_use]
    pub fn for_programs(mut self) -> Self {
        self.longest = LONGEST_FOR_PROGRAMS;
        self
    }

    /// Takes the next bytes and hands over each line that they finish.
    pub fn feed(&mut self, bytes: &[u8], mut on_line: impl FnMut(Line<'_>)) {
        let base = self.position;
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            self.end_states(&bytes[start..newline]);
            start = newline + 1;
            let end = base + start as u64;
            on_line(Line { offset: self.line_start, end, text: &self.shown });
            self.shown.clear();
            self.line_start = end;
        }
        let mut rest = &bytes[start..];
        if let Some(last) = memchr::memrchr(b'\r', rest) {
            self.end_states(&rest[..last]);
            rest = &rest[last + 1..];
        }
        self.keep(rest);
        self.position = base + bytes.len() as u64;
    }

    /// What the line that no newline has ended yet shows by now; `None` between lines.
    pub fn unfinished(&self) -> Option<String> {
        if self.position == self.line_start {
            return None;
        }
        let mut text = String::new();
        let effect = rendered(&self.segment, self.dropped, self.colours, &mut text);
        Some(if effect == Effect::Nothing { self.shown.clone() } else { text })
    }

    /// Hands over the unfinished line, if there is one: the log has ended.
    pub fn finish(&mut self, mut on_line: impl FnMut(Line<'_>)) {
        if let Some(text) = self.unfinished() {
            on_line(Line { offset: self.line_start, end: self.position, text: &text });
            *self = Self { longest: self.longest, ..Self::new(self.position, self.colours) };
        }
    }

    /// Takes states of the line, with `\r` between them; the first one goes on from `segment`. The newest that shows
    /// something hides the others, so those are not even looked at: bars are redrawn thousands of times.
    fn end_states(&mut self, states: &[u8]) {
        let Some(first) = memchr::memchr(b'\r', states) else { return self.end_segment(states) };
        let mut later = Some(&states[first + 1..]);
        while let Some(rest) = later {
            let cut = memchr::memrchr(b'\r', rest);
            let state = &rest[cut.map_or(0, |cut| cut + 1)..];
            let fits = state.len().min(self.longest);
            if self.show(&state[..fits], (state.len() - fits) as u64) != Effect::Nothing {
                self.segment.clear();
                self.dropped = 0;
                return;
            }
            later = cut.map(|cut| &rest[..cut]);
        }
        self.end_segment(&states[..first]);
    }

    fn end_segment(&mut self, last: &[u8]) {
        if self.segment.is_empty() && last.len() <= self.longest {
            self.show(last, 0);
            return;
        }
        self.keep(last);
        let segment = std::mem::take(&mut self.segment);
        self.show(&segment, self.dropped);
        // Kept for its memory.
        self.segment = segment;
        self.segment.clear();
        self.dropped = 0;
    }

    fn show(&mut self, raw: &[u8], dropped: u64) -> Effect {
        let effect = rendered(raw, dropped, self.colours, &mut self.scratch);
        match effect {
            Effect::Replaces => std::mem::swap(&mut self.shown, &mut self.scratch),
            Effect::Erases => self.shown.clear(),
            Effect::Nothing => {}
        }
        effect
    }

    fn keep(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.longest - self.segment.len());
        self.segment.extend_from_slice(&bytes[..fits]);
        self.dropped += (bytes.len() - fits) as u64;
    }
}

fn rendered(raw: &[u8], dropped: u64, colours: Colours, out: &mut String) -> Effect {
    let effect = render(raw, colours, out);
    if dropped > 0 {
        out.extend([" … [", &dropped.to_string(), " more bytes]"]);
    }
    effect
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of `pieces`, the unfinished one included.
    fn fold<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, colours: Colours) -> Vec<(u64, String)> {
        let mut lines = vec![];
        let mut fold = Fold::new(0, colours);
        for piece in pieces {
            fold.feed(piece, |line| lines.push((line.offset, line.text.to_owned())));
        }
        fold.finish(|line| lines.push((line.offset, line.text.to_owned())));
        lines
    }

    #[test]
    fn a_progress_bar_is_folded_to_its_last_visible_state() {
        let check = |raw: &str, expected: &[&str]| {
            let texts: Vec<_> = fold([raw.as_bytes()], Colours::Drop).into_iter().map(|it| it.1).collect();
            assert_eq!(texts, expected, "{raw:?}");
        };
        check("one\r\ntwo\r\r\n\nlast", &["one", "two", "", "last"]);
        check("\r  0%|   | 0/2\r 50%|█▌ | 1/2\r100%|███| 2/2\nnext\n", &["100%|███| 2/2", "next"]);
        check("\r 50%|█▌ | 1/2", &[" 50%|█▌ | 1/2"]); // killed in the middle
        check("50%\r\x1b[K\ndone\n", &["", "done"]);
        check("50%\r\x1b[2Kdone\n", &["done"]);
        check("50%\x1b[2K\n", &[""]);
        check("50%\r\x1b[1K\n", &["50%"]);
        check("50%\r\x1b[0m\x1b[?25h\n", &["50%"]); // makes the cursor visible again
        check("", &[]);
        check("\n", &[""]);
    }

    #[test]
    fn offsets_are_those_of_the_first_byte_of_each_line() {
        let mut fold = Fold::new(1000, Colours::Drop);
        let mut offsets = vec![];
        for piece in ["ab\r", "\ncd\n", "e\rf"] {
            fold.feed(piece.as_bytes(), |line| offsets.push((line.offset, line.text.to_owned())));
        }
        assert_eq!(fold.unfinished().as_deref(), Some("f"));
        fold.finish(|line| offsets.push((line.offset, line.text.to_owned())));
        let expected = [(1000, "ab"), (1004, "cd"), (1007, "f")].map(|(at, text)| (at, text.to_owned()));
        assert_eq!(offsets, expected);
        assert_eq!(fold.unfinished(), None);
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_a_long_one() {
        let piece = [b'x'; 10_000];
        let mut fold = Fold::new(0, Colours::Drop);
        for _ in 0..1000 {
            fold.feed(&piece, |line| panic!("{line:?}"));
            assert!(fold.segment.len() <= LONGEST);
        }
        let mut lengths = vec![];
        fold.feed(b"\nshort\n", |line| lengths.push(line.text.chars().skip(LONGEST).collect::<String>()));
        assert_eq!(lengths, [" … [9934464 more bytes]", ""]);
    }

    /// Bytes as they meet in logs: text, bars, sequences whole and in parts, damage.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let token = prop_oneof![
            3 => "[a-z ]{0,6}".prop_map(String::into_bytes),
            3 => Just(b"\r".to_vec()),
            3 => Just(b"\n".to_vec()),
            2 => Just("█▌ é\u{9b}".as_bytes().to_vec()),
            2 => prop::sample::select(vec!["\x1b[31m", "\x1b[0m", "\x1b[2K", "\x1b[K", "\x1b[1A", "\x1b]0;t\x07"])
                .prop_map(|it| it.as_bytes().to_vec()),
            2 => any::<u8>().prop_map(|byte| vec![byte]),
            1 => (0..3_usize).prop_map(|more| vec![b'x'; LONGEST - 1 + more]),
        ];
        prop::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_does_not_change_the_lines(
            bytes in bytes(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            prop_assert_eq!(fold(pieces, Colours::Keep), fold([bytes.as_slice()], Colours::Keep));
        }

        #[test]
        fn no_byte_reaches_the_terminal_that_it_would_obey(bytes in bytes()) {
            for (_, text) in fold([bytes.as_slice()], Colours::Drop) {
                prop_assert!(text.chars().all(|c| !c.is_control() || c == '\t'), "{:?}", text);
            }
            for (_, text) in fold([bytes.as_slice()], Colours::Keep) {
                let mut parts = text.split("\x1b[");
                prop_assert!(parts.next().is_some_and(|it| !it.contains('\x1b')));
                for part in parts {
                    let (colour, _) = part.split_once('m').unwrap_or(("?", ""));
                    prop_assert!(colour.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':'), "{:?}", text);
                }
            }
        }

        #[test]
        fn plain_text_comes_out_as_it_went_in(text in "([a-zé█ ]{0,9}\n){0,9}") {
            let lines: Vec<_> = fold([text.as_bytes()], Colours::Keep).into_iter().map(|it| it.1 + "\n").collect();
            prop_assert_eq!(lines.concat(), text);
        }
    }
}
