//! Keys that the trainer never looks at: it says nothing of them, so a misspelt one is lost in silence.

use super::{
    Dataset, Finding, Rule, Subject, View, all, datasets, foreign,
    named::In,
    shape::{self, Part},
    values,
};
use crate::config::{
    edit::Edit,
    schema::{self, Mark, ModelType, Section, Unread},
};

pub(super) const RULES: &[Rule] = &[
    all(
        &[
            "cache-text-embeddings-scope",
            "deprecated-key",
            "fuse-adapters-scope",
            "guidance-scope",
            "key-of-another-type",
            "merge-adapters-scope",
            "other-trainers-keys",
            "root-key-in-table",
            "shift-key-not-read",
            "unknown-key",
            "unread-key",
            "weights-dtype-key-mismatch",
            "wrong-section",
        ],
        training,
    ),
    datasets(&["other-trainers-keys", "unknown-key", "wrong-section"], dataset),
];

/// How much a name has to be like ours to be taken for it, between 0 and 1.
const ALIKE: f64 = 0.85;

/// How much, so that `--fix` may rename it: one letter in a long word, or two exchanged.
const TYPING_ERROR: f64 = 0.96;

fn training(s: &Subject, found: &mut Vec<Finding>) {
    // `refused` tells of them, and that they are worse there.
    if s.model.is_some_and(|it| !it.reads.is_empty()) {
        return;
    }
    let parts = shape::training(s);
    let mut unknown = vec![];
    for part in &parts {
        for (key, _) in part.view.table().iter() {
            match schema::key(part.section, key) {
                Some(known) if known.is(Mark::Deprecated) => {
                    let message = format!("`{key}` is a left-over: {}", first_lower(&known.doc));
                    found
                        .push(Finding::of("deprecated-key", part.view.at_key(key), message).fix("remove it"));
                }
                Some(known) => found.extend(out_of_scope(s, part, known)),
                // Its constructor refuses what it does not know, or takes anything.
                None if part.of == In::Optimizer => {}
                // Of a type that is not known nobody can say which keys it has; that some are no keys of any is certain.
                None if part.of == In::Model && s.model.is_none() => found.extend(root_key(part, key)),
                None => found.extend(strange(s.model, part, key, &mut unknown)),
            }
        }
    }
    found.extend(of_another_trainer(&unknown));
}

fn dataset(d: &Dataset, found: &mut Vec<Finding>) {
    if d.model.is_some_and(|it| !it.reads.is_empty()) {
        return;
    }
    let parts = shape::dataset(d);
    let mut unknown = vec![];
    for part in &parts {
        for (key, _) in part.view.table().iter() {
            if schema::key(part.section, key).is_none() {
                found.extend(strange(d.model, part, key, &mut unknown));
            }
        }
    }
    found.extend(of_another_trainer(&unknown));
}

type Foreign<'a> = Vec<(View<'a>, &'a str)>;

/// What to say of a key that is none of its section's. One of another trainer's is kept for later.
fn strange<'a>(
    model: Option<&'static ModelType>,
    part: &Part<'a>,
    key: &'a str,
    foreign_keys: &mut Foreign<'a>,
) -> Option<Finding> {
    let view = &part.view;
    if let Some(unread) = unread(part.of, key) {
        let message = format!("the trainer does not read `{key}`");
        let instead = schema::key(part.section, &unread.instead).is_some();
        let fix = if instead {
            format!("rename it to `{}`", unread.instead)
        } else {
            format!("use {}", unread.instead)
        };
        let edit = instead.then(|| renamed(part, key, &unread.instead)).flatten();
        return Some(Finding::of("unread-key", view.at_key(key), message).fix(fix).edit(edit));
    }
    // A rule of its own refuses the one; the other says what is so anyway.
    let said = match part.of {
        In::Adapter => key == "alpha",
        In::Model => key == "cache_text_embeddings" && view.flag(key) == Some(true),
        _ => false,
    };
    if said {
        return None;
    }
    if let Some(finding) = of_another_type(model, part, key) {
        return Some(finding);
    }
    let names = schema::section(part.section).into_iter().map(|it| it.name.as_str());
    let nearest = nearest(key, names);
    // Only few letters are wrong, so it is ours, whatever others call theirs.
    if nearest.is_none_or(|it| likeness(key, it) < TYPING_ERROR) {
        if foreign::is_known(key) {
            foreign_keys.push((view.clone(), key));
            return None;
        }
        if let Some(finding) = misplaced(part, key) {
            return Some(finding);
        }
    }
    let finding = |message| Finding::of("unknown-key", view.at_key(key), message);
    Some(match nearest {
        Some(known) => finding(format!("unknown key `{key}`, did you mean `{known}`?"))
            .fix(format!("rename it to `{known}`"))
            .edit(renaming(part, key, known)),
        None => finding(format!("unknown key `{key}` in {}, which the trainer ignores", part.of.name()))
            .fix("remove it"),
    })
}

fn unread(of: In, key: &str) -> Option<&'static Unread> {
    let section = match of {
        In::Training => "training",
        In::Model => "model",
        _ => return None,
    };
    schema::unread().iter().find(|it| it.section == section && it.key == key && it.value.is_none())
}

/// The key that was meant, if one of `names` is like it.
pub(super) fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    schema::nearest(key, names, ALIKE)
}

/// What `--fix` does of a key that was meant as `known`: only where hardly a letter differs.
pub(super) fn renaming(part: &Part, key: &str, known: &str) -> Option<Edit> {
    (likeness(key, known) >= TYPING_ERROR).then(|| renamed(part, key, known)).flatten()
}

/// Only if that makes nothing worse: a value that the key cannot have does no harm where nobody reads it.
fn renamed(part: &Part, key: &str, to: &str) -> Option<Edit> {
    fits(&part.view, key, part.section, to).then(|| part.view.rename(key, to)).flatten()
}

/// The value of `key` would do as that of the key `name`, or can be mended.
fn fits(view: &View, key: &str, section: Section, name: &str) -> bool {
    schema::key(section, name).zip(view.get(key)).is_some_and(|(known, item)| {
        known.wrong(item).is_none()
            || item.as_value().is_some_and(|value| values::meant(known, value).is_some())
    })
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

/// A key of the top of a training file.
pub(super) fn root_key(part: &Part, key: &str) -> Option<Finding> {
    schema::key(Section::Training, key)?;
    let view = &part.view;
    if view.source().root().contains_key(key) {
        let message = format!("`{key}` is at the top of the file, too; in {} it is not used", part.of.name());
        let finding = Finding::warning("root-key-in-table", view.at_key(key), message);
        return Some(finding.consequence("it has no effect, and the trainer says nothing").fix("remove it"));
    }
    let message = format!("`{key}` belongs at the top of the file; here it is a part of {}", part.of.name());
    let finding = Finding::error("root-key-in-table", view.at_key(key), message);
    let edit = fits(view, key, Section::Training, key).then(|| Edit::ToRoot { place: view.place(key) });
    Some(finding.fix("move it above the first `[` line").edit(edit))
}

/// A key of another section of ours.
fn misplaced(part: &Part, key: &str) -> Option<Finding> {
    let view = &part.view;
    let is_training = !matches!(part.of, In::Dataset | In::Directory);
    if let Some(finding) = root_key(part, key).filter(|_| is_training) {
        return Some(finding);
    }
    let homes: &[(Section, &str)] = if is_training {
        &[
            (Section::Adapter(Some("lora")), "`[adapter]`"),
            (Section::Adapter(Some("lokr")), "`[adapter]`"),
            (Section::Optimizer(None), "`[optimizer]`"),
            (Section::Monitoring, "`[monitoring]`"),
            (Section::Dataset, "the dataset file"),
            (Section::Directory, "a `[[directory]]` of the dataset file"),
        ]
    } else {
        &[
            (Section::Directory, "a `[[directory]]`"),
            (Section::Dataset, "the top of the file"),
            (Section::Training, "the training file"),
        ]
    };
    let of_model = schema::models().filter(|_| is_training).any(|it| it.key(key).is_some());
    let home = homes.iter().find(|(section, _)| schema::key(*section, key).is_some()).map(|it| it.1);
    let home = home.or_else(|| (of_model && part.of != In::Model).then_some("`[model]`"))?;
    let message = format!("`{key}` belongs in {home}; in {} the trainer ignores it", part.of.name());
    Some(Finding::of("wrong-section", view.at_key(key), message).fix(format!("move it to {home}")))
}

/// A key that is in `[model]` or `[adapter]` for other types only.
fn of_another_type(model: Option<&'static ModelType>, part: &Part, key: &str) -> Option<Finding> {
    if part.of == In::Adapter {
        let types: Vec<_> = schema::adapters()
            .iter()
            .filter(|it| it.keys.iter().any(|it| it.name == key))
            .map(|it| format!("`{}`", it.name))
            .collect();
        let at = part.view.at_key(key);
        return (!types.is_empty()).then(|| {
            let message =
                format!("`{key}` is not read by this type of adapter, only by {}", types.join(", "));
            Finding::of("key-of-another-type", at, message).fix("remove it")
        });
    }
    let model = model.filter(|_| part.of == In::Model)?;
    let common = schema::key(Section::AnyModel, key).is_some();
    let readers: Vec<_> =
        schema::models().filter(|it| it.key(key).is_some()).map(|it| format!("`{}`", it.name)).collect();
    if readers.is_empty() && !common {
        return None;
    }
    let id = match key {
        "transformer_dtype" | "diffusion_model_dtype" => "weights-dtype-key-mismatch",
        "guidance" => "guidance-scope",
        "cache_text_embeddings" => "cache-text-embeddings-scope",
        "merge_adapters" => "merge-adapters-scope",
        "shift" | "flux_shift" | "lumina_shift" | "min_t" | "max_t" => "shift-key-not-read",
        _ => "key-of-another-type",
    };
    let message = format!("`{key}` is not read by the model type `{}`", model.name);
    let finding = Finding::of(id, part.view.at_key(key), message);
    let ours = model.weights_dtype_key.as_deref().filter(|_| id == "weights-dtype-key-mismatch");
    Some(match ours {
        Some(ours) => finding.fix(format!("rename it to `{ours}`")).edit(renamed(part, key, ours)),
        None if readers.len() > 6 => finding.fix("remove it"),
        None => finding.fix(format!("remove it: it is for {}", readers.join(", "))),
    })
}

/// A key of `[adapter]` that is read for some model types only.
fn out_of_scope(s: &Subject, part: &Part, key: &schema::Key) -> Option<Finding> {
    let model =
        s.model.filter(|it| !key.only_for.is_empty() && !key.only_for.iter().any(|name| name == it.name))?;
    let id = if key.name == "fuse_adapters" { "fuse-adapters-scope" } else { "key-of-another-type" };
    let message = format!("`{}` is not read by the model type `{}`", key.name, model.name);
    let readers: Vec<_> = key.only_for.iter().map(|it| format!("`{it}`")).collect();
    let fix = format!("remove it: it is for {}", readers.join(", "));
    Some(Finding::of(id, part.view.at_key(&key.name), message).fix(fix))
}

/// One finding for all of them: who sees a dozen lines does not see what they have in common.
fn of_another_trainer(keys: &[(View, &str)]) -> Option<Finding> {
    let names: Vec<&str> = keys.iter().map(|(_, key)| *key).collect();
    let trainer = foreign::trainer_of(&names)?;
    let first = keys.iter().min_by_key(|(view, key)| view.at_key(key).1)?;
    let list: Vec<String> = names.iter().map(|key| format!("`{key}`")).collect();
    let (are, what) = if list.len() == 1 { ("is a key", "it") } else { ("are keys", "them") };
    let message = format!("{} {are} of {}, and the trainer ignores {what}", list.join(", "), trainer.name);
    let instead: Vec<String> = names
        .iter()
        .filter_map(|key| Some(format!("`{key}`: {}", trainer.ours(key).filter(|it| !it.is_empty())?)))
        .collect();
    let fix = if instead.is_empty() {
        "remove them: nothing here does the same".to_owned()
    } else {
        format!("use instead of {}", instead.join("; "))
    };
    Some(Finding::of("other-trainers-keys", first.0.at_key(first.1), message).fix(fix))
}

fn first_lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case(
            "cache-text-embeddings-scope",
            "model = { type = 'sdxl', cache_text_embeddings = false }",
            "model = { type = 'wan', cache_text_embeddings = false }",
        ),
        case("deprecated-key", "lora.dtype = 'bfloat16'", "adapter.dtype = 'bfloat16'"),
        case(
            "fuse-adapters-scope",
            "adapter.fuse_adapters = [{ path = 'models' }]",
            "model.type = 'chroma'\nadapter.fuse_adapters = [{ path = 'models' }]",
        ),
        case(
            "guidance-scope",
            "model = { type = 'wan', guidance = 1.0 }",
            "model = { type = 'flux', guidance = 1.0 }",
        ),
        case(
            "key-of-another-type",
            "model = { type = 'wan', min_snr_gamma = 5 }",
            "model = { type = 'sdxl', min_snr_gamma = 5 }",
        ),
        case(
            "merge-adapters-scope",
            "model = { type = 'wan', merge_adapters = ['models/none.safetensors'] }",
            "model = { type = 'z_image', merge_adapters = ['models/vae.safetensors'] }",
        )
        .files(&[("models/none.safetensors", "\u{2}\0\0\0\0\0\0\0{}")]),
        case("other-trainers-keys", "network_dim = 32", "adapter.rank = 32"),
        case("root-key-in-table", "model.gradient_clipping = 1.0", "gradient_clipping = 1.0"),
        case(
            "root-key-in-table",
            "gradient_clipping = 1.0\nmodel.gradient_clipping = 2.0",
            "gradient_clipping = 1.0",
        ),
        case(
            "shift-key-not-read",
            "model = { type = 'sdxl', flux_shift = true }",
            "model = { type = 'wan', flux_shift = true }",
        ),
        case("unknown-key", "warmup_step = 1", "warmup_steps = 1"),
        case(
            "unread-key",
            "image_eval_micro_batch_size_per_gpu = 1",
            "eval_image_micro_batch_size_per_gpu = 1",
        ),
        case("unknown-key", "foo_bar = 1", "compile = true"),
        case("unread-key", "pseudo_huber_c = 0.5", "huber_delta = 0.5"),
        case(
            "weights-dtype-key-mismatch",
            "model = { type = 'z_image', transformer_dtype = 'float8' }",
            "model = { type = 'z_image', diffusion_model_dtype = 'float8' }",
        ),
        case("wrong-section", "rank = 8", "adapter.rank = 8"),
    ]
};
