//! `dpgui.toml` changed from the page: what can be, what must not, and who was faster.

use std::fs;

use serde_json::{Value, json};

use crate::support::{browser::Served, sandbox::Sandbox};

const MINE: &str =
    "# mine\n[cache] # all of it\n# not more\nlimit = \"10 GB\" # for now\n\n[runs]\nnotify = [\"true\"]\n";

fn world() -> (Sandbox, Served) {
    let sandbox = Sandbox::new();
    sandbox.write("w/dpgui.toml", MINE);
    let served = Served::start(&sandbox, &[]);
    (sandbox, served)
}

fn text(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there")
}

fn digest(served: &Served) -> Value {
    served.get("/api/settings").ok()["digest"].clone()
}

fn change(key: &str, value: &Value) -> Value {
    json!({ "key": key, "value": value })
}

fn field(served: &Served, key: &str) -> Value {
    let shown = served.get("/api/settings").ok();
    let fields = shown["fields"].as_array().expect("a list");
    fields.iter().find(|it| it["key"] == key).unwrap_or_else(|| panic!("no {key}")).clone()
}

#[test]
fn settings_are_changed_from_the_page_among_what_the_user_wrote_and_count() {
    let (sandbox, served) = world();
    assert_eq!(field(&served, "cache.limit")["value"], "10 GB");
    assert_eq!(field(&served, "ui.port")["value"], Value::Null);
    let body = json!({ "digest": digest(&served), "changes": [
        change("cache.limit", &json!("20 GB")),
        change("runs.stall-after", &json!("5 min")),
        change("ui.port", &json!("6000")),
        change("mirror-fallback", &json!("true")),
        change("sources.node.places", &json!("https://mirror.example/node.tar.gz\n")),
    ] });
    let saved = served.send("PUT", "/api/settings", &body).ok();
    let expected = "mirror-fallback = true\n# mine\n[cache] # all of it\n# not more\nlimit = \"20 GB\" # for now\n\n\
        [runs]\nnotify = [\"true\"]\nstall-after = \"5 min\"\n\n[ui]\nport = 6000\n\n\
        [sources.node]\nplaces = [\"https://mirror.example/node.tar.gz\"]\n";
    assert_eq!(text(&sandbox), expected);
    assert_eq!(saved["digest"], digest(&served));
    assert_eq!(field(&served, "sources.node.places")["value"], "https://mirror.example/node.tar.gz");
    // A command reads the same file.
    let link = sandbox.dpgui(&["ui", "--link"]).ok().stdout;
    assert!(link.contains(&format!(":{}/", served.port)), "the server that runs keeps its port: {link}");
    served.end();
    let link = sandbox.dpgui(&["ui", "--link"]).ok().stdout;
    assert!(link.contains(":6000/"), "{link}");
}

#[test]
fn what_is_usual_again_is_in_the_file_no_more() {
    let (sandbox, served) = world();
    let body = json!({ "digest": digest(&served), "changes": [change("cache.limit", &Value::Null)] });
    served.send("PUT", "/api/settings", &body).ok();
    assert_eq!(text(&sandbox), MINE.replace("limit = \"10 GB\" # for now\n", ""));
    assert_eq!(field(&served, "cache.limit")["value"], Value::Null);
}

#[test]
fn settings_that_somebody_else_changed_meanwhile_are_not_written_over() {
    let (sandbox, served) = world();
    let digest = digest(&served);
    sandbox.write("w/dpgui.toml", format!("{MINE}# more\n"));
    let body = json!({ "digest": digest, "changes": [change("cache.limit", &json!("20 GB"))] });
    let reply = served.send("PUT", "/api/settings", &body);
    assert_eq!((reply.status, &reply.json()["error"]["kind"]), (409, &json!("conflict")));
    assert_eq!(text(&sandbox), format!("{MINE}# more\n"));
    // Of two at once, one is first.
    let body =
        json!({ "digest": self::digest(&served), "changes": [change("cache.limit", &json!("20 GB"))] });
    let replies: Vec<u16> = std::thread::scope(|scope| {
        let asking = [(); 4].map(|()| scope.spawn(|| served.send("PUT", "/api/settings", &body).status));
        asking.into_iter().map(|it| it.join().expect("asked")).collect()
    });
    assert_eq!(replies.iter().filter(|it| **it == 200).count(), 1, "{replies:?}");
}

#[test]
fn what_a_key_cannot_be_is_said_of_each_and_nothing_is_written() {
    let (sandbox, served) = world();
    let changes = json!([
        change("cache.limit", &json!("much")),
        change("ui.port", &json!("99999")),
        change("sources.uv.places", &json!("/etc/passwd")),
        change("sources.nothing.places", &json!("https://a.example/x")),
        change("runs.nan-steps", &json!("5")),
    ]);
    let found = served.send("POST", "/api/settings/check", &json!({ "changes": changes })).ok();
    let found: Vec<(&str, &str)> = found["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["key"].as_str().expect("a key"), it["message"].as_str().expect("text")))
        .collect();
    let expected = [
        ("cache.limit", "`much` is not a size: one like `30 GB` is expected"),
        ("ui.port", "`99999` is no port: a number up to 65535 is expected"),
        ("sources.uv.places", "`/etc/passwd` is no web address: one that begins with `https://` is expected"),
        ("sources.nothing.places", "there is no such source"),
    ];
    assert_eq!(found, expected);
    let body = json!({ "digest": digest(&served), "changes": changes });
    assert_eq!(served.send("PUT", "/api/settings", &body).status, 400);
    assert_eq!(text(&sandbox), MINE);
    sandbox.write("w/dpgui.toml", "[cache\n");
    let body = json!({ "digest": digest(&served), "changes": [change("ui.port", &json!("6000"))] });
    assert_eq!(served.send("PUT", "/api/settings", &body).status, 400);
    assert_eq!(text(&sandbox), "[cache\n");
}

#[test]
fn no_setting_that_widens_what_the_page_reaches_or_runs_can_be_made_from_it() {
    let (sandbox, served) = world();
    let by_hand = served.get("/api/settings").ok()["by_hand"].as_array().expect("a list").clone();
    let mut keys: Vec<String> =
        by_hand.iter().map(|it| it["key"].as_str().expect("a key").replace("NAME", "node")).collect();
    for wanted in ["ui.roots", "ui.host", "ui.names", "runs.notify", "trainer.script", "python"] {
        assert!(keys.iter().any(|it| it == wanted), "{wanted}");
    }
    // And what only looks like one that may be changed.
    let tries = [
        "ui",
        "ui.roots.0",
        "\"ui\".roots",
        "sources.node",
        "sources.node.sha256.x86_64",
        "sources.ComfyUI.commit",
        "sources.x.places.url",
        "sources.NAME.places",
        "runs",
        "",
        ".",
        "cache.limit\n[ui]\nroots",
    ];
    keys.extend(tries.map(str::to_owned));
    for key in keys {
        for value in ["/", "0.0.0.0", "touch /tmp/pwn", "[\"/\"]", "1"] {
            let body = json!({ "digest": digest(&served), "changes": [change(&key, &json!(value))] });
            let reply = served.send("PUT", "/api/settings", &body);
            assert_eq!(reply.status, 400, "{key} = {value}");
        }
        // Nor is one taken away: fewer commands would hear of a run.
        let body = json!({ "digest": digest(&served), "changes": [change(&key, &Value::Null)] });
        assert_eq!(served.send("PUT", "/api/settings", &body).status, 400, "{key}");
    }
    // A value is one, whatever is in it.
    for value in ["1 GB\"\n[ui]\nroots = [\"/\"]\n#", "'''", "30 GB # \u{0}"] {
        let body = json!({ "digest": digest(&served), "changes": [change("cache.limit", &json!(value))] });
        assert_eq!(served.send("PUT", "/api/settings", &body).status, 400, "{value}");
    }
    let place = "https://a.example/\"]\n[ui]\nroots=[\"/";
    let body = json!({ "digest": digest(&served), "changes": [change("sources.uv.places", &json!(place))] });
    assert_eq!(served.send("PUT", "/api/settings", &body).status, 400);
    assert_eq!(text(&sandbox), MINE);
}
