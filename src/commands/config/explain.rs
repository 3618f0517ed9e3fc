//! `dpgui config explain`: a key, a model type, an optimizer or a rule, with where it is read.

use std::fmt::Display;

use crate::{
    commands::Context,
    config::{
        explain::{self, Explanation, Place},
        facts::{self, Fact},
        rules::{Judge, judge},
        schema::{self, AdapterType, Key, Kind, Mark, ModelType, OptimizerType, Section, Unread},
    },
    error::{Error, Kind as Failure},
    output::{Mode, Output},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A key (`epochs`, `adapter.rank`, `wan.min_t`), a model type, an optimizer or a finding's name
    name: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let found = explain::explain(&args.name).map_err(|nearest| unknown(&args.name, &nearest))?;
    let output = &context.output;
    if output.mode() == Mode::Json {
        output.json(&found);
        return Ok(());
    }
    let Explanation { keys, models, adapters, optimizers, rules, unread, names } = &found;
    let mut paragraphs = Paragraphs { output, shown: false };
    for it in keys {
        paragraphs.place(it);
    }
    if !names.is_empty() {
        output.data(format_args!("    {:<12} {}", "one of", names.join(", ")));
    }
    for it in models {
        paragraphs.model(it);
    }
    for it in adapters {
        paragraphs.adapter(it);
    }
    for it in optimizers {
        paragraphs.optimizer(it);
    }
    for it in unread {
        paragraphs.unread(it);
    }
    if !keys.is_empty() && !rules.is_empty() {
        paragraphs.heading("rules about it");
        for rule in rules {
            output.data(format_args!("    {}\n        {}", rule.id, rule.rule));
        }
    } else {
        for it in rules {
            paragraphs.rule(it);
        }
    }
    Ok(())
}

fn unknown(name: &str, nearest: &[String]) -> Error {
    let error =
        Error::new(Failure::Usage, format!("there is no key, model type, optimizer or rule `{name}`"));
    match nearest {
        [] => error.with_hint("`dpgui config models` lists the types; `dpgui config schema` has all keys"),
        names => error.with_hint(format!("did you mean `{}`?", names.join("`, `"))),
    }
}

struct Paragraphs<'a> {
    output: &'a Output,
    shown: bool,
}

impl Paragraphs<'_> {
    fn heading(&mut self, text: impl Display) {
        if self.shown {
            self.output.data("");
        }
        self.shown = true;
        self.output.data(text);
    }

    fn line(&self, name: &str, text: impl Display) {
        self.output.data(format_args!("    {name:<12} {text}"));
    }

    /// Nothing where there is nothing to say.
    fn some(&self, name: &str, text: &str) {
        if !text.is_empty() {
            self.line(name, text);
        }
    }

    fn place(&mut self, place: &Place) {
        let Place { section, types, key } = place;
        let of = if types.is_empty() { String::new() } else { format!(" for {}", types.join(", ")) };
        self.heading(format_args!("{}  {section}{of}", key.name));
        self.output.data(format_args!("    {}", key.doc));
        self.line("type", in_words(key));
        if key.choices.is_empty() && key.kind.alternatives().contains(&Kind::Dtype) {
            self.line("one of", schema::about().dtypes.join(", "));
        }
        let values =
            |values: &[toml::Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        self.some("one of", &values(&key.choices));
        self.some("or", key.choices_pattern.as_deref().unwrap_or_default());
        self.some("sensible", &values(&key.recommended));
        match (&key.default, &key.default_from) {
            (Some(default), _) => self.line("default", default),
            (None, Some(other)) if *other == key.name => {
                self.line("default", "the value at the top of the file");
            }
            (None, Some(other)) => self.line("default", format_args!("the value of {other}")),
            (None, None) => {}
        }
        let section = match types.first() {
            Some(name) if *section == "[model]" => Section::Model(name),
            _ if section.starts_with("an entry of text_encoders") => Section::TextEncoder,
            _ => Section::Training,
        };
        self.some("required", &explain::needed(key, section).unwrap_or_default());
        self.some("range", &range(key));
        self.some("only for", &key.only_for.join(", "));
        self.some("their type", key.items_type.as_deref().unwrap_or_default());
        self.some("note", key.note.as_deref().unwrap_or_default());
        for (mark, text) in [
            (Mark::Secret, "secret: give it by the environment"),
            (Mark::Deprecated, "deprecated"),
            (Mark::Passthrough, "handed to the optimizer's constructor as it is"),
            (Mark::PerDirectory, "may be in a [[directory]] too, where it wins"),
        ] {
            if key.is(mark) {
                self.line("note", text);
            }
        }
        self.line("read at", &key.read_at);
    }

    fn model(&mut self, model: &ModelType) {
        self.heading(format_args!("{}  model type: {}", model.name, model.title));
        self.line("class", &model.class);
        self.line("adapters", model.adapters.join(", "));
        self.line("fine-tuning", model.full_finetune_failure.as_ref().map_or("works", String::as_str));
        let swap = model.block_swap.as_ref().map(|it| match it.most {
            Some(most) => format!("at most {most} ({})", it.source),
            None => format!("depends on the file ({})", it.source),
        });
        self.line("block swap", swap.as_deref().unwrap_or("no"));
        if let Some(video) = &model.video {
            let rule = video.frames;
            let plus = if rule.plus == 0 { String::new() } else { format!(" + {}", rule.plus) };
            let frames =
                format!("1 or {}n{plus} frames at {} per second", rule.multiple_of, video.frame_rate);
            self.line("video", frames);
            self.some("note", video.note.as_deref().unwrap_or_default());
        }
        self.line("sizes", format_args!("multiples of {} pixels", model.round_pixels_to));
        for variant in &model.variants {
            let swap = variant.most_blocks_to_swap.map(|most| format!("; at most {most} blocks swapped"));
            let text = format!("{}: {}{}", variant.name, variant.found_by, swap.unwrap_or_default());
            self.line("variant", text);
        }
        self.line("keys", model.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", "));
        for file in &model.files_in_ckpt_path {
            self.line("ckpt_path", file);
        }
        self.line("submodules", model.submodules.join(", "));
        self.some("packages", &model.extra_packages.join(", "));
        self.line(
            "saves",
            model
                .adapter_files
                .iter()
                .chain(&model.full_model_files)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", "),
        );
        self.some("works in", model.working_dir.as_deref().unwrap_or_default());
        for note in &model.notes {
            self.line("note", note);
        }
    }

    fn adapter(&mut self, adapter: &AdapterType) {
        self.heading(format_args!("{}  type of [adapter]", adapter.name));
        self.output.data(format_args!("    {}", adapter.doc));
        self.keys(&adapter.keys);
    }

    fn optimizer(&mut self, optimizer: &OptimizerType) {
        self.heading(format_args!("{}  type of [optimizer]", optimizer.name));
        self.output.data(format_args!("    {}", optimizer.doc));
        self.line("class", &optimizer.class);
        self.keys(&optimizer.keys);
        self.some("set itself", &optimizer.forced.join(", "));
        self.line("read at", &optimizer.read_at);
    }

    fn keys(&self, keys: &[Key]) {
        for key in keys {
            let default = key.default.as_ref().map(|it| format!(" [default: {it}]")).unwrap_or_default();
            self.line(&key.name, format_args!("{}{default}", key.doc));
        }
    }

    fn rule(&mut self, rule: &Fact) {
        self.heading(format_args!("{}  rule", rule.id));
        self.output.data(format_args!("    {}", rule.rule));
        self.line("otherwise", rule.if_broken);
        self.line("noticed", facts::moment(rule.when));
        if !rule.source.is_empty() {
            self.line("read at", rule.source);
        }
        self.line("judged by", judge(rule.id).unwrap_or(Judge::Check));
    }

    fn unread(&mut self, unread: &Unread) {
        let value = unread.value.as_ref().map(|it| format!(" = '{it}'")).unwrap_or_default();
        self.heading(format_args!("{}{value}  the trainer does not read this", unread.key));
        self.line("instead", &unread.instead);
        self.line("named in", &unread.mentioned_in);
    }
}

/// `int, or list[[int,int]]`, and what a path has to lead to.
fn in_words(key: &Key) -> String {
    let kinds = key.kind.alternatives().iter().map(ToString::to_string).collect::<Vec<_>>().join(", or ");
    match key.path {
        Some(path) => {
            format!("{kinds} to a {}", serde_json::json!(path).as_str().unwrap_or_default().replace('-', " "))
        }
        None => kinds,
    }
}

fn range(key: &Key) -> String {
    let parts = [("at least", key.min), ("at most", key.max), ("more than", key.above)];
    let parts = parts.into_iter().filter_map(|(text, bound)| Some(format!("{text} {}", bound?)));
    parts.collect::<Vec<_>>().join(", ")
}
