//! How the layers of a model are spread over GPUs.

use super::{Finding, Rule, Subject, one};

pub(super) const RULES: &[Rule] = &[
    one(&["stages-divide-gpus"], stages_divide_gpus),
    one(&["partition-split-length"], partition_split_length),
    one(&["partition-split-ascending"], partition_split_ascending),
    one(&["partition-split-only-manual"], partition_split_only_manual),
    one(&["minimax-cfg-single-stage"], minimax_cfg_single_stage),
];

fn stages_divide_gpus(s: &Subject) -> Option<Finding> {
    let (ranks, stages) = (i64::from(s.ranks?), s.stages());
    (ranks % stages != 0).then(|| {
        let message = format!("`pipeline_stages = {stages}` does not divide the number of GPUs, {ranks}");
        s.error("stages-divide-gpus", "pipeline_stages", message)
            .fix(format!("train on a multiple of {stages} GPUs, or lower `pipeline_stages`"))
    })
}

fn is_manual(s: &Subject) -> bool {
    s.text("partition_method").is_some_and(|it| it.eq_ignore_ascii_case("manual"))
}

fn split(s: &Subject) -> Option<Vec<i64>> {
    s.list("partition_split", toml_edit::Value::as_integer)
}

fn partition_split_length(s: &Subject) -> Option<Finding> {
    let (found, stages) = (split(s)?.len(), s.stages());
    let needed = usize::try_from(stages - 1).ok()?;
    (is_manual(s) && found != needed).then(|| {
        let message =
            format!("`partition_split` has {found} entries; `pipeline_stages = {stages}` needs {needed}");
        s.error("partition-split-length", "partition_split", message)
            .fix("name the first layer of each stage but the first one")
    })
}

fn partition_split_ascending(s: &Subject) -> Option<Finding> {
    let split = split(s)?;
    let ascends = split.first().is_none_or(|first| *first >= 1) && split.is_sorted_by(|a, b| a < b);
    (is_manual(s) && !ascends).then(|| {
        let message = "`partition_split` does not ascend from 1 on, so a stage would be empty or run twice";
        s.warning("partition-split-ascending", "partition_split", message)
            .fix("name the first layer of each stage but the first one, in order")
    })
}

fn partition_split_only_manual(s: &Subject) -> Option<Finding> {
    (s.has("partition_split") && !is_manual(s)).then(|| {
        let message = "`partition_split` is not used without `partition_method = 'manual'`";
        s.warning("partition-split-only-manual", "partition_split", message)
            .fix("set `partition_method = 'manual'`, or remove it")
    })
}

fn minimax_cfg_single_stage(s: &Subject) -> Option<Finding> {
    let cfg = s.number("model.cfg").filter(|cfg| *cfg > 1.0)?;
    (s.is(&["minimax_h3"]) && s.stages() > 1).then(|| {
        let message = format!("`cfg = {cfg}` needs all of the model on one GPU");
        s.error("minimax-cfg-single-stage", "model.cfg", message).fix("set `pipeline_stages = 1`")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case("stages-divide-gpus", "pipeline_stages = 2", "pipeline_stages = 3").gpus(3),
        case(
            "partition-split-length",
            "pipeline_stages = 2\npartition_method = 'manual'\npartition_split = [1, 2]",
            "pipeline_stages = 3\npartition_method = 'manual'\npartition_split = [1, 2]",
        ),
        case(
            "partition-split-ascending",
            "pipeline_stages = 3\npartition_method = 'manual'\npartition_split = [2, 2]",
            "pipeline_stages = 3\npartition_method = 'manual'\npartition_split = [2, 3]",
        ),
        case(
            "partition-split-only-manual",
            "partition_split = [2]\npipeline_stages = 2",
            "partition_split = [2]\npipeline_stages = 2\npartition_method = 'Manual'",
        ),
        case(
            "minimax-cfg-single-stage",
            "model = { type = 'minimax_h3', cfg = 1.5 }\npipeline_stages = 2",
            "model = { type = 'minimax_h3', cfg = 1.0 }\npipeline_stages = 2",
        ),
    ]
};
