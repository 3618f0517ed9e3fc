//! `dpgui clean`: what goes, what stays, and what is said of both.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use dpgui::{
    install::cache::Cache,
    platform::{
        digest::Sha256,
        lock::{Lock, Wait},
    },
};

use crate::support::sandbox::{Said, Sandbox};

/// A cache with one of everything, and a workspace in which a setup was killed.
struct World {
    sandbox: Sandbox,
    cache: Cache,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let cache = Cache::at(sandbox.path("home/.cache/dpgui"), u64::MAX);
        let world = Self { sandbox, cache };
        world.put(&world.cache.file(Sha256::of("old")), 3000, 40);
        world.put(&world.cache.file(Sha256::of("new")), 2000, 0);
        world.put(&world.cache.partial(Sha256::of("stale")), 500, 31);
        world.put(&world.cache.origin(Sha256::of("stale")), 50, 31);
        world.put(&world.cache.partial(Sha256::of("fresh")), 400, 29);
        world.put(&world.cache.for_pip(Sha256::of("wheel")).join("some.whl"), 300, 29);
        world.put(&world.cache.repository(COMMIT.parse().expect("a commit")).join("HEAD"), 100, 0);
        // Nothing that dpgui could have made.
        world.put(&world.cache.dir().join("downloads/mine.txt"), 1, 99);
        world.sandbox.write("w/.dpgui/setup.lock", "");
        world.sandbox.write("w/.venv.tmp-12/lib/a.py", "12345");
        world.sandbox.write("w/tools/node/bin/node", "in use");
        drop(world.cache.alone(Sha256::of("old"), || ()).expect("free"));
        world
    }

    /// A file of so many bytes that was last used so many days ago.
    fn put(&self, path: &Path, bytes: usize, days: u64) {
        let path = self.sandbox.write(path, vec![0; bytes]);
        let used = SystemTime::now() - Duration::from_hours(24 * days);
        fs::File::open(path).and_then(|it| it.set_modified(used)).expect("set");
    }

    /// The files of cache and workspace, the locks aside.
    fn files(&self) -> Vec<String> {
        let (mut todo, mut found) = (vec![self.sandbox.path("home"), self.sandbox.path("w")], vec![]);
        while let Some(dir) = todo.pop() {
            for path in fs::read_dir(dir).expect("there").map(|it| it.expect("an entry").path()) {
                if path.is_dir() {
                    todo.push(path);
                } else {
                    found.push(self.neutral(&path.display().to_string()));
                }
            }
        }
        let always_there = ["CACHE/locks/", "CACHE/CACHEDIR.TAG", "DIR/w/.dpgui/setup.lock"];
        found.retain(|it| !always_there.iter().any(|there| it.starts_with(there)));
        found.sort();
        found
    }

    fn neutral(&self, text: &str) -> String {
        let mut text = self.sandbox.neutral(text).replace("DIR/home/.cache/dpgui", "CACHE");
        for name in ["old", "new", "stale", "fresh", "wheel"] {
            text = text.replace(&Sha256::of(name).to_string(), &name.to_uppercase());
        }
        text
    }

    fn clean(&self, args: &[&str]) -> Said {
        self.sandbox.dpgui(&[&["clean"], args].concat()).ok()
    }
}

const COMMIT: &str = "0123456789012345678901234567890123456789";

const HEAD: &str = "CACHE/repositories/0123456789012345678901234567890123456789.git/HEAD";

const ALL: [&str; 9] = [
    "CACHE/downloads/FRESH.part",
    "CACHE/downloads/NEW",
    "CACHE/downloads/OLD",
    "CACHE/downloads/STALE.part",
    "CACHE/downloads/STALE.part.json",
    "CACHE/downloads/mine.txt",
    "CACHE/pip/WHEEL/some.whl",
    HEAD,
    "DIR/w/.venv.tmp-12/lib/a.py",
];

#[track_caller]
fn check(settings: &str, args: &[&str], gone: &[&str], said: &str) {
    let world = World::new();
    world.sandbox.write("w/dpgui.toml", settings);
    let expected = |gone: &[&str]| -> Vec<String> {
        let always = ["DIR/w/dpgui.toml", "DIR/w/tools/node/bin/node"];
        let all = ALL.iter().chain(&always).filter(|it| !gone.contains(it));
        all.map(ToString::to_string).collect()
    };
    let dry = world.clean(&[args, &["--dry-run"]].concat());
    assert_eq!(world.files(), expected(&[]), "a dry run removes nothing");
    let dry_said = said.replace("     Removed", "Would remove").replace("       Freed", "  Would free");
    assert_eq!(world.neutral(&dry.stderr), dry_said);
    assert_eq!(world.neutral(&world.clean(args).stderr), said);
    assert_eq!(world.files(), expected(gone));
    assert_eq!(world.clean(args).stderr, "       Clean nothing to remove\n");
}

const LEFTOVER: &str = "     Removed leftover of a setup `DIR/w/.venv.tmp-12`, 5 B\n";

#[test]
fn what_nobody_needs_goes_and_more_only_if_it_is_asked_for() {
    let part = |name: &str, bytes| {
        format!("     Removed part of a download `CACHE/downloads/{name}.part`, {bytes} B\n")
    };
    let pip = "     Removed what pip left `CACHE/pip/WHEEL`, 300 B\n";
    let old = "     Removed download `CACHE/downloads/OLD`, 2.93 KiB\n";
    let new = "     Removed download `CACHE/downloads/NEW`, 1.95 KiB\n";
    let repository = format!("     Removed repository `CACHE/repositories/{COMMIT}.git`, 100 B\n");
    let stale = ["CACHE/downloads/STALE.part", "CACHE/downloads/STALE.part.json"];
    let leftover = "DIR/w/.venv.tmp-12/lib/a.py";
    check(
        "",
        &[],
        &[stale[0], stale[1], leftover],
        &format!("{}{LEFTOVER}       Freed 505 B by removing 2 things\n", part("STALE", 500)),
    );
    check(
        "cache.limit = \"4 kB\"",
        &[],
        &[stale[0], stale[1], "CACHE/downloads/OLD", leftover],
        &format!("{old}{}{LEFTOVER}       Freed 3.42 KiB by removing 3 things\n", part("STALE", 500)),
    );
    let partials = [part("STALE", 500), part("FRESH", 400)].concat();
    check(
        "",
        &["--partials"],
        &[stale[0], stale[1], "CACHE/downloads/FRESH.part", "CACHE/pip/WHEEL/some.whl"],
        &format!("{partials}{pip}       Freed 1.17 KiB by removing 3 things\n"),
    );
    check(
        "",
        &["--cache"],
        &["CACHE/downloads/OLD", "CACHE/downloads/NEW", HEAD],
        &format!("{old}{new}{repository}       Freed 4.98 KiB by removing 3 things\n"),
    );
    let mine = "CACHE/downloads/mine.txt";
    let gone: Vec<&str> = ALL.into_iter().filter(|it| *it != mine).collect();
    let part = [part("STALE", 500), part("FRESH", 400)];
    check(
        "",
        &["--all"],
        &gone,
        &format!(
            "{old}{}{}{new}{pip}{repository}{LEFTOVER}       Freed 6.16 KiB by removing 7 things\n",
            part[0], part[1]
        ),
    );
}

#[test]
fn what_a_setup_uses_stays_and_is_named() {
    let world = World::new();
    fs::write(world.cache.file(Sha256::of("new")), "new").expect("written");
    let held = world.cache.take(Sha256::of("new")).expect("looked").expect("there");
    let lock =
        Lock::exclusive(&world.sandbox.path("w/.dpgui/setup.lock"), "dpgui setup", Wait::No).expect("free");
    let events = |args: &[&str]| {
        let text = world.neutral(&world.clean(args).stdout);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let used = [
        r#"{"event":"in-use","what":"download","path":"CACHE/downloads/NEW","bytes":3}"#,
        r#"{"event":"in-use","what":"leftover of a setup","path":"DIR/w/.venv.tmp-12","bytes":5}"#,
    ];
    let dry = events(&["--all", "--json", "--dry-run"]);
    assert!(used.iter().all(|it| dry.iter().any(|line| line == it)), "{dry:#?}");
    let said = events(&["--all", "--json"]);
    assert!(used.iter().all(|it| said.iter().any(|line| line == it)), "{said:#?}");
    let end = r#"{"event":"clean-done","dry_run":false,"removed":5,"bytes":4300,"in_use":2}"#;
    assert_eq!(said.last().map(String::as_str), Some(end));
    assert!(held.path.exists() && world.sandbox.path("w/.venv.tmp-12").exists());
    let again = world.neutral(&world.clean(&["--all"]).stderr);
    let left = "        Left download `CACHE/downloads/NEW`, 3 B: a setup uses it\n\
                \x20       Left leftover of a setup `DIR/w/.venv.tmp-12`, 5 B: a setup uses it\n\
                \x20   Finished a setup uses all of it\n";
    assert_eq!(again, left);
    drop((held, lock));
    world.clean(&["--all"]);
    assert!(!world.sandbox.path("w/.venv.tmp-12").exists());
}

#[test]
fn what_a_killed_command_left_of_a_bundle_is_found_wherever_it_is_and_nothing_else_there() {
    let mut world = crate::support::small_world::SmallWorld::start();
    world.index.wheel("tiny", "1.0", &[("tiny.py", "")], "");
    let mut sandbox = world.sandbox();
    // No Python of the publisher's goes in where there is no way to it.
    sandbox.env("DPGUI_TEST_NO_RETRY_DELAY", "1");
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    let mine = ".carried.tar.tmp-mine";
    let half = || {
        let mut create = sandbox.command(&["bundle", "create", "../home/carried.tar"]);
        let died = create.env("DPGUI_TEST_KILL_AT", "bundle-written").output().expect("it starts");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&died.status), Some(9));
        let names = fs::read_dir(sandbox.path("home")).expect("listed").flatten().map(|it| it.path());
        let half =
            names.filter(|it| it.to_string_lossy().contains("carried.tar.tmp-") && !it.ends_with(mine));
        half.collect::<Vec<_>>().pop().expect("it was written")
    };
    let left = half();
    // As another program, or a dpgui that is alive, may call its own.
    let of_others = [
        sandbox.write(Path::new("home").join(mine), "mine"),
        sandbox.write(format!("home/.other.tar.tmp-{}", i32::MAX), "theirs"),
        sandbox.write(format!("home/.now.tar.tmp-{}", std::process::id()), "being written"),
    ];
    let note = format!("w/.dpgui/bundles/{}", std::process::id());
    sandbox.write(note, of_others[2].to_string_lossy().as_bytes());

    let name = left.file_name().expect("a name").to_string_lossy().into_owned();
    let doctor = sandbox.dpgui(&["doctor", "--json"]);
    assert!(doctor.stdout.contains(&name), "{doctor}");
    let dry = sandbox.dpgui(&["clean", "--partials", "--dry-run"]).ok();
    assert!(dry.stderr.contains("part of a bundle `") && dry.stderr.contains(&name), "{dry}");
    assert!(left.exists());
    for args in [&["bundle", "create", "../other.tar"][..], &["clean", "--partials"], &["setup"]] {
        let left = half();
        let said = sandbox.dpgui(args).ok();
        assert!(!left.exists() && of_others.iter().all(|it| it.exists()), "{said}");
        let notes = fs::read_dir(sandbox.path("w/.dpgui/bundles")).expect("listed").count();
        assert_eq!(notes, 1, "that of the living one: {said}");
    }
}

#[test]
fn where_nothing_was_ever_set_up_nothing_is_touched() {
    let sandbox = Sandbox::new();
    let mine: PathBuf = sandbox.write("w/.notes.tmp-12", "mine");
    for args in [&["clean"][..], &["clean", "--all"], &["clean", "--dry-run"]] {
        assert_eq!(sandbox.dpgui(args).ok().stderr, "       Clean nothing to remove\n");
    }
    assert!(mine.exists() && !sandbox.path("home/.cache").exists() && !sandbox.path("w/.dpgui").exists());
    let said = sandbox.dpgui(&["clean", "--all", "--cache"]);
    assert_eq!(said.code, Some(2), "one thing at a time: {said}");
}

#[test]
fn many_things_are_counted_unless_each_is_asked_for() {
    let world = World::new();
    for number in 0..80 {
        world.put(&world.cache.file(Sha256::of(number.to_string())), 1 << 10, 1);
    }
    let lines = |args: &[&str]| {
        let said = world.clean(&[&["--cache", "--dry-run"], args].concat());
        said.stderr.lines().chain(said.stdout.lines()).map(str::to_owned).collect::<Vec<_>>()
    };
    let short = lines(&[]);
    assert_eq!(short.len(), 3, "{short:#?}");
    assert!(short[0].starts_with("Would remove download `") && short[0].ends_with("` and 81 more, 84.9 KiB"));
    assert_eq!(short[2], "  Would free 85.0 KiB by removing 83 things");
    assert_eq!([lines(&["--verbose"]).len(), lines(&["--json"]).len()], [84, 84]);
}
