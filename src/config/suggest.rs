//! What the media in a folder suggest for a new dataset file, where a starter has a usual value.

use toml::{Table, Value};

use super::schema::FrameRule;

/// Images and videos as a model sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    pub images: usize,
    pub videos: usize,
    /// Neither, or nothing that the model can be trained with.
    pub unusable: usize,
    pub without_caption: usize,
    /// Sides in pixels of squares with as many pixels.
    pub sides: Vec<u32>,
    /// Lengths in frames, at the model's rate; empty if the model takes no videos.
    pub clips: Vec<u32>,
}

/// Examples of an epoch below which the files are repeated, and how often at most: ours, so that saving every few
/// epochs is not saving every few steps.
const EPOCH: usize = 100;
const MOST_REPEATS: usize = 10;

/// Sides are multiples of this, as those that models were trained with.
const SIDE_STEP: u32 = 64;

impl Media {
    /// Usual resolutions that are larger than half of the files become the largest that is not.
    pub fn resolutions(&self, usual: &Value) -> Option<Value> {
        let mut sides = self.sides.clone();
        sides.sort_unstable();
        let median = *sides.get(sides.len() / 2)?;
        let most = i64::from((median / SIDE_STEP * SIDE_STEP).max(SIDE_STEP));
        let mut fitting: Vec<i64> = usual
            .as_array()?
            .iter()
            .map(|it| it.as_integer().map(|it| it.min(most)))
            .collect::<Option<_>>()?;
        fitting.dedup();
        Some(Value::Array(fitting.into_iter().map(Value::from).collect()))
    }

    /// Usual lengths that some video fills, and one that the shortest fills: what is shorter than all is dropped.
    pub fn frame_buckets(&self, usual: &Value, rule: FrameRule) -> Option<Value> {
        let longest = self.clips.iter().copied().max().unwrap_or(1);
        let usual =
            usual.as_array()?.iter().filter_map(Value::as_integer).filter_map(|it| u32::try_from(it).ok());
        let mut lengths: Vec<u32> = usual.filter(|it| *it <= longest.max(1)).collect();
        let shortest = self.clips.iter().map(|clip| rule.floor(*clip)).filter(|clip| *clip > 1).min();
        if let Some(shortest) = shortest.filter(|it| lengths.iter().all(|length| *length == 1 || it < length))
        {
            lengths.push(shortest);
        }
        lengths.sort_unstable();
        Some(Value::Array(lengths.into_iter().map(|it| i64::from(it).into()).collect()))
    }

    pub fn num_repeats(&self) -> i64 {
        match self.images + self.videos {
            0 => 1,
            items => i64::try_from(EPOCH.div_ceil(items).min(MOST_REPEATS)).unwrap_or(1),
        }
    }

    /// In place of the usual values that there are.
    pub(super) fn fill(&self, usual: impl Fn(&str) -> Option<Value>, rule: Option<FrameRule>) -> Table {
        let resolutions = usual("resolutions").and_then(|it| Some(("resolutions", self.resolutions(&it)?)));
        let frames = usual("frame_buckets").zip(rule);
        let frames = frames.and_then(|(it, rule)| Some(("frame_buckets", self.frame_buckets(&it, rule)?)));
        [resolutions, frames].into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        format!("x = {text}").parse::<Table>().expect("TOML")["x"].clone()
    }

    #[test]
    fn no_resolution_is_larger_than_what_half_of_the_files_have() {
        let check = |sides: &[u32], usual: &str, expected: Option<&str>| {
            let media = Media { sides: sides.to_vec(), ..Media::default() };
            assert_eq!(media.resolutions(&value(usual)), expected.map(value), "{sides:?}");
        };
        check(&[2000, 1500, 900], "[512]", Some("[512]"));
        check(&[500, 400, 3000], "[512]", Some("[448]"));
        check(&[700, 700], "[512, 1024]", Some("[512, 640]"));
        check(&[300], "[512, 1024]", Some("[256]"));
        check(&[20], "[512]", Some("[64]"));
        check(&[], "[512]", None);
        check(&[300], "[[1280, 720]]", None);
    }

    #[test]
    fn there_is_a_frame_bucket_for_the_shortest_video() {
        let rule = FrameRule { multiple_of: 4, plus: 1 };
        let check = |clips: &[u32], expected: &str| {
            let media = Media { clips: clips.to_vec(), ..Media::default() };
            assert_eq!(media.frame_buckets(&value("[1, 33, 81]"), rule), Some(value(expected)), "{clips:?}");
        };
        check(&[], "[1]");
        check(&[40, 100], "[1, 33, 81]");
        check(&[40], "[1, 33]");
        check(&[20, 100], "[1, 17, 33, 81]");
        check(&[20], "[1, 17]");
        check(&[3], "[1]");
    }

    #[test]
    fn few_files_are_repeated() {
        let check = |images, expected| {
            assert_eq!(Media { images, ..Media::default() }.num_repeats(), expected, "{images}");
        };
        check(0, 1);
        check(3, 10);
        check(30, 4);
        check(100, 1);
        check(5000, 1);
    }
}
