//! A text in all of a log, found here, so that a page need not fetch what is not shown.

use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    logs::{StreamLog, search::Query},
    platform::limits::{self, Priority},
    run::RunId,
};

use super::{
    super::{
        App,
        failure::{Answer, Failure},
        runs::dir,
    },
    stream,
};

/// Bytes that one request looks at: less than a second, even where they are packed.
const MOST: u64 = 64 << 20;

/// Lines of one answer, and those that nobody has asked for otherwise.
const MOST_HITS: usize = 1000;
const USUAL_HITS: usize = 100;

/// Bytes of what is looked for.
const LONGEST: usize = 1000;

/// One look at a time: many tabs that search are not to take more than one core from a training.
static AT_ONCE: Mutex<()> = Mutex::new(());

/// What is looked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    #[schemars(with = "String")]
    id: RunId,
    /// A text, as it is: no pattern.
    q: String,
    /// `launcher` or `rankN`.
    #[serde(default)]
    stream: Option<String>,
    /// Large and small letters are the same.
    #[serde(default)]
    ignore_case: bool,
    /// Where to begin: `next` of the answer before.
    #[serde(default)]
    from: u64,
    /// How many lines are before that: `next_line` of the answer before.
    #[serde(default)]
    line: u64,
    /// Lines at most, up to 1000; 100 if nothing is said.
    limit: Option<usize>,
}

/// The lines with the text in them, as one sees them: without colours and the old states of progress bars.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FoundInLog {
    stream: String,
    hits: Vec<FoundLine>,
    /// There is more to look at: ask again with `from` = `next` and `line` = `next_line`.
    truncated: bool,
    next: u64,
    next_line: u64,
    /// Bytes of the log by now.
    size: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FoundLine {
    /// Of its first byte in the log.
    offset: u64,
    /// The first line that is kept of the log is 1.
    line: u64,
    /// Some 400 bytes around what was found, if it is longer.
    text: String,
}

/// Lines of a run's log with a text in them.
pub fn search(app: &App, asked: &Search) -> Answer<FoundInLog> {
    let usage = |text: String| Failure::http(StatusCode::BAD_REQUEST, "usage", text);
    let query = Some(&asked.q).filter(|it| !it.is_empty() && it.len() <= LONGEST);
    let query = query.and_then(|it| Query::new(it, asked.ignore_case));
    let query = query.ok_or_else(|| usage(format!("`q` is a text of 1 to {LONGEST} bytes")))?;
    let limit = asked.limit.unwrap_or(USUAL_HITS);
    if !(1..=MOST_HITS).contains(&limit) {
        return Err(usage(format!("`limit` is 1 to {MOST_HITS}")));
    }
    let query = Query { from: asked.from, line: asked.line, limit, most: MOST, ..query };
    let dir = dir(&app.workspace, &asked.id)?;
    let stream = stream(&dir, asked.stream.as_deref())?;
    let mut log = StreamLog::new(&stream.folder(&dir.log()));
    let _alone = AT_ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    // On a thread of its own, for whoever trains goes first.
    let found = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            limits::stand_back(Priority::AfterTraining);
            let found = query.search(&mut log)?;
            Ok::<_, Failure>((found, log.end()?))
        });
        looking.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
    });
    let (found, size) = found?;
    let line = |it: crate::logs::search::Hit| FoundLine { offset: it.offset, line: it.line, text: it.text };
    Ok(FoundInLog {
        stream: stream.to_string(),
        hits: found.hits.into_iter().map(line).collect(),
        truncated: found.is_cut,
        next: found.next,
        next_line: found.next_line,
        size,
    })
}
