//! `dpgui ui` as a page uses it: logs by offset, news, jobs, runs that are started and stopped.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    browser::{Frame, Served, next},
    lab::{Lab, Run, kill, until},
    sandbox::Sandbox,
};

/// Follows a log from `from` on for at most `frames` frames: the bytes, where the next one would be, and what was said.
fn follow(served: &Served, run: &Run, query: &str, frames: usize) -> (Vec<u8>, u64, Vec<Value>) {
    let mut socket = served.stream(&format!("/api/runs/{}/log?stream=rank0&{query}", run.id()));
    let (mut bytes, mut said, mut next_offset) = (vec![], vec![], None);
    for _ in 0..frames {
        match next(&mut socket) {
            Frame::Said(value) => {
                if value["type"] == "start" {
                    next_offset = value["offset"].as_u64();
                }
                if value["type"] == "gap" || value["type"] == "trimmed" {
                    next_offset = value["to"].as_u64();
                }
                said.push(value);
            }
            Frame::Bytes(offset, more) => {
                assert_eq!(Some(offset), next_offset, "the next byte and no other");
                next_offset = Some(offset + more.len() as u64);
                bytes.extend(more);
            }
            Frame::Closed => break,
        }
    }
    (bytes, next_offset.expect("it began"), said)
}

fn kinds(said: &[Value]) -> Vec<&str> {
    said.iter().map(|it| it["type"].as_str().expect("a type")).collect()
}

#[test]
fn a_workspace_that_goes_away_is_said_and_none_is_made_in_its_place() {
    let sandbox = Sandbox::new();
    sandbox.write("w/dpgui.toml", "");
    let served = Served::start(&sandbox, &[]);
    served.get("/api/machine").ok();
    std::fs::rename(sandbox.path("w"), sandbox.path("moved")).expect("moved");
    let answers =
        [served.get("/api/machine"), served.send("POST", "/api/jobs", &json!({ "kind": "doctor" }))];
    for answer in answers {
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["kind"]), (503, &json!("no-workspace")));
        let message = format!("there is no workspace in `{}` any more", sandbox.path("w").display());
        assert_eq!(error["message"], message);
        assert!(error["hint"].as_str().is_some_and(|it| it.starts_with("put it back")), "{error}");
    }
    assert!(!sandbox.path("w").exists());
    // Who is signed in stays so, and all goes on when it is back.
    assert!(served.get("/api/session").status < 300);
    std::fs::rename(sandbox.path("moved"), sandbox.path("w")).expect("moved back");
    served.get("/api/machine").ok();
}

#[test]
fn a_page_or_an_address_that_is_not_there_is_said_before_anything_is_served() {
    let sandbox = Sandbox::new();
    let check = |args: &[&str], expected: &str| {
        let said = sandbox.dpgui(&[&["ui", "--port", "0"], args].concat());
        assert_eq!(said.code, Some(2), "{said}");
        assert!(said.stderr.contains(expected), "{said}");
    };
    check(&["--page", "/nonexistent"], "there is no page in `/nonexistent`\n\nhint: name the folder");
    // RFC 5737 keeps this one for documents: no machine has it.
    check(&["--host", "203.0.113.1"], "cannot listen on 203.0.113.1:0");
}

#[test]
fn a_log_is_followed_to_its_end_by_whoever_comes_and_comes_back() {
    let lab = Lab::new(&[("STEPS", "400"), ("STEP_TIME", "0.01"), ("PRINT", "flood"), ("BYTES", "3000000")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    // A page that breaks off again and again.
    let (mut all, mut at) = (vec![], 0);
    for _ in 0..20 {
        let (bytes, next, said) = follow(&served, &run, &format!("from={at}"), 5);
        assert_eq!(said[0], json!({ "type": "start", "offset": at, "size": said[0]["size"] }));
        all.extend(bytes);
        at = next;
    }
    let (rest, end, said) = follow(&served, &run, &format!("from={at}"), usize::MAX);
    all.extend(rest);
    assert_eq!(kinds(&said), ["start", "end"]);
    assert_eq!(said[1]["size"], end);
    assert!(all == run.stream("rank0"), "{} bytes of {}", all.len(), run.stream("rank0").len());
    // The end alone, from the start of a line.
    let (tail, ..) = follow(&served, &run, "tail=1000", usize::MAX);
    assert!(all.ends_with(&tail) && (500..=1000).contains(&tail.len()), "{}", tail.len());
    assert_eq!(all[all.len() - tail.len() - 1], b'\n');
}

#[test]
fn a_page_that_falls_behind_is_put_to_the_end_and_told_of_the_gap() {
    let lab = Lab::new(&[("STEPS", "5"), ("PRINT", "flood"), ("BYTES", "8000000")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.outcome();
    let (bytes, end, said) = follow(&served, &run, "from=0&lag=1000000", usize::MAX);
    let all = run.stream("rank0");
    assert_eq!(kinds(&said), ["start", "gap", "end"]);
    let (from, to) = (said[1]["from"].as_u64().expect("from"), said[1]["to"].as_u64().expect("to"));
    assert_eq!(bytes.len() as u64 + to - from, end);
    assert!(all.len() as u64 == end && end - to <= 1_000_000);
    // What was left out can be fetched.
    let range = format!("bytes={from}-{}", to - 1);
    let path = format!("/api/runs/{}/log/raw?stream=rank0", run.id());
    let reply = served.ask("GET", &path, &[("Authorization", &served.bearer()), ("Range", &range)], b"");
    assert_eq!(reply.status, 206);
    let at = usize::try_from(from).expect("small");
    assert!(reply.body == all[at..at + reply.body.len()] && reply.body.len() as u64 == to - from);
    let whole = served.get(&path);
    assert!(whole.status == 200 && whole.body == all);
    assert!(whole.header("content-disposition").is_some_and(|it| it.contains("attachment")));
}

#[test]
fn a_run_is_started_watched_and_stopped_from_the_page() {
    let lab = Lab::new(&[("STEPS", "0"), ("CHECKPOINT", "3"), ("STEP_TIME", "0.05")]);
    let served = Served::start(&lab.sandbox, &[]);
    let mut news = served.stream("/api/events");
    let shown = served.get("/api/configs/tiny.toml").ok()["training"]["digest"].clone();
    let start = |digest: &Value| {
        let body = json!({ "config": "tiny.toml", "name": "mine", "digests": { "training": digest } });
        served.send("POST", "/api/runs", &body)
    };
    let changed = start(&json!("0".repeat(64)));
    assert_eq!((changed.status, &changed.json()["error"]["kind"]), (409, &json!("conflict")), "{changed:?}");
    let message = "`tiny.toml` was changed meanwhile, and is not what is shown";
    assert_eq!(changed.json()["error"]["message"], message);
    let started = start(&shown).ok();
    let id = started["run"].as_str().expect("a run").to_owned();
    assert!(id.ends_with("-mine"), "{started}");
    let queued = served.send("POST", "/api/runs", &json!({ "config": "tiny.toml", "queue": true })).ok();
    assert_eq!(queued["place"], 1, "{queued}");
    let refused = served.send("POST", "/api/runs", &json!({ "config": "tiny.toml" }));
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.json()["error"]["hint"].as_str().expect("a hint").contains("--queue"));
    until("the news tell of steps", || match next(&mut news) {
        Frame::Said(it) if it["type"] == "runs" => {
            let row = it["runs"].as_array()?.iter().find(|row| row["id"] == id)?;
            (row["step"].as_u64()? >= 3 && row["state"] == "training").then_some(())
        }
        _ => None,
    });
    let shown = served.get(&format!("/api/runs/{id}")).ok();
    assert_eq!(
        (&shown["may"]["stop"], &shown["may"]["resume"]),
        (&Value::Null, &json!("it is still running"))
    );
    assert!(shown["files"].as_array().is_some_and(|it| it.len() == 2), "{shown}");
    let metrics = served.get(&format!("/api/runs/{id}/metrics")).ok();
    assert!(metrics["step"].as_array().is_some_and(|it| it.len() >= 3), "{metrics}");
    let queue = served.get("/api/queue").ok();
    assert!(queue["entries"][0]["waits_for"].as_str().is_some_and(|it| it.contains(&id)), "{queue}");
    assert_eq!(queue["why_held"], Value::Null);
    served.send("POST", "/api/queue", &json!({ "held": true }));
    let held = served.get("/api/queue").ok();
    let why = "the queue is held: no run begins until `dpgui queue resume`";
    assert_eq!((&held["held"], &held["why_held"]), (&json!(true), &json!(why)));
    served.send("POST", "/api/queue", &json!({ "held": false }));
    assert_eq!(served.get("/api/queue").ok(), queue);
    let waiting = queue["entries"][0]["run"].as_str().expect("an id").to_owned();
    assert_eq!(served.send("DELETE", &format!("/api/queue/{waiting}"), &json!({})).status, 204);
    let job = served.send("POST", &format!("/api/runs/{id}/stop"), &json!({})).ok();
    assert_eq!((&job["kind"], &job["subject"]), (&json!("stop"), &json!(id)));
    let ended = job_end(&served, &job);
    assert_eq!(ended["state"], "done", "{ended}");
    let shown = served.get(&format!("/api/runs/{id}")).ok();
    assert_eq!((&shown["state"], &shown["live"]), (&json!("stopped"), &json!(false)));
    lab.run(&id).assert_nobody_left();
}

#[test]
fn a_run_that_leads_outside_is_resumed_in_the_terminal_only() {
    let lab = Lab::new(&[("STEPS", "4"), ("CHECKPOINT", "2"), ("STEP_TIME", "0.01")]);
    let (out, inside) = (lab.sandbox.path("out"), "output_dir = 'output'");
    let outside = format!("output_dir = '{}'", out.display());
    lab.change("configs/tiny.toml", inside, &outside);
    let run = lab.detached(&[]);
    run.outcome();
    let served = Served::start(&lab.sandbox, &[]);
    let refused = |path: &str, body: Value, what: &str, place: &std::path::Path| {
        let reply = served.send("POST", path, &body);
        let message =
            format!("{what} is outside of the folders that the page may see: `{}`", place.display());
        assert_eq!((reply.status, &reply.json()["error"]["message"]), (403, &json!(message)), "{body}");
    };
    let resume = format!("/api/runs/{}/resume", run.id());
    refused(&resume, json!({}), "`output_dir` in `tiny.toml`", &out);
    refused("/api/runs", json!({ "config": "tiny.toml" }), "`output_dir` in `tiny.toml`", &out);
    // The file is mended, but the run is what it was.
    lab.change("configs/tiny.toml", &outside, inside);
    refused(&resume, json!({}), "`output_dir` in `tiny.toml`", &out);
    let of_run = json!({ "config": "tiny.toml", "resume": { "run": run.id() } });
    refused(
        "/api/runs",
        of_run,
        "`output_dir` in `tiny.toml`",
        &lab.trainer_folder(&out.display().to_string()),
    );
    lab.change("configs/tiny.toml", "max_steps = 400", "max_steps = 400\nresume_from_checkpoint = '/etc'");
    let folder = std::path::Path::new("/etc");
    refused("/api/runs", json!({ "config": "tiny.toml" }), "`resume_from_checkpoint` in `tiny.toml`", folder);
    lab.change("configs/tiny.toml", "\nresume_from_checkpoint = '/etc'", "");
    // One whose file is elsewhere.
    let text = std::fs::read_to_string(lab.sandbox.path("w/configs/tiny.toml")).expect("there");
    let elsewhere = lab.sandbox.write("elsewhere.toml", text);
    let said = lab.sandbox.dpgui(&["train", &elsewhere.display().to_string(), "--detach"]).ok();
    let other = lab.run(said.stdout.trim());
    other.outcome();
    refused(&format!("/api/runs/{}/resume", other.id()), json!({}), "the configuration", &elsewhere);
    // What the folder is granted to is done.
    lab.sandbox.write("w/dpgui.toml", "[ui]\nroots = ['../out']\n");
    lab.change("configs/tiny.toml", "max_steps = 400", "max_steps = 500");
    let again = json!({ "config": "tiny.toml", "resume": { "run": run.id() } });
    assert_eq!(served.send("POST", "/api/runs", &again).ok()["resumes_step"], 4);
}

#[test]
fn a_configuration_that_is_swapped_while_it_is_started_is_looked_at_as_it_is_started() {
    let lab = Lab::new(&[]);
    let config = lab.sandbox.path("w/configs/tiny.toml");
    let text = std::fs::read_to_string(&config).expect("there");
    // One is refused for what is in it, and the other for where it leads: neither is ever started.
    let names = lab.sandbox.write("w/wrong.toml", text.replace("rank = 4", "rank = 0"));
    let leads = lab.sandbox.write("w/leads.toml", text.replace("'output'", "'../out'"));
    // As it is at first it would be started.
    std::fs::copy(&names, &config).expect("written");
    let served = Served::start(&lab.sandbox, &[]);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut seen = BTreeMap::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for path in [&names, &leads] {
                    let next = path.with_extension("next");
                    std::fs::copy(path, &next)
                        .and_then(|_| std::fs::rename(&next, &config))
                        .expect("swapped");
                }
            }
        });
        for _ in 0..300 {
            let status = served.send("POST", "/api/runs", &json!({ "config": "tiny.toml" })).status;
            *seen.entry(status).or_insert(0) += 1;
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(seen.keys().copied().eq([400, 403]), "{seen:?}");
    assert!(!lab.sandbox.path("w/runs").exists() && !lab.sandbox.path("out").exists());
}

#[test]
fn the_numbers_of_a_run_in_pieces_are_those_of_the_whole() {
    let lab = Lab::new(&[("STEPS", "200"), ("STEP_TIME", "0.005")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    let ask = |from: u64| served.get(&format!("/api/runs/{}/metrics?from={from}", run.id())).ok();
    let columns = ["step", "time", "loss", "smoothed", "seconds_per_step", "lr", "grad_norm", "epoch"];
    let mut pieces: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let (mut next, mut asked) = (0, 0);
    loop {
        let is_over = run.json("state.json").is_some_and(|it| it["state"].get("ended").is_some());
        let part = ask(next);
        for name in columns {
            pieces.entry(name).or_default().extend(part[name].as_array().expect("a column").clone());
        }
        asked += u64::from(part["next"] != next);
        next = part["next"].as_u64().expect("a number");
        if is_over {
            break;
        }
    }
    let whole = ask(0);
    assert!(asked > 1 && next == 200, "{asked} pieces of {next} steps");
    for name in columns {
        assert_eq!(Value::from(pieces[name].clone()), whole[name], "{name}");
    }
    assert_eq!((&ask(199)["step"], &ask(999)["step"]), (&json!([200]), &json!([])));
}

/// A workspace on a small disk of its own, and its server; the path is that of the workspace for us.
fn on_a_small_disk(lab: &Lab) -> (Served, std::path::PathBuf) {
    let script = "set -e; mkdir ../disk; mount -t tmpfs -o size=4m none ../disk; cp -a . ../disk; cd ../disk
        exec \"$0\" --json ui --port 0";
    let usual = lab.sandbox.command(&[]);
    let mut command = std::process::Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_dpgui")]);
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(lab.sandbox.root());
    let mut root = std::path::PathBuf::new();
    let served = Served::by(command, |pid| {
        let disk = lab.sandbox.path("disk");
        root = std::path::Path::new(&format!("/proc/{pid}/root"))
            .join(disk.strip_prefix("/").expect("absolute"));
        std::fs::read_to_string(root.join(".dpgui/ui/token")).expect("a token")
    });
    (served, root)
}

/// All files with what is in them, but for the server's own locks.
fn tree(root: &std::path::Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, vec![]);
            } else if path.extension().is_none_or(|it| it != "lock") {
                found.insert(path.clone(), std::fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

/// One change of each kind, each with more than was there.
fn changes(served: &Served, disk: &str) -> [(&'static str, &'static str, Value); 6] {
    let loaded = served.get("/api/configs/tiny.toml").ok();
    let (training, dataset) = (&loaded["training"], &loaded["dataset"]);
    let digests = json!({ "training": training["digest"], "dataset": dataset["digest"] });
    let text = |it: &Value| format!("{}# {}\n", it["text"].as_str().expect("a text"), "x".repeat(5000));
    let both = json!({ "training": text(training), "dataset": text(dataset), "digests": digests });
    let none = json!({ "training": null, "dataset": null });
    let one = json!({ "training": "epochs = 1\n", "dataset": null, "digests": none });
    let image = format!("{disk}/data/a.png");
    let caption = served.get(&format!("/api/caption?path={image}")).ok();
    let caption = json!({ "path": image, "text": "b".repeat(5000), "digest": caption["digest"] });
    [
        ("PUT", "/api/configs/tiny.toml", both),
        ("PUT", "/api/configs/new.toml", one),
        ("PUT", "/api/caption", caption),
        ("POST", "/api/queue", json!({ "held": true })),
        ("POST", "/api/runs", json!({ "config": "tiny.toml" })),
        ("POST", "/api/jobs", json!({ "kind": "data-check", "config": "tiny.toml" })),
    ]
}

#[test]
fn on_a_full_disk_each_change_is_refused_with_a_word_and_done_once_there_is_room() {
    let lab = Lab::new(&[("STEPS", "3")]);
    // Folders without anything in them are no halves of anything.
    for folder in ["runs", ".dpgui/probes", ".dpgui/ui/jobs"] {
        std::fs::create_dir_all(lab.sandbox.root().join(folder)).expect("made");
    }
    let (served, root) = on_a_small_disk(&lab);
    let changes = changes(&served, &lab.sandbox.path("disk").display().to_string());
    // To the last page.
    let filler = root.join("filler");
    let mut fill = std::fs::File::create(&filler).expect("made");
    while std::io::Write::write(&mut fill, &[b'x'; 4096]).is_ok() {}
    let before = tree(&root);
    for (method, path, body) in &changes {
        let reply = served.send(method, path, body);
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["kind"]), (507, &json!("disk")), "{method} {path}: {error}");
        assert!(error.to_string().contains("No space left"), "{method} {path}: {error}");
        assert!(error["hint"].as_str().is_some_and(|it| it.contains("space")), "{method} {path}: {error}");
        let after = tree(&root);
        let half: Vec<_> = after.keys().filter(|it| before.get(*it) != after.get(*it)).collect();
        assert!(half.is_empty(), "{method} {path} left {half:?}");
        assert_eq!(before.len(), after.len(), "{method} {path} took something away");
    }
    // What is only asked is answered.
    for path in ["/api/runs", "/api/settings", "/api/machine", "/api/configs", "/api/queue"] {
        served.get(path).ok();
    }
    std::fs::remove_file(filler).expect("removed");
    drop(fill);
    for (method, path, body) in &changes {
        let reply = served.send(method, path, body);
        assert!((200..300).contains(&reply.status), "{method} {path}: {reply:?}");
    }
    let job = served.get("/api/jobs").ok();
    assert_eq!(job.as_array().map(Vec::len), Some(1), "{job}");
    assert_eq!(job_end(&served, &job[0])["state"], "done");
    let run = until("the run ends", || {
        let runs = served.get("/api/runs").ok();
        (runs[0]["live"] == false).then(|| runs[0].clone())
    });
    assert_eq!(run["state"], "completed", "{run}");
}

#[test]
fn the_machine_tells_which_torch_is_installed_without_asking_it() {
    let lab = Lab::new(&[]);
    let served = Served::start(&lab.sandbox, &[]);
    assert_eq!(served.get("/api/machine").ok()["torch"], Value::Null);
    for name in ["torchvision-0.28.0+cpu", "torch-2.13.0+cpu", "torch_fidelity-0.3.0"] {
        lab.sandbox.write(format!("w/venv/lib/python3.12/site-packages/{name}.dist-info/METADATA"), "");
    }
    assert_eq!(served.get("/api/machine").ok()["torch"], "2.13.0+cpu");
}

#[test]
fn a_job_that_is_killed_has_failed_whatever_it_had_said() {
    let lab = Lab::new(&[("STEPS", "0"), ("IGNORE", "INT,TERM"), ("SAVE", "no")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let job = served.send("POST", &format!("/api/runs/{}/stop", run.id()), &json!({})).ok();
    let folder = lab.sandbox.root().join(".dpgui/ui/jobs").join(job["id"].as_str().expect("an id"));
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("job.json")).expect("there"))
            .expect("JSON");
    kill(u32::try_from(record["process"]["pid"].as_u64().expect("a pid")).expect("small"), "KILL");
    let ended = job_end(&served, &job);
    assert_eq!(ended["state"], "failed", "{ended}");
    assert!(ended["error"]["message"].as_str().is_some_and(|it| it.contains("killed")), "{ended}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

fn job_end(served: &Served, job: &Value) -> Value {
    let path = format!("/api/jobs/{}/events", job["id"].as_str().expect("an id"));
    until("the job ends", || {
        let asked = served.get(&path).ok();
        (asked["job"]["state"] != "running").then(|| asked["job"].clone())
    })
}

#[test]
fn a_job_goes_on_without_the_server_and_is_found_by_the_next_one() {
    let lab = Lab::new(&[("STEPS", "0"), ("IGNORE", "INT,TERM"), ("SAVE", "no")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let job = served.send("POST", &format!("/api/runs/{}/stop", run.id()), &json!({})).ok();
    kill(served.pid(), "KILL");
    drop(served);
    let served = Served::start(&lab.sandbox, &[]);
    let found = served.get("/api/jobs").ok();
    assert_eq!(found[0]["id"], job["id"]);
    served.send("POST", &format!("/api/runs/{}/stop", run.id()), &json!({ "manner": "now" })).ok();
    assert_eq!(job_end(&served, &job)["state"], "done");
    run.assert_nobody_left();
}

#[test]
fn what_a_job_fails_with_is_the_terminals_error() {
    let lab = Lab::new(&[]);
    let served = Served::start(&lab.sandbox, &[]);
    let mut news = served.stream("/api/events");
    lab.sandbox.write("w/configs/bad.toml", "epochs = \n");
    let job = served.send("POST", "/api/jobs", &json!({ "kind": "data-check", "config": "bad.toml" })).ok();
    let ended = job_end(&served, &job);
    assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("failed"), &json!(2)), "{ended}");
    let said = lab.sandbox.dpgui(&["data", "check", "configs/bad.toml", "--list", "all"]);
    let message = ended["error"]["message"].as_str().expect("a message");
    assert!(said.stderr.contains(message), "{message}: {said}");
    // Whoever looks at it sees its events too, from the one on that he lacks, numbered without a hole; nobody else does.
    let count = ended["events"].as_u64().expect("a number");
    assert!(count > 0, "{ended}");
    for first in [0, count - 1] {
        let word = json!({ "jobs": { job["id"].as_str().expect("an id"): first } }).to_string();
        let mut looking = served.stream("/api/events");
        looking.send(word.into()).expect("sent");
        let mut seen = BTreeMap::new();
        until("all of it is told", || {
            if let Frame::Said(it) = next(&mut looking)
                && it["type"] == "job-events"
            {
                for (at, event) in it["events"].as_array()?.iter().enumerate() {
                    seen.insert(it["from"].as_u64()? + at as u64, event["event"].clone());
                }
            }
            (seen.len() as u64 == count - first).then_some(())
        });
        assert!(seen.keys().copied().eq(first..count), "{seen:?}");
    }
    until("its end is told", || match next(&mut news) {
        Frame::Said(it) if it["type"] == "job-events" => panic!("nobody asked: {it}"),
        Frame::Said(it) if it["type"] == "jobs" => (it["jobs"][0]["state"] == "failed").then_some(()),
        _ => None,
    });
    for wrong in
        [json!({}), json!({ "kind": "sh", "command": "id" }), json!({ "kind": "setup", "args": ["x"] })]
    {
        assert_eq!(served.send("POST", "/api/jobs", &wrong).status, 400, "{wrong}");
    }
}

#[test]
fn one_server_serves_a_workspace_and_says_so() {
    let lab = Lab::new(&[]);
    let served = Served::start(&lab.sandbox, &[]);
    let second = lab.sandbox.dpgui(&["ui", "--port", "0"]);
    assert_eq!(second.code, Some(5), "{second}");
    for words in [&format!("http://localhost:{}", served.port), "dpgui ui --link"] {
        assert!(second.stderr.contains(words), "{second}");
    }
    let other = Lab::new(&[]);
    let taken = other.sandbox.dpgui(&["ui", "--port", &served.port.to_string()]);
    assert_eq!(taken.code, Some(5), "{taken}");
    for words in [&format!("port {} is in use by `dpgui`", served.port), "--port"] {
        assert!(taken.stderr.contains(words), "{taken}");
    }
    assert_eq!(served.end(), Some(0));
    let link = lab.sandbox.dpgui(&["ui", "--link"]).ok();
    assert!(link.stderr.contains("no server runs"), "{link}");
    let nowhere = lab.sandbox.dpgui(&["-C", "/nowhere/at/all", "ui"]);
    assert_eq!(nowhere.code, Some(2), "{nowhere}");
}

#[test]
fn a_server_that_ends_closes_its_streams_and_leaves_runs_alone() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let mut news = served.stream("/api/events");
    let mut log = served.stream(&format!("/api/runs/{}/log?stream=rank0", run.id()));
    assert_eq!(served.end(), Some(0));
    while !matches!(next(&mut news), Frame::Closed) {}
    while !matches!(next(&mut log), Frame::Closed) {}
    assert!(run.is_supervised() && !run.processes().is_empty());
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn a_log_of_a_run_that_is_deleted_ends_with_a_word() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let mut log = served.stream(&format!("/api/runs/{}/log?stream=rank0", run.id()));
    run.kill_supervisor();
    for pid in run.processes() {
        kill(pid, "KILL");
    }
    let away = lab.sandbox.path("away");
    std::fs::rename(&run.path, &away).expect("moved away");
    let said = until("it is said", || match next(&mut log) {
        Frame::Said(it) if it["type"] == "failed" => Some(it),
        Frame::Closed => panic!("it ended without a word"),
        _ => None,
    });
    assert!(said["message"].as_str().is_some_and(|it| it.contains("deleted")), "{said}");
}

#[test]
fn a_run_that_is_deleted_while_it_is_looked_at_is_gone_and_no_more() {
    let lab = Lab::new(&[("STEPS", "3")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.outcome();
    let other = lab.detached(&[]);
    other.outcome();
    std::fs::remove_dir_all(&other.path).expect("removed");
    assert_eq!(served.get(&format!("/api/runs/{}", other.id())).status, 404);
    until("the run is listed as over", || {
        let rows = served.get("/api/runs").ok();
        (rows[0]["live"] == false).then_some(())
    });
    std::fs::remove_dir_all(&run.path).expect("removed");
    for path in ["", "/metrics", "/log/raw"] {
        let reply = served.get(&format!("/api/runs/{}{path}", run.id()));
        assert_eq!((reply.status, &reply.json()["error"]["kind"]), (404, &json!("not-found")), "{path}");
    }
    until("the list is empty", || served.get("/api/runs").ok().as_array()?.is_empty().then_some(()));
}

#[test]
fn without_a_page_the_browser_is_told_what_to_do_and_with_one_it_gets_it() {
    let lab = Lab::new(&[]);
    let served = Served::start(&lab.sandbox, &[]);
    let reply = served.ask("GET", "/", &[], b"");
    assert_eq!(reply.status, 503);
    assert!(String::from_utf8_lossy(&reply.body).contains("dpgui setup"));
    // It is there as soon as it has been built.
    lab.sandbox.write("w/.dpgui/page/index.html", "<h1>page</h1>");
    lab.sandbox.write("w/.dpgui/page/assets/a-1234.js", "let a;");
    lab.sandbox.write("w/.dpgui/page/assets/a-1234.js.gz", "packed");
    lab.sandbox.write("w/.dpgui/page/.dpgui-receipt.json", "ours");
    assert_eq!(served.ask("GET", "/.dpgui-receipt.json", &[], b"").body, b"<h1>page</h1>");
    for path in ["/", "/runs/some-run?tab=log", "/index.html"] {
        let reply = served.ask("GET", path, &[], b"");
        assert_eq!((reply.status, &reply.body[..]), (200, &b"<h1>page</h1>"[..]), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
    }
    let asset = served.ask("GET", "/assets/a-1234.js", &[], b"");
    assert_eq!(asset.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert!(asset.header("cache-control").is_some_and(|it| it.contains("immutable")));
    let packed = served.ask("GET", "/assets/a-1234.js", &[("Accept-Encoding", "gzip, br")], b"");
    assert_eq!((packed.header("content-encoding"), &packed.body[..]), (Some("gzip"), &b"packed"[..]));
    assert_eq!(served.ask("GET", "/assets/other.js", &[], b"").status, 404);
}

#[test]
fn the_description_that_the_pages_types_are_made_of_is_current() {
    let lab = Lab::new(&[]);
    let now: Value =
        serde_json::from_str(&lab.sandbox.dpgui(&["ui", "--openapi"]).ok().stdout).expect("JSON");
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web/openapi.json");
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("there")).expect("JSON");
    assert!(now == kept, "run `dpgui ui --openapi > web/openapi.json`, then `npm run types` in `web`");
    let paths = now["paths"].as_object().expect("paths");
    for route in dpgui::ui::table().table {
        let method = route.method.as_str().to_ascii_lowercase();
        assert!(paths[route.path].get(&method).is_some(), "{method} {}", route.path);
    }
}

#[test]
fn a_server_at_rest_takes_little_of_the_machine() {
    let lab = Lab::new(&[]);
    let served = Served::start(&lab.sandbox, &[]);
    let _tabs: Vec<_> = (0..20).map(|_| served.stream("/api/events")).collect();
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.pid())).expect("alive");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(3));
    // Ticks are hundredths of a second; a loop that turns would take three hundred.
    assert!(ticks() - before < 100, "{}", ticks() - before);
}

#[test]
fn a_text_is_found_in_all_of_a_log_whatever_is_packed_and_asked_for_at_once() {
    let lab = Lab::new(&[("STEPS", "3"), ("PRINT", "flood"), ("BYTES", "30000000")]);
    lab.sandbox.write("w/dpgui.toml", "[logs]\nsegment = '8MB'\n");
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.outcome();
    let bytes = run.stream("rank0");
    let lines: Vec<&[u8]> = bytes.split(|it| *it == b'\n').collect();
    // What is to be found: a line near the end that is the only one of its kind, by its own first half.
    let last = String::from_utf8_lossy(lines[lines.len() - 5]).into_owned();
    let ask = |query: &str| served.get(&format!("/api/runs/{}/log/search?stream=rank0&{query}", run.id()));
    let find = |text: &str, more: &str| -> Vec<(u64, u64, String)> {
        let (mut found, mut from, mut line) = (vec![], 0, 0);
        loop {
            let q: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let answer = ask(&format!("q={q}&from={from}&line={line}&{more}")).ok();
            for hit in answer["hits"].as_array().expect("a list") {
                let number = |name: &str| hit[name].as_u64().expect("a number");
                found.push((
                    number("offset"),
                    number("line"),
                    hit["text"].as_str().expect("a text").to_owned(),
                ));
            }
            (from, line) =
                (answer["next"].as_u64().expect("next"), answer["next_line"].as_u64().expect("next"));
            if answer["truncated"] == false {
                assert_eq!(answer["size"], bytes.len() as u64);
                return found;
            }
        }
    };
    let steps = find("STEPS: ", "ignore_case=true&limit=2");
    assert_eq!(steps.len(), 3, "{steps:?}");
    for (offset, line, text) in &steps {
        let at = usize::try_from(*offset).expect("small");
        assert!(bytes[at..].starts_with(text.as_bytes()), "{text}");
        assert_eq!(*line, bytes[..at].split(|it| *it == b'\n').count() as u64, "{text}");
    }
    assert_eq!(find("STEPS: ", ""), []);
    assert!(find(&last, "").iter().any(|it| it.1 == lines.len() as u64 - 4), "{last}");
    let refused = |query: &str, expected: &str| {
        let reply = ask(query);
        assert_eq!((reply.status, &reply.json()["error"]["message"]), (400, &json!(expected)), "{query}");
    };
    refused("q=", "`q` is a text of 1 to 1000 bytes");
    refused("q=x&limit=0", "`limit` is 1 to 1000");
}

#[test]
fn what_the_gpus_of_a_run_did_is_kept_for_who_looks_at_it_later() {
    let mut lab = crate::starting::with_gpus(&[("STEPS", "0")]);
    let library = crate::support::preload::library(&lab.sandbox, "nvml");
    let folder = lab.sandbox.path("lib");
    std::fs::create_dir(&folder).expect("made");
    std::fs::rename(library, folder.join("libnvidia-ml.so.1")).expect("moved");
    lab.sandbox.env("LD_LIBRARY_PATH", folder.as_os_str()).env("DPGUI_GPU_SOURCE", "nvml");
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&["--gpus", "1"]);
    let ask = |more: &str| served.get(&format!("/api/runs/{}/gpus{more}", run.id())).ok();
    until("its GPU was looked at", || Some(()).filter(|()| ask("")["gpus"][0].is_object()));
    run.wait_for_log("steps: 1 ");
    lab.sandbox.dpgui(&["stop"]).ok();
    let gpus = ask("");
    assert_eq!(gpus["every_seconds"], 10);
    assert_eq!(gpus["gpus"].as_array().map(Vec::len), Some(1), "only its own: {gpus}");
    let gpu = &gpus["gpus"][0];
    assert_eq!((&gpu["index"], &gpu["memory_total"]), (&json!(1), &json!(40960_u64 << 20)));
    let first = |name: &str| gpu[name][0].clone();
    assert_eq!(first("memory_used"), json!(1001_u64 << 20));
    assert_eq!((first("utilisation_percent"), first("temperature_c")), (json!(91), json!(61)));
    assert_eq!(first("power_w"), Value::Null, "it has no meter");
    let started = served.get(&format!("/api/runs/{}", run.id())).ok()["started"].clone();
    let started: jiff::Timestamp = started.as_str().expect("a time").parse().expect("a time");
    let seconds = first("time").as_f64().expect("a time") - started.as_duration().as_secs_f64();
    assert!((0.0..60.0).contains(&seconds), "{seconds}");
    let said = lab.sandbox.dpgui(&["runs", "show", &run.id()]).ok();
    let row = said.stdout.lines().find(|it| it.starts_with("GPU 1")).expect("told of");
    assert!(row.ends_with("  91 % busy, at most 0.98 GiB and 61 °C"), "{row}");
    let report = lab.sandbox.path("runs.html");
    lab.sandbox.dpgui(&["runs", "show", &run.id(), "--html", &report.to_string_lossy()]).ok();
    assert!(std::fs::read_to_string(report).expect("written").contains("<td>91 % busy, at most"));
    assert_eq!(ask("?points=1")["gpus"][0]["time"].as_array().map(Vec::len), Some(1));
}

#[test]
fn each_file_of_a_dataset_is_told_as_what_it_is() {
    let lab = Lab::new(&[]);
    let files = [
        ("good.png", crate::support::media::png(64, 64)),
        ("good.txt", b"a caption".to_vec()),
        ("bare.png", crate::support::media::png(64, 64)),
        ("empty.png", vec![]),
        ("page.jpg", b"<!doctype html><html></html>".to_vec()),
        ("notes.pdf", b"%PDF-1.7 and so on".to_vec()),
        ("alone.txt", b"a caption".to_vec()),
    ];
    for (name, bytes) in files {
        lab.sandbox.write(format!("w/pictures/{name}"), bytes);
    }
    lab.sandbox.write("w/configs/set.toml", "resolutions = [64]\n[[directory]]\npath = 'pictures'\n");
    let served = Served::start(&lab.sandbox, &[]);
    let job = served.send("POST", "/api/jobs", &json!({ "kind": "data-check", "config": "set.toml" })).ok();
    job_end(&served, &job);
    let id = job["id"].as_str().expect("an id");
    let events = served.get(&format!("/api/jobs/{id}/events")).ok()["events"].clone();
    let events = events.as_array().expect("a list");
    let told: BTreeMap<String, (Value, Value)> = events
        .iter()
        .filter(|it| it["event"] == "item")
        .map(|it| {
            let name = it["path"].as_str().expect("a path").rsplit('/').next().expect("a name").to_owned();
            (name, (it["finding"].clone(), it["flaw"].clone()))
        })
        .collect();
    let expected = [
        ("bare.png", json!("captions-present"), Value::Null),
        ("empty.png", json!("media-readable"), json!("empty")),
        ("good.png", Value::Null, Value::Null),
        ("notes.pdf", json!("media-readable"), json!("neither image nor video, or damaged")),
        ("page.jpg", json!("media-readable"), json!("a web page in place of the file")),
    ];
    let expected = expected.map(|(name, finding, flaw)| (name.to_owned(), (finding, flaw)));
    assert_eq!(told, BTreeMap::from(expected));
    let alone = events.iter().find(|it| it["id"] == "caption-alone").expect("told of");
    assert!(alone["message"].as_str().is_some_and(|it| it.contains("`alone.txt`")), "{alone}");
    // One that fails has said why, and sends nobody to where he is.
    lab.sandbox.write("w/configs/set.toml", "resolutions = [64]\n[[directory]]\npath = 'nothing'\n");
    let job = served.send("POST", "/api/jobs", &json!({ "kind": "data-check", "config": "set.toml" })).ok();
    let ended = job_end(&served, &job);
    assert_eq!((&ended["state"], &ended["error"]["hint"]), (&json!("failed"), &Value::Null), "{ended}");
}

#[test]
fn a_dataset_that_is_swapped_while_its_check_begins_shows_nothing_of_what_is_elsewhere() {
    let lab = Lab::new(&[]);
    lab.sandbox.write("w/pictures/inside.png", crate::support::media::png(64, 64));
    lab.sandbox.write("elsewhere/canary.png", crate::support::media::png(64, 64));
    let config = lab.sandbox.write("w/configs/set.toml", "");
    let of = |name: &str, folder: &str| {
        let text = format!("resolutions = [64]\n[[directory]]\npath = '{folder}'\n");
        lab.sandbox.write(name, text)
    };
    let (inside, leads) = (of("w/inside.toml", "pictures"), of("w/leads.toml", "../elsewhere"));
    let served = Served::start(&lab.sandbox, &[]);
    let body = json!({ "kind": "data-check", "config": "set.toml" });
    for _ in 0..12 {
        std::fs::copy(&inside, &config).expect("written");
        let job = served.send("POST", "/api/jobs", &body).ok();
        std::fs::copy(&leads, &config).expect("written");
        job_end(&served, &job);
        let path = format!("/api/jobs/{}/events", job["id"].as_str().expect("an id"));
        let events = served.get(&path).ok()["events"].to_string();
        assert!(!events.contains("canary"), "{events}");
    }
    // What the server looks at itself is refused there.
    assert_eq!(served.send("POST", "/api/jobs", &body).status, 403);
    // A training file that leads elsewhere is refused by the command as well.
    lab.sandbox.write("w/configs/set.toml", "resolutions = [16]\n[[directory]]\npath = '../elsewhere'\n");
    lab.change("configs/tiny.toml", "configs/tiny-dataset.toml", "configs/set.toml");
    let mut command = lab.sandbox.command(&["data", "check", "configs/tiny.toml"]);
    let said = command.env("DPGUI_FOR_PAGE", "1").output().expect("it starts");
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(2), "{text}");
    assert!(text.contains("`path` in `set.toml` is outside of the folders that the page may see"), "{text}");
}
