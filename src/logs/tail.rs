//! Where the last lines of a log begin, found from its end without reading the rest.

use std::collections::VecDeque;

use crate::platform::fs::FsError;

use super::{Colours, Fold, Mark, StreamLog, store::Found};

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// The offset of the first of the last `count` lines. A progress bar is one line, however often it was redrawn; what
/// stands after the last newline is a line too.
pub fn lines(log: &mut StreamLog, count: usize) -> Result<u64, FsError> {
    let length = log.end()?;
    let (mut end, mut left) = (length, count);
    while left > 0 {
        let (start, block) = log.before(end)?;
        if block.is_empty() {
            break;
        }
        for newline in memchr::memrchr_iter(b'\n', &block) {
            let next = start + newline as u64 + 1;
            // The newline at the very end begins no line.
            if next == length {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Ok(next);
            }
        }
        end = start;
    }
    Ok(end)
}

/// The offset of the first of the last `count` lines that report a step. Looks at more and more of the end, because
/// steps may be rare.
pub fn steps(log: &mut StreamLog, count: usize) -> Result<u64, FsError> {
    let length = log.end()?;
    if count == 0 {
        return Ok(length);
    }
    let first = log.start()?;
    let mut window = 4 * BLOCK as u64;
    loop {
        let start = line_at(log, length.saturating_sub(window).max(first))?;
        let found = steps_from(log, (start, length), count)?;
        if found.len() == count || start <= first {
            return Ok(found.front().copied().unwrap_or(length));
        }
        window = window.saturating_mul(4);
    }
}

/// Where the line that `offset` is in has its start.
pub fn line_at(log: &mut StreamLog, offset: u64) -> Result<u64, FsError> {
    let mut end = offset;
    loop {
        let (start, block) = log.before(end)?;
        if let Some(newline) = memchr::memrchr(b'\n', &block) {
            return Ok(start + newline as u64 + 1);
        }
        if block.is_empty() {
            return Ok(end);
        }
        end = start;
    }
}

/// The last `count` lines from `start`, where a line starts, to `end` that report a step.
fn steps_from(log: &mut StreamLog, (start, end): (u64, u64), count: usize) -> Result<VecDeque<u64>, FsError> {
    let mut fold = Fold::new(start, Colours::Drop);
    let mut found = VecDeque::new();
    let mut take = |line: super::Line<'_>| {
        if matches!(Mark::parse(line.text), Some(Mark::Step(_))) {
            found.push_back(line.offset);
            if found.len() > count {
                found.pop_front();
            }
        }
    };
    let (mut at, mut bytes) = (start, vec![]);
    while at < end && log.read(at, BLOCK, &mut bytes)? == Found::Bytes {
        at += bytes.len() as u64;
        fold.feed(&bytes, &mut take);
        bytes.clear();
    }
    fold.finish(take);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::{logs::segment, platform::fs};

    use super::*;

    fn stored(text: &str) -> (tempfile::TempDir, StreamLog) {
        let dir = tempfile::tempdir().expect("a temp dir");
        // In two segments, wherever that cuts it.
        let (first, second) = text.split_at(text.len() / 2);
        for (start, text) in [(0, first), (first.len() as u64, second)] {
            fs::write_atomic(&segment::plain(dir.path(), start), text).expect("written");
        }
        let log = StreamLog::new(dir.path());
        (dir, log)
    }

    #[test]
    fn the_last_lines_are_found_whether_or_not_the_log_ends_with_a_newline() {
        let check = |text: &str, count, expected: &str| {
            let (_dir, mut stream) = stored(text);
            let offset = usize::try_from(lines(&mut stream, count).expect("found")).expect("small");
            assert_eq!(&text[offset..], expected, "{text:?} {count}");
        };
        check("a\nb\nc\n", 2, "b\nc\n");
        check("a\nb\nc", 2, "b\nc");
        check("a\n\n", 1, "\n");
        check("a\n 0%\r50%\rb\n", 1, " 0%\r50%\rb\n");
        check("a\nb\n", 0, "");
        check("a\nb\n", 2, "a\nb\n");
        check("a\nb\n", 9, "a\nb\n");
        check("", 3, "");
    }

    #[test]
    fn lines_longer_than_a_block_are_found_too() {
        let long = "x".repeat(BLOCK * 2 + 7);
        let text = format!("first\n{long}\n{long}\nlast\n");
        let (_dir, mut stream) = stored(&text);
        let mut at = |count| lines(&mut stream, count).expect("found");
        let line = long.len() as u64 + 1;
        assert_eq!([1, 2, 3, 4].map(&mut at), [6 + 2 * line, 6 + line, 6, 0]);
    }

    #[test]
    fn the_last_steps_are_counted_without_the_lines_between_them() {
        let step = |n| format!("steps: {n} loss: 0.5000 iter time (s): 0.070 samples/sec: 457.143\n");
        let text = format!("{}a\n{}b\n{}c\n", step(1), step(2), step(3));
        let (_dir, mut stream) = stored(&text);
        let mut at = |count| {
            let offset = steps(&mut stream, count).expect("found");
            text[usize::try_from(offset).expect("small")..].to_owned()
        };
        assert_eq!(at(2), format!("{}b\n{}c\n", step(2), step(3)));
        assert_eq!(at(9), text);
        assert_eq!(at(0), "");
    }

    #[test]
    fn rare_steps_far_from_the_end_are_found_by_looking_further_back() {
        let step = |n| format!("steps: {n} loss: 0.5000 iter time (s): 0.070 samples/sec: 457.143\n");
        let noise = "x".repeat(99) + "\n";
        let text = format!("{}{}{}{}", step(1), noise.repeat(9_000), step(2), noise.repeat(9_000));
        let (_dir, mut stream) = stored(&text);
        let mut at = |count| steps(&mut stream, count).expect("found");
        assert_eq!([0, 1, 2, 9].map(&mut at), [text.len() as u64, step(1).len() as u64 + 900_000, 0, 0]);
    }
}
