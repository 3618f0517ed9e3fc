//! What the page does with configurations, folders, captions and settings, asked of the real server; and what somebody
//! tries who should get nothing.

use std::{fs, os::unix::fs::symlink, path::Path};

use dpgui::platform::digest::Sha256;
use serde_json::{Value, json};

use crate::support::{
    browser::Served,
    media::{mp4, png},
    sandbox::Sandbox,
};

const CANARY: &str = "canary0123456789abcdef";

/// A training file that is in order but for the files of the model.
fn pair(served: &Served, model: &str) -> (String, String) {
    let drafted = served.send("POST", "/api/configs/draft", &json!({ "model": model })).ok();
    let text = |key: &str| drafted[key].as_str().expect("a text").to_owned();
    (text("training"), text("dataset"))
}

fn checked(served: &Served, training: &str, dataset: Option<&str>) -> Value {
    let body = json!({ "name": "t.toml", "training": training, "dataset": dataset });
    served.send("POST", "/api/configs/check", &body).ok()
}

fn set(served: &Served, text: &str, key: &str, value: &Value) -> Value {
    let reply = served.send("POST", "/api/configs/set", &json!({ "text": text, "key": key, "value": value }));
    if reply.status == 200 { reply.json()["text"].clone() } else { reply.json()["error"]["message"].clone() }
}

#[test]
fn every_model_type_has_a_form_with_every_key_of_its_draft_and_a_draft_that_only_lacks_files() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &[]);
    let models = served.get("/api/models").ok();
    let models: Vec<&str> =
        models.as_array().expect("a list").iter().map(|it| it["name"].as_str().expect("a name")).collect();
    assert_eq!(models.len(), 25, "24 of the trainer's and the demo");
    for model in models {
        let form = served.get(&format!("/api/models/{model}/form")).ok();
        let ids: Vec<&str> = form["sections"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it["id"].as_str().expect("an id"))
            .collect();
        let all = ["training", "model", "adapter", "optimizer", "monitoring", "dataset", "directory"];
        // The demo's trainer ends at a key that it does not know, as all of that table.
        let expected = all.into_iter().filter(|it| model != "demo" || *it != "monitoring");
        assert!(ids.into_iter().eq(expected), "{model}");
        let (training, dataset) = pair(&served, model);
        let found = checked(&served, &training, Some(&dataset));
        for key in keys(&found) {
            assert!(has_field(&form, &key, &found), "{model}: the form has no `{key}`");
        }
        for finding in found["findings"].as_array().expect("a list") {
            let is_missing = finding["message"].as_str().expect("text").contains("there is no ");
            assert!(is_missing || finding["severity"] != "error", "{model}: {finding}");
        }
        assert_eq!(found["values"]["model"]["type"], model);
        assert_eq!(found["derived"]["pipeline_stages"], 1);
    }
    let unknown = served.get("/api/models/wam/form");
    assert_eq!((unknown.status, &unknown.json()["error"]["kind"]), (404, &json!("not-found")));
    assert_eq!(unknown.json()["error"]["hint"], "did you mean `wan`? `dpgui config models` lists all");
}

/// What is written in the pair, as the form names it.
fn keys(found: &Value) -> Vec<String> {
    let mut keys = vec![];
    for (name, value) in found["values"].as_object().expect("a table") {
        match value {
            Value::Object(table) => keys.extend(table.keys().map(|key| format!("{name}.{key}"))),
            _ => keys.push(name.clone()),
        }
    }
    for (name, value) in found["dataset_values"].as_object().expect("a table") {
        match (name.as_str(), value) {
            ("directory", Value::Array(folders)) => {
                keys.extend(
                    folders[0].as_object().expect("a table").keys().map(|key| format!("directory[].{key}")),
                );
            }
            _ => keys.push(name.clone()),
        }
    }
    keys
}

fn has_field(form: &Value, key: &str, found: &Value) -> bool {
    let chosen = |part: &str| found["values"][part]["type"].as_str().unwrap_or_default().to_owned();
    let sections = form["sections"].as_array().expect("a list").iter().map(|it| &it["fields"]);
    let by_type = [&form["adapters"][chosen("adapter")], &form["optimizers"][chosen("optimizer")]];
    let mut fields = sections.chain(by_type).filter_map(Value::as_array).flatten();
    fields.any(|field| field["key"] == key && !field["doc"].as_str().expect("text").is_empty())
}

#[test]
fn a_check_of_texts_finds_what_the_terminal_finds_in_files() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &[]);
    let (training, dataset) = pair(&served, "wan");
    let wrong = |from: &str, to: &str| training.replace(from, to);
    let cases = [
        (training.clone(), dataset.clone()),
        (wrong("epochs = ", "epoch = "), dataset.replace("resolutions", "resolution")),
        (wrong("dtype = 'bfloat16'", "dtype = 'bf16'"), dataset.replace("path = ", "pth = ")),
        (wrong("[optimizer]", "[optimiser]"), dataset.replace("[[directory]]", "")),
        (wrong("'wan'", "'wam'"), "resolutions = = 1\n".to_owned()),
        (wrong("pipeline_stages = 1", "pipeline_stages = 3\nbetas = [0, 0.9]"), "directory = 3\n".to_owned()),
        ("a = = 1\nb = True\n".to_owned(), dataset.clone()),
        (format!("[monitoring]\nenable_wandb = true\nwandb_api_key = '{CANARY}'\n"), dataset.clone()),
        (String::new(), String::new()),
    ];
    for (training, dataset) in cases {
        // The draft names the dataset of `wan`.
        sandbox.write("w/configs/t.toml", &training);
        sandbox.write("w/configs/wan-dataset.toml", &dataset);
        let said = sandbox.dpgui(&["--json", "config", "check", "--gpus", "2", "configs/t.toml"]);
        let terminal: Vec<Value> = said
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .filter(|it| it["event"] == "finding")
            .map(|it| {
                let name =
                    Path::new(it["file"].as_str().expect("a path")).file_name().expect("a name").to_owned();
                let file = if name == "t.toml" { "training" } else { "dataset" };
                json!([file, it["line"], it["column"], it["id"], it["severity"], it["message"], it["fix"]])
            })
            .collect();
        let body = json!({ "name": "t.toml", "training": training, "dataset": dataset, "gpus": 2 });
        // What counts is what is sent, whatever lies there.
        fs::write(sandbox.path("w/configs/wan-dataset.toml"), "").expect("written");
        fs::write(sandbox.path("w/configs/t.toml"), "").expect("written");
        let found = served.send("POST", "/api/configs/check", &body).ok();
        let names_one = training.contains("dataset = ");
        let page: Vec<Value> = found["findings"]
            .as_array()
            .expect("a list")
            .iter()
            // A dataset that nobody names yet is looked at all the same.
            .filter(|it| it["file"] == "training" || names_one)
            .map(|it| {
                json!([
                    it["file"],
                    it["line"],
                    it["column"],
                    it["id"],
                    it["severity"],
                    it["message"],
                    it["fix"]
                ])
            })
            .collect();
        assert_eq!(page, terminal, "{training}\n{dataset}");
        assert!(!found.to_string().contains(CANARY), "{found}");
        for key in found["findings"].as_array().expect("a list").iter().filter_map(|it| it["key"].as_str()) {
            assert!(!key.is_empty() && !key.contains(' '), "{key}");
        }
    }
}

#[test]
fn a_finding_says_which_key_it_is_about() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &[]);
    let (training, dataset) = pair(&served, "wan");
    let training = training.replace("epochs = ", "epoch = ").replace("dtype = 'bfloat16'", "dtype = 'bf16'");
    let found = checked(&served, &training, Some(&dataset.replace("num_repeats = 1", "num_repeats = 0")));
    let keys: Vec<(&str, &str)> = found["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["id"].as_str().expect("an id"), it["key"].as_str().unwrap_or("-")))
        .collect();
    let expected = [
        ("epochs-present", "epochs"),
        ("unknown-key", "epoch"),
        ("dtype-known", "model.dtype"),
        ("model-files-exist", "model.ckpt_path"),
        ("dtype-known", "adapter.dtype"),
        ("directory-exists", "directory[0].path"),
        ("num-repeats-positive", "directory[0].num_repeats"),
    ];
    for one in expected {
        assert!(keys.contains(&one), "{one:?} in {keys:?}");
    }
}

#[test]
fn a_key_is_set_and_taken_out_with_all_other_comments_kept() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &[]);
    let (training, dataset) = pair(&served, "wan");
    let changed = set(&served, &training, "epochs", &json!("7"));
    let changed = changed.as_str().expect("text");
    assert_eq!(changed, training.replace("epochs = 100", "epochs = 7"));
    let without = set(&served, changed, "epochs", &Value::Null);
    let without = without.as_str().expect("text");
    assert_eq!(without, changed.replace("\nepochs = 7", "\n#epochs = 7"), "it stays as a comment");
    assert_eq!(set(&served, without, "epochs", &json!("7")), changed, "and comes back where it was");
    let without = set(&served, &training, "adapter", &Value::Null);
    let without = without.as_str().expect("text");
    assert!(!without.contains("[adapter]") && without.contains("[optimizer]"), "{without}");
    let two = set(&served, &dataset, "directory[1].path", &json!("/data/b"));
    let two = two.as_str().expect("text");
    assert_eq!(two, format!("{dataset}\n[[directory]]\npath = '/data/b'\n"));
    assert_eq!(set(&served, two, "directory[1]", &Value::Null), dataset.trim_end().to_owned() + "\n");
    assert_eq!(
        set(&served, &training, "epochs", &json!("many")),
        "`epochs` must be a whole number, at least 1, not `many`"
    );
    assert_eq!(set(&served, &training, "nonsense", &json!("1")), "there is no key `nonsense`");
    let file = json!({ "text": "", "key": "directory[0].path", "value": "/a", "file": "dataset" });
    let begun = served.send("POST", "/api/configs/set", &file).ok();
    assert_eq!(begun["text"], "[[directory]]\npath = '/a'\n");
    let broken =
        served.send("POST", "/api/configs/set", &json!({ "text": "a = = 1", "key": "epochs", "value": "1" }));
    assert_eq!(broken.status, 400);
    assert!(broken.json()["error"]["message"].as_str().expect("text").contains("is no valid TOML"));
}

#[test]
fn what_can_be_mended_is_mended_in_both_texts_and_no_file_changes() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &[]);
    let (training, dataset) = pair(&served, "wan");
    let body = json!({
        "training": training.replace("epochs = ", "epoch = "), "dataset": dataset.replace("resolutions", "resolution"),
    });
    let mended = served.send("POST", "/api/configs/mend", &body).ok();
    assert_eq!((&mended["training"], &mended["dataset"]), (&json!(training), &json!(dataset)));
    assert!(mended["changes"].to_string().contains("renamed `epoch` to `epochs`"), "{}", mended["changes"]);
    assert!(!sandbox.path("w/configs/new.toml").exists());
}

#[test]
fn a_pair_is_saved_read_and_changed_and_a_change_by_somebody_else_is_not_overwritten() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &[]);
    let (training, dataset) = pair(&served, "wan");
    let save = |name: &str, training: &str, dataset: Option<&str>, digests: Value| {
        let body = json!({ "training": training, "dataset": dataset, "digests": digests });
        served.send("PUT", &format!("/api/configs/{name}"), &body)
    };
    let none = json!({ "training": null, "dataset": null });
    let saved = save("wan.toml", &training, Some(&dataset), none.clone()).ok();
    assert_eq!(fs::read_to_string(sandbox.path("w/configs/wan.toml")).expect("there"), training);
    assert_eq!(fs::read_to_string(sandbox.path("w/configs/wan-dataset.toml")).expect("there"), dataset);
    // Somebody who thinks that there is none.
    let refused = save("wan.toml", &training, Some(&dataset), none);
    assert_eq!((refused.status, &refused.json()["error"]["kind"]), (409, &json!("conflict")));
    let read = served.get("/api/configs/wan.toml").ok();
    assert_eq!(read["training"], json!({ "text": training, "digest": saved["training"] }));
    let expected = json!({ "name": "wan-dataset.toml", "text": dataset, "digest": saved["dataset"] });
    assert_eq!(read["dataset"], expected);
    let again = save("wan.toml", "epochs = 1\n", Some("resolutions = [1]\n"), saved.clone());
    assert_eq!(again.status, 200, "{again:?}");
    // That one names no dataset, so the usual place counted.
    assert_eq!(
        fs::read_to_string(sandbox.path("w/configs/wan-dataset.toml")).expect("there"),
        "resolutions = [1]\n"
    );
    // One of the two was changed on the disk: none is written.
    let now = again.json();
    fs::write(sandbox.path("w/configs/wan.toml"), "epochs = 2\n").expect("written");
    assert_eq!(save("wan.toml", &training, Some(&dataset), now).status, 409);
    assert_eq!(
        fs::read_to_string(sandbox.path("w/configs/wan-dataset.toml")).expect("there"),
        "resolutions = [1]\n"
    );
    // No TOML tells which the dataset's file is: that is said, and nothing is taken for removed.
    let now = served.get("/api/configs/wan.toml").ok()["training"]["digest"].clone();
    let broken =
        save("wan.toml", "epochs = 1\n[oops\n", Some(&dataset), json!({ "training": now, "dataset": "x" }));
    let message = broken.json()["error"]["message"].as_str().expect("text").to_owned();
    assert!(broken.status == 422 && message.starts_with("not saved: line 2 of `wan.toml`: "), "{broken:?}");
    let named = json!({ "text": "a = = 1", "key": "epochs", "value": "1", "name": "wan.toml" });
    let named = served.send("POST", "/api/configs/set", &named);
    assert!(named.json()["error"]["message"].to_string().contains("wan.toml"), "{named:?}");
    // A dataset file elsewhere is not this page's.
    let elsewhere = training.replace("configs/wan-dataset.toml", "elsewhere.toml");
    let none = json!({ "training": null, "dataset": null });
    assert_eq!(save("b.toml", &elsewhere, Some(&dataset), none.clone()).status, 400);
    assert_eq!(save("b.toml", &elsewhere, None, none).status, 200);
    fs::write(sandbox.path("w/configs/broken.toml"), "a = = 1\n").expect("written");
    let rows = served.get("/api/configs").ok();
    let rows: Vec<_> = rows
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| {
            (it["name"].as_str().expect("a name"), it["kind"].as_str().expect("a kind"), it["model"].clone())
        })
        .collect();
    let expected = [
        ("b.toml", "training", json!("wan")),
        ("broken.toml", "broken", Value::Null),
        ("wan-dataset.toml", "training", Value::Null),
        ("wan.toml", "training", Value::Null),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn of_a_pair_what_stays_as_it_is_keeps_its_time_and_what_was_removed_is_not_to_be_loaded() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &[]);
    let (training, dataset) = pair(&served, "wan");
    let save = |training: &str, digests: Value| {
        let body = json!({ "training": training, "dataset": dataset, "digests": digests });
        served.send("PUT", "/api/configs/wan.toml", &body)
    };
    let path = |it: &str| sandbox.path(format!("w/configs/{it}"));
    let written = |it: &str| fs::metadata(path(it)).and_then(|it| it.modified()).expect("there");
    let saved = save(&training, json!({ "training": null, "dataset": null })).ok();
    let before = ["wan.toml", "wan-dataset.toml"].map(written);
    // Nobody looks at its data again for nothing.
    let again = save(&format!("{training}# more\n"), saved);
    assert_eq!(again.status, 200, "{again:?}");
    let after = ["wan.toml", "wan-dataset.toml"].map(written);
    assert!(before[0] < after[0] && before[1] == after[1], "{before:?} {after:?}");
    fs::remove_file(path("wan.toml")).expect("removed");
    let gone = save(&training, again.json());
    let hint = gone.json()["error"]["hint"].to_string();
    assert!(gone.status == 409 && !hint.contains("load it again"), "{gone:?}");
    assert!(hint.contains("write it anew"), "{gone:?}");
}

#[test]
fn a_secret_stays_on_the_disk_whatever_is_done_with_its_file() {
    let sandbox = Sandbox::new();
    let settings = format!(
        "[runs]\nnotify = [\"https://hooks.example/{CANARY}\"]\n[sources.node]\nplaces = [\"https://me:{CANARY}@mirror.example/n\"]\n"
    );
    fs::write(sandbox.path("w/dpgui.toml"), settings).expect("written");
    let text = format!(
        "# wandb_api_key = '{CANARY}'\nhf_token = '{CANARY}'\nepochs = 1\ndataset = 'configs/d.toml'\n[monitoring]\nwandb_api_key = \"{CANARY}\" # mine\n"
    );
    fs::create_dir_all(sandbox.path("w/configs")).expect("made");
    let file = sandbox.path("w/configs/a.toml");
    fs::write(&file, &text).expect("written");
    fs::write(
        sandbox.path("w/configs/d.toml"),
        format!("hf_api_key = '{CANARY}'\nhf_token = '{CANARY}'\n[[directory]]\n"),
    )
    .expect("written");
    fs::write(sandbox.path("w/configs/broken.toml"), format!("= 1\nwandb_api_key = '{CANARY}\n"))
        .expect("written");
    let mut sandbox = sandbox;
    sandbox.env("HF_TOKEN", CANARY);
    sandbox.env("UV_DEFAULT_INDEX", format!("https://me:{CANARY}@mirror.example/simple"));
    let served = Served::start(&sandbox, &[]);
    let mut said = String::new();
    let read = served.get("/api/configs/a.toml").ok();
    let shown = read["training"]["text"].as_str().expect("text");
    for path in [
        "/api/configs",
        "/api/configs/a.toml",
        "/api/configs/broken.toml",
        "/api/configs/d.toml",
        "/api/settings",
        "/api/machine",
    ] {
        said.push_str(&served.get(path).ok().to_string());
    }
    said.push_str(&checked(&served, shown, read["dataset"]["text"].as_str()).to_string());
    said.push_str(&checked(&served, &text, None).to_string());
    let changed = set(&served, shown, "epochs", &json!("2"));
    let changed = changed.as_str().expect("text");
    // Moved to where it would be seen, it is no secret any more, and no placeholder either.
    let moved = changed.replace("dataset = ", "output_dir = '(hidden 1)'\ndataset = ");
    let digests = json!({ "training": read["training"]["digest"], "dataset": null });
    let body = json!({ "training": moved, "dataset": null, "digests": digests });
    said.push_str(&served.send("PUT", "/api/configs/a.toml", &body).ok().to_string());
    let expected = text
        .replace("epochs = 1", "epochs = 2")
        .replace("dataset = ", "output_dir = '(hidden 1)'\ndataset = ");
    assert_eq!(fs::read_to_string(&file).expect("there"), expected);
    said.push_str(&served.get("/api/configs/a.toml").ok().to_string());
    // In another file it stands for nothing.
    let body =
        json!({ "training": changed, "dataset": null, "digests": { "training": null, "dataset": null } });
    let refused = served.send("PUT", "/api/configs/b.toml", &body);
    assert_eq!((refused.status, sandbox.path("w/configs/b.toml").exists()), (400, false));
    said.push_str(&String::from_utf8_lossy(&refused.body));
    assert!(!said.contains(CANARY) && said.contains("(hidden"), "{said}");
    let settings = served.get("/api/settings").ok();
    assert_eq!(settings["secrets"][0], json!({ "name": "HF_TOKEN", "set": true }));
    let mirrors = settings["mirrors"].to_string();
    assert!(mirrors.contains("UV_DEFAULT_INDEX") && mirrors.contains("sources.node"), "{mirrors}");
}

/// A workspace with links to `outside`, where nobody from the page has any business.
fn with_links_out() -> Sandbox {
    let sandbox = Sandbox::new();
    for dir in ["outside", "w_evil"] {
        for name in ["x.toml", "x.png", "x.txt"] {
            sandbox.write(format!("{dir}/{name}"), CANARY);
        }
    }
    sandbox.write("w/data/y.png", png(8, 8));
    sandbox.write("w/configs/a.toml", "epochs = 1\n");
    let outside = sandbox.path("outside");
    let links = [
        (outside.join("x.toml"), "configs/link.toml"),
        (outside.join("none.toml"), "configs/dangling.toml"),
        ("/".into(), "data/all"),
        (outside.clone(), "data/out"),
        (outside.join("x.txt"), "data/y.txt"),
        (outside.join("x.png"), "data/z.png"),
    ];
    for (target, link) in links {
        symlink(target, sandbox.path("w").join(link)).expect("made");
    }
    sandbox
}

#[track_caller]
fn nothing_happened_outside(sandbox: &Sandbox) {
    for dir in ["outside", "w_evil"] {
        let found = fs::read_dir(sandbox.path(dir)).expect("there");
        let texts: Vec<String> =
            found.map(|it| fs::read_to_string(it.expect("an entry").path()).expect("text")).collect();
        assert_eq!(texts, [CANARY; 3]);
    }
}

#[test]
fn no_name_of_a_configuration_leads_out() {
    let sandbox = with_links_out();
    let served = Served::start(&sandbox, &[]);
    let long = format!("{}.toml", "a".repeat(300));
    let names = [
        "..%2fx.toml",
        "%2e%2e%2fx.toml",
        "%252e%252e%252fx.toml",
        "..",
        ".",
        "%2fetc%2fpasswd",
        "a%00.toml",
        "C:%5cx.toml",
        "",
        "x",
        ".toml",
        "-x.toml",
        "a%0a.toml",
        &long,
        "link.toml",
        "dangling.toml",
        "a%2f..%2fx.toml",
        "%ff.toml",
    ];
    let none = json!({ "training": null, "dataset": null });
    let body = json!({ "training": "epochs = 1\n", "dataset": null, "digests": none });
    for name in names {
        let path = format!("/api/configs/{name}");
        for reply in [served.get(&path), served.send("PUT", &path, &body)] {
            assert!([400, 403, 404, 405, 409].contains(&reply.status), "{name}: {reply:?}");
            assert!(!String::from_utf8_lossy(&reply.body).contains(CANARY), "{name}");
        }
    }
    for dataset in ["../outside/x.toml", "configs/../../outside/x.toml", "configs/link.toml", "/etc/x.toml"] {
        let body = json!({ "training": format!("dataset = '{dataset}'\n"), "dataset": "", "digests": none });
        let reply = served.send("PUT", "/api/configs/new.toml", &body);
        assert!([400, 403, 409].contains(&reply.status), "{dataset}: {reply:?}");
    }
    let names: Vec<_> = fs::read_dir(sandbox.path("w/configs")).expect("there").collect();
    assert_eq!(names.len(), 3, "{names:?}");
    nothing_happened_outside(&sandbox);
}

#[test]
fn what_is_in_a_dataset_file_elsewhere_is_not_told() {
    let sandbox = with_links_out();
    sandbox.write("outside/x.toml", format!("{CANARY} = 1\nresolutions = [16]\n"));
    let served = Served::start(&sandbox, &[]);
    let (training, _) = pair(&served, "demo");
    let outside = sandbox.path("outside/x.toml").display().to_string();
    let no_such = sandbox.path("outside/y.toml").display().to_string();
    for name in [&*outside, "../outside/x.toml", "configs/link.toml", "data/out/x.toml", &no_such] {
        let training = set(&served, &training, "dataset", &json!(name));
        let training = training.as_str().expect("a text");
        let checked = checked(&served, training, None);
        let text = checked.to_string();
        assert!(!text.contains(CANARY), "{name}: {text}");
        let hidden = |it: &&Value| it["message"].as_str().is_some_and(|it| it.contains("may be looked into"));
        let finding = checked["findings"].as_array().expect("a list").iter().find(hidden).expect(name);
        assert_eq!(
            (&finding["severity"], &finding["key"]),
            (&json!("warning"), &json!("dataset")),
            "{finding}"
        );
        assert!(finding["fix"].as_str().is_some_and(|it| it.contains("ui.roots")), "{finding}");
        let body = json!({ "name": "t.toml", "training": training, "dataset": null });
        let mended = served.send("POST", "/api/configs/mend", &body);
        assert!(!String::from_utf8_lossy(&mended.body).contains(CANARY), "{name}");
    }
    // Once it is granted, and on the terminal, it is read as any other.
    sandbox.write(
        "w/configs/t.toml",
        set(&served, &training, "dataset", &json!(outside)).as_str().expect("a text"),
    );
    let said = sandbox.dpgui(&["config", "check", "configs/t.toml"]);
    assert!(said.stdout.contains(CANARY) || said.stderr.contains(CANARY), "{said}");
    let folder = sandbox.path("outside").display().to_string();
    sandbox.write("w/dpgui.toml", format!("ui.roots = ['{folder}']\n"));
    let training = set(&served, &training, "dataset", &json!(outside));
    let found = checked(&served, training.as_str().expect("a text"), None).to_string();
    assert!(found.contains(CANARY), "{found}");
}

/// The training file and the dataset file as they are on the disk.
fn on_disk(sandbox: &Sandbox) -> [Option<String>; 2] {
    ["tiny.toml", "tiny-dataset.toml"].map(|it| fs::read_to_string(sandbox.path("w/configs").join(it)).ok())
}

#[test]
fn a_pair_is_written_whole_or_not_at_all_wherever_the_server_is_killed() {
    const NAMED: &str = "dataset = 'configs/tiny-dataset.toml'\n";
    let new = [format!("epochs = 2\n{NAMED}"), "resolutions = [32]\n".to_owned()];
    for before in [None, Some([format!("epochs = 1\n{NAMED}"), "resolutions = [16]\n".to_owned()])] {
        let (mut first, mut reached): (usize, Vec<String>) = (0, vec![]);
        // The first time round nobody is killed, and what is reached on the way is noted.
        for at in 0.. {
            let mut sandbox = Sandbox::new();
            for (name, text) in ["tiny.toml", "tiny-dataset.toml"].iter().zip(before.iter().flatten()) {
                sandbox.write(format!("w/configs/{name}"), text);
            }
            let list = sandbox.path("reached");
            let noted = || {
                fs::read_to_string(&list).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()
            };
            if at == 0 {
                sandbox.env("DPGUI_TEST_CHECKPOINTS", &list);
            } else {
                let Some(name) = reached.get(first + at - 1) else { break };
                let nth = reached[..first + at].iter().filter(|it| *it == name).count();
                sandbox.env("DPGUI_TEST_KILL_AT", format!("{name}:{nth}"));
            }
            let served = Served::start(&sandbox, &[]);
            let begins = noted().len();
            let digest = |at: usize| before.as_ref().map(|it| Sha256::of(&it[at]).to_string());
            let digests = json!({ "training": digest(0), "dataset": digest(1) });
            let body = json!({ "training": new[0], "dataset": new[1], "digests": digests });
            let reply = served.send("PUT", "/api/configs/tiny.toml", &body);
            if at == 0 {
                assert_eq!(reply.status, 200, "{reply:?}");
                (first, reached) = (begins, noted());
                assert!(reached.len() >= first + 5, "{reached:?}");
                assert_eq!(on_disk(&sandbox), new.each_ref().map(|it| Some(it.clone())));
                continue;
            }
            assert_eq!(reply.status, 0, "it was killed: {reply:?}");
            drop(served);
            sandbox.env("DPGUI_TEST_KILL_AT", "");
            let half = on_disk(&sandbox);
            assert!(
                half[0] != Some(new[0].clone()) || half[1] == Some(new[1].clone()),
                "it names what is there"
            );
            let served = Served::start(&sandbox, &[]);
            let found = on_disk(&sandbox);
            let old = [0, 1].map(|at| before.as_ref().map(|it| it[at].clone()));
            let whole = new.each_ref().map(|it| Some(it.clone()));
            assert!(found == old || found == whole, "{}: {found:?}", reached[first + at - 1]);
            assert!(half == old || found == whole, "what had begun is finished");
            // And it can be saved from there.
            let digest = |text: &Option<String>| text.as_ref().map(|it| Sha256::of(it).to_string());
            let digests = json!({ "training": digest(&found[0]), "dataset": digest(&found[1]) });
            let body = json!({ "training": new[0], "dataset": new[1], "digests": digests });
            served.send("PUT", "/api/configs/tiny.toml", &body).ok();
        }
    }
}

#[test]
fn no_path_of_a_folder_or_a_file_leads_out() {
    let sandbox = with_links_out();
    let served = Served::start(&sandbox, &[]);
    let root = sandbox.path("w").display().to_string();
    let outside = sandbox.path("outside").display().to_string();
    let absolute = ["/", "/etc", "/etc/passwd", "/proc/self/root", "", "data", "./data", &outside];
    let deep = format!("/{}", "a/".repeat(5000));
    let below = [
        "/../outside",
        "/data/../../outside",
        "_evil",
        "/data/all",
        "/data/all/etc",
        "/data/out",
        "/data%00",
        &deep,
        "/.dpgui",
        "/.dpgui/ui",
        "/%2e%2e/outside",
        "/data/none",
    ];
    let below = below.iter().map(|it| format!("{root}{it}"));
    for path in absolute.iter().map(ToString::to_string).chain(below) {
        for (what, file) in [("folders", ""), ("media", "/x.png"), ("caption", "/x.png")] {
            let reply = served.get(&format!("/api/{what}?path={path}{file}"));
            let is_refused = [400, 403, 404, 431, 414].contains(&reply.status);
            assert!(is_refused || path.is_empty() && file.is_empty(), "{what} {path}: {reply:?}");
        }
        let path = path.replace("%00", "\0").replace("%2e", ".");
        let body = json!({ "path": format!("{path}/x.png"), "text": "a", "digest": null });
        assert!([400, 403, 404].contains(&served.send("PUT", "/api/caption", &body).status), "{path}");
    }
    for file in ["y.png", "z.png"] {
        let path = format!("{root}/data/{file}");
        assert_eq!(served.get(&format!("/api/caption?path={path}")).status, 403, "{file}");
        let body = json!({ "path": path, "text": "a", "digest": null });
        assert_eq!(served.send("PUT", "/api/caption", &body).status, 403, "{file}");
    }
    let listed = served.get(&format!("/api/folders?path={root}/data")).ok();
    assert_eq!(
        listed["entries"],
        json!([{ "name": "y.png", "folder": false, "media": null, "bytes": png(8, 8).len() }])
    );
    nothing_happened_outside(&sandbox);
}

#[test]
fn a_folder_that_becomes_a_link_while_it_is_asked_for_leads_nowhere() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path("outside");
    for dir in [&outside, &sandbox.path("w/data/kept")] {
        fs::create_dir_all(dir).expect("made");
        fs::write(dir.join("a.png"), png(8, 8)).expect("written");
    }
    fs::write(outside.join("a.txt"), CANARY).expect("written");
    fs::write(sandbox.path("w/data/kept/a.txt"), "mine").expect("written");
    symlink(&outside, sandbox.path("w/data/link")).expect("made");
    let served = Served::start(&sandbox, &[]);
    let place = sandbox.path("w/data/now");
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The folder and the link change places all the time.
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for real in ["kept", "link"] {
                    let real = sandbox.path("w/data").join(real);
                    fs::rename(&real, &place).expect("renamed");
                    fs::rename(&place, &real).expect("renamed back");
                }
            }
        });
        let path = format!("{}/a.png", place.display());
        let mut seen = [false; 2];
        for _ in 0..400 {
            let reply = served.get(&format!("/api/caption?path={path}"));
            assert!(!String::from_utf8_lossy(&reply.body).contains(CANARY), "{reply:?}");
            let body = json!({ "path": path, "text": "changed", "digest": null });
            served.send("PUT", "/api/caption", &body);
            seen[usize::from(reply.status == 200)] = true;
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(seen[0], "it was a link at least once");
    });
    assert_eq!(fs::read_to_string(outside.join("a.txt")).expect("there"), CANARY);
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 2);
}

#[test]
fn folders_are_listed_pictures_made_and_captions_written_within_the_granted_roots() {
    let sandbox = Sandbox::new();
    let granted = sandbox.path("granted");
    fs::create_dir_all(granted.join("set/sub")).expect("made");
    fs::write(sandbox.path("w/dpgui.toml"), format!("[ui]\nroots = ['{}']\n", granted.display()))
        .expect("written");
    let picture = real_png();
    for (name, bytes) in
        [("a.png", &picture[..]), ("b.png", &picture), ("c.mp4", &mp4(64, 64, 8, 8)), ("a.txt", b"red")]
    {
        fs::write(granted.join("set").join(name), bytes).expect("written");
    }
    let served = Served::start(&sandbox, &[]);
    let roots = served.get("/api/folders").ok();
    assert_eq!(roots["roots"], json!([sandbox.path("w"), granted]));
    let root = granted.display();
    let listed = served.get(&format!("/api/folders?path={root}")).ok();
    assert_eq!(listed["entries"], json!([{ "name": "set", "folder": true, "media": 3, "bytes": null }]));
    assert_eq!(listed["parent"], Value::Null);
    let listed = served.get(&format!("/api/folders?path={root}/set")).ok();
    assert_eq!(listed["entries"][0], json!({ "name": "sub", "folder": true, "media": 0, "bytes": null }));
    assert_eq!(listed["entries"][2], json!({ "name": "a.txt", "folder": false, "media": null, "bytes": 3 }));
    assert_eq!(listed["parent"], json!(granted));

    let small = served.get(&format!("/api/media?path={root}/set/a.png"));
    assert_eq!((small.status, small.header("content-type")), (200, Some("image/png")));
    assert_eq!(&small.body[16..24], [0, 0, 1, 64, 0, 0, 0, 80], "320 by 80");
    assert_eq!(served.get(&format!("/api/media?path={root}/set/c.mp4")).status, 415);
    assert_eq!(served.get(&format!("/api/media?path={root}/set/a.txt")).status, 415);
    assert_eq!(served.get(&format!("/api/media?path={root}/set/none.png")).status, 404);

    let caption = served.get(&format!("/api/caption?path={root}/set/a.png")).ok();
    assert_eq!((&caption["text"], &caption["path"]), (&json!("red"), &json!(granted.join("set/a.txt"))));
    let write = |name: &str, text: &str, digest: &Value| {
        let body = json!({ "path": granted.join("set").join(name), "text": text, "digest": digest });
        served.send("PUT", "/api/caption", &body)
    };
    let written = write("a.png", "a red square", &caption["digest"]).ok();
    assert_eq!(write("a.png", "blue", &caption["digest"]).status, 409);
    assert_eq!(write("a.png", "blue", &Value::Null).status, 409);
    assert_eq!(fs::read_to_string(granted.join("set/a.txt")).expect("there"), "a red square");
    assert_eq!(served.get(&format!("/api/caption?path={root}/set/a.png")).ok()["digest"], written["digest"]);
    let none = served.get(&format!("/api/caption?path={root}/set/b.png")).ok();
    assert_eq!((&none["text"], &none["digest"]), (&Value::Null, &Value::Null));
    write("b.png", "new", &Value::Null).ok();
    assert_eq!(fs::read_to_string(granted.join("set/b.txt")).expect("there"), "new");
    assert_eq!(write("a.txt", "none", &Value::Null).status, 400);
    assert_eq!(write("none.png", "none", &Value::Null).status, 404);
    let names = || fs::read_dir(granted.join("set")).expect("there").count();
    let before = names();
    fs::write(granted.join("set/captions.json"), r#"{ "a.png": ["one", "two"] }"#).expect("written");
    let listed = served.get(&format!("/api/caption?path={root}/set/a.png")).ok();
    assert_eq!((&listed["text"], &listed["may_change"]), (&json!("one\ntwo"), &json!(false)));
    assert_eq!(write("a.png", "x", &Value::Null).status, 409);
    assert_eq!(names(), before + 1);
}

/// Of 400 by 100 pixels, all there.
fn real_png() -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, 400, 100);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("written");
    writer.write_image_data(&vec![9; 400 * 100 * 3]).expect("written");
    writer.finish().expect("written");
    bytes
}

#[test]
fn what_is_no_request_is_told_what_is_wrong_with_it() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &[]);
    let bearer = served.bearer();
    let headers = [("Authorization", &*bearer), ("Content-Type", "application/json"), ("X-Dpgui", "1")];
    for body in
        ["", "{", "[]", "{\"model\": 3}", "{\"model\":\"wan\",\"more\":1}", "\u{0}", "{\"training\":\"\"}"]
    {
        for path in ["draft", "check", "set", "mend"] {
            let reply = served.ask("POST", &format!("/api/configs/{path}"), &headers, body.as_bytes());
            let is_enough = ["mend", "check"].contains(&path) && body.contains("training");
            assert_eq!(reply.status, if is_enough { 200 } else { 400 }, "{path} {body}: {reply:?}");
        }
    }
    let draft = |body: Value| served.send("POST", "/api/configs/draft", &body);
    for (body, message) in [
        (json!({ "model": "wam" }), "the trainer has no model type `wam`"),
        (json!({ "model": "wan", "preset": "fast" }), "there is no preset `fast`"),
        (
            json!({ "model": "wan", "name": "../x" }),
            "a configuration is called `NAME.toml`, of letters, digits, `-`, `_`, `.` and spaces",
        ),
    ] {
        let reply = draft(body);
        assert_eq!((reply.status, &reply.json()["error"]["message"]), (400, &json!(message)));
    }
    fs::create_dir_all(sandbox.path("w/configs")).expect("made");
    fs::write(sandbox.path("w/configs/latin.toml"), b"a = 1\n# gr\xfcn\n").expect("written");
    fs::write(sandbox.path("w/configs/large.toml"), vec![b'#'; (1 << 20) + 1]).expect("written");
    for (name, status) in [("latin.toml", 422), ("large.toml", 413), ("none.toml", 404)] {
        assert_eq!(served.get(&format!("/api/configs/{name}")).status, status, "{name}");
    }
}

/// All that a page can ask of a training file that names `place`, as text without the name of the place.
fn asked_about(served: &Served, sandbox: &Sandbox, key: &str, place: &str) -> Vec<String> {
    let (training, dataset) = pair(served, "wan");
    let mut texts = [training, dataset];
    let of_data = key.starts_with("directory");
    let text = &mut texts[usize::from(of_data)];
    let changed = set(served, text, key, &json!(place));
    changed.as_str().unwrap_or_else(|| panic!("{key}: {changed}")).clone_into(text);
    let [training, dataset] = texts;
    let checked = checked(served, &training, Some(&dataset));
    sandbox.write(
        "w/configs/probe.toml",
        training.replace("configs/wan-dataset.toml", "configs/probe-dataset.toml"),
    );
    sandbox.write("w/configs/probe-dataset.toml", &dataset);
    let body = json!({ "name": "probe.toml", "training": training, "dataset": dataset });
    let mended = served.send("POST", "/api/configs/mend", &body).json();
    let started = served.send("POST", "/api/runs", &json!({ "config": "probe.toml" }));
    let looked = served.send("POST", "/api/jobs", &json!({ "kind": "data-check", "config": "probe.toml" }));
    assert_eq!((started.status, looked.status), (403, 403), "{key}: {started:?} {looked:?}");
    let all = [checked, mended, started.json(), looked.json()];
    all.iter().map(|it| it.to_string().replace(place, "PLACE")).collect()
}

#[test]
fn what_is_outside_of_the_granted_folders_is_not_found_out_by_naming_it() {
    let sandbox = Sandbox::new();
    sandbox.write("w/venv/bin/deepspeed", "");
    sandbox.write("w/vendor/diffusion-pipe/train.py", "");
    sandbox.write("out/file.safetensors", CANARY);
    sandbox.write("out/folder/config.json", "{}");
    sandbox.write("out/folder/a.png", png(8, 8));
    fs::create_dir_all(sandbox.path("out/empty")).expect("made");
    symlink(sandbox.path("out/folder"), sandbox.path("w/leads")).expect("made");
    symlink(sandbox.path("out/not-there"), sandbox.path("w/misleads")).expect("made");
    let served = Served::start(&sandbox, &[]);
    let out = |name: &str| sandbox.path("out").join(name).display().to_string();
    for key in [
        "model.ckpt_path",
        "model.transformer_path",
        "output_dir",
        "adapter.init_from_existing",
        "directory[0].path",
    ] {
        // Not there, a file, a folder, an empty one: all the same.
        let names = ["not-there", "not/there/at/all", "file.safetensors", "folder", "empty"];
        let answers = names.map(|name| asked_about(&served, &sandbox, key, &out(name)));
        assert!(answers[0][0].contains("path-hidden"), "{key}: {}", answers[0][0]);
        for (name, answer) in names.iter().zip(&answers).skip(1) {
            assert_eq!(answer, &answers[0], "{key} = {name}");
        }
        // Nor by a link of the user's own.
        let links = ["leads", "misleads", "leads/not-there"].map(|name| sandbox.path("w").join(name));
        for link in links {
            let answer = asked_about(&served, &sandbox, key, &link.display().to_string());
            assert_eq!(answer, answers[0], "{key} = {}", link.display());
        }
    }
    assert!(
        !sandbox.path("w/.dpgui/ui/jobs").exists()
            || fs::read_dir(sandbox.path("w/.dpgui/ui/jobs")).expect("read").count() == 0
    );
}

#[test]
fn what_is_granted_is_looked_at_and_started_with() {
    let sandbox = Sandbox::new();
    sandbox.write("out/folder/a.png", png(8, 8));
    sandbox.write("w/dpgui.toml", "[ui]\nroots = ['../out']\n");
    let training = "output_dir = 'output'\ndataset = 'configs/d.toml'\nepochs = 1\n[model]\ntype = 'wan'\n";
    let nothing = sandbox.path("out/none");
    sandbox.write("w/configs/a.toml", format!("{training}ckpt_path = '{}'\n", nothing.display()));
    let folder = sandbox.path("out/folder");
    sandbox.write(
        "w/configs/d.toml",
        format!("resolutions = [16]\n[[directory]]\npath = '{}'\n", folder.display()),
    );
    let served = Served::start(&sandbox, &[]);
    let read = served.get("/api/configs/a.toml").ok();
    let found =
        checked(&served, read["training"]["text"].as_str().expect("text"), read["dataset"]["text"].as_str());
    let found = found["findings"].to_string();
    assert!(found.contains("model-files-exist") && !found.contains("path-hidden"), "{found}");
    served.send("POST", "/api/jobs", &json!({ "kind": "data-check", "config": "a.toml" })).ok();
}

#[test]
fn what_a_new_configuration_cannot_be_called_is_told_before_it_is_saved() {
    let sandbox = Sandbox::new();
    sandbox.write("w/configs/taken.toml", "epochs = 1\n");
    symlink("nowhere", sandbox.path("w/configs/link.toml")).expect("made");
    let served = Served::start(&sandbox, &[]);
    let problem = |name: &str| served.get(&format!("/api/configs/{name}/name")).ok()["problem"].clone();
    assert_eq!(problem("free.toml"), Value::Null);
    assert_eq!(problem("taken.toml"), "there is a `taken.toml` already");
    assert_eq!(problem("link.toml"), "there is a `link.toml` already");
    let long = format!("{}.toml", "a".repeat(300));
    assert_eq!(problem(&long), "the name of a configuration has at most 200 bytes, and this one 305");
    let rule = "a configuration is called `NAME.toml`, of letters, digits, `-`, `_`, `.` and spaces";
    for name in ["no-suffix", ".toml", "-x.toml", "a%2Fb.toml", "..%2Fx.toml"] {
        assert_eq!(problem(name), rule, "{name}");
    }
    let sized = |bytes: usize| format!("{}.toml", "a".repeat(bytes));
    assert_eq!(problem(&sized(187)), Value::Null);
    assert_eq!(problem(&sized(188)), "the name of a configuration has at most 200 bytes, and this one 201");
    // The dataset file would be another one's.
    sandbox.write("w/configs/flux-dataset.toml", "");
    assert_eq!(problem("flux.toml"), "there is a `flux-dataset.toml` already");
    let free = |name: &str| served.get(&format!("/api/configs/{name}/name")).ok()["free"].clone();
    for (wish, expected) in [
        ("free.toml", "free"),
        ("taken", "taken-2"),
        ("flux.toml", "flux-2"),
        // What a browser calls the second download, what looks like a flag, and what nothing stays of.
        ("wan%20(1).toml", "wan-1"),
        ("--help.toml", "help"),
        ("..%2F..%2Fx", "x"),
        ("ein%20Name.toml", "ein Name"),
        ("(%C3%A9).", "é"),
        ("---", "imported"),
    ] {
        assert_eq!(free(wish), expected, "{wish}");
    }
    let nearest = free(&sized(300));
    assert_eq!(nearest.as_str().map(str::len), Some(181));
    // A save says the same.
    let body = json!({ "training": "epochs = 1\n", "dataset": null, "digests": { "training": null, "dataset": null } });
    let said = |name: &str| {
        served.send("PUT", &format!("/api/configs/{name}"), &body).json()["error"]["message"].clone()
    };
    assert_eq!((said(&long), said("taken.toml")), (problem(&long), problem("taken.toml")));
}
