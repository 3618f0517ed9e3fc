//! The start of a run: what it refuses, what it warns of, and how two starts at once get along.

use crate::support::{
    lab::{Background, Lab, Run},
    media::png,
};

use serde_json::Value;

/// Two GPUs, as `nvidia-smi` tells of them.
const TWO_GPUS: &str = "#!/bin/sh
case $1 in
*compute_cap*)
    echo '0, NVIDIA A100, GPU-aa11, 40960, 580.65.06, 8.0'
    echo '1, NVIDIA A100, GPU-bb22, 40960, 580.65.06, 8.0' ;;
*utilization.gpu*)
    used=$(cat \"$FAKE_VRAM\")
    echo \"0, 5, $used, 40960, 50, 100\"
    echo $((used / 4)) > \"$FAKE_VRAM\" ;;
*query-compute-apps*) echo \"$FAKE_APPS\" ;;
*) exit 1 ;;
esac
";

pub(crate) fn with_gpus(knobs: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::new(knobs);
    lab.sandbox.program("nvidia-smi", TWO_GPUS).env("DPGUI_GPU_SOURCE", "nvidia-smi");
    lab.change("configs/tiny.toml", "pipeline_stages = 2", "pipeline_stages = 1");
    lab
}

/// A run that was stopped and can be resumed.
fn stopped(knobs: &[(&str, &str)]) -> (Lab, Run) {
    let lab = Lab::new(&[&[("STEPS", "0")], knobs].concat());
    let run = lab.detached(&["--name", "first"]);
    run.wait_for_log("steps: 2 ");
    lab.sandbox.dpgui(&["stop"]).ok();
    (lab, run)
}

#[test]
fn a_folder_in_which_a_run_trains_is_never_resumed_whatever_it_is_called() {
    let (lab, first) = stopped(&[]);
    let output = std::fs::read_dir(lab.sandbox.root().join("output")).expect("there").flatten();
    let folder = output.map(|it| it.path()).find(|it| it.is_dir()).expect("the trainer's");
    let second = lab.detached(&["--name", "second", "--resume", "first"]);
    second.wait_for_log("Resuming training");
    let check = |args: &[&str]| {
        let said = lab.train(args);
        assert_eq!(said.code, Some(5), "{said}");
        assert!(said.stderr.contains(&format!("`{}` is still running", second.id())), "{said}");
    };
    check(&["--resume"]);
    check(&["--resume", &first.id()]);
    check(&["--resume", "second"]);
    std::os::unix::fs::symlink(&folder, folder.with_file_name("link")).expect("linked");
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let written = lab.sandbox.root().join("configs/tiny.toml");
    let text = std::fs::read_to_string(&written).expect("there");
    for other in [&*name, "link", &format!("../output/{name}/")] {
        std::fs::write(&written, format!("resume_from_checkpoint = '{other}'\n{text}")).expect("written");
        check(&[]);
    }
}

#[test]
fn of_two_resumes_at_once_one_is_refused() {
    let (lab, _) = stopped(&[]);
    let both = ["a", "b"].map(|name| {
        lab.spawn(&["train", "configs/tiny.toml", "--detach", "--resume", "first", "--name", name])
    });
    let mut codes = both.map(Background::end).map(|said| said.code);
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(5)]);
}

#[test]
fn runs_that_are_started_together_get_folders_and_ports_of_their_own() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let started = ["a", "b", "c"]
        .map(|name| lab.spawn(&["train", "configs/tiny.toml", "--detach", "--share", "--name", name]));
    let runs = started.map(|it| lab.run(it.end().ok().stdout.trim()));
    for run in &runs {
        run.wait_for_log("steps: 2 ");
    }
    let folders = std::fs::read_dir(lab.sandbox.root().join("output")).expect("there").flatten();
    assert_eq!(folders.filter(|it| it.path().is_dir()).count(), 3);
    let mut ports: Vec<_> = runs.iter().map(|run| run.spec()["master_port"].as_u64()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    for run in &runs {
        let said = lab.sandbox.dpgui(&["stop", &run.id()]).ok();
        assert!(said.stderr.contains("saved a checkpoint"), "{said}");
    }
}

#[test]
fn the_gpus_that_cuda_may_see_are_those_that_are_used() {
    let check = |visible: &str, expected: &str| {
        let mut lab = with_gpus(&[]);
        lab.sandbox.env("CUDA_VISIBLE_DEVICES", visible);
        lab.train(&[]).ok();
        let devices = lab.only_run().spec()["devices"].clone();
        assert_eq!(devices, serde_json::from_str::<Value>(expected).expect("JSON"), "{visible:?}");
    };
    check("1", r#"{ "gpus": [1] }"#);
    check("GPU-bb", r#"{ "gpus": [1] }"#);
    for none in ["", "-1", "NoDevFiles"] {
        check(none, r#"{ "cpu": { "ranks": 1 } }"#);
    }
}

#[test]
fn gpus_that_are_not_there_or_named_twice_are_refused() {
    let mut lab = with_gpus(&[]);
    let check = |lab: &Lab, args: &[&str], text: &str| {
        let said = lab.train(args);
        assert_eq!(said.code, Some(2), "{said}");
        assert!(said.stderr.contains(text), "{said}");
    };
    check(&lab, &["--gpus", "0,0"], "`--gpus` names GPU 0 twice");
    lab.sandbox.env("CUDA_VISIBLE_DEVICES", "GPU-cc");
    check(&lab, &[], "this machine has 0 (GPU-aa11), 1 (GPU-bb22)");
    lab.sandbox.env("CUDA_VISIBLE_DEVICES", "-1");
    lab.change("configs/tiny.toml", "type = 'demo'", "type = 'omnigen2'\ndiffusers_path = 'data'");
    check(&lab, &[], "`CUDA_VISIBLE_DEVICES` allows none");
}

#[test]
fn a_wrong_configuration_is_told_of_before_a_missing_gpu() {
    let lab = Lab::new(&[]);
    lab.change("configs/tiny.toml", "type = 'demo'", "type = 'wann'");
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("did you mean `wan`"), "{said}");
}

#[test]
fn a_run_that_is_complete_is_not_resumed_until_there_is_more_to_do() {
    let lab = Lab::new(&[]);
    lab.train(&["--name", "first"]).ok();
    let said = lab.train(&["--resume"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("is already complete, at step 3"), "{said}");
    lab.change("configs/tiny.toml", "epochs = 1", "epochs = 2");
    lab.train(&["--resume", "--detach"]).ok();
}

#[test]
fn a_distributed_job_around_us_does_not_reach_the_trainer() {
    let mut lab = Lab::new(&[("STEPS", "0")]);
    lab.sandbox.env("LOCAL_RANK", "7").env("MASTER_ADDR", "10.0.0.1").env("WORLD_SIZE", "64");
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let rank = run.process("rank");
    let environ = std::fs::read(format!("/proc/{rank}/environ")).expect("alive");
    let environ = String::from_utf8_lossy(&environ);
    assert!(!environ.contains("10.0.0.1") && environ.contains("WORLD_SIZE=2"), "{environ}");
}

#[test]
fn stop_means_the_run_of_that_name_that_is_running_and_never_any() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let first = lab.detached(&["--name", "one"]);
    first.wait_for_log("steps: 1 ");
    let mut command = lab.sandbox.command(&["train", "configs/tiny.toml", "--share", "--name", "one"]);
    assert!(command.env("FAKE_STEPS", "1").output().expect("ran").status.success());
    for name in ["stop", "logs"] {
        let said = lab.sandbox.dpgui(&[name, ""]);
        assert_eq!(said.code, Some(2), "{said}");
        assert!(said.stderr.contains("the name of the run is empty"), "{said}");
    }
    lab.sandbox.dpgui(&["stop", "one"]).ok();
    assert_eq!(first.outcome()["outcome"], "stopped");
}

#[test]
fn a_dataset_that_cannot_work_is_refused_before_there_is_a_run() {
    let mut lab = with_gpus(&[]);
    let root = lab.sandbox.root();
    let check = |lab: &Lab, text: &str| {
        let said = lab.train(&[]);
        assert_eq!(said.code, Some(2), "{said}");
        assert!(said.stderr.contains(text), "{said}");
        assert!(!lab.sandbox.root().join("runs").exists(), "{said}");
    };
    std::fs::remove_file(root.join("data/a.txt")).expect("there");
    check(&lab, "error[captions-present]: 1 of 1 files");
    std::fs::remove_file(root.join("data/a.png")).expect("there");
    lab.sandbox.write("w/data/deeper/a.png", "");
    check(&lab, "error[directory-has-media]: `path`: there is no image in");
    lab.change("configs/tiny.toml", "type = 'demo'", "type = 'omnigen2'\ndiffusers_path = 'data'");
    check(&lab, "error[directory-has-media]: there is no image or video in");
    lab.sandbox.write("w/data/a.mp4", "");
    check(&lab, "error[buckets-hold-a-batch]: nothing is left to train with: every file is dropped");
    for name in ["b", "c"] {
        lab.sandbox.write(format!("w/data/{name}.png"), png(64, 64));
        lab.sandbox.write(format!("w/data/{name}.txt"), name);
    }
    lab.sandbox.env("FAKE_STEPS", "1");
    let said = lab.train(&[]).ok();
    let data =
        "        Data 2 of 3 files train, 1 dropped; an epoch has 2 samples in 1 step: `dpgui data check ";
    assert!(said.stderr.contains(data), "{said}");
    // How long a training takes is known from that before its first epoch is over.
    lab.change("configs/tiny.toml", "epochs = 1\nmax_steps = 400", "epochs = 30");
    lab.sandbox.env("FAKE_STEPS", "4").env("FAKE_STEP_TIME", "1");
    let watched = lab.sandbox.dpgui(&["--json", "train", "configs/tiny.toml", "--watch"]).ok().events();
    let status = watched.iter().find(|it| it["event"] == "status" && it["step"] == 2).expect("a second step");
    assert_eq!(status["total_steps"], 30, "{status}");
    assert!((20..=60).contains(&status["seconds_left"].as_u64().expect("known")), "{status}");
}

#[test]
fn media_that_are_cut_off_are_refused_before_there_is_a_run() {
    let mut lab = with_gpus(&[]);
    lab.change("configs/tiny.toml", "type = 'demo'", "type = 'omnigen2'\ndiffusers_path = 'data'");
    let whole = png(64, 64);
    for name in ["a", "b", "c"] {
        lab.sandbox.write(format!("w/data/{name}.png"), &whole);
        lab.sandbox.write(format!("w/data/{name}.txt"), name);
    }
    lab.sandbox.write("w/data/b.png", &whole[..whole.len() - 16]);
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(2), "{said}");
    let expected = "error[media-readable]: cut off before its end: `b.png` in ";
    assert!(said.stderr.contains(expected), "{said}");
    assert!(!lab.sandbox.root().join("runs").exists(), "{said}");
    lab.sandbox.write("w/data/b.png", &whole);
    lab.sandbox.env("FAKE_STEPS", "1");
    let said = lab.train(&[]).ok();
    assert!(said.stderr.contains("Data all 3 files train"), "{said}");
}

#[test]
fn a_misspelt_key_is_told_of_with_the_one_that_was_meant() {
    let lab = Lab::new(&[]);
    lab.change("configs/tiny.toml", "max_steps", "max_step");
    // The demo's trainer would refuse it.
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("unknown key `max_step`, did you mean `max_steps`?"), "{said}");
    lab.change("configs/tiny.toml", "epochs = 1\nmax", "epcohs = 1\nmax");
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("unknown key `epcohs`, did you mean `epochs`?"), "{said}");
}

#[test]
fn resume_may_stand_before_the_configuration() {
    let (lab, first) = stopped(&[]);
    let said = lab.sandbox.dpgui(&["train", "--detach", "--resume", "configs/tiny.toml"]).ok();
    assert!(said.stderr.contains("from the checkpoint at step "), "{said}");
    assert!(said.stderr.contains(&format!(" of {}, in `", first.id())), "{said}");
    let said = lab.sandbox.dpgui(&["train", "--resume", "first"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("dpgui train CONFIG --resume [RUN]"), "{said}");
}

#[test]
fn who_takes_the_workspace_for_the_working_directory_is_told() {
    let lab = Lab::new(&[]);
    let root = lab.sandbox.root();
    let workspace = root.to_string_lossy();
    let mut command = lab.sandbox.command(&["-C", &workspace, "train", "configs/tiny.toml"]);
    let output = command.current_dir(lab.sandbox.path("home")).output().expect("ran");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("did you mean `{workspace}/configs/tiny.toml`?")), "{said}");
}

#[test]
fn a_failure_that_was_seen_is_told_of_in_one_sentence() {
    let lab = Lab::new(&[("END", "3")]);
    let said = lab.train(&[]);
    assert!(said.stdout.contains("Traceback"), "{said}");
    assert!(said.stderr.contains("failed with exit code 3: `ValueError: nobody told me`"), "{said}");
    assert!(!said.stderr.contains("Traceback"), "{said}");
    let said = lab.train(&["--watch"]);
    assert!(said.stderr.contains("its last lines:\n") && said.stderr.contains("Traceback"), "{said}");
    assert!(!said.stderr.contains("exits with return code"), "the launcher knows nothing: {said}");
}

#[test]
fn an_environment_that_lacks_a_module_is_to_be_set_up_again() {
    let lab = Lab::new(&[]);
    let broken = "#!/bin/sh\necho 'Traceback (most recent call last):'\n\
                  echo \"ModuleNotFoundError: No module named 'torch'\"\nexit 1\n";
    lab.sandbox.write("w/venv/bin/deepspeed", broken);
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("mend the environment with `dpgui setup`"), "{said}");
}

#[test]
fn a_log_that_cannot_be_shown_is_an_error_though_the_run_goes_on() {
    let lab = Lab::new(&[]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("there");
    let mut command = lab.sandbox.command(&["train", "configs/tiny.toml"]);
    let status = command.stdout(full).status().expect("ran");
    assert_eq!(status.code(), Some(6));
    assert_eq!(lab.only_run().outcome()["outcome"], "completed");
}

#[test]
fn a_stop_says_how_long_it_may_take() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let said = lab.sandbox.dpgui(&["stop"]).ok();
    assert!(said.stderr.contains("gets up to"), "{said}");
    assert!(said.stderr.contains(&format!("`dpgui stop --now {}` does not wait", run.id())), "{said}");
}

#[test]
fn ctrl_c_before_the_first_step_says_that_there_is_nothing_to_save() {
    let lab = Lab::new(&[("CACHE", "600")]);
    let train = lab.spawn(&["train", "configs/tiny.toml"]);
    lab.only_run().wait_for_log("caching latents");
    train.signal("INT");
    let said = train.end();
    assert_eq!(said.code, Some(130), "{said}");
    assert!(said.stderr.contains("has nothing to save yet"), "{said}");
}

#[test]
fn what_an_argument_of_the_trainer_allows_is_trained_with_it() {
    let lab = Lab::new(&[]);
    lab.change("configs/tiny-dataset.toml", "[16]", "[16, 32, 48, 64]");
    let said = lab.train(&[]);
    assert!(said.code == Some(2) && said.stderr.contains("[resolutions-at-most-three]"), "{said}");
    lab.train(&["--", "--i_know_what_i_am_doing"]).ok();
}
