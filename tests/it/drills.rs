//! Drills: trainings to which everything happens that can, at random moments. Whatever it was, each ends once, nobody is
//! left of it, and its log has every byte that was printed.

use std::{
    fs::{self, File},
    io::Read,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::openpty,
};
use serde_json::Value;

use crate::support::{
    lab::{Lab, Run, kill, until, until_within},
    preload::library,
    random::{Random, seed},
};

/// For a run to end when all that is to happen to it has happened: it may ignore signals for that long.
const PATIENCE: Duration = Duration::from_secs(90);

/// For everybody to know that a run is over of which nobody lives any more.
const KNOWN: Duration = Duration::from_secs(10);

/// For the real DeepSpeed to start on a busy machine with two cores.
const SLOW: Duration = Duration::from_mins(5);

/// While it is there, the disk is full.
const FULL: &str = "full";

/// What may happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// Processes of the run that may be killed, by a word of their command lines.
    Process(&'static str),
    Supervisor,
    Keeper,
    Both,
    Stop(&'static [&'static str]),
    Save,
    /// Somebody who reads nothing of what he asked for.
    Stalled,
    /// Whoever started it sees his terminal closed.
    Terminal,
    /// For a moment the disk takes nothing below `runs`.
    FullDisk,
    Look,
    /// Any process of the run is killed.
    Any,
}

const BLOWS: [Blow; 15] = [
    Blow::Process("--num_gpus"),
    Blow::Process("launcher"),
    Blow::Process("rank"),
    Blow::Supervisor,
    Blow::Supervisor,
    Blow::Keeper,
    Blow::Both,
    Blow::Stop(&["stop"]),
    Blow::Stop(&["stop", "--now"]),
    Blow::Stop(&["stop", "--no-save"]),
    Blow::Save,
    Blow::Stalled,
    Blow::Terminal,
    Blow::FullDisk,
    Blow::Look,
];

/// `DPGUI_TEST_SEED` repeats what failed; `DPGUI_TEST_DRILLS` is how many there are.
#[test]
fn whatever_happens_a_run_ends_once_and_leaves_nobody_and_no_hole_in_its_log() {
    let count = std::env::var("DPGUI_TEST_DRILLS").map_or(16, |it| it.parse().expect("a number"));
    let seed = seed();
    println!("DPGUI_TEST_SEED={seed} DPGUI_TEST_DRILLS={count}");
    let width = 4;
    thread::scope(|scope| {
        for worker in 0..width {
            scope.spawn(move || {
                for number in (worker..count).step_by(width) {
                    drill(seed.wrapping_add(number as u64), number);
                }
            });
        }
    });
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[usize::try_from(random.below(from.len() as u64)).expect("small")]
}

fn drill(seed: u64, number: usize) {
    let mut random = Random(seed);
    let steps = 5 + random.below(40);
    // In some, a process is killed in the middle of a flood: whatever it had written is in the log.
    let is_about_last_bytes = random.below(4) == 0;
    let bytes = if is_about_last_bytes { 3_000_000 } else { pick(&mut random, &[0, 0, 300_000, 3_000_000]) };
    let print = if bytes > 0 { "flood" } else { pick(&mut random, &["", "bars", "garbage"]) };
    let ignored = if random.below(12) == 0 { "INT" } else { "" };
    let daemon = if random.below(4) == 0 { "yes" } else { "" };
    let (steps_text, bytes_text) = (steps.to_string(), bytes.to_string());
    let mut lab = Lab::new(&[
        ("STEPS", &steps_text),
        ("STEP_TIME", "0.02"),
        ("PRINT", print),
        ("BYTES", &bytes_text),
        ("IGNORE", ignored),
        ("DAEMON", daemon),
    ]);
    let ledger = lab.sandbox.path("ledger");
    lab.sandbox.env("FAKE_LEDGER", &ledger);
    // Small enough to be cut and compressed, large enough to lose nothing.
    lab.sandbox.write("w/dpgui.toml", "[logs]\nsegment = '256 KB'\n");
    let launcher = pick(&mut random, &["deepspeed", "deepspeed", "direct"]);
    let blows: Vec<Blow> = if is_about_last_bytes {
        let killed = pick(&mut random, &["rank", "rank", "launcher"]);
        vec![pick(&mut random, &[Blow::Look, Blow::Supervisor]), Blow::Process(killed)]
    } else {
        (0..=random.below(4)).map(|_| pick(&mut random, &BLOWS)).collect()
    };
    let what = format!(
        "drill {number}, seed {seed}: {launcher}, {steps} steps, {print} {bytes}, -{ignored}, {blows:?}"
    );
    if blows.contains(&Blow::FullDisk) {
        let preload = library(&lab.sandbox, "system_faults");
        let (full, below) = (lab.sandbox.path(FULL), lab.sandbox.path("w/runs"));
        lab.sandbox.env("LD_PRELOAD", preload).env("TEST_FULL", full).env("TEST_FULL_BELOW", below);
    }
    let mut closed = None;
    let run = if blows.contains(&Blow::Terminal) {
        let (child, terminal) = on_terminal(&lab, &["train", "configs/tiny.toml", "--launcher", launcher]);
        closed = Some(child);
        let run = lab.only_run();
        until("it has a supervisor", || run.json("state.json"));
        thread::sleep(Duration::from_millis(random.below(400)));
        terminal.close();
        run
    } else {
        lab.detached(&["--launcher", launcher])
    };
    let mut stalled = vec![];
    for blow in &blows {
        thread::sleep(Duration::from_millis(random.below(500)));
        stalled.extend(strike(&lab, &run, *blow));
    }
    check(&lab, &run, &blows, &what);
    has_last_bytes(&run, &ledger, &blows, &what);
    for mut child in stalled.into_iter().chain(closed) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn strike(lab: &Lab, run: &Run, blow: Blow) -> Option<Child> {
    let end = |pids: Vec<u32>| pids.into_iter().for_each(|pid| kill(pid, "KILL"));
    match blow {
        Blow::Process(word) => end(run.processes_with(word)),
        Blow::Supervisor if run.is_supervised() => kill(run.supervisor(), "KILL"),
        Blow::Keeper => end(run.keepers()),
        Blow::Both if run.is_supervised() => {
            end(run.keepers());
            kill(run.supervisor(), "KILL");
        }
        Blow::Stop(args) => {
            // It may be over already, or no run of all that there are may be running.
            let _ = lab.sandbox.dpgui(&[args, &[&run.id()]].concat());
        }
        Blow::Save => {
            let _ = lab.sandbox.dpgui(&["save", &run.id()]);
        }
        Blow::Stalled => {
            let mut command = lab.sandbox.command(&["logs", "-f", &run.id()]);
            let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            return Some(child.expect("the program starts"));
        }
        Blow::FullDisk => {
            let full = lab.sandbox.write(FULL, "");
            thread::sleep(Duration::from_millis(300));
            fs::remove_file(full).expect("there");
        }
        Blow::Look => {
            lab.sandbox.dpgui(&["runs"]).ok();
        }
        Blow::Supervisor | Blow::Both | Blow::Terminal | Blow::Any => {}
    }
    None
}

/// However long it takes to end, it does not look alive for long when it is not.
fn has_ended(lab: &Lab, run: &Run, what: &str) {
    let since = Instant::now();
    let mut gone: Option<Instant> = None;
    until_within(PATIENCE, what, || {
        // What nobody keeps any more is found by the next command, whichever it is.
        if since.elapsed() > Duration::from_secs(2) {
            lab.sandbox.dpgui(&["runs"]).ok();
        }
        let is_over = !run.state()["ended"].is_null();
        let nobody_lives = run.processes().is_empty();
        gone = nobody_lives.then(|| gone.unwrap_or_else(Instant::now));
        let in_time = is_over || gone.is_none_or(|it| it.elapsed() < KNOWN);
        assert!(in_time, "{what}: for {KNOWN:?} nobody has lived, and it is {}", run.state());
        (is_over && !run.is_supervised()).then_some(())
    });
    until_within(PATIENCE, what, || run.keepers().is_empty().then_some(()));
}

fn check(lab: &Lab, run: &Run, blows: &[Blow], what: &str) {
    has_ended(lab, run, what);
    assert_eq!(run.processes(), [0_u32; 0], "{what}: somebody is left");
    assert!(lab.slot_is_free(), "{what}: somebody has its slot");
    let history = run.history();
    let named = |name: &str| history.iter().filter(|it| it["event"] == name).count();
    assert_eq!(named("ended"), 1, "{what}: {history:?}");
    let numbers: Vec<_> = history.iter().map(|it| it["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=history.len() as u64).map(Some).collect::<Vec<_>>(), "{what}");
    let outcome = run.outcome()["outcome"].as_str().expect("a word").to_owned();
    let only_watched =
        |blow: &Blow| !matches!(blow, Blow::Process(_) | Blow::Stop(_) | Blow::Both | Blow::Any);
    // Where a keeper and its supervisor die together, a training may end with nobody there.
    let watched = !(blows.contains(&Blow::Both) || blows.contains(&Blow::Keeper));
    if blows.iter().all(only_watched) && watched {
        assert_eq!(outcome, "completed", "{what}: {history:?}");
    }
    let log = String::from_utf8_lossy(&run.log()).into_owned();
    let gaps = named("gap");
    has_no_hole(&log, gaps, what);
    assert!(gaps == 0 || blows.contains(&Blow::FullDisk), "{what}: there was room");
}

/// Whatever a rank had written when it was killed is in the log, to the last byte. Two things are excepted: one that is
/// interrupted in a write does not know itself how much of it was taken, and pipes that nobody has open any more, because
/// their keeper was killed with the supervisor, take with them what is in them.
fn has_last_bytes(run: &Run, ledger: &Path, blows: &[Blow], what: &str) {
    let is_excepted = |it: &Blow| matches!(it, Blow::Stop(_) | Blow::Both | Blow::Keeper | Blow::FullDisk);
    if blows.iter().any(is_excepted) {
        return;
    }
    let written = fs::read(ledger).unwrap_or_default();
    let is_complete = run.outcome()["outcome"] == "completed";
    assert!(!is_complete || written.ends_with(b"TRAINING COMPLETE!\n"), "{what}: it has not said so");
    let log = run.stream("rank0");
    assert!(
        log.starts_with(&written),
        "{what}: of {} bytes that were written {} are there",
        written.len(),
        log.len()
    );
}

/// What the trainer counts, it counts without a gap that is not written down, from the first to the last that is there.
fn has_no_hole(log: &str, gaps: usize, what: &str) {
    let flood = log.lines().filter(|line| line.len() == 99).filter_map(|line| line.parse::<u64>().ok());
    let step = |line: &str| line.strip_prefix("steps: ")?.split(' ').next()?.parse::<u64>().ok();
    let steps = log.lines().filter_map(step);
    for numbers in [flood.map(|it| it + 1).collect::<Vec<_>>(), steps.collect()] {
        let before = std::iter::once(0).chain(numbers.iter().copied());
        let jumps: Vec<_> = before.zip(&numbers).filter(|(before, number)| **number != before + 1).collect();
        assert!(
            jumps.iter().all(|(before, number)| **number > *before),
            "{what}: something is there twice: {jumps:?}"
        );
        assert!(jumps.len() <= gaps, "{what}: {jumps:?} are missing, and {gaps} gaps are known");
    }
}

/// A terminal at which nobody looks; what is not read would hold the program up.
struct Terminal {
    close: mpsc::Sender<()>,
    drained: thread::JoinHandle<()>,
}

impl Terminal {
    fn new(master: OwnedFd) -> Self {
        let (close, closed) = mpsc::channel();
        let drained = thread::spawn(move || {
            let (mut master, mut bytes) = (File::from(master), [0; 4096]);
            while closed.try_recv() == Err(mpsc::TryRecvError::Empty) {
                let mut ready = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
                let is_ready = poll(&mut ready, PollTimeout::from(20_u8)).expect("polled") > 0;
                if is_ready && !matches!(master.read(&mut bytes), Ok(1..)) {
                    break;
                }
            }
        });
        Self { close, drained }
    }

    /// The kernel tells its processes that it hung up.
    fn close(self) {
        drop(self.close);
        self.drained.join().expect("closed");
    }
}

/// The program in a session of its own, with a terminal that can hang up.
fn on_terminal(lab: &Lab, args: &[&str]) -> (Child, Terminal) {
    let pair = openpty(None, None).expect("a terminal");
    let end = |terminal: &OwnedFd| Stdio::from(terminal.try_clone().expect("another handle"));
    let program = lab.sandbox.command(args);
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(program.get_program()).args(program.get_args());
    command.env_clear().current_dir(program.get_current_dir().expect("one of its own"));
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TERM", "xterm").stdin(end(&pair.slave)).stdout(end(&pair.slave)).stderr(end(&pair.slave));
    (command.spawn().expect("the program starts"), Terminal::new(pair.master))
}

/// `DPGUI_TEST_REAL_DRILLS` is how many there are.
#[test]
fn the_same_holds_with_the_real_deepspeed() {
    let count = std::env::var("DPGUI_TEST_REAL_DRILLS").map_or(2, |it| it.parse().expect("a number"));
    let seed = seed();
    println!("DPGUI_TEST_SEED={seed} DPGUI_TEST_REAL_DRILLS={count}");
    for number in 0..count {
        let mut random = Random(seed.wrapping_add(number));
        let lab = Lab::with_deepspeed();
        let launcher = pick(&mut random, &["deepspeed", "direct"]);
        let said =
            lab.sandbox.dpgui(&["train", "configs/demo.toml", "--detach", "--launcher", launcher]).ok();
        let run = lab.run(said.stdout.trim());
        // From its first processes on to some way into the training.
        let far = pick(&mut random, &["", "steps: 1 ", "steps: 20 "]);
        until_within(SLOW, far, || String::from_utf8_lossy(&run.log()).contains(far).then_some(()));
        thread::sleep(Duration::from_millis(random.below(1000)));
        let mut blows = vec![Blow::Supervisor];
        blows.push(pick(&mut random, &[Blow::Stop(&["stop"]), Blow::Save, Blow::Any, Blow::Any]));
        if blows.contains(&Blow::Save) {
            blows.push(Blow::Stop(&["stop", "--now"]));
        }
        let what = format!("real drill {number}, seed {seed}: {launcher}, at `{far}`, {blows:?}");
        for blow in &blows {
            match blow {
                // Which one depends on the number alone where the processes do.
                Blow::Any => {
                    let all = run.processes();
                    kill(pick(&mut random, &all), "KILL");
                }
                other => drop(strike(&lab, &run, *other)),
            }
        }
        check(&lab, &run, &blows, &what);
    }
}

/// A run's end is told by its state alone, which a test may look at.
#[test]
fn the_order_of_what_happened_is_the_order_of_its_numbers() {
    let lab = Lab::new(&[]);
    lab.train(&[]).ok();
    let history: Vec<Value> = lab.only_run().history();
    let times: Vec<&str> = history.iter().map(|it| it["time"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
}
