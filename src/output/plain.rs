//! Text that came from files, made fit for a terminal: no name moves the cursor, hides itself or fakes a line.

use std::{borrow::Cow, ffi::OsStr, fmt::Write as _};

/// A name or path on one line, with every control character spelt out.
pub fn name(name: impl AsRef<OsStr>) -> String {
    let text = name.as_ref().to_string_lossy();
    spelt(&text, |_, _| false).into_owned()
}

/// Whole output: line breaks and tabs stay, and colours, which are ours.
pub(super) fn lines(text: &str, colours: bool) -> Cow<'_, str> {
    spelt(text, |c, rest| matches!(c, '\n' | '\t') || (colours && c == '\u{1b}' && is_colour(rest)))
}

fn spelt(text: &str, stays: impl Fn(char, &str) -> bool) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if !is_hidden(c) || stays(c, &text[at + c.len_utf8()..]) {
            plain.push(c);
            continue;
        }
        // Writing to a string does not fail.
        let _ = match u8::try_from(c) {
            Ok(byte) => write!(plain, "\\x{byte:02x}"),
            Err(_) => write!(plain, "{}", c.escape_unicode()),
        };
    }
    Cow::Owned(plain)
}

/// Control characters, and those that turn the direction of writing.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `[1;32m`, as it goes on after an escape.
fn is_colour(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix('[') else { return false };
    rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_without_control() {
        assert_eq!(name("plain é.png"), "plain é.png");
        assert_eq!(name("a\n\u{1b}[2Jb\u{7f}\u{9b}.png"), "a\\x0a\\x1b[2Jb\\x7f\\x9b.png");
        assert_eq!(name("gpj.\u{202e}x"), "gpj.\\u{202e}x");
    }

    #[test]
    fn output_keeps_its_lines_and_colours_and_nothing_else() {
        assert_eq!(
            lines("a\n\u{1b}[1;32mb\u{1b}[0m\u{1b}[2J\r", true),
            "a\n\u{1b}[1;32mb\u{1b}[0m\\x1b[2J\\x0d"
        );
        assert_eq!(lines("\u{1b}[31m", false), "\\x1b[31m");
    }
}
