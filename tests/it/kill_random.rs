//! Whole setups that are killed at random moments, lock and environment included, one to four at a time, with servers
//! that fail: a receipt that is there tells the truth whenever one looks, and the next setup finishes the job.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use dpgui::{
    install::{
        manifest::{Comparison, Depth, Manifest},
        receipt::Receipt,
    },
    platform::digest::Sha256,
    vendor::lock::LockFile,
};
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};

use crate::{
    kill_matrix::{State, nobody_is_left},
    kill_whole::{SCENARIOS, Scenario, World, lasting},
    support::{
        file_server::Fault,
        git_repository::say,
        git_server,
        lab::until,
        random::{Random, seed},
        sandbox::{Said, Sandbox},
    },
};

/// What a setup may end with while the servers are as they are here: nothing else is documented for that.
const DOCUMENTED: [i32; 3] = [0, 3, 4];

/// An index that answers 404 does not know the package: uv takes that for requirements that nothing fulfils, exit code 1.
const UNKNOWN_PACKAGE: &str = "No solution found when resolving dependencies";

/// One way to begin, and what a setup makes of it when nothing happens.
struct Start {
    name: &'static str,
    before: Sandbox,
    expected: State,
    took: Duration,
}

fn starts(world: &mut World, scenarios: &[Scenario]) -> Vec<Start> {
    let start = |scenario: &Scenario| {
        let before = (scenario.prepare)(world);
        let undisturbed = before.copy();
        let since = Instant::now();
        undisturbed.dpgui(&["setup"]).ok();
        let took = since.elapsed();
        Start { name: scenario.name, before, expected: lasting(&undisturbed), took }
    };
    scenarios.iter().map(start).collect()
}

/// As many setups as there are moments, all started now, each killed at its own if it has one. How many did die of it.
fn run(sandbox: &Sandbox, moments: &[Option<Duration>], what: &str) -> u64 {
    let since = Instant::now();
    let start = |moment: &Option<Duration>| {
        let mut command = sandbox.command(&["setup"]);
        command.stdout(Stdio::null());
        // Those that are killed have nobody who reads what they say.
        command.stderr(if moment.is_some() { Stdio::null() } else { Stdio::piped() });
        command.spawn().expect("it starts")
    };
    let setups: Vec<(Child, Option<Duration>)> = moments.iter().map(|it| (start(it), *it)).collect();
    let (mut doomed, others): (Vec<_>, Vec<_>) = setups.into_iter().partition(|(_, moment)| moment.is_some());
    doomed.sort_by_key(|(_, moment)| *moment);
    let mut killed = 0;
    for (mut setup, moment) in doomed {
        until("its moment has come", || moment.is_none_or(|it| since.elapsed() >= it).then_some(()));
        setup.kill().expect("killed");
        killed += u64::from(setup.wait().expect("reaped").signal() == Some(9));
    }
    for (setup, _) in others {
        let said = Said::from(setup.wait_with_output().expect("it ends"));
        let is_unknown = said.code == Some(1) && said.stderr.contains(UNKNOWN_PACKAGE);
        assert!(is_unknown || said.code.is_some_and(|it| DOCUMENTED.contains(&it)), "{what}: {said}");
        assert!(said.code == Some(0) || said.stderr.contains("\nhint: "), "{what}: {said}");
    }
    nobody_is_left(sandbox);
    killed
}

/// Whatever has a name that is believed is what it says: artefacts with receipts, downloads, the lock.
#[track_caller]
pub(crate) fn what_is_there_is_whole(sandbox: &Sandbox, what: &str) -> BTreeSet<String> {
    let mut receipted = BTreeSet::new();
    let mut todo = vec![sandbox.root()];
    while let Some(dir) = todo.pop() {
        if dir.join(".dpgui-receipt.json").exists() {
            let name = dir.strip_prefix(sandbox.root()).expect("inside").display().to_string();
            is_as_its_receipt_says(&dir, what);
            receipted.insert(name);
            continue;
        }
        for entry in fs::read_dir(&dir).expect("readable").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == ".git" {
                // git's own proof, whatever lies beside it.
                assert_eq!(say(&dir, &["status", "--porcelain"]), "", "{what}: `{}`", dir.display());
                continue;
            }
            // Nobody believes these: the next setup removes them.
            let is_temporary = [".tmp-", ".old-"].iter().any(|it| name.contains(it));
            if entry.file_type().expect("a type").is_dir() && !is_temporary {
                todo.push(entry.path());
            }
        }
    }
    for entry in fs::read_dir(sandbox.path("home/.cache/dpgui/downloads")).into_iter().flatten().flatten() {
        if let Ok(digest) = entry.file_name().to_string_lossy().parse::<Sha256>() {
            let found = Sha256::of(fs::read(entry.path()).expect("readable"));
            assert_eq!(found, digest, "{what}: a download is not what its name says");
        }
    }
    if let Ok(lock) = fs::read_to_string(sandbox.path("w/dpgui.lock")) {
        LockFile::parse(&lock).unwrap_or_else(|error| panic!("{what}: {error}\n{lock}"));
    }
    receipted
}

#[track_caller]
fn is_as_its_receipt_says(dir: &Path, what: &str) {
    let place = dir.display();
    let receipt = Receipt::of(dir).unwrap_or_else(|| panic!("{what}: half a receipt in `{place}`"));
    // The farm's says which links are ours; each setup looks at every one of them.
    let Some(contents) = receipt.contents.filter(|_| !dir.ends_with("vendor/libs")) else {
        return assert!(dir.ends_with("vendor/libs"), "{what}: nothing vouches for `{place}`");
    };
    let manifest = Manifest::stored(dir, contents.manifest).expect("readable");
    let manifest = manifest.unwrap_or_else(|| panic!("{what}: the manifest in `{place}` is another one"));
    assert_eq!(manifest.check(dir, Depth::Full, &|_| ()), Comparison::default(), "{what}: `{place}`");
}

/// `DPGUI_TEST_SEED` repeats what failed; `DPGUI_TEST_KILLS` is how many there are.
#[test]
fn whole_setups_that_are_killed_at_random_moments_are_finished_by_the_next_one() {
    let kills = std::env::var("DPGUI_TEST_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(200_u64);
    let seed = seed();
    println!("DPGUI_TEST_SEED={seed}");
    let (some, others) = SCENARIOS.split_at(2);
    thread::scope(|scope| {
        for scenarios in [some, others] {
            scope.spawn(move || kill_many(seed, scenarios, kills.div_ceil(2)));
        }
    });
}

/// In a world of its own.
fn kill_many(seed: u64, scenarios: &[Scenario], mut left: u64) {
    let (mut world, mut random) = (World::new(), Random(seed));
    let starts = starts(&mut world, scenarios);
    while left > 0 {
        let start = &starts[usize::try_from(random.below(starts.len() as u64)).expect("small")];
        let longest = u64::try_from(start.took.as_micros()).expect("not for ever");
        let sandbox = start.before.copy();
        let mut what = format!("DPGUI_TEST_SEED={seed}, {left} left, {}", start.name);
        for _ in 0..=random.below(6) {
            // The next one has less to do, so most moments are early ones.
            let latest = 1 + random.below(longest);
            let moments: Vec<_> =
                (0..=random.below(3)).map(|_| Some(Duration::from_micros(random.below(latest)))).collect();
            what.extend([format!(", killed after {moments:?}")]);
            let killed = run(&sandbox, &moments, &what);
            what_is_there_is_whole(&sandbox, &what);
            left = left.saturating_sub(killed);
            if killed == 0 {
                break;
            }
        }
        world.recover(&sandbox, &what, &start.expected);
    }
}

/// Some setups at a time, and what the servers do meanwhile.
#[derive(Clone, Debug)]
struct Round {
    /// When each is killed, in thousandths of the time that one setup takes; some are left alone.
    setups: Vec<Option<u32>>,
    index: Vec<Fault>,
    files: Vec<Fault>,
    git: Option<git_server::Fault>,
}

fn a_round() -> impl Strategy<Value = Round> {
    let setups = prop::collection::vec(prop::option::weighted(0.7, 0..1000_u32), 1..=4);
    let (index, files) = (prop::collection::vec(a_fault(), 0..4), prop::collection::vec(a_fault(), 0..2));
    (setups, index, files, prop::option::weighted(0.3, a_fault_of_git()))
        .prop_map(|(setups, index, files, git)| Round { setups, index, files, git })
}

fn a_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..3000_usize).prop_map(Fault::CutAfter),
        (0..3000_usize).prop_map(Fault::CutChunk),
        Just(Fault::Status(503, "Busy")),
        Just(Fault::Status(404, "Not Found")),
        Just(Fault::StatusWith(429, "Too Many Requests", "Retry-After: 0".to_owned())),
        Just(Fault::IgnoreRange),
        (1..9_usize).prop_map(Fault::RangeFrom),
        (1..9_usize).prop_map(Fault::RangeOf),
        Just(Fault::Flip(0)),
        Just(Fault::Tag("\"another\"")),
        Just(Fault::Redirect("http://127.0.0.1:9/".to_owned())),
        Just(Fault::Nothing),
    ]
}

fn a_fault_of_git() -> impl Strategy<Value = git_server::Fault> {
    prop_oneof![
        Just(git_server::Fault::Status("503 Service Unavailable")),
        Just(git_server::Fault::LoginPage),
        (0..400_usize).prop_map(git_server::Fault::BreakOff),
        (0..400_usize).prop_map(git_server::Fault::EndEarly),
        (0..400_usize).prop_map(git_server::Fault::Flip),
    ]
}

#[test]
fn a_receipt_that_is_there_tells_the_truth_whoever_is_killed_and_whatever_the_servers_do() {
    let seed = seed();
    println!("DPGUI_TEST_SEED={seed}");
    let config = ProptestConfig {
        cases: 10,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        // The moments decide, and no two runs have the same: a smaller case would be another one.
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    let mut world = World::new();
    let starts = starts(&mut world, &SCENARIOS);
    let case = (0..starts.len(), prop::collection::vec(a_round(), 1..4));
    let checked = TestRunner::new(config).run(&case, |(start, rounds)| {
        whatever_happens(&world, &starts[start], &rounds);
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}

fn whatever_happens(world: &World, start: &Start, rounds: &[Round]) {
    let mut sandbox = start.before.copy();
    sandbox.env("DPGUI_TEST_NO_RETRY_DELAY", "1").env("UV_HTTP_RETRIES", "1");
    let what = format!("{}, {rounds:?}", start.name);
    let mut receipted = what_is_there_is_whole(&sandbox, &what);
    for round in rounds {
        world.small.index.server.faults(&round.index);
        world.small.files.faults(&round.files);
        world.small.upstream.server.fail(round.git.clone());
        let moment = |it: &Option<u32>| it.map(|it| start.took * it / 1000);
        run(&sandbox, &round.setups.iter().map(moment).collect::<Vec<_>>(), &what);
        let now = what_is_there_is_whole(&sandbox, &what);
        assert!(now.is_superset(&receipted), "{what}: of {receipted:?} only {now:?} is left");
        receipted = now;
    }
    world.small.index.server.faults(&[]);
    world.small.files.faults(&[]);
    world.small.upstream.server.fail(None);
    world.recover(&sandbox, &what, &start.expected);
    what_is_there_is_whole(&sandbox, &what);
}
