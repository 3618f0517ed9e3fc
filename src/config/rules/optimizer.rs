//! `[optimizer]`: whatever the trainer does not know itself, it hands to a constructor.

use super::{Finding, Rule, Subject, all, one};
use crate::config::schema::{self, Section};

pub(super) const RULES: &[Rule] = &[
    one(&["optimizer-fallback-name"], optimizer_fallback_name),
    all(&["optimizer-kwargs", "automagic-no-betas", "sgd-no-betas"], optimizer_kwargs),
    one(&["beta2-half-life-betas"], beta2_half_life_betas),
    one(&["gradient-release-lr-groups"], gradient_release_lr_groups),
    one(&["gradient-release-single-dp"], gradient_release_single_dp),
    one(&["gradient-release-no-clipping"], gradient_release_no_clipping),
    one(&["genericoptim-one-muon"], genericoptim_one_muon),
    one(&["genericoptim-ranges"], genericoptim_ranges),
    one(&["genericoptim-rank-gap"], genericoptim_rank_gap),
    one(&["genericoptim-sm-rank"], genericoptim_sm_rank),
    one(&["genericoptim-rank-first-group"], genericoptim_rank_first_group),
];

const TYPE: &str = "optimizer.type";

fn optimizer_fallback_name(s: &Subject) -> Option<Finding> {
    let name = s.text(TYPE)?;
    let classes = schema::fallback_optimizers();
    if schema::optimizer(name).is_some() || classes.iter().any(|it| it == name) || s.is(&["demo"]) {
        return None;
    }
    let message = format!("there is no optimizer `{name}`");
    let finding = s.error("optimizer-fallback-name", TYPE, message);
    let spelt_so = |it: &&String| it.eq_ignore_ascii_case(name);
    let own = schema::optimizers().iter().map(|it| it.name.as_str());
    Some(match classes.iter().find(spelt_so) {
        Some(class) => finding
            .fix(format!("write it `{class}`: its letter case counts"))
            .edit(s.set(TYPE, class.as_str())),
        None => match schema::nearest(name, own.chain(classes.iter().map(String::as_str)), 0.8) {
            Some(nearest) => finding.fix(format!("did you mean `{nearest}`?")),
            None => finding.fix("choose one that `dpgui config explain optimizer.type` lists"),
        },
    })
}

/// Constructors that are not described may take anything.
fn optimizer_kwargs(s: &Subject, found: &mut Vec<Finding>) {
    let (Some(optimizer), Some(view)) = (s.text(TYPE).and_then(schema::optimizer), s.view("optimizer"))
    else {
        return;
    };
    // The demo's trainer has an optimizer of its own; `refused` knows its keys.
    if s.is(&["demo"]) {
        return;
    }
    let known = schema::section(Section::Optimizer(Some(&optimizer.name)));
    for (key, _) in view.table().iter() {
        if known.iter().any(|it| it.name == key) {
            continue;
        }
        let id = match (optimizer.name.as_str(), key) {
            ("automagic", "betas") => "automagic-no-betas",
            ("sgd", "betas" | "eps") => "sgd-no-betas",
            _ => "optimizer-kwargs",
        };
        let message = format!("the optimizer `{}` takes no `{key}`", optimizer.name);
        let names = known.iter().map(|it| it.name.as_str());
        let nearest = schema::nearest(key, names, 0.85).filter(|it| !view.has(it));
        let finding = Finding::of(id, view.at_key(key), message);
        found.push(match nearest {
            Some(nearest) => finding.fix(format!("did you mean `{nearest}`?")),
            None => finding.fix("remove it"),
        });
    }
}

fn beta2_half_life_betas(s: &Subject) -> Option<Finding> {
    const KEY: &str = "optimizer.beta2_half_life";
    s.number(KEY).filter(|it| *it != 0.0)?;
    let entries = s.get("optimizer.betas").and_then(toml_edit::Item::as_array).map(toml_edit::Array::len);
    (entries != Some(2)).then(|| {
        s.error(
            "beta2-half-life-betas",
            KEY,
            "`beta2_half_life` sets the second of two `betas`, which are not there",
        )
        .fix("set `betas = [0.9, 0.99]`")
    })
}

fn releases(s: &Subject) -> bool {
    s.flag("optimizer.gradient_release") == Some(true)
}

fn gradient_release_lr_groups(s: &Subject) -> Option<Finding> {
    let model = s.model?;
    let with_rates = ["cosmos_predict2", "anima"].contains(&model.name)
        || model.name == "sdxl" && ["optimizer.lr", "model.unet_lr"].iter().any(|key| s.has(key));
    (releases(s) && !with_rates && model.name != "demo").then(|| {
        let message = format!("`gradient_release` does not work with the model type `{}`", model.name);
        s.error("gradient-release-lr-groups", "optimizer.gradient_release", message).fix("remove it")
    })
}

fn gradient_release_single_dp(s: &Subject) -> Option<Finding> {
    let (ranks, stages) = (i64::from(s.ranks?), s.stages());
    (releases(s) && ranks != stages).then(|| {
        let message =
            format!("`gradient_release` needs as many `pipeline_stages` as GPUs, {ranks}, not {stages}");
        s.error("gradient-release-single-dp", "optimizer.gradient_release", message)
            .fix(format!("train on {stages} GPUs, or remove it"))
    })
}

fn gradient_release_no_clipping(s: &Subject) -> Option<Finding> {
    let clips = s.number("gradient_clipping").is_some_and(|it| it > 0.0);
    (releases(s) && clips).then(|| {
        let message = "`gradient_clipping` is not used: `gradient_release` turns it off";
        s.warning("gradient-release-no-clipping", "gradient_clipping", message).fix("remove one of the two")
    })
}

fn is_generic(s: &Subject) -> bool {
    s.text(TYPE).is_some_and(|it| it.eq_ignore_ascii_case("genericoptim"))
}

fn genericoptim_one_muon(s: &Subject) -> Option<Finding> {
    let on = |key: &&str| s.flag(&format!("optimizer.{key}")) == Some(true);
    let kinds: Vec<_> = ["muon", "adamuon", "normuon"].into_iter().filter(on).collect();
    let last = kinds.last().filter(|_| is_generic(s) && kinds.len() > 1)?;
    let message = format!("only one of `{}` can be on", kinds.join("`, `"));
    let path = format!("optimizer.{last}");
    Some(s.error("genericoptim-one-muon", &path, message).fix("keep one of them"))
}

fn genericoptim_ranges(s: &Subject) -> Option<Finding> {
    let betas = s.list("optimizer.betas", |it| it.as_float().or_else(|| it.as_integer().map(as_float)))?;
    let first = betas.first().is_none_or(|it| (0.0..1.0).contains(it));
    let second = betas.get(1).is_none_or(|it| (0.0..=1.0).contains(it));
    (is_generic(s) && !(first && second)).then(|| {
        let message = "`betas` must be at least 0, the first below 1, the second at most 1";
        s.error("genericoptim-ranges", "optimizer.betas", message).fix("set `betas = [0.9, 0.99]`")
    })
}

#[expect(clippy::cast_precision_loss, reason = "only its sign and whether it is above 1 count")]
fn as_float(number: i64) -> f64 {
    number as f64
}

fn genericoptim_rank_gap(s: &Subject) -> Option<Finding> {
    let [rank, gap] = ["rank", "update_proj_gap"];
    let has = |key: &str| s.has(&format!("optimizer.{key}"));
    let (there, absent) = match (has(rank), has(gap)) {
        (true, false) => (rank, gap),
        (false, true) => (gap, rank),
        _ => return None,
    };
    is_generic(s).then(|| {
        let path = format!("optimizer.{there}");
        s.error("genericoptim-rank-gap", &path, format!("`{there}` needs `{absent}` beside it"))
            .fix(format!("set `{absent}`, or remove `{there}`"))
    })
}

fn genericoptim_sm_rank(s: &Subject) -> Option<Finding> {
    const KEY: &str = "optimizer.momentum_type";
    (is_generic(s) && s.text(KEY) == Some("sm") && !s.has("optimizer.rank")).then(|| {
        s.error("genericoptim-sm-rank", KEY, "`momentum_type = 'sm'` needs `rank`")
            .fix("set `rank` and `update_proj_gap`")
    })
}

/// Only types with several groups of weights are concerned.
fn genericoptim_rank_first_group(s: &Subject) -> Option<Finding> {
    const KEY: &str = "optimizer.rank";
    let groups = s.is(&["sdxl", "cosmos_predict2", "anima"]);
    (is_generic(s) && groups && s.has(KEY)).then(|| {
        let message = "`rank` reaches only the first group of weights; this model type has several";
        s.warning("genericoptim-rank-first-group", KEY, message)
            .fix("remove it, or count with full momentum elsewhere")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case("optimizer-fallback-name", "optimizer.type = 'prodigy'", "optimizer.type = 'Prodigy'"),
        case("optimizer-kwargs", "optimizer.d_coef = 1.0", "optimizer = { type = 'Prodigy', d_coef = 1.0 }"),
        case(
            "automagic-no-betas",
            "optimizer = { type = 'automagic', betas = [0.9, 0.99] }",
            "optimizer = { type = 'automagic', beta2 = 0.99 }",
        ),
        case(
            "sgd-no-betas",
            "optimizer = { type = 'sgd', eps = 1e-8 }",
            "optimizer = { type = 'sgd', momentum = 0.9 }",
        ),
        case(
            "beta2-half-life-betas",
            "optimizer.beta2_half_life = 100",
            "optimizer.beta2_half_life = 100\noptimizer.betas = [0.9, 0.99]",
        ),
        case(
            "gradient-release-lr-groups",
            "optimizer.gradient_release = true",
            "model.type = 'sdxl'\noptimizer.gradient_release = true",
        ),
        case(
            "gradient-release-no-clipping",
            "model.type = 'anima'\noptimizer.gradient_release = true\ngradient_clipping = 1.0",
            "model.type = 'anima'\noptimizer.gradient_release = true\ngradient_clipping = 0",
        ),
        case(
            "genericoptim-one-muon",
            "optimizer = { type = 'genericoptim', muon = true, normuon = true }",
            "optimizer = { type = 'genericoptim', muon = true, normuon = false }",
        ),
        case(
            "genericoptim-ranges",
            "optimizer = { type = 'genericoptim', betas = [1.0, 1.0] }",
            "optimizer = { type = 'genericoptim', betas = [0.0, 1.0] }",
        ),
        case(
            "genericoptim-ranges",
            "optimizer = { type = 'genericoptim', lr = -1 }",
            "optimizer = { type = 'genericoptim', lr = 0 }",
        ),
        case(
            "genericoptim-rank-gap",
            "optimizer = { type = 'genericoptim', rank = 8 }",
            "optimizer = { type = 'genericoptim', rank = 8, update_proj_gap = 8 }",
        ),
        case(
            "genericoptim-sm-rank",
            "optimizer = { type = 'genericoptim', momentum_type = 'sm' }",
            "optimizer = { type = 'genericoptim', momentum_type = 'sm', rank = 8, update_proj_gap = 8 }",
        ),
        case(
            "genericoptim-rank-first-group",
            "model.type = 'sdxl'\noptimizer = { type = 'genericoptim', rank = 8, update_proj_gap = 8 }",
            "model.type = 'wan'\noptimizer = { type = 'genericoptim', rank = 8, update_proj_gap = 8 }",
        ),
        case(
            "gradient-release-single-dp",
            "model.type = 'anima'\noptimizer.gradient_release = true",
            "model.type = 'anima'\noptimizer.gradient_release = true\npipeline_stages = 2",
        )
        .gpus(2),
    ]
};
