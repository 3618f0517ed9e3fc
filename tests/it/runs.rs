//! `dpgui runs show`: a run in full, and several side by side.

use std::fs;

use crate::support::lab::Lab;

fn trained_twice() -> (Lab, String, String) {
    let lab = Lab::new(&[("STEPS", "40"), ("STEP_TIME", "0.002"), ("CHECKPOINT", "20")]);
    lab.train(&["--name", "first"]).ok();
    lab.change("configs/tiny.toml", "rank = 4", "rank = 8");
    // The trainer calls its folder by the second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    lab.train(&["--name", "second"]).ok();
    (lab, "first".to_owned(), "second".to_owned())
}

#[test]
fn a_name_means_the_newest_of_its_runs_also_of_those_of_one_second() {
    let lab = Lab::new(&[]);
    let first = lab.detached(&["--name", "wan"]);
    first.outcome();
    // The next one, as if it had begun within the same second.
    let id = first.path.file_name().and_then(|it| it.to_str()).expect("an id").to_owned();
    let second = lab.run(&id.replace("-wan", ".2-wan"));
    std::fs::create_dir(&second.path).expect("made");
    for name in ["spec.json", "state.json"] {
        let text = std::fs::read_to_string(first.path.join(name)).expect("there");
        std::fs::write(second.path.join(name), text.replace(&id, &id.replace("-wan", ".2-wan")))
            .expect("written");
    }
    let shown = |name: &str| {
        let said = lab.sandbox.dpgui(&["runs", "show", name, "--json"]).ok();
        said.events()[0]["run"].as_str().expect("an id").to_owned()
    };
    assert_eq!(shown("wan"), id.replace("-wan", ".2-wan"));
    assert_eq!(shown(&id), id);
    // What somebody called `wan-2` is another name.
    let other = lab.detached(&["--name", "wan-2"]);
    other.outcome();
    assert_eq!(shown("wan"), id.replace("-wan", ".2-wan"));
}

#[test]
fn runs_are_compared_by_what_was_set_otherwise_and_by_what_they_came_to() {
    let (lab, first, second) = trained_twice();
    let said = lab.sandbox.dpgui(&["runs", "show", &first, &second]).ok().stdout;
    let line = |start: &str| {
        let found = said.lines().find(|line| line.starts_with(start));
        found
            .unwrap_or_else(|| panic!("no `{start}` in {said}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("state"), "state completed completed");
    assert_eq!(line("steps"), "steps 40 40");
    assert_eq!(line("last loss"), "last loss 0.0250 0.0250");
    assert_eq!(line("adapter.rank"), "adapter.rank 4 8");
    assert!(!said.contains("output_dir"), "what is the same is not shown: {said}");
    assert!(said.contains("checkpoint  global_step40  "), "{said}");
    assert!(said.contains("model  epoch1  "), "{said}");

    // Of the newest alone, nothing is set otherwise.
    let said = lab.sandbox.dpgui(&["runs", "show"]).ok().stdout;
    assert!(said.contains("-second") && !said.contains("set otherwise"), "{said}");

    let rows = lab.sandbox.dpgui(&["runs", "show", &first, &second, "--json"]).ok().events();
    let events: Vec<_> = rows.iter().map(|it| it["event"].as_str().expect("an event")).collect();
    assert_eq!(events, ["run", "run", "difference"]);
    let newest = rows[0]["checkpoints"].as_array().and_then(|it| it.last()).expect("checkpoints");
    assert_eq!((&rows[0]["steps"], &newest["step"]), (&40.into(), &40.into()), "{}", rows[0]);
    assert_eq!(rows[2]["values"], serde_json::json!([4, 8]));
}

#[test]
fn the_report_has_a_curve_for_each_run_and_takes_no_other_files_place() {
    let (lab, first, second) = trained_twice();
    let report = lab.sandbox.root().join("runs.html");
    for _ in 0..2 {
        lab.sandbox.dpgui(&["runs", "show", &first, &second, "--html", "runs.html"]).ok();
    }
    let html = fs::read_to_string(&report).expect("written");
    assert_eq!(html.matches("<polyline").count(), 2);
    assert!(html.contains("<td>adapter.rank<td>4<td>8"), "{html}");
    assert!(!html.contains("http"), "nothing is fetched from anywhere");
    let said = lab.sandbox.dpgui(&["runs", "show", "--html", "runs"]);
    let hint = format!("`--html {}/runs/runs.html`", lab.sandbox.root().display());
    assert!(
        said.code == Some(2) && said.stderr.contains("is a folder") && said.stderr.contains(&hint),
        "{said}"
    );
    let said = lab.sandbox.dpgui(&["runs", "show", "--html", "/proc/runs.html"]);
    assert!(said.code == Some(6) && said.stderr.contains("cannot write `/proc/runs.html`"), "{said}");
    lab.sandbox.write("w/notes.txt", "mine");
    let said = lab.sandbox.dpgui(&["runs", "show", "--html", "notes.txt"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert_eq!(fs::read_to_string(lab.sandbox.root().join("notes.txt")).expect("there"), "mine");
}

#[test]
fn curves_of_several_runs_have_one_pair_of_axes_and_say_where_there_is_no_number() {
    let mut lab = Lab::new(&[("STEPS", "40"), ("STEP_TIME", "0.002"), ("NAN", "30")]);
    lab.train(&["--name", "broken"]).ok();
    lab.sandbox.env("FAKE_NAN", "1000").env("FAKE_STEPS", "20");
    lab.train(&["--name", "short"]).ok();
    let said = lab.sandbox.dpgui(&["runs", "show", "broken", "short"]).ok().stdout;
    let tops = said.lines().filter(|line| line.starts_with("  1.0000 │")).count();
    let below =
        said.lines().filter(|line| line.trim_start().starts_with("step 1 ") && line.ends_with(" 29")).count();
    assert_eq!((tops, below), (2, 2), "{said}");
    assert_eq!(said.matches("is NaN from step 30 on").count(), 1, "{said}");
    lab.sandbox.dpgui(&["runs", "show", "broken", "--html", "runs.html"]).ok();
    let html = fs::read_to_string(lab.sandbox.root().join("runs.html")).expect("written");
    assert!(html.contains(": NaN from step 30 on"), "{html}");
}
