//! One line of a log, freed of what several processes and terminals put around it.

use std::borrow::Cow;

use memchr::memchr;

/// Bytes of a line that are looked at. What says why is at its beginning; only launchers write a long command before it.
pub(super) const LONGEST: usize = 16 * 1024;

/// Bytes of a line that are quoted: of a longer one its beginning and its end, where a launcher that names a whole command
/// says what became of it.
const LONGEST_QUOTE: usize = 400;
const END_OF_QUOTE: usize = 120;

/// A line without colours.
pub(super) fn plain(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr(0x1b, raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr(0x1b, rest) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let [b'[', after @ ..] = rest {
            let end = after.iter().position(|byte| (0x40..=0x7e).contains(byte));
            rest = end.map_or(&[][..], |end| &after[end + 1..]);
        }
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

/// The rank that a line names and the text after it: `[rank1]: ValueError`. torch writes that before the lines of a
/// traceback, and another process's text may stand before it on the same line, as a newline is a write of its own.
pub(super) fn of_rank(line: &[u8]) -> (Option<u32>, &[u8]) {
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&line[from..], b"[rank") {
        let digits = &line[from + at + 5..];
        let count = digits.iter().take(6).take_while(|it| it.is_ascii_digit()).count();
        from += at + 5;
        if count == 0 {
            continue;
        }
        let rank = std::str::from_utf8(&digits[..count]).ok().and_then(|it| it.parse().ok());
        // `[rank0]:[E1127 …` of C++, `[rank0]: ` of Python.
        if let ([b']', b':', text @ ..], Some(rank)) = (&digits[count..], rank) {
            return (Some(rank), text.strip_prefix(b" ").unwrap_or(text));
        }
    }
    (None, line)
}

/// A line as it is quoted: text without control characters, not longer than anybody reads.
pub(super) fn quote(line: &[u8]) -> String {
    let line = line.trim_ascii();
    let text = match line.len() {
        ..=LONGEST_QUOTE => String::from_utf8_lossy(line).into_owned(),
        all => {
            let (start, end) = (&line[..LONGEST_QUOTE - END_OF_QUOTE], &line[all - END_OF_QUOTE..]);
            let text =
                |it: &[u8]| String::from_utf8_lossy(it).trim_matches(char::REPLACEMENT_CHARACTER).to_owned();
            format!("{} … {}", text(start).trim_end(), text(end).trim_start())
        }
    };
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_the_end_is_quoted_too() {
        let long = format!("[ERROR] ['python', {}] exits with return code = -9", "'x', ".repeat(200));
        let quoted = quote(long.as_bytes());
        assert!(
            quoted.starts_with("[ERROR] ['python'") && quoted.ends_with("exits with return code = -9"),
            "{quoted}"
        );
        assert!(quoted.len() <= LONGEST_QUOTE + 5 && quoted.contains(" … "), "{quoted}");
        assert_eq!(quote(b"  short\tand good \n"), "short and good");
    }

    #[test]
    fn colours_go_and_ranks_are_named() {
        let check = |raw: &str, expected: (Option<u32>, &str)| {
            let plain = plain(raw.as_bytes());
            let (rank, text) = of_rank(&plain);
            assert_eq!((rank, String::from_utf8_lossy(text).as_ref()), expected, "{raw:?}");
        };
        check("\x1b[1;35mKeyError\x1b[0m: \x1b[35m'a'\x1b[0m", (None, "KeyError: 'a'"));
        check("[rank12]: ValueError: x", (Some(12), "ValueError: x"));
        check("[rank0]:[E1127 10:00:00.1 x.cpp:1] y", (Some(0), "[E1127 10:00:00.1 x.cpp:1] y"));
        check("steps: 4 loss: 0.1[rank1]:   File \"a\"", (Some(1), "  File \"a\""));
        check("a [rank] of [rankx]: [rank99999999]: b", (None, "a [rank] of [rankx]: [rank99999999]: b"));
        check("\x1b[", (None, ""));
        check("\x1b", (None, ""));
    }
}
