//! What holds of every configuration, whatever somebody did to it: mending, making, resolving.

use std::{fs, path::Path};

use dpgui::{
    config::{
        self, Checked, Finding, Severity, TrainConfig,
        schema::{self, ModelType},
        setting::Setting,
        starter,
        suggest::Media,
        template::{self, TemplateOptions, Wish},
    },
    platform::Env,
    workspace::Workspace,
};
use proptest::prelude::*;

/// As `dpgui config check --fix` does.
const ROUNDS: usize = 8;

/// What people write, right in some places and wrong in most.
const VALUES: [&str; 16] = [
    "true",
    "'True'",
    "1",
    "0",
    "-3",
    "'8'",
    "nan",
    "1e-4",
    "'bf16'",
    "'float8'",
    "[0, 0.99]",
    "[512, [1280, 720]]",
    "'wan'",
    "'Adamw'",
    "[]",
    "{ a = 1 }",
];

/// Keys of other places, other trainers and nobody.
const KEYS: [&str; 14] = [
    "epoch",
    "epochs",
    "learning_rate",
    "network_dim",
    "rank",
    "alpha",
    "lr",
    "dtype",
    "resolution",
    "num_repeat",
    "max_train_steps",
    "gradient_clipping",
    "caption_extension",
    "wandb_api_key",
];

/// How a comment of somebody's begins.
const NOTE: &str = "# note";

/// One thing that goes wrong while a file is edited. The number chooses the line.
#[derive(Clone, Debug)]
enum Slip {
    Removed(usize),
    Twice(usize),
    Moved(usize, usize),
    /// A letter of the key is missing.
    Misspelt(usize, usize),
    OtherValue(usize, &'static str),
    NewKey(usize, &'static str, &'static str),
    Comment(usize),
    WindowsLines,
    ByteOrderMark,
}

fn slip() -> impl Strategy<Value = Slip> {
    let line = 0..200_usize;
    let value = proptest::sample::select(&VALUES[..]);
    let key = proptest::sample::select(&KEYS[..]);
    prop_oneof![
        2 => line.clone().prop_map(Slip::Removed),
        1 => line.clone().prop_map(Slip::Twice),
        2 => (line.clone(), line.clone()).prop_map(|(from, to)| Slip::Moved(from, to)),
        3 => (line.clone(), 0..12_usize).prop_map(|(line, letter)| Slip::Misspelt(line, letter)),
        4 => (line.clone(), value.clone()).prop_map(|(line, value)| Slip::OtherValue(line, value)),
        3 => (line.clone(), key, value).prop_map(|(line, key, value)| Slip::NewKey(line, key, value)),
        3 => line.prop_map(Slip::Comment),
        1 => Just(Slip::WindowsLines),
        1 => Just(Slip::ByteOrderMark),
    ]
}

fn slipped(text: &str, slips: &[Slip]) -> String {
    let mut lines: Vec<String> = text.lines().filter(|it| !it.starts_with('#')).map(str::to_owned).collect();
    let (mut mark, mut end) = ("", "\n");
    for slip in slips {
        let count = lines.len().max(1);
        match *slip {
            Slip::Removed(at) if lines.len() > 1 => drop(lines.remove(at % count)),
            Slip::Removed(_) => {}
            Slip::Twice(at) => lines.push(lines[at % count].clone()),
            Slip::Moved(from, to) => {
                let line = lines.remove(from % count);
                lines.insert(to % count, line);
            }
            Slip::Misspelt(at, letter) => {
                let line = &mut lines[at % count];
                let length = line.split(' ').next().unwrap_or_default().len();
                if line.is_ascii() && length > 1 && !line.starts_with('[') {
                    line.remove(letter % length);
                }
            }
            Slip::OtherValue(at, value) => {
                let line = &mut lines[at % count];
                if let Some((key, _)) = line.clone().split_once(" = ") {
                    *line = format!("{key} = {value} # mine");
                }
            }
            Slip::NewKey(at, key, value) => lines.insert(at % count, format!("{key} = {value}")),
            Slip::Comment(at) => lines.insert(at % count, format!("{NOTE} {at}")),
            Slip::WindowsLines => end = "\r\n",
            Slip::ByteOrderMark => mark = "\u{feff}",
        }
    }
    format!("{mark}{}{end}", lines.join(end))
}

fn model() -> impl Strategy<Value = &'static ModelType> {
    proptest::sample::select(schema::models().collect::<Vec<_>>())
}

/// A pair of files in a workspace of its own, and what was done to them.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new(model: &'static ModelType, of_training: &[Slip], of_dataset: &[Slip]) -> Self {
        let world = Self { dir: tempfile::tempdir().expect("a temp dir") };
        let workspace = world.workspace();
        let options = TemplateOptions::in_workspace(&workspace, "m");
        let pair = template::new(model.name, &options, &Wish::default()).expect("a configuration");
        let files = template::write(&workspace, "m", &pair).expect("written");
        fs::write(&files[0], slipped(&pair.training, of_training)).expect("written");
        fs::write(&files[1], slipped(&pair.dataset, of_dataset)).expect("written");
        world
    }

    fn workspace(&self) -> Workspace {
        Workspace::at(self.dir.path())
    }

    fn texts(&self) -> [Vec<u8>; 2] {
        ["configs/m.toml", "configs/m-dataset.toml"]
            .map(|it| fs::read(self.dir.path().join(it)).expect("read"))
    }

    /// The comments that somebody wrote, sorted.
    fn notes(&self) -> [Vec<String>; 2] {
        self.texts().map(|text| {
            let text = String::from_utf8(text).expect("UTF-8");
            // The mark goes, the line stays.
            let text = text.trim_start_matches('\u{feff}');
            let mut notes: Vec<String> =
                text.lines().filter(|it| it.starts_with(NOTE)).map(str::to_owned).collect();
            notes.sort();
            notes
        })
    }

    fn look(&self, file: &str) -> Checked {
        config::check(&self.dir.path().join(file), &self.workspace(), &Env::default(), Some(2))
    }

    fn check(&self) -> Checked {
        self.look("configs/m.toml")
    }

    /// What fails, and what is lost in silence, also in a dataset file that is not named as one. A slip that is mended
    /// may show that another one, which is not, matters: then what was lost fails, and no more is wrong than before.
    fn wrong(&self) -> Vec<Finding> {
        let mut found = self.check().findings;
        let alone = self.look("configs/m-dataset.toml").findings;
        let is_new =
            |it: &Finding| found.iter().all(|known| (known.id, &known.message) != (it.id, &it.message));
        let new: Vec<Finding> = alone.into_iter().filter(is_new).collect();
        found.extend(new);
        found.retain(|it| it.severity != Severity::Note);
        found
    }
}

fn shown<'a>(found: impl IntoIterator<Item = &'a Finding>) -> String {
    let lines: Vec<String> = found.into_iter().map(|it| format!("\n{it}")).collect();
    lines.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn what_is_mended_is_no_worse_and_mended_once_and_keeps_every_comment(
        model in model(),
        of_training in prop::collection::vec(slip(), 0..6),
        of_dataset in prop::collection::vec(slip(), 0..4),
    ) {
        let world = World::new(model, &of_training, &of_dataset);
        let (before, notes) = (world.wrong(), world.notes());
        let mut rounds = 0;
        while !config::mend(&world.check()).expect("mended").is_empty() {
            rounds += 1;
            prop_assert!(rounds < ROUNDS, "two changes undo each other:{}", shown(&world.check().findings));
        }
        let (after, mended) = (world.wrong(), world.texts());
        prop_assert!(after.len() <= before.len(), "before:{}\nafter:{}", shown(&before), shown(&after));
        prop_assert!(world.check().findings.iter().all(|it| it.edit.is_none()), "not mended:{}", shown(&after));
        prop_assert_eq!(world.texts(), mended);
        prop_assert_eq!(world.notes(), notes);
    }

    #[test]
    fn what_is_resolved_resolves_to_itself(
        model in model(),
        of_training in prop::collection::vec(slip(), 0..4),
        of_dataset in prop::collection::vec(slip(), 0..4),
    ) {
        let world = World::new(model, &of_training, &of_dataset);
        let resolve = |file: &Path, run: &str| {
            let config = TrainConfig::load(file, &world.workspace(), &Env::default()).ok()?;
            config.resolve_into(&world.dir.path().join(run)).ok()
        };
        let Some(first) = resolve(&world.dir.path().join("configs/m.toml"), "1") else { return Ok(()) };
        let second = resolve(&first.config, "2").expect("what a run trains with can be read");
        let read = |path: &Path| fs::read_to_string(path).expect("read");
        prop_assert_eq!(read(&first.dataset), read(&second.dataset));
        let moved = read(&first.config)
            .replace(first.dataset.to_str().expect("UTF-8"), second.dataset.to_str().expect("UTF-8"));
        prop_assert_eq!(moved, read(&second.config));
    }

    #[test]
    fn what_is_new_is_clean_whatever_is_wished(
        model in model(),
        preset in 0..4_usize,
        full_finetune: bool,
        stages in 1..4_u32,
        media in prop::option::of((prop::collection::vec(16..5000_u32, 0..5), prop::collection::vec(1..300_u32, 0..5))),
        settings in prop::sample::subsequence(vec!["epochs=7", "max_steps=10", "training.warmup_steps=0", "directory.num_repeats=3", "caption_prefix=a, "], 0..5),
    ) {
        let presets = starter::of(model.name).expect("a starter").presets;
        let wish = Wish {
            preset: presets.get(preset).filter(|it| it.full_finetune == full_finetune).map(|it| it.name),
            full_finetune: full_finetune && model.full_finetune_failure.is_none(),
            media: media.map(|(sides, clips)| {
                let clips = if model.video.is_some() { clips } else { vec![] };
                Media { images: sides.len(), videos: clips.len(), unusable: 0, without_caption: 0, sides, clips }
            }),
            // The demo's trainer refuses what it does not read, and whoever wishes for it hears so.
            settings: settings.iter().filter(|it| model.name != "demo" || !it.starts_with("caption_prefix")).map(|it| it.parse::<Setting>().expect("a setting")).collect(),
            ..Wish::default()
        };
        prop_assume!(!full_finetune || wish.full_finetune);
        let dir = tempfile::tempdir().expect("a temp dir");
        let workspace = Workspace::at(dir.path());
        // Only of dpgui's own model more than one is asked for.
        let stages = if model.name == "demo" { stages } else { 1 };
        let options = TemplateOptions { stages, ..TemplateOptions::in_workspace(&workspace, "m") };
        let pair = template::new(model.name, &options, &wish).expect("a configuration");
        let files = template::write(&workspace, "m", &pair).expect("written");
        let ranks = Some(stages);
        let found = config::check(&files[0], &workspace, &Env::default(), ranks).findings;
        let missing = ["model-files-exist", "directory-exists"];
        let wrong: Vec<Finding> = found.into_iter().filter(|it| !missing.contains(&it.id)).collect();
        prop_assert!(wrong.is_empty(), "{}\n{}\n{}", shown(&wrong), pair.training, pair.dataset);
    }
}
