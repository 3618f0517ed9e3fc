//! How setup fails.

use std::{path::PathBuf, process::ExitStatus};

use crate::{
    error::{Kind, Report, in_one_line},
    output::size,
    platform::{
        Arch,
        digest::Sha256,
        fs::FsError,
        lock::LockError,
        net::NetError,
        process::{self, ProcessError},
    },
    vendor::{VendorError, farm::FarmError, git::GitError},
    workspace::{SettingsError, switch::SwitchError},
};

use super::{lock::LockedError, torch::TorchError};

#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("no place to get `{what}` from is left")]
    NoPlace { what: String, source: Box<Self> },
    #[error("no place to get `{what}` from is known")]
    NoPlaces { what: String },
    /// Two failures, and a chain of causes for one: the publisher's is in the text.
    #[error("cannot get `{what}`: {}, and the Python package index fails too", in_one_line(&**publisher))]
    NoWay { what: String, publisher: Box<Self>, source: Box<Self> },
    #[error("the place `{}` cannot be read", place.display())]
    NoFile { place: PathBuf, source: FsError },
    #[error("`{from}` is not the file that is pinned: its sha256 is {found}, expected {expected}")]
    WrongDigest { from: String, expected: Sha256, found: Sha256 },
    #[error("`{from}` is not the file that is pinned: it has {found} bytes, expected {expected}")]
    WrongSize { from: String, expected: u64, found: u64 },
    #[error("`{from}` is not the file that is pinned: it goes on after the expected {expected} bytes")]
    TooLong { from: String, expected: u64 },
    #[error("the package index does not have the `{file}` that `dpgui.lock` names")]
    OtherPackage { file: String, source: Box<Self> },
    #[error("the download cache `{}` cannot be used", dir.display())]
    Cache { dir: PathBuf, source: FsError },
    #[error("`{what}` needs {} in the download cache `{}`, whose file system has {}", size::bytes(*needed), dir.display(), size::bytes(*available))]
    CacheFull { what: String, dir: PathBuf, needed: u64, available: u64 },
    #[error("`{}` is not an archive that dpgui unpacks: {problem}", archive.display())]
    BadArchive { archive: PathBuf, problem: String },
    #[error("{what} from {from} cannot be unpacked")]
    BadContents { what: String, from: String, source: Box<Self> },
    #[error("`{what}` needs {} on the file system of `{}`, which has {}", size::bytes(*needed), at.display(), size::bytes(*available))]
    NoSpace { what: String, at: PathBuf, needed: u64, available: u64 },
    #[error("the checkout of `{what}` has no room on the file system of `{}`: {}", at.display(), room.told)]
    CheckoutFull { what: String, at: PathBuf, room: Room, source: Box<GitError> },
    #[error("no Python {wanted} or newer was found")]
    NoPython {
        wanted: String,
        why: &'static str,
        #[source]
        portable: Option<Box<Self>>,
    },
    #[error("`{}` cannot be used as the Python of the environment: {problem}", path.display())]
    BadPython { path: PathBuf, problem: String },
    #[error("no bundle can be made: {problem}")]
    NoBundle { problem: String, hint: &'static str },
    #[error("no Python with pip was found to ask the package index with")]
    NoPip,
    #[error("`{what}` ended with {}\n{tail}", process::describe(*status))]
    Program { what: String, status: ExitStatus, tail: String, kind: Kind },
    #[error("the environment is not what it should be: {problem}")]
    Verify { problem: String, hint: String },
    #[error("the repository of `vendor/{name}` is damaged")]
    Unreadable { name: String, source: Box<GitError> },
    #[error("`{}` is there, and no setup made it", path.display())]
    Foreign { path: PathBuf },
    #[error("`{}` is a link to `{}`, where nothing is", path.display(), target.display())]
    Dangling { path: PathBuf, target: PathBuf },
    #[error("`{}` is set up for {found}, not for {wanted}", root.display())]
    OtherPurpose { root: PathBuf, found: String, wanted: String },
    #[error("the path of the workspace, `{}`, is not UTF-8, which Python's tools do not cope with", root.display())]
    NotUtf8 { root: PathBuf },
    #[error("offline, and {} missing that a setup needs", if *count == 1 { "1 thing is".to_owned() } else { format!("{count} things are") })]
    Offline { count: usize },
    #[error("there is no bundle `{}`", path.display())]
    MissingBundle { path: PathBuf },
    #[error("the bundle `{}` is damaged: {problem}", path.display())]
    BadBundle { path: PathBuf, problem: String },
    #[error("`{}` is no bundle of dpgui: {problem}", path.display())]
    NotABundle { path: PathBuf, problem: String },
    #[error("`{}` is for {of}, and this machine is {here}", path.display())]
    OtherArch { path: PathBuf, of: Arch, here: Arch },
    #[error("the step `{step}` broke off: {message}")]
    Panicked { step: String, message: String },
    /// `what`: a step or a checkout.
    #[error("unknown {what} `{name}`")]
    Unknown { what: &'static str, name: String, known: Vec<String> },
    #[error(transparent)]
    Locked(#[from] LockedError),
    /// Only ever seen by the step that has to begin again.
    #[error("the requirements or Python changed while the environment was made")]
    Surprise,
    #[error("an update that had been killed was finished meanwhile")]
    Switched,
    /// Only ever the consequence of another error.
    #[error("given up because another step failed")]
    GivenUp,
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Vendor(#[from] VendorError),
    #[error(transparent)]
    Farm(#[from] FarmError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Torch(#[from] TorchError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Switch(#[from] SwitchError),
}

impl InstallError {
    /// What came is not what a digest or a size says that it is.
    pub const fn is_wrong_file(&self) -> bool {
        matches!(self, Self::WrongDigest { .. } | Self::WrongSize { .. } | Self::TooLong { .. })
    }

    /// Another place, or another way to the same thing, may still work. Never so after a wrong digest: that is
    /// an attack or a broken mirror, and must not be papered over.
    pub fn is_network(&self) -> bool {
        match self {
            Self::NoPlace { source, .. } => source.is_network(),
            Self::NoFile { .. } => true,
            _ => matches!(self.kind(), Kind::Network | Kind::Offline),
        }
    }
}

impl InstallError {
    /// The error of another module that this only passes on.
    fn cause(&self) -> Option<&dyn Report> {
        Some(match self {
            Self::Locked(cause) => cause,
            Self::Fs(cause) => cause,
            Self::Lock(cause) => cause,
            Self::Net(cause) => cause,
            Self::Process(cause) => cause,
            Self::Vendor(cause) => cause,
            Self::Farm(cause) => cause,
            Self::Git(cause) => cause,
            Self::Torch(cause) => cause,
            Self::Settings(cause) => cause,
            Self::Switch(cause) => cause,
            _ => return None,
        })
    }
}

impl Report for InstallError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoPlace { source, .. }
            | Self::OtherPackage { source, .. }
            | Self::BadContents { source, .. } => source.kind(),
            Self::NoWay { publisher, .. } => publisher.kind(),
            Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::TooLong { .. }
            | Self::BadArchive { .. }
            | Self::BadBundle { .. } => Kind::Integrity,
            Self::NoSpace { .. } | Self::CacheFull { .. } | Self::CheckoutFull { .. } => Kind::Disk,
            Self::Cache { source, .. } => source.kind(),
            Self::Unreadable { source, .. } => source.kind(),
            Self::NoPython { portable: Some(cause), .. } => cause.kind(),
            Self::NoPython { portable: None, .. } | Self::NoPip | Self::OtherArch { .. } => Kind::Unsupported,
            Self::Foreign { .. }
            | Self::Dangling { .. }
            | Self::NoFile { .. }
            | Self::NoPlaces { .. }
            | Self::OtherPurpose { .. }
            | Self::NotUtf8 { .. }
            | Self::BadPython { .. }
            | Self::NoBundle { .. }
            | Self::MissingBundle { .. }
            | Self::NotABundle { .. }
            | Self::Unknown { .. } => Kind::Usage,
            Self::Program { kind, .. } => *kind,
            Self::Verify { .. } | Self::Surprise | Self::Switched | Self::GivenUp => Kind::Failed,
            Self::Offline { .. } => Kind::Offline,
            Self::Panicked { .. } => Kind::Bug,
            Self::Locked(_)
            | Self::Fs(_)
            | Self::Lock(_)
            | Self::Net(_)
            | Self::Process(_)
            | Self::Vendor(_)
            | Self::Farm(_)
            | Self::Git(_)
            | Self::Torch(_)
            | Self::Settings(_)
            | Self::Switch(_) => self.cause().map_or(Kind::Bug, Report::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoPlace { source, .. } => source.hint(),
            // Pip is the way round the network; without it the network itself is what is to be mended.
            Self::NoWay { publisher, source, .. } => match **source {
                Self::NoPip => publisher
                    .hint()
                    .map(|it| format!("{it}, or install pip for the way over the package index")),
                _ => publisher.hint(),
            },
            Self::NoPlaces { what } => {
                Some(format!("name one with `places` under `[sources.{what}]` in `dpgui.toml`"))
            }
            Self::NoFile { .. } => {
                Some("put the file there, or mend `places` under `[sources]` in `dpgui.toml`".to_owned())
            }
            Self::Cache { source, .. } => Some(another_cache(Lack::of(source))),
            Self::CacheFull { .. } => Some(another_cache(Lack::Space)),
            Self::WrongDigest { .. } | Self::WrongSize { .. } | Self::TooLong { .. } => Some(OTHER_PLACE.to_owned()),
            Self::OtherPackage { .. } => Some(OTHER_INDEX.to_owned()),
            Self::BadArchive { .. } => Some("get the archive from its publisher".to_owned()),
            Self::BadContents { what, .. } => {
                let name = what.split(' ').next().unwrap_or_default();
                Some(format!(
                    "take the publisher's archive: look at `places` and `sha256` under `[sources.{name}]` in `dpgui.toml`, and at \
                     what the mirror has"
                ))
            }
            Self::NoPython { wanted, why, .. } => {
                Some(format!("install Python {wanted} or newer, or give one with `dpgui setup --python PATH` ({why})"))
            }
            Self::BadPython { .. } => {
                Some("give the path of a real interpreter with `dpgui setup --python PATH`".to_owned())
            }
            Self::NoPip => {
                Some("install pip (Debian: `apt install python3-pip`), then run this again".to_owned())
            }
            Self::Program { kind, .. } => Some(after_program(*kind).to_owned()),
            Self::Verify { hint, .. } => Some(hint.clone()),
            Self::Surprise | Self::Switched | Self::GivenUp => Some("run the same command again".to_owned()),
            Self::Offline { .. } => Some(
                "put them where it says, or bring a file of `dpgui bundle create` from a machine with a network"
                    .to_owned(),
            ),
            Self::Panicked { .. } => Some("this is a bug of dpgui; please report it".to_owned()),
            Self::Unknown { what, known, .. } => Some(format!("the {what}s are {}", known.join(", "))),
            _ => self.hint_on_a_place(),
        }
    }
}

impl InstallError {
    /// On what is somewhere on this machine, or has no room there.
    fn hint_on_a_place(&self) -> Option<String> {
        match self {
            Self::Foreign { path } => Some(format!(
                "move `{}` elsewhere, or choose another workspace with `-C DIR`",
                path.display()
            )),
            Self::Dangling { path, .. } => Some(format!(
                "mount the disk that it leads to, or remove `{}` for a new one in its place",
                path.display()
            )),
            Self::Unreadable { name, .. } => Some(set_aside(name)),
            Self::OtherPurpose { .. } | Self::NotUtf8 { .. } => {
                Some("choose another workspace with `-C DIR`".to_owned())
            }
            Self::CheckoutFull { room: Room { files_are_short: true, .. }, .. } => Some(
                "remove files there (`df -i` counts them), or choose another workspace with `-C DIR`"
                    .to_owned(),
            ),
            Self::NoSpace { .. } | Self::CheckoutFull { .. } => {
                Some("free some space, or choose another workspace with `-C DIR`".to_owned())
            }
            Self::NoBundle { hint, .. } => Some((*hint).to_owned()),
            Self::MissingBundle { .. } => {
                Some("make one with `dpgui bundle create FILE` on a machine with a network".to_owned())
            }
            Self::BadBundle { .. } => {
                Some("copy it once more, or make it anew with `dpgui bundle create`".to_owned())
            }
            Self::NotABundle { .. } => Some("give a file that `dpgui bundle create` wrote".to_owned()),
            Self::OtherArch { .. } => Some("make one on a machine of this kind".to_owned()),
            _ => self.cause()?.hint(),
        }
    }
}

/// What mends a checkout that cannot be read.
pub fn set_aside(name: &str) -> String {
    format!(
        "`dpgui setup --repair --discard {name}` moves the folder as it is to `.dpgui/discarded` and clones it anew"
    )
}

const OTHER_PLACE: &str = "this place sends something else, a login page perhaps: name another one with `places` under `[sources]` in \
     `dpgui.toml`, or pin its file's digest there if you know that it is right";

const OTHER_INDEX: &str = "ask another index (`UV_DEFAULT_INDEX`); if the file was published anew and you trust that, `dpgui lock --upgrade` takes \
     what the index has now";

/// What is left where something has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    pub told: String,
    /// Rather files than bytes may be what is short.
    pub files_are_short: bool,
}

/// What the download cache lacks.
#[derive(Clone, Copy)]
enum Lack {
    Space,
    Files,
    Permission,
}

impl Lack {
    fn of(source: &FsError) -> Self {
        match (source.is_out_of_files(), source.is_full()) {
            (true, _) => Self::Files,
            (false, true) => Self::Space,
            (false, false) => Self::Permission,
        }
    }
}

fn another_cache(lack: Lack) -> String {
    let hint = match lack {
        Lack::Space => {
            "free some space there, or set `DPGUI_CACHE_DIR` to a directory on another file system"
        }
        Lack::Files => {
            "remove files there, which has room for no more of them (`df -i`), or set `DPGUI_CACHE_DIR` to a directory on another \
             file system"
        }
        Lack::Permission => "set `DPGUI_CACHE_DIR` to a directory that can be written",
    };
    hint.to_owned()
}

/// What to do about a program of others that failed in this way.
const fn after_program(kind: Kind) -> &'static str {
    match kind {
        Kind::Network => {
            "check the network, the package index (`UV_DEFAULT_INDEX`, `PIP_INDEX_URL`) and the name and password that it may \
             ask for (`~/.netrc`, `UV_INDEX_*`)"
        }
        Kind::Disk => {
            "free some space, or mend the permissions, where it says so, then run the same command again"
        }
        _ => "read what it says above, then run the same command again",
    }
}
