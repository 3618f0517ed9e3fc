//! What a job says, read while it comes. A line of a file that a parser has quoted is for the terminal alone.

use std::{
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::platform::fs;

use super::super::failure::{Answer, Failure, without_snippets};

/// Reads the events of a job while they come.
#[derive(Debug)]
pub struct Events {
    file: PathBuf,
    at: u64,
}

impl Events {
    pub(super) fn of(folder: &Path) -> Self {
        Self { file: folder.join("events.jsonl"), at: 0 }
    }

    /// Without the first `count`.
    pub fn after(mut self, count: usize) -> Answer<Self> {
        let file = fs::open(&self.file)?;
        let mut reader = BufReader::new(file);
        let mut line = vec![];
        for _ in 0..count {
            line.clear();
            let failed = fs::context("read", &self.file);
            self.at += reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
        }
        Ok(self)
    }

    /// Those that are new, at most `limit`. A line that is not whole yet waits for the next time.
    pub fn next(&mut self, limit: usize) -> Answer<Vec<Value>> {
        let mut file = fs::open(&self.file)?;
        let failed = |cause| Failure::from(fs::context("read", &self.file)(cause));
        file.seek(SeekFrom::Start(self.at)).map_err(failed)?;
        let mut reader = BufReader::new(file);
        let (mut found, mut line) = (vec![], vec![]);
        while found.len() < limit {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            self.at += count as u64;
            let mut event = serde_json::from_slice(&line).unwrap_or_else(|_| {
                serde_json::json!({ "event": "text", "text": String::from_utf8_lossy(line.trim_ascii_end()) })
            });
            // Most have nothing of the kind, and there may be many.
            if line.contains(&b'|') {
                unquote(&mut event);
            }
            found.push(event);
        }
        Ok(found)
    }
}

fn unquote(it: &mut Value) {
    match it {
        Value::String(text) if text.contains('\n') => *text = without_snippets(text),
        Value::Array(all) => all.iter_mut().for_each(unquote),
        Value::Object(all) => all.values_mut().for_each(unquote),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_a_file_that_a_parser_quotes_is_not_told() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let found = "`dpgui.toml` is no TOML\nTOML parse error at line 1\n  |\n1 | key = s3cret\n  |       ^\nno text";
        let said = [
            json!({ "event": "check", "found": found, "more": [{ "text": "a | b" }] }),
            json!({ "event": "end", "text": "one\ntwo" }),
        ];
        let lines = said.each_ref().map(Value::to_string).join("\n") + "\n";
        fs::write_atomic(&dir.path().join("events.jsonl"), lines + "{\"event\":").expect("written");
        let expected = [
            json!({
                "event": "check",
                "found": "`dpgui.toml` is no TOML\nTOML parse error at line 1\nno text",
                "more": [{ "text": "a | b" }],
            }),
            said[1].clone(),
        ];
        assert_eq!(Events::of(dir.path()).next(10).expect("read"), expected);
    }
}
