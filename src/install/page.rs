//! The web page: built here from its sources, which the binary carries, unless the binary carries it built already.

use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use rust_embed::Embed;
use std::io::Write as _;

use crate::platform::{
    digest::{Hasher, Sha256},
    fs,
    process::CommandSpec,
};

use super::{
    InstallError,
    node::Node,
    plan::{Cost, Status, StepId, Tie},
    program,
    receipt::{self, Receipt},
    step::{Site, Step, Turn},
};

/// The sources of the page.
#[derive(Embed)]
#[folder = "web/"]
#[include = "src/*"]
#[include = "public/*"]
#[include = "package.json"]
#[include = "package-lock.json"]
#[include = ".npmrc"]
#[include = "index.html"]
#[include = "tsconfig.json"]
#[include = "vite.config.ts"]
#[exclude = "*.test.ts"]
#[exclude = "node_modules/*"]
#[exclude = "dist/*"]
struct Sources;

/// Who wants no page says so with this variable: on a machine that is only trained on, it saves some seconds.
const WANTED: &str = "DPGUI_PAGE";

/// What is worth compressing: text, and more of it than a packet.
const PACKED: [&str; 5] = ["js", "css", "html", "svg", "json"];
const SMALL: u64 = 1024;

/// About what the packages are, in bytes. Measured with the lock of this version.
const FETCHED: u64 = 40 << 20;
const UNPACKED: u64 = 110 << 20;

#[derive(Debug)]
pub struct Page<'a> {
    site: &'a Site,
    node: Node<'a>,
}

impl<'a> Page<'a> {
    /// `None` where there is no need for it: the binary has the page, an update is being prepared, or nobody wants it.
    /// Without a network it is left out, for a training goes without it.
    pub fn wanted(site: &'a Site) -> Result<Option<Self>, InstallError> {
        let leaves_out = is_unwanted(site)
            || cfg!(feature = "page")
            || !site.workspace.is_live()
            || site.http.is_offline();
        Ok(if leaves_out { None } else { Some(Self { site, node: Node::new(site)? }) })
    }

    /// It would be built if there were a network.
    pub fn is_left_out_offline(site: &Site) -> bool {
        let is_there = fs::is_file(&site.workspace.page().join("index.html"));
        site.http.is_offline() && !is_there && !cfg!(feature = "page") && !is_unwanted(site)
    }

    fn inputs() -> Sha256 {
        let mut names: Vec<_> = Sources::iter().collect();
        names.sort();
        let mut hasher = Hasher::default();
        for name in names {
            hasher.update(name.as_bytes());
            hasher.update(&Sources::get(&name).map(|it| it.metadata.sha256_hash()).unwrap_or_default());
        }
        hasher.finish()
    }

    /// Installs the packages of the lock and builds, in a folder that is thrown away, into `staged`.
    fn build(&self, staged: &Path, turn: &Turn) -> Result<Receipt, InstallError> {
        let place = fs::beside(&self.site.workspace.internal().join("page-build"), "tmp");
        let built = self.build_in(&place, staged, turn);
        fs::remove_tree(&place)?;
        built
    }

    fn build_in(&self, place: &Path, staged: &Path, turn: &Turn) -> Result<Receipt, InstallError> {
        for name in Sources::iter() {
            let Some(source) = Sources::get(&name) else { continue };
            let path = place.join(&*name);
            fs::create_dir_all(path.parent().unwrap_or(place))?;
            fs::write_new(&path, &source.data)?;
        }
        let bin = self.node.bin();
        let mut env = self.site.tool_env();
        env.prepend_path(&bin.iter().cloned().collect::<Vec<_>>());
        env.set("npm_config_cache", place.join("npm-cache")).set("npm_config_update_notifier", "false");
        env.set("npm_config_fund", "false").set("npm_config_audit", "false");
        let program = |name: &str| bin.as_ref().map_or_else(|| PathBuf::from(name), |it| it.join(name));
        // Scripts of packages are other people's programs, and none of ours needs them.
        let install = CommandSpec::new(program("npm"), &env, place).args(["ci", "--ignore-scripts"]);
        turn.progress.doing("fetching its packages");
        self.run(&install, "npm ci", turn)?;
        let vite = place.join("node_modules/vite/bin/vite.js");
        let build = CommandSpec::new(program("node"), &env, place).arg(vite).args(["build", "--outDir"]);
        turn.progress.doing("building it");
        self.run(&build.arg(staged).arg("--emptyOutDir"), "vite build", turn)?;
        pack(staged)?;
        Ok(Receipt::new(Self::inputs(), "web page", "its sources"))
    }

    fn run(&self, command: &CommandSpec, what: &str, turn: &Turn) -> Result<(), InstallError> {
        turn.go_on()?;
        program::run(self.site.http.halt(), command, what, &mut |_| ())
    }
}

fn is_unwanted(site: &Site) -> bool {
    site.host.env.text(WANTED).is_some_and(|it| ["0", "no", "off", "false"].contains(&it))
}

/// Writes `x.js.gz` beside each `x.js`, so that the server need not compress.
fn pack(folder: &Path) -> Result<(), InstallError> {
    for (name, entry) in fs::entries(folder)? {
        let path = folder.join(&name);
        let kind = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        match entry {
            fs::Entry::Directory => pack(&path)?,
            fs::Entry::File if PACKED.contains(&kind) && fs::size(&path)? > SMALL => {
                let packed = PathBuf::from(format!("{}.gz", path.display()));
                let mut encoder = GzEncoder::new(vec![], Compression::best());
                let written = encoder.write_all(&fs::read(&path)?).and_then(|()| encoder.finish());
                fs::write_new(&packed, written.map_err(fs::context("compress", &path))?)?;
            }
            _ => {}
        }
    }
    Ok(())
}

impl Step for Page<'_> {
    fn id(&self) -> StepId {
        StepId::Page
    }

    fn needs(&self) -> Vec<StepId> {
        vec![StepId::Node]
    }

    fn tie(&self, _need: &StepId) -> Tie {
        Tie::Tool
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let what = "the web page".to_owned();
        let folder = self.site.workspace.page();
        let ours = Receipt::of(&folder).filter(|_| fs::is_file(&folder.join("index.html")));
        Ok(match ours {
            Some(receipt) if receipt.inputs == Self::inputs() => Status::Satisfied { what },
            Some(_) => Status::Missing { what, why: "that of another dpgui is there".to_owned() },
            None => Status::Missing { what, why: "not built".to_owned() },
        })
    }

    fn cost(&self) -> Cost {
        Cost { bytes: Some(FETCHED), disk: Some(UNPACKED) }
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        receipt::stage(&self.site.workspace.page(), |staged| self.build(staged, turn))?;
        Ok("built".to_owned())
    }
}
