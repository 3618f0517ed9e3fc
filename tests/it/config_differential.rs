//! `config check` against the trainer itself: what it refuses at its start is an error here, and what it takes is none.
//!
//! Its answers are in `tests/data/differential/`; `tests/differential/README.md` says how they were got.

use std::{collections::BTreeMap, fs, path::Path};

use dpgui::{
    config::{
        self, Finding, Severity,
        facts::{self, Fact},
        schema::When,
    },
    platform::Env,
    workspace::Workspace,
};
use serde_json::Value;

use crate::support::oracle;

/// About what is on the disk of whoever asks: the trainer was asked without model files and without media.
const OF_THE_DISK: [&str; 10] = [
    "adapter-files-exist",
    "damaged-file",
    "directory-exists",
    "hub-repository",
    "init-from-existing-folder",
    "model-files-exist",
    "safetensors-file-or-dir",
    "wan-single-file-config",
    "wan-variant-known",
    "wan22-needs-transformer-path",
];

/// What the trainer reads only later, or takes in silence to fail with it later.
const READ_LATER: [&str; 10] = [
    "ar-range-valid",
    "comfy-text-encoder-path",
    "dtype-known",
    "hunyuan-video-sources",
    "micro-batch-type",
    "model-required-paths",
    "optimizer-table",
    "path-empty",
    // Where other keys win over `resolutions` and `ar_buckets`.
    "resolution-pair-shape",
    // Its parser takes bare keys of any letters; TOML does not.
    "toml-syntax",
];

/// The same of ids that are of values of many keys, with the key.
const VALUES_READ_LATER: [(&str, &str); 21] = [
    ("invalid-value", "frame_buckets"),
    ("invalid-value", "map_num_proc"),
    ("invalid-value", "pipeline_stages"),
    ("invalid-value", "rank"),
    ("invalid-value", "subsample_ratio"),
    // How many numbers there are it reads at once, and whether one is zero when there are images to put there.
    ("size-bucket-shape", "size_buckets"),
    ("wrong-type", "compile"),
    ("wrong-type", "enable_ar_bucket"),
    ("wrong-type", "eval_every_n_steps"),
    ("wrong-type", "gradient_accumulation_steps"),
    ("wrong-type", "gradient_release"),
    ("wrong-type", "guidance"),
    ("wrong-type", "lr"),
    ("wrong-type", "map_num_proc"),
    ("wrong-type", "num_repeats"),
    ("wrong-type", "paths"),
    ("wrong-type", "pipeline_stages"),
    ("wrong-type", "rank"),
    ("wrong-type", "subsample_ratio"),
    ("wrong-type", "video_clip_mode"),
    ("wrong-type", "warmup_steps"),
];

/// What the trainer was not asked for, because a stand-in took that part (`tests/differential/README.md`), or takes
/// although it is nonsense.
const NOT_ASKED: [&str; 11] = [
    "activation-checkpointing-value",
    // The schedulers are stand-ins, which do not calculate with it.
    "cosmos-predict2-optimizer-lr",
    // A training that `max_steps` ends before its first epoch does.
    "epochs-present",
    "full-finetune-cannot-save",
    "full-finetune-no-names",
    "key-present",
    // Noticed by the first save, for which the question may be too short.
    "lokr-not-for-flux",
    // Of torchao's nothing is asked.
    "optimizer-kwargs",
    "partition-split-required",
    "steps-per-print-nonzero",
    // There was no video.
    "video-clip-mode-known",
];

/// The same of ids that are of values of many keys, with the key.
const VALUES_NOT_ASKED: [(&str, &str); 6] = [
    ("invalid-value", "epochs"),
    ("invalid-value", "max_steps"),
    ("invalid-value", "warmup_steps"),
    ("wrong-type", "epochs"),
    ("wrong-type", "paths"),
    ("wrong-type", "warmup_steps"),
];

/// What is asked, in a folder of its own, and what we find.
fn findings(ask: &Value) -> Vec<Finding> {
    let dir = tempfile::tempdir().expect("a temp dir");
    let root = dir.path();
    for folder in ["images", "more", "masks", "control", "output", "captioned", "models"] {
        fs::create_dir(root.join(folder)).expect("created");
    }
    fs::write(root.join("captioned/captions.json"), "{}").expect("written");
    fs::write(root.join("mask.png"), "").expect("written");
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text.replace("DATA", &root.display().to_string())).expect("written");
    };
    for (name, text) in ask["files"].as_object().expect("files") {
        write(name, text.as_str().expect("text"));
    }
    write("asked.toml", ask["config"].as_str().expect("text"));
    let asked = root.join("asked.toml");
    config::check(&asked, &Workspace::at(root), &Env::default(), None).findings
}

fn cases(text: &str) -> impl Iterator<Item = (Value, Value)> {
    text.lines().map(|line| {
        let mut case: Value = serde_json::from_str(line).expect("JSON");
        (case["ask"].take(), case["answer"].take())
    })
}

/// It is among those exempt, by its id alone or with the key that its message begins with.
fn is_exempt(finding: &Finding, ids: &[&str], values: &[(&str, &str)]) -> bool {
    let key = finding.message.split('`').nth(1).unwrap_or_default();
    ids.contains(&finding.id) || values.contains(&(finding.id, key))
}

fn shown(found: &[Finding]) -> String {
    let lines: Vec<_> =
        found.iter().map(|it| format!("\n      {}[{}] {}", it.severity, it.id, it.message)).collect();
    lines.concat()
}

/// What is noticed before caching begins.
fn is_of_the_start(fact: Fact) -> bool {
    matches!(fact.when, When::Startup | When::Init)
}

#[test]
fn what_the_trainer_refuses_at_its_start_is_an_error_and_what_it_takes_is_none() {
    compare_starts(include_str!("../data/differential/config.jsonl"), &[]);
}

/// Of values that nobody means, Python happens to take some: `'True'` for true, -1 for fewer than none. Which ones these
/// are is known, key by key, of the questions that are kept, and not of new ones.
const HARMLESS: [&str; 3] = ["dataset-directory-list", "invalid-value", "wrong-type"];

/// With `DPGUI_DIFFUSION_PIPE=CHECKOUT`, the trainer itself is asked about new configurations.
#[test]
fn new_configurations_are_judged_as_the_trainer_at_hand_judges_them() {
    if !oracle::is_at_hand() {
        eprintln!("skipped: DPGUI_DIFFUSION_PIPE names no checkout of the trainer");
        return;
    }
    compare_starts(&oracle::pairs("config", &["--count", "300"]), &HARMLESS);
    compare_runs(&oracle::pairs("run", &["--count", "150"]), &HARMLESS);
}

fn compare_starts(lines: &str, harmless: &[&str]) {
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut refused, mut taken) = (0, 0);
    for (ask, answer) in cases(lines) {
        let found = findings(&ask);
        let of_disk = |it: &&Finding| OF_THE_DISK.contains(&it.id);
        if let Some(error) = answer["error"].as_object() {
            refused += 1;
            // What the copy of a run repairs is a note.
            let says = |it: &Finding| it.severity == Severity::Error || it.id.starts_with("toml-");
            if !found.iter().any(says) {
                let key = format!("missed: {} {}", error["stage"], error["text"]);
                wrong.entry(key).or_default().push(format!("{}{}", ask["id"], shown(&found)));
            }
        } else {
            taken += 1;
            let at_start = |it: &&Finding| facts::of(it.id).is_some_and(is_of_the_start);
            let errors = found.iter().filter(|it| it.severity == Severity::Error);
            let is_exempt = |it: &&Finding| is_exempt(it, &READ_LATER, &VALUES_READ_LATER);
            for finding in errors.filter(at_start).filter(|it| !of_disk(it) && !is_exempt(it)) {
                if harmless.contains(&finding.id) {
                    continue;
                }
                let key = format!("false: {} {}", finding.id, finding.message);
                wrong.entry(key).or_default().push(ask["id"].to_string());
            }
        }
    }
    assert!(refused > 50 && taken > 50, "{refused} refused, {taken} taken");
    let lines: Vec<_> =
        wrong.iter().map(|(key, ids)| format!("\n{key}: {} times, {}", ids.len(), ids[0])).collect();
    assert!(lines.is_empty(), "{}", lines.concat());
}

#[test]
fn what_breaks_a_training_is_said_before_and_what_goes_to_its_end_is_no_error() {
    compare_runs(include_str!("../data/differential/run.jsonl"), &[]);
}

fn compare_runs(lines: &str, harmless: &[&str]) {
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut broken, mut whole) = (0, 0);
    for (ask, answer) in cases(lines) {
        let found = findings(&ask);
        if let Some(error) = answer["error"].as_object() {
            broken += 1;
            let says = |it: &Finding| it.severity != Severity::Note || it.id.starts_with("toml-");
            if !found.iter().any(says) {
                let key = format!("missed: {} {}", error["stage"], error["text"]);
                wrong.entry(key).or_default().push(format!("{}{}", ask["id"], shown(&found)));
            }
        } else {
            whole += 1;
            let errors = found.iter().filter(|it| it.severity == Severity::Error);
            let is_exempt = |it: &&Finding| is_exempt(it, &NOT_ASKED, &VALUES_NOT_ASKED);
            for finding in errors.filter(|it| !OF_THE_DISK.contains(&it.id) && !is_exempt(it)) {
                if harmless.contains(&finding.id) {
                    continue;
                }
                let key = format!("false: {} {}", finding.id, finding.message);
                wrong.entry(key).or_default().push(ask["id"].to_string());
            }
        }
    }
    assert!(broken > 20 && whole > 20, "{broken} broken, {whole} whole");
    let lines: Vec<_> =
        wrong.iter().map(|(key, ids)| format!("\n{key}: {} times, {}", ids.len(), ids[0])).collect();
    assert!(lines.is_empty(), "{}", lines.concat());
}

#[test]
fn of_the_trainers_own_examples_exactly_that_is_said_which_they_deserve() {
    // The texts are the trainer's; whoever has its checkout can make them: `tests/differential/upstream.py FOLDER`.
    let Some(folder) = std::env::var_os("DPGUI_UPSTREAM_EXAMPLES") else {
        eprintln!("skipped: DPGUI_UPSTREAM_EXAMPLES names no folder made by tests/differential/upstream.py");
        return;
    };
    let mut wrong = vec![];
    for line in include_str!("../data/differential/upstream.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        let name = case["name"].as_str().expect("a name");
        let place = Path::new(&folder).join(name);
        let read = |file: std::path::PathBuf| fs::read_to_string(file).expect("the folder is whole");
        let files = fs::read_dir(&place).expect("the folder is whole").map(|it| it.expect("an entry").path());
        let files: serde_json::Map<String, Value> = files
            .map(|file| {
                (file.file_name().unwrap_or_default().to_string_lossy().into_owned(), read(file).into())
            })
            .collect();
        let ask = serde_json::json!({ "config": files["config.toml"], "files": files });
        let found = findings(&ask);
        let ids = |key: &str| case[key].as_array().cloned().unwrap_or_default();
        let (must, may) = (ids("must"), ids("may"));
        for id in must.iter().filter(|id| !found.iter().any(|it| *id == it.id)) {
            wrong.push(format!("\n{name}: nothing says {id}{}", shown(&found)));
        }
        let is_path = |it: &Finding| {
            OF_THE_DISK.contains(&it.id) || ["dataset-exists", "output-dir-writable"].contains(&it.id)
        };
        for finding in found.iter().filter(|it| !is_path(it)) {
            // What the generator could not fill in.
            if finding.message.contains("`\"TE\"`") {
                continue;
            }
            if !must.iter().chain(&may).any(|id| *id == finding.id) {
                wrong.push(format!("\n{name}: {}[{}] {}", finding.severity, finding.id, finding.message));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}
