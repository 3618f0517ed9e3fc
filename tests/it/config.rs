//! `dpgui config`, and what its files are worth to the trainer.

use std::fs;

use dpgui::{
    config::{
        TrainConfig,
        template::{self, TemplateOptions, Wish},
    },
    platform::Env,
    workspace::Workspace,
};

use crate::support::{
    old_toml::{OldToml, meaning},
    sandbox::{Said, Sandbox},
};

/// stdout and stderr, with the test's own directory as `DIR`.
fn neutral(sandbox: &Sandbox, said: &Said) -> String {
    sandbox.neutral(&format!("{}---\n{}", said.stdout, said.stderr))
}

#[test]
fn a_new_configuration_says_where_it_is_and_what_to_fill_in() {
    let sandbox = Sandbox::new();
    let said = sandbox.dpgui(&["config", "new", "wan", "mine"]).ok();
    assert_eq!(
        neutral(&sandbox, &said),
        "\
DIR/w/configs/mine.toml
DIR/w/configs/mine-dataset.toml
---

to do: put these in their place, or correct the lines
  configs/mine.toml:53:13: error[model-files-exist]: `ckpt_path`: there is no folder `DIR/w/models/Wan2.1-T2V-14B`
  configs/mine-dataset.toml:20:8: error[directory-exists]: `path`: there is no folder `DIR/w/data/mine`

next: `dpgui config check configs/mine.toml`, `dpgui data check configs/mine.toml`, then `dpgui train configs/mine.toml`
"
    );
    fs::create_dir_all(sandbox.path("w/models/Wan2.1-T2V-14B")).expect("created");
    sandbox.write("w/data/mine/a.png", "");
    sandbox.write("w/data/mine/a.txt", "a");
    let said = sandbox.dpgui(&["config", "check", "configs/mine.toml", "--gpus", "3"]).ok();
    assert_eq!(neutral(&sandbox, &said), "---\n     Checked `configs/mine.toml`: no errors, no warnings\n");
}

#[test]
fn a_configuration_is_never_overwritten() {
    let sandbox = Sandbox::new();
    let dataset = sandbox.write("w/configs/demo-dataset.toml", "mine\n");
    let said = sandbox.dpgui(&["config", "new", "demo"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(
        neutral(&sandbox, &said),
        "---\nerror: `DIR/w/configs/demo-dataset.toml` is there already\n\n\
         hint: choose another name after the model's, as `demo-2`\n"
    );
    assert_eq!(fs::read_to_string(&dataset).expect("read"), "mine\n");
    assert!(!sandbox.path("w/configs/demo.toml").exists());
}

#[test]
fn a_model_type_that_does_not_exist_is_answered_with_the_nearest() {
    let sandbox = Sandbox::new();
    let said = sandbox.dpgui(&["config", "new", "wan2.1"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(
        neutral(&sandbox, &said),
        "---\nerror: the trainer has no model type `wan2.1`\n\n\
         hint: did you mean `wan`? `dpgui config models` lists all\n"
    );
    assert!(!sandbox.path("w/configs").exists());
}

#[test]
fn a_check_reports_each_finding_with_its_place_and_what_to_do() {
    let sandbox = Sandbox::new();
    let training = "output_dir = 'output'\ndataset = 'd.toml'\nepochs = 3\npipeline_stages = 2\nsave_every_n_epochs = 1\n\
                    checkpoint_every_n_epochs = 1\n[model]\ntype = 'sdxl'\ndtype = 'bfloat16'\ncheckpoint_path = 'data'\n\
                    [adapter]\ntype = 'lora'\nrank = 8\n[optimizer]\ntype = 'adamw'\nbetas = [0, 0.9]\n";
    sandbox.write("w/t.toml", training);
    sandbox.write(
        "w/d.toml",
        "resolutions = [512]\n[[directory]]\nnum_repeats = 1\n[[directory]]\npath = 'data'\n",
    );
    sandbox.write("w/data/a.png", "");
    sandbox.write("w/data/a.txt", "a");
    let said = sandbox.dpgui(&["config", "check", "t.toml", "--gpus", "3"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(
        neutral(&sandbox, &said),
        "\
t.toml:4:19: error[stages-divide-gpus]: `pipeline_stages = 2` does not divide the number of GPUs, 3
    fix: train on a multiple of 2 GPUs, or lower `pipeline_stages`
    otherwise: RuntimeError after caching and model loading
t.toml:10:19: error[model-files-exist]: `checkpoint_path` is to be a file, but `DIR/w/data` is a folder
    fix: put it there, or correct the path; relative ones start at `DIR/w`
    otherwise: an error while starting
t.toml:16:9: note[toml-homogeneous-arrays]: `betas` mixes types, which the trainer's TOML parser refuses
    fix: nothing: the copy that `dpgui train` makes has one type
d.toml:3:1: error[dataset-directory-list]: a `[[directory]]` lacks `path`
    fix: add `[[directory]]` and below it `path = 'FOLDER'`
    otherwise: KeyError; an empty list fails later as an empty dataset (while starting)
---
error: `t.toml` cannot be trained with: 3 errors, no warnings
"
    );

    let said = sandbox.dpgui(&["config", "check", "t.toml", "--json"]);
    let ids: Vec<_> = said.events().iter().map(|it| (it["id"].clone(), it["line"].clone())).collect();
    let expected = [
        ("model-files-exist".into(), 10.into()),
        ("toml-homogeneous-arrays".into(), 16.into()),
        ("dataset-directory-list".into(), 3.into()),
        (serde_json::Value::Null, serde_json::Value::Null), // the error that ends the command
    ];
    assert_eq!(ids, expected);
    assert_eq!(said.code, Some(2));
}

#[test]
fn a_file_that_cannot_be_read_as_toml_is_one_error_that_says_where() {
    let sandbox = Sandbox::new();
    let check = |file: &str, expected: &str| {
        let said = sandbox.dpgui(&["config", "check", file]);
        assert_eq!((said.code, neutral(&sandbox, &said).as_str()), (Some(2), expected));
    };
    sandbox.write("w/broken.toml", "a = 1\r\n[model\r\n");
    check(
        "broken.toml",
        "broken.toml:2:7: error[toml-syntax]: unclosed table, expected `]`\n    fix: mend line 2\n    \
         otherwise: TomlDecodeError (at the start)\n---\n\
         error: `broken.toml` cannot be trained with: 1 error, no warnings\n",
    );
    sandbox.write("w/latin.toml", b"a = 1\nb = '\xe9'\n");
    check(
        "latin.toml",
        "latin.toml:2:1: error[file-readable]: `DIR/w/latin.toml` is no UTF-8 text, see its line 2\n    \
         fix: save `DIR/w/latin.toml` as UTF-8\n    otherwise: the file cannot be read (at the start)\n---\n\
         error: `latin.toml` cannot be trained with: 1 error, no warnings\n",
    );
    check(
        "../w/absent.toml",
        "../w/absent.toml:1:1: error[file-readable]: there is no configuration file `DIR/w/../w/absent.toml`\n    \
         fix: make one with `dpgui config new MODEL`\n    otherwise: the file cannot be read (at the start)\n---\n\
         error: `../w/absent.toml` cannot be trained with: 1 error, no warnings\n",
    );
    check(
        ".",
        ".:1:1: error[file-readable]: `DIR/w/.` is a folder, not a configuration file\n    fix: name a TOML file\n    \
         otherwise: the file cannot be read (at the start)\n---\n\
         error: `.` cannot be trained with: 1 error, no warnings\n",
    );
    let mut deep = "a = ".to_owned();
    deep.push_str(&"[".repeat(10_000));
    sandbox.write("w/deep.toml", deep);
    let said = sandbox.dpgui(&["config", "check", "deep.toml"]);
    assert_eq!(said.code, Some(2), "{said}");
    let nested = "deep.toml:1:85: error[toml-syntax]: nested too deeply\n    fix: mend line 1\n";
    assert!(said.stdout.starts_with(nested), "{said}");
    sandbox.write("w/deep.toml", format!("[{}a]\nb = 1\n", "a.".repeat(10_000)));
    let said = sandbox.dpgui(&["config", "check", "deep.toml"]);
    assert!(said.stdout.starts_with("deep.toml:1:1: error[toml-syntax]: nested too deeply\n"), "{said}");
}

#[test]
fn a_directory_entry_in_a_dataset_must_be_a_table_and_its_paths_must_be_right() {
    let sandbox = Sandbox::new();
    sandbox.write("w/t.toml", "output_dir = 'o'\ndataset = 'd.toml'\neval_datasets = [{name = 'e', config = 'e.toml'}]\nepochs = 1\nsave_every_n_steps = 5\n[model]\ntype = 'demo'\ndtype = 'float32'\n[adapter]\ntype = 'lora'\nrank = 8\n[optimizer]\ntype = 'adamw'\n");
    sandbox.write("w/d.toml", "directory = 'data'\n");
    sandbox.write("w/e.toml", "[[directory]]\npath = 'd.toml'\nmask_path = ['x']\n");
    let said = sandbox.dpgui(&["config", "check", "t.toml"]);
    assert_eq!(
        sandbox.neutral(&said.stdout),
        "\
t.toml:3:1: error[demo-key]: the demo's trainer knows no `eval_datasets`
    fix: remove it: it is for other model types
    otherwise: the demo's trainer ends with `unknown key` after it has started
d.toml:1:13: error[dataset-directory-list]: `directory` must be a list of tables, not `'data'`
    fix: write each entry as a table: `[[directory]]`
    otherwise: KeyError; an empty list fails later as an empty dataset (while starting)
e.toml:1:1: error[resolutions-top-level]: `resolutions` is missing at the top of the dataset file
    fix: set `resolutions = [512]` above the first `[[directory]]`
    otherwise: KeyError (while starting)
e.toml:2:8: error[directory-exists]: `path` is to be a folder, but `DIR/w/d.toml` is a file
    fix: put it there, or correct the path; relative ones start at `DIR/w`
    otherwise: RuntimeError (while starting)
e.toml:3:1: error[demo-key]: the demo's trainer knows no `mask_path`
    fix: remove it: it is for other model types
    otherwise: the demo's trainer ends with `unknown key` after it has started
e.toml:3:13: error[wrong-type]: `mask_path` must be a path, not `['x']`
    fix: give `mask_path` a path
    otherwise: an error where the value is used (at the start)
"
    );
}

#[test]
fn what_the_templates_make_is_whole_and_the_trainers_parser_reads_its_copy() {
    let mut package = OldToml::start();
    for model in ["wan", "demo"] {
        let dir = tempfile::tempdir().expect("a temp dir");
        // A path with everything in it that a string in TOML has to escape.
        let workspace = Workspace::at(dir.path().join(r#"it's a "work\ünicode" space"#));
        let options = TemplateOptions::in_workspace(&workspace, "mine");
        let pair = template::new(model, &options, &Wish::default()).expect("a template");
        let files = template::write(&workspace, "mine", &pair).expect("written");
        for folder in ["models/Wan2.1-T2V-14B", "data/mine"] {
            fs::create_dir_all(workspace.root().join(folder)).expect("created");
        }
        for file in ["a.png", "a.txt"] {
            fs::write(workspace.root().join("data/mine").join(file), "a").expect("written");
        }
        let config = TrainConfig::load(&files[0], &workspace, &Env::default()).expect("valid");
        assert_eq!(config.findings(Some(4)), [], "{model}");
        assert!(!format!("{}{}", pair.training, pair.dataset).contains(['{', '}']), "a placeholder is left");

        let resolved = config.resolve_into(&workspace.runs().join("1")).expect("resolved");
        assert_eq!(resolved.output_dir, options.output);
        for copy in [&resolved.config, &resolved.dataset] {
            let text = fs::read_to_string(copy).expect("read");
            assert_eq!(package.load(&text), Ok(meaning(&text)), "{text}");
        }
        let training = meaning(&fs::read_to_string(&resolved.config).expect("read"));
        assert_eq!(training["dataset"], resolved.dataset.to_str().expect("UTF-8"));
        let dataset = meaning(&fs::read_to_string(&resolved.dataset).expect("read"));
        assert_eq!(dataset["directory"][0]["path"], options.data.to_str().expect("UTF-8"));
    }
}

#[test]
fn resolving_what_is_resolved_changes_only_where_the_datasets_are() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let workspace = Workspace::at(dir.path());
    let pair = template::new("wan", &TemplateOptions::in_workspace(&workspace, "w"), &Wish::default())
        .expect("a template");
    let files = template::write(&workspace, "w", &pair).expect("written");
    let resolve = |file: &std::path::Path, run: &str| {
        let config = TrainConfig::load(file, &workspace, &Env::default()).expect("valid");
        config.resolve_into(&dir.path().join(run)).expect("resolved")
    };
    let first = resolve(&files[0], "1");
    let second = resolve(&first.config, "2");
    let read = |path: &std::path::Path| fs::read_to_string(path).expect("read");
    assert_eq!(read(&first.dataset), read(&second.dataset));
    let moved = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    assert_eq!(
        read(&first.config).replace(&moved(&first.dataset), &moved(&second.dataset)),
        read(&second.config)
    );
}

#[test]
fn every_path_becomes_absolute_and_what_is_none_stays() {
    let sandbox = Sandbox::new();
    let training = r"output_dir = '~/results'
dataset = './d.toml'
epochs = 1
save_every_n_epochs = 1
[model]
type = 'z_image'
dtype = 'bfloat16'
diffusion_model = 'models/a.safetensors'
vae = '../shared/vae.safetensors'
merge_adapters = ['lora, one.safetensors', '/abs.safetensors'] # both
text_encoders = [
    {path = 'te.safetensors', type = 'lumina2'}, # one
    {paths = ['a', 'b'], type = 'flux'},
]
vae_path = 'not/a/key/of/this/type'
[adapter]
type = 'lora'
rank = 8
init_from_existing = 'output/old/epoch5'
fuse_adapters = [{path = 'fused', weight = 1}]
[optimizer]
type = 'adamw'
";
    let file = sandbox.write("w/t.toml", training);
    sandbox.write(
        "w/d.toml",
        "resolutions = [512]\n[[directory]]\npath = 'a'\nmask_path = 'b'\ncontrol_path = 'c'\n\
         default_mask_file = 'd.png'\ncaption_prefix = 'a/b '\n",
    );
    let workspace = Workspace::at(sandbox.root());
    let home = sandbox.path("home").display().to_string();
    let config = TrainConfig::load(&file, &workspace, &Env::from([("HOME", home.as_str())])).expect("valid");
    let resolved = config.resolve_into(&sandbox.path("run")).expect("resolved");
    let read = |path| sandbox.neutral(&fs::read_to_string(path).expect("read"));
    let expected = training
        .replace("'~/results'", "'DIR/home/results'")
        .replace("'./d.toml'", "'DIR/run/d.toml'")
        .replace("'models/", "'DIR/w/models/")
        .replace("'../shared", "'DIR/w/../shared")
        .replace("'lora, one.safetensors'", "\"DIR/w/lora\\u002c one.safetensors\"")
        .replace("'te.", "'DIR/w/te.")
        .replace("['a', 'b']", "['DIR/w/a', 'DIR/w/b']")
        .replace("'output/old", "'DIR/w/output/old")
        .replace("'fused'", "'DIR/w/fused'");
    assert_eq!(read(&resolved.config), expected);
    assert_eq!(
        read(&resolved.dataset),
        "resolutions = [512]\n[[directory]]\npath = 'DIR/w/a'\nmask_path = 'DIR/w/b'\n\
         control_path = 'DIR/w/c'\ndefault_mask_file = 'DIR/w/d.png'\ncaption_prefix = 'a/b '\n"
    );
    assert_eq!(fs::read_to_string(&file).expect("read"), training);
}

#[test]
fn the_name_of_a_repository_on_the_hub_stays_unless_there_is_such_a_folder() {
    let sandbox = Sandbox::new();
    let training = "output_dir = 'o'\ndataset = 'd.toml'\nepochs = 1\nsave_every_n_epochs = 1\n\
                    checkpoint_every_n_epochs = 1\n[model]\ntype = 'sd3'\ndtype = 'bfloat16'\n\
                    diffusers_path = 'owner/sd-3.5'\n[adapter]\ntype = 'lora'\nrank = 8\n[optimizer]\ntype = 'adamw'\n";
    sandbox.write("w/t.toml", training);
    sandbox.write("w/d.toml", "resolutions = [512]\n[[directory]]\npath = 'data'\n");
    sandbox.write("w/data/a.png", "");
    sandbox.write("w/data/a.txt", "a");
    let said = sandbox.dpgui(&["config", "check", "t.toml"]).ok();
    assert_eq!(
        neutral(&sandbox, &said),
        "\
t.toml:9:18: warning[hub-repository]: `diffusers_path` is taken for the repository `owner/sd-3.5` on the hub: there is \
         no folder `DIR/w/owner/sd-3.5`
    fix: download it and name the folder, if the training shall start without
    otherwise: the files are downloaded at each start on a new machine, and offline there are none (while starting)
---
     Checked `t.toml`: no errors, 1 warning
"
    );
    let diffusers_path = || {
        let workspace = Workspace::at(sandbox.root());
        let config =
            TrainConfig::load(&sandbox.path("w/t.toml"), &workspace, &Env::default()).expect("valid");
        let resolved = config.resolve_into(&sandbox.path("run")).expect("resolved");
        meaning(&fs::read_to_string(resolved.config).expect("read"))["model"]["diffusers_path"].clone()
    };
    assert_eq!(diffusers_path(), "owner/sd-3.5");
    fs::create_dir_all(sandbox.path("w/owner/sd-3.5")).expect("created");
    assert_eq!(diffusers_path(), sandbox.path("w/owner/sd-3.5").to_str().expect("UTF-8"));
}
