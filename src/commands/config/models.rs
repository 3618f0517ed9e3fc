//! `dpgui config models`: what can be trained, and what each needs.

use serde_json::json;

use crate::{
    commands::Context,
    config::{
        overview::{needs, swap, trains, video},
        schema::{self, Ability},
    },
    output::Mode,
};

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
        let (video, swap) = (video(model).unwrap_or_default(), swap(model).unwrap_or_default());
        let cells = [model.name, title, &trains(model).join(" "), small, &video, &swap];
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
