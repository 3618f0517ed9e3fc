//! A curve in text: what a loss did over a training, in a terminal or a log.

/// Columns of the curve itself.
const WIDTH: usize = 64;

/// Lines; each shows eight levels.
const HEIGHT: usize = 8;

/// From nothing to a full cell.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `values` as columns over a labelled axis, each column the mean of its share of them. Values that are no numbers
/// are left out; with fewer than two there is no curve.
pub fn curve(values: &[f64]) -> Option<String> {
    let values: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
    if values.len() < 2 {
        return None;
    }
    let columns = columns(&values);
    let top = columns.iter().copied().fold(f64::MIN, f64::max);
    let bottom = columns.iter().copied().fold(f64::MAX, f64::min).min(0.0);
    let range = if top > bottom { top - bottom } else { 1.0 };
    let levels: Vec<usize> = columns.iter().map(|it| level((it - bottom) / range)).collect();
    let mut lines = vec![];
    for row in (0..HEIGHT).rev() {
        let label = match row {
            0 => format!("{bottom:8.4}"),
            _ if row == HEIGHT - 1 => format!("{top:8.4}"),
            _ => " ".repeat(8),
        };
        let cells: String = levels.iter().map(|level| BLOCKS[level.saturating_sub(row * 8).min(8)]).collect();
        lines.push(format!("{label} │{}", cells.trim_end()));
    }
    lines.push(format!("{} └{}", " ".repeat(8), "─".repeat(levels.len())));
    Some(lines.join("\n"))
}

/// The means of at most [`WIDTH`] equal shares.
fn columns(values: &[f64]) -> Vec<f64> {
    let count = values.len().min(WIDTH);
    let share = |index: usize| &values[index * values.len() / count..(index + 1) * values.len() / count];
    (0..count).map(|index| mean(share(index))).collect()
}

/// The arithmetic mean; of nothing, no number.
pub fn mean(values: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of steps are far below 2^52")]
    let count = values.len() as f64;
    values.iter().sum::<f64>() / count
}

fn level(share: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1 becomes 1 to 64")]
    let level = (share * 63.0).round() as usize + 1;
    level.min(HEIGHT * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_loss_falls_from_left_to_right() {
        let chart = curve(&[8.0, 6.0, 4.0, 2.0, f64::NAN, 0.0]).expect("a curve");
        assert_eq!(
            chart,
            "  8.0000 │█\n         │█\n         │██\n         │██▁\n         │███\n         │███▁\n         │████\n  \
             0.0000 │████▁\n         └─────"
        );
    }

    #[test]
    fn many_values_share_columns_and_none_make_no_curve() {
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        let widest = curve(&many).expect("a curve").lines().map(|it| it.chars().count()).max();
        assert_eq!(widest, Some(WIDTH + 10));
        assert_eq!(curve(&[1.0, f64::INFINITY]), None);
    }
}
