//! Any bytes as what a page asks of a log and says while it is told: a question, a `Range`, frames of a WebSocket. An answer
//! or a refusal, no panic, and nothing beyond what there is.
//!
//! The first two bytes are the log's size; the rest are the query and the header, each up to a line's end, and the frames.
#![no_main]

use std::io::{Cursor, Read, Write};

use dpgui::ui::{log, routes, stream};
use libfuzzer_sys::fuzz_target;
use tungstenite::{
    WebSocket,
    protocol::{Role, WebSocketConfig},
};

fuzz_target!(|bytes: &[u8]| {
    let [low, high, rest @ ..] = bytes else { return };
    let size = u64::from(u16::from_le_bytes([*low, *high]));
    let mut parts = rest.splitn(3, |it| *it == b'\n');
    let mut text = || parts.next().map(String::from_utf8_lossy);
    let (query, range) = (text(), text());
    // The id comes from the path, and the query may try to give another.
    let id = ("id", "20260101T000000Z-a");
    let _ = routes::read::<log::Follow>([id], query.as_deref());
    let _ = routes::read::<log::Follow>([("id", query.as_deref().unwrap_or_default())], None);
    if let Ok(Some((first, end))) = log::range(range.as_deref(), size) {
        assert!(first < end && end <= size, "{range:?} of {size}: {first} to {end}");
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(stream::LONGEST_WORD))
        .max_frame_size(Some(stream::LONGEST_WORD))
        .read_buffer_size(stream::LONGEST_WORD);
    let client = Client(Cursor::new(parts.next().unwrap_or_default()));
    let mut socket = WebSocket::from_raw_socket(client, Role::Server, Some(config));
    while let Ok(message) = socket.read() {
        assert!(message.len() <= stream::LONGEST_WORD, "{} bytes", message.len());
    }
});

/// Says these bytes, and hears everything.
struct Client<'a>(Cursor<&'a [u8]>);

impl Read for Client<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Client<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
