//! When the same thing is asked for again: the one schedule of downloads and clones.

use std::time::Duration;

use super::net::NetError;

/// Tries in all, the first included.
const TRIES: u32 = 4;

/// Tries where nobody answers and there is another way to the same thing.
const TRIES_WITH_ANOTHER_WAY: u32 = 2;

/// The pause before the second try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause that a server may ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// The tries at one thing.
#[derive(Clone, Debug)]
pub struct Retries {
    failed: u32,
    another_way: bool,
}

impl Retries {
    /// With `another_way` to the same thing, a server that cannot be connected to is not waited for.
    pub const fn new(another_way: bool) -> Self {
        Self { failed: 0, another_way }
    }

    /// The pause before the next try; `None` if that would not help, or was tried often enough.
    pub fn after(&mut self, error: &NetError) -> Option<Duration> {
        self.failed += 1;
        let tries = if self.another_way && error.is_unconnected() { TRIES_WITH_ANOTHER_WAY } else { TRIES };
        if !error.may_pass() || self.failed >= tries {
            return None;
        }
        let asked_for = match error {
            NetError::Status { retry_after, .. } => retry_after.map(|it| it.min(LONGEST_PAUSE)),
            _ => None,
        };
        Some(asked_for.unwrap_or(FIRST_PAUSE * 2_u32.pow(self.failed - 1)))
    }

    /// It moved forward: that may be cut off as often as it likes.
    pub const fn start_over(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::platform::net::Http;

    fn pauses(another_way: bool, error: &NetError) -> Vec<u128> {
        let mut retries = Retries::new(another_way);
        std::iter::from_fn(|| retries.after(error)).map(|it| it.as_millis()).collect()
    }

    #[test]
    fn what_may_pass_is_tried_again_after_longer_and_longer_pauses() {
        let status = |status, retry_after| NetError::Status { url: String::new(), status, retry_after };
        let busy = StatusCode::BAD_GATEWAY;
        assert_eq!(pauses(false, &status(busy, None)), [500, 1000, 2000]);
        assert_eq!(pauses(true, &status(busy, None)), [500, 1000, 2000]);
        assert_eq!(pauses(false, &status(busy, Some(Duration::from_secs(3)))), [3000; 3]);
        assert_eq!(pauses(false, &status(busy, Some(Duration::from_hours(1)))), [120_000; 3]);
        assert_eq!(pauses(false, &status(StatusCode::NOT_FOUND, None)), []);
    }

    #[test]
    fn nobody_is_waited_for_who_does_not_answer_when_there_is_another_way() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        drop(listener);
        let refused = Http::new().and_then(|http| http.get(&url, 0)).expect_err("nobody listens");
        assert_eq!(pauses(true, &refused), [500]);
        assert_eq!(pauses(false, &refused), [500, 1000, 2000]);
    }
}
