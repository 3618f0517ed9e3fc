//! How long a server is waited for and how soon it is asked again: one set of limits, so that tests can be in a hurry.

use std::time::Duration;

use super::Env;

/// The limits of everything that dpgui fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest silence on a connection that is open.
    pub idle: Duration,
    /// A connection that brings fewer than `slowest` bytes a second over so long a time is given up.
    pub slow: Duration,
    /// Bytes a second.
    pub slowest: u64,
    /// Longest pause before the second try. It doubles with each further try, up to `longest_pause`.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// Longest pause that a server may ask for with `Retry-After`.
    pub longest_asked: Duration,
}

/// As the best of the installers that were measured have it (mise, uv, cargo-binstall).
impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            slow: Duration::from_mins(1),
            slowest: 1000,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            longest_asked: Duration::from_mins(2),
        }
    }
}

impl Patience {
    /// The usual one. In builds for tests `DPGUI_TEST_NO_RETRY_DELAY` leaves out the pauses.
    pub fn of(env: &Env) -> Self {
        if cfg!(debug_assertions) && env.get("DPGUI_TEST_NO_RETRY_DELAY").is_some() {
            let none = Duration::ZERO;
            return Self { first_pause: none, longest_pause: none, longest_asked: none, ..Self::default() };
        }
        Self::default()
    }
}
