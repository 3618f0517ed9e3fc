//! `dpgui runs show`: a run in full, or several side by side.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use jiff::tz::TimeZone;

use crate::{
    commands::Context,
    config::effective,
    error::{Error, Kind},
    metrics::{GpuSummary, figures},
    output::{
        Mode, Output,
        chart::{self, Axes},
        html as report, plain, size,
        table::table,
    },
    platform::{clock, fs, process::as_typed},
    run::{
        checkpoints::Contents,
        comparison::{self, Account, Difference, Machine, PartOf},
        list,
        watchdog::Alarm,
    },
    workspace::Workspace,
};

use super::{duration, html, moment};

/// Checkpoints and models of a run that are listed; the others are counted.
const LISTED: usize = 12;

/// Show a run in full, or several side by side: what was set otherwise, how they went, their losses
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ids, beginnings of ids, or names [default: the newest run]
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Write a report with charts into FILE, which needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    context.adopt_runs()?;
    let dirs = if args.runs.is_empty() {
        vec![list::find_or_newest(workspace, None)?]
    } else {
        args.runs.iter().map(|name| list::find(workspace, name)).collect::<Result<_, _>>()?
    };
    let accounts = dirs.iter().map(|dir| Account::of(dir, &host.env)).collect::<Result<Vec<_>, _>>()?;
    let differences = comparison::differences(&accounts);
    if let Some(file) = &args.html {
        let file = host.absolute(file);
        write_report(&file, &html::report(&accounts, &differences, &about(workspace)))?;
        output.status("Wrote", file.display());
        return Ok(ExitCode::SUCCESS);
    }
    if output.mode() == Mode::Json {
        for account in &accounts {
            output.json(account);
        }
        for difference in &differences {
            output.json(difference);
        }
        return Ok(ExitCode::SUCCESS);
    }
    tell(&accounts, &differences, output);
    Ok(ExitCode::SUCCESS)
}

/// Of which workspace a report is, and from when.
fn about(workspace: &Workspace) -> String {
    let root = workspace.root();
    let now = clock::now().to_zoned(TimeZone::system());
    format!(
        "Workspace {}, {}",
        plain::name(root.file_name().map_or(root, Path::new)),
        now.strftime("%Y-%m-%d %H:%M")
    )
}

/// # Errors
/// Where something else is.
fn write_report(file: &Path, html: &str) -> Result<(), Error> {
    if fs::is_dir(file) {
        let message = format!("`{}` is a folder", file.display());
        let inside = as_typed([file.join("runs.html")]);
        return Err(
            Error::new(Kind::Usage, message).with_hint(format!("name a file in it: `--html {inside}`"))
        );
    }
    if fs::exists(file) && !report::is_report(file, html::MARK)? {
        let message = format!("`{}` is something else than a report", file.display());
        return Err(Error::new(Kind::Usage, message).with_hint("name another file: `--html runs.html`"));
    }
    Ok(fs::write_atomic(file, html)?)
}

/// For people: what is compared first, then what each has.
fn tell(accounts: &[Account], differences: &[Difference], output: &Output) {
    let room = output.columns();
    output.data(side_by_side(&rows(accounts), room));
    if !differences.is_empty() {
        output.data(format_args!("\nset otherwise\n{}", side_by_side(&settings(differences), room)));
    }
    let curves: Vec<Vec<(f64, f64)>> = accounts.iter().map(losses).collect();
    let axes = Axes::of(&curves.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for (account, curve) in accounts.iter().zip(&curves) {
        if let Some(axes) = axes.filter(|_| !curve.is_empty()) {
            output.data(format_args!("\nloss of {}\n{}", account.run, chart::curve_on(curve, &axes, "step")));
        }
        if let Some(gaps) = figures::without_number(&account.measures.steps) {
            output.data(format_args!("the loss of {} is {gaps}", account.run));
        }
        if !account.machines.is_empty() {
            output.data(format_args!("\nmachines of {}\n{}", account.run, table(&machines(account))));
        }
        for line in kept(&account.contents) {
            output.data(line);
        }
        for said in &account.panics {
            let run = &account.run;
            output.warn(format_args!(
                "a supervisor of {run} ended by a bug of dpgui, and was replaced: {said}"
            ));
        }
        if account.outcome.is_none() && !account.began {
            output.data(format_args!("\n{} waits in the queue: `dpgui queue` says for what", account.run));
        }
        for why in &account.not_told {
            output.warn(format_args!("of {} somebody was not told: {why}", account.run));
        }
        if let Some(why) = account.not_restarted {
            output.data(format_args!("\n{} is not tried again: {}", account.run, why.sentence()));
        }
        if let Some(diagnosis) = &account.diagnosis {
            output.data(format_args!("\n{diagnosis}"));
        }
    }
}

/// Step and loss.
fn losses(account: &Account) -> Vec<(f64, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    let points = account.measures.steps.iter().map(|it| (it.step as f64, it.loss)).collect();
    points
}

/// The rows as one table, or as several below each other, with as many runs in each as there is room for.
fn side_by_side(rows: &[Vec<String>], room: Option<usize>) -> String {
    let runs = rows.first().map_or(0, |row| row.len() - 1);
    let part = |from: usize, count: usize| {
        let columns = |row: &Vec<String>| {
            std::iter::once(row[0].clone()).chain(row[1 + from..].iter().take(count).cloned()).collect()
        };
        table(&rows.iter().map(columns).collect::<Vec<_>>())
    };
    let width = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let fits = |count: usize| {
        (0..runs).step_by(count).all(|from| room.is_none_or(|room| width(&part(from, count)) <= room))
    };
    let count = (1..=runs).rev().find(|count| fits(*count)).unwrap_or(1);
    (0..runs).step_by(count).map(|from| part(from, count)).collect::<Vec<_>>().join("\n\n")
}

/// A line for each property, a column for each run.
pub(super) fn rows(accounts: &[Account]) -> Vec<Vec<String>> {
    type Of = fn(&Account) -> String;
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| format!("{it:.4}"));
    let mut rows = vec![];
    let mut row = |name: &str, of: &dyn Fn(&Account) -> String| {
        rows.push(std::iter::once(name.to_owned()).chain(accounts.iter().map(of)).collect());
    };
    let texts: [(&str, Of); 8] = [
        ("run", |it| it.run.to_string()),
        ("state", |it| it.outcome.as_ref().map_or_else(|| it.state.clone(), |it| it.word().to_owned())),
        ("config", |it| plain::name(&it.config)),
        ("on", |it| it.devices.clone()),
        ("started", |it| moment(it.started, it.began)),
        ("duration", |it| duration(it.seconds, it.began)),
        ("goes on from", |it| it.goes_on_from.clone().unwrap_or_else(|| "-".to_owned())),
        ("restarts", |it| it.restarts.to_string()),
    ];
    for (name, of) in texts {
        row(name, &of);
    }
    if accounts.iter().any(|it| !it.continued_by.is_empty()) {
        let after = |it: &Account| match &it.continued_by[..] {
            [] => "-".to_owned(),
            after => after.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        row("continued by", &after);
    }
    if accounts.iter().any(|it| it.part_of.is_some()) {
        let part_of = |it: &PartOf| format!("{} of {}", it.run, it.host);
        row("part of", &|it| it.part_of.as_ref().map_or_else(|| "-".to_owned(), part_of));
    }
    if accounts.iter().any(|it| it.alarm.is_some()) {
        row("wrong", &|it| it.alarm.map_or_else(|| "-".to_owned(), Alarm::short));
    }
    row("steps", &|it| it.summary.steps.map_or_else(|| "-".to_owned(), |it| it.to_string()));
    row("s/step", &|it| number(it.summary.seconds_per_step));
    row("last loss", &|it| number(it.summary.last_loss));
    row("average loss", &|it| number(it.summary.average_loss));
    row("best average", &|it| match (it.summary.best_average_loss, it.summary.best_step) {
        (Some(loss), Some(step)) => format!("{loss:.4} at step {step}"),
        _ => "-".to_owned(),
    });
    let gpus: BTreeSet<u32> = accounts.iter().flat_map(|it| &it.gpus).map(|it| it.gpu).collect();
    for gpu in gpus {
        let of = |it: &Account| it.gpus.iter().find(|it| it.gpu == gpu).map(in_words);
        row(&format!("GPU {gpu}"), &|it| of(it).unwrap_or_else(|| "-".to_owned()));
    }
    // What only TensorBoard's files tell: evaluations, losses of epochs.
    let tags: BTreeSet<&str> =
        accounts.iter().flat_map(|it| &it.measures.scalars).map(|it| it.tag.as_str()).collect();
    for tag in tags {
        row(tag, &|it| it.measures.told(tag).unwrap_or_else(|| "-".to_owned()));
    }
    rows
}

/// `91 % busy, at most 38.2 GiB and 61 °C, 250 W`.
fn in_words(gpu: &GpuSummary) -> String {
    let most: Vec<String> =
        [gpu.memory_used.map(size::bytes), gpu.temperature_c.map(|it| format!("{it} °C"))]
            .into_iter()
            .flatten()
            .collect();
    let parts = [
        gpu.utilisation_percent.map(|it| format!("{it} % busy")),
        (!most.is_empty()).then(|| format!("at most {}", most.join(" and "))),
        gpu.power_w.map(|it| format!("{it} W")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn machines(account: &Account) -> Vec<Vec<String>> {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let line = |it: &Machine| {
        let run = it.run.as_ref().map(|it| format!("its part is {it}"));
        let end = it.end.as_ref().map(|end| format!("the training {end}"));
        vec![it.host.clone(), format!("{} ranks", it.slots), known(run), known(end)]
    };
    account.machines.iter().map(line).collect()
}

pub(super) fn settings(differences: &[Difference]) -> Vec<Vec<String>> {
    let value = |it: &Option<serde_json::Value>| it.as_ref().map_or_else(|| "-".to_owned(), effective::toml);
    let line = |it: &Difference| std::iter::once(it.key.clone()).chain(it.values.iter().map(value)).collect();
    differences.iter().map(line).collect()
}

/// Checkpoints and saved models with their sizes.
pub(super) fn kept(contents: &Contents) -> Vec<String> {
    let line = |what: &str, name: &str, bytes: u64, fault: Option<String>| {
        let fault = fault.map(|it| format!("  broken: {it}")).unwrap_or_default();
        format!("{what:>12}  {name}  {}{fault}", size::bytes(bytes))
    };
    // A run that was resumed at an earlier step has written them in another order.
    let mut checkpoints: Vec<_> = contents.checkpoints.iter().collect();
    checkpoints.sort_by_key(|it| it.step);
    let mut models: Vec<_> = contents.models.iter().collect();
    models.sort_by_key(|it| by_number(&it.name));
    let checkpoints = checkpoints.into_iter().map(|it| {
        let name = format!("global_step{}", it.step);
        line("checkpoint", &name, it.bytes, it.fault.as_ref().map(ToString::to_string))
    });
    let models = models
        .into_iter()
        .map(|it| line("model", &it.name, it.bytes, it.fault.as_ref().map(ToString::to_string)));
    let mut lines = vec![];
    for mut some in [checkpoints.collect::<Vec<_>>(), models.collect()] {
        let before = some.len().saturating_sub(LISTED);
        if before > 0 {
            lines.push(format!("{:>12}  {before} before these", ""));
        }
        lines.extend(some.drain(before..));
    }
    lines
}

/// `epoch3` before `epoch10`, and both before `step200`.
fn by_number(name: &str) -> (&str, u64) {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (word, name[word.len()..].parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_in_the_order_of_their_numbers() {
        let mut names = ["step320", "epoch10", "step37", "epoch2", "latest"];
        names.sort_by_key(|it| by_number(it));
        assert_eq!(names, ["epoch2", "epoch10", "latest", "step37", "step320"]);
    }

    #[test]
    fn runs_that_do_not_fit_side_by_side_stand_below_each_other() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let rows = [row(["run", "one-run", "two-run", "three-run"]), row(["steps", "1", "2", "3"])];
        let whole = "run    one-run  two-run  three-run\nsteps  1        2        3";
        assert_eq!(side_by_side(&rows, None), whole);
        assert_eq!(side_by_side(&rows, Some(34)), whole);
        let two = "run    one-run  two-run\nsteps  1        2\n\nrun    three-run\nsteps  3";
        assert_eq!(side_by_side(&rows, Some(33)), two);
        assert_eq!(side_by_side(&rows, Some(3)).lines().count(), 8, "one alone may be too wide");
        assert_eq!(side_by_side(&[], Some(80)), "");
    }
}
