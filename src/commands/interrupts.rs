//! What Ctrl-C means while a run is watched: the first asks it to stop, the next insist.

use std::sync::{Arc, Mutex};

use crate::{
    error::{Error, Kind},
    platform::signal,
    run::{Manner, RunDir, stop},
};

use super::Context;

pub(super) struct Interrupts {
    context: Context,
    pressed: Arc<Mutex<Pressed>>,
}

#[derive(Default)]
struct Pressed {
    count: u32,
    /// What to stop, once it is there.
    dir: Option<RunDir>,
}

impl Interrupts {
    /// From now on Ctrl-C does not end this program.
    pub(super) fn catch(context: &Context) -> Result<Self, Error> {
        let pressed = Arc::new(Mutex::new(Pressed::default()));
        let (seen, with) = (Arc::clone(&pressed), context.clone());
        let on_interrupt = move |count| {
            let Ok(mut pressed) = seen.lock() else { return };
            pressed.count = count;
            pressed.stop(&with);
        };
        catch(on_interrupt)?;
        Ok(Self { context: context.clone(), pressed })
    }

    /// This is the run to stop, at once if Ctrl-C was pressed already.
    pub(super) fn stop(&self, dir: &RunDir) {
        let Ok(mut pressed) = self.pressed.lock() else { return };
        pressed.dir = Some(dir.clone());
        pressed.stop(&self.context);
    }
}

/// From now on Ctrl-C calls this, with how often it was pressed, and does nothing else.
pub(super) fn catch(on_interrupt: impl FnMut(u32) + Send + 'static) -> Result<(), Error> {
    signal::catch_interrupts(on_interrupt)
        .map_err(|cause| Error::new(Kind::Bug, format!("cannot wait for Ctrl-C: {cause}")))
}

impl Pressed {
    fn stop(&self, Context { host, output, .. }: &Context) {
        let Some(dir) = &self.dir else { return };
        let snapshot = dir.snapshot().ok().flatten();
        let has_trained = snapshot.is_some_and(|it| it.state.has_trained());
        let (manner, text) = match self.count {
            0 => return,
            1 if !has_trained => {
                (Manner::Graceful, "the run, which has nothing to save yet; Ctrl-C again insists")
            }
            1 => (Manner::Graceful, "the run, which may save first; Ctrl-C again insists"),
            _ => (Manner::Now, "the run at once"),
        };
        output.status("Stopping", text);
        match stop::request(host, dir, manner) {
            Ok(true) => {}
            Ok(false) => output.warn(format_args!("{}; Ctrl-C asks again", stop::silence(dir))),
            Err(cause) => output.error(&cause.into()),
        }
    }
}
