//! One TOML file as the user wrote it: parsed, with the place of everything in it.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

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
    had_carriage_returns: bool,
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
        let had_carriage_returns = text.contains("\r\n");
        let text = if had_carriage_returns { text.replace("\r\n", "\n") } else { text };
        match Document::parse(text.clone()) {
            Ok(document) => {
                Ok(Self { path: path.to_owned(), document, had_byte_order_mark, had_carriage_returns })
            }
            Err(cause) => Err(ConfigError::syntax(path, &text, &cause)),
        }
    }

    /// `text` with the line ends that this file had, and its byte-order mark if that shall stay.
    pub fn framed(&self, text: &str, keeps_mark: bool) -> String {
        let mark = if self.had_byte_order_mark && keeps_mark { "\u{feff}" } else { "" };
        let text = if self.had_carriage_returns { text.replace('\n', "\r\n") } else { text.to_owned() };
        format!("{mark}{text}")
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
    let failed = |source: FsError| match source.source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ConfigError::Missing { path: path.to_owned() }
        }
        _ => ConfigError::Fs(source),
    };
    if fs::is_dir(path) {
        return Err(ConfigError::IsFolder { path: path.to_owned() });
    }
    let bytes = fs::size(path).map_err(failed)?;
    if bytes > LIMIT {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
    }
    let bytes = fs::read(path).map_err(failed)?;
    String::from_utf8(bytes).map_err(|cause| {
        let good = &cause.as_bytes()[..cause.utf8_error().valid_up_to()];
        ConfigError::NotText { path: path.to_owned(), line: good.split(|byte| *byte == b'\n').count() }
    })
}

pub(super) fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}
