//! A word to all that is under way together that it is to end: one of them has failed, so the others are for nothing.
//!
//! Programs are killed with all that they started, pauses end, and transfers look here between two reads. What they
//! leave behind is what a killed dpgui leaves behind, and as good.

use std::{
    collections::HashSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::process;

/// Shared by all its clones.
#[derive(Clone, Debug, Default)]
pub struct Halt(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_called: bool,
    programs: HashSet<i32>,
}

/// A program that is under way. Must be dropped before its end is waited for: after that its number is anybody's.
#[derive(Debug)]
pub struct UnderWay<'a> {
    halt: &'a Halt,
    pid: i32,
}

impl Halt {
    pub fn call(&self) {
        let mut state = self.state();
        state.is_called = true;
        self.0.called.notify_all();
        // With the state locked, so that none of them is waited for meanwhile.
        state.programs.iter().for_each(|it| process::kill_tree(*it));
    }

    pub fn is_called(&self) -> bool {
        self.state().is_called
    }

    /// Waits for so long, or until it is called. Whether it was.
    pub fn pause(&self, duration: Duration) -> bool {
        let wait = self.0.called.wait_timeout_while(self.state(), duration, |it| !it.is_called);
        wait.unwrap_or_else(PoisonError::into_inner).0.is_called
    }

    /// `pid` was started a moment ago and is ended with the others.
    pub fn program(&self, pid: u32) -> UnderWay<'_> {
        // Linux numbers are below 2^22.
        let pid = i32::try_from(pid).unwrap_or_default();
        let mut state = self.state();
        if state.is_called {
            process::kill_tree(pid);
        }
        state.programs.insert(pid);
        UnderWay { halt: self, pid }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.halt.state().programs.remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, thread};

    use super::*;
    use crate::platform::{Env, clock::Stopwatch, process::CommandSpec, procfs::ProcessId};

    /// Far less than what is broken off would take, far more than breaking it off takes.
    const AT_ONCE: Duration = Duration::from_secs(20);

    #[test]
    fn what_is_under_way_ends_with_all_that_it_started() {
        let env = Env::from([("PATH", "/usr/bin:/bin")]);
        let script = "sleep 600 & echo $!; wait";
        let command = CommandSpec::new("/bin/sh", &env, Path::new("/")).args(["-c", script]);
        let (halt, watch) = (Halt::default(), Stopwatch::start());
        let mut grandchild = 0;
        let status = command.stream(&halt, drop, &mut |line| {
            grandchild = line.parse().expect("a number");
            halt.call();
        });
        assert!(!status.expect("it started").success());
        while ProcessId::of(grandchild).is_some() {
            assert!(watch.elapsed() < AT_ONCE, "it lives on");
            thread::yield_now();
        }
        // What is started too late does not get far, and nobody pauses any more.
        let status = command.stream(&halt, drop, &mut |_| ());
        assert!(!status.expect("it started").success());
        assert!(halt.pause(Duration::from_mins(10)));
        assert!(watch.elapsed() < AT_ONCE);
    }

    #[test]
    fn a_pause_that_nobody_breaks_off_ends_by_itself() {
        assert!(!Halt::default().pause(Duration::from_millis(1)));
    }
}
