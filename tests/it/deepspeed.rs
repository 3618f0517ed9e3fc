//! The demo's trainer under the real DeepSpeed: it learns, it goes on after a kill, it saves when asked to stop.

use std::{fs, path::Path, time::Duration};

use crate::support::lab::{Lab, Run, kill, until_within};

/// A start of DeepSpeed and a few hundred steps, on a busy machine with two cores.
const PATIENCE: Duration = Duration::from_mins(5);

fn started(lab: &Lab) -> Run {
    lab.run(lab.sandbox.dpgui(&["train", "configs/demo.toml", "--detach"]).ok().stdout.trim())
}

fn losses(lab: &Lab, run: &str) -> Vec<(u64, f64)> {
    let said = lab.sandbox.dpgui(&["logs", run, "--metrics"]).ok();
    let mut rows = said.stdout.lines();
    assert!(rows.next().is_some_and(|it| it.starts_with("step\tloss\tseconds_per_step")), "{said}");
    let row = |line: &str| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().expect("a column");
        (next().parse().expect("a step"), next().parse().expect("a loss"))
    };
    rows.map(row).collect()
}

fn mean(losses: &[(u64, f64)]) -> f64 {
    let count = u32::try_from(losses.len()).expect("a few hundred");
    losses.iter().map(|(_, loss)| loss).sum::<f64>() / f64::from(count)
}

#[test]
fn the_demo_learns_and_leaves_an_adapter() {
    let lab = Lab::with_deepspeed();
    let said = lab.sandbox.dpgui(&["train", "configs/demo.toml"]).ok();
    assert!(said.stdout.contains("TRAINING COMPLETE!"), "{said}");
    let run = lab.only_run();
    run.assert_nobody_left();
    let losses = losses(&lab, &run.id());
    let steps: Vec<u64> = losses.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=320).collect::<Vec<u64>>(), "64 images, 4 times each, 8 at once, 10 epochs");
    let tenth = losses.len() / 10;
    let (first, last) = (mean(&losses[..tenth]), mean(&losses[losses.len() - tenth..]));
    assert!(last < first / 2.0, "the loss went from {first} to {last}");

    let folder = lab.trainer_folder("output/demo");
    for name in ["latest", "global_step320", "epoch10/adapter_config.json", "epoch10/demo.toml", "demo.toml"]
    {
        assert!(folder.join(name).exists(), "{name} is missing");
    }
    assert!(tensor_names(&folder.join("epoch10/adapter_model.safetensors")) > 10);
    let names = fs::read_dir(&folder)
        .expect("there")
        .flatten()
        .map(|it| it.file_name().into_string().expect("UTF-8"));
    assert!(names.into_iter().any(|it| it.starts_with("events.out.tfevents.")), "no TensorBoard file");
}

/// As diffusion-pipe's, whose behaviour what is said at a resume describes.
#[test]
fn a_warmup_that_was_changed_is_ignored_unless_the_flag_that_is_named_is_given() {
    let lab = Lab::with_deepspeed();
    lab.change("configs/demo.toml", "warmup_steps = 10", "max_steps = 20\nwarmup_steps = 100");
    lab.sandbox.dpgui(&["train", "configs/demo.toml"]).ok();
    lab.change("configs/demo.toml", "warmup_steps = 100", "warmup_steps = 10");
    let rate = |step: u64, lines: &str| -> f64 {
        let start = format!("step={step}, skipped=0, lr=[");
        let (_, rest) = lines.split_once(&start).unwrap_or_else(|| panic!("no `{start}` in {lines}"));
        rest.split(']').next().expect("a rate").parse().expect("a number")
    };
    lab.change("configs/demo.toml", "max_steps = 20", "max_steps = 24");
    let said = lab.sandbox.dpgui(&["train", "configs/demo.toml", "--resume"]).ok();
    assert!(
        said.stderr.contains("which is ignored") && said.stderr.contains("--reset_optimizer_params"),
        "{said}"
    );
    let kept = rate(24, &said.stdout);
    assert!(kept < 0.004 * 0.3, "a quarter of the old warmup is over: {kept}");
    lab.change("configs/demo.toml", "max_steps = 24", "max_steps = 36");
    let args = ["train", "configs/demo.toml", "--resume", "--", "--reset_optimizer_params"];
    let said = lab.sandbox.dpgui(&args).ok();
    let anew = rate(36, &said.stdout);
    assert!(anew > 0.0039, "the new warmup is over: {anew}");
}

/// How many tensors the header of a safetensors file names.
fn tensor_names(path: &Path) -> usize {
    let bytes = fs::read(path).expect("an adapter");
    let length =
        usize::try_from(u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))).expect("small");
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a JSON header");
    header.as_object().expect("an object").keys().filter(|name| *name != "__metadata__").count()
}

#[test]
fn an_exported_adapter_is_the_one_that_the_trainer_saved_at_that_step() {
    let lab = Lab::with_deepspeed();
    lab.change("configs/demo.toml", "checkpoint_every_n_epochs = 5", "checkpoint_every_n_epochs = 1");
    lab.change(
        "configs/demo.toml",
        "save_every_n_epochs = 5",
        "save_every_n_epochs = 1\nsave_dtype = 'bfloat16'",
    );
    lab.change("configs/demo.toml", "epochs = 10", "epochs = 2");
    lab.sandbox.dpgui(&["train", "configs/demo.toml"]).ok();
    let folder = lab.trainer_folder("output/demo");
    let file = |name: &str| fs::read(folder.join(name)).expect("there");
    for (args, made, saved) in [
        (&["export", "demo"][..], "step64", "epoch2"),
        (&["export", "demo", "--step", "32"][..], "step32", "epoch1"),
    ] {
        let said = lab.sandbox.dpgui(args).ok();
        assert!(said.stderr.contains("Exported step"), "{said}");
        for name in ["adapter_model.safetensors", "adapter_config.json", "demo.toml"] {
            let [made, saved] = [made, saved].map(|it| file(&format!("{it}/{name}")));
            assert_eq!(made, saved, "{name}");
        }
    }
    let alone = lab.sandbox.path("w/alone.safetensors");
    let checkpoint = folder.join("global_step32").display().to_string();
    lab.sandbox.dpgui(&["export", &checkpoint, "--output", "alone.safetensors"]).ok();
    assert_eq!(fs::read(alone).expect("there"), file("epoch1/adapter_model.safetensors"));
}

/// N of `global_stepN`.
fn step_of(name: &str) -> Option<u64> {
    name.trim().strip_prefix("global_step")?.parse().ok()
}

#[test]
fn a_killed_training_goes_on_at_the_step_after_its_checkpoint() {
    let lab = Lab::with_deepspeed();
    lab.change("configs/demo.toml", "checkpoint_every_n_epochs = 5", "checkpoint_every_n_epochs = 1");
    let run = started(&lab);
    until_within(PATIENCE, "the second checkpoint is there", || {
        let folder = fs::read_dir(lab.sandbox.root().join("output/demo")).ok()?.next()?.ok()?.path();
        // DeepSpeed truncates the file and then writes it: it may be empty for a moment.
        step_of(&fs::read_to_string(folder.join("latest")).ok()?).filter(|step| *step > 32)
    });
    let folder = lab.trainer_folder("output/demo");
    for pid in run.processes() {
        kill(pid, "KILL");
    }
    let outcome = run.outcome();
    run.assert_nobody_left();
    assert_ne!(outcome["outcome"], "completed", "{outcome}");
    // Whoever is killed in that moment leaves it empty, and all of the last checkpoint is there.
    let latest = step_of(&fs::read_to_string(folder.join("latest")).expect("a checkpoint"));
    let names = fs::read_dir(&folder).expect("a folder").map(|it| it.expect("a name").file_name());
    let last = names.filter_map(|name| step_of(name.to_str()?)).max().expect("a checkpoint");
    let step = latest.unwrap_or(last);

    let said = lab.sandbox.dpgui(&["train", "configs/demo.toml", "--resume", &run.id()]).ok();
    assert!(said.stderr.contains(&format!("from the checkpoint at step {step}")), "{said}");
    let resumed = lab.other_run(&run);
    let losses = losses(&lab, &resumed.id());
    assert_eq!(losses.first().map(|(first, _)| *first), Some(step + 1));
    assert_eq!(losses.last().map(|(last, _)| *last), Some(320));
    assert_eq!(folder, lab.trainer_folder("output/demo"), "it goes on in the same folder");
}

#[test]
fn a_stopped_training_has_saved_the_step_it_was_at() {
    let lab = Lab::with_deepspeed();
    let run = started(&lab);
    until_within(PATIENCE, "the training is under way", || {
        String::from_utf8_lossy(&run.log()).contains("steps: 20 ").then_some(())
    });
    let said = lab.sandbox.dpgui(&["stop", &run.id()]).ok();
    run.assert_nobody_left();
    let log = String::from_utf8_lossy(&run.log()).into_owned();
    assert!(log.contains("Manually quitting"), "{log}");
    let folder = lab.trainer_folder("output/demo");
    let latest = fs::read_to_string(folder.join("latest")).expect("a checkpoint");
    let last = losses(&lab, &run.id()).last().map(|(step, _)| *step).expect("steps");
    assert_eq!(latest.trim(), format!("global_step{last}"));
    assert!(said.stderr.contains(latest.trim()) || said.stdout.contains(latest.trim()), "{said}");
    // Stopping early keeps the adapter.
    assert!(tensor_names(&folder.join(format!("step{last}/adapter_model.safetensors"))) > 10, "{said}");
    assert!(said.stderr.contains(&format!("Exported step {last}")), "{said}");
}

#[test]
fn the_demo_trains_what_was_counted_whatever_the_images_are_called() {
    const OTHERWISE: &str = "
import sys
from pathlib import Path
from PIL import Image
for number, path in enumerate(sorted(Path(sys.argv[1]).glob('*.png'))[:32]):
    suffix = ['.jpg', '.WebP', '.PNG', '.heic'][number % 4]
    if suffix in ('.jpg', '.WebP'):
        Image.open(path).convert('RGB').save(path.with_suffix(suffix))
        path.unlink()
    else:
        path.rename(path.with_suffix(suffix))
";
    let lab = Lab::with_deepspeed();
    let root = lab.sandbox.root();
    let python = std::process::Command::new(root.join("venv/bin/python"))
        .args(["-c", OTHERWISE])
        .arg(root.join("data/demo"))
        .status();
    assert!(python.expect("started").success());
    lab.sandbox.write("w/data/demo/notes.md", "# notes");
    lab.change("configs/demo.toml", "epochs = 10", "epochs = 1");
    let said = lab.sandbox.dpgui(&["data", "check", "configs/demo.toml"]).ok();
    let counted = "56 of 65 files train, 9 dropped; an epoch has 224 samples in 28 steps";
    assert!(said.stdout.contains(counted) || said.stderr.contains(counted), "{said}");
    assert!(said.stdout.contains("passes it over: 9 files in"), "{said}");
    lab.sandbox.dpgui(&["train", "configs/demo.toml"]).ok();
    assert_eq!(losses(&lab, &lab.only_run().id()).len(), 28);
}
