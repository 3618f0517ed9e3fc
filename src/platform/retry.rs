//! When the same thing is asked for again: the one schedule of downloads and clones.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use super::{net::NetError, patience::Patience};

/// Tries in all, the first included.
const TRIES: u32 = 5;

/// Where something has come already: the network is gone for a while, and comes back. With the usual pauses that is up to
/// a minute and a half.
const TRIES_ON_THE_WAY: u32 = 9;

/// Tries where nobody answers and there is another way to the same thing.
const TRIES_WITH_ANOTHER_WAY: u32 = 2;

/// Who asks for a longer pause is not asked again: the user knows better what to do meanwhile.
const TOO_LONG: Duration = Duration::from_mins(10);

/// The tries at one thing.
#[derive(Clone, Debug)]
pub struct Retries {
    failed: u32,
    tries: u32,
    another_way: bool,
    patience: Patience,
    random: Random,
}

impl Retries {
    /// With `another_way` to the same thing, a server that cannot be connected to is not waited for.
    pub fn new(another_way: bool, patience: Patience) -> Self {
        Self { failed: 0, tries: TRIES, another_way, patience, random: Random::new() }
    }

    /// The pause before the next try; `None` if that would not help, or was tried often enough.
    ///
    /// What the server asks for, else anything up to a limit that doubles each time ("full jitter"): many that were
    /// thrown out together must not come back together.
    pub fn after(&mut self, error: &NetError) -> Option<Duration> {
        self.failed += 1;
        let tries =
            if self.another_way && error.is_unconnected() { TRIES_WITH_ANOTHER_WAY } else { self.tries };
        if !error.may_pass() || self.failed >= tries {
            return None;
        }
        if let NetError::Status { retry_after: Some(asked), .. } = error {
            return (*asked <= TOO_LONG).then(|| (*asked).min(self.patience.longest_asked));
        }
        let limit = self.patience.first_pause.saturating_mul(1 << (self.failed - 1));
        Some(limit.min(self.patience.longest_pause).mul_f64(self.random.fraction()))
    }

    /// It moved forward: that may be cut off as often as it likes.
    pub const fn start_over(&mut self) {
        (self.failed, self.tries) = (0, TRIES_ON_THE_WAY);
    }
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): far more than a pause needs.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    /// Seeded by what the standard library seeds its hash tables with.
    fn new() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(high) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::platform::net::Http;

    /// The pauses until there is none, each with its limit if it is within that.
    fn pauses(another_way: bool, error: &NetError, limits: &[u64]) {
        for seed in 0..100 {
            let patience = Patience { longest_pause: Duration::from_millis(3500), ..Patience::default() };
            let mut retries = Retries { random: Random(seed), ..Retries::new(another_way, patience) };
            let pauses: Vec<_> = std::iter::from_fn(|| retries.after(error)).collect();
            assert_eq!(pauses.len(), limits.len(), "{pauses:?}");
            for (pause, limit) in pauses.iter().zip(limits) {
                assert!(*pause <= Duration::from_millis(*limit), "{pauses:?}");
            }
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_after_longer_and_longer_pauses() {
        let status = |status| NetError::Status { url: String::new(), status, retry_after: None };
        pauses(false, &status(StatusCode::BAD_GATEWAY), &[500, 1000, 2000, 3500]);
        pauses(true, &status(StatusCode::BAD_GATEWAY), &[500, 1000, 2000, 3500]);
        pauses(false, &status(StatusCode::NOT_FOUND), &[]);
    }

    #[test]
    fn a_server_that_says_when_to_come_back_is_obeyed_within_reason() {
        let check = |asked, expected: &[Duration]| {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let error = NetError::Status { url: String::new(), status, retry_after: Some(asked) };
            let mut retries = Retries::new(false, Patience::default());
            let pauses: Vec<_> = std::iter::from_fn(|| retries.after(&error)).collect();
            assert_eq!(pauses, expected);
        };
        check(Duration::from_secs(3), &[Duration::from_secs(3); 4]);
        check(Duration::from_mins(5), &[Duration::from_mins(2); 4]);
        check(Duration::from_hours(1), &[]);
    }

    #[test]
    fn pauses_are_anything_up_to_their_limit() {
        let mut random = Random(7);
        let mut fractions: Vec<f64> = std::iter::repeat_with(|| random.fraction()).take(1000).collect();
        fractions.sort_by(f64::total_cmp);
        assert!(fractions[0] < 0.01 && fractions[999] > 0.99 && (0.45..0.55).contains(&fractions[500]));
    }

    #[test]
    fn nobody_is_waited_for_who_does_not_answer_when_there_is_another_way() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        drop(listener);
        let refused = Http::new().and_then(|http| http.part(&url, 0, None)).expect_err("nobody listens");
        pauses(true, &refused, &[500]);
        pauses(false, &refused, &[500, 1000, 2000, 3500]);
    }
}
