//! The supervisor of one run: waits for everything that can happen to it, tells the machine, does what it says.
//!
//! It is a process of its own that no terminal reaches, and everything it knows is on disk. Killed, it is replaced
//! at once (see [`super::keeper`]) or by the next `dpgui` command (see [`super::adopt`]): the trainer does not notice.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::unix::pipe,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::platform::{
    Host,
    clock::{self, Stopwatch},
    fifo, fs,
    lock::{Lock, LockError, Wait},
    procfs::{self, ProcessId},
    signal::{self as signals, Exit},
    tick::Tick,
};

use super::{
    RunError,
    capture::Streams,
    dir::RunDir,
    gauge::Meter,
    journal::{Journal, Record, Snapshot},
    processes::{Marks, names_of_pipe},
    ranks::Ranks,
    spec::Spec,
    start,
    state::{Action, Event, RunState},
    strangers::Stranger,
    watchdog::Watchdog,
};

mod afar;
mod again;
mod alarm;
mod anew;
mod child;
mod command;
mod output;
mod turn;

pub use command::Command;

use afar::{NodeNote, Others};
use alarm::Pulse;
use anew::Remembered;

/// Between two looks at what sends no event: processes that are not our children, a snapshot that is not due yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The same when the end is near and somebody waits for it.
const LOOK_SOON: Duration = Duration::from_millis(20);

/// Why a supervisor is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// A new run.
    Start,
    /// A run whose supervisor is gone, with or without its trainer.
    Adopt,
}

/// Records of the supervisor's own, beside those of the machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Note {
    /// Somebody deleted the run's folder, and it cannot be made anew: no command can find the run any more.
    FolderGone { why: String },
    /// It waits for its turn.
    Queued,
    /// Others compute where the run is about to.
    Strangers { strangers: Vec<Stranger> },
    /// News of another machine.
    Node(NodeNote),
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is independent of the others; what depends is in the state"
)]
struct Supervisor {
    dir: RunDir,
    spec: Spec,
    host: Host,
    marks: Marks,
    /// None while it reads what was written when nobody looked.
    clock: Option<Stopwatch>,
    now: Snapshot,
    journal: Journal,
    streams: Streams,
    meter: Meter,
    /// Lines of the log wait to be read.
    is_behind: bool,
    /// Those that we started, if we did.
    ranks: Ranks,
    /// Since the first SIGKILL.
    killing: Option<Stopwatch>,
    /// When nobody was left, if the end waits for room on the disk or for news of a shutdown.
    nobody_left: Option<Stopwatch>,
    /// How often in a row the folder was missing when it was looked for.
    folder_missed: u32,
    /// It is, and cannot be made anew.
    folder_gone: bool,
    remembered: Remembered,
    begin: Begin,
    /// The program that was started is our child: its end will be told.
    is_parent: bool,
    /// We have seen it alive: it did not end unseen, at once with whoever looked after it before.
    saw_it_alive: bool,
    deadline: Option<Instant>,
    save_request: Option<Instant>,
    /// What is installed stays as it is while we hold this.
    using: Option<Lock>,
    /// So is what it computes on. None as long as processes of the run have it, and while it waits for its turn.
    leases: Option<Vec<Lock>>,
    watchdog: Watchdog,
    pulse: Pulse,
    others: Others,
}

/// Looks after the run until nothing of it is left.
///
/// # Errors
/// When the folder is damaged, or somebody supervises the run already.
pub fn supervise(dir: &RunDir, host: &Host, begin: Begin) -> Result<(), RunError> {
    signals::become_supervisor().map_err(RunError::Supervisor)?;
    let _alive = match Lock::exclusive(&dir.lock(), "dpgui supervisor", Wait::No) {
        // Several commands saw that it was missing, and another one's is faster: all is well.
        Err(LockError::Held { .. }) if begin == Begin::Adopt => return Ok(()),
        alive => alive?,
    };
    let using = start::share_setup(dir, begin)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(RunError::Supervisor)?;
    runtime.block_on(async { Supervisor::open(dir, host, begin)?.run(using).await })
}

impl Supervisor {
    fn open(dir: &RunDir, host: &Host, begin: Begin) -> Result<Self, RunError> {
        let mut journal = Journal::open(dir)?;
        let mut now = match begin {
            Begin::Start => Snapshot::new(ProcessId::own()),
            Begin::Adopt => dir.snapshot()?.unwrap_or_else(|| Snapshot::new(None)),
        };
        if let Some(outcome) = journal.outcome() {
            now.state = RunState::Ended(outcome.clone());
        } else if let RunState::Ended(outcome) = &now.state {
            // Whoever knew that died while there was no room for it.
            journal.record(&Record::Ended { outcome: outcome.clone() });
        }
        let spec = dir.spec()?.for_attempt(&now.attempt);
        let mut marks = Marks {
            cookie: spec.cookie.clone(),
            session: now.session,
            outputs: spec.streams().into_iter().flat_map(|it| names_of_pipe(dir, it)).collect(),
            known: BTreeSet::new(),
            helpers: BTreeSet::new(),
        };
        if begin == Begin::Adopt {
            anew::mend_pipes(dir, &spec, &mut marks)?;
        }
        Ok(Self {
            dir: dir.clone(),
            host: host.clone(),
            streams: Streams::open(dir, &spec, &now.parsed)?,
            marks,
            clock: (begin == Begin::Start).then(Stopwatch::start),
            meter: Meter::open(dir, begin, &mut journal),
            journal,
            watchdog: Watchdog::new(spec.watchdog, spec.resumes_step),
            ranks: Ranks::new(&now.ranks),
            now,
            spec,
            is_behind: false,
            killing: None,
            nobody_left: None,
            folder_missed: 0,
            folder_gone: false,
            remembered: Remembered::of(dir),
            begin,
            is_parent: false,
            saw_it_alive: false,
            deadline: None,
            save_request: None,
            using: None,
            leases: None,
            pulse: Pulse::default(),
            others: Others::default(),
        })
    }

    async fn run(mut self, using: Option<Lock>) -> Result<(), RunError> {
        // Before the trainer is there, so that its end cannot be missed.
        let mut children = signal(SignalKind::child()).map_err(RunError::Supervisor)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Supervisor)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Supervisor)?;
        let control = fifo::open_for_messages(&self.dir.control())?;
        let control = pipe::Receiver::from_file(control).map_err(RunError::Supervisor)?;
        let mut commands = BufReader::new(control).lines();
        self.using = using;
        match self.begin {
            Begin::Start => {
                self.begin()?;
                self.stay_in_touch();
            }
            Begin::Adopt => self.adopt()?,
        }
        self.journal.save(&self.now);
        self.have_a_keeper();
        // Whoever started us waits for this: the first state is on disk.
        signals::replace_stdout(&fs::open_null()?).map_err(RunError::Supervisor)?;

        let mut tick = Tick::new().map_err(RunError::Supervisor)?;
        let mut look = Instant::now() + LOOK_SOON;
        while !self.is_over() || self.is_unwritten() {
            if self.is_near_end() {
                look = look.min(Instant::now() + LOOK_SOON);
            }
            let (deadline, save_request, is_behind) = (self.deadline, self.save_request, self.is_behind);
            tokio::select! {
                _ = children.recv() => self.reap(),
                ready = self.streams.ready(), if !self.is_output_closed() => {
                    self.take_output(|streams, on_line| streams.take(ready?, on_line))?;
                }
                () = std::future::ready(()), if is_behind => self.read_on(),
                () = self.streams.packed() => {}
                command = commands.next_line() => self.obey(command.ok().flatten().as_deref()),
                _ = terminate.recv() => if self.is_at_rest() { break } else { self.tell(Event::Signalled) },
                _ = interrupt.recv() => self.tell(Event::Signalled),
                () = at(deadline) => {
                    self.deadline = None;
                    self.deadline_passed();
                }
                () = at(save_request) => self.request_save(),
                () = tick.until(look) => {
                    self.look();
                    look = Instant::now() + if self.is_near_end() { LOOK_SOON } else { LOOK_EVERY };
                }
            }
            // What little room there is belongs to the state: without it nobody knows how the run goes.
            self.journal.save(&self.now);
            for note in self.streams.disk_news() {
                self.journal.record(&note);
            }
            self.streams.keep_house(&mut |note| self.journal.record(note));
        }
        self.give_way();
        self.streams.finish(&mut |note| self.journal.record(note));
        self.journal.save(&self.now);
        if self.is_over() {
            self.journal.close();
        }
        Ok(())
    }

    /// What has to be looked for because no event will come.
    fn look(&mut self) {
        // Of one that is queued nothing is there to be looked at.
        if self.now.state != RunState::Queued && !self.has_exit() {
            if !self.is_parent && self.child_is_gone() {
                let exit = if self.has_rebooted() { Exit::Reboot } else { Exit::Unknown };
                self.tell(Event::ChildExited(exit));
            } else {
                self.now.updated = clock::now();
                self.saw_it_alive = true;
            }
        }
        self.look_for_folder();
        self.stay_in_touch();
        let is_over = self.is_near_end() && self.marks.find().is_empty();
        if is_over && !self.waits_for_room() && !self.may_go_down() && !self.waits_for_word() {
            self.now.stuck.clear();
            if !self.journal.is_stale(&self.now) {
                // There is room for all but the log.
                self.give_up();
            }
            self.part_is_done();
            self.diagnose();
            let again = self.again();
            self.tell(Event::NobodyLeft(again));
        }
        self.watch();
        self.ask_for_turn();
    }

    /// All that is missing is that nobody is left.
    fn is_near_end(&self) -> bool {
        self.has_exit() && self.is_output_closed()
    }

    /// Nothing of it runs, and its supervisor may go.
    fn is_at_rest(&self) -> bool {
        self.is_over() || self.now.state == RunState::Queued
    }

    fn deadline_passed(&mut self) {
        let is_next_try = matches!(self.now.state, RunState::Waiting(_));
        if is_next_try && !self.has_leases() {
            // Somebody was faster; it goes on where that one ends.
            self.deadline = Some(Instant::now() + LOOK_EVERY);
        } else if self.waits_for_others() {
            self.deadline = Some(Instant::now() + LOOK_EVERY);
        } else if self.nobody_left.is_none() {
            // Whoever only waits for room on the disk has nobody to end.
            self.tell(Event::DeadlinePassed);
        }
    }

    fn has_rebooted(&self) -> bool {
        procfs::boot_id() != self.spec.boot_id
    }

    fn has_exit(&self) -> bool {
        self.now.state.evidence().is_some_and(|it| it.exit.is_some())
    }

    fn is_over(&self) -> bool {
        self.now.state.outcome().is_some()
    }

    fn is_output_closed(&self) -> bool {
        // Between two tries nobody has it open.
        self.now.state.evidence().is_none_or(|it| it.output_closed)
    }

    /// Tells the machine what happened and does what it answers.
    fn tell(&mut self, event: Event) {
        let state = std::mem::replace(&mut self.now.state, RunState::Starting);
        let (state, actions) = state.on(event, self.clock.map(Stopwatch::elapsed));
        self.now.state = state;
        for action in actions {
            match action {
                Action::Record(record) => self.announce(&record),
                Action::Arm(after) => self.deadline = Some(Instant::now() + after),
                Action::RequestSave { after } => self.save_request = Some(Instant::now() + after),
                Action::Begin => self.begin_queued(),
                Action::StartAgain(again) => self.start_again(again),
                Action::KillRanks => {
                    self.journal.save(&self.now);
                    self.marks.kill_ranks();
                }
                Action::Signal(force) => {
                    // Why it ends is on disk before it ends: a successor must not take it for a failure.
                    self.journal.save(&self.now);
                    self.marks.signal(force);
                    self.look_for_stuck(force);
                }
            }
        }
    }
}

/// Waits for `deadline`, or for ever if there is none.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
