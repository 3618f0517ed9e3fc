//! Waking up at a time, once: the runtime's own timers wake a process that sleeps for a second at least twice.
//!
//! Those sort what is far away only roughly, and wake up in between to sort it again.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::{io::unix::AsyncFd, time::Instant};

/// A timer of the kernel.
pub struct Tick {
    timer: AsyncFd<OwnedFd>,
    set_to: Option<Instant>,
}

impl Tick {
    /// Needs the runtime that will wait for it.
    ///
    /// # Errors
    /// When the process has no more handles.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "what it warns of are handles that close by themselves; an `OwnedFd` does not"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer, set_to: None })
    }

    /// Waits until `at`. Dropped before that and called with the same time, it goes on waiting.
    pub async fn until(&mut self, at: Instant) {
        if self.set_to != Some(at) {
            // Nothing is no time, for the kernel: it would never come.
            let left = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec::try_from(left).unwrap_or_default(),
            };
            // A timer that exists can be set to any time that there is.
            let _ = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once);
            self.set_to = Some(at);
        }
        loop {
            let Ok(mut ready) = self.timer.readable().await else { return };
            // Setting it takes back that it was ready.
            if Instant::now() >= at {
                let _ = rustix::io::read(self.timer.get_ref(), &mut [0; 8]);
                ready.clear_ready();
                self.set_to = None;
                return;
            }
            ready.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_at_its_time_also_when_it_was_set_anew_or_is_late() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut tick = Tick::new().expect("a timer");
            let start = Instant::now();
            let (soon, late) = (start + Duration::from_millis(30), start + Duration::from_mins(1));
            for at in [late, soon] {
                tokio::select! {
                    () = tick.until(at) => break,
                    () = tokio::time::sleep(Duration::from_millis(5)) => {}
                }
            }
            tick.until(soon).await;
            assert!((soon..late).contains(&Instant::now()));
            // What has been.
            tick.until(start).await;
            tick.until(Instant::now() + Duration::from_millis(5)).await;
            assert!(start.elapsed() >= Duration::from_millis(35));
        });
    }
}
