//! `dpgui data check` on what is broken off, what is no file, and numbers that nobody means.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::support::{
    media::{avi, mp4, png},
    sandbox::{Said, Sandbox},
};

const SIMPLE: &str = "resolutions = [64]\n[[directory]]\npath = 'a'\n";

const TRAINING: &str = "output_dir = 'output'\ndataset = 'd.toml'\nepochs = 3\nsave_every_n_epochs = 1\n\
                        [model]\ntype = 'wan'\ndtype = 'bfloat16'\nckpt_path = 'm'\n[optimizer]\ntype = 'adamw'\n";

/// Four whole images with captions.
fn sandbox(dataset: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("w/d.toml", dataset);
    for name in ["a", "b", "c", "d"] {
        sandbox.write(format!("w/a/{name}.png"), png(100, 100));
        sandbox.write(format!("w/a/{name}.txt"), "words");
    }
    sandbox
}

/// In at most ten seconds: what waits for a pipe waits forever.
fn look(sandbox: &Sandbox, args: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    let program = sandbox.command(args);
    command.arg("10").arg(program.get_program()).args(program.get_args()).env_clear();
    command
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(sandbox.root());
    let said = Said::from(command.output().expect("timeout starts"));
    assert_ne!(said.code, Some(124), "it waited: {said}");
    said
}

#[track_caller]
fn check(sandbox: &Sandbox, code: i32, expected: &str) -> Said {
    let said = look(sandbox, &["data", "check", "d.toml"]);
    let text = sandbox.neutral(&said.stdout);
    assert_eq!((said.code, text.contains(expected)), (Some(code), true), "{expected:?} in {said}");
    said
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo starts").success());
}

#[test]
fn a_file_that_is_cut_off_is_an_error_and_no_training_starts() {
    let sandbox = sandbox(SIMPLE);
    sandbox.write("w/t.toml", TRAINING);
    let whole = png(100, 100);
    sandbox.write("w/a/half.png", &whole[..whole.len() - 16]);
    sandbox.write("w/a/half.txt", "words");
    check(
        &sandbox,
        2,
        "error[media-readable]: cut off before its end: `half.png` in `DIR/w/a`; the trainer measures it, and gives up on what is missing while it caches",
    );
    let listed = look(&sandbox, &["data", "check", "d.toml", "--list", "dropped"]);
    assert!(listed.stdout.contains("half.png: dropped, cut off before its end"), "{listed}");
    // What has no caption is never opened.
    fs::remove_file(sandbox.path("w/a/half.txt")).expect("removed");
    assert_eq!(look(&sandbox, &["data", "check", "d.toml"]).code, Some(0));
}

#[test]
fn a_mask_that_is_cut_off_is_an_error() {
    let sandbox = sandbox("resolutions = [64]\n[[directory]]\npath = 'a'\nmask_path = 'm'\n");
    for name in ["a", "b", "c", "d"] {
        sandbox.write(format!("w/m/{name}.png"), png(100, 100));
    }
    check(&sandbox, 0, "all 4 files train");
    let mask = png(100, 100);
    sandbox.write("w/m/a.png", &mask[..mask.len() - 16]);
    check(&sandbox, 2, "the mask `DIR/w/m/a.png` of `a.png`: cut off before its end");
}

#[test]
fn a_video_that_an_image_model_leaves_out_may_be_cut_off() {
    let sandbox = sandbox(SIMPLE);
    let mut film = mp4(64, 64, 9, 16);
    // A table of chunks whose last one begins far behind the end.
    let table = film.windows(4).position(|it| it == b"stts").expect("a table");
    film.splice(table - 4..table - 4, *b"\0\0\0\x14stco\0\0\0\0\0\0\0\x01\x7f\0\0\0");
    sandbox.write("w/a/film.mp4", film);
    sandbox.write("w/a/film.txt", "words");
    check(&sandbox, 0, "warning[videos-need-video-model]");
}

#[test]
fn pipes_and_links_to_nowhere_are_said_and_never_waited_for() {
    let sandbox = sandbox(SIMPLE);
    fifo(&sandbox.path("w/a/pipe.png"));
    check(&sandbox, 0, "no file but a pipe, a socket or a device, which the trainer passes over: `pipe.png`");
    symlink("nowhere", sandbox.path("w/a/gone.png")).expect("linked");
    symlink("circle.png", sandbox.path("w/a/circle.png")).expect("linked");
    check(
        &sandbox,
        0,
        "a link to what is not there, which the trainer passes over in silence: `circle.png` and 1 more",
    );

    // A caption behind a link to nowhere is none; for a pipe the trainer waits.
    fs::remove_file(sandbox.path("w/a/b.txt")).expect("removed");
    symlink("nowhere.txt", sandbox.path("w/a/b.txt")).expect("linked");
    check(&sandbox, 0, "no caption, so the trainer drops it: `b.png`");
    fs::remove_file(sandbox.path("w/a/a.txt")).expect("removed");
    fifo(&sandbox.path("w/a/a.txt"));
    check(&sandbox, 2, "is no file but a pipe or a device, for which the trainer may wait forever: `a.png`");
    fs::remove_file(sandbox.path("w/a/a.txt")).expect("removed");

    fifo(&sandbox.path("w/a/captions.json"));
    check(&sandbox, 2, "error[captions-json-lists]");
    fs::remove_file(sandbox.path("w/a/captions.json")).expect("removed");

    // Beside the dataset file, where training files are looked for, and where models are.
    fifo(&sandbox.path("w/b.toml"));
    check(&sandbox, 0, "2 of 4 files train");
    sandbox.write(
        "w/t.toml",
        TRAINING.replace("ckpt_path = 'm'", "ckpt_path = 'm'\ntransformer_path = 'p.safetensors'"),
    );
    fifo(&sandbox.path("w/p.safetensors"));
    look(&sandbox, &["config", "check", "t.toml"]);
    look(&sandbox, &["data", "check", "t.toml"]);
}

#[test]
fn a_mask_that_is_a_pipe_is_never_waited_for() {
    let sandbox = sandbox("resolutions = [64]\n[[directory]]\npath = 'a'\ndefault_mask_file = 'pipe.png'\n");
    fifo(&sandbox.path("w/pipe.png"));
    check(&sandbox, 2, "error[mask-same-size]");
}

#[test]
fn a_link_to_where_one_may_not_look_ends_the_training() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox(SIMPLE);
    sandbox.write("w/closed/x.png", png(100, 100));
    symlink("../closed/x.png", sandbox.path("w/a/x.png")).expect("linked");
    fs::create_dir_all(sandbox.path("w/.dpgui")).expect("made");
    for (name, mode) in [("w/closed", 0o700), ("w/a", 0o777), ("w/.dpgui", 0o777)] {
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).expect("set");
    }
    if nix::unistd::geteuid().is_root() {
        let said = sandbox.dpgui_as_nobody(&["data", "check", "d.toml"]);
        assert_eq!(said.code, Some(2), "{said}");
        assert!(
            said.stdout.contains("a link to where you may not look, on which the trainer gives up: `x.png`"),
            "{said}"
        );
    } else {
        eprintln!("skipped: only root can make a folder that the program may not look into");
    }
}

#[test]
fn captions_of_any_kind_are_counted_without_keeping_them() {
    let sandbox = sandbox(SIMPLE);
    sandbox.write(
        "w/a/captions.json",
        r#"{"a.png": "first", "a.png": ["x", "y"], "b.png": null, "c.png": [], "d.png": ["z"], "e": {"f": [1]}}"#,
    );
    let said = check(&sandbox, 0, "1 an empty list of captions");
    assert!(said.stdout.contains("an epoch has 3 samples"), "{said}");
    sandbox.write("w/a/captions.json", r#"["a.png"]"#);
    check(&sandbox, 2, "it is no table of file names");
    fs::remove_file(sandbox.path("w/a/captions.json")).expect("removed");
    sandbox.write("w/a/a.txt", "é".repeat(1 << 20));
    sandbox.write("w/a/b.txt", ["x", &"é".repeat(1 << 20)].concat());
    check(&sandbox, 0, "all 4 files train");
}

#[test]
fn numbers_that_nobody_means_end_in_a_finding() {
    let sandbox = sandbox(SIMPLE);
    sandbox.write("w/t.toml", TRAINING);
    for (repeats, code, expected) in [
        ("nan", 2, "error[num-repeats-positive]: `num_repeats` must be a number above 0, not `nan`"),
        ("inf", 2, "error[num-repeats-positive]: `num_repeats` must be a number of times"),
        ("-inf", 2, "error[num-repeats-positive]: `num_repeats` must be a number above 0, not `-inf`"),
        ("1e300", 2, "error[epoch-fits-memory]"),
        ("9_223_372_036_854_775_807", 2, "error[epoch-fits-memory]"),
        ("1e5", 0, "an epoch has 400,000 samples"),
    ] {
        sandbox.write("w/d.toml", format!("{SIMPLE}num_repeats = {repeats}\ncache_shuffle_num = 1\n"));
        check(&sandbox, code, expected);
    }
    sandbox.write(
        "w/d.toml",
        format!("{SIMPLE}cache_shuffle_num = 9_223_372_036_854_775_807\nnum_repeats = 9\n"),
    );
    check(&sandbox, 2, "error[epoch-fits-memory]");
    let most = i64::MAX;
    for (sizes, expected) in [
        (format!("size_buckets = [[{most}, {most}, 1]]"), "is larger than anything that can be trained"),
        ("resolutions = [1e100]".to_owned(), "is larger than anything that can be trained"),
        ("resolutions = [3]".to_owned(), "has no pixels"),
    ] {
        sandbox.write("w/d.toml", format!("{sizes}\n[[directory]]\npath = 'a'\n"));
        check(&sandbox, 2, expected);
        look(&sandbox, &["data", "check", "d.toml", "--html", "report.html"]);
        look(&sandbox, &["data", "check", "d.toml", "--json", "--list", "all"]);
    }
    sandbox.write("w/d.toml", SIMPLE);
    sandbox.write(
        "w/t.toml",
        format!("micro_batch_size_per_gpu = {most}\ngradient_accumulation_steps = {most}\n{TRAINING}"),
    );
    check(&sandbox, 2, "error[buckets-hold-a-batch]");
}

#[test]
fn a_switch_is_what_python_takes_it_for() {
    let sandbox = sandbox(SIMPLE);
    let ratios = "resolutions = [64]\nmin_ar = 0.5\nmax_ar = 2.0\nnum_ar_buckets = 3\n";
    sandbox.write("w/a/wide.png", png(200, 100));
    sandbox.write("w/a/wide.txt", "words");
    for (switch, expected) in
        [("1", "96×48"), ("0", "64×64"), ("'no'", "96×48"), ("''", "64×64"), ("0.5", "96×48")]
    {
        sandbox
            .write("w/d.toml", format!("{ratios}enable_ar_bucket = {switch}\n[[directory]]\npath = 'a'\n"));
        let said = look(&sandbox, &["data", "check", "d.toml", "--list", "all"]);
        let place = said.stdout.lines().find(|it| it.contains("wide.png: ")).unwrap_or_default();
        assert!(place.ends_with(expected), "{switch}: {said}");
    }
}

#[test]
fn what_has_no_picture_in_the_report_says_so() {
    let sandbox = sandbox(SIMPLE);
    sandbox.write(
        "w/a/film.bmp",
        [&b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x08\0"[..], &[0; 28]].concat(),
    );
    sandbox.write("w/a/film.txt", "words");
    look(&sandbox, &["data", "check", "d.toml", "--html", "report.html"]).ok();
    let html = fs::read_to_string(sandbox.path("w/report.html")).expect("written");
    assert!(
        html.contains(">no picture</text>")
            && html.contains("film.bmp<br>1×1<br>no picture: it cannot be decoded"),
        "{html}"
    );
}

#[test]
fn names_cannot_write_on_the_terminal() {
    let sandbox = sandbox(SIMPLE);
    sandbox.write("w/a/x\n\u{1b}[2Jy.png", "no image");
    sandbox.write("w/a/x\n\u{1b}[2Jy.txt", "words");
    for args in [&["data", "check", "d.toml"][..], &["data", "check", "d.toml", "--list", "all"]] {
        let said = look(&sandbox, args);
        assert!(said.stdout.contains("x\\x0a\\x1b[2Jy.png") && !said.stdout.contains('\u{1b}'), "{said}");
    }
}

#[test]
fn a_list_is_a_list_and_says_what_it_cannot_name() {
    let sandbox = sandbox(SIMPLE);
    sandbox.write("w/t.toml", format!("micro_batch_size_per_gpu = 3\n{TRAINING}"));
    let said = look(&sandbox, &["data", "check", "d.toml", "--list", "dropped"]).ok();
    assert_eq!(said.stdout, "");
    assert!(said.stderr.contains("64×64: 1 sample of 4 dropped to fill batches of 3"), "{said}");
    assert!(said.stderr.contains("the trainer's shuffle decides: the same ones in every epoch"), "{said}");
}

#[test]
fn which_training_is_meant_is_said() {
    let sandbox = sandbox(SIMPLE);
    let note = |expected: &str| {
        let said = look(&sandbox, &["data", "check", "d.toml"]);
        assert!(sandbox.neutral(&said.stderr).starts_with(expected), "{said}");
    };
    note("no training file beside it names it: taken are batches of 1");
    sandbox.write(
        "w/v.toml",
        TRAINING.replace(
            "dataset = 'd.toml'",
            "dataset = 'e.toml'\neval_datasets = [{ name = 'e', config = 'd.toml' }]",
        ),
    );
    sandbox.write("w/e.toml", SIMPLE);
    note("as `DIR/w/v.toml` will evaluate with it; name another with `--config`");
    sandbox.write("w/t.toml", TRAINING);
    note("as `DIR/w/t.toml` will train with it, and so does 1 more beside it: name another with `--config`");
}

#[test]
fn a_cut_video_that_is_decoded_trains_if_enough_frames_are_there() {
    let sandbox = sandbox("resolutions = [64]\nframe_buckets = [1, 9]\n[[directory]]\npath = 'a'\n");
    sandbox.write("w/t.toml", TRAINING);
    sandbox.write("w/a/film.txt", "words");
    let whole = avi();
    let film = |less: usize| sandbox.write("w/a/film.avi", &whole[..whole.len() - less]);
    film(0);
    let said = check(&sandbox, 0, "all 5 files train");
    assert!(!said.stdout.contains("media-readable"), "{said}");
    // Ten frames and a part of one.
    film(9 * 108 + 20);
    check(
        &sandbox,
        0,
        "warning[media-readable]: cut off before its end; the frames that are there fill its bucket, so the trainer takes it: `film.avi` in `DIR/w/a`",
    );
    film(12 * 108);
    check(
        &sandbox,
        2,
        "error[media-readable]: cut off before its end, with fewer frames left than its bucket has, on which the trainer gives up while it caches: `film.avi` in `DIR/w/a`",
    );
    // Of the last frame hardly anything: the decoder gives up.
    film(9 * 108 + 90);
    check(
        &sandbox,
        2,
        "error[media-readable]: cut off before its end: `film.avi` in `DIR/w/a`; the trainer measures it",
    );
}

#[test]
fn a_dataset_without_folders_is_an_error() {
    for dataset in
        ["", "resolutions = [64]\n", "resolutions = [64]\ndirectory = []\n", "[[directories]]\npath = 'a'\n"]
    {
        let sandbox = sandbox(dataset);
        check(
            &sandbox,
            2,
            "error[dataset-directory-list]: there is no `[[directory]]`: the dataset is empty",
        );
    }
}
