//! Going on in a folder of an earlier training.

use std::path::PathBuf;

use toml_edit::Item;

use super::{Finding, Rule, Subject, all, one};
use crate::{
    config::{source::Source, view::View},
    platform::fs,
};

pub(super) const RULES: &[Rule] = &[
    one(&["resume-latest-file"], resume_latest_file),
    all(&["save-tmp-leftover"], save_tmp_leftover),
    all(&["lr-changes-ignored-on-resume", "resume-same-model-shape"], against_the_copy),
];

const KEY: &str = "resume_from_checkpoint";

/// The folder that the file names. The newest one is for `dpgui train` to find.
fn folder(s: &Subject) -> Option<PathBuf> {
    let name = s.text(KEY).filter(|name| !name.is_empty())?;
    let folder = s.base.absolute(s.text("output_dir")?).join(name);
    Some(s.base.place(folder.to_str()?))
}

fn resume_latest_file(s: &Subject) -> Option<Finding> {
    let folder = folder(s)?;
    (!fs::is_file(&folder.join("latest"))).then(|| {
        let message = format!("there is no checkpoint in `{}`: it has no file `latest`", folder.display());
        s.error("resume-latest-file", KEY, message)
            .fix("name a folder in `output_dir` that holds one, or remove it")
    })
}

fn save_tmp_leftover(s: &Subject, found: &mut Vec<Finding>) {
    let Some(folder) = folder(s) else { return };
    for name in fs::names(&folder).unwrap_or_default() {
        let text = name.to_string_lossy();
        let number = text.strip_prefix("epoch").or_else(|| text.strip_prefix("step"));
        let left = folder.join(&name).join("tmp");
        if number.is_some_and(|it| it.parse::<u64>().is_ok()) && fs::exists(&left) {
            let message =
                format!("`{}` is left of a save that broke off, and blocks the next one", left.display());
            found.push(s.error("save-tmp-leftover", KEY, message).fix("remove that folder"));
        }
    }
}

/// The trainer keeps a copy of the file with which the folder was begun.
fn against_the_copy(s: &Subject, found: &mut Vec<Finding>) {
    let Some(copy) = folder(s).and_then(|folder| begun_with(&folder)) else { return };
    let old = View::root(&copy);
    let optimizer = (!s.is_passed("--reset_optimizer")).then_some("optimizer.type");
    for key in ["model.type", "adapter.type", "adapter.rank"].into_iter().chain(optimizer) {
        let (before, now) = (plain(&old, key), plain(s, key));
        if !is_same(&old, s, key) {
            let say = |value: Option<String>| value.unwrap_or_else(|| "not set".to_owned());
            let message =
                format!("the checkpoint was made with `{key}` {}, here it is {}", say(before), say(now));
            found.push(s.error("resume-same-model-shape", key, message).fix(match key {
                "optimizer.type" => "set it as it was, or pass `--reset_optimizer` on",
                _ => "set it as it was, or start anew: remove `resume_from_checkpoint`",
            }));
        }
    }
    let (before, now) = (old.number("optimizer.lr"), s.number("optimizer.lr"));
    if let (Some(before), Some(now)) = (before, now)
        && (before - now).abs() > f64::EPSILON * before.abs()
        && !s.is_passed("--reset_optimizer_params")
        && !s.has("force_constant_lr")
    {
        let message = format!("`lr = {now}` is not used: the checkpoint goes on with {before}");
        found.push(
            s.warning("lr-changes-ignored-on-resume", "optimizer.lr", message)
                .fix("set `force_constant_lr`, or pass `--reset_optimizer_params` on"),
        );
    }
}

/// The same value, however it is spelt; the trainer reads types of optimizers in lower case.
fn is_same(old: &View, new: &View, key: &str) -> bool {
    let (old, new) = (old.get(key), new.get(key));
    let texts = (old.and_then(Item::as_str), new.and_then(Item::as_str));
    let numbers = (old.and_then(Item::as_integer), new.and_then(Item::as_integer));
    match (texts, numbers) {
        ((Some(old), Some(new)), _) if key == "optimizer.type" => old.eq_ignore_ascii_case(new),
        ((Some(old), Some(new)), _) => old == new,
        (_, (Some(old), Some(new))) => old == new,
        _ => old.is_none() && new.is_none(),
    }
}

fn plain(view: &View, key: &str) -> Option<String> {
    view.get(key)
        .and_then(Item::as_value)
        .map(|value| value.clone().decorated("", "").to_string().replace('\'', "\""))
}

fn begun_with(folder: &std::path::Path) -> Option<Source> {
    let names = fs::names(folder).unwrap_or_default();
    let files = names
        .into_iter()
        .map(|name| folder.join(name))
        .filter(|it| it.extension().is_some_and(|it| it == "toml"));
    files.filter_map(|path| Source::read(&path).ok()).find(|source| source.root().contains_key("model"))
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    const BEGUN: &str = "[model]\ntype = 'wan'\n[adapter]\ntype = 'lora'\nrank = 0x8\n\
                         [optimizer]\ntype = \"AdamW_Optimi\"\nlr = 0.0001\n";
    const OLD: &[(&str, &str)] = &[
        ("output/old/latest", "global_step5"),
        ("output/old/t.toml", BEGUN),
        ("output/old/epoch1/adapter_model.safetensors", ""),
        ("output/torn/latest", "global_step5"),
        ("output/torn/epoch2/tmp/state_dict_0.bin", ""),
    ];
    use super::cases::case;
    &[
        case("resume-latest-file", "resume_from_checkpoint = 'none'", "resume_from_checkpoint = 'old'")
            .files(OLD),
        case("save-tmp-leftover", "resume_from_checkpoint = 'torn'", "resume_from_checkpoint = 'old'")
            .files(OLD),
        case(
            "lr-changes-ignored-on-resume",
            "resume_from_checkpoint = 'old'\noptimizer.lr = 2e-4",
            "resume_from_checkpoint = 'old'\noptimizer.lr = 2e-4\nforce_constant_lr = 2e-4",
        )
        .files(OLD),
        case(
            "resume-same-model-shape",
            "resume_from_checkpoint = 'old'\nadapter.rank = 16",
            "resume_from_checkpoint = 'old'\nadapter.rank = 8",
        )
        .files(OLD),
    ]
};
