//! `dpgui watch`, and `dpgui train --watch`: a run on the whole terminal. Whoever leaves, leaves the run running.

mod draw;
mod prompt;

use std::{io, path::Path, process::ExitCode};

use crate::{
    error::Error,
    output::{
        Mode,
        screen::{Happening, Screen},
    },
    platform::fs,
    run::{
        Manner, Outcome, RunDir, list, save,
        scene::Look,
        stop,
        watch::{self, Show},
    },
};

use super::{Context, train};
use draw::View;
use prompt::{Answer, Prompt, Wish};

/// Watch a run: progress, loss, GPUs, memory, disk, the log; leaving does not end it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run: its id, the beginning of it, or its name [default: the one that is running, else the newest]
    run: Option<String>,
}

/// Why the view was left.
#[derive(Debug)]
pub(super) enum Left {
    /// The run has ended.
    Over(Outcome),
    /// Its reader wanted to.
    Detached,
    /// The program was told to end.
    Signalled(i32),
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    context.adopt_runs()?;
    let dir = match args.run.as_deref() {
        None => list::find_or_running(workspace, None).or_else(|_| list::find_or_newest(workspace, None))?,
        name => list::find_or_newest(workspace, name)?,
    };
    if list::is_live(&dir) && Screen::is_possible(output) {
        return show(context, &dir);
    }
    let outcome = watch::follow(host, &dir, output, Show::Status)?;
    train::ended(context, &dir, &outcome, watch::shows_log(output, Show::Status))
}

/// Shows the run until it ends or its reader leaves, and says on the terminal that is there then what became of it.
pub(super) fn show(context: &Context, dir: &RunDir) -> Result<ExitCode, Error> {
    match on_screen(context, dir)? {
        Left::Over(outcome) => train::ended(context, dir, &outcome, false),
        Left::Detached => {
            let id = dir.id();
            let more = format!("{id} trains on: `dpgui watch {id}` shows it, `dpgui stop {id}` ends it");
            context.output.status("Left", more);
            Ok(ExitCode::SUCCESS)
        }
        // As shells count it.
        Left::Signalled(signal) => Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(1))),
    }
}

fn on_screen(context: &Context, dir: &RunDir) -> Result<Left, Error> {
    let failed = |cause: io::Error| fs::context("draw on", Path::new("/dev/tty"))(cause);
    let colour = context.output.mode() == Mode::Terminal { colour: true };
    let mut look = Look::new(&context.host, dir)?;
    let mut screen = Screen::open(dir.path()).map_err(failed)?;
    let mut prompt = Prompt::default();
    let mut saving: Option<Saving> = None;
    loop {
        match screen.next() {
            Happening::Tick => {
                look.refresh()?;
                look.find_what_it_waits_for();
                saving = saving.and_then(|it| it.goes_on(&look, &mut prompt));
                prompt.age();
            }
            Happening::Resized => {}
            Happening::Ended(signal) => return Ok(Left::Signalled(signal)),
            Happening::Key(key) => match prompt.press(key) {
                Answer::Nothing => {}
                Answer::Leave => return Ok(Left::Detached),
                Answer::Do(Wish::Save) => match Saving::begin(context, dir, &look) {
                    Ok(begun) => {
                        prompt.say("a checkpoint is written after this step".to_owned());
                        saving = Some(begun);
                    }
                    Err(why) => prompt.say(why),
                },
                Answer::Do(Wish::Stop) => prompt.say(stop(context, dir, Manner::Graceful)),
                Answer::Do(Wish::StopNow) => prompt.say(stop(context, dir, Manner::Now)),
            },
        }
        if let Some(outcome) = &look.scene().outcome {
            return Ok(Left::Over(outcome.clone()));
        }
        let view = View { scene: look.scene(), prompt: &prompt, colour };
        screen.draw(|frame| view.draw(frame)).map_err(failed)?;
    }
}

/// A checkpoint that was asked for, until it is there.
struct Saving {
    /// The step of the newest one before.
    before: Option<u64>,
}

impl Saving {
    /// # Errors
    /// Why there will be none, in words.
    fn begin(context: &Context, dir: &RunDir, look: &Look) -> Result<Self, String> {
        let scene = look.scene();
        match (scene.stopping, scene.last) {
            (Some(_), _) => return Err("it is being stopped: nothing is saved beside that".to_owned()),
            (None, None) => return Err("it has done no step yet: there is nothing to save".to_owned()),
            (None, Some(_)) => {}
        }
        let before = look.newest_checkpoint();
        save::request(&context.host, dir).map_err(|cause| Error::from(cause).messages().join(": "))?;
        Ok(Self { before })
    }

    /// Says how far it is, unless something else is asked or said there; `None` when it is written.
    fn goes_on(self, look: &Look, prompt: &mut Prompt) -> Option<Self> {
        if let Some(stage) = look.scene().saving {
            prompt.say_on(format!("a checkpoint was asked for: {stage}"));
            return Some(self);
        }
        match look.newest_checkpoint().filter(|it| Some(*it) > self.before) {
            Some(step) => {
                prompt.say_on(format!("the checkpoint of step {step} is written; it trains on"));
                None
            }
            None => Some(self),
        }
    }
}

/// As the command does it.
fn stop(context: &Context, dir: &RunDir, manner: Manner) -> String {
    match stop::request(&context.host, dir, manner) {
        Ok(true) => "stopping; the view closes when no process of the run is left".to_owned(),
        Ok(false) => format!("{}; press the key again", stop::silence(dir)),
        Err(cause) => Error::from(cause).messages().join(": "),
    }
}
