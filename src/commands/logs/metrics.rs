//! `dpgui logs --csv`: every step of a run with all that is known of it, for a spreadsheet.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use crate::{
    error::Error,
    metrics::Record,
    output::Output,
    run::{attempts::Attempts, dir::RunDir, measures::Measures},
};

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// All that is known of each step so far, as comma-separated values
    #[arg(long, conflicts_with_all = ["follow", "json", "raw", "timestamps", "since", "until", "rank", "grep"])]
    pub(super) csv: bool,
}

const HEADER: &str = "step,time,epoch,loss,seconds_per_step,samples_per_second,lr,grad_norm,attempt\n";

pub(super) fn export(dir: &RunDir, lines: Option<usize>, output: &Output) -> Result<(), Error> {
    let steps = Measures::of(dir)?.steps;
    let last = steps.len().saturating_sub(lines.unwrap_or(steps.len()));
    // A reader that went away has what it wanted.
    let _ = output.bytes(csv(&steps[last..], &mut Attempts::of(dir)).as_bytes())?;
    Ok(())
}

/// What is not known is empty; a loss that is no number says so. `attempt` is 1, and one more after each restart: steps
/// since the checkpoint that it went on from are there once for each try.
fn csv(steps: &[Record], attempts: &mut Attempts) -> String {
    let known = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
    let mut text = HEADER.to_owned();
    for it in steps {
        let epoch = it.epoch.map(|epoch| epoch.to_string()).unwrap_or_default();
        let time = SignedDuration::try_from_secs_f64(it.time).and_then(Timestamp::from_duration).ok();
        let attempt = attempts.at(time).map(|it| it.to_string()).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{},{},{epoch},{},{},{},{},{},{attempt}",
            it.step,
            known(it.time),
            it.loss,
            known(it.seconds_per_step),
            known(it.samples_per_second),
            known(it.lr),
            known(it.grad_norm)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::workspace::Workspace;

    use super::*;

    #[test]
    fn a_step_is_a_row_and_what_is_not_known_is_empty() {
        let record = Record {
            step: 7,
            time: 1.5,
            loss: f64::NAN,
            seconds_per_step: 0.5,
            samples_per_second: 2.0,
            lr: 2e-5,
            grad_norm: f64::NAN,
            epoch: None,
        };
        let world = tempfile::tempdir().expect("a temp dir");
        let id = "20261127T100000Z-wan".parse().expect("an id");
        let mut attempts = Attempts::of(&RunDir::new(&Workspace::at(world.path()), id));
        assert_eq!(csv(&[record], &mut attempts), format!("{HEADER}7,1.5,,NaN,0.5,2,0.00002,,1\n"));
    }
}
