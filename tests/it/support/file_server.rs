//! A real HTTP server for files, with the faults that real servers have.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// Serves on a loopback port until the test's process ends.
pub(crate) struct FileServer {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, Vec<u8>>,
    faults: Vec<Fault>,
    requests: Vec<String>,
}

/// What goes wrong with the next request that is answered; each is used up by one.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The whole length is promised, so many bytes are sent, the connection is closed.
    CutAfter(usize),
    /// So many bytes are sent, and then nothing more for as long as the reader stays.
    SilentAfter(usize),
    /// An answer without a body.
    Status(u16, &'static str),
    /// `Range` is not understood: everything from the start.
    IgnoreRange,
}

impl FileServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let _ = answer(&stream, &shared);
                });
            }
        });
        Self { address, state }
    }

    /// Serves `content` at `path`; its address comes back.
    pub(crate) fn file(&self, path: &str, content: impl Into<Vec<u8>>) -> String {
        self.state.lock().expect("not poisoned").files.insert(path.to_owned(), content.into());
        self.url(path)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next requests go wrong in this way, one after another.
    pub(crate) fn faults(&self, faults: &[Fault]) {
        self.state.lock().expect("not poisoned").faults = faults.to_vec();
    }

    /// The request lines so far, with the `Range` that each asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().expect("not poisoned").requests.clone()
    }
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut start = 0;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let lower = line.to_ascii_lowercase();
        if let Some(range) = lower.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().unwrap_or(0);
        }
    }
    let mut words = request.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (content, fault) = {
        let mut state = state.lock().expect("not poisoned");
        state.requests.push(format!("{method} {path} from {start}"));
        let fault = (!state.faults.is_empty()).then(|| state.faults.remove(0));
        (state.files.get(path).cloned(), fault)
    };
    if let Some(Fault::Status(code, reason)) = fault {
        return write!(stream, "HTTP/1.1 {code} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let Some(content) = content else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    if matches!(fault, Some(Fault::IgnoreRange)) {
        start = 0;
    }
    let total = content.len();
    let body = &content[start.min(total)..];
    if start > 0 {
        let last = total.saturating_sub(1);
        write!(stream, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{last}/{total}\r\n")?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    match fault {
        Some(Fault::CutAfter(count)) => stream.write_all(&body[..count.min(body.len())]),
        Some(Fault::SilentAfter(count)) => {
            stream.write_all(&body[..count.min(body.len())])?;
            // Ends when the reader hangs up, however it does that.
            stream.read(&mut [0]).map(drop)
        }
        _ => stream.write_all(body),
    }
}
