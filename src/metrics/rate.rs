//! The line about the learning rate, which DeepSpeed logs just before that of the step.

use serde::{Deserialize, Serialize};

/// `[Rank 0] step=12, skipped=0, lr=[2e-05, 2e-05], mom=[(0.9, 0.99)]`; with gradient release `lr=2e-05`.
///
/// Source: DeepSpeed 0.18.4 `runtime/engine.py:2904`, diffusion-pipe's `train.py:707`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    pub step: u64,
    /// Of the first group of weights.
    pub lr: f64,
}

impl Rate {
    pub fn parse(line: &str) -> Option<Self> {
        let at = memchr::memmem::find(line.as_bytes(), b"step=")?;
        let (step, rest) = line[at + "step=".len()..].split_once(", skipped=")?;
        let (skipped, rest) = rest.split_once(", lr=")?;
        skipped.parse::<u64>().ok()?;
        let rest = rest.strip_prefix('[').unwrap_or(rest);
        let (lr, _) = rest.split_once([',', ']'])?;
        let lr: f64 = lr.trim().parse().ok()?;
        Some(Self { step: step.parse().ok()?, lr }).filter(|it| it.lr.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_first_group() {
        let check = |line: &str, expected: Option<(u64, f64)>| {
            assert_eq!(Rate::parse(line).map(|it| (it.step, it.lr)), expected, "{line}");
        };
        let logged = "[2026-11-27 09:40:12,404] [INFO] [logging.py:123:log_dist] [Rank 0] step=8, skipped=0, \
                      lr=[0.0036000000000000003], mom=[(0.9, 0.99)]";
        check(logged, Some((8, 0.003_600_000_000_000_000_3)));
        check(
            "[Rank 0] step=1, skipped=12, lr=[2e-05, 1e-05], mom=[(0.9, 0.99), (0.9, 0.99)]",
            Some((1, 2e-5)),
        );
        check("[Rank 0] step=3, skipped=0, lr=5e-06, mom=(0.9, 0.99)", Some((3, 5e-6)));
        check("[Rank 0] step=3, skipped=0, lr=[], mom=[]", None);
        check("[Rank 0] step=3, skipped=0, lr=[nan], mom=[0.9]", None);
        check("[Rank 0] step=3, skipped=0, lr=[2e-0", None);
        check("steps_per_print=3, skipped=0, lr=[1.0]", None);
        check("", None);
    }
}
