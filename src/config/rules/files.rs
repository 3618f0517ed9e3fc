//! What the paths of a configuration lead to.

use std::path::{Path, PathBuf};

use super::{Dataset, Finding, Rule, Subject, all, datasets, one};
use crate::{
    config::{
        Position,
        edit::Edit,
        paths::{self, Base, PathUse, Role},
        portable,
        schema::{ModelType, PathKind},
        source::Source,
    },
    error,
    platform::{fs, mounts},
};

pub(super) const RULES: &[Rule] = &[
    all(
        &[
            "adapter-files-exist",
            "hub-repository",
            "init-from-existing-folder",
            "model-files-exist",
            "no-path-expansion",
            "output-dir-writable",
            "path-empty",
            "path-hidden",
            "path-of-windows",
        ],
        in_training,
    ),
    datasets(
        &["directory-exists", "no-path-expansion", "path-empty", "path-hidden", "path-of-windows"],
        in_dataset,
    ),
    all(&["safetensors-file-or-dir"], safetensors_file_or_dir),
    one(&["init-from-existing-folder"], init_from_existing_folder),
    one(&["wan22-needs-transformer-path"], wan22_needs_transformer_path),
    one(&["wan-single-file-config"], wan_single_file_config),
    one(&["wan-variant-known"], wan_variant_known),
];

fn in_training(s: &Subject, found: &mut Vec<Finding>) {
    let uses = paths::in_training(s.source(), s.text("model.type"));
    found.extend(uses.iter().filter_map(|path| path_finding(s.base, s.source(), path)));
}

fn in_dataset(d: &Dataset, found: &mut Vec<Finding>) {
    let uses = paths::in_dataset(d.source());
    found.extend(uses.iter().filter_map(|path| path_finding(d.base, d.source(), path)));
}

fn path_finding(base: &Base, source: &Source, path: &PathUse) -> Option<Finding> {
    let PathUse { key, text, ref span, role } = *path;
    let at = source.at(Some(span.clone()));
    if text.is_empty() {
        return Some(Finding::error("path-empty", at, format!("`{key}` is empty")).fix("name a path"));
    }
    let absolute = base.absolute(text);
    if role != Role::Dataset && !base.sees(&absolute) {
        return Some(hidden(key, &absolute, at));
    }
    if let Some(path) = of_windows(text) {
        let message = format!("`{key}` is a path of Windows, which there is no drive for here");
        let spelt = portable::spelling(&path).filter(|_| fs::exists(&base.place(&path)));
        let edit = spelt.map(|value| Edit::Replace {
            file: source.path().to_owned(),
            span: span.clone(),
            was: source.text()[span.clone()].to_owned(),
            value,
        });
        return Some(
            Finding::error("path-of-windows", at, message).fix(format!("write it `{path}`")).edit(edit),
        );
    }
    if names_variable(text) && !fs::exists(&absolute) {
        let message = format!("`{key}` names an environment variable, which nothing puts in");
        return Some(
            Finding::error("no-path-expansion", at, message)
                .consequence("an error where the path is opened; as `output_dir`, a folder of that very name")
                .fix("write the path out; `~` works"),
        );
    }
    let shown = absolute.display();
    let (is_file, is_folder) = (fs::is_file(&absolute), fs::is_dir(&absolute));
    match role {
        Role::Dataset => None, // was read, or has a finding of its own
        Role::Output => output_finding(key, &absolute, at),
        Role::Input(PathKind::FolderOrHub, _) if paths::is_on_hub(text, base) => {
            let message = format!(
                "`{key}` is taken for the repository `{text}` on the hub: there is no folder `{shown}`"
            );
            let fix = "download it and name the folder, if the training shall start without";
            Some(Finding::warning("hub-repository", at, message).fix(fix))
        }
        Role::Input(expected, id) => {
            let what = match expected {
                PathKind::File if !is_file => "file",
                PathKind::Folder | PathKind::FolderOrHub if !is_folder => "folder",
                PathKind::FileOrFolder if !is_file && !is_folder => "file or folder",
                _ if is_folder => return unlisted(key, id, &absolute, at),
                _ => return None,
            };
            let message = instead(key, what, &absolute);
            let root = base.root.display();
            let fix = format!("put it there, or correct the path; relative ones start at `{root}`");
            let finding = Finding::error(id, at, message).fix(fix);
            Some(if id == "model-files-exist" { finding.consequence(without(key)) } else { finding })
        }
    }
}

/// The same whatever is there.
fn hidden(key: &str, path: &Path, at: (&Path, Position)) -> Finding {
    let message =
        format!("`{key}` is outside of the folders that may be seen from here: `{}`", path.display());
    Finding::warning("path-hidden", at, message)
        .consequence("it is not looked at here; `dpgui` in a terminal does")
        .fix("grant its folder in `dpgui.toml`: `ui.roots = [\"/FOLDER\"]`")
}

/// What there is in place of a `what`.
fn instead(key: &str, what: &str, path: &Path) -> String {
    let shown = path.display();
    match (fs::is_file(path), fs::is_dir(path), fs::link_target(path)) {
        (true, ..) => format!("`{key}` is to be a {what}, but `{shown}` is a file"),
        (_, true, _) => format!("`{key}` is to be a {what}, but `{shown}` is a folder"),
        (.., Some(target)) => {
            format!("`{key}`: `{shown}` is a link to `{}`, where no {what} is", target.display())
        }
        (.., None) => format!("`{key}`: there is no {what} `{shown}`"),
    }
}

/// A folder that is there and shows nobody what is in it.
fn unlisted(key: &str, id: &'static str, folder: &Path, at: (&Path, Position)) -> Option<Finding> {
    let cause = fs::names(folder).err()?;
    let message = format!("`{key}`: {}", error::in_one_line(&cause));
    Some(Finding::error(id, at, message).fix("make it readable with `chmod u+rx`, or name another folder"))
}

/// When the trainer opens the file that `key` of `[model]` names (`models/base.py:550-641`, `load_diffusion_model` of
/// the others): what it encodes with while caching, what it trains only after that.
fn without(key: &str) -> &'static str {
    match key {
        "transformer_path" | "diffusion_model" | "merge_adapters" | "single_file_path" => {
            "an error only after all of the caching"
        }
        "vae" | "audio_vae" | "path" | "paths" | "text_encoder" => {
            "a traceback while caching, then the training hangs"
        }
        _ => "an error while starting",
    }
}

/// The nearest folder that is there has to let us make what is missing.
fn output_finding(key: &str, path: &Path, at: (&Path, Position)) -> Option<Finding> {
    let there = path.ancestors().find(|it| fs::exists(it))?;
    let message = if !fs::is_dir(there) {
        format!("`{key}` is to be a folder, but `{}` is a file", there.display())
    } else if !mounts::is_writable(there) {
        format!("`{key}` cannot be written: `{}` belongs to somebody else", there.display())
    } else {
        return None;
    };
    Some(Finding::error("output-dir-writable", at, message).fix("name another folder"))
}

/// `C:\a\b` as WSL has it.
fn of_windows(text: &str) -> Option<String> {
    let (drive, rest) = text.split_once(':')?;
    let is_drive = drive.len() == 1 && drive.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_drive && rest.starts_with(['\\', '/']))
        .then(|| format!("/mnt/{}{}", drive.to_ascii_lowercase(), rest.replace('\\', "/")))
}

/// `$HOME/a`, `${HOME}/a`, `a/%USERPROFILE%`.
fn names_variable(text: &str) -> bool {
    let after = |c| text.split_once(c).map(|(_, rest)| rest);
    let starts = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '{' || c == '_');
    after('$').is_some_and(starts) || after('%').is_some_and(|rest| starts(rest) && rest.contains('%'))
}

/// Keys that take a file or a folder take no other kind of file, and no folder without any.
fn safetensors_file_or_dir(s: &Subject, found: &mut Vec<Finding>) {
    const END: &str = ".safetensors";
    let keys = s.model.into_iter().flat_map(ModelType::paths);
    for key in keys
        .filter(|key| key.path == Some(PathKind::FileOrFolder) && key.extensions.iter().any(|it| it == END))
    {
        let path = format!("model.{}", key.name);
        let Some(text) = s.text(&path).filter(|text| !text.is_empty()) else { continue };
        let place = s.base.place(text);
        let message = if fs::is_dir(&place) && safetensors_in(&place).is_empty() {
            format!("`{}`: there is no safetensors file in `{}` itself", key.name, place.display())
        } else if fs::is_file(&place) && !text.ends_with(END) {
            format!("`{}`: `{}` is no safetensors file by its name", key.name, place.display())
        } else {
            continue;
        };
        found.push(
            s.error("safetensors-file-or-dir", &path, message)
                .fix("name the safetensors file, or the folder that holds them"),
        );
    }
}

fn safetensors_in(folder: &Path) -> Vec<PathBuf> {
    let names = fs::names(folder).unwrap_or_default();
    let paths = names.into_iter().map(|name| folder.join(name));
    paths.filter(|path| path.extension().is_some_and(|it| it == "safetensors")).collect()
}

fn init_from_existing_folder(s: &Subject) -> Option<Finding> {
    const KEY: &str = "adapter.init_from_existing";
    let place = s.base.place(s.text(KEY).filter(|text| !text.is_empty())?);
    let shown = place.display();
    let message = if fs::is_dir(&place) {
        match safetensors_in(&place).len() {
            1 => return None,
            0 => format!("`init_from_existing`: there is no safetensors file in `{shown}`"),
            count => {
                format!("`init_from_existing`: `{shown}` holds {count} safetensors files, and one is meant")
            }
        }
    } else if fs::is_file(&place) && !s.is(&["flux"]) {
        format!("`init_from_existing` is to be a folder, but `{shown}` is a file")
    } else {
        return None;
    };
    Some(
        s.error("init-from-existing-folder", KEY, message)
            .fix("name the folder of an earlier adapter, such as `…/epoch10`"),
    )
}

/// The folder of a Wan checkpoint, if it is there.
fn wan_folder(s: &Subject) -> Option<PathBuf> {
    let folder = s.base.place(s.text("model.ckpt_path").filter(|it| !it.is_empty() && s.is(&["wan"]))?);
    fs::is_dir(&folder).then_some(folder)
}

fn wan_transformer(s: &Subject) -> Option<PathBuf> {
    s.text("model.transformer_path").filter(|it| !it.is_empty()).map(|text| s.base.place(text))
}

fn wan22_needs_transformer_path(s: &Subject) -> Option<Finding> {
    let folder = wan_folder(s)?;
    let of_two = fs::is_dir(&folder.join("low_noise_model")) && !fs::is_file(&folder.join("config.json"));
    (of_two && !s.has("model.transformer_path")).then(|| {
        let message = format!("`{}` holds two models, for high and for low noise", folder.display());
        s.error("wan22-needs-transformer-path", "model.ckpt_path", message)
            .fix("choose with `transformer_path`: the folder `low_noise_model` or `high_noise_model` in it")
    })
}

/// A single file brings no `config.json`.
fn wan_single_file_config(s: &Subject) -> Option<Finding> {
    let folder = wan_folder(s)?;
    let is_file = wan_transformer(s).is_some_and(|it| fs::is_file(&it));
    (is_file && wan_config(s).is_none_or(|it| !fs::is_file(&it))).then(|| {
        let message =
            format!("there is no `config.json` in `{}`, nor in its `low_noise_model`", folder.display());
        s.error("wan-single-file-config", "model.ckpt_path", message)
            .fix("put the `config.json` of the official checkpoint there")
    })
}

/// Where the trainer looks what kind of Wan it has (models/wan/wan.py:85-95).
fn wan_config(s: &Subject) -> Option<PathBuf> {
    let folder = wan_folder(s)?;
    match wan_transformer(s) {
        Some(path) if fs::is_dir(&path) => Some(path.join("config.json")),
        Some(_) if !fs::is_file(&folder.join("config.json")) => {
            Some(folder.join("low_noise_model/config.json"))
        }
        _ => Some(folder.join("config.json")),
    }
}

fn wan_variant_known(s: &Subject) -> Option<Finding> {
    /// Source: models/wan/wan.py:119-173.
    const KNOWN: [(&str, &[i64]); 4] =
        [("t2v", &[1536, 5120]), ("i2v", &[1536, 5120]), ("flf2v", &[5120]), ("ti2v", &[3072])];
    let path = wan_config(s)?;
    let config: serde_json::Value = serde_json::from_slice(&fs::read(&path).ok()?).unwrap_or_default();
    let (kind, dim) = (config["model_type"].as_str(), config["dim"].as_i64());
    let known =
        KNOWN.iter().any(|(name, dims)| kind == Some(name) && dim.is_some_and(|dim| dims.contains(&dim)));
    (!known).then(|| {
        let message = match (kind, dim) {
            (Some(kind), Some(dim)) => {
                format!("`{}` is of no known Wan: `{kind}` of width {dim}", path.display())
            }
            _ => format!("`{}` names no `model_type` and `dim`", path.display()),
        };
        s.error("wan-variant-known", "model.ckpt_path", message)
            .fix("take the `config.json` of the official checkpoint")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    const WAN: &str = r#"{ "model_type": "t2v", "dim": 5120 }"#;
    const EMPTY: &str = "\u{2}\0\0\0\0\0\0\0{}";
    const A14B: &[(&str, &str)] = &[
        ("a14b/low_noise_model/config.json", WAN),
        ("a14b/low_noise_model/a.safetensors", EMPTY),
        ("models/a.safetensors", EMPTY),
        ("bare/", ""),
    ];
    use super::cases::{case, in_dataset};
    &[
        case(
            "model-files-exist",
            "model.ckpt_path = 'models/none'",
            "model.ckpt_path = './models/ckpt_path/'",
        ),
        case(
            "adapter-files-exist",
            "model.type = 'flux'\nadapter.fuse_adapters = [{ path = 'none' }]",
            "model.type = 'flux'\nadapter.fuse_adapters = [{ path = 'models' }]",
        ),
        case(
            "hub-repository",
            "model = { type = 'sd3', diffusers_path = 'stabilityai/sd3.5' }",
            "model = { type = 'sd3', diffusers_path = 'models/diffusers_path' }",
        ),
        case("no-path-expansion", "model.ckpt_path = '$HOME/wan'", "model.ckpt_path = 'a$1'")
            .files(&[("a$1/config.json", WAN)]),
        case("output-dir-writable", "output_dir = 'd.toml'", "output_dir = 'a/new/one'"),
        case("path-empty", "model.llm_path = ''", "model.llm_path = 'models/llm_path.safetensors'")
            .files(&[("models/llm_path.safetensors", EMPTY)]),
        case("path-of-windows", "model.ckpt_path = 'D:\\wan'", "model.ckpt_path = 'D:wan'")
            .files(&[("D:wan/config.json", WAN)]),
        in_dataset(
            "directory-exists",
            "wan",
            "directory = [{ mask_path = 'none' }]",
            "directory = [{ mask_path = 'models' }]",
        ),
        case(
            "safetensors-file-or-dir",
            "model = { type = 'qwen_image', transformer_path = 'models/a.pt' }",
            "model = { type = 'qwen_image', transformer_path = 'models/a.safetensors' }",
        )
        .files(&[("models/a.pt", EMPTY), ("models/a.safetensors", EMPTY)]),
        case(
            "init-from-existing-folder",
            "adapter.init_from_existing = 'two'",
            "adapter.init_from_existing = 'one'",
        )
        .files(&[
            ("two/a.safetensors", EMPTY),
            ("two/b.safetensors", EMPTY),
            ("one/a.safetensors", EMPTY),
        ]),
        case(
            "wan22-needs-transformer-path",
            "model.ckpt_path = 'a14b'",
            "model.ckpt_path = 'a14b'\nmodel.transformer_path = 'a14b/low_noise_model'",
        )
        .files(A14B),
        case(
            "wan-single-file-config",
            "model.ckpt_path = 'bare'\nmodel.transformer_path = 'models/a.safetensors'",
            "model.ckpt_path = 'a14b'\nmodel.transformer_path = 'models/a.safetensors'",
        )
        .files(A14B),
        case("wan-variant-known", "model.ckpt_path = 'new'", "model.ckpt_path = 'models/ckpt_path'")
            .files(&[("new/config.json", r#"{ "model_type": "t2v", "dim": 8192 }"#)]),
        case("dataset-exists", "dataset = 'none.toml'", "dataset = './d.toml'"),
    ]
};
