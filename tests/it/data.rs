//! `dpgui data check`: what it finds, what it says.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    process::Command,
};

use serde_json::Value;

use dpgui::{
    data::{
        NoPicture, Thumbnails,
        media::{self, Ffprobe, Flaw, Media},
    },
    platform::Env,
};

use crate::support::{
    media::{avi, mp4, png},
    sandbox::{Said, Sandbox, make_executable},
};

const TRAINING: &str = "output_dir = 'output'\ndataset = 'd.toml'\nepochs = 3\nsave_every_n_epochs = 1\n\
                        micro_batch_size_per_gpu = 2\ngradient_accumulation_steps = 2\n\
                        [model]\ntype = 'wan'\ndtype = 'bfloat16'\nckpt_path = 'm'\n[optimizer]\ntype = 'adamw'\n";

/// A workspace with a training file and the dataset file `dataset`.
fn sandbox(dataset: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("w/t.toml", TRAINING);
    sandbox.write("w/d.toml", dataset);
    fs::create_dir_all(sandbox.path("w/a")).expect("created");
    sandbox
}

fn read(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.path(name)).expect("read")
}

/// An item with its caption.
fn item(sandbox: &Sandbox, name: &str, bytes: impl AsRef<[u8]>) {
    sandbox.write(format!("w/a/{name}"), bytes);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    sandbox.write(format!("w/a/{stem}.txt"), "words");
}

fn neutral(sandbox: &Sandbox, said: &Said) -> String {
    sandbox.neutral(&format!("{}---\n{}", said.stdout, said.stderr))
}

/// The findings' ids and severities, in order.
#[track_caller]
fn check_findings(sandbox: &Sandbox, expected: &[(&str, &str)]) {
    let said = sandbox.dpgui(&["data", "check", "t.toml", "--json"]);
    let found: Vec<(String, String)> = said
        .events()
        .iter()
        .filter(|it| it["event"] == "finding")
        .map(|it| {
            (it["severity"].as_str().unwrap_or("").to_owned(), it["id"].as_str().unwrap_or("").to_owned())
        })
        .collect();
    let expected: Vec<(String, String)> =
        expected.iter().map(|(severity, id)| ((*severity).to_owned(), (*id).to_owned())).collect();
    assert_eq!(found, expected, "{said}");
    let fails = expected.iter().any(|(severity, _)| severity == "error");
    assert_eq!(said.code, Some(if fails { 2 } else { 0 }), "{said}");
}

const SIMPLE: &str = "resolutions = [64]\nframe_buckets = [1, 9]\n[[directory]]\npath = 'a'\n";

#[test]
fn a_report_takes_the_place_of_an_older_report_and_of_nothing_else() {
    let sandbox = sandbox(SIMPLE);
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        item(&sandbox, name, png(100, 100));
    }
    sandbox.write("w/mine.html", "<!doctype html>\n<title>mine</title>");
    let check = |place: &str, expected: &str| {
        let said = sandbox.dpgui(&["data", "check", "d.toml", "--html", place]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{place}: {said}");
        assert!(said.stderr.contains(expected), "{said}");
    };
    check("d.toml", "something else is there");
    check("mine.html", "something else is there");
    check("a", "it is a folder");
    check("none/report.html", "there is no such folder");
    assert_eq!(read(&sandbox, "w/d.toml"), SIMPLE);
    for _ in 0..2 {
        sandbox.dpgui(&["data", "check", "d.toml", "--html", "report.html"]).ok();
    }
    assert!(read(&sandbox, "w/report.html").contains("a.png"));
}

#[test]
fn a_folder_that_takes_no_cache_is_an_error_and_one_with_a_cache_of_ours_is_none() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox(SIMPLE);
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        item(&sandbox, name, png(100, 100));
    }
    let check = |mode: u32, cache: u32, expected: Option<i32>| {
        fs::create_dir_all(sandbox.path("w/a/cache")).expect("made");
        for (path, mode) in [("w/a/cache", cache), ("w/a", mode), ("w/.dpgui", 0o777)] {
            fs::create_dir_all(sandbox.path(path)).expect("made");
            fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(mode)).expect("set");
        }
        let said = sandbox.dpgui_as_nobody(&["data", "check", "d.toml"]);
        assert_eq!(said.code, expected, "{mode:o} {cache:o}: {said}");
        assert_eq!(said.stdout.contains("error[directory-writable]"), expected == Some(2), "{said}");
    };
    check(0o555, 0o555, Some(2));
    check(0o555, 0o777, Some(0));
    check(0o777, 0o777, Some(0));
}

#[test]
fn a_webp_that_cannot_be_read_ends_the_training_and_a_png_is_left_out() {
    let sandbox = sandbox(SIMPLE);
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        item(&sandbox, name, png(100, 100));
    }
    item(&sandbox, "page.png", "<!DOCTYPE html>");
    let said = sandbox.dpgui(&["data", "check", "d.toml"]).ok();
    assert!(said.stdout.contains("warning[media-readable]: dropped"), "{said}");
    item(&sandbox, "page.webp", "<!DOCTYPE html>");
    let said = sandbox.dpgui(&["data", "check", "d.toml"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stdout.contains("error[media-readable]: no `.webp` that can be read"), "{said}");
}

#[test]
fn masks_of_what_is_dropped_and_masks_that_pillow_may_read_are_no_error() {
    let sandbox = sandbox("resolutions = [64]\n[[directory]]\npath = 'a'\nmask_path = 'm'\n");
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        item(&sandbox, name, png(100, 100));
        sandbox.write(format!("w/m/{name}"), png(100, 100));
    }
    // Too short for any bucket, so its mask is never opened.
    item(&sandbox, "short.mp4", mp4(128, 64, 5, 16));
    sandbox.write("w/m/short.png", png(9, 9));
    let said = sandbox.dpgui(&["data", "check", "d.toml"]).ok();
    assert!(!said.stdout.contains("mask-same-size"), "{said}");
    sandbox.write("w/m/a.png", png(9, 9));
    let said = sandbox.dpgui(&["data", "check", "d.toml"]);
    assert!(said.stdout.contains("mask-same-size"), "{said}");
}

#[test]
fn names_that_are_no_text_are_said_in_json_too() {
    let sandbox = sandbox(SIMPLE);
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        item(&sandbox, name, png(100, 100));
    }
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe.png");
    fs::write(sandbox.path("w/a").join(name), png(100, 100)).expect("written");
    let said = sandbox.dpgui(&["data", "check", "d.toml", "--list", "all", "--json"]).ok();
    let paths = said.events().into_iter().filter(|it| it["event"] == "item").map(|it| it["path"].clone());
    assert!(
        paths.into_iter().any(|it| it.as_str().expect("text").ends_with("\u{fffd}\u{fffd}.png")),
        "{said}"
    );
}

#[test]
fn the_table_says_what_trains_what_is_lost_and_what_to_do() {
    let dataset = "resolutions = [64]\nenable_ar_bucket = true\nmin_ar = 0.5\nmax_ar = 2.0\nnum_ar_buckets = 3\n\
                   frame_buckets = [1, 9, 20]\n[[directory]]\npath = 'a'\n";
    let sandbox = sandbox(dataset);
    for number in 0..8 {
        item(&sandbox, &format!("square{number}.png"), png(100, 90));
    }
    for number in 0..5 {
        item(&sandbox, &format!("wide{number}.png"), png(200, 90));
    }
    for number in 0..4 {
        item(&sandbox, &format!("film{number}.mp4"), mp4(128, 64, 40, 32));
    }
    item(&sandbox, "short.mp4", mp4(128, 64, 5, 16));
    item(&sandbox, "page.jpg", "<!DOCTYPE html>");
    sandbox.write("w/a/bare.png", png(64, 64));
    let said = sandbox.dpgui(&["data", "check", "d.toml"]).ok();
    insta::assert_snapshot!(neutral(&sandbox, &said));

    let said = sandbox.dpgui(&["data", "check", "t.toml", "--list", "dropped"]).ok();
    let listed: Vec<&str> = said.stdout.lines().filter(|it| it.starts_with('/')).collect();
    assert_eq!(
        sandbox.neutral(&listed.join("\n")),
        "DIR/w/a/bare.png: dropped, no caption\nDIR/w/a/page.jpg: dropped, a web page in place of the file\n\
         DIR/w/a/short.mp4: dropped, too short for any bucket"
    );
}

#[test]
fn programs_get_the_same_as_json() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..9 {
        item(&sandbox, &format!("{number}.png"), png(100, 50));
    }
    item(&sandbox, "film.mp4", mp4(128, 128, 40, 32));
    let said = sandbox.dpgui(&["data", "check", "t.toml", "--json", "--gpus", "2", "--list", "all"]).ok();
    let events = said.events();
    let of = |kind: &str| events.iter().filter(|it| it["event"] == kind).collect::<Vec<_>>();
    let film = of("item").into_iter().find(|it| it["video"] != Value::Null).expect("the film");
    assert_eq!(film["video"], serde_json::json!({ "frames": 40, "decoded": 40, "rate": "32/1" }));
    assert_eq!((&film["frames"], &film["buckets"][0]["size"]), (&20.into(), &serde_json::json!([64, 64, 9])));
    let image = of("item")[0];
    assert_eq!(image["buckets"][0]["crop"], serde_json::json!([25.0, 0.0, 75.0, 50.0]));
    let bucket = of("bucket")[0];
    assert_eq!((&bucket["samples"], &bucket["batch"], &bucket["trained"]), (&9.into(), &8.into(), &8.into()));
    assert_eq!(bucket["cut_pixels_mean"], 0.5);
    let last = events.last().expect("a summary");
    let summary = ["files", "files_trained", "samples", "samples_trained", "steps", "data_parallel"];
    assert_eq!(summary.map(|key| last[key].as_u64()), [10, 9, 10, 8, 1, 2].map(Some));
}

#[test]
fn without_a_training_file_the_usual_numbers_are_taken() {
    let sandbox = sandbox(SIMPLE);
    fs::remove_file(sandbox.path("w/t.toml")).expect("removed");
    item(&sandbox, "a.png", png(100, 100));
    let said = sandbox.dpgui(&["data", "check", "d.toml"]).ok();
    assert!(said.stdout.ends_with("\nall 1 file train; an epoch has 1 sample in 1 step\n"), "{said}");
    assert!(said.stderr.starts_with("no training file beside it names it: taken are batches of 1"), "{said}");
}

#[test]
fn what_the_trainer_drops_is_a_warning() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
    }
    check_findings(&sandbox, &[]);
    for (name, bytes) in [
        ("empty.png", &b""[..]),
        ("lfs.png", b"version https://git-lfs.github.com/spec/v1\n"),
        ("text.jpg", b"no image at all"),
        ("huge.png", &png(20_000, 20_000)),
        ("heic.png", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1"),
        ("Mixed.Mp4", &mp4(64, 64, 9, 16)),
    ] {
        item(&sandbox, name, bytes);
    }
    let readable = ("warning", "media-readable");
    check_findings(&sandbox, &[readable; 5]);
    // The trainer opens nothing without a caption; what it is, is said all the same.
    for name in ["empty", "lfs", "text", "huge", "heic", "Mixed"] {
        fs::remove_file(sandbox.path(format!("w/a/{name}.txt"))).expect("removed");
    }
    check_findings(&sandbox, &[readable; 5]);
}

#[test]
fn what_the_trainer_gives_up_on_is_an_error() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
    }
    let mut animated = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x3f\0\0\x3f\0\0".to_vec();
    animated.extend(b"ANMF\x02\0\0\0xxANMF\x02\0\0\0xx");
    item(&sandbox, "a.webp", animated);
    check_findings(&sandbox, &[("error", "no-animated-webp")]);
    fs::remove_file(sandbox.path("w/a/a.webp")).expect("removed");
    sandbox.write("w/a/0.txt", b"caf\xe9");
    check_findings(&sandbox, &[("error", "captions-readable"), ("note", "caption-alone")]);
    sandbox.write("w/a/captions.json", r#"{"0.png": "words", "1.png": ["words", "more"]}"#);
    let replaced = ("warning", "captions-json-replaces-txt");
    let rest = [("warning", "captions-present"), ("error", "buckets-hold-a-batch")];
    check_findings(&sandbox, &[&[("error", "captions-json-lists"), replaced][..], &rest].concat());
    sandbox.write("w/a/captions.json", "{");
    check_findings(&sandbox, &[("error", "captions-json-lists"), rest[0], ("error", "buckets-hold-a-batch")]);
}

#[test]
fn a_caption_that_is_not_as_meant_is_told_of_at_its_item() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..8 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
    }
    for (number, text) in
        [&b"\xef\xbb\xbfwords"[..], b"", b" \n", b"\xef\xbb\xbf", b"caf\xe9"].iter().enumerate()
    {
        sandbox.write(format!("w/a/{number}.txt"), text);
    }
    // What is kept of the first look says the same.
    for _ in 0..2 {
        let found = |said: &Said, key: &str| -> Vec<Value> {
            said.events().iter().filter(|it| it["event"] == "item").map(|it| it[key].clone()).collect()
        };
        let said = sandbox.dpgui(&["data", "check", "t.toml", "--json", "--list", "all"]);
        let (mark, empty) = ("captions-mark", "captions-empty");
        let expected =
            [Some(mark), Some(empty), Some(empty), Some(empty), Some("captions-readable"), None, None, None];
        assert_eq!(found(&said, "finding"), expected.map(Value::from), "{said}");
        let empty = "a caption without words";
        let expected = [
            Some("a caption that begins with a byte order mark"),
            Some(empty),
            Some(empty),
            Some(empty),
            Some("a caption that is no UTF-8 text"),
            None,
            None,
            None,
        ];
        assert_eq!(found(&said, "caption_flaw"), expected.map(Value::from), "{said}");
        check_findings(
            &sandbox,
            &[("error", "captions-readable"), ("warning", mark), ("warning", "captions-empty")],
        );
    }
    let said = sandbox.dpgui(&["data", "check", "t.toml"]);
    for line in [
        "a caption that begins with a byte order mark, which the trainer takes for a character of it: `0.png` in `",
        "a caption without words, with which the item trains: `1.png` and 2 more in `",
        "a caption that is no UTF-8 text, on which the trainer gives up: `4.png` in `",
    ] {
        assert!(said.stdout.contains(line), "{said}");
    }
}

#[test]
fn the_demo_gives_up_on_captions_without_words_and_on_those_that_are_no_text() {
    let sandbox = sandbox(SIMPLE);
    sandbox.write("w/t.toml", TRAINING.replace("'wan'", "'demo'"));
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
    }
    check_findings(&sandbox, &[]);
    sandbox.write("w/a/0.txt", b"caf\xe9");
    sandbox.write("w/a/1.txt", b"\xef\xbb\xbfwords");
    sandbox.write("w/a/2.txt", " \n");
    sandbox.write("w/a/3.txt", "");
    let expected =
        [("error", "captions-readable"), ("warning", "captions-mark"), ("error", "captions-empty")];
    check_findings(&sandbox, &expected);
    let said = sandbox.dpgui(&["data", "check", "t.toml"]);
    let line = "a caption without words, on which the demo's trainer gives up: 2 captions in `";
    assert!(said.stdout.contains(line) && said.stdout.contains("the first that of `2.png`"), "{said}");
}

#[test]
fn what_is_broken_and_has_no_caption_is_counted_as_what_it_is() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
    }
    sandbox.write("w/a/bare.png", png(100, 100));
    sandbox.write("w/a/text.jpg", "no image at all");
    let said = sandbox.dpgui(&["data", "check", "t.toml"]).ok();
    assert!(said.stdout.contains("a: 6 files, dropped: 1 no caption, 1 unusable\n"), "{said}");
    let said = sandbox.dpgui(&["data", "check", "t.toml", "--json", "--list", "dropped"]).ok();
    let items = said.events().into_iter().filter(|it| it["event"] == "item");
    let dropped: Vec<Value> = items.map(|it| it["dropped"].clone()).collect();
    assert_eq!(dropped, ["no caption", "unusable"]);
}

#[test]
fn a_look_at_the_data_and_one_at_the_configuration_find_the_same_in_the_dataset_file() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
    }
    let ratios = "resolutions = [64]\nenable_ar_bucket = true\n";
    let check = |top: &str, own: &str, ids: &[&str]| {
        sandbox.write("w/d.toml", format!("{top}\n[[directory]]\npath = 'a'\n{own}\n"));
        let found = |command: &str| -> Vec<(String, String, u64)> {
            let said = sandbox.dpgui(&[command, "check", "t.toml", "--json"]);
            let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
            let of = |it: &Value| (text(&it["id"]), text(&it["message"]), it["line"].as_u64().unwrap_or(0));
            let is_about = |it: &&Value| it["event"] == "finding" && text(&it["file"]).ends_with("/d.toml");
            said.events().iter().filter(is_about).map(of).collect()
        };
        let of_data = found("data");
        assert_eq!(of_data.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ids, "{top} {own}");
        let of_config = found("config");
        assert!(of_data.iter().all(|it| of_config.contains(it)), "{of_data:?}\n{of_config:?}");
    };
    check(ratios, "ar_buckets = [-1]", &["resolution-pair-shape"]);
    check(&format!("{ratios}ar_buckets = [[1, 0]]"), "", &["resolution-pair-shape"]);
    check(&format!("{ratios}min_ar = 0\nmax_ar = 2\nnum_ar_buckets = 3"), "", &["ar-range-valid"]);
    check(&format!("{ratios}min_ar = 1\nnum_ar_buckets = 3"), "", &["ar-range-top-level"]);
    check("resolutions = [0]", "", &["resolution-pair-shape"]);
    check("", "size_buckets = [[64, 64]]", &["size-bucket-shape"]);
    check("", "size_buckets = [[64, 64, 0]]", &["size-bucket-shape"]);
    check("resolutions = [64]", "num_repeats = 0", &["num-repeats-positive"]);
    check("resolutions = [64]", "mask_path = 1", &["wrong-type"]);
    // The trainer sorts the ratios.
    check(&format!("{ratios}min_ar = 3\nmax_ar = 1\nnum_ar_buckets = 3"), "", &[]);
}

#[test]
fn captions_are_counted_and_repeated() {
    let dataset = "resolutions = [64]\n[[directory]]\npath = 'a'\nnum_repeats = 1.5\ncache_shuffle_num = 2\n";
    let sandbox = sandbox(dataset);
    item(&sandbox, "a.png", png(100, 100));
    item(&sandbox, "b.png", png(100, 100));
    sandbox.write("w/a/captions.json", r#"{"a.png": ["x", "y", "z"], "b.png": ["x"]}"#);
    let said = sandbox.dpgui(&["data", "check", "t.toml", "--json"]).ok();
    let last = said.events().pop().expect("a summary");
    assert_eq!(
        (&last["samples"], &last["samples_trained"], &last["steps"]),
        (&12.into(), &12.into(), &3.into())
    );
}

#[test]
fn masks_and_control_images_are_held_against_their_items() {
    let sandbox =
        sandbox("resolutions = [64]\n[[directory]]\npath = 'a'\nmask_path = 'm'\ncontrol_path = 'c'\n");
    sandbox.write("w/t.toml", TRAINING.replace("'wan'", "'qwen_image'"));
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
        sandbox.write(format!("w/m/{number}.jpg"), png(100, 100));
        sandbox.write(format!("w/c/{number}.webp"), png(100, 100));
    }
    check_findings(&sandbox, &[]);
    sandbox.write("w/m/0.jpg", png(100, 101));
    fs::remove_file(sandbox.path("w/m/1.jpg")).expect("removed");
    sandbox.write("w/m/2.png", png(100, 100));
    fs::remove_file(sandbox.path("w/c/3.webp")).expect("removed");
    check_findings(
        &sandbox,
        &[
            ("error", "control-file-per-target"),
            ("error", "mask-same-size"),
            ("warning", "mask-per-item"),
            ("warning", "companion-ambiguous"),
        ],
    );
}

#[test]
fn control_images_of_another_size_are_named_with_what_the_trainer_does_with_them() {
    let sandbox = sandbox("resolutions = [64]\n[[directory]]\npath = 'a'\ncontrol_path = 'c'\n");
    sandbox.write("w/t.toml", TRAINING.replace("'wan'", "'flux'"));
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(300, 201));
        sandbox.write(format!("w/c/{number}.png"), png(300, 201));
    }
    let check = |code: i32, expected: &str| {
        let said = sandbox.dpgui(&["data", "check", "t.toml"]);
        let text = sandbox.neutral(&said.stdout);
        assert_eq!((said.code, text.contains(expected)), (Some(code), true), "{expected:?} in {said}");
    };
    check_findings(&sandbox, &[]);
    // The same shape, as near as whole pixels can be.
    sandbox.write("w/c/0.png", png(150, 100));
    check_findings(&sandbox, &[("note", "control-same-size")]);
    check(
        0,
        "the trainer scales both into one bucket: `DIR/w/c/0.png` has 150×100 pixels, its target `0.png` 300×201",
    );
    sandbox.write("w/c/1.png", png(300, 300));
    sandbox.write("w/c/2.png", png(300, 205));
    check_findings(&sandbox, &[("warning", "control-same-shape"), ("note", "control-same-size")]);
    check(
        0,
        "so that the two no longer fit: `DIR/w/c/1.png` has 300×300 pixels, its target `1.png` 300×201, and so 1 more",
    );
    fs::remove_file(sandbox.path("w/c/3.png")).expect("removed");
    sandbox.write("w/c/3.mp4", mp4(300, 201, 9, 16));
    check(2, "error[control-file-per-target]: the control image `DIR/w/c/3.mp4` cannot be used: a video");
}

#[test]
fn a_model_that_takes_no_control_images_is_named() {
    let sandbox = sandbox("resolutions = [64]\n[[directory]]\npath = 'a'\ncontrol_path = 'c'\n");
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
        sandbox.write(format!("w/c/{number}.png"), png(100, 100));
    }
    for (model, expected) in [
        ("wan", &[("error", "edit-dataset-supported-type")][..]),
        ("flux2", &[("error", "edit-dataset-supported-type")]),
        ("qwen_image", &[]),
        ("flux", &[]),
    ] {
        sandbox.write("w/t.toml", TRAINING.replace("'wan'", &format!("'{model}'")));
        check_findings(&sandbox, expected);
    }
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(vec![]);
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // As it is, where the crate would make `a` of `./a`.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *content).expect("appended");
    }
    archive.into_inner().expect("finished")
}

#[test]
fn the_members_of_an_archive_are_items_with_the_captions_of_captions_json() {
    let sandbox = sandbox(SIMPLE);
    let (image, film, other) = (png(100, 100), mp4(100, 100, 40, 16), avi());
    let members: Vec<(String, &[u8])> = (0..8).map(|it| (format!("deep/{it}.png"), &image[..])).collect();
    let mut all: Vec<(&str, &[u8])> = members.iter().map(|(name, it)| (name.as_str(), *it)).collect();
    all.extend([("a.txt", &b"words"[..]), ("b.mp4", &film), ("c.avi", &other)]);
    sandbox.write("w/a/all.tar", tar(&all));
    let check = |code: i32, expected: &[&str]| {
        let said = sandbox.dpgui(&["data", "check", "t.toml"]);
        let text = sandbox.neutral(&said.stdout);
        for part in expected {
            assert!(text.contains(part), "{part:?} in {said}");
        }
        assert_eq!(said.code, Some(code), "{said}");
    };
    let note = "takes each of 11 members for an item, folders and texts among them, and their captions from `captions.json` alone: `all.tar` in `DIR/w/a`";
    let uncaptioned =
        "no entry in `captions.json`, so the trainer drops it: `all.tar/deep/0.png` and 10 more in `DIR/w/a`";
    check(2, &["0 of 11 files train, 11 dropped", note, uncaptioned]);
    let names = members.iter().map(|(name, _)| name.as_str()).chain(["a.txt", "b.mp4", "c.avi"]);
    let entries: Vec<String> = names.map(|it| format!("\"{it}\": [\"words\"]")).collect();
    sandbox.write("w/a/captions.json", format!("{{{}}}", entries.join(",")));
    check(
        0,
        &[
            "dropped, neither image nor video, or damaged: `all.tar/a.txt` in `DIR/w/a`",
            "dropped, a video in an archive and no MP4, which the trainer cannot open there: `all.tar/c.avi` in `DIR/w/a`",
            "8 of 11 files",
        ],
    );
    sandbox.write("w/a/captions.json", r#"{"./a.png": ["words"]}"#);
    sandbox.write("w/a/all.tar", tar(&[("./a.png", &image), ("./b.png", &image)]));
    check(
        2,
        &[
            "error[archive-members]: in an archive as `./…`, where the trainer looks for it without `./`: `all.tar/./a.png` in",
        ],
    );
    let whole = tar(&[("a.png", &image)]);
    for (broken, why) in [
        (&whole[..whole.len() - 1024 - 500], "cut off before its end"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0".repeat(80).as_slice(), "no tar archive, or a packed one"),
        (b"", "empty"),
    ] {
        sandbox.write("w/a/all.tar", broken);
        let expected = format!("an archive on which the trainer gives up, {why}: `all.tar` in `DIR/w/a`");
        check(2, &[&expected]);
    }
}

/// With the real FFmpeg, where there is one.
#[test]
fn containers_that_are_not_read_here_are_measured_by_ffprobe() {
    let mut sandbox = sandbox(SIMPLE);
    let films: Vec<String> = ["flv", "ts", "wmv"].iter().map(|it| format!("film.{it}")).collect();
    for name in &films {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=16:duration=1"])
            .arg(sandbox.path("w/a").join(name))
            .status();
        if !made.is_ok_and(|it| it.success()) {
            eprintln!("skipped: there is no ffmpeg");
            return;
        }
    }
    sandbox.write("w/a/film.txt", "words");
    let path = std::env::var("PATH").expect("a path");
    let mut check = |path: &str, expected: &str| {
        sandbox.env("PATH", path);
        let said = sandbox.dpgui(&["data", "check", "t.toml"]);
        assert!(said.stdout.contains(expected), "{expected:?} in {said}");
        (said.code, said)
    };
    // Whether that is much or nothing is not known, so it is no error.
    let (code, said) =
        check("", "a video that only `ffprobe` could measure, which is not installed: `film.flv` and 2 more");
    assert_eq!(code, Some(0), "{said}");
    check(
        &path,
        "so the trainer counts one and takes it for so many as one becomes at the model's rate: `film.flv` and 2 more",
    );
    // What was measured once is known.
    check("", "so the trainer counts one and");
    let listed = sandbox.dpgui(&["data", "check", "t.toml", "--list", "all", "--json"]).events();
    let sizes = listed
        .iter()
        .filter(|it| it["event"] == "item")
        .map(|it| (&it["width"], &it["height"], &it["video"]["rate"]));
    let expected = (&320.into(), &180.into(), &"16/1".into());
    assert_eq!(sizes.collect::<Vec<_>>(), [expected; 3]);
}

#[test]
fn size_buckets_that_the_trainer_confuses_are_named() {
    // Sorted by length, the wide one is first; sorted by ratio, it is last.
    let sandbox = sandbox("size_buckets = [[128, 64, 1], [64, 128, 1]]\n[[directory]]\npath = 'a'\n");
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(200, 100));
    }
    check_findings(&sandbox, &[("warning", "size-buckets-order")]);
    sandbox.write("w/d.toml", "size_buckets = [[64, 128, 1], [128, 64, 1]]\n[[directory]]\npath = 'a'\n");
    check_findings(&sandbox, &[]);
}

#[test]
fn an_image_that_loses_most_of_itself_is_a_note() {
    let sandbox = sandbox(SIMPLE);
    for name in ["half.png", "side.png", "wide.png"] {
        item(&sandbox, name, png(128, 64));
    }
    item(&sandbox, "line.png", png(1000, 64));
    let said = sandbox.dpgui(&["data", "check", "d.toml"]).ok();
    let note = "note[cropped]: of another shape than any bucket, so that more than half of it is cut off: `line.png` in";
    assert!(said.stdout.contains(note), "{said}");
}

#[test]
fn strange_folders_are_one_finding_each() {
    let sandbox = sandbox("resolutions = [64]\n[[directory]]\npath = 'none'\n[[directory]]\npath = 'a'\n");
    check_findings(&sandbox, &[("error", "directory-exists"), ("error", "directory-has-media")]);
    sandbox.write("w/d.toml", "resolutions = [64]\n[[directory]]\npath = 'a'\nnum_repeats = 0\n");
    check_findings(&sandbox, &[("error", "num-repeats-positive")]);
    sandbox.write("w/d.toml", "resolutions = [[64]]\n[[directory]]\npath = 'a'\n");
    check_findings(&sandbox, &[("error", "resolution-pair-shape")]);
    // A link to nowhere, a folder that is called an image and a pipe are no files.
    sandbox.write("w/d.toml", SIMPLE);
    symlink("nowhere", sandbox.path("w/a/link.png")).expect("linked");
    fs::create_dir(sandbox.path("w/a/folder.png")).expect("created");
    let status = std::process::Command::new("mkfifo").arg(sandbox.path("w/a/pipe.png")).status();
    assert!(status.expect("mkfifo starts").success());
    let passed_over = ("warning", "directory-readable");
    check_findings(&sandbox, &[passed_over, passed_over, ("error", "directory-has-media")]);
}

#[test]
fn a_second_look_opens_no_file_again() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(100, 100));
    }
    check_findings(&sandbox, &[]);
    // The same size and time as before: only who opens it sees that it is none.
    let file = sandbox.path("w/a/0.png");
    let time = fs::metadata(&file).and_then(|it| it.modified()).expect("there");
    let length = fs::read(&file).expect("read").len();
    fs::write(&file, vec![0; length]).expect("written");
    let touch = |time| {
        fs::File::options().write(true).open(&file).and_then(|it| it.set_modified(time)).expect("touched");
    };
    touch(time);
    check_findings(&sandbox, &[]);
    touch(time + std::time::Duration::from_secs(1));
    check_findings(&sandbox, &[("warning", "media-readable"), ("error", "buckets-hold-a-batch")]);
}

#[test]
fn the_report_is_one_file_with_every_item() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..4 {
        item(&sandbox, &format!("<{number}>.png"), png(100, 50));
    }
    sandbox.dpgui(&["data", "check", "t.toml", "--html", "report.html"]).ok();
    let html = fs::read_to_string(sandbox.path("w/report.html")).expect("written");
    assert!(html.starts_with("<!doctype html>"));
    assert_eq!(html.matches("<figure>").count(), 4);
    assert!(html.contains("&lt;0&gt;.png") && !html.contains("<0>"), "{html}");
    // Half of it is cut off.
    assert!(html.contains("M25.0 0.0H75.0V50.0H25.0Z"), "{html}");
    assert!(!html.contains("http"), "it needs something else");
}

#[test]
fn the_variant_of_the_weights_decides_rate_and_sizes() {
    let sandbox = sandbox("resolutions = [80]\nframe_buckets = [1, 9]\n[[directory]]\npath = 'a'\n");
    item(&sandbox, "film.mp4", mp4(128, 128, 40, 32));
    item(&sandbox, "image.png", png(128, 128));
    let check = |kind: &str, frames: u64, side: u64| {
        sandbox.write("w/m/config.json", format!(r#"{{"model_type": "{kind}", "dim": 5120}}"#));
        let said = sandbox.dpgui(&["data", "check", "t.toml", "--json", "--list", "all"]);
        let events = said.events();
        let film = events.iter().find(|it| it["event"] == "item").expect("an item");
        assert_eq!(film["frames"], frames, "{said}");
        assert_eq!(film["buckets"][0]["size"], serde_json::json!([side, side, 9]), "{said}");
        events.iter().filter(|it| it["id"] == "wan-i2v-video-only").count()
    };
    assert_eq!(check("t2v", 20, 80), 0);
    assert_eq!(check("i2v", 20, 80), 1);
    // 80 is half way between two multiples of 32: to the even one.
    assert_eq!(check("ti2v", 30, 64), 0);
}

#[test]
fn each_proposal_keeps_what_it_promises() {
    let dataset = |ratios: u32| {
        format!(
            "resolutions = [64]\nenable_ar_bucket = true\nmin_ar = 0.5\nmax_ar = 2.0\nnum_ar_buckets = {ratios}\n\
             [[directory]]\npath = 'a'\n"
        )
    };
    let training = TRAINING.replace("accumulation_steps = 2", "accumulation_steps = 3");
    let mut proposed = std::collections::BTreeSet::new();
    // A step takes 6. Pairs would fit with another accumulation, threes with another micro batch.
    for copies in [2, 3] {
        let sandbox = sandbox(&dataset(5));
        for number in 0..12 * copies {
            item(&sandbox, &format!("{number}.png"), png(100 + 15 * (number / copies), 150));
        }
        sandbox.write("w/t.toml", &training);
        proposed.extend(check_proposals(&sandbox, &training, &dataset));
    }
    let all =
        ["gradient_accumulation_steps", "micro_batch_size_per_gpu", "num_ar_buckets", "num_repeats_times"];
    assert_eq!(proposed.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn proposals_for_a_batch_of_a_billion_are_there_at_once() {
    let sandbox = sandbox(SIMPLE);
    for number in 0..4 {
        item(&sandbox, &format!("{number}.png"), png(64, 64));
    }
    sandbox.write("w/t.toml", TRAINING.replace("accumulation_steps = 2", "accumulation_steps = 1000000000"));
    let said = sandbox.dpgui(&["data", "check", "t.toml", "--json"]);
    let is_accumulation = |it: &Value| it["key"] == "gradient_accumulation_steps";
    let proposal = said.events().into_iter().find(is_accumulation).expect("a proposal");
    assert_eq!(proposal["value"], 2, "{said}");
}

/// Follows each proposal and compares; their keys come back.
fn check_proposals(sandbox: &Sandbox, training: &str, dataset: &dyn Fn(u32) -> String) -> Vec<String> {
    let ask = || sandbox.dpgui(&["data", "check", "t.toml", "--json"]).events();
    let proposals: Vec<Value> = ask().into_iter().filter(|it| it["event"] == "proposal").collect();
    for proposal in &proposals {
        let (key, value) =
            (proposal["key"].as_str().expect("a key"), proposal["value"].as_u64().expect("a number"));
        assert!(
            proposal["trained"].as_f64() >= proposal["samples"].as_f64().map(|it| it * 0.99),
            "{proposal}"
        );
        match key {
            "num_repeats_times" => {
                sandbox.write("w/d.toml", format!("num_repeats = {value}\n{}", dataset(5)))
            }
            "num_ar_buckets" => sandbox.write("w/d.toml", dataset(u32::try_from(value).expect("few"))),
            "micro_batch_size_per_gpu" => {
                sandbox.write("w/t.toml", training.replace("per_gpu = 2", &format!("per_gpu = {value}")))
            }
            _ => sandbox.write("w/t.toml", training.replace("steps = 3", &format!("steps = {value}"))),
        };
        let now = ask().pop().expect("a summary");
        let numbers = |it: &Value, trained: &str| ["samples", trained, "steps"].map(|key| it[key].as_u64());
        assert_eq!(numbers(&now, "samples_trained"), numbers(proposal, "trained"), "{key}");
        sandbox.write("w/d.toml", dataset(5));
        sandbox.write("w/t.toml", training);
    }
    proposals.iter().map(|it| it["key"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Damaged in every way that a few changed bytes and a lost end can: a size or a reason, and never a panic.
#[test]
fn damaged_files_have_a_size_or_a_reason() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/differential/media.jsonl");
    let mut state = 0x2026_1127_u64;
    let mut random = |below: usize| {
        // xorshift64*: the same damage every time.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).expect("small") % below.max(1)
    };
    let mut sizes = 0;
    for line in fs::read_to_string(kept).expect("read").lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let name = std::ffi::OsStr::new(line["name"].as_str().expect("a name"));
        let whole = unpacked(line["bytes"].as_str().expect("text"));
        for round in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..round % 6 {
                if let Some(byte) = bytes.get_mut(random(whole.len().min(600))) {
                    *byte = [0, 1, 0x7f, 0x80, 0xff, u8::try_from(random(256)).expect("a byte")][random(6)];
                }
            }
            if round % 3 == 0 {
                bytes.truncate(random(whole.len()));
            }
            let media = media::measure(name, std::io::Cursor::new(bytes), || Err(Flaw::NeedsFfprobe));
            if let Some((width, height)) = media.size() {
                assert!(width > 0 && height > 0, "{name:?}: {media:?}");
                sizes += 1;
            }
        }
    }
    assert!(sizes > 1000, "only {sizes} of the damaged files still had a size");
}

#[test]
fn lengths_that_lie_are_no_panic() {
    let check = |name: &str, bytes: &[u8]| {
        let media = media::measure(name.as_ref(), std::io::Cursor::new(bytes), || Err(Flaw::NeedsFfprobe));
        assert!(matches!(media, Media::Unusable(_)), "{name}: {media:?}");
    };
    // A track's type that begins in the track and ends outside of it; a chunk of 4 GiB.
    check(
        "a.mkv",
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\x16\x54\xae\x6b\x83\xae\x81\x83\x81\x01\x01\x01",
    );
    check("a.webp", b"RIFF\0\0\0\0WEBPVP8X\xff\xff\xff\xff\0\0");
}

#[test]
fn a_text_that_is_called_a_video_is_none_with_or_without_ffmpeg() {
    let of = |name: &str, bytes: &[u8]| {
        media::measure(name.as_ref(), std::io::Cursor::new(bytes), || Err(Flaw::NeedsFfprobe))
    };
    assert_eq!(of("broken.mp4", b"no film"), Media::Unusable(Flaw::NoMedia));
    assert_eq!(of("film.ts", &[0x47, 0x40, 0, 0x10]), Media::Unusable(Flaw::NeedsFfprobe));
    assert_eq!(of("film.y4m", b"YUV4MPEG2 W64 H64 F24:1\n"), Media::Unusable(Flaw::NeedsFfprobe));
    assert_eq!(of("film.mpd", b"<?xml version=\"1.0\"?>"), Media::Unusable(Flaw::NeedsFfprobe));
}

/// What Pillow and PyAV said of these files is in `tests/data/differential`, see `tests/differential/media.py`.
#[test]
fn real_files_are_measured_as_pillow_and_ffmpeg_measure_them() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/differential/media.jsonl");
    let (mut count, mut fewer, mut wrong) = (0, 0, vec![]);
    for line in fs::read_to_string(kept).expect("read").lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let name = line["name"].as_str().expect("a name");
        let path = dir.path().join(name);
        fs::write(&path, unpacked(line["bytes"].as_str().expect("text"))).expect("written");
        let measured = match media::probe(&path, &Ffprobe::default()) {
            Media::Image { width, height, .. } => serde_json::json!([width, height]),
            // Of the frame in which the file ends, which may be decoded, we promise nothing.
            Media::Video { there, .. } if line["then"].as_u64().is_some_and(|it| it - there <= 1) => {
                count += 1;
                fewer += 1;
                continue;
            }
            // Less than a frame's worth is missing.
            Media::Video { width, height, frames, there, rate } if frames - there <= 1 => {
                let rate = match rate.denominator {
                    1 => rate.numerator.to_string(),
                    denominator => format!("{}/{denominator}", rate.numerator),
                };
                serde_json::json!([width, height, frames, rate])
            }
            Media::Video { there, .. } => serde_json::json!({ "decoded": there }),
            Media::Unusable(Flaw::CutOff) => "cut off".into(),
            Media::Unusable(_) => Value::Null,
        };
        // Whether these decoders mind is chance, so the film is refused.
        let is_chance = ["chosen-", "jpegs-", "loud-"].iter().any(|it| name.starts_with(it));
        if is_chance && measured == "cut off" && !name.contains("less0") {
            count += 1;
            continue;
        }
        let expected = match line["then"].as_str() {
            Some("fails") => "cut off".into(),
            _ => line["says"].clone(),
        };
        count += 1;
        if measured != expected {
            wrong.push(format!("{name}: ours {measured}, theirs {expected}"));
        }
    }
    assert!(count > 250, "only {count} files");
    assert!(fewer >= 4, "only {fewer} films with fewer frames than were counted");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pictures_of_all_kinds_are_small_pngs_of_the_same_pixels() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/differential/media.jsonl");
    let lines: Vec<Value> = fs::read_to_string(kept)
        .expect("read")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let picture = |name: &str| {
        let line = lines.iter().find(|it| it["name"] == name).expect("kept");
        let path = dir.path().join(name);
        fs::write(&path, unpacked(line["bytes"].as_str().expect("text"))).expect("written");
        Thumbnails::default().of(&path)
    };
    // The same noise, in formats that lose nothing.
    let expected = picture("png0-0.png").expect("a picture");
    for name in ["bmp0-0.bmp", "webp1-0.webp", "tiff0-0.tiff", "tiff1-0.tiff"] {
        assert_eq!(picture(name).as_ref(), Ok(&expected), "{name}");
    }
    let black = picture("plain.png").expect("a picture");
    for name in [
        "plain.gif",
        "plain.bmp",
        "plain.jpg",
        "plain.webp",
        "lossless.webp",
        "two.gif",
        "two.webp",
        "plain.tiff",
    ] {
        assert_eq!(picture(name).as_ref(), Ok(&black), "{name}");
    }
    for name in ["gif0-0.gif", "moving-0.gif", "webp0-0.webp", "clear.webp", "tiff2-0.tiff"] {
        assert!(picture(name).is_ok(), "{name}");
    }
    // Of a TIFF alone, Pillow heeds the orientation.
    assert_eq!(size_of(&picture("turned6.tiff").expect("a picture")), (13, 21));
    for name in ["palette-0.bmp", "tiff1-1374.tiff"] {
        assert_eq!(picture(name), Err(NoPicture::Undecodable), "{name}");
    }
    for name in ["plain.avif", "film0.mp4"] {
        assert_eq!(picture(name), Err(NoPicture::NeedsFfmpeg), "{name}");
    }
}

/// Of a PNG.
fn size_of(png: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

/// With the real FFmpeg, where there is one, and with a program that answers as it does.
#[test]
fn of_videos_and_avif_there_is_the_first_frame_where_ffmpeg_is_installed() {
    let sandbox = sandbox(SIMPLE);
    for (at, name) in ["h264-0.mp4", "film0.webm", "avif0-0.avif"].iter().enumerate() {
        item(&sandbox, &format!("{at}{name}"), unpacked(kept(name)["bytes"].as_str().expect("text")));
    }
    let look = |path: &str| {
        let mut env = Env::default();
        env.set("PATH", path);
        let pictures = Thumbnails::on_path(&env);
        ["0h264-0.mp4", "1film0.webm", "2avif0-0.avif"]
            .map(|name| pictures.of(&sandbox.path("w/a").join(name)).map(|png| size_of(&png)))
    };
    assert_eq!(look("/nowhere"), [Err(NoPicture::NeedsFfmpeg); 3]);
    // The last one is shown in tiles, of which this is the first; the second cannot be decoded.
    let fake = "#!/bin/sh\nif head -c 100 | grep -q webm; then echo broken >&2; exit 1; fi\n\
                printf 'P6\\n32 16\\n255\\n'; head -c 1536 /dev/zero\n";
    make_executable(&sandbox.write("fakes/ffmpeg", fake));
    let path = format!("{}:/usr/bin:/bin", sandbox.path("fakes").display());
    assert_eq!(look(&path), [Ok((32, 16)), Err(NoPicture::Undecodable), Err(NoPicture::Undecodable)]);
    if which::which("ffmpeg").is_ok() {
        let path = std::env::var("PATH").expect("a path");
        assert_eq!(look(&path), [Ok((32, 16)), Ok((32, 16)), Ok((29, 23))]);
    } else {
        eprintln!("skipped in part: there is no ffmpeg");
    }
}

/// A small real file, and what the trainer's libraries say of it.
fn kept(name: &str) -> Value {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/differential/media.jsonl");
    let text = fs::read_to_string(kept).expect("read");
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.find(|it| it["name"] == name).expect("kept")
}

/// Base64.
fn unpacked(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut bytes, mut buffer, mut bits) = (vec![], 0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        (buffer, bits) = (buffer << 6 | u32::from(value(letter)), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xff).expect("a byte"));
        }
    }
    bytes
}
