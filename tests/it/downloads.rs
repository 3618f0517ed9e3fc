//! Downloads against a server with every fault that servers have: what is asked for, what is kept, what is said.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use dpgui::{
    error::Error,
    install::{
        InstallError,
        cache::Cache,
        download::{self, Fetched, Listener, Wanted},
    },
    platform::{digest::Sha256, net::Http, patience::Patience, place::Place},
};
use tempfile::TempDir;

use crate::{
    archives,
    support::{
        file_server::{
            Fault::{self, *},
            FileServer,
        },
        lab::until,
        sandbox::{Said, Sandbox},
    },
};

/// Several buffers long.
const LENGTH: usize = 300_000;

/// What all faults happen to.
fn content() -> Vec<u8> {
    let noise = |n: usize| n.wrapping_mul(2_654_435_761).to_be_bytes()[4];
    (0..LENGTH).map(noise).collect()
}

/// In a hurry where nothing is waited for; a busy machine may still take its time.
fn hurried() -> Patience {
    Patience {
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
        longest_asked: Duration::from_millis(100),
        ..Patience::default()
    }
}

/// A server, a cache, and what was said.
struct World {
    server: FileServer,
    dir: TempDir,
    cache: Cache,
    patience: Patience,
    said: Mutex<Vec<String>>,
}

impl Listener for World {
    fn total(&self, _: u64) {}

    fn at(&self, bytes: u64) {
        assert!(bytes <= LENGTH as u64, "more than there is: {bytes}");
    }

    fn doing(&self, what: String) {
        self.said.lock().expect("not poisoned").push(what);
    }
}

impl World {
    fn new() -> Self {
        let (server, dir) = (FileServer::start(), TempDir::with_prefix("dpgui-test-").expect("a temp dir"));
        server.file("/file", content());
        let cache = Cache::at(dir.path().join("cache"), u64::MAX);
        Self { server, dir, cache, patience: hurried(), said: Mutex::default() }
    }

    fn fetch(&self, size: Option<usize>, paths: &[&str]) -> Result<Fetched, InstallError> {
        let place = |path: &&str| {
            let place = if path.starts_with('/') { self.server.url(path) } else { (*path).to_owned() };
            place.parse().expect("a place")
        };
        let places: Vec<Place> = paths.iter().map(place).collect();
        let wanted = Wanted {
            name: "file",
            sha256: Sha256::of(content()),
            size: size.map(|it| it as u64),
            places: &places,
            another_way: false,
        };
        let http = Http::patient(self.patience).expect("a client");
        download::fetch(&http, &wanted, &self.cache, self)
    }

    /// Names in the cache's folder of downloads.
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.cache.dir().join("downloads")).into_iter().flatten().flatten();
        let mut names: Vec<String> = names.map(|it| it.file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    fn partial(&self) -> PathBuf {
        self.cache.partial(Sha256::of(content()))
    }

    #[track_caller]
    fn assert_whole(&self, fetched: &Fetched) {
        assert_eq!(fs::read(&fetched.path).expect("there"), content());
        assert_eq!(self.left(), [Sha256::of(content()).to_string()], "nothing else is left");
    }

    /// An error as the user sees it, with the server as `SERVER`.
    fn told(&self, error: InstallError) -> (u8, String) {
        let error = Error::from(error);
        let text = error.to_string().replace(&self.server.url(""), "SERVER");
        (error.kind().exit_code(), text.replace(&self.dir.path().display().to_string(), "DIR"))
    }
}

/// The file comes whole in spite of `faults`, after requests from these offsets.
#[track_caller]
fn check(name: &str, etag: Option<&str>, faults: &[Fault], expected: &[&str]) {
    let world = World::new();
    if let Some(etag) = etag {
        world.server.tag(etag);
    }
    world.server.faults(faults);
    let fetched =
        world.fetch(None, &["/file"]).unwrap_or_else(|error| panic!("{name}: {:?}", world.told(error)));
    world.assert_whole(&fetched);
    let expected: Vec<String> = expected.iter().map(|it| format!("GET /file from {it}")).collect();
    assert_eq!(world.server.requests(), expected, "{name}");
}

#[test]
fn whatever_a_server_does_the_file_comes_whole_and_no_byte_twice_without_need() {
    let v1 = Some("\"v1\"");
    check("nothing", None, &[], &["0"]);
    check("cut", None, &[CutAfter(1000), CutAfter(2000)], &["0", "1000", "3000"]);
    check("cut, and the server names its file", v1, &[CutAfter(1000)], &["0", "1000 if \"v1\""]);
    check("cut before the first byte", v1, &[CutAfter(0)], &["0", "0"]);
    check("a changed tag", v1, &[CutAfter(1000), Tag("\"v2\"")], &["0", "1000 if \"v1\""]);
    check("a changed tag, cut again", v1, &[CutAfter(1000), Tag("\"v2\"")], &["0", "1000 if \"v1\""]);
    check("a weak tag", Some("W/\"v1\""), &[CutAfter(1000)], &["0", "1000"]);
    check("ranges ignored", None, &[CutAfter(1000), IgnoreRange], &["0", "1000"]);
    check("another start", None, &[CutAfter(1000), RangeFrom(1)], &["0", "1000", "0"]);
    check("another total", None, &[CutAfter(1000), RangeOf(1)], &["0", "1000", "0"]);
    check(
        "a bad gateway",
        None,
        &[Status(502, "Bad"), CutAfter(1000), Status(503, "Busy")],
        &["0", "0", "1000", "1000"],
    );
    check("a chunk that breaks off", None, &[CutChunk(1000)], &["0", "1000"]);
    check("too much promised", None, &[Promise(10)], &["0", "300000"]);
    check("damage on the way, before a cut", None, &[CutAfter(1000), Flip(2000)], &["0", "1000", "0"]);
    check("a local redirect", None, &[Redirect("/file".to_owned()), CutAfter(1000)], &["0", "0", "1000"]);
}

#[test]
fn cut_off_as_often_as_it_likes_a_file_that_moves_forward_arrives() {
    let cuts = vec![Fault::CutAfter(LENGTH / 20); 19];
    let offsets: Vec<String> = (0..20).map(|n| (n * (LENGTH / 20)).to_string()).collect();
    check("nineteen cuts", None, &cuts, &offsets.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A body that does not come on is given up, for this reason, and resumed.
#[track_caller]
fn check_stall(fault: Fault, idle: Duration, slow: Duration, reason: &str) {
    let mut world = World::new();
    world.patience = Patience { idle, slow, slowest: 10_000, ..hurried() };
    world.server.faults(&[fault]);
    world.assert_whole(&world.fetch(None, &["/file"]).expect("the second answer is quick"));
    let requests = world.server.requests();
    let from = |line: &String| line.rsplit(' ').next().and_then(|it| it.parse().ok());
    let offsets: Vec<usize> = requests.iter().filter_map(from).collect();
    // A busy machine may be given up too, but what has come is not asked for again.
    assert!(
        offsets[0] == 0 && offsets.len() > 1 && offsets[1..].iter().all(|it| *it >= 1000),
        "{requests:?}"
    );
    let said = world.said.lock().expect("not poisoned").join("\n");
    assert!(said.contains(&format!("({reason}); trying again in 0.0 s")), "{said}");
}

#[test]
fn a_body_that_falls_silent_or_trickles_is_given_up_and_resumed() {
    let (soon, late) = (Duration::from_millis(500), Duration::from_mins(1));
    check_stall(SilentAfter(1000), soon, late, "operation timed out");
    let slow = "fewer than 10000 bytes a second came for 0.5 s";
    check_stall(Trickle(100, Duration::from_millis(20)), late, soon, slow);
}

#[test]
fn a_place_that_always_trickles_is_given_up_for_good() {
    let mut world = World::new();
    let limit = Duration::from_millis(300);
    world.patience = Patience { idle: limit, slow: limit, slowest: 10_000, ..hurried() };
    world.server.always(Trickle(100, Duration::from_millis(20)));
    let error = Error::from(world.fetch(None, &["/file"]).expect_err("it would take for ever"));
    assert_eq!(error.kind().exit_code(), 3, "{error}");
    assert_eq!(world.server.requests().len(), 5);
    world.server.always(None);
    world.assert_whole(&world.fetch(None, &["/file"]).expect("it is quick again"));
}

/// Every request goes wrong; exit code and words, how many requests, and whether something is kept for later.
#[track_caller]
fn check_failure(
    fault: &Fault,
    size: Option<usize>,
    (code, expected): (u8, &str),
    asked: &[&str],
    kept: u64,
) {
    let world = World::new();
    world.server.always(fault.clone());
    let error = world.fetch(size, &["/file"]).expect_err(expected);
    assert_eq!(world.told(error), (code, expected.to_owned()), "{fault:?}");
    let asked: Vec<String> = asked.iter().map(|it| format!("GET /file from {it}")).collect();
    assert_eq!(world.server.requests(), asked, "{fault:?}");
    assert!(!world.cache.has(Sha256::of(content())), "nothing half-made is believed: {fault:?}");
    assert_eq!(world.partial().metadata().map_or(0, |it| it.len()), kept, "{fault:?}");
    if kept == 0 {
        assert_eq!(world.left(), Vec::<String>::new(), "{fault:?}");
    }
    world.server.always(None);
    world.assert_whole(&world.fetch(size, &["/file"]).expect("the next one succeeds"));
    let again = world.server.requests().len() - asked.len();
    assert_eq!((world.server.requests().last(), again), (Some(&format!("GET /file from {kept}")), 1));
}

#[test]
fn what_cannot_be_had_is_an_error_with_the_next_step_and_what_is_good_of_it_is_kept() {
    const MIRROR: &str = "\n\nhint: check the network and the proxy settings, or name a mirror under `[sources]` in `dpgui.toml`";
    const PROXY: &str =
        "\n\nhint: a proxy may be in the way; name a mirror under `[sources]` in `dpgui.toml`";
    const PIN: &str = "\n\nhint: this place sends something else, a login page perhaps: name another one with `places` under `[sources]` in `dpgui.toml`, or pin its file's digest there if you know that it is right";
    const LATER: &str = "\n\nhint: run the same command then: what has come stays";
    let network = |told: &str, hint: &str| format!("error: `SERVER/file` {told}{hint}");
    let five = ["0"; 5];
    let busy = network("answered 500 Internal Server Error", MIRROR);
    check_failure(&Fault::Status(500, "Oops"), None, (3, &busy), &five, 0);
    let many = network("answered 429 Too Many Requests, and asks to come back in 2 min", LATER);
    let later = Fault::StatusWith(429, "Slow down", "Retry-After: 100".to_owned());
    check_failure(&later, None, (3, &many), &five, 0);
    let many = network("answered 503 Service Unavailable, and asks to come back in 60 min", LATER);
    let much_later = Fault::StatusWith(503, "Closed", "Retry-After: 3600".to_owned());
    check_failure(&much_later, None, (3, &many), &["0"], 0);
    for (status, told) in
        [(404, "404 Not Found"), (410, "410 Gone"), (401, "401 Unauthorized"), (403, "403 Forbidden")]
    {
        let told = network(&format!("answered {told}"), MIRROR);
        check_failure(&Fault::Status(status, ""), None, (3, &told), &["0"], 0);
    }
    let nothing = network("answered 204 No Content", MIRROR);
    check_failure(&Fault::Status(204, "No Content"), None, (3, &nothing), &["0"], 0);
    let circle = network(
        "redirects more than 10 times\n  caused by: error following redirect\n  caused by: too many redirects",
        PROXY,
    );
    check_failure(&Fault::Redirect("/file".to_owned()), None, (3, &circle), &["0"; 11], 0);
    let encoded = network("sends its file encoded as `gzip`, which was not asked for", PROXY);
    check_failure(&Fault::Encoded, None, (3, &encoded), &["0"], 0);
    let cut = "error: the connection to `SERVER/file` broke off\n  caused by: request or response body error\n  \
               caused by: error reading a body from connection\n  caused by: end of file before message length reached";
    check_failure(&Fault::CutAfter(0), None, (3, &format!("{cut}{MIRROR}")), &five, 0);

    let (right, wrong) = (Sha256::of(content()), |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = content();
        change(&mut bytes);
        Sha256::of(bytes)
    });
    let other = |found: Sha256| {
        format!(
            "error: `SERVER/file` is not the file that is pinned: its sha256 is {found}, expected {right}{PIN}"
        )
    };
    let flipped = other(wrong(&|bytes| bytes[7] ^= 0xff));
    check_failure(&Fault::Flip(7), None, (4, &flipped), &["0"], 0);
    let short = other(wrong(&|bytes| bytes.truncate(1000)));
    check_failure(&Fault::EndChunks(1000), None, (4, &short), &["0"], 0);
    let shorter = other(wrong(&|bytes| bytes.truncate(LENGTH - 10)));
    check_failure(&Fault::Promise(-10), None, (4, &shorter), &["0"], 0);
    let size = format!(
        "error: `SERVER/file` is not the file that is pinned: it has 299990 bytes, expected 300000{PIN}"
    );
    check_failure(&Fault::Promise(-10), Some(LENGTH), (4, &size), &["0"], 0);
}

#[test]
fn a_busy_server_is_asked_again_when_it_says_and_what_came_before_is_kept() {
    let world = World::new();
    let busy = |asked: &str| StatusWith(429, "Busy", format!("Retry-After: {asked}"));
    world.server.faults(&[CutAfter(1000), busy("0"), busy("100"), busy("Mon, 23 Nov 2026 12:00:00 GMT")]);
    world.server.always(Status(503, "Busy"));
    world.fetch(None, &["/file"]).expect_err("busy");
    assert_eq!(world.partial().metadata().expect("kept").len(), 1000);
    let said = world.said.lock().expect("not poisoned").clone();
    let pauses: Vec<_> = said.iter().filter_map(|it| it.split_once("429 Too Many Requests")).collect();
    let pauses: Vec<_> = pauses.into_iter().map(|(_, pause)| pause).collect();
    // The second is cut to the longest that this test has patience for.
    assert_eq!(
        pauses,
        [
            "; trying again in 0.0 s",
            ", and asks to come back in 2 min; trying again in 0.1 s",
            "; trying again in 0.0 s"
        ],
        "{said:?}"
    );
    world.server.always(None);
    world.assert_whole(&world.fetch(None, &["/file"]).expect("mended"));
    assert_eq!(world.server.requests().last().expect("one"), "GET /file from 1000");
}

#[test]
fn the_next_place_is_asked_at_once_and_goes_on_where_the_one_before_ended() {
    let world = World::new();
    world.server.file("/other", content());
    world.server.file("/wrong", "wrong");
    world.server.faults(&[Status(404, "")]);
    let fetched = world.fetch(None, &["/file", "/other"]).expect("the second has it");
    world.assert_whole(&fetched);
    assert_eq!(fetched.from, world.server.url("/other"));
    assert_eq!(world.server.requests(), ["GET /file from 0", "GET /other from 0"]);

    let world = World::new();
    world.server.file("/other", content());
    world.server.faults(&[CutAfter(1000), Status(404, "")]);
    world.server.tag("\"v1\"");
    world.assert_whole(&world.fetch(None, &["/file", "/other"]).expect("the second has it"));
    let asked = ["GET /file from 0", "GET /file from 1000 if \"v1\"", "GET /other from 1000"];
    assert_eq!(world.server.requests(), asked, "what one server calls its file another does not know");
}

#[test]
fn a_wrong_file_is_worse_news_than_a_missing_one() {
    let world = World::new();
    world.server.file("/wrong", "wrong");
    let error = world.fetch(None, &["/gone", "/wrong", "/gone"]).expect_err("nobody has it");
    let (found, expected) = (Sha256::of("wrong"), Sha256::of(content()));
    let told = format!(
        "error: no place to get `file` from is left\n  caused by: `SERVER/wrong` is not the file that is pinned: its \
         sha256 is {found}, expected {expected}\n\n\
         hint: this place sends something else, a login page perhaps: name another one with `places` under `[sources]` in `dpgui.toml`, or pin its file's digest there if you know that it is right"
    );
    assert_eq!(world.told(error), (4, told));
    assert_eq!(world.left(), Vec::<String>::new());
}

#[test]
fn a_file_of_known_size_is_cut_off_where_it_goes_on() {
    let world = World::new();
    world.server.file("/long", [content(), vec![0; 10_000_000]].concat());
    world.server.always(EndChunks(usize::MAX));
    let error = world.fetch(Some(LENGTH), &["/long"]).expect_err("too long");
    let told = "error: `SERVER/long` is not the file that is pinned: it goes on after the expected 300000 bytes\n\n\
                hint: this place sends something else, a login page perhaps: name another one with `places` under `[sources]` in `dpgui.toml`, or pin its file's digest there if you know that it is right";
    assert_eq!(world.told(error), (4, told.to_owned()));
    assert_eq!(world.left(), Vec::<String>::new());
    world.server.always(None);
    let error = world.fetch(Some(LENGTH), &["/long"]).expect_err("the length says so");
    let told = world.told(error).1;
    assert!(told.contains("it has 10300000 bytes, expected 300000"), "{told}");
}

#[test]
fn a_login_page_in_the_place_of_the_file_does_not_cost_what_is_there() {
    let world = World::new();
    world.server.faults(&[CutAfter(1000), Status(404, ""), IgnoreRange]);
    world.server.file("/page", "<h1>Sign in</h1>");
    let error = world.fetch(Some(LENGTH), &["/file", "/page"]).expect_err("a page");
    assert_eq!(world.told(error).0, 4);
    assert_eq!(world.partial().metadata().expect("kept").len(), 1000);
    world.assert_whole(&world.fetch(Some(LENGTH), &["/file"]).expect("the rest comes"));
    assert_eq!(world.server.requests().last().expect("one"), "GET /file from 1000");
}

#[test]
fn a_file_of_known_size_that_ends_early_is_gone_on_with() {
    let world = World::new();
    world.server.faults(&[EndChunks(1000)]);
    world.assert_whole(&world.fetch(Some(LENGTH), &["/file"]).expect("the rest comes"));
    assert_eq!(world.server.requests(), ["GET /file from 0", "GET /file from 1000"]);
}

/// What an earlier process left, and what it is good for.
#[track_caller]
fn check_left(name: &str, partial: &[u8], origin: Option<&str>, expected: &[&str]) {
    let world = World::new();
    fs::create_dir_all(world.partial().parent().expect("a folder")).expect("created");
    fs::write(world.partial(), partial).expect("written");
    if let Some(origin) = origin {
        let digest = Sha256::of(world.server.url("/file"));
        let text = origin.replace("DIGEST", &digest.to_string());
        fs::write(world.cache.origin(Sha256::of(content())), text).expect("written");
    }
    world.server.tag("\"v1\"");
    world.assert_whole(&world.fetch(None, &["/file"]).unwrap_or_else(|error| panic!("{name}: {error}")));
    let expected: Vec<String> = expected.iter().map(|it| format!("GET /file from {it}")).collect();
    assert_eq!(world.server.requests(), expected, "{name}");
}

#[test]
fn what_an_earlier_process_left_is_used_as_far_as_it_is_good() {
    let content = content();
    let origin = r#"{"url": "u", "url_sha256": "DIGEST", "validator": "\"v1\"", "total": 300000}"#;
    check_left("a beginning", &content[..1000], None, &["1000"]);
    check_left("with its origin", &content[..1000], Some(origin), &["1000 if \"v1\""]);
    check_left(
        "from elsewhere",
        &content[..1000],
        Some(&origin.replace("DIGEST", &"0".repeat(64))),
        &["1000"],
    );
    check_left("an origin that makes no sense", &content[..1000], Some("{"), &["1000"]);
    check_left(
        "another total",
        &content[..1000],
        Some(&origin.replace("300000", "7")),
        &["1000 if \"v1\"", "0"],
    );
    check_left("all of it", &content, Some(origin), &[]);
    check_left("nothing of it", b"", None, &["0"]);
    check_left("not its beginning", b"something else", None, &["14", "0"]);
    check_left("more than it", &[&content[..], b"more"].concat(), None, &["300004", "0"]);
}

#[test]
fn a_whole_file_that_was_damaged_is_fetched_again() {
    let world = World::new();
    drop(world.fetch(None, &["/file"]).expect("fetched"));
    fs::write(world.cache.file(Sha256::of(content())), "damaged").expect("written");
    world.assert_whole(&world.fetch(None, &["/file"]).expect("fetched again"));
    assert_eq!(world.server.requests().len(), 2);
    let earlier = world.fetch(None, &["/file"]).expect("there");
    assert_eq!((earlier.from.as_str(), world.server.requests().len()), ("an earlier download", 2));
}

#[test]
fn a_server_that_speaks_no_tls_and_a_name_that_nobody_has_are_network_errors() {
    let world = World::new();
    let secure = world.server.url("/file").replace("http:", "https:");
    let error = world.fetch(None, &[&secure]).expect_err("no TLS there");
    let (code, told) = world.told(error);
    assert_eq!(code, 3);
    assert!(told.starts_with(&format!("error: cannot reach `{secure}`\n  caused by: ")), "{told}");
    assert!(told.ends_with("hint: check the network and the proxy settings, or name a mirror under `[sources]` in `dpgui.toml`"), "{told}");

    let (sandbox, _) = node_workspace(&world.server, "http://nobody.invalid/node.tar.gz");
    let said = sandbox.dpgui(&["setup", "--only", "node"]);
    assert_eq!(said.code, Some(3), "{said}");
    assert!(said.stderr.contains("cannot reach `http://nobody.invalid/node.tar.gz`"), "{said}");
}

// From here on the program itself.

const NODE: &str = "/node.tar.gz";

/// A workspace whose Node comes from `place`, with its archive on `server` at [`NODE`], and the archive.
fn node_workspace(server: &FileServer, place: &str) -> (Sandbox, Vec<u8>) {
    // Newer than any that the machine may have, and with something that does not shrink.
    let (top, noise) = ("node-v99.0.0", (0..2000).map(|n| Sha256::of(format!("{n}")).to_string()));
    let archive = archives::tar_gz(&[
        (&format!("{top}/bin/node"), 0o755, "#!/bin/sh\necho v99.0.0\n"),
        (&format!("{top}/bin/npm"), 0o755, "#!/bin/sh\n"),
        (&format!("{top}/lib/big.txt"), 0o644, &noise.collect::<String>()),
    ]);
    server.file(NODE, archive.clone());
    let digest = Sha256::of(&archive);
    let mut sandbox = Sandbox::new();
    for name in ["w", "other"] {
        sandbox.write(
            format!("{name}/dpgui.toml"),
            format!(
                "[sources.node]\nversion = \"99.0.0\"\nplaces = [\"{place}\"]\n\
                 sha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n"
            ),
        );
    }
    sandbox.env("DPGUI_TEST_NO_RETRY_DELAY", "1").env("NO_PROXY", "*").env("no_proxy", "*");
    (sandbox, archive)
}

fn setup(sandbox: &Sandbox) -> Said {
    sandbox.dpgui(&["setup", "--only", "node"])
}

#[test]
fn workspaces_share_their_downloads_and_who_waits_goes_on_when_the_first_is_killed() {
    let server = FileServer::start();
    let (sandbox, archive) = node_workspace(&server, &server.url(NODE));
    let half = archive.len() / 2;
    server.tag("\"v1\"");
    server.faults(&[SilentAfter(half)]);
    let mut first = sandbox.command(&["setup", "--only", "node"]).spawn().expect("it starts");
    let partial = sandbox.path(format!("home/.cache/dpgui/downloads/{}.part", Sha256::of(&archive)));
    until("half of it is there", || partial.metadata().ok().filter(|it| it.len() == half as u64));
    let mut second =
        sandbox.command(&["-C", "../other", "setup", "--only", "node"]).spawn().expect("it starts");
    let lock = sandbox.path(format!("home/.cache/dpgui/locks/{}", Sha256::of(&archive)));
    until("the second waits for the first", || waits_for(second.id(), &lock).then_some(()));
    assert_eq!(server.requests(), [format!("GET {NODE} from 0")]);
    first.kill().expect("killed with SIGKILL");
    first.wait().expect("reaped");
    assert!(second.wait().expect("it ends").success());
    let asked = [format!("GET {NODE} from 0"), format!("GET {NODE} from {half} if \"v1\"")];
    assert_eq!(server.requests(), asked);

    setup(&sandbox).ok();
    assert_eq!(server.requests(), asked, "the first workspace needs nothing any more");
    assert!(["w", "other"].iter().all(|it| sandbox.path(it).join("tools/node/bin/node").exists()));
}

/// The kernel's list of locks has the process as one that waits for `path`.
fn waits_for(pid: u32, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(inode) = path.metadata().map(|it| it.ino()) else { return false };
    let locks = fs::read_to_string("/proc/locks").expect("/proc");
    let waiter = |line: &str| line.contains("->") && line.contains(&format!(":{inode} "));
    locks.lines().any(|line| waiter(line) && line.split_whitespace().any(|it| it == pid.to_string()))
}

/// `dpgui setup --only node` after `prepare`, a line of shell, as the root of a mount namespace of its own.
fn setup_after(prepare: &str, sandbox: &Sandbox) -> Said {
    let script = format!("set -e; {prepare}\nexec \"$0\" setup --only node");
    let usual = sandbox.command(&[]);
    let mut command = std::process::Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_dpgui")]);
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(sandbox.root());
    Said::from(command.output().expect("unshare is installed"))
}

/// What is wrong with the cache, the words for it; the same command succeeds when it is mended.
#[track_caller]
fn check_cache(prepare: &str, fault: Fault, expected: &str) {
    let server = FileServer::start();
    let (mut sandbox, archive) = node_workspace(&server, &server.url(NODE));
    sandbox.env("DPGUI_CACHE_DIR", sandbox.path("a cache"));
    fs::create_dir(sandbox.path("a cache")).expect("created");
    server.faults(&[fault]);
    let said = setup_after(prepare, &sandbox);
    assert_eq!(said.code, Some(6), "{said}");
    let digest = Sha256::of(&archive).to_string();
    let error = sandbox.neutral(said.stderr.split_once("error: ").expect("an error").1);
    assert_eq!(error.replace(&digest, "SHA256"), expected);
    assert!(!sandbox.path("w/tools/node").exists());
    setup(&sandbox).ok();
}

#[test]
fn a_cache_that_cannot_be_written_is_named_with_its_variable() {
    check_cache(
        "mount -t tmpfs -o nr_inodes=2 none '../a cache'",
        Nothing,
        "the download cache `DIR/a cache` cannot be used\n  caused by: cannot create `DIR/a cache/CACHEDIR.TAG`\n  \
         caused by: No space left on device (os error 28)\n\nhint: remove files there, which has \
         room for no more of them (`df -i`), or set `DPGUI_CACHE_DIR` to a directory on another file system\n",
    );
    let cannot = "the download cache `DIR/a cache` cannot be used\n  caused by: cannot";
    let writable = "set `DPGUI_CACHE_DIR` to a directory that can be written\n";
    check_cache(
        "mount -t tmpfs -o ro none '../a cache'",
        Nothing,
        &format!(
            "{cannot} create the directory `DIR/a cache/downloads`\n  caused by: Read-only file system (os error 30)\n\nhint: {writable}"
        ),
    );
    let full = "free some space there, or set `DPGUI_CACHE_DIR` to a directory on another file system\n";
    check_cache(
        "mount -t tmpfs -o size=40k none '../a cache'",
        EndChunks(usize::MAX),
        &format!(
            "{cannot} write `DIR/a cache/downloads/SHA256.part`\n  caused by: No space left on device (os error 28)\n\nhint: {full}"
        ),
    );
}

#[test]
fn a_file_that_has_no_room_is_not_even_begun() {
    let server = FileServer::start();
    let (mut sandbox, _) = node_workspace(&server, &server.url(NODE));
    sandbox.env("DPGUI_CACHE_DIR", sandbox.path("cache"));
    fs::create_dir(sandbox.path("cache")).expect("created");
    let said = setup_after("mount -t tmpfs -o size=40k none ../cache", &sandbox);
    assert_eq!(said.code, Some(6), "{said}");
    let error = said.stderr.split_once("error: ").expect("an error").1;
    assert!(error.starts_with("`node` needs "), "{said}");
    assert!(error.contains(" in the download cache `"), "{said}");
    assert!(
        error.ends_with(
            "hint: free some space there, or set `DPGUI_CACHE_DIR` to a directory on another file system\n"
        ),
        "{said}"
    );
}

#[test]
fn odd_places_and_times_are_no_obstacle() {
    let check = |name: &str, prepare: &str| {
        let server = FileServer::start();
        let (mut sandbox, archive) = node_workspace(&server, &server.url(NODE));
        sandbox.env("DPGUI_CACHE_DIR", sandbox.path("näme with spaces"));
        fs::create_dir(sandbox.path("näme with spaces")).expect("created");
        let said = setup_after(prepare, &sandbox);
        assert_eq!(said.code, Some(0), "{name}: {said}");
        assert_eq!(server.requests().len(), 1, "{name}");
        drop(archive);
    };
    check("a mask that shuts others out", "umask 077");
    check("a file system of its own", "mount -t tmpfs none '../näme with spaces'");
    check(
        "temporary files where nothing may be run",
        "mkdir ../t; mount -t tmpfs -o noexec none ../t; export TMPDIR=$PWD/../t",
    );
}

#[test]
fn files_from_the_future_are_as_good_as_any() {
    let server = FileServer::start();
    let (sandbox, archive) = node_workspace(&server, &server.url(NODE));
    let digest = Sha256::of(&archive);
    let cache = Cache::at(sandbox.path("home/.cache/dpgui"), u64::MAX);
    let partial = sandbox.write(cache.partial(digest), &archive[..1000]);
    let future = std::time::SystemTime::now() + Duration::from_hours(24 * 400);
    let set = |path: &Path| fs::File::open(path).and_then(|it| it.set_modified(future)).expect("set");
    set(&partial);
    setup(&sandbox).ok();
    set(&cache.file(digest));
    sandbox.dpgui(&["-C", "../other", "setup", "--only", "node"]).ok();
    assert_eq!(server.requests(), [format!("GET {NODE} from 1000")]);
}

#[test]
fn without_a_home_the_cache_is_in_the_workspace() {
    let server = FileServer::start();
    let (sandbox, archive) = node_workspace(&server, &server.url(NODE));
    let mut command = sandbox.command(&["setup", "--only", "node"]);
    Said::from(command.env_remove("HOME").output().expect("it starts")).ok();
    assert!(sandbox.path("w/.dpgui/cache/downloads").join(Sha256::of(&archive).to_string()).exists());

    let (sandbox, archive) = node_workspace(&server, &server.url(NODE));
    let (mut command, nowhere) = (sandbox.command(&["setup", "--only", "node"]), sandbox.path("nobody"));
    Said::from(command.env("HOME", &nowhere).output().expect("it starts")).ok();
    assert!(sandbox.path("w/.dpgui/cache/downloads").join(Sha256::of(&archive).to_string()).exists());
    assert!(!nowhere.exists(), "nobody gets a home");

    let (sandbox, _) = node_workspace(&server, &server.url(NODE));
    let mut command = sandbox.command(&["setup", "--only", "node"]);
    let said = Said::from(command.env("HOME", "/proc").output().expect("it starts"));
    assert_eq!(said.code, Some(6), "{said}");
    let expected = "error: the download cache `/proc/.cache/dpgui` cannot be used\n";
    assert!(said.stderr.contains(expected) && said.stderr.contains("hint: set `DPGUI_CACHE_DIR`"), "{said}");
}

#[test]
fn what_is_over_the_limit_goes_after_a_setup_the_longest_unused_first() {
    let server = FileServer::start();
    let (sandbox, archive) = node_workspace(&server, &server.url(NODE));
    let downloads = sandbox.path("home/.cache/dpgui/downloads");
    for (name, days) in [("old", 3), ("older", 5)] {
        let path = sandbox.write(downloads.join(Sha256::of(name).to_string()), vec![0; archive.len()]);
        let used = std::time::SystemTime::now() - Duration::from_hours(24 * days);
        fs::File::open(path).and_then(|it| it.set_modified(used)).expect("set");
    }
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    let limit = 2 * archive.len();
    sandbox.write("w/dpgui.toml", format!("cache.limit = \"{limit} B\"\n{settings}"));
    setup(&sandbox).ok();
    let there = |name: &[u8]| downloads.join(Sha256::of(name).to_string()).exists();
    assert_eq!([there(b"older"), there(b"old"), there(&archive)], [false, true, true]);
}

#[test]
fn a_setup_that_fails_keeps_to_the_limit_too_and_keeps_what_it_fetched() {
    let server = FileServer::start();
    let (sandbox, archive) = node_workspace(&server, &server.url(NODE));
    let downloads = sandbox.path("home/.cache/dpgui/downloads");
    let old = sandbox.write(downloads.join(Sha256::of("old").to_string()), vec![0; archive.len()]);
    let used = std::time::SystemTime::now() - Duration::from_hours(72);
    fs::File::open(&old).and_then(|it| it.set_modified(used)).expect("set");
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    let nowhere = "[sources.diffusion-pipe]\nurl = \"/nowhere\"\n";
    sandbox.write("w/dpgui.toml", format!("cache.limit = \"{} B\"\n{settings}{nowhere}", archive.len()));
    // The repository fails when Node has come, so that its archive is what makes it too much.
    let said = sandbox.dpgui(&["setup", "--only", "node"]).ok();
    assert!(!old.exists(), "{said}");
    fs::remove_dir_all(sandbox.path("w/tools")).expect("removed");
    sandbox.write(&old, "old again");
    fs::File::open(&old).and_then(|it| it.set_modified(used)).expect("set");
    let said = sandbox.dpgui(&["setup", "--only", "node,diffusion-pipe"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(!old.exists() && downloads.join(Sha256::of(&archive).to_string()).exists(), "{said}");
}

#[test]
fn where_no_program_may_be_started_that_is_said_and_the_archive_is_not_blamed() {
    let uv = archives::tar_gz(&[("uv/uv", 0o755, "#!/bin/sh\necho 'uv 0.12.5 (x)'\n")]);
    let python = archives::tar_gz(&[("python/bin/python3", 0o755, "#!/bin/sh\necho 3\n")]);
    for (name, archive) in [("node", archives::node("22.12.0")), ("uv", uv), ("python", python)] {
        let (server, sandbox) = (FileServer::start(), Sandbox::new());
        let digest = Sha256::of(&archive);
        let place = server.file("/archive.tar.gz", archive);
        let settings = format!(
            "[sources.{name}]\nplaces = [\"{place}\"]\nsha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n"
        );
        sandbox.write("w/dpgui.toml", settings);
        let mount = "mkdir m; mount -t tmpfs -o noexec none m; cp dpgui.toml m; cd m";
        let said = setup_after(&format!("{mount}; exec \"$0\" setup --only {name}"), &sandbox);
        assert_eq!(said.code, Some(6), "{name}: {said}");
        let error = said.stderr.split_once("error: cannot start `").expect("named").1;
        let hint =
            "hint: choose a workspace where programs may be started (not mounted `noexec`) with `-C DIR`\n";
        assert!(error.ends_with(hint), "{said}");
    }
}
