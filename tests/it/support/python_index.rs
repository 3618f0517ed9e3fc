//! A package index with a handful of tiny wheels, as uv and pip ask one: what takes gigabytes elsewhere takes a second.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Cursor, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use dpgui::platform::digest::Sha256;
use zip::{ZipWriter, write::SimpleFileOptions};

/// The packages that a trainer's environment cannot do without, in the versions that dpgui pins.
const USUAL: [(&str, &str, &str); 11] = [
    ("torch", "2.13.0", "__version__ = '2.13.0'\nclass version:\n    cuda = None\n"),
    ("torchvision", "0.28.0", ""),
    ("torchaudio", "2.11.0", ""),
    ("deepspeed", "0.18.4", "__version__ = '0.18.4'\ndef main():\n    print('--master_port')\n"),
    ("toml", "0.10.2", ""),
    ("numpy", "2.1.0", ""),
    ("av", "16.0.1", ""),
    ("pip", "26.1", ""),
    ("setuptools", "80.0.0", ""),
    ("wheel", "0.45.0", ""),
    ("tiny", "1.0", "__version__ = '1.0'\n"),
];

/// Serves its packages until the test ends.
pub(crate) struct PythonIndex {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The contents by path.
    files: BTreeMap<String, Vec<u8>>,
    /// The links on the page of each package.
    pages: BTreeMap<String, String>,
    requests: Vec<String>,
}

impl PythonIndex {
    /// With everything that a setup of a trainer needs, and the package `tiny`.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&served);
                // A client that went away is no failure of the server.
                thread::spawn(move || drop(answer(&stream, &state)));
            }
        });
        let index = Self { address, state };
        for (name, version, code) in USUAL {
            index.wheel(name, version, code);
        }
        index
    }

    /// What `UV_DEFAULT_INDEX` is to be.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    /// Offers a wheel of one module with this code; a `main` in it becomes a program of the package's name.
    pub(crate) fn wheel(&self, name: &str, version: &str, code: &str) {
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        let (file, content) = (format!("{name}-{version}-py3-none-any.whl"), pack(name, version, code));
        let mut state = self.state.lock().expect("not poisoned");
        let page = state.pages.entry(format!("/simple/{name}/")).or_default();
        let (digest, of_metadata) = (Sha256::of(&content), Sha256::of(&metadata));
        writeln!(
            page,
            "<a href=\"/files/{file}#sha256={digest}\" data-core-metadata=\"sha256={of_metadata}\">{file}</a>"
        )
        .expect("a string takes everything");
        state.files.insert(format!("/files/{file}.metadata"), metadata.into_bytes());
        state.files.insert(format!("/files/{file}"), content);
    }

    /// The wheels that were fetched so far.
    pub(crate) fn fetched(&self) -> Vec<String> {
        let state = self.state.lock().expect("not poisoned");
        let wheels = state.requests.iter().filter(|it| it.ends_with(".whl"));
        wheels.filter_map(|it| it.strip_prefix("/files/")).map(str::to_owned).collect()
    }
}

fn pack(name: &str, version: &str, code: &str) -> Vec<u8> {
    let info = format!("{name}-{version}.dist-info");
    let mut files = vec![
        (format!("{name}/__init__.py"), code.to_owned()),
        (format!("{info}/METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
        ),
    ];
    if code.contains("def main()") {
        let scripts = format!("[console_scripts]\n{name} = {name}:main\n");
        files.push((format!("{info}/entry_points.txt"), scripts));
    }
    let mut record: String = files.iter().map(|(path, _)| format!("{path},,\n")).collect();
    writeln!(record, "{info}/RECORD,,").expect("a string takes everything");
    files.push((format!("{info}/RECORD"), record));
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    for (path, content) in files {
        zip.start_file(path, SimpleFileOptions::default()).expect("started");
        zip.write_all(content.as_bytes()).expect("written");
    }
    zip.finish().expect("finished").into_inner()
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let (method, path) = first.split_once(' ').unwrap_or_default();
    let path = path.split(' ').next().unwrap_or_default().to_owned();
    // The rest of what it says changes nothing; it must be read, or the answer may be lost.
    let _ = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).count();
    let (kind, body) = {
        let mut state = state.lock().expect("not poisoned");
        state.requests.push(path.clone());
        match (state.pages.get(&path), state.files.get(&path)) {
            (Some(links), _) => {
                ("text/html", format!("<!DOCTYPE html><html><body>{links}</body></html>").into_bytes())
            }
            (None, Some(content)) => ("application/octet-stream", content.clone()),
            (None, None) => ("", vec![]),
        }
    };
    let status = if kind.is_empty() { "404 Not Found" } else { "200 OK" };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(&body) }
}
