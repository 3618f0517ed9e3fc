//! A part of a run whose head is another machine: made, or found again, and watched for it as long as ssh lasts.

use std::{
    collections::BTreeMap,
    io::BufRead,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    error::{Error, Kind},
    logs::{Stream, StreamLog, store::Found},
    output::Output,
    platform::{Host, fifo, fs, lock::Lock, watch::Watch},
    workspace::Workspace,
};

use super::{
    super::{
        RunError, adopt,
        dir::RunDir,
        id::RunName,
        request::Request,
        start::{self, Site},
        stop,
        supervise::Command,
    },
    look,
    part::Origin,
    talk::{Frame, Invitation, PIECE, Versioned, Word},
};

/// Between two looks where no change of a file is told.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the head says arrives on a thread of its own.
#[derive(Debug, Default)]
struct Ears {
    /// It has asked whether somebody is there.
    was_asked: AtomicBool,
    /// It does not speak any more.
    is_deaf: AtomicBool,
}

/// What is said to the head, until it hangs up.
struct Mouth<'a> {
    output: &'a Output,
    has_gone: bool,
}

/// Answers the head, which speaks on `input`, until the part has ended or the connection has.
///
/// # Errors
/// None that the head is not told of: they are for who types this himself.
pub fn attend(
    site: Site<'_>,
    mut input: impl BufRead + Send + 'static,
    setup: impl FnOnce() -> Result<Lock, Error>,
) -> Result<(), Error> {
    let mut mouth = Mouth { output: site.output, has_gone: false };
    let mut line = String::new();
    let read = input.read_line(&mut line).is_ok();
    if let Err(error) = same_version(&line) {
        mouth.say(&Frame::Refused { reason: reason(&error) });
        return Ok(());
    }
    let invitation = match serde_json::from_str(&line) {
        Ok(Word::Join(invitation)) if read => invitation,
        Ok(Word::Look(look)) if read => {
            let (answer, _listening) = look::answer(site, &look);
            mouth.say(&Frame::Answer(Box::new(answer)));
            // The head tries to reach us until it hangs up.
            let _ = input.read_line(&mut line);
            return Ok(());
        }
        Ok(_) | Err(_) => {
            return Err(Error::new(Kind::Usage, "this is for the first machine of a run on several"));
        }
    };
    let dir = match joined(site, &invitation, setup) {
        Ok(Some(dir)) => dir,
        Ok(None) => {
            mouth.say(&Frame::Gone);
            return Ok(());
        }
        Err(error) => {
            mouth.say(&Frame::Refused { reason: reason(&error) });
            return Ok(());
        }
    };
    let ears = Arc::new(Ears::default());
    let (host, run, shared) = (site.host.clone(), dir.clone(), Arc::clone(&ears));
    thread::spawn(move || listen(&host, &run, input, &shared));
    mouth.say(&Frame::Begun { run: dir.id().clone() });
    Ok(report(site.host, &dir, &invitation.have, &ears, &mut mouth)?)
}

/// Of what another version says nothing else is certain.
fn same_version(line: &str) -> Result<(), Error> {
    let ours = env!("CARGO_PKG_VERSION");
    match serde_json::from_str::<Versioned>(line) {
        Ok(Versioned { dpgui }) if dpgui != ours => {
            let message = format!("dpgui {dpgui} there cannot work with dpgui {ours} here");
            Err(Error::new(Kind::Usage, message).with_hint("install the same version on all machines"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn reason(error: &Error) -> String {
    let mut reason = error.messages().join(": ");
    reason.extend(error.hint().map(|hint| format!("; {hint}")));
    reason
}

/// The part's run, which is started if there is none and there is to be one.
fn joined(
    site: Site<'_>,
    invitation: &Invitation,
    setup: impl FnOnce() -> Result<Lock, Error>,
) -> Result<Option<RunDir>, Error> {
    let Some(origin) = &invitation.part.of else {
        return Err(Error::new(Kind::Usage, "it is not said whose part it is to be"));
    };
    if let Some(dir) = find(site.workspace, origin)? {
        return Ok(Some(dir));
    }
    if !invitation.begin {
        return Ok(None);
    }
    let setup = setup()?;
    let staged = RunDir::new(site.workspace, origin.run.clone());
    let started = begin(site, invitation, &staged, &setup);
    // Its own copy is elsewhere. Where the workspace is one for all machines, this folder is the head's.
    if fs::is_missing(&staged.spec_file()) {
        fs::remove_tree(staged.path()).map_err(RunError::from)?;
    }
    Ok(Some(started?))
}

fn find(workspace: &Workspace, origin: &Origin) -> Result<Option<RunDir>, RunError> {
    let is_it = |dir: &RunDir| {
        dir.spec().is_ok_and(|spec| spec.part.is_some_and(|part| part.of.as_ref() == Some(origin)))
    };
    Ok(RunDir::all(workspace)?.into_iter().find(is_it))
}

/// The configuration lies where it does at the head, because it says so itself, until the run has its own.
fn begin(site: Site<'_>, invitation: &Invitation, staged: &RunDir, setup: &Lock) -> Result<RunDir, RunError> {
    let request = Request {
        config: invitation.unpack(&staged.config())?,
        name: Some(RunName::from_any(&invitation.name)),
        launcher: invitation.launcher,
        share: invitation.share,
        goes_before: false,
        args: invitation.args.clone(),
        part: Some(invitation.part.clone()),
        ..Request::default()
    };
    let mut host = site.host.clone();
    for (name, value) in &invitation.variables {
        host.env.set(name, value);
    }
    let started = start::start(Site { host: &host, ..site }, &request, setup)?;
    for warning in &started.warnings {
        site.output.warn(warning);
    }
    Ok(started.dir)
}

/// Does what the head says.
fn listen(host: &Host, dir: &RunDir, input: impl BufRead, ears: &Ears) {
    for line in input.lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Word::Beat { head }) => {
                ears.was_asked.store(true, Ordering::Relaxed);
                let beat = serde_json::to_string(&Command::Beat { head }).unwrap_or_default();
                // A supervisor that is being replaced hears the next one.
                let _ = fifo::send(&dir.control(), &beat);
            }
            Ok(Word::Stop { manner }) => {
                // The head asks again until it has ended.
                let _ = stop::demand(host, dir, manner);
            }
            Ok(Word::Join(_) | Word::Look(_)) | Err(_) => {}
        }
    }
    ears.is_deaf.store(true, Ordering::Relaxed);
}

/// Sends the log as it grows, and the end.
fn report(
    host: &Host,
    dir: &RunDir,
    have: &BTreeMap<Stream, u64>,
    ears: &Ears,
    mouth: &mut Mouth<'_>,
) -> Result<(), RunError> {
    let streams = dir.spec()?.streams();
    let mut logs: Vec<(Stream, StreamLog, u64)> = streams
        .into_iter()
        .map(|it| (it, StreamLog::new(&it.folder(&dir.log())), have.get(&it).copied().unwrap_or(0)))
        .collect();
    let folders = logs.iter().map(|(_, log, _)| log.folder().to_owned());
    let watch = Watch::over(folders.chain([dir.path().to_owned()]));
    while !mouth.has_gone && !ears.is_deaf.load(Ordering::Relaxed) {
        // Before the log: what was written before the end was written is all that there will be.
        let outcome = dir.snapshot()?.and_then(|it| it.state.outcome().cloned());
        let mut has_more = false;
        for (stream, log, at) in &mut logs {
            has_more |= mouth.pass_on(*stream, log, at)?;
        }
        if ears.was_asked.swap(false, Ordering::Relaxed) {
            mouth.say(&Frame::Alive);
        }
        if let Some(manner) = stop::passed_on(dir) {
            mouth.say(&Frame::Asked { manner });
        }
        match outcome {
            Some(outcome) if !has_more => {
                mouth.say(&Frame::Ended { outcome });
                return Ok(());
            }
            Some(_) => {}
            None => {
                adopt::adopt(host, dir)?;
                if !has_more {
                    watch.wait(LOOK_EVERY);
                }
            }
        }
    }
    Ok(())
}

impl Mouth<'_> {
    fn say(&mut self, frame: &Frame) {
        let mut line = serde_json::to_vec(frame).unwrap_or_default();
        line.push(b'\n');
        self.send(&line);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.has_gone |= !matches!(self.output.bytes(bytes), Ok(ControlFlow::Continue(())));
    }

    /// A piece of the log from `at` on. Whether there was one.
    fn pass_on(&mut self, stream: Stream, log: &mut StreamLog, at: &mut u64) -> Result<bool, RunError> {
        let mut bytes = vec![];
        match log.read(*at, PIECE, &mut bytes)? {
            Found::Nothing => Ok(false),
            Found::Trimmed { up_to } => {
                *at = up_to;
                Ok(true)
            }
            Found::Bytes => {
                self.say(&Frame::Log { stream, bytes: bytes.len() });
                self.send(&bytes);
                *at += bytes.len() as u64;
                Ok(true)
            }
        }
    }
}
