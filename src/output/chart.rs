//! A curve in text: what a loss did over a training, in a terminal or a log.

/// Columns of the curve itself.
const WIDTH: usize = 64;

/// Lines; each shows eight levels.
const HEIGHT: usize = 8;

/// From nothing to a full cell.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What a curve is drawn between: the same for all that are to be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axes {
    first: f64,
    last: f64,
    bottom: f64,
    top: f64,
}

impl Axes {
    /// For all these curves, each of places on the axis and values; `None` where less than two are numbers.
    pub fn of(curves: &[&[(f64, f64)]]) -> Option<Self> {
        let numbers = || curves.iter().copied().flatten().filter(|(_, value)| value.is_finite());
        if numbers().count() < 2 {
            return None;
        }
        let (first, last) =
            numbers().fold((f64::MAX, f64::MIN), |(first, last), (at, _)| (first.min(*at), last.max(*at)));
        let flat = Self { first, last, bottom: 0.0, top: f64::MIN };
        // What is drawn is the means.
        let means = curves.iter().flat_map(|points| columns(points, &flat)).flatten();
        Some(means.fold(flat, |it, mean| Self { bottom: it.bottom.min(mean), top: it.top.max(mean), ..it }))
    }

    /// Columns of the curve.
    fn width(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the widest")]
        let places = (self.last - self.first + 1.0).min(place(WIDTH)) as usize;
        places.max(1)
    }

    fn column(&self, at: f64) -> usize {
        let share = (at - self.first) / (self.last - self.first + 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the widest")]
        let column = (share * place(self.width())) as usize;
        column.min(self.width() - 1)
    }
}

/// `values` as columns over a labelled axis, each column the mean of its share of them. Values that are no numbers
/// are left out; with fewer than two there is no curve.
pub fn curve(values: &[f64]) -> Option<String> {
    let finite = values.iter().copied().filter(|it| it.is_finite());
    let points: Vec<(f64, f64)> = finite.enumerate().map(|(at, value)| (place(at), value)).collect();
    Some(drawn(&points, &Axes::of(&[&points])?))
}

/// The same between the axes of several curves, with the first and the last place below. A place without a number is left
/// empty.
pub fn curve_on(points: &[(f64, f64)], axes: &Axes, unit: &str) -> String {
    let (first, last) = (format!("{unit} {}", axes.first), axes.last.to_string());
    let room = axes.width().saturating_sub(first.len());
    format!("{}\n{}{first}{last:>room$}", drawn(points, axes), " ".repeat(10))
}

fn drawn(points: &[(f64, f64)], axes: &Axes) -> String {
    let Axes { bottom, top, .. } = *axes;
    let range = if top > bottom { top - bottom } else { 1.0 };
    let levels: Vec<usize> =
        columns(points, axes).iter().map(|it| it.map_or(0, |it| level((it - bottom) / range))).collect();
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
    lines.join("\n")
}

/// Of each column the mean of what is in it.
fn columns(points: &[(f64, f64)], axes: &Axes) -> Vec<Option<f64>> {
    let mut shares = vec![vec![]; axes.width()];
    for (at, value) in points.iter().filter(|(_, value)| value.is_finite()) {
        shares[axes.column(*at)].push(*value);
    }
    shares.iter().map(|share| (!share.is_empty()).then(|| mean(share))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of steps are far below 2^52")]
const fn place(at: usize) -> f64 {
    at as f64
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
    fn curves_that_are_compared_have_the_same_axes_and_gaps_where_there_is_no_number() {
        let long = [(1.0, 8.0), (2.0, 4.0), (3.0, f64::NAN), (4.0, 4.0), (20.0, 4.0)];
        let short = [(1.0, 4.0), (2.0, 4.0)];
        let axes = Axes::of(&[&long, &short]).expect("axes");
        assert_eq!(
            curve_on(&long, &axes, "step"),
            [
                "  8.0000 │█",
                "         │█",
                "         │█",
                "         │█▁ ▁               ▁",
                "         │██ █               █",
                "         │██ █               █",
                "         │██ █               █",
                "  0.0000 │██ █               █",
                "         └────────────────────",
                "          step 1            20",
            ]
            .join("\n")
        );
        let lower = curve_on(&short, &axes, "step");
        assert!(lower.starts_with("  8.0000 │\n") && lower.contains("│██\n"), "{lower}");
        assert!(lower.ends_with("step 1            20"), "{lower}");
        assert_eq!(Axes::of(&[&[(1.0, f64::NAN), (2.0, 1.0)]]), None);
    }

    #[test]
    fn many_values_share_columns_and_none_make_no_curve() {
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        let widest = curve(&many).expect("a curve").lines().map(|it| it.chars().count()).max();
        assert_eq!(widest, Some(WIDTH + 10));
        assert_eq!(curve(&[1.0, f64::INFINITY]), None);
    }
}
