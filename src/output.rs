//! The one way out: data to stdout, talk to stderr, and with `--json` every event as one line on stdout.
//!
//! Commands and the domain say *what* happened, as values that implement [`Event`]; this module alone decides how
//! it looks: bars on a terminal, a line per change elsewhere, JSON for scripts.

pub mod chart;
pub mod html;
pub mod live;
pub mod overall;
pub mod plain;
pub mod progress;
pub mod redact;
pub mod screen;
pub mod size;
pub mod table;
pub mod tone;
pub mod waiting;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    path::Path,
    sync::{Arc, OnceLock},
};

use console::{Style, Term};
use indicatif::MultiProgress;
use serde::Serialize;

use crate::{
    error::Error,
    platform::{
        fs::{self, FsError},
        watch,
    },
};

pub use live::Live;
pub use overall::Overall;
pub use progress::Progress;
pub use waiting::Waiting;

/// How messages call where data goes.
const STDOUT: &str = "/dev/stdout";

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// stderr is a terminal: bars, and colours unless the user wants none.
    Terminal { colour: bool },
    /// stderr is a file, a pipe or a CI log: plain lines.
    Plain,
    /// A script reads stdout: one JSON object per line.
    Json,
}

/// Something that happened, with a form for people and one for programs.
pub trait Event: Serialize {
    /// `None` when it is of no interest to a person.
    fn line(&self) -> Option<Line>;
}

/// `   Installed node 22.12.0`: a verb that catches the eye and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub verb: &'static str,
    pub text: String,
}

/// A handle to the terminal. Cheap to clone, so that steps which run side by side can talk.
#[derive(Clone, Debug)]
pub struct Output {
    mode: Mode,
    bars: Arc<MultiProgress>,
    sum: overall::Sum,
    /// Why a part of the data did not arrive.
    lost: Arc<OnceLock<io::Error>>,
}

impl Output {
    pub fn new(mode: Mode) -> Self {
        let bars = MultiProgress::new();
        if !matches!(mode, Mode::Terminal { .. }) {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Self { mode, bars: Arc::new(bars), sum: overall::Sum::default(), lost: Arc::default() }
    }

    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// A result the user asked for: stdout, as it is.
    pub fn data(&self, text: impl Display) {
        let colours = self.has_colours();
        if let Err(cause) = self.bars.suspend(|| write_line(&mut io::stdout(), &text, colours)) {
            // A reader that went away (`| head`) is no error of ours: what it does not want is dropped.
            if cause.kind() != io::ErrorKind::BrokenPipe {
                let _ = self.lost.set(cause);
            }
        }
    }

    /// That all data arrived, for whoever is about to say that all went well.
    ///
    /// # Errors
    /// When a file took only a part: half a result must not look like a whole one.
    pub fn arrived(&self) -> Result<(), FsError> {
        match self.lost.get() {
            None => Ok(()),
            Some(cause) => {
                let cause =
                    cause.raw_os_error().map_or_else(|| cause.kind().into(), io::Error::from_raw_os_error);
                Err(fs::context("write to", Path::new(STDOUT))(cause))
            }
        }
    }

    /// A result for programs: one JSON object on one line of stdout.
    pub fn json(&self, value: &impl Serialize) {
        // Our own types have string keys, and paths that may be no text go through [`lossy`], so this cannot fail.
        self.data(serde_json::to_string(value).unwrap_or_default());
    }

    /// A result that people get as a text, and scripts as an object.
    pub fn result(&self, value: &impl Serialize, text: impl Display) {
        if self.mode == Mode::Json {
            return self.json(value);
        }
        self.data(text);
    }

    /// A part of a long result, as it is. `Break` when nobody reads it any more (`| head`), which is no error.
    ///
    /// # Errors
    /// When it is a file that cannot be written: half a result must not look like a whole one.
    pub fn bytes(&self, bytes: &[u8]) -> Result<ControlFlow<()>, FsError> {
        let mut stdout = io::stdout().lock();
        match self.bars.suspend(|| stdout.write_all(bytes).and_then(|()| stdout.flush())) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
            Err(cause) => Err(fs::context("write to", Path::new(STDOUT))(cause)),
        }
    }

    /// stdout goes to eyes: colours and lines that change are welcome.
    pub fn shows_data_on_terminal(&self) -> bool {
        matches!(self.mode, Mode::Terminal { .. }) && io::stdout().is_terminal()
    }

    /// Columns of the terminal that stdout is, `None` if it is none.
    pub fn columns(&self) -> Option<usize> {
        self.shows_data_on_terminal().then(|| usize::from(Term::stdout().size().1))
    }

    /// Nobody reads stdout any more, found out without writing to it.
    pub fn reader_has_gone(&self) -> bool {
        watch::reader_has_gone(io::stdout())
    }

    pub fn event(&self, event: &impl Event) {
        if self.mode == Mode::Json {
            return self.json(event);
        }
        if let Some(line) = event.line() {
            self.status(line.verb, line.text);
        }
    }

    /// Whoever reads it wants everything, and no summary.
    pub fn is_for_scripts(&self) -> bool {
        self.mode == Mode::Json
    }

    /// A line of talk that is no event of its own; scripts do not get it.
    pub fn status(&self, verb: &str, text: impl Display) {
        if self.mode != Mode::Json {
            let style = self.style().green();
            self.talk(format_args!("{} {text}", style.apply_to(format_args!("{verb:>12}"))));
        }
    }

    /// Something the user should know but that stops nothing.
    pub fn warn(&self, text: impl Display) {
        if self.mode == Mode::Json {
            return self.json(&serde_json::json!({ "event": "warning", "message": text.to_string() }));
        }
        let style = self.style().yellow();
        self.talk(format_args!("{} {text}", style.apply_to("warning:")));
    }

    /// Text for people, line by line, without a verb.
    pub fn note(&self, text: impl Display) {
        if self.mode != Mode::Json {
            self.talk(text);
        }
    }

    /// The error that ends the command. Scripts get it as the last object.
    pub fn error(&self, error: &Error) {
        if self.mode == Mode::Json {
            self.json(&serde_json::json!({
                "event": "error",
                "kind": error.kind(),
                "exit_code": error.kind().exit_code(),
                "messages": error.messages(),
                "hint": error.hint(),
            }));
        }
        let text = error.to_string();
        let style = self.style().red();
        let rest = text.strip_prefix("error:").unwrap_or(&text);
        self.talk(format_args!("{}{rest}", style.apply_to("error:")));
    }

    /// Asks a person, who has to say yes. Where there is none to ask, the answer is no.
    pub fn confirm(&self, question: impl Display) -> bool {
        if !matches!(self.mode, Mode::Terminal { .. }) || !io::stdin().is_terminal() {
            return false;
        }
        let mut answer = String::new();
        let read = self.bars.suspend(|| {
            let mut stderr = io::stderr();
            write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush())?;
            io::stdin().read_line(&mut answer)
        });
        read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
    }

    /// A bar (or its plain equivalent) for the thing `label`, until it is dropped.
    pub fn progress(&self, label: &str) -> Progress {
        Progress::new(self.clone(), label)
    }

    /// One line over all bars for what their transfers are together, until it is dropped; the bytes that are known
    /// before by their labels.
    pub fn overall(&self, expected: impl IntoIterator<Item = (String, u64)>) -> Overall {
        Overall::new(self.clone(), expected)
    }

    /// A line that changes in place, until it is dropped.
    pub fn live(&self) -> Live {
        Live::new(self.clone())
    }

    fn style(&self) -> Style {
        Style::new().bold().force_styling(self.has_colours())
    }

    fn has_colours(&self) -> bool {
        self.mode == Mode::Terminal { colour: true }
    }

    fn talk(&self, text: impl Display) {
        // Nobody is left to be told that nobody can be told.
        let colours = self.has_colours();
        let _ = self.bars.suspend(|| write_line(&mut io::stderr(), &text, colours));
    }
}

fn write_line(stream: &mut dyn Write, text: &dyn Display, colours: bool) -> io::Result<()> {
    let text = text.to_string();
    writeln!(stream, "{}", plain::lines(&text, colours)).and_then(|()| stream.flush())
}

/// A path in JSON, for `serialize_with`: names on Linux are bytes, and one that is no text must not end the output.
///
/// # Errors
/// What the serializer says.
pub fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
