//! One TOML file as the user wrote it: parsed, with the place of everything in it.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use nix::errno::Errno;
use toml_edit::Document;

use crate::platform::fs::{self, FsError};

use super::{
    ConfigError,
    edit::Edit,
    finding::{Finding, Position},
};

/// Longest file that is taken for a configuration, in bytes. Real ones are a hundredth of it.
const LIMIT: u64 = 1 << 20;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A TOML file, its text without byte-order mark and carriage returns.
pub struct Source {
    path: PathBuf,
    document: Document<String>,
    had_byte_order_mark: bool,
    /// Whether each line, but for the last, ended with a carriage return.
    line_ends: Vec<bool>,
}

impl Source {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, read(path)?)
    }

    /// `text` as what is in `path`.
    pub fn parse(path: &Path, text: String) -> Result<Self, ConfigError> {
        let (text, had_byte_order_mark) = match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => (rest.to_owned(), true),
            None => (text, false),
        };
        // Python reads with universal newlines, so a multi-line string has the same value here and there.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let line_ends = lines.map(|line| line.ends_with("\r\n")).collect();
        let text = if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text };
        match Document::parse(text.clone()) {
            Ok(document) => Ok(Self { path: path.to_owned(), document, had_byte_order_mark, line_ends }),
            Err(cause) => Err(ConfigError::syntax(path, &text, &cause)),
        }
    }

    /// `text` with the line ends that this file had, line for line, and its byte-order mark if that shall stay. A new
    /// line ends as the one before it.
    pub fn framed(&self, text: &str, keeps_mark: bool) -> String {
        let mark = if self.had_byte_order_mark && keeps_mark { "\u{feff}" } else { "" };
        let mut ends: BTreeMap<&str, VecDeque<bool>> = BTreeMap::new();
        for (line, end) in self.text().split('\n').zip(&self.line_ends) {
            ends.entry(line).or_default().push_back(*end);
        }
        let mut has_return = self.line_ends.first() == Some(&true);
        let mut framed = mark.to_owned();
        for line in text.split_inclusive('\n') {
            let Some(line) = line.strip_suffix('\n') else {
                framed.push_str(line);
                continue;
            };
            has_return = ends.get_mut(line).and_then(VecDeque::pop_front).unwrap_or(has_return);
            framed.extend([line, if has_return { "\r\n" } else { "\n" }]);
        }
        framed
    }

    /// Whether the file holds `text`, to the last byte.
    pub fn is(&self, text: &str) -> bool {
        self.framed(self.text(), true) == text
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn text(&self) -> &str {
        self.document.raw()
    }

    pub fn root(&self) -> &toml_edit::Table {
        self.document.as_table()
    }

    /// For findings: this file, and the place of `span` in it.
    pub fn at(&self, span: Option<Range<usize>>) -> (&Path, Position) {
        (&self.path, span.map_or(Position::START, |span| position(self.text(), span.start)))
    }

    /// The old parser takes the mark for a part of the first key; our copy has none.
    pub fn byte_order_mark(&self) -> Option<Finding> {
        let message =
            "the file starts with a byte-order mark, which the trainer takes for a part of the first key";
        self.had_byte_order_mark.then(|| {
            Finding::note("toml-no-bom", self.at(None), message)
                .fix("nothing: the copy that `dpgui train` makes has none")
                .edit(Edit::Readable { file: self.path.clone() })
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source: FsError| {
        let leads_nowhere =
            matches!(source.source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        let leads_round = source.source.raw_os_error() == Some(Errno::ELOOP as i32);
        match fs::link_target(path) {
            Some(target) if leads_nowhere || leads_round => {
                ConfigError::Dangling { path: path.to_owned(), target }
            }
            None if leads_nowhere => ConfigError::Missing { path: path.to_owned(), meant: None },
            _ => ConfigError::Fs(source),
        }
    };
    if fs::is_dir(path) {
        return Err(ConfigError::IsFolder { path: path.to_owned() });
    }
    let bytes = fs::size(path).map_err(failed)?;
    // A pipe would be waited for, and a device has no end.
    if !fs::is_file(path) {
        return Err(ConfigError::NotAFile { path: path.to_owned() });
    }
    if bytes > LIMIT {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes, limit: LIMIT });
    }
    let bytes = fs::read(path).map_err(failed)?;
    fs::text(bytes).map_err(|line| ConfigError::NotText { path: path.to_owned(), line })
}

pub(super) fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// The byte at which `at` is; `None` if the text is shorter.
pub(super) fn offset(text: &str, at: Position) -> Option<usize> {
    let line_start = match at.line.checked_sub(2) {
        Some(lines) => text.match_indices('\n').nth(lines)?.0 + 1,
        None => 0,
    };
    let rest = &text[line_start..];
    Some(line_start + rest.char_indices().nth(at.column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_end_and_a_new_one_ends_as_the_one_before_it() {
        let check = |before: &str, after: &str, expected: &str| {
            let source = Source::parse(Path::new("t"), before.to_owned()).expect("TOML");
            assert!(source.is(before));
            assert_eq!(source.framed(after, true), expected);
        };
        check(
            "a = 1\r\nb = 2\nc = 3\r\n",
            "a = 1\nb = 4\nc = 3\nd = 1\n",
            "a = 1\r\nb = 4\r\nc = 3\r\nd = 1\r\n",
        );
        check("a = 1\nb = 2\r\nc = 3", "a = 1\nb = 2\nc = 3", "a = 1\nb = 2\r\nc = 3");
        check("a = 1\n\n\r\nb = 2\n", "a = 1\n\n\nb = 2\n", "a = 1\n\n\r\nb = 2\n");
        check("\u{feff}a = 1", "a = 1", "\u{feff}a = 1");
        check("a = 1\r\n", "b = 1\na = 1\n", "b = 1\r\na = 1\r\n");
    }
}
