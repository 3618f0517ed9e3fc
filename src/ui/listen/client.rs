//! A connection as hyper has it: on which nothing may lie unread for too long, and whose last word may be put better.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

/// The longest answer that hyper makes by itself has some 120 bytes.
const LONGEST_BARE: usize = 200;

pub(super) struct Client {
    stream: TcpStream,
    patience: Duration,
    /// While it takes nothing.
    until: Option<Pin<Box<Sleep>>>,
    /// What looks like an answer of hyper's own. If it is one, it is the last on this connection, whose end tells; if it is
    /// not, it goes out before whatever comes next.
    held: Vec<u8>,
}

impl Client {
    pub(super) const fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, patience, until: None, held: vec![] }
    }

    /// The connection, and what was said last and nobody has got.
    pub(super) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.held)
    }

    /// `wrote`, unless that has been nothing for too long.
    fn judge<T>(&mut self, wrote: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.until = None;
            return wrote;
        }
        let patience = self.patience;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        until.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let wrote = Pin::new(&mut self.stream).poll_write(context, &self.held);
            let wrote = ready!(self.judge(wrote, context))?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..wrote);
        }
        Poll::Ready(Ok(()))
    }
}

/// Where in `bytes` an answer without a body begins that refuses something and is their end. All of ours have a body.
fn bare(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST_BARE);
    let start = from + memchr::memmem::rfind(&bytes[from..], b"HTTP/1.1 4")?;
    memchr::memmem::find(&bytes[start..], b"\r\ncontent-length: 0\r\n").map(|_| start)
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Who reads on has not made his last answer.
        if let Poll::Ready(Err(cause)) = self.release(context) {
            return Poll::Ready(Err(cause));
        }
        Pin::new(&mut self.stream).poll_read(context, bytes)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.release(context))?;
        let usual = bare(bytes).unwrap_or(bytes.len());
        if usual == 0 && !bytes.is_empty() {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let wrote = Pin::new(&mut self.stream).poll_write(context, &bytes[..usual]);
        self.judge(wrote, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if pieces.iter().any(|it| bare(it).is_some()) {
            let first = pieces.iter().find(|it| !it.is_empty());
            return self.poll_write(context, first.map_or(&[], |it| it));
        }
        ready!(self.release(context))?;
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judge(wrote, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // How it ended is known right after: what is held was hyper's, or goes out then.
        if self.held.is_empty() {
            Pin::new(&mut self.stream).poll_shutdown(context)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_hypers_own_is_known_by_its_looks() {
        let check = |text: &str, expected| assert_eq!(bare(text.as_bytes()), expected, "{text}");
        let own = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\
                   date: Sat, 28 Nov 2026 03:01:26 GMT\r\n\r\n";
        check(own, Some(0));
        check(&format!("the one before{own}"), Some(14));
        check(&format!("{}{own}", "x".repeat(500)), Some(500));
        check(&format!("{own} "), None);
        check(&own.replace("length: 0", "length: 10"), None);
        check(&own.replace("431", "204"), None);
        check("\r\n\r\n", None);
        check("", None);
    }
}
