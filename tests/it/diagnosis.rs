//! Diagnosis: what every cause of the catalogue looks like, and what a healthy log never looks like.

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _};

use dpgui::{
    config::schema::{self, Section},
    diagnosis::{
        Diagnoser, Diagnosis, Disk, Evidence, Numbers, UNKNOWN,
        catalogue::{Catalogue, Cause, Kind},
        of_reader,
    },
    platform::signal::Exit,
};

use crate::support::{
    lab::{Lab, kill, until},
    sandbox::Sandbox,
    terminal::Terminal,
};

/// What stands before the end of a log: the beginning of a real one.
const BEGINNING: &str = include_str!("../data/diagnosis/beginning.log");

fn of(log: &str) -> Option<Diagnosis> {
    of_reader(log.as_bytes()).expect("bytes can be read").judge(&Numbers::default())
}

fn id(log: &str) -> String {
    of(log).map_or_else(|| "nothing".to_owned(), |it| it.id.to_string())
}

#[test]
fn every_sample_gives_its_cause() {
    let mut wrong = String::new();
    for cause in Catalogue::get().causes() {
        for sample in &cause.samples {
            let log = format!("{BEGINNING}{sample}");
            let (expected, numbers) = match cause.kind {
                Kind::Primary | Kind::Secondary => (cause.id.as_str(), Numbers::default()),
                // It ends nothing, and is named beside what did.
                Kind::Notice => ("nothing", Numbers::default()),
            };
            let found = of_reader(log.as_bytes()).expect("read").judge(&numbers);
            let found_id = found.as_ref().map_or("nothing", |it| &it.id);
            if found_id != expected {
                let _ = writeln!(wrong, "{}: {found_id} of {sample}", cause.id);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_pattern_is_met_by_a_sample() {
    let mut wrong = String::new();
    for cause in Catalogue::get().causes() {
        for pattern in &cause.patterns {
            let found = cause.samples.iter().any(|sample| {
                let alone = Catalogue::of(vec![only(cause, pattern)]);
                let mut diagnoser = Diagnoser::with(&alone);
                diagnoser.push(0, None, sample.as_bytes());
                diagnoser.finish();
                diagnoser.judge(&Numbers::default()).is_some_and(|it| it.id == cause.id)
            });
            if !found {
                let _ = writeln!(wrong, "{}: no sample for `{pattern}`", cause.id);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn only(cause: &Cause, pattern: &str) -> Cause {
    Cause { kind: Kind::Primary, patterns: vec![pattern.to_owned()], ..cause.clone() }
}

/// Every `dpgui` command that an advice names is there, and every key of a configuration.
#[test]
fn what_is_advised_is_there() {
    let sandbox = Sandbox::new();
    let help = sandbox.dpgui(&["--help"]).ok().stdout;
    let commands: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()) && !word.is_empty())
        .collect();
    let keys: BTreeSet<String> = known_keys();
    for cause in Catalogue::get().causes() {
        for code in
            cause.advice.iter().chain([&cause.cause]).flat_map(|text| text.split('`').skip(1).step_by(2))
        {
            if let Some(command) = code.strip_prefix("dpgui ") {
                let word = command.split(' ').next().unwrap_or_default();
                assert!(commands.contains(word), "{}: there is no `dpgui {word}`", cause.id);
                continue;
            }
            let key = code.split(" = ").next().unwrap_or(code);
            let is_key =
                key.len() > 4 && key.contains('_') && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(!is_key || keys.contains(key), "{}: there is no key `{key}`", cause.id);
        }
    }
}

fn known_keys() -> BTreeSet<String> {
    let mut sections = vec![
        Section::Training,
        Section::AnyModel,
        Section::Adapter(None),
        Section::Adapter(Some("lora")),
        Section::Optimizer(None),
        Section::Monitoring,
        Section::Dataset,
        Section::Directory,
    ];
    sections.extend(schema::model_names().map(Section::Model));
    let mut keys: BTreeSet<String> =
        sections.into_iter().flat_map(schema::section).map(|key| key.name.clone()).collect();
    // Of an optimizer, a value of a key, an entry of the kernel, a package, a folder: no keys, and known to be right.
    keys.extend(
        ["gradient_release", "adamw_optimi", "proj_type", "single_beginning", "single_middle"]
            .map(str::to_owned),
    );
    keys.extend(
        [
            "multiple_overlapping",
            "fast_hadamard_transform",
            "global_step",
            "fp8_scaled",
            "pytorch_optimizer",
            "oom_kill",
        ]
        .map(str::to_owned),
    );
    keys
}

/// Lines that look alarming and are of trainings that are fine.
const ALARMING: [&str; 30] = [
    "/w/venv/lib/python3.12/site-packages/torch/utils/checkpoint.py:85: UserWarning: None of the inputs have requires_grad=True. Gradients will be None",
    "  warnings.warn(",
    "host:123:456 [0] NCCL INFO NET/Plugin: Could not find: libnccl-net.so. Using internal network plugin.",
    "host:123:456 [0] NCCL INFO Could not enable P2P between dev 1(=a) and dev 0(=b)",
    "[2026-11-27 09:39:56,877] [WARNING] [dataset.py:756:fn] Cound not find caption for /data/RuntimeError: CUDA out of memory.png. Skipping image.",
    "[2026-11-27 09:39:56,877] [WARNING] [dataset.py:802:fn] Media file /data/No space left on device.png could not be opened. Skipping. The exception was: cannot identify image file",
    "caching latents: /data/torch.OutOfMemoryError: CUDA out of memory. Tried to allocate",
    "caching text embeddings: /data/Segmentation fault (core dumped)",
    "wandb: Network error (ConnectionError), entering retry loop.",
    "wandb: WARNING Calling wandb.login() after wandb.init() has no effect.",
    "wandb: 429 encountered (Filestream rate limit exceeded), retrying request",
    "[rank0]:[W1127 09:40:11.123456789 ProcessGroupNCCL.cpp:4561] [PG ID 0 PG GUID 0 Rank 0]  using GPU 0 to perform barrier as devices used by this process are currently unknown.",
    "[rank0]:[W1127 09:40:11.1 CUDAAllocatorConfig.h:28] Warning: expandable_segments not supported on this platform (function operator())",
    "DeprecationWarning: the imp module is deprecated in favour of importlib; see the error ModuleNotFoundError: No module named 'imp'",
    "FutureWarning: `torch.cuda.amp.autocast(args...)` is deprecated.",
    "[2026-11-27 09:39:56,877] [INFO] [config.py:962:print]   zero_allow_untested_optimizer  False",
    "[2026-11-27 09:39:56,877] [WARNING] [real_accelerator.py:209:get_accelerator] Setting accelerator to CPU. If you have GPU or other accelerator, we were unable to detect it.",
    "Detected VISIBLE_DEVICES=0: setting --include=localhost:0",
    "[2026-11-27 09:39:56,877] [WARNING] [engine.py:1300:_do_sanity_check] **** You are using ZeRO with an untested optimizer, proceed with caution *****",
    "Error in sys.excepthook: is a song by nobody",
    "a caption: KeyError: 'epochs', OSError: [Errno 28] No space left on device, Killed, loss: nan",
    "Skipping import of cpp extensions due to incompatible torch version. Please upgrade to torch >= 2.11.0",
    "video with frames=9 is being skipped because it is too short",
    "Token indices sequence length is longer than the specified maximum sequence length for this model (90 > 77). Running this sequence through the model will result in indexing errors",
    "huggingface/tokenizers: The current process just got forked, after parallelism has already been used. Disabling parallelism to avoid deadlocks...",
    "[2026-11-27 09:39:56,877] [INFO] [launch.py:367:main] Process 4242 exits successfully.",
    "The installed version of bitsandbytes was compiled without GPU support. 8-bit optimizers are unavailable",
    "Error when trying to import: No module named 'xformers', continuing without",
    "WARNING:root:RuntimeError: caught and retried: Connection reset by peer",
    "Exception ignored in: <function Pool.__del__ at 0x7f0>",
];

/// Twenty logs of trainings that are fine: of some the end, some are still going on.
fn healthy() -> impl Iterator<Item = Vec<u8>> {
    (0..20_usize).map(|number| {
        let mut log = BEGINNING.as_bytes().to_vec();
        let line = |log: &mut Vec<u8>, text: &str| {
            let (before, after) = match number % 4 {
                1 => ("\x1b[33m", "\x1b[0m\r\n"),
                2 => ("\r", "\n"),
                _ => ("", "\n"),
            };
            log.extend([before, text, after].concat().bytes());
        };
        for (at, text) in ALARMING.iter().cycle().skip(number).take(40 + number).enumerate() {
            line(&mut log, text);
            log.extend(format!("\r {at}%|###  | {at}/100 [00:00<?, ?it/s, error=0]").bytes());
            log.extend([0xff, 0xfe, b'\n']);
        }
        for step in 1..=2000_u32 {
            let loss = f64::from(step % 97) / 300.0;
            line(&mut log, &format!("[2026-11-27 09:40:11,511] [INFO] [logging.py:123:log_dist] [Rank 0] step={step}, skipped=0, lr=[0.0004], mom=[(0.9, 0.99)]"));
            line(&mut log, &format!("steps: {step} loss: {loss:.4} iter time (s): 0.512 samples/sec: 1.953"));
            if step % 100 == 0 {
                line(&mut log, ALARMING[(usize::try_from(step / 100).expect("small") + number) % ALARMING.len()]);
                line(&mut log, &format!("[2026-11-27 09:40:11,511] [INFO] [logging.py:123:log_dist] [Rank 0] [Torch] Checkpoint global_step{step} is about to be saved!"));
            }
        }
        match number % 3 {
            0 => line(&mut log, "TRAINING COMPLETE!"),
            1 => line(&mut log, "Manually quitting"),
            _ => {}
        }
        log
    })
}

#[test]
fn nothing_is_found_in_healthy_logs() {
    for (number, log) in healthy().enumerate() {
        let found = of_reader(&log[..]).expect("read").judge(&Numbers::default());
        assert_eq!(found, None, "log {number}");
        // Nor in the middle of them.
        let found = of_reader(&log[..log.len() / 3]).expect("read").judge(&Numbers::default());
        assert_eq!(found, None, "a third of log {number}");
    }
}

#[test]
fn a_first_cause_wins_over_its_consequences_and_over_what_was_survived() {
    let step = |n| format!("steps: {n} loss: 0.5000 iter time (s): 0.070 samples/sec: 457.143\n");
    let steps = |from: u32| (from..from + 5).map(step).collect::<String>();
    let lost = "[rank1]: ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.\n";
    let oom = "[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.\n";
    let unknown = "[rank1]: Traceback (most recent call last):\n[rank1]:   File \"a.py\", line 1, in <module>\n[rank1]: ValueError: nobody told me\n";
    let killed = "[2026-11-27 10:00:00,000] [ERROR] [launch.py:341:sigkill_handler] ['python', 'train.py'] exits with return code = -9\n";
    let check = |log: &[&str], expected: &str| assert_eq!(id(&log.concat()), expected, "{log:?}");
    check(&[lost, oom], "cuda_oom");
    check(&[lost], "nccl_remote_exit");
    check(&[unknown, lost], "unknown");
    check(&[unknown, oom], "cuda_oom");
    check(&[oom, killed], "cuda_oom");
    check(&[oom, &steps(1)], "nothing");
    check(&[oom, &step(1), killed], "cuda_oom");
    check(&[unknown, &steps(1)], "nothing");
    check(&[oom, "TRAINING COMPLETE!\n"], "nothing");
    // Nothing was written after it, and another process's text stands before it.
    check(&["steps: 4 loss: 0.1", oom.trim_end()], "cuda_oom");
    check(&["\r 10%|# |", oom.trim_end(), "\r"], "cuda_oom");
}

#[test]
fn numbers_come_before_text() {
    let disk = |free| Disk { path: "/w/output".into(), free_bytes: free, free_files: None };
    let oom = "[rank0]: torch.OutOfMemoryError: CUDA out of memory.\n";
    let judged = |log: &str, numbers: Numbers| {
        let found = of_reader(log.as_bytes()).expect("read").judge(&numbers);
        found.map_or_else(|| "nothing".to_owned(), |it| it.id.to_string())
    };
    let check = |log: &str, numbers: Numbers, expected: &str| {
        assert_eq!(judged(log, numbers.clone()), expected, "{log} {numbers:?}");
    };
    let none = Numbers::default;
    let exit = |code| Some(Exit::Code(code));
    check("", Numbers { exit: exit(247), oom_kills: Some(1), ..none() }, "host_oom");
    check("", Numbers { exit: exit(247), ..none() }, "rank_killed");
    let none_killed = || Numbers { exit: exit(247), oom_kills: Some(0), ..none() };
    check("", none_killed(), "killed_from_outside");
    for (counted_by_kernel, else_wise) in
        [("rank_killed", "killed_from_outside"), ("worker_killed", "worker_lost")]
    {
        let samples = &Catalogue::get().find(counted_by_kernel).expect("there").samples;
        for sample in samples {
            check(sample, none_killed(), else_wise);
        }
    }
    let launcher_lost = || Numbers { exit: exit(0), ended_early: true, launcher_lost: true, ..none() };
    check("", launcher_lost(), "launcher_killed");
    check(
        "Traceback (most recent call last):\n  File \"a.py\"\nKeyboardInterrupt\n",
        launcher_lost(),
        "launcher_killed",
    );
    check("", Numbers { oom_kills: Some(1), ..launcher_lost() }, "host_oom");
    check(oom, launcher_lost(), "cuda_oom");
    check("", Numbers { exit: Some(Exit::Signal(11)), ..none() }, "segfault");
    check(oom, Numbers { exit: exit(1), oom_kills: Some(1), ..none() }, "cuda_oom");
    check(oom, Numbers { exit: exit(1), disks: vec![disk(0)], ..none() }, "cuda_oom");
    check("", Numbers { exit: exit(1), disks: vec![disk(1 << 20)], ..none() }, "disk_full");
    check("", Numbers { exit: exit(1), disks: vec![disk(1 << 40)], ..none() }, UNKNOWN);
    check(oom, Numbers { exit: exit(1), lost_gpus: vec![1], ..none() }, "gpu_lost");
    check("", Numbers { exit: exit(0), ended_early: true, ..none() }, "exited_early");
    check("", Numbers { exit: exit(0), ..none() }, "nothing");
    check("", Numbers { exit: exit(1), ..none() }, UNKNOWN);
}

#[test]
fn what_nothing_explains_is_told_in_the_trainers_own_last_words() {
    let ended = Numbers { exit: Some(Exit::Code(1)), ..Numbers::default() };
    let cause = |log: &str| of_reader(log.as_bytes()).expect("read").judge(&ended).expect("it failed");
    let own = "error: /w/long.toml: unknown key `eval_every_n_epochs`; known are epochs";
    for log in [
        format!("{own}\n"),
        format!("[rank0]: {own}\n[rank1]: ERROR: the other one is gone\n"),
        format!("warning: no error: none\n{own}"),
    ] {
        let found = cause(&log);
        assert_eq!(
            (&*found.id, &*found.cause),
            (UNKNOWN, &*format!("unknown to dpgui; the trainer says `{own}`"))
        );
        assert!(matches!(&found.evidence[0], Evidence::Line { text, .. } if text == own), "{found:?}");
    }
    let raised = cause(&format!("{own}\nTraceback (most recent call last):\n  File \"a\"\nOddError: x\n"));
    assert!(raised.cause.contains("OddError: x"), "a traceback says more: {raised}");
    // What was followed by training did not end it.
    let survived =
        cause(&format!("{own}\n{}", "steps: 1 loss: 0.1 iter time (s): 1.0 samples/sec: 1\n".repeat(9)));
    assert!(survived.cause.contains("nothing in the log says why"), "{survived}");
}

#[test]
fn what_each_process_printed_may_come_by_itself_and_in_pieces() {
    let log =
        b"Traceback (most recent call last):\n  File \"a\"\ntorch.OutOfMemoryError: CUDA out of memory.\n";
    for piece in [1, 7, log.len()] {
        let mut diagnoser = Diagnoser::new();
        for (at, bytes) in log.chunks(piece).enumerate() {
            diagnoser.push((at * piece) as u64, Some(1), bytes);
            diagnoser.push(0, Some(0), b"fine\n");
        }
        diagnoser.finish();
        let found = diagnoser.judge(&Numbers::default()).expect("a cause");
        let text = "torch.OutOfMemoryError: CUDA out of memory.".to_owned();
        assert_eq!(found.evidence, [Evidence::Line { offset: 46, rank: Some(1), text }], "{piece}");
    }
}

#[test]
fn a_log_is_explained_to_people_and_to_programs() {
    let sandbox = Sandbox::new();
    let unknown =
        "Traceback (most recent call last):\n  File \"a.py\"\nValueError: nobody \x1b]0;owned\x07told me\n";
    sandbox.write(
        "w/oom.log",
        ["loading\n", &Catalogue::get().find("cuda_oom").expect("there").samples[0]].concat(),
    );
    sandbox.write("w/odd.log", unknown);
    sandbox.write("w/fine.log", BEGINNING);
    let forms: [&[&str]; 4] = [
        &["diagnose", "oom.log"],
        &["diagnose", "oom.log", "--json"],
        &["diagnose", "odd.log"],
        &["diagnose", "fine.log"],
    ];
    let said = forms.map(|args| format!("$ dpgui {}\n{}", args.join(" "), sandbox.dpgui(args).ok().stdout));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_packed_log_is_read_like_any_other() {
    let sandbox = Sandbox::new();
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed
        .write_all(b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n")
        .expect("packed");
    sandbox.write("w/part.log.gz", packed.finish().expect("packed"));
    let said = sandbox.dpgui(&["diagnose", "part.log.gz", "--json"]).ok();
    assert_eq!(said.events()[0]["id"], "cuda_oom", "{said}");
}

#[test]
fn what_is_no_log_is_refused_in_a_sentence() {
    let sandbox = Sandbox::new();
    sandbox.write("w/empty.log", "");
    sandbox.write("w/weights.bin", (0..4096u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    for (what, expected) in [
        ("./none.log", "there is no log `"),
        ("./", "is a directory, and no log"),
        ("empty.log", "is empty: nothing was printed"),
        ("weights.bin", "weights.bin` is no text"),
        ("nobody", "there is no run `nobody`"),
    ] {
        let said = sandbox.dpgui(&["diagnose", what]);
        assert!(said.code == Some(2) && said.stderr.contains(expected), "{said}");
        assert_eq!(said.stderr.matches("error:").count(), 1, "{said}");
    }
}

#[test]
fn a_run_that_fails_says_why_wherever_it_is_looked_at() {
    let lab = Lab::new(&[("END", "3")]);
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(1), "{said}");
    let run = lab.only_run();
    assert!(said.stderr.contains("why is unknown to dpgui"), "{said}");
    assert!(said.stderr.contains(&format!("`dpgui diagnose {}`", run.id())), "{said}");
    let state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(run.path.join("state.json")).expect("there")).expect("JSON");
    assert_eq!(state["diagnosis"]["id"], UNKNOWN, "{state}");
    assert!(run.events().contains(&"diagnosed".to_owned()));
    let cause = "the last traceback ends with `ValueError: nobody told me`";
    let told = lab.sandbox.dpgui(&["diagnose"]).ok();
    assert!(told.stdout.contains(cause) && told.stdout.contains("exit code 3"), "{told}");
    let told = lab.sandbox.dpgui(&["logs", "-f"]).ok();
    assert!(told.stderr.contains(cause), "{told}");
    let told = lab.sandbox.dpgui(&["runs", "--json"]).ok();
    assert_eq!(told.events()[0]["diagnosis"]["id"], UNKNOWN, "{told}");
}

#[test]
fn what_was_killed_from_outside_is_not_said_to_have_left_or_to_have_had_too_little_memory() {
    for (word, launcher, expected) in [
        ("launcher", "deepspeed", ("launcher_killed", "launcher was gone")),
        ("rank", "deepspeed", ("killed_from_outside", "`oom_kill` did not rise")),
        ("rank", "direct", ("killed_from_outside", "`oom_kill` did not rise")),
    ] {
        let lab = Lab::new(&[("STEPS", "0")]);
        let run = lab.detached(&["--launcher", launcher]);
        run.wait_for_log("steps: 1 ");
        kill(run.process(word), "KILL");
        assert_eq!(run.outcome()["outcome"], "killed");
        let told = lab.sandbox.dpgui(&["diagnose", "--json"]).ok();
        assert_eq!(told.events()[0]["id"], expected.0, "{word}, {launcher}: {told}");
        assert!(told.stdout.contains(expected.1) && !told.stdout.contains("cache_only"), "{told}");
    }
}

/// A stop makes ranks print what looks like a failure.
#[test]
fn a_run_that_is_stopped_or_stopping_has_no_cause() {
    let mut lab = Lab::new(&[("STEPS", "0"), ("IGNORE", "INT")]);
    let gloo = &Catalogue::get().find("gloo").expect("there").samples[0];
    let said =
        lab.sandbox.write("said", format!("Traceback (most recent call last):\n  File \"a.py\"\n{gloo}"));
    lab.sandbox.env("FAKE_SAY", said);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let stop = lab.spawn(&["stop", "--no-save"]);
    until("it stops", || run.state().get("stopping").map(|_| ()));
    let told = lab.sandbox.dpgui(&["diagnose"]).ok();
    assert!(told.stdout.contains("is being stopped") && !told.stdout.contains("gloo"), "{told}");
    let told = lab.sandbox.dpgui(&["diagnose", "--json"]).ok();
    assert!(told.events()[0]["ok"] == true && told.events()[0]["id"].is_null(), "{told}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    stop.end().ok();
    let told = lab.sandbox.dpgui(&["diagnose"]).ok();
    assert!(told.stdout.contains("was stopped") && !told.stdout.contains("gloo"), "{told}");
}

#[test]
fn a_report_holds_what_is_needed_and_no_secret() {
    let mut lab = Lab::new(&[("END", "3")]);
    lab.train(&[]);
    let canaries = [
        "canary-env-0123456789",
        "canary-key-0123456789",
        "hf_canaryCANARYcanaryCANARY",
        "canary-pass-012345",
    ];
    lab.sandbox.env("SOME_API_TOKEN", canaries[0]);
    let run = lab.only_run();
    let config = run.path.join("config/extra.toml");
    std::fs::write(&config, format!("[monitoring]\nwandb_api_key = '{}'\n", canaries[1])).expect("written");
    let mut log = run.log();
    for canary in canaries {
        log.extend(format!("https://me:{canary}@host/ {canary} wandb: {canary}\n").bytes());
    }
    log.extend(format!("password={}\n", canaries[3]).bytes());
    std::fs::write(run.path.join("log/rank0/00000000000000000000.log"), log).expect("written");
    let refused = lab.sandbox.dpgui(&["report"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--output FILE"), "{refused}");
    let said = lab.sandbox.dpgui(&["report", "--output", "report.txt"]).ok();
    assert!(said.stderr.contains("hidden") && said.stderr.contains("SOME_API_TOKEN"), "{said}");
    assert!(said.stderr.contains("hidden once: ") && !said.stderr.contains(" 1 times"), "{said}");
    let text = std::fs::read_to_string(lab.sandbox.root().join("report.txt")).expect("written");
    for canary in &canaries[..3] {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
    assert!(
        !text.contains(&format!("password={}", canaries[3]))
            && !text.contains(&format!("me:{}", canaries[3]))
    );
    for part in
        ["versions", "diagnosis", "spec.json", "events.jsonl", "extra.toml", "the end of the log", "doctor"]
    {
        assert!(text.contains(&format!("===== {part} =====")), "{part}");
    }
    assert!(text.contains("ValueError: nobody told me"));
}

#[test]
fn a_report_is_shown_before_it_is_written() {
    let mut lab = Lab::new(&[("END", "3")]);
    lab.train(&[]);
    let printed = lab.sandbox.dpgui(&["report", "--output", "-"]).ok().stdout;
    assert!(printed.contains("===== versions =====") && printed.contains("ValueError: nobody told me"));
    let seen = lab.sandbox.path("seen");
    lab.sandbox.env("PAGER", format!("cat > {}", seen.display()));
    let Some(terminal) = Terminal::open(&lab, &["report", "--output", "report.txt"], (120, 24)) else {
        return;
    };
    terminal.wait_for("Write it to");
    let text = std::fs::read_to_string(&seen).expect("shown");
    assert!(text.contains("===== doctor =====") && text.contains("ValueError: nobody told me"), "{text}");
    terminal.press("Enter");
    terminal.wait_for("nothing was written");
    assert!(!lab.sandbox.root().join("report.txt").exists());
    drop(terminal);
    let Some(terminal) = Terminal::open(&lab, &["report", "--output", "report.txt"], (120, 24)) else {
        return;
    };
    terminal.wait_for("Write it to");
    terminal.press("y");
    terminal.press("Enter");
    terminal.wait_for("left with 0");
    let (written, shown) = [lab.sandbox.root().join("report.txt"), seen]
        .map(|it| std::fs::read_to_string(it).expect("there"))
        .into();
    assert_eq!(written, shown);
}

/// An ordinary log is read at 100 MB/s and more: `cargo nextest run --release --run-ignored all -E 'test(the_speed_of)'`.
#[test]
#[ignore = "measures, for a release build"]
fn the_speed_of_an_ordinary_log() {
    let log: Vec<u8> = healthy().flatten().collect();
    let bytes = 1_000_000_000_usize;
    let watch = std::time::Instant::now();
    let mut diagnoser = Diagnoser::new();
    let mut offset = 0;
    while offset < bytes {
        for piece in log.chunks(256 * 1024) {
            diagnoser.push(offset as u64, None, piece);
            offset += piece.len();
        }
    }
    diagnoser.finish();
    // Bytes a microsecond are megabytes a second.
    let rate = offset as u128 / watch.elapsed().as_micros().max(1);
    assert!(rate >= 100, "{rate} MB/s");
}
