//! The trainer's arithmetic, bit by bit: how Python and numpy round, and numpy's geometric series.
//!
//! A bucket is chosen by comparing logarithms, so one wrong bit moves an image. Where Python and numpy differ, both
//! ways are here; which one the trainer takes depends on where a value comes from.

/// numpy's `round(x, 3)`: scaled, rounded to even, scaled back.
pub(super) fn round_like_numpy(x: f64) -> f64 {
    (x * 1000.0).round_ties_even() / 1000.0
}

/// Python's `round(x, 3)` of a float: the nearest decimal of the exact value, ties to even.
pub(super) fn round_like_python(x: f64) -> f64 {
    format!("{x:.3}").parse().unwrap_or(x)
}

/// The trainer's `round_to_nearest_multiple`: Python's `round` takes halves to even.
#[expect(clippy::cast_possible_truncation, reason = "saturates, as no image has more pixels than an i64")]
pub(super) fn nearest_multiple(x: f64, multiple: u32) -> i64 {
    ((x / f64::from(multiple)).round_ties_even() * f64::from(multiple)) as i64
}

/// `numpy.geomspace(first, last, count)` of positive numbers.
#[expect(clippy::cast_precision_loss, reason = "as numpy does; nobody has 2^52 buckets")]
pub(super) fn geometric_series(first: f64, last: f64, count: usize) -> Vec<f64> {
    let (log_first, log_last) = (first.log10(), last.log10());
    let step = (log_last - log_first) / count.saturating_sub(1).max(1) as f64;
    let mut series: Vec<f64> = (0..count).map(|index| 10_f64.powf(index as f64 * step + log_first)).collect();
    // numpy puts the ends in their place after all.
    if let Some(end) = series.last_mut().filter(|_| count > 1) {
        *end = last;
    }
    if let Some(start) = series.first_mut() {
        *start = first;
    }
    series
}

/// Sorted, each once: the trainer's `dedup_and_sort` after its rounding.
pub(super) fn sorted_once(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// `numpy.argmin`: the first of the smallest.
pub(super) fn index_of_smallest(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        if best.is_none_or(|(_, least)| value < least) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_of_a_thousandth_are_rounded_as_python_and_as_numpy_do() {
        // 0.0625 and 0.1875 are ties in binary; 2.6755 is a little less than it says.
        let python: Vec<f64> = [0.0625, 0.1875, 2.6755, 0.5005].map(round_like_python).to_vec();
        assert_eq!(python, [0.062, 0.188, 2.675, 0.5]);
        let numpy: Vec<f64> = [0.0625, 0.1875, 2.6755, 0.5005].map(round_like_numpy).to_vec();
        assert_eq!(numpy, [0.062, 0.188, 2.676, 0.5]);
    }

    #[test]
    fn halves_of_a_multiple_go_to_the_even_one() {
        assert_eq!([8.0, 24.0, 40.0, 23.9].map(|x| nearest_multiple(x, 16)), [0, 32, 32, 16]);
    }

    #[test]
    fn a_geometric_series_has_its_ends_exactly() {
        assert_eq!(geometric_series(0.5, 2.0, 3), [0.5, 1.0, 2.0]);
        assert_eq!(geometric_series(0.5, 2.0, 1), [0.5]);
        assert_eq!(geometric_series(0.5, 2.0, 0), Vec::<f64>::new());
    }

    #[test]
    fn of_equal_ones_the_first_is_the_smallest() {
        assert_eq!(index_of_smallest([2.0, 1.0, 1.0].into_iter()), Some(1));
        assert_eq!(index_of_smallest(std::iter::empty()), None);
    }
}
