//! Everything that a whole `dpgui setup` fetches, in small: repositories, Node, a package index. uv and Python are real.

use std::path::Path;

use dpgui::platform::digest::Sha256;

use super::{
    file_server::FileServer,
    package_index::{PackageIndex, uv_dir},
    sandbox::Sandbox,
};
use crate::{
    archives,
    setup_whole::{Upstream, python, upstream},
};

/// The servers. They go on as long as this lives.
pub(crate) struct SmallWorld {
    pub(crate) files: FileServer,
    pub(crate) upstream: Upstream,
    pub(crate) index: PackageIndex,
    settings: String,
    _dir: Sandbox,
}

impl SmallWorld {
    pub(crate) fn start() -> Self {
        let dir = Sandbox::new();
        let (files, upstream, index) = (FileServer::start(), upstream(&dir), PackageIndex::start());
        let node = archives::node("22.12.0");
        let digest = Sha256::of(&node);
        let place = files.file("/node.tar.gz", node);
        let (url, commit) = (upstream.server.url("diffusion-pipe"), &upstream.commit);
        let settings = format!(
            "python = \"{}\"\n[torch]\nprofile = \"cpu\"\n[sources.node]\nplaces = [\"{place}\"]\n\
             sha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n\
             [sources.diffusion-pipe]\nurl = \"{url}\"\ncommit = \"{commit}\"\n",
            python().display()
        );
        Self { files, upstream, index, settings, _dir: dir }
    }

    /// A machine with nothing on it but uv, the system's programs and an empty workspace that knows this world.
    pub(crate) fn sandbox(&self) -> Sandbox {
        let mut sandbox = Sandbox::new();
        sandbox.write("w/dpgui.toml", &self.settings);
        let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(Path::new).map(Path::to_owned);
        let path = std::env::join_paths([uv_dir()].into_iter().chain(system)).expect("joined");
        sandbox.env("PATH", path).env("UV_DEFAULT_INDEX", self.index.url());
        sandbox
    }

    /// `dpgui.toml` of [`Self::sandbox`].
    pub(crate) fn settings(&self) -> &str {
        &self.settings
    }
}
