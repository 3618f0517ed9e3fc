//! `dpgui config models`: what can be trained, and what each needs.

use serde_json::json;

use crate::{
    commands::Context,
    config::schema::{self, Ability, ModelType, Required, Section},
    output::Mode,
};

/// The submodules that every type needs, and that `dpgui setup` always gets.
const ALWAYS: [&str; 2] = ["ComfyUI", "HunyuanVideo"];

pub(super) fn run(context: &Context) {
    let output = &context.output;
    if output.mode() == Mode::Json {
        for model in schema::models() {
            let mut row = json!(model);
            row["needs"] = json!(needs(model));
            output.json(&row);
        }
        return;
    }
    let columns = output.columns();
    let row = |cells: [&str; 6], last: &str| {
        let [name, title, trains, small, video, swap] = cells;
        let row = format!("{name:<17} {title:<20} {trains:<15} {small:<5} {video:<6} {swap:<5} ");
        output.data(with_last(&row, last, columns));
    };
    row(["TYPE", "MODEL", "TRAINS", "8 BIT", "VIDEO", "SWAP"], "NEEDS");
    for model in schema::models() {
        let title = if model.name == "demo" { "dpgui's own" } else { &model.title };
        let small = if model.can(Ability::Fp8) { "yes" } else { "" };
        let cells = [model.name, title, &trains(model), small, &video(model), &swap(model)];
        row(cells, &needs(model).join(", "));
    }
    output.note("\nmore of one: `dpgui config explain TYPE`; a configuration: `dpgui config new TYPE`");
}

/// The row with its last cell, which goes on below itself where the terminal has no more `columns`; below the row where
/// that would be a narrow strip.
fn with_last(row: &str, last: &str, columns: Option<usize>) -> String {
    /// The longest word, more or less.
    const NARROW: usize = 24;
    const INDENT: usize = 4;
    let width = row.chars().count();
    let Some(columns) = columns.filter(|columns| width + last.chars().count() > *columns) else {
        return format!("{row}{last}").trim_end().to_owned();
    };
    let is_below = columns < width + NARROW;
    let indent = if is_below { INDENT } else { width };
    let mut text = if is_below { format!("{}\n{:INDENT$}", row.trim_end(), "") } else { row.to_owned() };
    let mut at = indent;
    for (index, word) in last.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && at + 1 + length > columns {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            at = indent;
        } else if index > 0 {
            text.push(' ');
            at += 1;
        }
        text.push_str(word);
        at += length;
    }
    text
}

fn trains(model: &ModelType) -> String {
    let full = model.full_finetune_failure.is_none().then_some("full");
    model.adapters.iter().map(String::as_str).chain(full).collect::<Vec<_>>().join(" ")
}

/// Frames per second.
fn video(model: &ModelType) -> String {
    model.video.as_ref().map(|video| format!("{} fps", video.frame_rate)).unwrap_or_default()
}

/// The most `blocks_to_swap`.
fn swap(model: &ModelType) -> String {
    let Some(swap) = &model.block_swap else { return String::new() };
    let variants = || model.variants.iter().filter_map(|it| it.most_blocks_to_swap);
    match (swap.most, variants().min(), variants().max()) {
        (Some(most), ..) => most.to_string(),
        (None, Some(least), Some(most)) => format!("{least}-{most}"),
        _ => "yes".to_owned(),
    }
}

/// Files, submodules and Python packages.
fn needs(model: &ModelType) -> Vec<String> {
    let of = Section::Model(model.name);
    let is_file = |name: &str| model.key(name).is_some_and(|key| key.path.is_some() || key.items.is_some());
    let required = model.keys.iter().filter(|key| key.required == Required::Yes && is_file(&key.name));
    let mut needs: Vec<String> = required.map(|key| key.name.clone()).collect();
    let groups = schema::one_of(of);
    // One key that stands for several others is named once: `diffusers_path or …`.
    let common = groups
        .iter()
        .flat_map(|it| &it.keys)
        .find(|key| groups.len() > 1 && groups.iter().all(|it| it.keys.contains(*key)));
    match common {
        Some(common) => {
            let others = groups.iter().flat_map(|it| &it.keys).filter(|it| *it != common);
            let others: Vec<&str> = others.map(String::as_str).collect();
            needs.push(format!("{common} or ({})", others.join(", ")));
        }
        None => needs.extend(groups.iter().map(|it| it.keys.join(" or "))),
    }
    needs.extend(
        model
            .submodules
            .iter()
            .filter(|it| !ALWAYS.contains(&it.as_str()))
            .map(|it| format!("submodule {it}")),
    );
    // In brackets is why; what is there anyway is not needed.
    let is_there = |it: &&String| it.contains("(in requirements") || it.contains("(optional");
    let missing = model.extra_packages.iter().filter(|it| !is_there(it));
    needs.extend(missing.map(|it| format!("package {}", it.split(" (").next().unwrap_or_default())));
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_breaks_between_words_and_stays_below_itself() {
        let check = |columns: Option<usize>, expected: &str| {
            assert_eq!(with_last("wan  yes ", "one_path, two_path or (three_path)", columns), expected);
        };
        check(None, "wan  yes one_path, two_path or (three_path)");
        check(Some(43), "wan  yes one_path, two_path or (three_path)");
        check(Some(42), "wan  yes one_path, two_path or\n         (three_path)");
        check(Some(33), "wan  yes one_path, two_path or\n         (three_path)");
        check(Some(32), "wan  yes\n    one_path, two_path or\n    (three_path)");
        check(Some(5), "wan  yes\n    one_path,\n    two_path\n    or\n    (three_path)");
    }
}
