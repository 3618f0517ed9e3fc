//! `dpgui config check --fix`, `show`, `set` and `diff`, as somebody uses them who comes from another trainer.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{
    media::png,
    sandbox::{Said, Sandbox},
};

const TRAINING: &str = "\
# my run
output_dir = 'out'
dataset = 'd.toml'
epoch = 100
micro_batch_size_per_gpu = \"2\"
save_every_n_epoch = 1 # each
checkpoint_every_n_minutes = 60
network_dim = 32
learning_rate = 1e-4

[model]
type = 'Wan'
dtype = 'bf16' # half
diffusion_model_dtype = 'fp8'
ckpt_path = 'wan'
# clip
gradient_clipping = 1.0  # one

[adapter]
type = 'lora'
rank = 16
alpha = 16

[optimizer]
type = 'prodigy'
lr = 1.0
betas = [0, 0.99]
";

const DATASET: &str = "resolutions = [512]\nframe_bucket = [1, 33]\n[[directory]]\npath = 'data'\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("w/t.toml", TRAINING);
    sandbox.write("w/d.toml", DATASET);
    sandbox.write("w/wan/config.json", r#"{ "model_type": "t2v", "dim": 5120 }"#);
    sandbox.write("w/data/a.png", "");
    sandbox.write("w/data/a.txt", "a");
    sandbox
}

fn neutral(sandbox: &Sandbox, said: &Said) -> String {
    sandbox.neutral(&format!("{}---\n{}", said.stdout, said.stderr))
}

fn read(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.path("w").join(name)).expect("read")
}

#[test]
fn what_needs_no_choice_is_mended_and_the_rest_is_said() {
    let sandbox = sandbox();
    let said = sandbox.dpgui(&["config", "check", "t.toml", "--fix"]).ok();
    insta::assert_snapshot!(neutral(&sandbox, &said), @r"
t.toml:8:1: warning[other-trainers-keys]: `network_dim`, `learning_rate` are keys of kohya's sd-scripts, and the trainer ignores them
    fix: use instead of `network_dim`: `rank` in `[adapter]`; `learning_rate`: `lr` in `[optimizer]`
    otherwise: they have no effect, and the trainer says nothing
t.toml:26:9: note[toml-homogeneous-arrays]: `betas` mixes types, which the trainer's TOML parser refuses
    fix: nothing: the copy that `dpgui train` makes has one type
---
       Fixed `d.toml`: renamed `frame_bucket` to `frame_buckets`
       Fixed `t.toml`: renamed `epoch` to `epochs`
       Fixed `t.toml`: set `micro_batch_size_per_gpu = 2`
       Fixed `t.toml`: renamed `save_every_n_epoch` to `save_every_n_epochs`
       Fixed `t.toml`: set `type = 'wan'`
       Fixed `t.toml`: set `dtype = 'bfloat16'`
       Fixed `t.toml`: set `diffusion_model_dtype = 'float8_e4m3fn'`
       Fixed `t.toml`: moved `gradient_clipping` to the top of the file
       Fixed `t.toml`: removed `alpha`
       Fixed `t.toml`: set `type = 'Prodigy'`
       Fixed `t.toml`: renamed `diffusion_model_dtype` to `transformer_dtype`
     Checked `t.toml`: no errors, 1 warning
");
    assert_eq!(
        read(&sandbox, "t.toml"),
        "\
# my run
output_dir = 'out'
dataset = 'd.toml'
epochs = 100
micro_batch_size_per_gpu = 2
save_every_n_epochs = 1 # each
checkpoint_every_n_minutes = 60
network_dim = 32
learning_rate = 1e-4
# clip
gradient_clipping = 1.0  # one

[model]
type = 'wan'
dtype = 'bfloat16' # half
transformer_dtype = 'float8_e4m3fn'
ckpt_path = 'wan'

[adapter]
type = 'lora'
rank = 16

[optimizer]
type = 'Prodigy'
lr = 1.0
betas = [0, 0.99]
"
    );
    assert_eq!(read(&sandbox, "d.toml"), DATASET.replace("frame_bucket ", "frame_buckets "));

    let again = sandbox.dpgui(&["config", "check", "t.toml", "--fix"]).ok();
    assert!(!again.stderr.contains("Fixed"), "{again}");
    let strict = sandbox.dpgui(&["config", "check", "t.toml", "--strict"]);
    assert_eq!(strict.code, Some(2));
    assert_eq!(strict.stderr, "error: `t.toml` is not clean: no errors, 1 warning\n");
}

#[test]
fn nothing_is_changed_unless_asked_for() {
    let sandbox = sandbox();
    let said = sandbox.dpgui(&["config", "check", "t.toml"]);
    assert_eq!(said.code, Some(2));
    assert_eq!((read(&sandbox, "t.toml"), read(&sandbox, "d.toml")), (TRAINING.into(), DATASET.into()));
    assert_eq!(
        said.stderr,
        "error: `t.toml` cannot be trained with: 9 errors, 4 warnings\n\n\
         hint: mend 10 of them with `dpgui config check --fix t.toml`\n"
    );
    let said = sandbox.dpgui(&["config", "check", "t.toml", "--json"]);
    let events = said.events();
    let epoch = events.iter().find(|it| it["message"].as_str().is_some_and(|it| it.contains("`epoch`")));
    let mut epoch = epoch.expect("found").clone();
    epoch["file"] = sandbox.neutral(epoch["file"].as_str().expect("text")).into();
    assert_eq!(
        epoch,
        serde_json::json!({
            "event": "finding", "id": "unknown-key", "severity": "warning", "file": "DIR/w/t.toml", "line": 4, "column": 1,
            "message": "unknown key `epoch`, did you mean `epochs`?", "when": "runtime",
            "consequence": "it has no effect, and the trainer says nothing",
            "fix": "rename it to `epochs`", "fixable": true,
        })
    );
}

#[test]
fn several_files_are_checked_at_once_dataset_files_too() {
    let sandbox = sandbox();
    let said = sandbox.dpgui(&["config", "check", "t.toml", "d.toml"]);
    assert_eq!(said.code, Some(2));
    let of_dataset = said.stdout.lines().filter(|line| line.starts_with("d.toml")).count();
    assert_eq!(of_dataset, 1, "the dataset file is named twice and said once: {said}");
    sandbox.write("w/d.toml", DATASET.replace("frame_bucket ", "frame_buckets "));
    let said = sandbox.dpgui(&["config", "check", "d.toml"]).ok();
    assert_eq!(neutral(&sandbox, &said), "---\n     Checked `d.toml`: no errors, no warnings\n");
}

#[test]
fn a_broken_dataset_is_said_once_and_counts_for_each_file_that_names_it() {
    let sandbox = sandbox();
    let clean = "output_dir = 'out'\ndataset = 'd.toml'\nepochs = 1\nsave_every_n_epochs = 1\n\
                 checkpoint_every_n_minutes = 60\n[model]\ntype = 'wan'\ndtype = 'bfloat16'\nckpt_path = 'wan'\n\
                 [adapter]\ntype = 'lora'\nrank = 8\n[optimizer]\ntype = 'adamw_optimi'\nlr = 1e-4\n";
    sandbox.write("w/a.toml", clean);
    sandbox.write("w/b.toml", clean);
    sandbox.write("w/d.toml", "[[directory]]\npath = 'data'\n");
    let said = sandbox.dpgui(&["config", "check", "a.toml", "b.toml"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(said.stdout.matches("[resolutions-top-level]").count(), 1, "{said}");
    assert!(said.stderr.contains("`a.toml`, `b.toml`: 1 error"), "{said}");
    assert!(!said.stderr.contains("no errors"), "{said}");
}

#[test]
fn a_configuration_is_shown_with_its_defaults_and_what_follows() {
    let sandbox = sandbox();
    sandbox.dpgui(&["config", "check", "t.toml", "--fix"]).ok();
    let head = r#"{"blocks.0.q.weight":{"dtype":"U8","shape":[0,1000],"data_offsets":[0,0]}}"#;
    let mut file = (head.len() as u64).to_le_bytes().to_vec();
    file.extend(head.bytes());
    sandbox.write("w/wan/a.safetensors", file);
    let said = sandbox.dpgui(&["config", "show", "t.toml", "--gpus", "2"]).ok();
    // How wide the first column is depends on where the test is.
    let column = |line: &str| {
        line.split_once("  #")
            .map_or(line.to_owned(), |(setting, origin)| format!("{} #{origin}", setting.trim_end()))
    };
    let (defaults, rest): (Vec<String>, _) =
        neutral(&sandbox, &said).lines().map(column).partition(|line| line.ends_with("# default"));
    assert_eq!(defaults.len(), 37);
    assert!(defaults.contains(&"lr_scheduler = 'constant' # default".to_owned()), "{defaults:?}");
    insta::assert_snapshot!(rest.join("\n"), @r"
output_dir = 'DIR/w/out' # t.toml:2
dataset = 'DIR/w/d.toml' # t.toml:3
epochs = 100 # t.toml:4
micro_batch_size_per_gpu = 2 # t.toml:5
image_micro_batch_size_per_gpu = 2 # from `micro_batch_size_per_gpu`
eval_micro_batch_size_per_gpu = 2 # from `micro_batch_size_per_gpu`
gradient_clipping = 1.0 # t.toml:11
save_every_n_epochs = 1 # t.toml:6
checkpoint_every_n_minutes = 60.0 # t.toml:7
network_dim = 32 # t.toml:8
learning_rate = 1e-4 # t.toml:9

[model]
type = 'wan' # t.toml:14
dtype = 'bfloat16' # t.toml:15
ckpt_path = 'DIR/w/wan' # t.toml:17
transformer_path = 'DIR/w/wan' # from `ckpt_path`
transformer_dtype = 'float8_e4m3fn' # t.toml:16

[adapter]
type = 'lora' # t.toml:20
rank = 16 # t.toml:21

[optimizer]
type = 'Prodigy' # t.toml:24
lr = 1.0 # t.toml:25
betas = [0, 0.99] # t.toml:26

[dataset]
resolutions = [512] # d.toml:1
frame_buckets = [1, 33] # d.toml:2

[dataset.directory[0]]
path = 'DIR/w/data' # d.toml:4

# what follows
2 copies of the model, each on 1 GPU
4 examples in each step: 2 at once × 1 accumulated × 2 side by side
steps: see `dpgui data check t.toml`
about 16000 weights are trained
about 31.2 KiB for each saved model
---
");
}

#[test]
fn the_steps_of_an_epoch_and_what_is_saved_in_all_are_worked_out() {
    let sandbox = sandbox();
    sandbox.dpgui(&["config", "check", "t.toml", "--fix"]).ok();
    let head = r#"{"blocks.0.q.weight":{"dtype":"U8","shape":[0,1000],"data_offsets":[0,0]}}"#;
    let file = [&(head.len() as u64).to_le_bytes()[..], head.as_bytes()].concat();
    sandbox.write("w/wan/a.safetensors", file);
    for name in ["a", "b", "c", "d", "e"] {
        sandbox.write(format!("w/data/{name}.png"), png(600, 600));
        sandbox.write(format!("w/data/{name}.txt"), "a");
    }
    let what_follows = |sandbox: &Sandbox| {
        let said = sandbox.dpgui(&["config", "show", "t.toml", "--gpus", "2"]).ok();
        said.stdout.split_once("# what follows\n").expect("it is there").1.to_owned()
    };
    // Five in batches of four: one step, and one item is left over.
    insta::assert_snapshot!(what_follows(&sandbox), @r"
2 copies of the model, each on 1 GPU
4 examples in each step: 2 at once × 1 accumulated × 2 side by side
1 step in each epoch, 100 in all
about 16000 weights are trained
about 31.2 KiB for each saved model
about 3.05 MiB for all of 100 saved models, none of which is ever removed
");
    let text = read(&sandbox, "t.toml").replace("save_every_n_epochs = 1 ", "save_every_n_examples = 8 ");
    sandbox.write("w/t.toml", text);
    let after = what_follows(&sandbox);
    assert!(after.contains("for all of 50 saved models"), "{after}");
}

#[test]
fn what_a_lokr_takes_is_said_to_be_unknown() {
    let sandbox = sandbox();
    sandbox.dpgui(&["config", "set", "t.toml", "adapter.type", "lokr"]).ok();
    let said = sandbox.dpgui(&["config", "show", "t.toml"]).ok();
    let expected = "what is saved takes an unknown size: a LoKr's size follows from how the trainer factors each matrix\n";
    assert!(said.stdout.contains(expected), "{said}");
    let said = sandbox.dpgui(&["config", "new", "flux", "b", "--preset", "balanced"]);
    assert_eq!(said.code, Some(2), "{said}");
    let hint = "leave out `--preset`: what is written then is what upstream recommends; no model type has `balanced`";
    assert!(said.stderr.contains(hint), "{said}");
}

#[test]
fn one_key_is_set_and_a_wrong_one_is_answered_with_the_nearest() {
    let sandbox = sandbox();
    let said = sandbox.dpgui(&["config", "set", "t.toml", "adapter.rank", "64"]).ok();
    assert_eq!(neutral(&sandbox, &said), "---\n         Set `adapter.rank = 64` in `t.toml`, it was `16`\n");
    assert_eq!(read(&sandbox, "t.toml"), TRAINING.replace("rank = 16", "rank = 64"));
    let said = sandbox.dpgui(&["config", "set", "t.toml", "rnk", "8"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(said.stderr, "error: there is no key `rnk`\n\nhint: did you mean `adapter.rank`?\n");
}

#[test]
fn two_files_differ_by_what_they_mean() {
    let sandbox = sandbox();
    sandbox.dpgui(&["config", "check", "t.toml", "--fix"]).ok();
    let text = read(&sandbox, "t.toml");
    // Another order, other spellings, a default written out, a path by another name: all the same.
    let reordered = format!(
        "blocks_to_swap = 0\n# other\n{}",
        text.replace("'out'", "'./out'").replace("lr = 1.0", "lr = 1").replace("# half", "")
    );
    sandbox.write("w/same.toml", reordered);
    let said = sandbox.dpgui(&["config", "diff", "t.toml", "same.toml"]).ok();
    assert_eq!(neutral(&sandbox, &said), "---\n        Same `t.toml` and `same.toml`\n");

    sandbox.write("w/e.toml", read(&sandbox, "d.toml").replace("[512]", "[768]"));
    let other =
        text.replace("'d.toml'", "'e.toml'").replace("rank = 16", "rank = 32").replace("lr = 1.0\n", "");
    sandbox.write("w/other.toml", format!("blocks_to_swap = 8\n{other}"));
    let said = sandbox.dpgui(&["config", "diff", "t.toml", "other.toml"]);
    assert_eq!(said.code, Some(1));
    insta::assert_snapshot!(neutral(&sandbox, &said), @r"
- blocks_to_swap = 0  # default
+ blocks_to_swap = 8  # other.toml:1
- adapter.rank = 16  # t.toml:21
+ adapter.rank = 32  # other.toml:22
- optimizer.lr = 1.0  # t.toml:25
- dataset.resolutions = [512]  # d.toml:1
+ dataset.resolutions = [768]  # e.toml:1
---
");
}

#[test]
fn dataset_files_are_shown_and_held_against_each_other_alone() {
    let sandbox = sandbox();
    let dataset = DATASET.replace("frame_bucket ", "frame_buckets ");
    sandbox.write("w/d.toml", &dataset);
    sandbox.write("w/e.toml", dataset.replace("[512]", "[768]"));
    let said = sandbox.dpgui(&["config", "show", "d.toml"]).ok();
    assert!(said.stdout.contains("\n[dataset]\nresolutions = [512]"), "{said}");
    assert!(!said.stdout.contains("what follows"), "{said}");
    let said = sandbox.dpgui(&["config", "diff", "d.toml", "e.toml"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert_eq!(
        said.stdout,
        "- dataset.resolutions = [512]  # d.toml:1\n+ dataset.resolutions = [768]  # e.toml:1\n"
    );
    let said = sandbox.dpgui(&["config", "diff", "d.toml", "t.toml"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("d.toml` is a dataset file, not a training file"), "{said}");
}

#[test]
fn whatever_is_no_configuration_is_one_finding_that_says_what_it_is() {
    let sandbox = sandbox();
    let check = |expected: &str| {
        let said = sandbox.dpgui(&["config", "check", "bad.toml", "--json"]);
        assert_eq!(said.code, Some(2), "{said}");
        let events = said.events();
        let ids: Vec<_> = events.iter().filter_map(|it| it["id"].as_str()).collect();
        assert_eq!(ids, [expected], "{said}");
    };
    let write = |bytes: &[u8]| sandbox.write("w/bad.toml", bytes);
    write(b"a = .5\n");
    check("toml-no-leading-dot-float");
    write(b"a = True\n");
    check("toml-syntax");
    write(b"a = 1\na = 2\n");
    check("toml-syntax");
    write(&[b"a = ", "[".repeat(100_000).as_bytes()].concat());
    check("toml-syntax");
    write(b"\xff\xfe[\0m\0o\0d\0e\0l\0]\0");
    check("file-readable");
    write(&b"# 50 MB\n".repeat(50 << 17));
    check("file-readable");
    fs::remove_file(sandbox.path("w/bad.toml")).expect("there");
    fs::create_dir(sandbox.path("w/bad.toml")).expect("created");
    check("file-readable");

    // Neither is waited for nor read to its end.
    fs::remove_dir(sandbox.path("w/bad.toml")).expect("there");
    std::os::unix::fs::symlink("/dev/zero", sandbox.path("w/bad.toml")).expect("linked");
    check("file-readable");
    fs::remove_file(sandbox.path("w/bad.toml")).expect("there");
    nix::unistd::mkfifo(&sandbox.path("w/bad.toml"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    check("file-readable");

    fs::remove_file(sandbox.path("w/bad.toml")).expect("there");
    std::os::unix::fs::symlink("nowhere.toml", sandbox.path("w/bad.toml")).expect("linked");
    check("file-readable");
    let said = sandbox.dpgui(&["config", "check", "bad.toml"]);
    assert!(said.stdout.contains("bad.toml` is a link to `nowhere.toml`, where nothing is"), "{said}");

    fs::remove_file(sandbox.path("w/bad.toml")).expect("there");
    std::os::unix::fs::symlink("bad.toml", sandbox.path("w/bad.toml")).expect("linked");
    check("file-readable");
    let said = sandbox.dpgui(&["config", "check", "bad.toml"]);
    assert!(said.stdout.contains("bad.toml` is a link to `bad.toml`, where nothing is"), "{said}");
}

#[test]
fn a_file_that_is_not_there_ends_the_look_at_no_other() {
    let sandbox = sandbox();
    let said = sandbox.dpgui(&["config", "check", "d.tmol", "../w/none.toml", "d.toml"]);
    assert_eq!(said.code, Some(2), "{said}");
    insta::assert_snapshot!(neutral(&sandbox, &said), @r"
d.tmol:1:1: error[file-readable]: there is no configuration file `DIR/w/d.tmol`
    fix: did you mean `DIR/w/d.toml`?
    otherwise: the file cannot be read (at the start)
../w/none.toml:1:1: error[file-readable]: there is no configuration file `DIR/w/../w/none.toml`
    fix: make one with `dpgui config new MODEL`
    otherwise: the file cannot be read (at the start)
d.toml:2:1: warning[unknown-key]: unknown key `frame_bucket`, did you mean `frame_buckets`?
    fix: rename it to `frame_buckets`
    otherwise: it has no effect, and the trainer says nothing
---
     Checked `d.toml`: no errors, 1 warning
error: `d.tmol`, `../w/none.toml`: 2 errors, 1 warning

hint: mend 1 of them with `dpgui config check --fix d.toml`
");
}

#[test]
fn every_slip_of_a_file_is_said_at_once_and_the_limit_with_what_is_over_it() {
    let sandbox = sandbox();
    sandbox.write("w/bad.toml", "a = .5\nb = True\n[model\nc = 1\n");
    let said = sandbox.dpgui(&["config", "check", "bad.toml"]);
    insta::assert_snapshot!(neutral(&sandbox, &said), @r"
bad.toml:1:5: error[toml-no-leading-dot-float]: a number needs a digit before its point: `0.5`, not `.5`
    fix: mend line 1
    otherwise: TomlDecodeError (at the start)
bad.toml:2:5: error[toml-syntax]: `True` is written `true` in TOML
    fix: mend line 2
    otherwise: TomlDecodeError (at the start)
bad.toml:3:7: error[toml-syntax]: unclosed table, expected `]`
    fix: mend line 3
    otherwise: TomlDecodeError (at the start)
---
error: `bad.toml` cannot be trained with: 3 errors, no warnings
");
    sandbox.write("w/bad.toml", b"# 50 MB\n".repeat(50 << 17));
    let said = sandbox.dpgui(&["config", "check", "bad.toml"]);
    let limit = "it has 52428800 bytes, and the longest that is read has 1048576";
    assert!(said.stdout.contains(limit), "{said}");
}

#[test]
fn a_workspace_that_is_not_there_is_refused_where_nothing_could_be_found_in_it() {
    let sandbox = sandbox();
    let commands: [&[&str]; 5] = [
        &["config", "check", "t.toml"],
        &["config", "show", "t.toml"],
        &["config", "diff", "t.toml", "t.toml"],
        &["config", "set", "t.toml", "epochs", "1"],
        &["train", "t.toml"],
    ];
    for command in commands {
        let said = sandbox.dpgui(&[&["-C", "/nope"], command].concat());
        assert_eq!(said.code, Some(2), "{said}");
        let expected = "error: there is no workspace `/nope`\n\nhint: name one that is there with `-C DIR`\n";
        assert_eq!(said.stderr, expected);
    }
}

#[test]
fn a_folder_that_cannot_be_read_is_an_error_of_its_key() {
    let sandbox = sandbox();
    let closed = sandbox.path("w/data");
    fs::set_permissions(closed, fs::Permissions::from_mode(0o311)).expect("allowed");
    let said = sandbox.dpgui_as_nobody(&["config", "check", "d.toml"]);
    let expected =
        "error[directory-exists]: `path`: cannot list `DIR/w/data` (Permission denied (os error 13))";
    assert!(neutral(&sandbox, &said).contains(expected), "{said}");
}

#[test]
fn half_a_result_does_not_look_like_a_whole_one() {
    let sandbox = sandbox();
    let full = || fs::File::options().write(true).open("/dev/full").expect("opened");
    for command in [&["config", "models"][..], &["config", "schema", "--json"]] {
        let output = sandbox.command(command).stdout(full()).output().expect("ran");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("cannot write to `/dev/stdout`"), "{said}");
    }
    let mut child =
        sandbox.command(&["config", "models"]).stdout(std::process::Stdio::piped()).spawn().expect("ran");
    drop(child.stdout.take());
    assert!(child.wait().expect("ended").success(), "who reads no more wants no more");
}

#[test]
fn an_empty_file_lacks_everything_and_windows_line_ends_lack_nothing() {
    let sandbox = sandbox();
    sandbox.write("w/empty.toml", "");
    let said = sandbox.dpgui(&["config", "check", "empty.toml"]);
    for key in ["output_dir", "dataset", "epochs", "model", "optimizer"] {
        assert!(said.stdout.contains(&format!("`{key}` is missing")), "{said}");
    }
    sandbox.dpgui(&["config", "check", "t.toml", "--fix"]).ok();
    let windows = format!("\u{feff}{}", read(&sandbox, "t.toml").replace('\n', "\r\n"));
    sandbox.write("w/t.toml", &windows);
    let said = sandbox.dpgui(&["config", "check", "t.toml"]).ok();
    assert!(said.stdout.contains("note[toml-no-bom]"), "{said}");
    sandbox.dpgui(&["config", "check", "t.toml", "--fix"]).ok();
    let mended = windows.replace('\u{feff}', "").replace("[0, 0.99]", "[0.0, 0.99]");
    assert_eq!(read(&sandbox, "t.toml"), mended, "the line ends stay");
}

#[test]
fn no_command_shows_a_key_that_a_file_holds() {
    let sandbox = sandbox();
    let key = "wandb_api_key = 'canary'\n";
    let bad = TRAINING.replace("[model]", &format!("{key}wandb_apikey = ['canary']\n[model]\n{key}"))
        + "[monitoring]\nwandb_api_key = 'canary'\nwandb_api_kye = { a = 'canary' }\n";
    sandbox.write("w/t.toml", &bad);
    sandbox.write("w/d.toml", format!("{key}{DATASET}{key}"));
    sandbox.write("w/other.toml", bad.replace("canary", "canaries"));
    sandbox.write("w/torn.toml", "[monitoring]\nwandb_api_key = 'canary\n");
    sandbox.write("w/long.toml", "[monitoring]\nwandb_api_key = \"\"\"\ncanary\n");
    sandbox.write(
        "w/odd.toml",
        TRAINING.replace("[model]", "[monitoring]\nwandb_api_key = ['canary']\n[model]"),
    );
    let set = |value| ["config", "set", "t.toml", "monitoring.wandb_api_key", value];
    let commands: [&[&str]; 11] = [
        &["config", "show", "t.toml"],
        &["config", "diff", "t.toml", "other.toml"],
        &["config", "check", "t.toml"],
        &["config", "check", "torn.toml"],
        &["config", "check", "long.toml"],
        &["config", "check", "odd.toml"],
        &["config", "show", "torn.toml"],
        &["config", "set", "torn.toml", "epochs", "1"],
        &set("canary 2"),
        &set("['canary']"),
        &["config", "new", "wan", "n", "--data", "data", "--set", "monitoring.wandb_api_key=['canary']"],
    ];
    for command in commands {
        for json in [&["--json"][..], &[]] {
            let said = sandbox.dpgui(&[command, json].concat());
            let said = said.stdout + &said.stderr;
            assert!(!said.contains("canar"), "{command:?}: {said}");
            assert!(command[1] == "diff" || !said.is_empty(), "{command:?}");
        }
    }
    let said = sandbox.dpgui(&set("canary 3")).ok();
    assert!(
        said.stderr.contains("`monitoring.wandb_api_key = (hidden)` in `t.toml`, it was `(hidden)`"),
        "{}",
        said.stderr
    );
    assert!(read(&sandbox, "t.toml").contains("canary 3"));
}
