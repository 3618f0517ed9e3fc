//! What holds for all types of `[model]`.

use super::{Finding, Rule, Subject, all, one};
use crate::config::schema;

pub(super) const RULES: &[Rule] = &[
    one(&["model-type-known"], model_type_known),
    all(&["shift-beats-resolution-shift"], shift_beats_resolution_shift),
    one(&["wan-t-range"], wan_t_range),
];

fn model_type_known(s: &Subject) -> Option<Finding> {
    let name = s.text("model.type").filter(|name| schema::model(name).is_none())?;
    let nearest = schema::nearest_model(name);
    let finding =
        s.error("model-type-known", "model.type", format!("the trainer has no model type `{name}`"));
    Some(match nearest {
        Some(nearest) => finding
            .fix(format!("did you mean `{nearest}`? `dpgui config models` lists all"))
            .edit(nearest.eq_ignore_ascii_case(name).then(|| s.set("model.type", nearest))),
        None => finding.fix("choose one that `dpgui config models` lists"),
    })
}

fn shift_beats_resolution_shift(s: &Subject, found: &mut Vec<Finding>) {
    let (Some(shift), Some(model)) = (s.number("model.shift").filter(|it| *it != 0.0), s.model) else {
        return;
    };
    if model.key("shift").is_none() {
        return;
    }
    for key in ["flux_shift", "lumina_shift"].into_iter().filter(|key| model.key(key).is_some()) {
        let path = format!("model.{key}");
        if s.flag(&path) == Some(true) {
            let message = format!("`{key}` is not used: `shift = {shift}` wins over it");
            found
                .push(s.warning("shift-beats-resolution-shift", &path, message).fix("remove one of the two"));
        }
    }
}

fn wan_t_range(s: &Subject) -> Option<Finding> {
    let (min, max) = (s.number("model.min_t").unwrap_or(0.0), s.number("model.max_t").unwrap_or(1.0));
    let key = if s.has("model.min_t") { "model.min_t" } else { "model.max_t" };
    // Each by itself is in its range, or has a finding of its own.
    (s.is(&["wan"]) && min >= max && min <= 1.0 && max >= 0.0).then(|| {
        s.error(
            "wan-t-range",
            key,
            format!("there is no timestep between `min_t = {min}` and `max_t = {max}`"),
        )
        .fix("set `min_t` below `max_t`")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case("model-type-known", "model.type = 'wan2'", "model.type = 'wan'"),
        case(
            "shift-beats-resolution-shift",
            "model.shift = 3\nmodel.flux_shift = true",
            "model.shift = 3\nmodel.flux_shift = false",
        ),
        case("wan-t-range", "model.min_t = 0.9\nmodel.max_t = 0.5", "model.min_t = 0.5\nmodel.max_t = 0.9"),
    ]
};
