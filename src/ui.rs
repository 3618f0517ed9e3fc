//! The browser's side: a server on loopback that says and does what the terminal does, through the same floors.
//!
//! [`routes`] is the table of what can be asked, [`guard`] decides who may ask, [`hub`] looks at what is going on once for
//! all who watch, and logs are followed from their files ([`log`]). Long work is a command of ours in a process of its own
//! ([`jobs`]). The server owns nothing: ended at any moment, it leaves runs, jobs and files as they are.

pub mod address;
pub mod configs;
pub mod dev;
pub mod events;
pub mod failure;
pub mod folders;
pub mod guard;
pub mod hub;
pub mod jobs;
pub mod keys;
pub mod listen;
pub mod log;
pub mod machine;
pub mod media;
pub mod openapi;
pub mod page;
mod presence;
pub mod queue;
pub mod roots;
pub mod routes;
pub mod runs;
pub mod session;
pub mod settings;
pub mod stream;
mod table;

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{
    error::{Kind, Report},
    output::Output,
    platform::{
        Host,
        fs::{self, FsError},
        lock::{Lock, LockError, Wait},
        ports::{self, Holder, Port},
        process::ProcessError,
    },
    workspace::Workspace,
};

use failure::Answer;
use guard::Names;
use hub::Hub;
use jobs::{Job, JobRequest, Jobs};
use keys::Keys;
use listen::Over;
use page::Page;
use presence::Presence;

pub use table::table;

/// Before somebody hears that what he brought lets nobody in.
const REFUSAL: Duration = Duration::from_millis(200);

/// A page that has taken nothing for so long has gone.
const STALLED: Duration = Duration::from_secs(30);

/// Logs that are followed at once: of the 128 watches that a user usually has, others need some.
const LOGS: usize = 96;

/// Bytes of a request's body: a configuration of a megabyte is none.
const LARGEST: usize = 1 << 20;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Wish {
    pub address: IpAddr,
    pub port: u16,
    /// More names that it may be called by.
    pub names: Vec<String>,
    /// Instead of the page that setup built.
    pub page: Option<PathBuf>,
}

/// What all requests work with.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
pub struct Inner {
    pub host: Host,
    pub workspace: Workspace,
    pub output: Output,
    /// Where it listens.
    address: IpAddr,
    names: Names,
    keys: Keys,
    hub: Hub,
    jobs: Jobs,
    page: Page,
    presence: Presence,
    /// Where the page is looked for, if not where setup builds it.
    chosen_page: Option<PathBuf>,
    over: Over,
    curves: runs::numbers::Curves,
    /// Logs that are followed.
    feeds: log::Feeds,
    /// How many more can be.
    log_places: Arc<Semaphore>,
    /// The OpenAPI document.
    description: Value,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UiError {
    #[error("port {port} is in use by {holder}")]
    PortTaken { port: u16, holder: String, free: Option<u16> },
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error("cannot serve")]
    Runtime(#[source] io::Error),
    #[error("this workspace is served already: {by}")]
    Served { by: String },
    #[error("`{}` is not the folder of the page's sources", folder.display())]
    NoSources { folder: PathBuf },
    #[error("the packages of the page are not in `{}`", folder.display())]
    NoPackages { folder: PathBuf },
    #[error("no `node` was found")]
    NoNode,
    #[error("Vite's server has ended by itself")]
    Vite,
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("there is no workspace in `{}`", root.display())]
    NoWorkspace { root: PathBuf },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Report for UiError {
    fn kind(&self) -> Kind {
        match self {
            Self::PortTaken { .. } | Self::Served { .. } => Kind::Locked,
            Self::NoWorkspace { .. } | Self::NoSources { .. } | Self::NoPackages { .. } | Self::NoNode => {
                Kind::Usage
            }
            Self::Vite => Kind::Failed,
            Self::Process(cause) => cause.kind(),
            // Not an address of this machine.
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => Kind::Usage,
            Self::Listen { source, .. } | Self::Runtime(source) => Kind::of_io(source),
            Self::Lock(cause) => cause.kind(),
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::PortTaken { free: Some(free), .. } => Some(format!("try `dpgui ui --port {free}`")),
            Self::PortTaken { free: None, .. } => Some("choose another with `--port`".to_owned()),
            Self::Listen { .. } => Some("choose another with `--host` or `--port`".to_owned()),
            Self::Served { .. } => Some("`dpgui ui --link` prints an address that opens it".to_owned()),
            Self::NoWorkspace { .. } => {
                Some("make the folder, or choose a workspace with `-C DIR`".to_owned())
            }
            Self::NoSources { .. } => {
                Some("run it in a checkout of dpgui, or name its `web` with `--web DIR`".to_owned())
            }
            Self::NoPackages { .. } => Some("run `npm ci` there".to_owned()),
            Self::NoNode => Some("`dpgui setup --only node` gets one".to_owned()),
            Self::Vite => Some("what it said is above".to_owned()),
            Self::Process(cause) => cause.hint(),
            Self::Runtime(_) => None,
            Self::Lock(cause) => cause.hint(),
            Self::Fs(cause) => cause.hint(),
        }
    }
}

impl UiError {
    /// `port` is taken; which other one may be had is looked for.
    fn taken(port: u16, holder: Option<Holder>) -> Self {
        let holder = holder.map(|it| format!("`{}` (process {})", it.name, it.pid));
        let after = port.saturating_add(1)..=port.saturating_add(100);
        Self::PortTaken {
            port,
            holder: holder.unwrap_or_else(|| "another program".to_owned()),
            free: after.into_iter().find(|it| ports::look(*it) == Port::Free),
        }
    }
}

/// Where the server keeps what it needs: for its user's eyes only.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.internal().join("ui")
}

/// Its keys, and the folder that they are in, which is made if it is not there; a workspace is not.
fn keys(workspace: &Workspace) -> Result<(PathBuf, Keys), UiError> {
    if !fs::is_dir(workspace.root()) {
        return Err(UiError::NoWorkspace { root: workspace.root().to_owned() });
    }
    let folder = folder(workspace);
    let keys = Keys::of(&folder)?;
    Ok((folder, keys))
}

/// A server that has its port and serves when it is [run](Self::run).
#[derive(Debug)]
pub struct Server {
    app: App,
    runtime: tokio::runtime::Runtime,
    listeners: Vec<tokio::net::TcpListener>,
    service: Router,
    observer: hub::Observer,
    /// So that there is one server in a workspace; its text says where.
    _alone: Lock,
    address: IpAddr,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// When there is no workspace, another server in it, or no such port to be had.
    pub fn bind(host: &Host, workspace: &Workspace, output: &Output, wish: &Wish) -> Result<Self, UiError> {
        let (folder, keys) = keys(workspace)?;
        // One: what takes long is done beside it, and two would wake each other for every line of a log.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(UiError::Runtime)?;
        let alone = Lock::exclusive(&folder.join("server.lock"), "dpgui ui", Wait::No);
        let alone = alone.map_err(|cause| served(cause, &folder))?;
        // What cannot be finished now is told to the next who saves.
        let _ = configs::pair::finish(workspace);
        let (listeners, port) = runtime.block_on(listen::bind(wish.address, wish.port))?;
        fs::write_private(&address_file(&folder), address::authority(wish.address, port))?;
        let (hub, observer) = Hub::new(host, workspace);
        let mut routes = table();
        let description = openapi::document(&mut routes);
        let app = App(Arc::new(Inner {
            host: host.clone(),
            workspace: workspace.clone(),
            output: output.clone(),
            address: wish.address,
            names: Names::new(port, &address::names(wish.address, &wish.names)),
            keys,
            hub,
            jobs: Jobs::of(workspace),
            page: Page::of(workspace, wish.page.as_deref()),
            presence: Presence::default(),
            chosen_page: wish.page.clone(),
            over: Over::default(),
            curves: runs::numbers::Curves::default(),
            feeds: log::Feeds::default(),
            log_places: Arc::new(Semaphore::new(LOGS)),
            description,
        }));
        let service = routes
            .router
            .fallback(page::serve)
            .layer(DefaultBodyLimit::max(LARGEST))
            .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
            .with_state(app.clone());
        Ok(Self { app, runtime, listeners, service, observer, _alone: alone, address: wish.address })
    }

    /// An address that signs a browser in.
    ///
    /// # Errors
    /// When there are no random numbers to be had.
    pub fn link(&self) -> Result<String, UiError> {
        link(&address::authority(self.address, self.app.names.port()), &self.app.keys)
    }

    /// The same where another server hands requests on.
    ///
    /// # Errors
    /// As for [`Self::link`].
    pub fn link_at(&self, port: u16) -> Result<String, UiError> {
        link(&address::authority(self.address, port), &self.app.keys)
    }

    /// Another one, for a browser of another machine; `None` if none can come.
    ///
    /// # Errors
    /// As for [`Self::link`].
    pub fn link_from_elsewhere(&self) -> Result<Option<String>, UiError> {
        let reached = address::from_elsewhere(self.address, self.app.names.port());
        reached.map(|it| link(&it, &self.app.keys)).transpose()
    }

    pub fn port(&self) -> u16 {
        self.app.names.port()
    }

    pub fn has_page(&self) -> bool {
        self.app.page.is_there()
    }

    /// What ends it, from a signal's handler or another thread.
    pub fn ender(&self) -> impl Fn() + Send + Sync + 'static {
        let over = self.app.over.clone();
        move || over.end()
    }

    /// Serves until it is ended.
    pub fn run(self) {
        let Self { app, runtime, listeners, service, observer, .. } = self;
        let watched = app.clone();
        std::thread::spawn(move || observer.run(&watched.hub, || watched.over.is_over()));
        runtime.block_on(listen::serve(listeners, &service, &app.over));
        // What waits for a file or a client is of no use any more.
        runtime.shutdown_background();
    }
}

impl App {
    /// Starts a job, and shows it to whoever watches.
    fn start_job(&self, request: &JobRequest) -> Answer<Job> {
        request.must_be_granted(self)?;
        let job = self.jobs.start(&self.host, &self.workspace, request)?;
        self.hub.look();
        Ok(job)
    }
}

/// An address that signs a browser in to the server that serves the workspace, or will.
///
/// # Errors
/// When its keys cannot be read.
pub fn another_link(workspace: &Workspace, usual: (IpAddr, u16)) -> Result<(String, bool), UiError> {
    let (folder, keys) = keys(workspace)?;
    let serves = Lock::is_held(&folder.join("server.lock"));
    let known = fs::read_optional(&address_file(&folder))?.filter(|_| serves);
    Ok((link(&known.unwrap_or_else(|| address::authority(usual.0, usual.1)), &keys)?, serves))
}

/// What scripts bring as `Authorization: Bearer`.
///
/// # Errors
/// When it cannot be read.
pub fn token(workspace: &Workspace) -> Result<String, UiError> {
    Ok(keys(workspace)?.1.token())
}

/// Ends all sessions and links.
///
/// # Errors
/// When the new token cannot be written.
pub fn rotate(workspace: &Workspace) -> Result<(), UiError> {
    Ok(keys(workspace)?.1.rotate()?)
}

/// The OpenAPI document.
pub fn description() -> Value {
    openapi::document(&mut table())
}

fn link(authority: &str, keys: &Keys) -> Result<String, UiError> {
    Ok(format!("http://{authority}/#t={}", keys.link_code()?))
}

fn address_file(folder: &Path) -> PathBuf {
    folder.join("address")
}

fn served(cause: LockError, folder: &Path) -> UiError {
    match cause {
        LockError::Held { holder, .. } => {
            let address = fs::read_optional(&address_file(folder)).ok().flatten();
            let by = address.map_or_else(|| holder.clone(), |it| format!("http://{it}, by {holder}"));
            UiError::Served { by }
        }
        cause => cause.into(),
    }
}
