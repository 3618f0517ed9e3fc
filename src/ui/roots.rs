//! What the page may see of this machine's files: the workspace, and the folders that `[ui] roots` of `dpgui.toml` grants.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use axum::http::StatusCode;

use crate::{
    error::Error,
    platform::{
        Env,
        fs::{self, FsError, beneath::Folder},
    },
    workspace::{Settings, SettingsError, Workspace},
};

use super::{
    App,
    failure::{Answer, Failure},
};

/// Longer ones no system call takes.
const LONGEST: usize = 4096;

/// The granted folders.
#[derive(Debug)]
pub struct Roots {
    /// As they are named.
    pub named: Vec<PathBuf>,
    /// Without links.
    real: Vec<PathBuf>,
    /// What is dpgui's own: keys are there.
    internal: PathBuf,
}

/// Something below a granted folder. Its path was only used to find that; it is opened from the folder's handle.
#[derive(Debug)]
pub struct Granted {
    root: Folder,
    relative: PathBuf,
    /// Without links.
    pub path: PathBuf,
}

impl Roots {
    pub fn of(app: &App) -> Answer<Self> {
        let workspace = &app.workspace;
        Ok(Self::new(Self::granted(workspace, &app.host.env)?, &workspace.internal()))
    }

    /// Those of `of`, and the folder with the configurations, wherever that is.
    pub fn with_configs(app: &App) -> Answer<Self> {
        Ok(Self::around_configs(&app.workspace, &app.host.env)?)
    }

    /// The same without a server.
    pub fn around_configs(workspace: &Workspace, env: &Env) -> Result<Self, SettingsError> {
        let mut named = Self::granted(workspace, env)?;
        named.push(workspace.configs());
        Ok(Self::new(named, &workspace.internal()))
    }

    /// What can be seen while a broken `dpgui.toml` grants nothing.
    pub fn of_workspace(workspace: &Workspace) -> Self {
        let named = vec![workspace.root().to_owned(), workspace.configs()];
        Self::new(named, &workspace.internal())
    }

    fn granted(workspace: &Workspace, env: &Env) -> Result<Vec<PathBuf>, SettingsError> {
        let settings = Settings::load(workspace)?;
        let root = workspace.root();
        let granted = settings.ui.roots.iter().map(|it| root.join(env.expand_home(it)));
        Ok(std::iter::once(root.to_owned()).chain(granted).collect())
    }

    fn new(named: Vec<PathBuf>, internal: &Path) -> Self {
        let real = named.iter().map(|it| fs::real_path(it)).collect();
        Self { named, real, internal: fs::real_path(internal) }
    }

    /// What is at `path`, which has to be there.
    pub fn find(&self, path: &Path) -> Answer<Granted> {
        let text = path.as_os_str();
        let is_plain = path.is_absolute()
            && text.len() <= LONGEST
            && !text.as_encoded_bytes().contains(&0)
            && !path.components().any(|it| it == Component::ParentDir);
        if !is_plain {
            let text = "a path has to be absolute, without `..` in it";
            return Err(Failure::http(StatusCode::BAD_REQUEST, "usage", text));
        }
        // What is elsewhere is not even looked at: nobody shall find out by asking what is there.
        if !self.named.iter().chain(&self.real).any(|root| path.starts_with(root)) {
            return Err(outside(path));
        }
        let real = fs::resolved(path).map_err(|cause| missing(path, cause))?;
        let inner = |root: &PathBuf| real.strip_prefix(root).ok().map(|it| (root.clone(), it.to_owned()));
        let (root, relative) = self.real.iter().find_map(inner).ok_or_else(|| outside(path))?;
        if real.starts_with(&self.internal) {
            return Err(outside(path));
        }
        Ok(Granted { root: Folder::open(&root)?, relative, path: real })
    }

    /// Whether a link that leads to `path` stays inside.
    pub fn has(&self, path: &Path) -> bool {
        fs::resolved(path).is_ok_and(|it| {
            !it.starts_with(&self.internal) && self.real.iter().any(|root| it.starts_with(root))
        })
    }

    /// Whether what is at `path`, or would be, is inside.
    pub fn covers(&self, path: &Path) -> bool {
        let below = |roots: &[PathBuf]| roots.iter().any(|root| path.starts_with(root));
        match fs::resolved(path) {
            Ok(_) => self.has(path),
            Err(_) => {
                !path.components().any(|it| it == Component::ParentDir)
                    && (below(&self.named) || below(&self.real))
                    // What is there of it does not lead out, nor where nobody shall know whether something is.
                    && path.ancestors().find(|it| fs::exists(it)).is_some_and(|it| self.leads_inside(it))
            }
        }
    }

    /// A granted folder, or above one, or in one without a link that leads nowhere.
    fn leads_inside(&self, path: &Path) -> bool {
        fs::resolved(path).is_ok_and(|real| {
            self.has(path) || self.real.iter().chain(&self.named).any(|root| root.starts_with(&real))
        })
    }

    /// The folder above, if that is granted too.
    pub fn above(&self, path: &Path) -> Option<PathBuf> {
        path.parent().filter(|it| self.has(it)).map(Path::to_owned)
    }
}

impl Granted {
    /// A file, of at most `limit` bytes.
    pub fn read(&self, limit: u64) -> Answer<Vec<u8>> {
        let file = self.file()?;
        let mut bytes = vec![];
        file.take(limit + 1).read_to_end(&mut bytes).map_err(fs::context("read", &self.path))?;
        if bytes.len() as u64 > limit {
            let text = format!("`{}` has more than {limit} bytes", self.path.display());
            return Err(Failure::http(StatusCode::PAYLOAD_TOO_LARGE, "usage", text));
        }
        Ok(bytes)
    }

    /// The same as text.
    pub fn read_text(&self, limit: u64) -> Answer<String> {
        fs::text(self.read(limit)?).map_err(|line| {
            let text = format!("`{}` is no UTF-8 text, see its line {line}", self.path.display());
            Failure::http(StatusCode::UNPROCESSABLE_ENTITY, "failed", text)
        })
    }

    pub fn folder(&self) -> Answer<Folder> {
        self.root.folder(&self.relative).map_err(|cause| self.changed(cause))
    }

    /// The folder that it is in, and its name there; `None` of a granted folder itself.
    pub fn within(&self) -> Option<(Answer<Folder>, &OsStr)> {
        let (parent, name) = (self.relative.parent()?, self.relative.file_name()?);
        Some((self.root.folder(parent).map_err(|cause| self.changed(cause)), name))
    }

    /// A file, open to read.
    pub fn file(&self) -> Answer<File> {
        self.root.file(&self.relative).map_err(|cause| self.changed(cause))
    }

    /// A link that was none a moment ago.
    fn changed(&self, cause: FsError) -> Failure {
        let is_link = cause.source.raw_os_error().is_some_and(is_of_links);
        if is_link { outside(&self.path) } else { missing(&self.path, cause) }
    }
}

/// `ELOOP`, and `EXDEV` of what leads out.
fn is_of_links(code: i32) -> bool {
    use nix::errno::Errno;
    [Errno::ELOOP as i32, Errno::EXDEV as i32].contains(&code)
}

fn outside(path: &Path) -> Failure {
    let text = format!("`{}` is in no folder that the page may see", path.display());
    let hint = "grant it in `dpgui.toml`: `ui.roots = [\"/FOLDER\"]`";
    Failure::http(StatusCode::FORBIDDEN, "forbidden", text).with_hint(hint)
}

fn missing(path: &Path, cause: FsError) -> Failure {
    match cause.source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            let what = format!("there is nothing of this kind at `{}`", path.display());
            Failure::not_found(Error::new(crate::error::Kind::Usage, what))
        }
        io::ErrorKind::InvalidFilename => {
            let text = "a name in this path is longer than any file's";
            Failure::http(StatusCode::BAD_REQUEST, "usage", text)
        }
        _ => cause.into(),
    }
}
