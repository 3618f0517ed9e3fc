//! The buckets and batches of `dpgui::data`, against the trainer's own answers.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use toml_edit::DocumentMut;

use dpgui::{
    config::{
        Base, Purpose,
        schema::{self, ModelType, Variant},
        source::Source,
    },
    data::{
        batch::Batches,
        buckets::SizeBucket,
        media::Rate,
        model::DataModel,
        plan::{self, Counted, Filled, Sample},
        spec,
    },
    platform::Env,
    workspace::Workspace,
};

use crate::support::oracle;

/// How many questions and items were compared.
#[derive(Default)]
struct Compared {
    questions: usize,
    items: usize,
}

#[test]
fn every_item_goes_where_the_trainer_puts_it() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/differential/plan.jsonl");
    let compared = compare(&fs::read_to_string(kept).expect("read"));
    assert!(compared.questions > 250 && compared.items > 1000, "only {} compared", compared.items);
}

/// With `DPGUI_DIFFUSION_PIPE=CHECKOUT`, the trainer itself is asked about more than 100,000 new items; by the Python
/// of `DPGUI_ORACLE_PYTHON`, which has the packages of `tests/differential/requirements.txt`.
#[test]
fn new_items_go_where_the_trainer_at_hand_puts_them() {
    if !oracle::is_at_hand() {
        eprintln!("skipped: DPGUI_DIFFUSION_PIPE names no checkout of the trainer");
        return;
    }
    let compared = compare(&oracle::pairs("plan", &["--count", "8000", "--items", "30"]));
    eprintln!("compared {} items of {} datasets", compared.items, compared.questions);
    assert!(compared.items > 100_000, "only {} items were compared", compared.items);
}

fn compare(lines: &str) -> Compared {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (mut compared, mut wrong) = (Compared::default(), vec![]);
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let (ask, expected) = (&line["ask"], &line["answer"]);
        // It prints a warning and quits: whether it does is not a question of buckets.
        if expected["error"]["type"] == "SystemExit" {
            continue;
        }
        let ours = answer(ask, dir.path());
        // A directory with wrong `num_repeats` and nothing to repeat is refused here and not noticed there.
        let is_empty = |it: &Value| it["buckets"].as_array().is_some_and(Vec::is_empty);
        let nothing = expected["directories"].as_array().is_some_and(|all| all.iter().any(is_empty));
        if ours["refused"] == true && (nothing || expected["epoch"].get("error").is_some()) {
            continue;
        }
        let expected = comparable(expected);
        compared.questions += 1;
        compared.items += ask["items"].as_array().map_or(0, Vec::len);
        if ours != expected {
            wrong.push(format!("{ask}\n ours  {ours}\n theirs {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ, the first:\n{}", wrong.len(), compared.questions, wrong[0]);
    compared
}

fn data_model(ask: &Value) -> DataModel {
    let model: &ModelType = schema::model(ask["model"].as_str().expect("a model")).expect("known");
    let name = match ask["variant"].as_str() {
        Some("ti2v") => "5B",
        Some("skyreels" | "skyreels_i2v") => "SkyReels",
        _ => "",
    };
    let variant: Option<&Variant> = model.variants.iter().find(|it| it.name == name);
    DataModel::new(model, variant)
}

fn answer(ask: &Value, dir: &Path) -> Value {
    let file = dir.join("dataset.toml");
    fs::write(&file, ask["config"].as_str().expect("text")).expect("written");
    let source = Source::read(&file).expect("TOML");
    let base = Base::of(&Workspace::at(dir), &Env::default());
    let (dataset, found) = spec::read(&source, &base);
    if !found.is_empty() {
        return json!({ "refused": true });
    }
    let model = data_model(ask);
    let mut counted: Vec<Counted> = dataset.directories.iter().map(Counted::new).collect();
    let mut items: Vec<Vec<Value>> = vec![vec![]; counted.len()];
    for item in ask["items"].as_array().expect("items") {
        let directory = usize::try_from(item["dir"].as_u64().unwrap_or(0)).expect("small");
        items[directory].push(place(item, &model, &mut counted[directory], ask["crops"] == true));
    }
    let directories: Vec<Value> = counted
        .iter()
        .zip(items)
        .map(|(counted, items)| {
            let alone = plan::epoch(std::slice::from_ref(counted), &model, &Batches::single(), None);
            let mut buckets: Vec<&Filled> = alone.buckets.iter().collect();
            buckets.sort_by(|a, b| key(&a.bucket).total_cmp_all(&key(&b.bucket)));
            let row = |it: &&Filled| {
                json!({ "bucket": key(&it.bucket), "pixels": it.encoded, "items": it.items, "length": it.before })
            };
            json!({ "buckets": buckets.iter().map(row).collect::<Vec<_>>(), "items": items })
        })
        .collect();
    if ask.get("batch").is_none() {
        return json!({ "directories": directories, "buckets": null, "batches": null });
    }
    let config = ask["batch"]["config"].as_object().expect("a table");
    let lines: Vec<String> = config.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let training = lines.join("\n");
    let training: DocumentMut = training.parse().expect("TOML");
    let parallel = ask["batch"]["data_parallel"].as_u64().unwrap_or(1);
    let batches = Batches::read(training.as_table(), Purpose::Training, parallel);
    let epoch = plan::epoch(&counted, &model, &batches, dataset.subsample);
    let mut buckets: Vec<&Filled> = epoch.buckets.iter().collect();
    buckets.sort_by(|a, b| key(&a.bucket).total_cmp_all(&key(&b.bucket)));
    let row = |it: &&Filled| json!({ "bucket": key(&it.bucket), "before": it.before, "global_batch": it.global_batch, "kept": it.kept });
    let buckets: Vec<Value> = buckets.iter().map(row).collect();
    json!({ "directories": directories, "buckets": buckets, "batches": epoch.steps })
}

/// Where one item goes, and what is cut out of it.
fn place(item: &Value, model: &DataModel, counted: &mut Counted, with_crops: bool) -> Value {
    let number = |key: &str| u32::try_from(item[key].as_u64().expect("a number")).expect("small");
    let (width, height) = (number("w"), number("h"));
    let captions = item["captions"].as_u64().unwrap_or(1);
    let frames = if item["video"] == true {
        let Some(video) = model.video else { return json!({ "dropped": true }) };
        let (top, bottom) =
            item["fps"].as_str().map_or(("1", "1"), |it| it.split_once('/').unwrap_or((it, "1")));
        let rate = Rate {
            numerator: top.parse().expect("a number"),
            denominator: bottom.parse().expect("a number"),
        };
        plan::retimed(item["frames"].as_u64().expect("frames"), rate, video)
    } else {
        1
    };
    let Ok(group) = counted.take(&Sample { width, height, frames, captions }, 1) else {
        return json!({ "dropped": true, "frames": frames });
    };
    let buckets = counted.directory.buckets.of_group(group, model.bucket_multiple);
    let cut = |it: &SizeBucket| plan::crop(width, height, it.encoded(model));
    let crops = with_crops.then(|| buckets.iter().map(|it| cut(it).map(millionths)).collect::<Vec<_>>());
    json!({ "frames": frames, "buckets": buckets.iter().map(key).collect::<Vec<_>>(), "crops": crops })
}

/// `[ar, width, height, frames]` or `[width, height, frames]`, as the trainer names buckets.
fn key(bucket: &SizeBucket) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let sizes = [bucket.width, bucket.height, bucket.frames].map(|it| it as f64);
    bucket.ratio.into_iter().chain(sizes).collect()
}

trait TotalOrder {
    fn total_cmp_all(&self, other: &Self) -> std::cmp::Ordering;
}

impl TotalOrder for Vec<f64> {
    fn total_cmp_all(&self, other: &Self) -> std::cmp::Ordering {
        self.partial_cmp(other).expect("no NaN")
    }
}

/// The trainer's answer in the form of ours.
fn comparable(answer: &Value) -> Value {
    if answer.get("error").is_some() {
        return json!({ "refused": true });
    }
    let directories: Vec<Value> =
        answer["directories"].as_array().expect("directories").iter().map(directory).collect();
    let buckets = answer["epoch"]["buckets"].as_array().map(|buckets| {
        let row = |it: &Value| {
            json!({ "bucket": numbers(&it["bucket"]), "before": it["before"], "global_batch": it["global_batch"], "kept": it["kept"] })
        };
        buckets.iter().map(row).collect::<Vec<_>>()
    });
    json!({ "directories": directories, "buckets": buckets, "batches": answer["epoch"]["batches"] })
}

fn directory(directory: &Value) -> Value {
    // Two resolutions of one size are two buckets of one name there and one here.
    let mut merged: BTreeMap<String, Value> = BTreeMap::new();
    let mut order = vec![];
    let listed = directory["buckets"].as_array().expect("buckets");
    for bucket in listed {
        let name = bucket["bucket"].to_string();
        let row = json!({ "bucket": numbers(&bucket["bucket"]), "pixels": bucket["pixels"], "items": bucket["count"], "length": bucket["length"] });
        if let Some(known) = merged.get_mut(&name) {
            for key in ["items", "length"] {
                known[key] = json!(known[key].as_u64().unwrap_or(0) + row[key].as_u64().unwrap_or(0));
            }
        } else {
            order.push(name.clone());
            merged.insert(name, row);
        }
    }
    let item = |item: &Value| {
        let Some(places) = item["buckets"].as_array() else {
            return match item.get("frames") {
                Some(frames) => json!({ "dropped": true, "frames": frames }),
                None => json!({ "dropped": true }),
            };
        };
        let of = |place: &Value| {
            numbers(&listed[usize::try_from(place.as_u64().expect("a place")).expect("small")]["bucket"])
        };
        let crops = item["crops"].as_array().map(|crops| {
            crops
                .iter()
                .map(|it| numbers(it).into_iter().map(millionths).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        });
        json!({ "frames": item["frames"], "buckets": places.iter().map(of).collect::<Vec<_>>(), "crops": crops })
    };
    let items: Vec<Value> = directory["items"].as_array().expect("items").iter().map(item).collect();
    json!({ "buckets": order.iter().map(|name| merged[name].clone()).collect::<Vec<_>>(), "items": items })
}

/// `serde_json` may miss the last bit of what Python wrote.
#[expect(clippy::cast_possible_truncation, reason = "pixels")]
fn millionths(pixels: f64) -> i64 {
    (pixels * 1e6).round() as i64
}

/// All as floats, as ours are.
fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|it| it.as_f64().expect("a number")).collect()
}
