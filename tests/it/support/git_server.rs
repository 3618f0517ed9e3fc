//! Real repositories over HTTP: `git http-backend` behind a small CGI server that can be made to fail.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use super::git_repository::git;

/// Serves the repositories under a directory, until the test ends.
pub(crate) struct GitServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query; through a proxy, the whole address.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What the server does instead of its duty, for as long as it is set.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Any request is answered with this status and no body.
    Status(&'static str),
    /// Any request is answered with a page for people.
    LoginPage,
    /// Requests without this `Authorization` are refused.
    Locked { authorization: &'static str },
    /// Addresses that begin like the first now begin like the second, which may be on another server.
    Moved { from: &'static str, to: String },
    /// The connection breaks after this many bytes of a pack.
    BreakOff(usize),
    /// The answer with the pack ends after this many bytes as if it were whole.
    EndEarly(usize),
    /// This byte of the answer with the pack is another one.
    Flip(usize),
    /// After this many bytes of a pack, silence; the server says when, see [`GitServer::wait_for_silence`].
    Silence(usize),
    /// After this many bytes of a pack, one every now and then.
    Trickle(usize),
}

struct Shared {
    root: PathBuf,
    requests: Mutex<Vec<Request>>,
    fault: Mutex<Option<Fault>>,
    silent: (Mutex<bool>, Condvar),
}

impl GitServer {
    pub(crate) fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            requests: Mutex::default(),
            fault: Mutex::default(),
            silent: (Mutex::default(), Condvar::new()),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                // A client that went away is no failure of the server.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:PORT/NAME`.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// From now on; `None` mends it.
    pub(crate) fn fail(&self, fault: impl Into<Option<Fault>>) {
        *lock(&self.shared.fault) = fault.into();
    }

    /// The requests so far, oldest first.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// Returns when [`Fault::Silence`] has begun.
    pub(crate) fn wait_for_silence(&self) {
        let (silent, changed) = &self.shared.silent;
        drop(changed.wait_while(lock(silent), |silent| !*silent).expect("no server thread panicked"));
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// `GET /name/info/refs?service=git-upload-pack`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Self { method, target, headers: vec![], body: vec![] };
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            request.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        if request.header("transfer-encoding") == Some("chunked") {
            request.body = read_chunks(&mut reader)?;
        } else {
            let length = request.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
            reader.take(length).read_to_end(&mut request.body)?;
        }
        Ok(request)
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let request = Request::read(&stream)?;
        lock(&self.requests).push(request.clone());
        let fault = lock(&self.fault).clone();
        match &fault {
            Some(Fault::Status(status)) => return answer(&mut stream, status, "", b""),
            Some(Fault::LoginPage) => {
                return answer(&mut stream, "200 OK", "Content-Type: text/html\r\n", b"<h1>Sign in</h1>");
            }
            Some(Fault::Locked { authorization })
                if request.header("authorization") != Some(authorization) =>
            {
                let wanted = "WWW-Authenticate: Basic realm=\"git\"\r\n";
                return answer(&mut stream, "401 Unauthorized", wanted, b"");
            }
            Some(Fault::Moved { from, to }) if request.target.starts_with(from) => {
                let location = format!("Location: {}\r\n", request.target.replacen(from, to, 1));
                return answer(&mut stream, "301 Moved Permanently", &location, b"");
            }
            _ => {}
        }
        let (status, headers, mut body) = self.ask_git(&request)?;
        if request.method == "GET" {
            return answer(&mut stream, &status, &headers, &body);
        }
        // As the big hosts do: the length of a pack is not known when it begins.
        write!(
            stream,
            "HTTP/1.1 {status}\r\n{headers}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )?;
        match fault {
            Some(Fault::BreakOff(at)) if at < body.len() => return write_chunk(&mut stream, &body[..at]),
            Some(Fault::Silence(at)) if at < body.len() => {
                write_chunk(&mut stream, &body[..at])?;
                return self.be_silent(&mut stream);
            }
            Some(Fault::Trickle(at)) if at < body.len() => {
                write_chunk(&mut stream, &body[..at])?;
                return body[at..].chunks(1).try_for_each(|byte| {
                    thread::sleep(Duration::from_millis(20));
                    write_chunk(&mut stream, byte)
                });
            }
            Some(Fault::EndEarly(at)) => body.truncate(at),
            Some(Fault::Flip(at)) if at < body.len() => body[at] ^= 0xff,
            _ => {}
        }
        for part in body.chunks(64 << 10) {
            write_chunk(&mut stream, part)?;
        }
        stream.write_all(b"0\r\n\r\n")
    }

    /// CGI, as `man git-http-backend` describes it.
    fn ask_git(&self, request: &Request) -> std::io::Result<(String, String, Vec<u8>)> {
        // Asked as a proxy, it plays the server that was meant.
        let path = request
            .target
            .strip_prefix("http://")
            .map_or(&*request.target, |it| &it[it.find('/').unwrap_or(0)..]);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut backend = git(&self.root);
        backend.arg("http-backend").env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1");
        backend.envs([("REQUEST_METHOD", &*request.method), ("PATH_INFO", path), ("QUERY_STRING", query)]);
        backend.env("CONTENT_TYPE", request.header("content-type").unwrap_or_default());
        backend.env("CONTENT_LENGTH", request.body.len().to_string());
        for (header, variable) in
            [("content-encoding", "HTTP_CONTENT_ENCODING"), ("git-protocol", "GIT_PROTOCOL")]
        {
            backend.envs(request.header(header).map(|value| (variable, value)));
        }
        let mut child = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        child.stdin.take().expect("piped").write_all(&request.body)?;
        let output = child.wait_with_output()?.stdout;
        let end = output.windows(4).position(|it| it == b"\r\n\r\n").expect("the end of the headers");
        let (mut status, mut headers) = ("200 OK".to_owned(), String::new());
        for line in String::from_utf8_lossy(&output[..end]).lines() {
            match line.strip_prefix("Status: ") {
                Some(found) => found.clone_into(&mut status),
                None => writeln!(headers, "{line}\r").expect("a string takes everything"),
            }
        }
        Ok((status, headers, output[end + 4..].to_vec()))
    }

    /// Until the client has had enough.
    fn be_silent(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let (silent, changed) = &self.silent;
        *lock(silent) = true;
        changed.notify_all();
        stream.read(&mut [0; 1]).map(drop)
    }
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(body)
}

fn write_chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    write!(stream, "{:x}\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = vec![];
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
        reader.by_ref().take(length).read_to_end(&mut body)?;
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no server thread panicked")
}
