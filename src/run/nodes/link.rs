//! What keeps the head in touch with a part of its run: a process for each other machine, which has ssh start the part and
//! brings its log and its end home. The connection may break and is made anew; the part may be silent for so long and is
//! lost.
//!
//! It goes by what is on disk and needs nobody to tell it anything: its supervisor may be replaced meanwhile.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Write},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use crate::{
    logs::{Stream, StreamLog},
    output::size,
    platform::{
        Host,
        clock::{self, Stopwatch},
        fifo, fs,
        lock::{Lock, LockError, Wait},
        process::{Apart, CommandSpec},
        procfs::ProcessId,
        watch::Watch,
    },
};

use super::{
    super::{
        RunError,
        dir::RunDir,
        journal::{Parsed, Snapshot},
        outcome::Manner,
        request::Request,
        spec::{RESUME, Spec},
        state::{Degree, RunState},
        stop::ASK_EVERY,
        supervise::Command,
    },
    part::{AtHead, Ended, NodeState, Origin, Part},
    ssh,
    talk::{self, Frame, Invitation, Word},
};

/// Between two signs of life.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Between a connection that broke and the next one.
const PAUSE: Duration = Duration::from_secs(1);

/// Longer than a look at the run's state can be off.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A part whose ranks save and leave with the others, before it is told to.
const TO_LEAVE: Duration = Duration::from_secs(30);

/// The longest reason that is worth telling, in characters.
const LONGEST_REASON: usize = 800;

/// Starts the process that keeps in touch with this machine.
pub(in crate::run) fn spawn(host: &Host, dir: &RunDir, number: u32) -> Result<Option<ProcessId>, RunError> {
    let log = fs::open_append(&dir.supervisor_log())?;
    let number = number.to_string();
    let words = ["__link".as_ref(), dir.path().as_os_str(), number.as_ref()];
    let command = CommandSpec::new(&host.program, &host.env, dir.path()).args(words);
    let child = command.spawn(Apart::Session, &[], fs::open_null()?, log)?;
    Ok(ProcessId::of(child.id().cast_signed()))
}

/// One machine, and what has come from it so far.
struct Link<'a> {
    host: &'a Host,
    dir: &'a RunDir,
    spec: Spec,
    part: Part,
    number: u32,
    /// By the names of the streams there.
    pipes: BTreeMap<Stream, Pipe>,
    watch: Watch,
    /// When it was last heard of.
    heard: Mutex<Stopwatch>,
    /// Since when the ranks of the head are gone.
    leaving: Option<Stopwatch>,
}

struct Pipe {
    /// Into the head's log.
    file: File,
    /// Bytes of the stream that went through it, at any time.
    passed: u64,
}

/// Keeps in touch until the part has ended and the head's supervisor knows it.
///
/// # Errors
/// When the run's files cannot be read.
pub fn keep_in_touch(host: &Host, dir: &RunDir, number: u32) -> Result<(), RunError> {
    let _alone = match Lock::exclusive(&dir.link_lock(number), "dpgui link", Wait::No) {
        Err(LockError::Held { .. }) => return Ok(()),
        alone => alone?,
    };
    let (mut spec, mut from) = (dir.spec()?, Parsed::new());
    let Some(part) = spec.part.clone() else { return Ok(()) };
    if let Some(Snapshot { nodes, attempt, .. }) = dir.snapshot()? {
        if nodes.get(&number).is_some_and(|it| it.ended().is_some()) {
            return Ok(());
        }
        spec = spec.for_attempt(&attempt);
        from = attempt.log_from;
    }
    let pipes = pipes(dir, (&spec, &from), &part, number)?;
    let watch = Watch::new(dir.path());
    let heard = Mutex::new(Stopwatch::start());
    let mut link = Link { host, dir, spec, part, number, pipes, watch, heard, leaving: None };
    let ended = link.until_its_end();
    drop(link.pipes);
    tell(dir, number, &NodeState::Ended(ended), &link.watch)
}

/// The pipes into the log, and how much of each stream is there already: what another process like us left in a pipe
/// counts when it has reached the disk. What came before this attempt, `from`, came from other parts.
fn pipes(
    dir: &RunDir,
    (spec, from): (&Spec, &Parsed),
    part: &Part,
    number: u32,
) -> Result<BTreeMap<Stream, Pipe>, RunError> {
    let mut pipes = BTreeMap::new();
    for (here, there) in part.streams_of(number, spec.launcher) {
        let file = fifo::open_for_writers(&dir.pipe(here))?;
        while fifo::waiting(&file).map_err(RunError::Supervisor)? > 0 {
            clock::pause(PAUSE);
        }
        let end = StreamLog::new(&here.folder(&dir.log())).end()?;
        let passed = end.saturating_sub(from.get(&here).copied().unwrap_or(0));
        pipes.insert(there, Pipe { file, passed });
    }
    Ok(pipes)
}

/// Tells the supervisor until what it wrote shows that it was heard, or the run is over.
fn tell(dir: &RunDir, number: u32, state: &NodeState, watch: &Watch) -> Result<(), RunError> {
    let command = Command::Node { node: number, state: state.clone() };
    let message = serde_json::to_string(&command).unwrap_or_default();
    let mut asked: Option<Stopwatch> = None;
    loop {
        let Some(snapshot) = dir.snapshot()? else { return Ok(()) };
        if snapshot.nodes.get(&number) == Some(state) || snapshot.state.outcome().is_some() {
            return Ok(());
        }
        if asked.is_none_or(|it| it.elapsed() >= ASK_EVERY) {
            fifo::send(&dir.control(), &message)?;
            asked = Some(Stopwatch::start());
        }
        watch.wait(LOOK_EVERY);
    }
}

impl Link<'_> {
    fn until_its_end(&mut self) -> Ended {
        loop {
            let reason = match self.connect() {
                Ok(Ok(ended)) => return ended,
                Ok(Err(reason)) => reason,
                Err(cause) => cause.to_string(),
            };
            if self.silence() > self.part.patience {
                return Ended::Lost { reason };
            }
            // Nothing there to wait for: it has not begun, and will not any more.
            if self.is_new() && self.wish().is_some() {
                return Ended::Lost { reason };
            }
            clock::pause(PAUSE);
        }
    }

    /// One connection: how the part ended, or why the connection did.
    fn connect(&mut self) -> Result<Result<Ended, String>, RunError> {
        let node = &self.part.node(self.number).host;
        let command = ssh::dpgui(self.host, &self.dir.workspace(), node, &["__node"]);
        let (conversation, from) = command.converse()?;
        let invitation = self.invitation()?;
        let pipes = Mutex::new(std::mem::take(&mut self.pipes));
        let mut silent = false;
        let ended = thread::scope(|scope| {
            let hears = scope.spawn(|| hear(self.dir, self.number, from, &pipes, &self.heard));
            let mut to = &conversation;
            let mut say = |word: &Word| {
                let line = serde_json::to_string(word).unwrap_or_default();
                // That nobody reads it any more is told by the other direction.
                let _ = writeln!(to, "{line}");
            };
            say(&Word::Join(Box::new(invitation)));
            let (mut beat, mut said, mut told) = (Stopwatch::start(), None, None);
            while !hears.is_finished() {
                if let Some(head) = at_head(self.dir)
                    && (beat.elapsed() >= BEAT_EVERY || head.is_news_to(said.as_ref()))
                {
                    say(&Word::Beat { head: head.clone() });
                    (beat, said) = (Stopwatch::start(), Some(head));
                }
                let wish = wish(self.dir, &mut self.leaving);
                if wish != told
                    && let Some(manner) = wish
                {
                    say(&Word::Stop { manner });
                    told = wish;
                }
                if silence(&self.heard) > self.part.patience {
                    silent = true;
                    conversation.break_off();
                }
                self.watch.wait(LOOK_EVERY);
            }
            hears.join().unwrap_or(Ok(None))
        });
        self.pipes = pipes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let said = conversation.end();
        Ok(match ended {
            Ok(Some(ended)) => Ok(ended),
            // How ssh ended then is our own doing.
            Ok(None) if silent => Err(format!("it said nothing for {}", size::duration(self.part.patience))),
            Ok(None) => Err(shortened(&said)),
            Err(cause) => Err(cause.to_string()),
        })
    }

    fn invitation(&self) -> Result<Invitation, RunError> {
        let Self { dir, spec, .. } = self;
        let origin = Origin { run: dir.id().clone(), port: spec.master_port };
        let part = Part { of: Some(origin), own: self.number, ..self.part.clone() };
        let mut args = spec.passed_on.clone();
        args.extend(spec.resumes.iter().flat_map(|folder| [RESUME.to_owned(), folder.clone()]));
        let launcher = spec.launcher;
        let request = Request { launcher, args, share: spec.claim.is_shared(), ..Request::default() };
        Ok(Invitation {
            begin: self.is_new() && wish(self.dir, &mut None).is_none(),
            name: format!("{}-node{}", dir.id().name(), self.number),
            have: self.pipes.iter().map(|(stream, pipe)| (*stream, pipe.passed)).collect(),
            ..Invitation::new((&dir.config(), &spec.config), &self.host.env, &part, &request)?
        })
    }

    /// Nothing is known of it yet.
    fn is_new(&self) -> bool {
        let snapshot = self.dir.snapshot().ok().flatten();
        snapshot.is_none_or(|it| !it.nodes.contains_key(&self.number))
    }

    fn wish(&mut self) -> Option<Manner> {
        wish(self.dir, &mut self.leaving)
    }

    fn silence(&self) -> Duration {
        silence(&self.heard)
    }
}

/// How the part is to end, as the state of the whole run has it.
fn wish(dir: &RunDir, leaving: &mut Option<Stopwatch>) -> Option<Manner> {
    let Ok(Some(snapshot)) = dir.snapshot() else {
        // A folder that is gone has nobody who could wait for anything. One without a state begins.
        return fs::is_missing(&dir.spec_file()).then_some(Manner::Now);
    };
    match snapshot.state {
        RunState::Queued | RunState::Starting | RunState::Running(_) => None,
        RunState::Waiting(_) | RunState::Ended(_) => Some(Manner::Now),
        RunState::Stopping(stopping) => match stopping.degree {
            Degree::Save => None,
            Degree::Interrupt | Degree::GivenUp | Degree::Culled => Some(Manner::NoSave),
            // Those there leave by themselves, unless something went wrong here.
            Degree::Linger => {
                let since = leaving.get_or_insert_with(Stopwatch::start);
                let in_order = stopping.evidence.proof.is_some() && since.elapsed() < TO_LEAVE;
                (!in_order).then_some(Manner::NoSave)
            }
            Degree::Terminate | Degree::Kill => Some(Manner::Now),
        },
    }
}

/// None where there is no run any more that anything could be said of.
fn at_head(dir: &RunDir) -> Option<AtHead> {
    dir.snapshot().ok().flatten().map(|it| AtHead::of(&it))
}

fn silence(heard: &Mutex<Stopwatch>) -> Duration {
    heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
}

/// Takes what the part says, until its end or that of the connection.
fn hear(
    dir: &RunDir,
    number: u32,
    from: impl Read,
    pipes: &Mutex<BTreeMap<Stream, Pipe>>,
    heard: &Mutex<Stopwatch>,
) -> io::Result<Option<Ended>> {
    let (mut from, mut bytes) = (BufReader::new(from), vec![]);
    while let Some(frame) = talk::next(&mut from, &mut bytes)? {
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = Stopwatch::start();
        match frame {
            Frame::Alive | Frame::Answer(_) => {}
            Frame::Begun { run } => {
                let command = Command::Node { node: number, state: NodeState::Begun { run } };
                let message = serde_json::to_string(&command).unwrap_or_default();
                fifo::send(&dir.control(), &message).map_err(io::Error::other)?;
            }
            Frame::Asked { manner } => {
                let message = serde_json::to_string(&Command::Stop { manner }).unwrap_or_default();
                fifo::send(&dir.control(), &message).map_err(io::Error::other)?;
            }
            Frame::Log { stream, .. } => {
                let mut pipes = pipes.lock().unwrap_or_else(PoisonError::into_inner);
                // One that the head has no pipe for is none of this run's.
                if let Some(pipe) = pipes.get_mut(&stream) {
                    pipe.file.write_all(&bytes)?;
                    pipe.passed += bytes.len() as u64;
                }
            }
            Frame::Ended { outcome } => return Ok(Some(Ended::Over(outcome))),
            Frame::Refused { reason } => {
                let outcome = super::super::Outcome::NotStarted { reason: shortened(&reason) };
                return Ok(Some(Ended::Over(outcome)));
            }
            Frame::Gone => {
                return Ok(Some(Ended::Lost { reason: "its run is not there any more".to_owned() }));
            }
        }
    }
    Ok(None)
}

/// A message to the supervisor has to fit into one piece of a pipe.
fn shortened(text: &str) -> String {
    let text = text.trim();
    let from = text.chars().count().saturating_sub(LONGEST_REASON);
    text.chars().skip(from).collect()
}
