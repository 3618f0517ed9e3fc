//! How the checks look to a person: by group, what is not fine in full, the rest in a line.

use std::collections::BTreeSet;

use crate::{
    install::doctor::{Check, Examined, Group, Verdict},
    output::tone::Tone,
};

use super::Done;

/// Colours a word.
pub(super) type Paint<'a> = &'a dyn Fn(Tone, &str) -> String;

/// Whose checks are all fine: a line with what was looked at. Others: what is not fine, the worst first; with
/// `verbose` everything.
pub(super) fn report(examined: &[Examined], verbose: bool, paint: Paint<'_>) -> String {
    let groups: BTreeSet<Group> = examined.iter().map(|it| it.group).collect();
    let mut lines = vec![];
    for group in groups {
        let mut checks: Vec<&Check> =
            examined.iter().filter(|it| it.group == group).map(|it| &it.check).collect();
        checks.sort_by_key(|it| std::cmp::Reverse(it.verdict));
        let shown: Vec<&Check> =
            checks.iter().copied().filter(|it| verbose || it.verdict > Verdict::Ok).collect();
        let heading = paint(Tone::Heading, &group.to_string());
        if shown.is_empty() {
            lines.push(format!("{heading} {}", paint(Tone::Good, "is fine")));
            lines.push(format!("  {}", paint(Tone::Faint, &ids(&checks))));
        } else {
            lines.push(heading);
            for (index, check) in shown.iter().enumerate() {
                // What mends several of them is said once, after the last.
                let same = shown.get(index + 1).is_some_and(|next| next.advice == check.advice);
                lines.push(of_check(check, paint));
                lines.extend(check.advice.as_ref().filter(|_| !same).map(|it| format!("           → {it}")));
            }
        }
    }
    lines.join("\n")
}

/// `31 things looked at in 2.1 s: 29 fine, 2 warnings`
pub(super) fn summary(done: &Done, verbose: bool) -> String {
    let Done { ok, notes, warnings, problems, seconds } = done;
    let all = ok + notes + warnings + problems;
    let counted = |count: usize, name: &str| match count {
        0 => None,
        1 => Some(format!("1 {name}")),
        _ => Some(format!("{count} {name}s")),
    };
    let mut parts: Vec<String> =
        [counted(*problems, "problem"), counted(*warnings, "warning"), counted(*notes, "note")]
            .into_iter()
            .flatten()
            .collect();
    if parts.is_empty() {
        return format!("\nAll of the {all} things looked at are fine ({seconds:.1} s)");
    }
    let more = if verbose { "" } else { "; `--verbose` shows them too" };
    parts.push(format!("{ok} fine{more}"));
    format!("\n{all} things looked at in {seconds:.1} s: {}", parts.join(", "))
}

fn of_check(check: &Check, paint: Paint<'_>) -> String {
    let tone = match check.verdict {
        Verdict::Ok => Tone::Good,
        Verdict::Note => Tone::Neutral,
        Verdict::Warning => Tone::Doubtful,
        Verdict::Problem => Tone::Bad,
    };
    let verdict = paint(tone, &format!("{:<7}", check.verdict));
    let about = check.subject.as_ref().map_or(String::new(), |it| format!(" ({it})"));
    // A message of more than one line (a place in a TOML file) stays beneath its beginning.
    let found = check.found.replace('\n', "\n           ");
    format!("  {verdict}  {}{about}: {found}", check.id)
}

/// What was looked at, each once, in the order of looking.
fn ids(checks: &[&Check]) -> String {
    let mut ids: Vec<&str> = vec![];
    for check in checks {
        if !ids.contains(&check.id) {
            ids.push(check.id);
        }
    }
    ids.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined() -> Vec<Examined> {
        let machine = |check| Examined::new(Group::Machine, check);
        vec![
            Examined::new(Group::Workspace, Check::ok("settings", "`dpgui.toml` makes sense")),
            Examined::new(Group::Workspace, Check::ok("setup", "Node 22.12.0").about("node")),
            Examined::new(Group::Workspace, Check::ok("setup", "uv 0.12.5").about("uv")),
            machine(Check::ok("glibc", "glibc 2.39")),
            machine(Check::note("kernel", "Linux 5.4.0: before 5.5 trainings may hang")),
            machine(Check::warning("dev-shm", "`/dev/shm` holds 64.0 MiB").advise("start it anew")),
        ]
    }

    fn plain(verbose: bool) -> String {
        report(&examined(), verbose, &|_, text| text.to_owned())
    }

    #[test]
    fn what_is_not_fine_is_shown_in_full_and_the_rest_in_a_line() {
        assert_eq!(
            plain(false),
            "Workspace is fine\n  settings, setup\nMachine\n  \
             warning  dev-shm: `/dev/shm` holds 64.0 MiB\n           → start it anew\n  \
             note     kernel: Linux 5.4.0: before 5.5 trainings may hang"
        );
    }

    #[test]
    fn what_mends_several_is_said_after_the_last_of_them() {
        let problem =
            |found| Examined::new(Group::Workspace, Check::problem("setup", found).advise("set up"));
        let told = report(&[problem("one"), problem("two")], false, &|_, text| text.to_owned());
        assert_eq!(told, "Workspace\n  problem  setup: one\n  problem  setup: two\n           → set up");
    }

    #[test]
    fn everything_is_shown_to_who_asks_for_it() {
        assert_eq!(
            plain(true),
            "Workspace\n  ok       settings: `dpgui.toml` makes sense\n  ok       setup (node): Node 22.12.0\n  \
             ok       setup (uv): uv 0.12.5\nMachine\n  \
             warning  dev-shm: `/dev/shm` holds 64.0 MiB\n           → start it anew\n  \
             note     kernel: Linux 5.4.0: before 5.5 trainings may hang\n  ok       glibc: glibc 2.39"
        );
    }

    #[test]
    fn the_last_line_counts_what_there_is() {
        let check = |[ok, notes, warnings, problems]: [usize; 4], verbose, expected: &str| {
            let done = Done { ok, notes, warnings, problems, seconds: 1.25 };
            assert_eq!(summary(&done, verbose), expected);
        };
        check([3, 0, 0, 0], false, "\nAll of the 3 things looked at are fine (1.2 s)");
        check(
            [3, 0, 1, 2],
            false,
            "\n6 things looked at in 1.2 s: 2 problems, 1 warning, 3 fine; `--verbose` shows them too",
        );
        check([3, 1, 0, 0], true, "\n4 things looked at in 1.2 s: 1 note, 3 fine");
    }
}
