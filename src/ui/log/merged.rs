//! All that a run prints as one stream of lines, each named by who wrote it, in the order in which they came: what
//! `dpgui logs` shows. It is cut between lines only, and each piece says where in every log it ends, so that whoever comes
//! back with that misses no line and sees none twice.

use std::{collections::BTreeMap, fmt, str::FromStr};

use axum::{
    Extension,
    body::Bytes,
    extract::{RawPathParams, RawQuery, State, ws::Message},
    http::StatusCode,
    response::Response,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    logs::{Colours, Entry, Item, Reader, Stream, StreamLog, Style, streams, tail, view::View},
    platform::{
        fs,
        limits::{self, Priority},
    },
    run::{RunDir, RunId},
};

use super::{
    super::{
        App,
        failure::{Answer, Failure},
        routes::params,
        runs::dir,
        session::Pass,
        stream::Upgrade,
    },
    FRAME, Pieces, open, twice,
};

/// Pieces on their way: who takes them slowly has them read slowly.
const UNDER_WAY: usize = 4;

/// Lines of each log that one may begin with.
const MOST_LINES: usize = 100_000;

/// As on a terminal.
const STYLE: Style = Style { colours: Colours::Keep, for_people: true, timed: true };

/// Where to begin.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowAll {
    #[schemars(with = "String")]
    id: RunId,
    /// As the last piece or `start` said it: `launcher:0,rank0:1234`. What is beyond the end of a stream begins at its end.
    from: Option<String>,
    /// Instead of `from`: so many lines of each from the end.
    lines: Option<usize>,
}

/// What is said between the pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SaidOfAll {
    /// Where it begins; the streams are those that there are.
    Start { at: String },
    /// Bytes of one stream never reached the log.
    Lost { stream: String },
    /// What one stream had before is not kept any more.
    Trimmed { stream: String, to: u64, at: String },
    /// The run is over, and this was all.
    End {},
    /// It cannot be read on.
    Failed { message: String },
}

/// How far somebody is in each stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cursor(BTreeMap<Stream, u64>);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (stream, at)) in self.0.iter().enumerate() {
            write!(f, "{}{stream}:{at}", if number == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = BTreeMap::new();
        for part in text.split(',').filter(|it| !it.is_empty()) {
            let (name, at) = part.split_once(':').ok_or(())?;
            let (stream, at) = (name.parse().map_err(|_| ())?, at.parse().map_err(|_| ())?);
            if all.insert(stream, at).is_some() {
                return Err(());
            }
        }
        Ok(Self(all))
    }
}

/// The page has gone.
struct Gone;

/// Reads for one page.
struct Merging {
    dir: RunDir,
    at: Cursor,
    /// Lines that are on their way.
    lines: Vec<u8>,
    out: mpsc::Sender<Message>,
}

pub async fn follow(
    app: State<App>,
    path: RawPathParams,
    query: RawQuery,
    pass: Extension<Pass>,
    upgrade: Upgrade,
) -> Response {
    let asked = params::<FollowAll>(&path, &query).and_then(|asked| match (&asked.from, asked.lines) {
        (Some(_), Some(_)) => Err(twice("from", "lines")),
        _ => Ok(asked),
    });
    open(app, pass, upgrade, asked, |app, asked| begin(app, &asked)).await
}

impl Pieces for mpsc::Receiver<Message> {
    async fn next(&mut self) -> Option<Message> {
        self.recv().await
    }
}

fn begin(app: &App, asked: &FollowAll) -> Answer<mpsc::Receiver<Message>> {
    let dir = dir(&app.workspace, &asked.id)?;
    let at = Cursor::of(&dir, asked)?;
    let (out, pieces) = mpsc::channel(UNDER_WAY);
    let mut merging = Merging { dir, at, lines: vec![], out };
    std::thread::spawn(move || {
        // Whoever trains goes first.
        limits::stand_back(Priority::AfterTraining);
        // Only a page that has gone ends it early.
        let _ = merging.run();
    });
    Ok(pieces)
}

impl Cursor {
    /// Where in each stream of the run to begin. One that the page did not know yet begins at its beginning.
    fn of(dir: &RunDir, asked: &FollowAll) -> Answer<Self> {
        let text = asked.from.as_deref().unwrap_or_default();
        let given: Self = text.parse().map_err(|()| {
            let text = "`from` is where each stream is, like `launcher:0,rank0:1234`";
            Failure::http(StatusCode::BAD_REQUEST, "usage", text)
        })?;
        let mut all = streams(&dir.log())?;
        // Those that have printed nothing yet.
        all.extend(dir.spec()?.streams());
        let start = |stream: Stream| -> Answer<(Stream, u64)> {
            let mut log = StreamLog::new(&stream.folder(&dir.log()));
            let at = match (given.0.get(&stream), asked.lines) {
                (Some(at), _) => (*at).min(log.end()?),
                (None, Some(count)) if asked.from.is_none() => tail::lines(&mut log, count.min(MOST_LINES))?,
                (None, _) => log.start()?,
            };
            Ok((stream, at))
        };
        all.into_iter().map(start).collect::<Answer<_>>().map(Self)
    }
}

impl Merging {
    fn run(&mut self) -> Result<(), Gone> {
        self.say(&SaidOfAll::Start { at: self.at.to_string() })?;
        let starts: Vec<(Stream, u64)> = self.at.0.iter().map(|(stream, at)| (*stream, *at)).collect();
        let view = View::text(starts.len());
        let mut reader = Reader::new(&self.dir.log(), &starts, STYLE);
        let (dir, out) = (self.dir.clone(), self.out.clone());
        let is_deleted = || !fs::exists(&dir.spec_file());
        let ended = || {
            let is_over = || dir.snapshot().ok().flatten().is_some_and(|it| it.state.outcome().is_some());
            out.is_closed() || is_deleted() || is_over()
        };
        loop {
            let mut taken = Ok(());
            let found = reader.next(ended, |item| {
                if taken.is_ok() {
                    taken = self.take(view, item);
                }
            });
            taken?;
            self.flush()?;
            match found {
                Ok(true) => {}
                Ok(false) if is_deleted() => return self.fail("the run was deleted"),
                Ok(false) => break,
                Err(cause) => return self.fail(cause.to_string()),
            }
        }
        let mut taken = Ok(());
        reader.finish(|item| {
            if taken.is_ok() {
                taken = self.take(view, item);
            }
        });
        taken?;
        self.flush()?;
        self.say(&SaidOfAll::End {})
    }

    fn take(&mut self, view: View, item: Item<'_>) -> Result<(), Gone> {
        match item {
            Item::Line(entry) => {
                let Entry { stream, line, .. } = entry;
                view.append(&entry, &mut self.lines, |_| None);
                self.at.0.insert(stream, line.end);
                if self.lines.len() < FRAME { Ok(()) } else { self.flush() }
            }
            Item::Gap { stream, .. } => {
                self.flush()?;
                self.say(&SaidOfAll::Lost { stream: stream.to_string() })
            }
            Item::Trimmed { stream, up_to, .. } => {
                self.flush()?;
                self.at.0.insert(stream, up_to);
                self.say(&SaidOfAll::Trimmed {
                    stream: stream.to_string(),
                    to: up_to,
                    at: self.at.to_string(),
                })
            }
        }
    }

    /// The length of what says where it ends, little end first, then that, then the lines.
    fn flush(&mut self) -> Result<(), Gone> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let at = self.at.to_string();
        let length = u32::try_from(at.len()).unwrap_or(u32::MAX);
        let message = [&length.to_le_bytes(), at.as_bytes(), &self.lines].concat();
        self.lines.clear();
        self.put(Message::Binary(Bytes::from(message)))
    }

    fn fail(&self, message: impl Into<String>) -> Result<(), Gone> {
        self.say(&SaidOfAll::Failed { message: message.into() })
    }

    fn say(&self, said: &SaidOfAll) -> Result<(), Gone> {
        self.put(Message::Text(serde_json::to_string(said).unwrap_or_default().into()))
    }

    fn put(&self, message: Message) -> Result<(), Gone> {
        self.out.blocking_send(message).map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_and_understood() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text.parse::<Cursor>().ok().map(|it| it.to_string()).as_deref(), expected, "{text}");
        };
        check("", Some(""));
        check("rank1:5,launcher:0,node2:7,rank10:1", Some("launcher:0,rank1:5,rank10:1,node2:7"));
        for wrong in ["rank0", "rank0:", "rank0:-1", "x:1", "rank0:1,rank0:2", "rank0:1;rank1:2", ":"] {
            check(wrong, None);
        }
    }
}
