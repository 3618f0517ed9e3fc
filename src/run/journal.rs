//! What the supervisor puts on disk about a run: every change of state in order, and the last state as a whole.

use std::{collections::BTreeMap, fs::File, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    diagnosis::{Diagnosis, Numbers},
    logs::Stream,
    platform::{
        cgroup::OomKills,
        clock::{self, Stopwatch},
        fs::{self, FsError},
        procfs::ProcessId,
        signal::{Exit, Force},
    },
};

use super::{
    dir::RunDir,
    gauge::Gauge,
    id::RunId,
    nodes::{AtHead, NodeState},
    outcome::{Concern, Manner, Outcome},
    reserve,
    restart::{Attempt, Refusal},
    sight::LastStep,
    spec,
    state::RunState,
    stuck::Stuck,
    watchdog::{Alarm, Since},
};

mod past;

pub use past::{Past, not_told, panics, restarts};

/// Between two snapshots that differ only in how far the training is.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// How far the lines of each stream have been read.
pub type Parsed = BTreeMap<Stream, u64>;

/// `state.json`: enough for a reader to show the run, and for a new supervisor to go on with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub version: u32,
    pub state: RunState,
    /// When that was so: for a run that ended unseen, when it was last seen.
    pub updated: Timestamp,
    pub last_step: Option<LastStep>,
    /// Bytes of each stream from whose lines the state was made.
    #[serde(default)]
    pub parsed: Parsed,
    #[serde(default)]
    pub gauge: Gauge,
    /// The program that was started; of several ranks the first.
    pub child: Option<ProcessId>,
    /// The ranks, if the supervisor started them itself.
    #[serde(default)]
    pub ranks: Vec<ProcessId>,
    /// The first supervisor, leader of the session that the run lives in.
    pub session: Option<ProcessId>,
    /// What is known of the other machines of the run, by their numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<u32, NodeState>,
    /// What their parts are called there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<u32, RunId>,
    /// Of a part of another machine's run: what that one has said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<AtHead>,
    #[serde(default)]
    pub attempt: Attempt,
    /// What is wrong now.
    #[serde(default)]
    pub alarm: Option<Alarm>,
    /// When it was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm_since: Option<Since>,
    /// Processes that were killed for lack of memory before the run began.
    #[serde(default)]
    pub oom_kills: Option<OomKills>,
    /// What of it was killed and does not end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<Stuck>,
    /// What was counted when the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// Why it was not tried again, though the user wishes for restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_restarted: Option<Refusal>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// A line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Record {
    Started {
        pid: i32,
    },
    Adopted,
    /// It was queued, and its turn has come.
    Turn,
    Phase {
        phase: &'static str,
    },
    StopRequested {
        manner: Manner,
    },
    /// dpgui ends it by itself.
    Concerned {
        concern: Concern,
    },
    SupervisorSignalled,
    /// Another machine of the run cannot go on, so nobody can.
    NodeFailed {
        host: String,
    },
    /// Somebody wants a checkpoint.
    SaveWanted,
    SaveRequested,
    /// The request could not be brought to the trainer.
    SaveFailed,
    /// The checkpoint that somebody wanted is written.
    Saved,
    Signalled {
        force: Force,
    },
    /// What was killed does not end.
    Stuck {
        processes: Vec<Stuck>,
    },
    Exited {
        exit: Exit,
    },
    /// The trainer's end was not the run's.
    AttemptEnded {
        outcome: Outcome,
    },
    /// It is not, though the user wishes for restarts.
    NotRestarted {
        why: Refusal,
    },
    /// Something is wrong with a run that goes on.
    Alarm {
        alarm: Alarm,
        message: String,
    },
    /// What was missed has come.
    Recovered,
    /// It is tried again after this time, from the checkpoint of this step.
    Restarting {
        number: u32,
        step: Option<u64>,
        after: Duration,
    },
    /// Somebody copied the run's folder while it was not over. It goes on where it was started.
    Copied {
        original: PathBuf,
    },
    /// Somebody deleted the run's folder while it ran. What of its log was in finished segments is lost.
    FolderRestored,
    /// An earlier supervisor ended by a bug of dpgui; the run did not notice.
    SupervisorPanicked {
        said: String,
    },
    Ended {
        outcome: Outcome,
    },
}

/// The one writer of both files. A full disk delays what it has to say: as long as [`Self::is_stale`], nobody who owns
/// one may leave.
#[derive(Debug)]
pub struct Journal {
    dir: RunDir,
    events: File,
    /// Lines that did not fit on the disk yet.
    pending: String,
    /// Lines in `events.jsonl` and in `pending`.
    seq: u64,
    /// The last snapshot on disk, and when it was written.
    saved: Option<(Snapshot, Stopwatch)>,
    /// The same of one that found no room there, and is in the run's reserve.
    put_aside: Option<(Snapshot, Stopwatch)>,
    /// When this first had an end to write.
    over_since: Option<Timestamp>,
    /// How the run ended, if a line of `events.jsonl` says so: there may have been room for it and not for a snapshot.
    outcome: Option<Outcome>,
}

#[derive(Serialize)]
struct Entry<'a, T> {
    seq: u64,
    time: Timestamp,
    #[serde(flatten)]
    record: &'a T,
}

impl Snapshot {
    pub fn new(session: Option<ProcessId>) -> Self {
        Self {
            version: spec::VERSION,
            state: RunState::Starting,
            updated: clock::now(),
            last_step: None,
            parsed: Parsed::new(),
            gauge: Gauge::default(),
            child: None,
            ranks: vec![],
            session,
            nodes: BTreeMap::new(),
            parts: BTreeMap::new(),
            head: None,
            attempt: Attempt::default(),
            alarm: None,
            alarm_since: None,
            oom_kills: Some(OomKills::sample()),
            stuck: vec![],
            numbers: None,
            not_restarted: None,
            diagnosis: None,
        }
    }
}

impl Snapshot {
    /// One word for people and scripts. A part does what the head says that all do.
    pub fn word(&self) -> &str {
        match (&self.state, &self.head) {
            (RunState::Running(_), Some(head)) => &head.doing,
            (state, _) => state.word(),
        }
    }

    /// The last one that is known of.
    pub fn step(&self) -> Option<u64> {
        self.last_step.map(|it| it.step).or_else(|| self.head.as_ref()?.step)
    }

    /// What is wrong with a run that goes on, as it is by now.
    pub fn alarm_now(&self) -> Option<Alarm> {
        let alarm = self.alarm.filter(|_| self.state.outcome().is_none())?;
        Some(self.alarm_since.map_or(alarm, |since| alarm.lasting(since, clock::now(), self.step())))
    }
}

impl Journal {
    pub fn open(dir: &RunDir) -> Result<Self, FsError> {
        let events = fs::open_append(&dir.events())?;
        // A snapshot may be older than the last line.
        let Past { seq, outcome, is_torn } = Past::read(&fs::read(&dir.events())?);
        let pending = if is_torn { "\n" } else { "" }.to_owned();
        // Without it a full disk keeps the state from those who read it, and nothing else.
        let _ = reserve::make(&dir.reserve());
        let put_aside = reserve::read(&dir.reserve()).map(|it| (it, Stopwatch::start()));
        Ok(Self { dir: dir.clone(), events, pending, seq, saved: None, put_aside, over_since: None, outcome })
    }

    /// The end of the run as an earlier supervisor recorded it.
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Puts on record how those before it have ended that said so, and were not on record yet.
    pub fn record_panics(&mut self) -> Result<(), FsError> {
        let known = panics(&fs::read(&self.dir.events())?).len();
        let log = fs::read_optional(&self.dir.supervisor_log())?.unwrap_or_default();
        for said in past::printed_panics(&log).into_iter().skip(known) {
            self.record(&Record::SupervisorPanicked { said });
        }
        Ok(())
    }

    pub fn record(&mut self, record: &impl Serialize) {
        self.seq += 1;
        let entry = Entry { seq: self.seq, time: clock::now(), record };
        // Our own types have string keys and no foreign serialisers, so this cannot fail.
        self.pending.push_str(&serde_json::to_string(&entry).unwrap_or_default());
        self.pending.push('\n');
        self.flush();
    }

    /// Brings the files up to date with `now`, as far as it is due.
    pub fn save(&mut self, now: &Snapshot) {
        self.flush();
        if is_due(self.saved.as_ref(), now) && self.is_stale(now) {
            self.write(now);
        }
    }

    /// Where they are by now, if somebody has moved them; `None` if they were deleted.
    pub fn place(&self) -> Option<PathBuf> {
        fs::place_of(&self.events)
    }

    /// Writes the events to their place once more, whatever became of their file.
    pub fn put_back(&self) -> Result<(), FsError> {
        fs::write_held(&self.events, &self.dir.events())
    }

    /// All is written: what was there for a full disk is not needed any more.
    pub fn close(self) {
        let _ = fs::remove_tree(&self.dir.reserve());
    }

    /// What is on disk is not the whole truth: call [`Self::save`] again.
    pub fn is_stale(&self, now: &Snapshot) -> bool {
        let saved = self.saved.as_ref().map(|(saved, _)| saved);
        !self.pending.is_empty()
            || saved.is_none_or(|it| {
                it.parsed != now.parsed
                    || it.state != now.state
                    || it.alarm != now.alarm
                    || it.ranks != now.ranks
                    || it.stuck != now.stuck
                    || it.nodes != now.nodes
                    || it.head != now.head
            })
    }

    fn write(&mut self, now: &Snapshot) {
        // A run that ended unseen ended when it was last seen, not when somebody looked.
        let unseen = matches!(now.state.outcome(), Some(Outcome::Lost | Outcome::Interrupted));
        let updated = match now.state.outcome() {
            Some(_) if unseen => now.updated,
            // Nor when a disk that was full had room for it.
            Some(_) => *self.over_since.get_or_insert_with(clock::now),
            None => clock::now(),
        };
        let now = Snapshot { updated, ..now.clone() };
        let text = serde_json::to_string_pretty(&now).unwrap_or_default();
        // A power cut is not to undo the end: nobody would find out again how it was.
        let written = if now.state.outcome().is_some() {
            self.events.sync_all().ok();
            fs::write_atomic(&self.dir.snapshot_file(), text)
        } else {
            fs::write_snapshot(&self.dir.snapshot_file(), text)
        };
        if written.is_ok() {
            if self.put_aside.take().is_some() {
                let _ = reserve::clear(&self.dir.reserve());
            }
            self.saved = Some((now, Stopwatch::start()));
        } else if is_due(self.put_aside.as_ref(), &now) && reserve::put(&self.dir.reserve(), &now).is_ok() {
            self.put_aside = Some((now, Stopwatch::start()));
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() && fs::append(&mut self.events, &self.dir.events(), &self.pending).is_ok()
        {
            self.pending.clear();
        }
    }
}

/// The last one that was written lacks something that cannot wait, or is some time ago.
fn is_due(last: Option<&(Snapshot, Stopwatch)>, now: &Snapshot) -> bool {
    last.is_none_or(|(last, since)| {
        last.state.stage() != now.state.stage()
            || last.alarm != now.alarm
            || last.ranks != now.ranks
            || last.stuck != now.stuck
            || last.nodes != now.nodes
            || last.head != now.head
            || since.elapsed() >= SNAPSHOT_EVERY
    })
}
