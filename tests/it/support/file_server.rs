//! A real HTTP server for files, with the faults that real servers have: raw TCP, because no library breaks the rules.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::lab::until;

/// Serves on a loopback port until the test's process ends.
pub(crate) struct FileServer {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, Vec<u8>>,
    /// Of every file.
    etag: Option<String>,
    faults: Vec<Fault>,
    always: Option<Fault>,
    /// What the `Authorization` of every request must be.
    login: Option<String>,
    requests: Vec<String>,
}

/// What goes wrong with the next request that is answered; each is used up by one.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The whole length is promised, so many bytes are sent, the connection is closed.
    CutAfter(usize),
    /// So many bytes are sent, and then nothing more for as long as the reader stays.
    SilentAfter(usize),
    /// So many bytes, a pause, so many bytes, a pause.
    Trickle(usize, Duration),
    /// An answer without a body.
    Status(u16, &'static str),
    /// The same with a header.
    StatusWith(u16, &'static str, String),
    /// `Range` is not understood: everything from the start.
    IgnoreRange,
    /// `Content-Range` names a start so many bytes further on.
    RangeFrom(usize),
    /// `Content-Range` names a total of so many bytes more.
    RangeOf(usize),
    /// From now on the files have this `ETag`.
    Tag(&'static str),
    /// As if compressed, without being asked.
    Encoded,
    /// To another path or address.
    Redirect(String),
    /// Without a length, in chunks: so many bytes, and the end in the middle of a chunk.
    CutChunk(usize),
    /// Without a length, in chunks: so many bytes, and then as if that were all.
    EndChunks(usize),
    /// `Content-Length` promises so many bytes more, or fewer.
    Promise(isize),
    /// The byte at this offset of the file is another one.
    Flip(usize),
    /// Not found, once this file is there.
    GoneAfter(PathBuf),
    /// All goes well this time.
    Nothing,
}

/// One request, as far as it matters.
#[derive(Default)]
struct Request {
    method: String,
    path: String,
    from: Option<usize>,
    if_range: Option<String>,
    encoding: Option<String>,
    login: Option<String>,
    is_ours: bool,
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
                    // A client that went away is no failure of the server.
                    let _ = answer(&stream, &shared);
                    // The rest of a request that nobody reads must not turn the end into a reset.
                    let _ = stream.shutdown(Shutdown::Write);
                    let _ = (&stream).read(&mut [0; 1]);
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

    /// All requests after those go wrong in this way.
    pub(crate) fn always(&self, fault: impl Into<Option<Fault>>) {
        self.state.lock().expect("not poisoned").always = fault.into();
    }

    /// From now on nobody gets anything without this `Authorization`.
    pub(crate) fn private(&self, login: &str) {
        self.state.lock().expect("not poisoned").login = Some(login.to_owned());
    }

    /// The `ETag` of every file, as it stands in the header.
    pub(crate) fn tag(&self, etag: &str) {
        self.state.lock().expect("not poisoned").etag = Some(etag.to_owned());
    }

    /// The request lines so far, with the `Range` that each asked for and the `If-Range` if there was one:
    /// `GET /file from 5 if "v1"`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().expect("not poisoned").requests.clone()
    }
}

impl Request {
    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut words = first.split_whitespace().map(str::to_owned);
        let mut request = Self {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            ..Self::default()
        };
        for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once(": ") else { continue };
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    request.from = value.trim_start_matches("bytes=").trim_end_matches('-').parse().ok();
                }
                "if-range" => request.if_range = Some(value.to_owned()),
                "accept-encoding" => request.encoding = Some(value.to_owned()),
                "authorization" => request.login = Some(value.to_owned()),
                "user-agent" => request.is_ours = value.starts_with("dpgui/"),
                _ => {}
            }
        }
        if request.is_ours && request.method == "GET" {
            assert_eq!(request.encoding.as_deref(), Some("identity"), "compressed files have other digests");
        }
        Ok(request)
    }

    fn line(&self) -> String {
        let mut line = format!("{} {} from {}", self.method, self.path, self.from.unwrap_or(0));
        if let Some(tag) = &self.if_range {
            write!(line, " if {tag}").expect("a string takes everything");
        }
        line
    }
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let request = Request::read(stream)?;
    if request.method.is_empty() {
        // Whoever connected had no time for a question.
        return Ok(());
    }
    let (content, etag, fault) = {
        let mut state = state.lock().expect("not poisoned");
        state.requests.push(request.line());
        if state.login.is_some() && state.login != request.login {
            let asks = "WWW-Authenticate: Basic realm=\"packages\"".to_owned();
            state.faults.insert(0, Fault::StatusWith(401, "Unauthorized", asks));
        }
        let fault = if state.faults.is_empty() { state.always.clone() } else { Some(state.faults.remove(0)) };
        if let Some(Fault::Tag(etag)) = fault {
            state.etag = Some(etag.to_owned());
        }
        (state.files.get(&request.path).cloned(), state.etag.clone(), fault.unwrap_or(Fault::Nothing))
    };
    let beyond = |content: &Vec<u8>| {
        !matches!(fault, Fault::IgnoreRange) && request.from.is_some_and(|from| from >= content.len())
    };
    let (status, extra) = match (&fault, &content) {
        (Fault::Status(code, reason), _) => (format!("{code} {reason}"), String::new()),
        (Fault::StatusWith(code, reason, header), _) => (format!("{code} {reason}"), format!("{header}\r\n")),
        (Fault::GoneAfter(file), _) => {
            until("the file is there", || file.exists().then_some(()));
            ("404 Not Found".to_owned(), String::new())
        }
        (Fault::Redirect(to), _) => ("302 Found".to_owned(), format!("Location: {to}\r\n")),
        (_, None) => ("404 Not Found".to_owned(), String::new()),
        (_, Some(content)) if beyond(content) => {
            ("416 Range Not Satisfiable".to_owned(), format!("Content-Range: bytes */{}\r\n", content.len()))
        }
        (_, Some(content)) => return send(stream, &request, content.clone(), etag.as_deref(), &fault),
    };
    write!(stream, "HTTP/1.1 {status}\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

fn send(
    mut stream: &TcpStream,
    request: &Request,
    mut content: Vec<u8>,
    etag: Option<&str>,
    fault: &Fault,
) -> std::io::Result<()> {
    let is_other = request.if_range.as_deref().is_some_and(|tag| Some(tag) != etag);
    let from = request.from.filter(|_| !is_other && !matches!(fault, Fault::IgnoreRange));
    let total = content.len();
    if let Fault::Flip(at) = fault {
        content[*at] ^= 0xff;
    }
    let body = &content[from.unwrap_or(0)..];
    let mut headers = vec!["Connection: close".to_owned()];
    headers.extend(etag.map(|it| format!("ETag: {it}")));
    // uv believes no page of an index that does not say what it is.
    headers.extend(request.path.starts_with("/simple/").then(|| "Content-Type: text/html".to_owned()));
    let status = match from {
        None => "200 OK",
        Some(from) => {
            let start = from + if let Fault::RangeFrom(more) = fault { *more } else { 0 };
            let of = total + if let Fault::RangeOf(more) = fault { *more } else { 0 };
            headers.push(format!("Content-Range: bytes {start}-{}/{of}", total - 1));
            "206 Partial Content"
        }
    };
    headers.push(match fault {
        Fault::CutChunk(_) | Fault::EndChunks(_) => "Transfer-Encoding: chunked".to_owned(),
        Fault::Promise(more) => format!("Content-Length: {}", body.len().strict_add_signed(*more)),
        _ => format!("Content-Length: {}", body.len()),
    });
    if let Fault::Encoded = fault {
        headers.push("Content-Encoding: gzip".to_owned());
    }
    let headers = headers.join("\r\n");
    write!(stream, "HTTP/1.1 {status}\r\n{headers}\r\n\r\n")?;
    let first = |count: usize| &body[..count.min(body.len())];
    match fault {
        Fault::CutAfter(count) => stream.write_all(first(*count)),
        Fault::SilentAfter(count) => {
            stream.write_all(first(*count))?;
            // Ends when the reader hangs up, however it does that.
            stream.read(&mut [0]).map(drop)
        }
        Fault::Trickle(count, pause) => body.chunks(*count).try_for_each(|bytes| {
            stream.write_all(bytes)?;
            thread::sleep(*pause);
            Ok(())
        }),
        Fault::CutChunk(count) => {
            write!(stream, "{:x}\r\n", body.len())?;
            stream.write_all(first(*count))
        }
        Fault::EndChunks(count) => {
            write!(stream, "{:x}\r\n", first(*count).len())?;
            stream.write_all(first(*count))?;
            stream.write_all(b"\r\n0\r\n\r\n")
        }
        _ => stream.write_all(body),
    }
}
