//! A text in a whole log, looked for piece by piece: what stands there as people see it, colours and old states of bars
//! left out.

use regex::{Regex, RegexBuilder};

use crate::platform::fs::FsError;

use super::{Colours, Fold, Line, StreamLog, store};

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// Bytes of a line that are shown, some of them before what was found.
const SHOWN: usize = 400;
const BEFORE: usize = 80;

/// What is looked for, and from where on.
#[derive(Clone, Debug)]
pub struct Query {
    pub text: Regex,
    /// Where a line starts, and how many are before it.
    pub from: u64,
    pub line: u64,
    /// Lines that are handed over at once.
    pub limit: usize,
    /// Bytes that are looked at for that.
    pub most: u64,
}

/// A line with the text in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Of its first byte; in a line without an end, of where the look at it began.
    pub offset: u64,
    /// The first line of the log is 1.
    pub line: u64,
    /// Around what was found, if the line is long.
    pub text: String,
}

/// What one look brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    pub hits: Vec<Hit>,
    /// Where to go on, and how many lines are before that.
    pub next: u64,
    pub next_line: u64,
    /// There is more to look at.
    pub is_cut: bool,
}

impl Query {
    /// `None` for a text that is too long to be looked for.
    pub fn new(text: &str, ignores_case: bool) -> Option<Self> {
        let text = RegexBuilder::new(&regex::escape(text)).case_insensitive(ignores_case).build().ok()?;
        Some(Self { text, from: 0, line: 0, limit: 100, most: u64::MAX })
    }

    /// # Errors
    /// When the log cannot be read.
    pub fn search(&self, log: &mut StreamLog) -> Result<Hits, FsError> {
        let mut at = self.from.max(log.start()?);
        let (first, mut bytes) = (at, vec![]);
        let mut fold = Fold::new(at, Colours::Drop).for_programs();
        let mut hits = Hits { next: at, next_line: self.line, ..Hits::default() };
        loop {
            bytes.clear();
            match log.read(at, PIECE, &mut bytes)? {
                store::Found::Bytes => {
                    at += bytes.len() as u64;
                    fold.feed(&bytes, |line| self.take(line, &mut hits));
                    if !hits.is_cut && at - first >= self.most {
                        hits.is_cut = true;
                        // Whoever comes again gets on, even in a line that has no end.
                        hits.next = if hits.next > first { hits.next } else { at };
                    }
                    if hits.is_cut {
                        return Ok(hits);
                    }
                }
                store::Found::Trimmed { up_to } => {
                    (at, hits.next) = (up_to, up_to);
                    fold = Fold::new(up_to, Colours::Drop).for_programs();
                }
                store::Found::Nothing => break,
            }
        }
        // It may become longer, and is looked at again then.
        let (next, next_line) = (hits.next, hits.next_line);
        fold.finish(|line| self.take(line, &mut hits));
        (hits.next, hits.next_line) = (next, next_line);
        Ok(hits)
    }

    fn take(&self, line: Line<'_>, hits: &mut Hits) {
        if hits.is_cut {
            return;
        }
        if let Some(found) = self.text.find(line.text) {
            if hits.hits.len() == self.limit {
                hits.is_cut = true;
                return;
            }
            let text = around(line.text, found.start());
            hits.hits.push(Hit { offset: line.offset, line: hits.next_line + 1, text });
        }
        hits.next = line.end;
        hits.next_line += 1;
    }
}

fn around(text: &str, at: usize) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let start = text.floor_char_boundary(at.saturating_sub(BEFORE));
    let end = text.floor_char_boundary(start + SHOWN);
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    format!("{before}{}{after}", &text[start..end])
}

#[cfg(test)]
mod tests {
    use crate::platform::fs;

    use super::*;

    /// A log of these bytes.
    fn log(bytes: &[u8]) -> (tempfile::TempDir, StreamLog) {
        let dir = tempfile::tempdir().expect("a temp dir");
        fs::write_atomic(&dir.path().join(format!("{:020}.log", 0)), bytes).expect("written");
        let log = StreamLog::new(dir.path());
        (dir, log)
    }

    fn found(hits: &Hits) -> Vec<(u64, u64, &str)> {
        hits.hits.iter().map(|it| (it.offset, it.line, &*it.text)).collect()
    }

    #[test]
    fn what_one_sees_is_found_with_its_line_and_again_from_where_it_was_cut() {
        let text = b"one Loss\n\x1b[31mtwo lo\x1b[0mss\nbar loss\rbar\nnone\nlast loss";
        let (_dir, mut log) = log(text);
        let query = Query { limit: 2, ..Query::new("loss", true).expect("short") };
        let first = query.search(&mut log).expect("read");
        assert_eq!(found(&first), [(0, 1, "one Loss"), (9, 2, "two loss")]);
        assert!(first.is_cut && first.next_line == 4, "{first:?}");
        let rest = Query { from: first.next, line: first.next_line, ..query }.search(&mut log).expect("read");
        assert_eq!(found(&rest), [(45, 5, "last loss")]);
        assert_eq!(
            (rest.is_cut, rest.next, rest.next_line),
            (false, 45, 4),
            "what has no end is looked at again"
        );
        let exact = Query::new("Loss", false).expect("short").search(&mut log).expect("read");
        assert_eq!(found(&exact), [(0, 1, "one Loss")]);
        let dots = Query::new("l.ss", true).expect("short").search(&mut log).expect("read");
        assert_eq!(found(&dots), [], "it is a text and no pattern");
    }

    #[test]
    fn a_look_ends_after_so_many_bytes_and_the_next_one_gets_on() {
        let text = [vec![b'x'; 3 * PIECE], b"\nneedle\n".to_vec()].concat();
        let (_dir, mut log) = log(&text);
        let query = Query { most: 1, ..Query::new("needle", false).expect("short") };
        let (mut at, mut looks, mut lines) = (Hits::default(), 0, vec![]);
        while looks == 0 || at.is_cut {
            let look = Query { from: at.next, line: at.next_line, ..query.clone() };
            at = look.search(&mut log).expect("read");
            lines.extend(at.hits.iter().map(|it| it.line));
            looks += 1;
        }
        assert_eq!((lines, looks), (vec![2], 5));
    }

    #[test]
    fn of_a_long_line_the_part_is_shown_that_was_looked_for() {
        let text = format!("{}needle{}", "ä".repeat(500), "ö".repeat(500));
        let shown = around(&text, 1000);
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.contains("ääneedleöö"), "{shown}");
        assert!(shown.len() <= SHOWN + 6, "{}", shown.len());
        assert_eq!(around("short", 0), "short");
    }
}
