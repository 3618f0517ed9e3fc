//! `dpgui ui` as a real process, and what a browser, a script or an attacker sends to it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

use super::{lab::until, sandbox::Sandbox};

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server of a workspace, ended with the test.
pub(crate) struct Served {
    child: Child,
    pub(crate) port: u16,
    pub(crate) token: String,
    /// With the code of a link.
    pub(crate) link: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Served {
    pub(crate) fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let command = sandbox.command(&[&["--json", "ui", "--port", "0"], args].concat());
        Self::by(command, |_| sandbox.dpgui(&["ui", "--token"]).ok().stdout)
    }

    /// Started by a command that becomes the server; its token comes from `token`, which is given its process id.
    pub(crate) fn by(mut command: Command, token: impl FnOnce(u32) -> String) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        let mut events = std::io::BufReader::new(child.stdout.take().expect("piped"));
        let serving = loop {
            line.clear();
            std::io::BufRead::read_line(&mut events, &mut line).expect("text");
            assert!(!line.is_empty(), "the server ended");
            let event: Value = serde_json::from_str(&line).expect("JSON");
            if event["event"] == "serving" {
                break event;
            }
        };
        let token = token(child.id()).trim().to_owned();
        Self {
            child,
            port: u16::try_from(serving["port"].as_u64().expect("a port")).expect("a port"),
            token,
            link: serving["link"].as_str().expect("a link").to_owned(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends these bytes on a connection of their own.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // It may refuse before it has read all.
        let _ = stream.write_all(bytes);
        Reply::read(&mut stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_write_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    /// A request with these header lines besides `Host` and `Connection`.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() || ["POST", "PUT"].contains(&method) {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// As a script with the token.
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[("Authorization", &self.bearer())], b"")
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        let bearer = self.bearer();
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json"), ("X-Dpgui", "1")];
        self.ask(method, path, &headers, body.to_string().as_bytes())
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// A socket, or the status that it was refused with.
    pub(crate) fn socket(&self, path: &str, headers: &[(&str, &str)]) -> Result<WebSocket<TcpStream>, u16> {
        let mut request =
            format!("ws://127.0.0.1:{}{path}", self.port).into_client_request().expect("an address");
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().expect("a name");
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        match tungstenite::client(request, self.connect()) {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) fn stream(&self, path: &str) -> WebSocket<TcpStream> {
        self.socket(path, &[("Authorization", &self.bearer())]).expect("let in")
    }

    /// Ends it as Ctrl-C does, and waits.
    pub(crate) fn end(mut self) -> Option<i32> {
        super::lab::kill(self.child.id(), "INT");
        until("the server ends", || self.child.try_wait().expect("asked")).code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reply {
    fn read(stream: &mut TcpStream) -> Self {
        let mut all = vec![];
        // A reset after the answer is an answer too.
        let _ = stream.read_to_end(&mut all);
        let end = all.windows(4).position(|it| it == b"\r\n\r\n").map_or(all.len(), |it| it + 4);
        let body = all.split_off(end.min(all.len()));
        let head = String::from_utf8_lossy(&all).into_owned();
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Self { status, head, body: if chunked { dechunked(&body) } else { body } }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The JSON of an answer that is a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.head, String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut all = vec![];
    while let Some(end) = body.windows(2).position(|it| it == b"\r\n") {
        let size = String::from_utf8_lossy(&body[..end]);
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        all.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    all
}

/// The next text frame as JSON, or the next bytes with their offset.
#[derive(Debug)]
pub(crate) enum Frame {
    Said(Value),
    Bytes(u64, Vec<u8>),
    Closed,
}

pub(crate) fn next(socket: &mut WebSocket<TcpStream>) -> Frame {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Frame::Said(serde_json::from_str(&text).expect("JSON")),
            Ok(Message::Binary(bytes)) => {
                let (offset, bytes) = bytes.split_at(8);
                return Frame::Bytes(u64::from_le_bytes(offset.try_into().expect("8")), bytes.to_vec());
            }
            Ok(Message::Close(_)) | Err(_) => return Frame::Closed,
            Ok(_) => {}
        }
    }
}
