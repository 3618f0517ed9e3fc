//! A Python package index with small packages, so that the real uv resolves, builds and installs an environment in a
//! second: what is tested is the way to it. Real torch and DeepSpeed are in `setup_whole`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use dpgui::platform::digest::Sha256;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::file_server::FileServer;
use crate::archives;

/// Serves packages from a file server of its own.
pub(crate) struct PackageIndex {
    pub(crate) server: FileServer,
    /// The digests of what is offered, by their paths on the server.
    pub(crate) digests: BTreeMap<String, Sha256>,
    sizes: BTreeMap<String, u64>,
    packages: Vec<(String, Vec<String>)>,
}

impl PackageIndex {
    /// With everything that the small repositories of `setup_whole` require.
    pub(crate) fn start() -> Self {
        let mut index = Self {
            server: FileServer::start(),
            digests: BTreeMap::new(),
            sizes: BTreeMap::new(),
            packages: vec![],
        };
        let torch = [
            ("torch/__init__.py", TORCH),
            ("torch/cuda.py", "def is_available():\n    return False\n"),
            ("torch/distributed.py", "def is_available():\n    return False\n"),
            ("torch/version.py", "cuda = None\n"),
        ];
        index.wheel("torch", "2.13.0", &torch, "Requires-Dist: numpy\n");
        index.wheel("torchvision", "0.28.0", &[("torchvision.py", "")], "");
        index.wheel("torchaudio", "2.11.0", &[("torchaudio.py", "")], "");
        for name in ["pip", "setuptools", "wheel", "toml", "numpy", "psutil"] {
            index.wheel(name, "1.0", &[(&format!("{name}.py"), "")], "");
        }
        index.wheel("toml", "0.9.0", &[("toml.py", "")], "");
        index.wheel("av", "16.0.0", &[("av.py", "")], "");
        index.source("deepspeed", "0.18.4");
        index
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("/simple")
    }

    /// Bytes of what is offered at this path.
    pub(crate) fn size(&self, path: &str) -> u64 {
        self.sizes[path]
    }

    /// Offers a wheel for every Python with these files.
    pub(crate) fn wheel(&mut self, name: &str, version: &str, files: &[(&str, &str)], metadata: &str) {
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}");
        let info = format!("{name}-{version}.dist-info");
        let mut all: Vec<(String, String)> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        all.push((format!("{info}/METADATA"), metadata.clone()));
        let tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        all.push((format!("{info}/WHEEL"), tags.to_owned()));
        let file = format!("{name}-{version}-py3-none-any.whl");
        self.offer(name, &file, zipped(&all, &info), Some(metadata));
    }

    /// Offers sources that build themselves, with a program of the package's name.
    pub(crate) fn source(&mut self, name: &str, version: &str) {
        let top = format!("{name}-{version}");
        let about = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        let project = "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
        let backend = BACKEND.replace("NAME", name).replace("VERSION", version);
        let archive = archives::tar_gz(&[
            (&format!("{top}/PKG-INFO"), 0o644, &about),
            (&format!("{top}/pyproject.toml"), 0o644, project),
            (&format!("{top}/backend.py"), 0o644, &backend),
        ]);
        self.offer(name, &format!("{top}.tar.gz"), archive, None);
    }

    fn offer(&mut self, name: &str, file: &str, content: Vec<u8>, metadata: Option<String>) {
        let digest = Sha256::of(&content);
        let path = format!("/files/{file}");
        self.sizes.insert(path.clone(), content.len() as u64);
        let url = self.server.file(&path, content);
        self.digests.insert(path, digest);
        let mut link = format!("<a href=\"{url}#sha256={digest}\"");
        if let Some(metadata) = metadata {
            let digest = Sha256::of(&metadata);
            self.server.file(&format!("/files/{file}.metadata"), metadata);
            write!(link, " data-core-metadata=\"sha256={digest}\"").expect("a string takes everything");
        }
        let link = format!("{link}>{file}</a>\n");
        match self.packages.iter_mut().find(|(it, _)| it == name) {
            Some((_, links)) => links.push(link),
            None => self.packages.push((name.to_owned(), vec![link])),
        }
        let links = &self.packages.iter().find(|(it, _)| it == name).expect("just offered").1;
        let page = format!("<!DOCTYPE html><html><body>\n{}</body></html>\n", links.concat());
        self.server.file(&format!("/simple/{name}/"), page);
    }
}

/// Says where it was imported, if somebody wants to know.
const TORCH: &str = r#"
import os
__version__ = '2.13.0'
from . import cuda, distributed, version
if "TEST_TORCH_IMPORTS" in os.environ:
    with open(os.environ["TEST_TORCH_IMPORTS"], "a") as imports:
        imports.write(__file__ + "\n")
if "TEST_TORCH_IS_BROKEN" in os.environ:
    raise ImportError("libcudart.so.13: cannot open shared object file")
"#;

/// Builds a wheel with one module and one program; the order of its dependencies hangs on the seed of Python's hashes, as
/// DeepSpeed's does. With `TEST_BUILD=FILE` in the environment it starts a program that takes ten minutes and notes its
/// number in the file; with `TEST_BUILD=fails` it fails.
const BACKEND: &str = r#"
import os
import subprocess
import zipfile

def build_wheel(directory, settings=None, metadata=None):
    wish = os.environ.get("TEST_BUILD")
    if wish == "fails":
        raise RuntimeError("no compiler")
    if wish:
        compiler = subprocess.Popen(["sleep", "600"])
        with open(wish + ".draft", "w") as note:
            note.write(str(compiler.pid))
        os.rename(wish + ".draft", wish)
        compiler.wait()
    name = "NAME-VERSION-py3-none-any.whl"
    info = "NAME-VERSION.dist-info"
    words = "".join(f"Keywords: {word}\n" for word in {"one", "two", "three", "four", "five", "six"})
    files = {
        "NAME/__init__.py": "__version__ = 'VERSION'\ndef main():\n    print('NAME')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: NAME\nVersion: VERSION\n{words}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nNAME = NAME:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"#;

fn zipped(files: &[(String, String)], info: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let mut record = String::new();
    for (path, text) in files {
        zip.start_file(path.as_str(), SimpleFileOptions::default()).expect("started");
        zip.write_all(text.as_bytes()).expect("written");
        writeln!(record, "{path},,").expect("a string takes everything");
    }
    writeln!(record, "{info}/RECORD,,").expect("a string takes everything");
    zip.start_file(format!("{info}/RECORD"), SimpleFileOptions::default()).expect("started");
    zip.write_all(record.as_bytes()).expect("written");
    zip.finish().expect("finished").into_inner()
}

/// A directory with the real uv, fetched once for all tests.
pub(crate) fn uv_dir() -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv-0.12.5");
        if !dir.join("uv").exists() {
            // Several test processes may do so at once; each names its own, and the last one wins.
            let draft = dir.with_extension(std::process::id().to_string());
            let target = draft.join("lib");
            let pip = Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
                .arg(&target)
                .arg("uv==0.12.5")
                .status();
            assert!(pip.expect("python3 starts").success(), "pip installs uv");
            fs::create_dir_all(&dir).expect("created");
            fs::rename(target.join("bin/uv"), dir.join("uv")).expect("renamed");
            fs::remove_dir_all(&draft).expect("removed");
        }
        dir
    })
    .clone()
}
