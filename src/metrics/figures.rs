//! What follows from the steps so far: where the loss is going, how long a step takes, how long it will be yet.

use std::time::Duration;

use super::Record;

/// Weight of what came before in the smoothed loss: TensorBoard's slider at 0.95 shows the same curve.
pub const SMOOTHING: f64 = 0.95;

/// Steps whose median says how long one takes: enough to forget a save, few enough to follow a change.
const RECENT: usize = 50;

/// The exponential moving average of a loss, each value as it was after that step.
///
/// The mean of the values so far, where one that is `n` steps old weighs `0.95^n`: TensorBoard's formula, which corrects
/// the bias towards 0 at the start. A loss that is no number is left out; the average stands still there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    /// The average with `value` in it; `None` before the first number.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        if value.is_finite() {
            self.sum = self.sum * SMOOTHING + value * (1.0 - SMOOTHING);
            self.weight = self.weight * SMOOTHING + (1.0 - SMOOTHING);
        }
        self.value()
    }

    pub fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// The smoothed loss after each of `losses`.
pub fn smoothed(losses: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut average = Average::default();
    losses.into_iter().map(|loss| average.push(loss).unwrap_or(f64::NAN)).collect()
}

/// Seconds that one of the last steps took, half of them longer and half of them shorter. `None` without a step.
pub fn pace(records: &[Record]) -> Option<f64> {
    let recent = &records[records.len().saturating_sub(RECENT)..];
    median(recent.iter().map(|it| it.seconds_per_step))
}

pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|it| it.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => None,
        (length, half) if length % 2 == 1 => Some(values[half]),
        (_, half) => Some(f64::midpoint(values[half - 1], values[half])),
    }
}

/// How long the steps from `step` to `total` take at `pace` seconds each. Saves and evaluations come on top.
pub fn left(step: u64, total: u64, pace: f64) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "counts of steps are far below 2^52")]
    let steps = total.saturating_sub(step) as f64;
    Duration::try_from_secs_f64(pace * steps).ok()
}

/// Steps in all, as far as that is known. The trainer never says it: `most` is its `max_steps`; an epoch's length is
/// known from a look at the dataset, or from the first that went by.
pub fn total(epochs: Option<u64>, per_epoch: Option<u64>, most: Option<u64>) -> Option<u64> {
    let all = epochs.zip(per_epoch).map(|(epochs, steps)| epochs.saturating_mul(steps));
    match (all, most) {
        (Some(all), Some(most)) => Some(all.min(most)),
        (all, most) => all.or(most),
    }
}

/// Steps of one epoch, if one went by as a whole: how far the last step of the first two epochs in a row are apart, or the
/// last step of the first.
pub fn epoch_length(records: &[Record]) -> Option<u64> {
    let mut lasts = records.windows(2).filter(|pair| pair[0].epoch < pair[1].epoch).map(|pair| pair[0]);
    let first = lasts.next()?;
    if records[0].step == 1 && first.epoch == Some(1) {
        return Some(first.step);
    }
    let second = lasts.next()?;
    let whole = second.epoch? == first.epoch? + 1 && second.step > first.step;
    whole.then(|| second.step - first.step)
}

/// Where the loss was no number, in words: `NaN from step 120 on`; `None` if it always was one.
pub fn without_number(records: &[Record]) -> Option<String> {
    /// Stretches that are told one by one.
    const TOLD: usize = 3;
    let runs = records.chunk_by(|one, other| one.loss.is_finite() == other.loss.is_finite());
    let bad: Vec<&[Record]> = runs.filter(|run| !run[0].loss.is_finite()).collect();
    let last = records.last()?.step;
    let told = |run: &&[Record]| {
        let what = if run.iter().all(|it| it.loss.is_nan()) { "NaN" } else { "NaN or infinite" };
        match (run[0].step, run[run.len() - 1].step) {
            (first, end) if end == last => format!("{what} from step {first} on"),
            (first, end) if end == first => format!("{what} at step {first}"),
            (first, end) => format!("{what} from step {first} to {end}"),
        }
    };
    let mut parts: Vec<String> = bad.iter().take(TOLD).map(told).collect();
    if let Some(others @ 1..) = bad.len().checked_sub(TOLD) {
        parts.push(format!("{others} times more"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// From which step on the loss was no number up to the end; `None` if it ended with one.
pub fn lost_from(records: &[Record]) -> Option<u64> {
    let finite = records.iter().rposition(|it| it.loss.is_finite()).map_or(0, |last| last + 1);
    records.get(finite).map(|it| it.step)
}

/// At most `count` of `values`, the curve they make kept: of each share its mean, or NaN where it has no number.
pub fn thinned(values: &[f64], count: usize) -> Vec<f64> {
    let count = values.len().min(count);
    let share = |index: usize| &values[index * values.len() / count..(index + 1) * values.len() / count];
    (0..count).map(|index| mean(share(index).iter().copied().filter(|it| it.is_finite()))).collect()
}

/// Of nothing, no number.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(steps: &[(u64, u32)]) -> Vec<Record> {
        let record = |&(step, epoch)| Record {
            step,
            time: 0.0,
            loss: 1.0,
            seconds_per_step: 0.5,
            samples_per_second: 1.0,
            lr: f64::NAN,
            grad_norm: f64::NAN,
            epoch: Some(epoch),
        };
        steps.iter().map(record).collect()
    }

    #[test]
    fn the_average_follows_the_loss_without_a_bias_at_the_start() {
        let rounded = |values: Vec<f64>| values.iter().map(|it| format!("{it:.4}")).collect::<Vec<_>>();
        let curve = smoothed([f64::NAN, 1.0, 1.0, 0.0, f64::INFINITY, 0.0]);
        assert_eq!(rounded(curve), ["NaN", "1.0000", "1.0000", "0.6494", "0.6494", "0.4744"]);
    }

    #[test]
    fn the_pace_forgets_what_was_long_ago_and_is_not_moved_by_a_save() {
        assert_eq!(pace(&[]), None);
        assert_eq!(median([3.0, f64::NAN, 1.0]), Some(2.0));
        assert_eq!(median([3.0, 90.0, 1.0]), Some(3.0));
        let mut records = steps(&[(1, 1); 60]);
        for record in &mut records[..10] {
            record.seconds_per_step = 100.0;
        }
        records[59].seconds_per_step = 60.0;
        assert_eq!(pace(&records), Some(0.5));
    }

    #[test]
    fn what_is_left_is_the_steps_that_are_left_at_the_pace() {
        assert_eq!(left(100, 400, 0.5), Some(Duration::from_secs(150)));
        assert_eq!(left(500, 400, 0.5), Some(Duration::ZERO));
        assert_eq!(left(0, 400, f64::NAN), None);
        assert_eq!(total(Some(10), Some(32), Some(400)), Some(320));
        assert_eq!(total(Some(10), Some(32), Some(100)), Some(100));
        assert_eq!(total(Some(10), None, Some(100)), Some(100));
        assert_eq!(total(Some(10), None, None), None);
    }

    #[test]
    fn an_epoch_is_as_long_as_the_first_one_that_went_by_as_a_whole() {
        let check = |records: &[(u64, u32)], expected| assert_eq!(epoch_length(&steps(records)), expected);
        check(&[], None);
        check(&[(1, 1), (2, 1)], None);
        check(&[(1, 1), (2, 1), (3, 2)], Some(2));
        check(&[(50, 2), (60, 3), (61, 3)], None); // resumed within an epoch
        check(&[(50, 2), (60, 3), (90, 3), (91, 4)], Some(40));
    }

    #[test]
    fn where_a_loss_is_no_number_is_said_in_words() {
        let check = |losses: &[f64], expected: Option<&str>| {
            let mut records = steps(&(1..=losses.len() as u64).map(|step| (step, 1)).collect::<Vec<_>>());
            records.iter_mut().zip(losses).for_each(|(record, loss)| record.loss = *loss);
            assert_eq!(without_number(&records).as_deref(), expected);
        };
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        check(&[], None);
        check(&[1.0, 2.0], None);
        check(&[1.0, nan, nan], Some("NaN from step 2 on"));
        check(&[1.0, nan, inf, 1.0, nan, 1.0], Some("NaN or infinite from step 2 to 3, NaN at step 5"));
        let often = [nan, 1.0, nan, 1.0, nan, 1.0, nan, 1.0, nan];
        check(&often, Some("NaN at step 1, NaN at step 3, NaN at step 5, 2 times more"));
    }

    #[test]
    fn a_curve_that_is_thinned_keeps_its_shape() {
        assert_eq!(thinned(&[1.0, 3.0, 5.0, f64::NAN, 8.0, 10.0], 3), [2.0, 5.0, 9.0]);
        assert_eq!(thinned(&[1.0], 3), [1.0]);
        assert_eq!(thinned(&[], 3), [] as [f64; 0]);
    }
}
