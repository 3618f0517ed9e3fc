//! Time: when it is, how long a thing took, and the few real pauses.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The wall clock, in UTC.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Started now; asks how long ago that was.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Waits because there is nothing to wait *for*: between tries, or until a process is gone that sends no event.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
