//! DeepSpeed's hostfile: a machine a line, with how many of its GPUs are used.
//!
//! ```text
//! # comment
//! node1 slots=4
//! node2 slots=4
//! ```

use std::path::{Path, PathBuf};

use crate::{
    error::{Kind, Report},
    platform::fs::{self, FsError},
};

use super::part::Node;

/// More in one machine is a slip: the largest that are built have 16.
const MOST_SLOTS: u32 = 128;

const FORM: &str = "write `HOST slots=NUMBER`, one machine a line, this one first";

/// The machines of a run, in the order of their ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostfile(Vec<Node>);

#[derive(Debug, thiserror::Error)]
pub enum HostfileError {
    #[error("`{}`, line {line}: {what}", path.display())]
    Line { path: PathBuf, line: usize, what: String, hint: &'static str },
    #[error("there is no file `{}`", path.display())]
    Missing { path: PathBuf },
    #[error("`{}` names no machine", path.display())]
    Empty { path: PathBuf },
    #[error("`{}` names one machine only", path.display())]
    Single { path: PathBuf },
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Hostfile {
    pub fn load(path: &Path) -> Result<Self, HostfileError> {
        let text =
            fs::read_optional(path)?.ok_or_else(|| HostfileError::Missing { path: path.to_owned() })?;
        Self::parse(path, &text)
    }

    /// As DeepSpeed reads it (`launcher/runner.py`, `_parse_hostfile`), but that it takes no notice of what follows the
    /// number, which it would not obey either.
    ///
    /// # Errors
    /// What is wrong with the file at `path`, whose text this is.
    pub fn parse(path: &Path, text: &str) -> Result<Self, HostfileError> {
        let mut nodes: Vec<Node> = vec![];
        for (at, line) in text.lines().enumerate() {
            let wrong = |what, hint| HostfileError::Line { path: path.to_owned(), line: at + 1, what, hint };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let node = node(line).map_err(|(what, hint)| wrong(what, hint))?;
            if nodes.iter().any(|it| it.host == node.host) {
                return Err(wrong(
                    format!("`{}` is there twice", node.host),
                    "name each machine once, with all its slots",
                ));
            }
            nodes.push(node);
        }
        match nodes.len() {
            0 => Err(HostfileError::Empty { path: path.to_owned() }),
            1 => Err(HostfileError::Single { path: path.to_owned() }),
            _ => Ok(Self(nodes)),
        }
    }

    pub fn nodes(&self) -> &[Node] {
        &self.0
    }

    pub fn into_nodes(self) -> Vec<Node> {
        self.0
    }

    /// For DeepSpeed.
    pub fn text(nodes: &[Node]) -> String {
        let lines: Vec<String> = nodes.iter().map(|it| format!("{} slots={}\n", it.host, it.slots)).collect();
        lines.concat()
    }
}

fn node(line: &str) -> Result<Node, (String, &'static str)> {
    const FORM: &str = "write `HOST slots=NUMBER`, one machine a line";
    let mut words = line.split_whitespace();
    let host = words.next().unwrap_or_default();
    // ssh would take it for an option.
    if host.starts_with('-') {
        return Err((format!("`{host}` is no name of a machine"), FORM));
    }
    let Some(slots) = words.next().and_then(|word| word.strip_prefix("slots=")) else {
        return Err((format!("`{host}` has no `slots=NUMBER` behind it"), FORM));
    };
    if let Some(more) = words.next() {
        return Err((format!("`{more}` means nothing to DeepSpeed"), "leave it out"));
    }
    match slots.parse() {
        Ok(slots) if (1..=MOST_SLOTS).contains(&slots) => Ok(Node { host: host.to_owned(), slots }),
        Ok(_) | Err(_) => Err((
            format!("`slots={slots}` is no number of GPUs"),
            "say how many GPUs of the machine to use; leave out a machine of which none is",
        )),
    }
}

impl Report for HostfileError {
    fn kind(&self) -> Kind {
        match self {
            Self::Line { .. } | Self::Empty { .. } | Self::Single { .. } | Self::Missing { .. } => {
                Kind::Usage
            }
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Line { hint, .. } => Some((*hint).to_owned()),
            Self::Empty { .. } | Self::Missing { .. } => Some(FORM.to_owned()),
            Self::Single { .. } => {
                Some("leave out `--hostfile`: `--gpus` chooses among the GPUs of one machine".to_owned())
            }
            Self::Fs(cause) => cause.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostfile_is_read_as_deepspeed_reads_it_and_what_is_wrong_has_its_line() {
        let check = |text: &str, expected: &str| {
            let said = match Hostfile::parse(Path::new("hosts"), text) {
                Ok(read) => Hostfile::text(read.nodes()),
                Err(error) => error.to_string(),
            };
            assert_eq!(said, expected, "{text}");
        };
        check(
            "# two\n\n  node1   slots=4\nuser@10.0.0.2\tslots=2\n",
            "node1 slots=4\nuser@10.0.0.2 slots=2\n",
        );
        check("node1 slots=4\r\nnode2 slots=04\r\n", "node1 slots=4\nnode2 slots=4\n");
        check("node1 slots=4\nnode1 slots=4\n", "`hosts`, line 2: `node1` is there twice");
        check("node1\n", "`hosts`, line 1: `node1` has no `slots=NUMBER` behind it");
        check("node1 slot=1\n", "`hosts`, line 1: `node1` has no `slots=NUMBER` behind it");
        check("node1 slots=two", "`hosts`, line 1: `slots=two` is no number of GPUs");
        check("node1 slots=0", "`hosts`, line 1: `slots=0` is no number of GPUs");
        check("node1 slots=4000000000", "`hosts`, line 1: `slots=4000000000` is no number of GPUs");
        check("node1 slots=4 max_slots=8", "`hosts`, line 1: `max_slots=8` means nothing to DeepSpeed");
        check("-oProxyCommand=x slots=1", "`hosts`, line 1: `-oProxyCommand=x` is no name of a machine");
        check("# none\n", "`hosts` names no machine");
        check("node1 slots=1\n", "`hosts` names one machine only");
    }
}
