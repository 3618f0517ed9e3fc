//! Before a run on several machines begins: whether each of the others could do its part. All are asked at once, over ssh,
//! and answer what they see; what that means is decided here.

use std::{
    io::{BufReader, Write},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use jiff::SignedDuration;

use crate::{
    config::{ConfigError, Resolved, TrainConfig},
    error::Kind,
    platform::{
        clock::{self, Stopwatch},
        digest::Sha256,
        fs,
        meeting::{self, Meeting},
        procfs,
    },
};

use super::{
    super::{RunError, request::Request, start::Site},
    error::NodesError,
    part::Part,
    ssh,
    talk::{self, Answer, Frame, Invitation, Look, Word},
};

/// For a machine to look at itself: its file systems and its driver may be slow to wake up.
const PATIENCE: Duration = Duration::from_mins(1);

/// For a connection that nothing keeps from being made.
const REACH: Duration = Duration::from_secs(5);

/// By so much clocks may differ before times in logs and in the names of folders mislead.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// Of the trainer: the file with the queue that no other machine can reach, and what says that it is there.
///
/// Every rank is sent the same `multiprocess` queue, whose server listens on a Unix socket in `/tmp` of the first machine
/// (`utils/dataset.py`, `DatasetManager.cache`, at each start, whatever is cached). Measured with two `/tmp`: a rank that
/// does not see that socket ends with `FileNotFoundError`.
const CACHING: (&str, [&str; 2]) = ("utils/dataset.py", ["mp.Manager()", "broadcast_object_list(queue"]);

/// Why a machine cannot take part, or what may come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub host: String,
    /// None for what only may go wrong.
    pub kind: Option<Kind>,
    pub what: String,
    pub fix: String,
}

/// What is the same on all machines.
struct Ours {
    lock: Option<String>,
    trainer: String,
}

/// Asks all other machines of the run. What may go wrong is returned, for people.
///
/// # Errors
/// All that is wrong, of all machines.
pub fn check(
    site: Site<'_>,
    request: &Request,
    (config, script): (&TrainConfig, &Path),
) -> Result<Vec<String>, RunError> {
    let Some(part) = request.part.as_ref().filter(|it| it.is_head()) else { return Ok(vec![]) };
    request.check_machines()?;
    check_caching(part, script)?;
    let first = &part.nodes[0].host;
    let meeting = Meeting::at(part.master())
        .map_err(|source| NodesError::NotTheFirst { host: first.clone(), source })?;
    let folder = site.workspace.internal().join(format!("preflight-{}", &procfs::random_id()[..12]));
    let asked = ask_all(site, request, (part, script), &meeting, config.resolve_into(&folder));
    // It was for those who look.
    let _ = fs::remove_tree(&folder);
    let found = asked?;
    if found.iter().any(|it| it.kind.is_some()) {
        return Err(NodesError::Obstacles(found).into());
    }
    Ok(found.iter().map(Obstacle::sentence).collect())
}

fn ask_all(
    site: Site<'_>,
    request: &Request,
    (part, script): (&Part, &Path),
    meeting: &Meeting,
    resolved: Result<Resolved, ConfigError>,
) -> Result<Vec<Obstacle>, RunError> {
    let Resolved { config, output_dir, .. } = resolved?;
    let folder = config.with_file_name("");
    let look = Look {
        dpgui: env!("CARGO_PKG_VERSION").to_owned(),
        invitation: Invitation::new((&folder, &config), &site.host.env, part, request)?,
        folder,
        port: meeting.port().map_err(RunError::NoPort)?,
        output_dir,
        token: format!(".dpgui-{}", procfs::random_id()),
    };
    let ours =
        Ours { lock: digest(&site.workspace.lock_file()), trainer: Sha256::of_file(script)?.to_string() };
    fs::create_dir_all(&look.output_dir)?;
    fs::write_atomic(&look.output_dir.join(&look.token), "")?;
    let (look, ours) = (&look, &ours);
    let found = thread::scope(|scope| {
        let asked: Vec<_> =
            part.guests().map(|number| scope.spawn(move || ask(site, look, number, ours))).collect();
        asked.into_iter().flat_map(|it| it.join().unwrap_or_default()).collect()
    });
    let answers = part.guests().map(|number| answer_of(&look.token, number));
    for name in answers.chain([look.token.clone()]) {
        fs::remove_tree(&look.output_dir.join(name))?;
    }
    Ok(found)
}

/// The file with which a machine shows that it can write where all of them save.
pub(super) fn answer_of(token: &str, number: u32) -> String {
    format!("{token}-{number}")
}

pub(super) fn digest(path: &Path) -> Option<String> {
    Sha256::of_file(path).ok().map(|it| it.to_string())
}

fn check_caching(part: &Part, script: &Path) -> Result<(), RunError> {
    let (file, signs) = CACHING;
    let path = script.with_file_name("").join(file);
    let text = fs::read_optional(&path)?.unwrap_or_default();
    if signs.iter().all(|sign| text.contains(sign)) {
        return Err(NodesError::CannotCache { path, machines: part.nodes.len() }.into());
    }
    Ok(())
}

/// One machine: what it answers, and what that means.
fn ask(site: Site<'_>, look: &Look, number: u32, ours: &Ours) -> Vec<Obstacle> {
    let mut look = look.clone();
    look.invitation.part.own = number;
    let host = look.invitation.part.own_node().host.clone();
    let since = Stopwatch::start();
    let command = ssh::dpgui(site.host, site.workspace, &host, &["__node"]);
    let (conversation, from) = match command.converse() {
        Ok(conversation) => conversation,
        Err(cause) => {
            return vec![Obstacle::error(&host, Kind::Failed, cause.to_string(), "install OpenSSH here")];
        }
    };
    let word = serde_json::to_string(&Word::Look(Box::new(look.clone()))).unwrap_or_default();
    // That nobody reads it shows in that nobody answers.
    let _ = writeln!(&conversation, "{word}");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Who waits no longer does not want it.
        let _ = sender.send(talk::next(&mut BufReader::new(from), &mut vec![]));
    });
    let answer = match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(Some(Frame::Answer(answer)))) => *answer,
        Ok(Ok(Some(Frame::Refused { reason }))) => {
            return vec![Obstacle::error(&host, Kind::Failed, reason, "make it like this machine")];
        }
        Ok(_) => return vec![not_there(&host, site, &conversation.end())],
        Err(_) => {
            conversation.break_off();
            let what = format!("has not answered for {} s", PATIENCE.as_secs());
            return vec![Obstacle::error(
                &host,
                Kind::Network,
                what,
                "try what it does with `dpgui doctor` there",
            )];
        }
    };
    // It listens until we hang up.
    let listens =
        answer.listens.as_ref().is_none_or(|(host, port)| meeting::reach(host, *port, REACH).is_ok());
    let wrote = fs::exists(&look.output_dir.join(answer_of(&look.token, number)));
    let skew = answer.time.duration_since(clock::now()).abs();
    let took = SignedDuration::try_from(since.elapsed()).unwrap_or_default();
    drop(conversation);
    judge(&host, &look, ours, &Observed { answer, wrote, listens, skew: skew - took })
}

/// What one machine answered, with what was seen of it from here.
struct Observed {
    answer: Answer,
    wrote: bool,
    listens: bool,
    /// At least so far are the clocks apart.
    skew: SignedDuration,
}

fn judge(host: &str, look: &Look, ours: &Ours, seen: &Observed) -> Vec<Obstacle> {
    let Observed { answer, wrote, listens, skew } = seen;
    let mut found = vec![];
    let mut error = |kind, what: String, fix: &str| found.push(Obstacle::error(host, kind, what, fix));
    if answer.lock != ours.lock {
        error(
            Kind::LockOutdated,
            "has another `dpgui.lock`: what trains there would be of other versions".to_owned(),
            "copy this machine's there, and run `dpgui setup --locked`",
        );
    }
    if answer.trainer.as_ref().is_some_and(|it| *it != ours.trainer) {
        error(
            Kind::Integrity,
            "has another trainer".to_owned(),
            "run `dpgui setup` on both, with the same `dpgui.toml`",
        );
    }
    if let Some((kind, what, fix)) = &answer.refused {
        let fix = fix.as_deref().unwrap_or("try the same configuration there: `dpgui train --print-command`");
        error(*kind, format!("could not begin: {what}"), fix);
    }
    let output = look.output_dir.display();
    if !answer.sees_output {
        error(
            Kind::Disk,
            format!("does not see the files in `{output}` that are here, where all have to save together"),
            "put `output_dir` on a file system that all machines share",
        );
    } else if !wrote {
        error(
            Kind::Disk,
            format!("cannot write in `{output}`"),
            "let the user that ssh is there write in it",
        );
    }
    if let Some(cause) = &answer.misses_head {
        let master = look.invitation.part.master();
        error(
            Kind::Network,
            format!("cannot reach port {} of `{master}`, where the ranks meet: {cause}", look.port),
            "name this machine in the hostfile as the others know it, and let all ports between them through",
        );
    }
    let mut warn = |what: String, fix: &str| found.push(Obstacle::warning(host, what, fix));
    if !listens && let Some((address, port)) = &answer.listens {
        warn(
            format!("cannot be reached at port {port} of {address}: ranks may not find each other"),
            "let all ports between the machines through",
        );
    }
    if *skew > SKEW {
        warn(format!("has a clock that is {} s off", skew.as_secs()), "have both set by NTP");
    }
    for warning in &answer.warnings {
        warn(format!("warns: {warning}"), "");
    }
    found
}

/// What ssh or the shell there said when there was no answer.
fn not_there(host: &str, site: Site<'_>, said: &str) -> Obstacle {
    let program = site.host.program.display();
    if said.contains("unrecognized subcommand") {
        let what = format!("has an older dpgui at `{program}`");
        return Obstacle::error(host, Kind::Unsupported, what, "install the same version on all machines");
    }
    if said.contains("not found") || said.contains("No such file or directory") {
        let what = format!("has no dpgui at `{program}`: {said}");
        return Obstacle::error(host, Kind::Failed, what, "install it there at the same place as here");
    }
    let fix = format!("`ssh -o BatchMode=yes {host} true` has to work without a question");
    Obstacle::error(host, Kind::Network, format!("cannot be reached by ssh: {said}"), &fix)
}

impl Obstacle {
    fn error(host: &str, kind: Kind, what: String, fix: &str) -> Self {
        Self { host: host.to_owned(), kind: Some(kind), what, fix: fix.to_owned() }
    }

    fn warning(host: &str, what: String, fix: &str) -> Self {
        Self { host: host.to_owned(), kind: None, what, fix: fix.to_owned() }
    }

    /// For people.
    pub fn sentence(&self) -> String {
        let fix = if self.fix.is_empty() { String::new() } else { format!("\n  fix: {}", self.fix) };
        format!("`{}` {}{fix}", self.host, self.what)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{super::part::Node, *};

    fn observed() -> Observed {
        let answer = Answer {
            lock: Some("a".to_owned()),
            trainer: Some("t".to_owned()),
            refused: None,
            warnings: vec![],
            sees_output: true,
            misses_head: None,
            listens: Some(("10.0.0.2".to_owned(), 5000)),
            time: clock::now(),
        };
        Observed { answer, wrote: true, listens: true, skew: SignedDuration::from_secs(2) }
    }

    fn check(change: impl FnOnce(&mut Observed), expected: &[(Option<Kind>, &str)]) {
        let nodes = ["node1", "node2"].map(|host| Node { host: host.to_owned(), slots: 1 }).to_vec();
        let part = Part { of: None, nodes, own: 1, patience: PATIENCE };
        let look = Look {
            dpgui: String::new(),
            invitation: Invitation { part, ..Invitation::default() },
            folder: PathBuf::new(),
            port: 4000,
            output_dir: PathBuf::from("/out"),
            token: String::new(),
        };
        let mut seen = observed();
        change(&mut seen);
        let ours = Ours { lock: Some("a".to_owned()), trainer: "t".to_owned() };
        let found = judge("node2", &look, &ours, &seen);
        let found: Vec<_> = found.iter().map(|it| (it.kind, it.what.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn whatever_keeps_a_machine_from_its_part_is_said_before() {
        check(|_| {}, &[]);
        let lock = "has another `dpgui.lock`: what trains there would be of other versions";
        check(|it| it.answer.lock = None, &[(Some(Kind::LockOutdated), lock)]);
        check(
            |it| it.answer.trainer = Some("u".to_owned()),
            &[(Some(Kind::Integrity), "has another trainer")],
        );
        let busy = Some((Kind::Locked, "GPU 0 is in use".to_owned(), None));
        check(|it| it.answer.refused = busy, &[(Some(Kind::Locked), "could not begin: GPU 0 is in use")]);
        let blind = "does not see the files in `/out` that are here, where all have to save together";
        check(|it| (it.answer.sees_output, it.wrote) = (false, false), &[(Some(Kind::Disk), blind)]);
        check(|it| it.wrote = false, &[(Some(Kind::Disk), "cannot write in `/out`")]);
        let far = "cannot reach port 4000 of `node1`, where the ranks meet: refused";
        check(|it| it.answer.misses_head = Some("refused".to_owned()), &[(Some(Kind::Network), far)]);
        let deaf = "cannot be reached at port 5000 of 10.0.0.2: ranks may not find each other";
        check(|it| it.listens = false, &[(None, deaf)]);
        check(|it| it.skew = SignedDuration::from_mins(2), &[(None, "has a clock that is 120 s off")]);
    }
}
