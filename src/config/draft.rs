//! A configuration in the making: sections of keys with values and comments, and its text.

use toml::{Table, Value};

use super::{
    portable,
    schema::{self, Key, Section},
};

/// Longest line of a comment, in characters.
const WIDTH: usize = 100;

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Comments at the top.
    pub(super) intro: Vec<String>,
    /// In the order in which they are written; what belongs outside of any table comes first.
    pub(super) parts: Vec<Part>,
    /// Comments at the end.
    pub(super) outro: Vec<String>,
}

/// One table of a file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) section: Section<'static>,
    /// `[model]`, nothing outside of any table.
    pub(super) header: &'static str,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    key: &'static Key,
    value: Value,
    /// Besides the key's doc.
    why: Option<String>,
    /// Written as a comment.
    off: bool,
}

impl Draft {
    pub(super) fn part(&mut self, header: &str) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.header == header)
    }

    /// The file; or the text that has no spelling which the trainer's parser reads.
    pub(super) fn render(&self) -> Result<String, String> {
        let mut text = String::new();
        for line in &self.intro {
            comment(&mut text, line);
        }
        for part in &self.parts {
            if !part.header.is_empty() {
                text.push('\n');
                text.push_str(part.header);
                text.push('\n');
            } else if !text.is_empty() {
                text.push('\n');
            }
            for line in &part.lines {
                line.render(&mut text)?;
            }
        }
        if !self.outro.is_empty() {
            text.push('\n');
            for line in &self.outro {
                comment(&mut text, line);
            }
        }
        Ok(text)
    }
}

impl Part {
    pub(super) const fn new(section: Section<'static>, header: &'static str) -> Self {
        Self { section, header, lines: vec![] }
    }

    /// Gives `key` a value, in the place that the schema has for it. A key that the section has not is left out:
    /// common values go to every type.
    pub(super) fn set(&mut self, name: &str, value: Value, off: bool) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.key.name == name) {
            // What is only proposed does not replace what is there.
            if !off || line.off {
                (line.value, line.off) = (value, off);
            }
            return;
        }
        let keys = schema::section(self.section);
        let Some(rank) = keys.iter().position(|key| key.name == name) else { return };
        let rank_of = |line: &Line| keys.iter().position(|key| key.name == line.key.name);
        let before = self.lines.iter().filter(|line| rank_of(line) < Some(rank)).count();
        self.lines.insert(before, Line { key: keys[rank], value, why: None, off });
    }

    pub(super) fn set_all(&mut self, values: &Table, off: bool) {
        for (name, value) in values {
            self.set(name, value.clone(), off);
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.lines.retain(|line| line.key.name != name);
    }

    pub(super) fn explain(&mut self, name: &str, why: &str) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.key.name == name) {
            line.why = Some(why.to_owned());
        }
    }

    /// What counts, without the proposals.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.lines.iter().find(|line| line.key.name == name && !line.off).map(|line| &line.value)
    }

    /// Moves to another type of the section. Values stay where they mean the same; of an optimizer that is not
    /// described nobody knows what they mean.
    pub(super) fn retype(&mut self, section: Section<'static>) {
        self.section = section;
        for line in std::mem::take(&mut self.lines) {
            let same =
                |key: &Key| key.doc == line.key.doc && key.accepts(&schema::editable(&line.value)).is_ok();
            let known = section != Section::Optimizer(None) || line.key.name == "type";
            if known && schema::key(section, &line.key.name).is_some_and(same) {
                let (name, why) = (&line.key.name, line.why);
                self.set(name, line.value, line.off);
                if let Some(why) = why {
                    self.explain(name, &why);
                }
            }
        }
    }

    /// Replaces each path by what `absolute` makes of it.
    pub(super) fn map_paths(&mut self, absolute: &impl Fn(&str) -> String) {
        for line in &mut self.lines {
            map_paths(line.key, &mut line.value, absolute);
        }
    }
}

fn map_paths(key: &Key, value: &mut Value, absolute: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) if key.path.is_some() => *text = absolute(text),
        Value::Array(values) => values.iter_mut().for_each(|value| map_paths(key, value, absolute)),
        Value::Table(table) => {
            let section = key.items.map(schema::Items::section);
            for (name, value) in table {
                if let Some(key) = section.and_then(|section| schema::key(section, name)) {
                    map_paths(key, value, absolute);
                }
            }
        }
        _ => {}
    }
}

impl Line {
    fn render(&self, text: &mut String) -> Result<(), String> {
        let why = self.why.as_deref().map(|why| format!(" {why}.")).unwrap_or_default();
        comment(text, &format!("{}.{why}", self.key.doc));
        let value = spell(&self.value)?;
        let mark = if self.off { "#" } else { "" };
        for line in format!("{} = {value}", self.key.name).lines() {
            text.push_str(mark);
            text.push_str(line);
            text.push('\n');
        }
        Ok(())
    }
}

/// Wraps at [`WIDTH`].
fn comment(text: &mut String, comment: &str) {
    let mut width = 0;
    for word in comment.split(' ') {
        if width == 0 || width + 1 + word.chars().count() > WIDTH {
            text.push_str(if width == 0 { "#" } else { "\n#" });
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += 1 + word.chars().count();
    }
    text.push('\n');
}

/// A value as the trainer's parser reads it; or the text that it cannot.
fn spell(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => portable::spelling(text).ok_or_else(|| text.clone()),
        Value::Array(values) if values.iter().any(Value::is_table) => {
            let tables = values.iter().map(|it| Ok(format!("    {},\n", inside(it)?)));
            Ok(format!("[\n{}]", tables.collect::<Result<String, String>>()?))
        }
        _ => inside(value),
    }
}

/// In an array or between braces.
fn inside(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::String(text) => portable::spelling_inside(text).ok_or_else(|| text.clone())?,
        Value::Float(number) => float(*number),
        Value::Array(values) => {
            // The parser wants one type: a single fraction makes it an array of floats.
            let as_float = values.iter().any(Value::is_float);
            let one = |value: &Value| match value {
                Value::Integer(number) if as_float => Ok(format!("{number}.0")),
                _ => inside(value),
            };
            format!("[{}]", values.iter().map(one).collect::<Result<Vec<_>, _>>()?.join(", "))
        }
        Value::Table(table) => {
            let pairs = table.iter().map(|(name, value)| Ok(format!("{name} = {}", inside(value)?)));
            format!("{{{}}}", pairs.collect::<Result<Vec<String>, String>>()?.join(", "))
        }
        other => other.to_string(),
    })
}

/// `2e-5`, `0.01`, `1.0`.
fn float(number: f64) -> String {
    if number != 0.0 && number.abs() < 1e-3 { format!("{number:e}") } else { format!("{number:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(values: &str) -> Part {
        let mut part = Part::new(Section::Model("z_image"), "[model]");
        for (name, value) in values.parse::<toml::Table>().expect("TOML") {
            part.set(&name, value, false);
        }
        part
    }

    #[test]
    fn the_order_is_the_schemas_and_a_key_of_another_type_is_left_out() {
        let mut part = part("shift = 3\nvae = 'v'\ntype = 'z_image'\nmin_t = 0.5\n");
        part.set("sigmoid_scale", Value::Float(1.0), true);
        part.set("shift", Value::Float(9.0), true);
        part.explain("shift", "Because of the VAE");
        part.map_paths(&|path| format!("/m/{path}"));
        let draft = Draft { intro: vec!["Hello.".to_owned()], parts: vec![part], outro: vec![] };
        assert_eq!(
            draft.render().expect("TOML"),
            "\
# Hello.

[model]
# Selects the pipeline class.
type = 'z_image'
# ComfyUI-format VAE file, read only when something must be encoded.
vae = '/m/v'
# Scale applied before the sigmoid of logit_normal.
#sigmoid_scale = 1.0
# Constant timestep shift; wins over the resolution-dependent one. Because of the VAE.
shift = 3
"
        );
    }

    #[test]
    fn values_are_spelt_so_that_the_trainers_parser_reads_them() {
        let check = |value: &str, expected: &str| {
            let value = value.parse::<toml::Table>().expect("TOML")["x"].clone();
            assert_eq!(spell(&value), Ok(expected.to_owned()));
        };
        check("x = 2e-5", "2e-5");
        check("x = 0.01", "0.01");
        check("x = [0, 0.99]", "[0.0, 0.99]");
        check("x = [[512, 4], [1024, 1]]", "[[512, 4], [1024, 1]]");
        check("x = \"it's\"", "\"it's\"");
        check("x = [{ path = 'a', type = 'b' }]", "[\n    {path = 'a', type = 'b'},\n]");
        check("x = ['a,b']", "[\"a\\u002cb\"]");
    }

    #[test]
    fn a_long_comment_is_wrapped() {
        let mut text = String::new();
        comment(&mut text, &"word ".repeat(30));
        assert!(text.lines().all(|line| line.starts_with("# ") && line.len() <= WIDTH), "{text}");
        assert_eq!(text.lines().count(), 2);
    }
}
