//! `dpgui config new`, for every model type: what it writes is right for us, for the trainer's parser and for editors.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use dpgui::{
    config::{
        TrainConfig, json_schema,
        schema::{self, Section},
        setting::Setting,
        starter::{self, Preset},
        template::{self, TemplateOptions, Wish},
    },
    platform::Env,
    workspace::Workspace,
};
use serde_json::{Value, json};

use crate::support::{
    media,
    old_toml::{OldToml, meaning, python_package},
    sandbox::Sandbox,
};

/// Whose findings say only that something named is not there yet.
const MISSING: [&str; 2] = ["model-files-exist", "directory-exists"];

/// Every type as it comes, with each of its presets, and as a whole where that works.
fn wishes(model: &'static schema::ModelType) -> Vec<(String, Wish)> {
    let mut all = vec![(model.name.to_owned(), Wish::default())];
    for preset in starter::of(model.name).expect("a starter").presets {
        let wish = Wish { preset: Some(preset.name), full_finetune: preset.full_finetune, ..Wish::default() };
        all.push((format!("{} {}", model.name, preset.name.name()), wish));
    }
    if model.full_finetune_failure.is_none() {
        all.push((format!("{} whole", model.name), Wish { full_finetune: true, ..Wish::default() }));
    }
    all
}

#[test]
fn what_is_new_has_nothing_wrong_but_what_is_not_there_yet() {
    let mut package = OldToml::start();
    let mut documents = vec![];
    for (name, model, wish) in schema::models()
        .flat_map(|model| wishes(model).into_iter().map(move |(name, wish)| (name, model, wish)))
    {
        let dir = tempfile::tempdir().expect("a temp dir");
        // A path with everything in it that a string in TOML has to escape.
        let workspace = Workspace::at(dir.path().join(r#"it's a "work\ünicode" [space], # {1}"#));
        let options = TemplateOptions::in_workspace(&workspace, "mine");
        let pair = template::new(model.name, &options, &wish).expect("a configuration");
        let files = template::write(&workspace, "mine", &pair).expect("written");
        let config = TrainConfig::load(&files[0], &workspace, &Env::default()).expect("valid");
        for finding in config.findings(Some(4)) {
            assert!(MISSING.contains(&finding.id), "{name}: {finding}\n{}", pair.training);
        }
        let resolved = config.resolve_into(&workspace.runs().join("1")).expect("resolved");
        for (file, copy) in files.iter().zip([&resolved.config, &resolved.dataset]) {
            let text = fs::read_to_string(copy).expect("read");
            assert_eq!(package.load(&text), Ok(meaning(&text)), "{name}: {text}");
            // The paths are absolute already, so of the trainer's copy only the dataset's place is another.
            let written = fs::read_to_string(file).expect("read");
            let differing = written.lines().zip(text.lines()).filter(|(a, b)| a != b).count();
            assert!(differing <= 1, "{name}: {written}\n{text}");
        }
        for (kind, text) in [("training", &pair.training), ("dataset", &pair.dataset)] {
            documents.push(json!([name, kind, text.parse::<toml::Table>().expect("TOML")]));
        }
    }
    assert!(documents.len() > 100, "{} documents are not all", documents.len());
    assert_eq!(refused(&documents), Vec::<String>::new());
}

#[test]
fn the_json_schema_refuses_what_the_trainer_would_lose_or_fail_at() {
    // What is set, by `section.key`; `-` is removed.
    let cases = [
        (".epoch", "1", "'epoch' was unexpected"),
        (".epochs", "-", "'epochs' is a required property"),
        (".save_every_n_epochs", "-", "is not valid under any of the given schemas"),
        (".blocks_to_swap", "40", "40 is greater than the maximum of 34"),
        (".gradient_clipping", "-1", "-1 is less than the minimum of 0"),
        ("model.epochs", "1", "'epochs' was unexpected"),
        ("model.min_t", "0.5", "'min_t' was unexpected"),
        ("model.type", "'fluks'", "'fluks' is not one of"),
        ("adapter.type", "'lokr'", "'lokr' is not one of ['lora']"),
        ("adapter.alpha", "16", "'alpha' was unexpected"),
        ("optimizer.type", "'SGD'", "('betas', 'eps' were unexpected)"),
    ];
    let options = TemplateOptions::in_workspace(&Workspace::at("/w"), "m");
    let pair = template::new("flux", &options, &Wish::default()).expect("a configuration");
    let document = |(place, value, _): &(&str, &str, &str)| {
        let mut root = pair.training.parse::<toml::Table>().expect("TOML");
        let (section, key) = place.split_once('.').expect("section.key");
        let table =
            if section.is_empty() { &mut root } else { root[section].as_table_mut().expect("a table") };
        table.remove(key);
        if *value != "-" {
            table.extend(format!("{key} = {value}").parse::<toml::Table>().expect("TOML"));
        }
        json!([place, "training", root])
    };
    let refused = refused(&cases.iter().map(document).collect::<Vec<_>>());
    for (place, _, expected) in cases {
        let of_case: Vec<_> = refused.iter().filter(|it| it.starts_with(&format!("\"{place} "))).collect();
        assert!(of_case.len() == 1 && of_case[0].contains(expected), "{place}: {of_case:?}");
    }
}

/// What the JSON Schema says against documents, each `[name, kind, value]`; the reference implementation judges.
fn refused(documents: &[Value]) -> Vec<String> {
    const JUDGE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator as Validator
schemas, documents = json.load(sys.stdin)
for schema in schemas.values():
    Validator.check_schema(schema)
for name, kind, document in documents:
    for error in Validator(schemas[kind]).iter_errors(document):
        print(json.dumps(f"{name} {kind}: {error.json_path}: {error.message}"))
"#;
    let schemas = json!({ "training": json_schema::training(), "dataset": json_schema::dataset() });
    let mut python = Command::new("python3")
        .args(["-c", JUDGE])
        .env("PYTHONPATH", python_package("jsonschema==4.25.1"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is on PATH");
    let mut stdin = python.stdin.take().expect("piped");
    stdin.write_all(json!([schemas, documents]).to_string().as_bytes()).expect("it reads");
    drop(stdin);
    let said = python.wait_with_output().expect("it ends");
    assert!(said.status.success(), "the judge failed");
    String::from_utf8(said.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn a_setting_changes_exactly_its_key() {
    let workspace = Workspace::at("/w");
    let options = TemplateOptions::in_workspace(&workspace, "m");
    let new = |settings: &[&str]| {
        let settings = settings.iter().map(|it| it.parse::<Setting>().expect("key=value")).collect();
        template::new("wan", &options, &Wish { settings, ..Wish::default() })
    };
    let plain = new(&[]).expect("a configuration");
    let check = |setting: &str, removed: &[&str], added: &[&str]| {
        let pair = new(&[setting]).expect("a configuration");
        let lines = |pair: &template::Pair| -> BTreeSet<String> {
            let values = |text: &String| {
                text.lines().filter(|it| !it.starts_with("# ")).map(str::to_owned).collect::<Vec<_>>()
            };
            [values(&pair.training), values(&pair.dataset)].concat().into_iter().collect()
        };
        let (before, after) = (lines(&plain), lines(&pair));
        assert_eq!(before.difference(&after).collect::<Vec<_>>(), removed, "{setting}");
        assert_eq!(after.difference(&before).collect::<Vec<_>>(), added, "{setting}");
    };
    check("rank=16", &["rank = 32"], &["rank = 16"]);
    check("max_steps = 500", &["#max_steps = 2000"], &["max_steps = 500"]);
    check("model.dtype=float16", &[], &["dtype = 'float16'"]);
    check("resolutions=[[1280, 720]]", &["resolutions = [512]"], &["resolutions = [[1280, 720]]"]);
    check(
        "resolutions=[512, [1280, 720]]",
        &["resolutions = [512]"],
        &["resolutions = [[512, 512], [1280, 720]]"],
    );
    check("directory[0].num_repeats=5", &["num_repeats = 1"], &["num_repeats = 5"]);
    check("directory.num_repeats=5", &["num_repeats = 1"], &["num_repeats = 5"]);
    check("caption_prefix=a cat, ", &[], &["caption_prefix = 'a cat,'"]);
    check("enable_wandb=true", &[], &["[monitoring]", "enable_wandb = true"]);
    check("model.shift=3", &[], &["shift = 3"]);
    // An optimizer takes its own arguments only, and keeps those that mean the same.
    check("optimizer.type=StableAdamW", &["type = 'adamw_optimi'"], &["type = 'StableAdamW'"]);
    check(
        "optimizer.type=Prodigy",
        &["betas = [0.9, 0.99]", "eps = 1e-8", "lr = 2e-5", "type = 'adamw_optimi'", "weight_decay = 0.01"],
        &["type = 'Prodigy'"],
    );
    check(
        "optimizer.type=automagic",
        &["betas = [0.9, 0.99]", "eps = 1e-8", "lr = 2e-5", "type = 'adamw_optimi'", "weight_decay = 0.01"],
        &["type = 'automagic'"],
    );
    check("adapter.type=lokr", &["type = 'lora'"], &["type = 'lokr'"]);

    let fails =
        |setting: &str, expected: &str| assert_eq!(new(&[setting]).expect_err("wrong").to_string(), expected);
    fails("rnk=3", "there is no key `rnk`");
    fails("adapter.epochs=3", "there is no key `adapter.epochs`");
    fails("dtype=float16", "`dtype` is a key of more than one part");
    fails("epochs=many", "`epochs` must be a whole number, at least 1, not `many`");
    fails("epochs=0", "`epochs` must be a whole number, at least 1, not `0`");
    fails(
        "model.dtype=bf16",
        "`model.dtype` must be `float32`, `float16`, `bfloat16`, `float8`, `float8_e4m3fn` or `float8_e5m2`, not `bf16`",
    );
    fails("optimizer.lr=nan", "`optimizer.lr` must be a number, at least 0, not `nan`");
    let sizes = "`size_buckets` must be a list of `[n, n, n]` above 0, not `[[512, 512]]`";
    fails("size_buckets=[[512, 512]]", sizes);
    fails("model.type=flux", "`model.type` is given by the command itself");
}

#[test]
fn every_key_of_every_type_can_be_set_to_what_the_schema_allows() {
    let workspace = Workspace::at("/w");
    let options = TemplateOptions::in_workspace(&workspace, "m");
    let mut documents = vec![];
    for model in schema::models() {
        // What is the same for all types is tried with one.
        let common: &[(&str, Section)] = &[
            ("training", Section::Training),
            ("adapter", Section::Adapter(Some("lora"))),
            ("monitoring", Section::Monitoring),
            ("dataset", Section::Dataset),
            ("directory", Section::Directory),
        ];
        let common = if model.name == "wan" { common } else { &[] };
        for (prefix, section) in [("model", Section::Model(model.name))].iter().chain(common) {
            for key in schema::section(*section) {
                let Some(value) = some_value(key, &key.kind) else { continue };
                let setting = format!("{prefix}.{}={value}", key.name).parse().expect("key=value");
                let wish = Wish { settings: vec![setting], ..Wish::default() };
                let name = format!("{} {prefix}.{}", model.name, key.name);
                if ["type", "dataset"].contains(&key.name.as_str()) {
                    continue;
                }
                let pair =
                    template::new(model.name, &options, &wish).unwrap_or_else(|it| panic!("{name}: {it}"));
                let is_dataset = ["dataset", "directory"].contains(prefix);
                let (kind, text) =
                    if is_dataset { ("dataset", &pair.dataset) } else { ("training", &pair.training) };
                // A key of `[monitoring]` alone is not worth a table.
                if *prefix != "monitoring" || key.name == "enable_wandb" {
                    assert!(
                        text.lines().any(|it| it.starts_with(&format!("{} = ", key.name))),
                        "{name}: {text}"
                    );
                }
                documents.push(json!([name, kind, text.parse::<toml::Table>().expect("TOML")]));
            }
        }
    }
    assert!(documents.len() > 250, "{} documents are not all", documents.len());
    assert_eq!(refused(&documents), Vec::<String>::new());
}

/// A value that is none of the usual ones; `None` for tables.
fn some_value(key: &schema::Key, kind: &schema::Kind) -> Option<String> {
    use schema::Kind;
    if let Some(choice) = key.choices.last() {
        return Some(choice.to_string());
    }
    let number = key.min.unwrap_or(0.0).max(1.0).min(key.max.unwrap_or(f64::MAX));
    Some(match kind {
        Kind::Bool => "true".to_owned(),
        Kind::Int => number.to_string(),
        Kind::Float => format!("{number:?}"),
        Kind::Text | Kind::Path => "'some text'".to_owned(),
        Kind::Dtype => "'float32'".to_owned(),
        Kind::Table => return None,
        Kind::List(kind) => format!("[{}]", some_value(key, kind)?),
        Kind::Tuple(kinds) => {
            let values: Option<Vec<String>> = kinds.iter().map(|kind| some_value(key, kind)).collect();
            format!("[{}]", values?.join(", "))
        }
        Kind::AnyOf(kinds) => return some_value(key, kinds.last()?),
    })
}

#[test]
fn a_preset_is_upstreams_or_there_is_none() {
    let workspace = Workspace::at("/w");
    let options = TemplateOptions::in_workspace(&workspace, "m");
    let new = |model: &str, preset| {
        template::new(model, &options, &Wish { preset: Some(preset), ..Wish::default() })
    };
    let low = new("wan", Preset::LowVram).expect("upstream has one").training;
    for line in [
        "# Preset low-vram: examples/wan_14b_min_vram.toml: videos of 512x512x81 with 24 GB.",
        "activation_checkpointing = 'unsloth'",
        "blocks_to_swap = 32",
        "type = 'adamw8bitkahan'",
        "stabilize = false",
    ] {
        assert!(low.lines().any(|it| it == line), "{line}\n{low}");
    }
    assert!(!low.contains("#blocks_to_swap"));
    let none = new("omnigen2", Preset::Balanced).expect_err("upstream has none").to_string();
    assert_eq!(none, "neither documentation nor examples give a `balanced` configuration of `omnigen2`");
    let whole = new("lumina_2", Preset::LowVram).expect_err("for the whole model").to_string();
    assert_eq!(whole, "the preset `low-vram` is for training without an adapter");
}

#[test]
fn a_whole_model_is_trained_where_that_works() {
    let sandbox = Sandbox::new();
    let said = sandbox.dpgui(&["config", "new", "flux", "--full-finetune", "--stdout"]).ok();
    assert!(said.stdout.contains("# Fine-tunes FLUX.1 dev."), "{said}");
    for gone in ["[adapter]", "transformer_dtype", "blocks_to_swap"] {
        assert!(!said.stdout.contains(gone), "{gone}\n{said}");
    }
    assert!(!sandbox.path("w/configs").exists(), "--stdout writes nothing");
    let said = sandbox.dpgui(&["config", "new", "sd3", "--full-finetune"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.starts_with("error: the model type `sd3` can only be trained with an adapter: "),
        "{said}"
    );
}

/// A whole safetensors file with these tensors of one number each.
fn weights(path: &Path, tensors: &[(&str, &[u64])]) {
    let mut head = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += 2 * shape.iter().product::<u64>();
        head.insert(
            (*name).to_owned(),
            json!({ "dtype": "BF16", "shape": shape, "data_offsets": [start, end] }),
        );
    }
    let head = Value::Object(head).to_string();
    let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
    bytes.extend(head.bytes());
    bytes.resize(bytes.len() + usize::try_from(end).expect("small"), 0);
    fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    fs::write(path, bytes).expect("written");
}

#[test]
fn model_files_are_found_by_what_is_in_them() {
    let sandbox = Sandbox::new();
    let norm = "model.layers.0.input_layernorm.weight";
    weights(&sandbox.path("w/m/unet/zit.safetensors"), &[("cap_embedder.1.weight", &[1, 2560])]);
    weights(&sandbox.path("w/m/ae.safetensors"), &[("decoder.conv_in.weight", &[1, 16])]);
    weights(
        &sandbox.path("w/m/te.safetensors"),
        &[(norm, &[2560]), ("model.layers.0.self_attn.q_norm.weight", &[1])],
    );
    let said = sandbox.dpgui(&["config", "new", "z_image", "--models", "m"]).ok();
    assert!(
        sandbox.neutral(&said.stderr).starts_with(
            "       Found `diffusion_model`: Z-Image transformer, bf16: `DIR/w/m/unet/zit.safetensors`\n       \
             Found `vae`: FLUX.1 VAE, bf16: `DIR/w/m/ae.safetensors`\n       \
             Found `text_encoders`: Qwen3 4B, bf16: `DIR/w/m/te.safetensors`\n"
        ),
        "{said}"
    );
    let training =
        sandbox.neutral(&fs::read_to_string(sandbox.path("w/configs/z_image.toml")).expect("read"));
    for line in [
        "diffusion_model = 'DIR/w/m/unet/zit.safetensors'",
        "vae = 'DIR/w/m/ae.safetensors'",
        "    {path = 'DIR/w/m/te.safetensors', type = 'lumina2'},",
        // What was not found is where it would be expected.
        "merge_adapters = ['DIR/w/m/zimage_turbo_training_adapter_v1.safetensors']",
    ] {
        assert!(training.lines().any(|it| it == line), "{line}\n{training}");
    }
    let said = sandbox.dpgui(&["config", "new", "z_image", "again", "--models", "nowhere"]);
    assert_eq!(
        (said.code, sandbox.neutral(&said.stderr).lines().next()),
        (Some(2), Some("error: there is no folder `DIR/w/nowhere`"))
    );
}

#[test]
fn what_was_not_recognised_is_said_and_a_usual_name_counts() {
    let sandbox = Sandbox::new();
    weights(&sandbox.path("w/m/strange.safetensors"), &[("who.knows", &[1])]);
    sandbox.write("w/m/model.pt", "PK");
    let said = sandbox.dpgui(&["config", "new", "hidream", "--models", "m"]).ok();
    let warned = "warning: nothing in `DIR/w/m` was recognised as something that `hidream` needs, of 1 safetensors file";
    assert!(sandbox.neutral(&said.stderr).contains(warned), "{said}");
    assert!(said.stderr.contains("not looked into"), "{said}");

    sandbox.write("w/m/llama/config.json", r#"{"architectures": ["LlamaForCausalLM"]}"#);
    let said = sandbox.dpgui(&["config", "new", "hidream", "two", "--models", "m"]).ok();
    let found = "Found `llama3_path`: LlamaForCausalLM: `DIR/w/m/llama`";
    assert!(sandbox.neutral(&said.stderr).contains(found), "{said}");

    weights(&sandbox.path("w/m/minimax_h3_video_vae_fp16.safetensors"), &[("who.knows", &[1])]);
    let said = sandbox.dpgui(&["config", "new", "minimax_h3", "--models", "m"]).ok();
    let found = "Found `vae`: not known by its tensors, taken by its name: `DIR/w/m/minimax_h3_video_vae_fp16.safetensors`";
    assert!(sandbox.neutral(&said.stderr).contains(found), "{said}");
}

#[test]
fn the_half_of_wan_that_was_found_is_trained_where_it_works() {
    let sandbox = Sandbox::new();
    let wan: &[(&str, &[u64])] = &[("head.modulation", &[1, 1, 5120]), ("patch_embedding.weight", &[1, 36])];
    weights(&sandbox.path("w/m/wan2.2_i2v_high_noise_14B.safetensors"), wan);
    sandbox.dpgui(&["config", "new", "wan", "--models", "m"]).ok();
    let training = fs::read_to_string(sandbox.path("w/configs/wan.toml")).expect("read");
    assert!(training.contains("\nmin_t = 0.9\n") && training.contains("\nmax_t = 1.0\n"), "{training}");
    let low = training.replace("min_t = 0.9", "min_t = 0.0").replace("max_t = 1.0", "max_t = 0.5");
    sandbox.write("w/configs/low.toml", low);
    let said = sandbox.dpgui(&["config", "check", "configs/low.toml"]);
    assert!(said.stdout.contains("warning[wan-noise-range]"), "{said}");
}

#[test]
fn a_folder_of_media_says_what_suits_it() {
    let sandbox = Sandbox::new();
    for (name, size) in [("a.png", 500), ("b.png", 480), ("c.png", 3000)] {
        sandbox.write(format!("w/media/{name}"), media::png(size, size));
    }
    // 30 frames at 24 a second are 20 at Wan's 16.
    sandbox.write("w/media/d.mp4", media::mp4(480, 480, 30, 24));
    sandbox.write("w/media/a.txt", "a");
    let said = sandbox.dpgui(&["config", "new", "wan", "--data", "media"]).ok();
    let looked = "      Looked at `DIR/w/media`: 3 images, 1 video, 3 without a caption\n";
    assert!(sandbox.neutral(&said.stderr).starts_with(looked), "{said}");
    let check = |config: &str, lines: &[&str]| {
        let path = sandbox.path(format!("w/configs/{config}-dataset.toml"));
        let dataset = sandbox.neutral(&fs::read_to_string(path).expect("read"));
        let values: Vec<_> = dataset.lines().filter(|it| !it.is_empty() && !it.starts_with('#')).collect();
        assert_eq!(values, lines);
    };
    let ratios = ["enable_ar_bucket = true", "min_ar = 0.5", "max_ar = 2.0", "num_ar_buckets = 7"];
    let folder = ["[[directory]]", "path = 'DIR/w/media'", "num_repeats = 10"];
    check(
        "wan",
        &[&["resolutions = [448]"], &ratios[..], &["frame_buckets = [1, 17]"], &folder[..]].concat(),
    );
    // What is set counts more; an image model has no frame buckets.
    sandbox.dpgui(&["config", "new", "flux", "--data", "media", "--set", "resolutions=[768]"]).ok();
    check("flux", &[&["resolutions = [768]"], &ratios[..], &folder[..]].concat());
}

#[test]
fn what_cannot_be_trained_with_is_not_counted_as_an_image() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("w/media/deeper")).expect("created");
    let looked = |model: &str, name: &str, what: &str| {
        let said = sandbox.dpgui(&["config", "new", model, name, "--data", "media"]).ok();
        assert!(
            said.stderr.contains(&format!("Looked at `{}`: {what}\n", sandbox.path("w/media").display())),
            "{said}"
        );
        said.stderr
    };
    let nothing = "itself can be trained with: folders in it are not searched";
    let said = looked("wan", "empty", "0 images");
    assert!(said.contains(nothing) && said.contains("`dpgui data check configs/empty.toml`"), "{said}");
    let said = sandbox.dpgui(&["config", "check", "configs/empty-dataset.toml"]).ok();
    assert!(said.stdout.contains("warning[directory-has-media]"), "{said}");
    sandbox.write("w/media/notes.md", "# notes");
    sandbox.write("w/media/.hidden.png", "");
    sandbox.write("w/media/fake.jpg", "no picture");
    assert!(looked("wan", "strange", "0 images, 3 files that cannot be trained with").contains(nothing));
    sandbox.write("w/media/a.png", media::png(64, 64));
    sandbox.write("w/media/a.txt", "a");
    sandbox.write("w/media/b.mp4", media::mp4(64, 64, 30, 24));
    let mixed = "1 image, 1 video, 3 files that cannot be trained with, 1 without a caption";
    assert!(!looked("wan", "mixed", mixed).contains(nothing));
    looked("flux", "images", "1 image, 4 files that cannot be trained with");
}
