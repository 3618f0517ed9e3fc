//! The listening socket and its connections: how many, how long they may take, and how they end.

mod client;
mod refused;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::platform::ports::{self, Port};

use super::UiError;
use client::Client;

/// Connections at once: twenty tabs with all their streams, a few times over.
const MOST: usize = 512;

/// For the head of a request. Whoever takes longer is no browser.
const HEAD: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 * 1024;

/// A client that has taken nothing of what is there for it for so long has gone, and its place is another's.
const UNREAD: Duration = Duration::from_mins(1);

/// For what is under way when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Whether the server is ending.
#[derive(Clone, Debug, Default)]
pub struct Over {
    ends: watch::Sender<bool>,
    /// Each stream has a receiver of it as long as it has something to say.
    streams: watch::Sender<()>,
}

impl Over {
    pub fn end(&self) {
        self.ends.send_replace(true);
    }

    pub fn is_over(&self) -> bool {
        *self.ends.borrow()
    }

    /// Returns when it ends.
    pub async fn cancelled(&self) {
        let mut ends = self.ends.subscribe();
        // An end without a word is an end.
        let _ = ends.wait_for(|over| *over).await;
    }

    /// Until this is dropped, the end of the server waits for the last word of a stream, which has no place any more.
    pub fn wait_for_me(&self) -> watch::Receiver<()> {
        self.streams.subscribe()
    }
}

/// Takes the port; no other program can have it beside us. Loopback has two addresses, and `localhost` may mean either: who
/// had the other one would be taken for us.
///
/// # Errors
/// When it is taken, with whoever has it, and the next free one.
pub async fn bind(address: IpAddr, port: u16) -> Result<(Vec<TcpListener>, u16), UiError> {
    let first = TcpListener::bind(SocketAddr::new(address, port)).await;
    let first = first.map_err(|cause| refused(address, port, cause))?;
    let port = first.local_addr().map_err(UiError::Runtime)?.port();
    let mut listeners = vec![first];
    if address == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        let other = IpAddr::V6(Ipv6Addr::LOCALHOST);
        match TcpListener::bind(SocketAddr::new(other, port)).await {
            Ok(second) => listeners.push(second),
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => {
                return Err(refused(other, port, cause));
            }
            // Many machines have no such address: then nobody can have it.
            Err(_) => {}
        }
    }
    Ok((listeners, port))
}

fn refused(address: IpAddr, port: u16, source: io::Error) -> UiError {
    if source.kind() != io::ErrorKind::AddrInUse {
        return UiError::Listen { address: SocketAddr::new(address, port).to_string(), source };
    }
    let Port::Taken(holder) = ports::look(port) else { return UiError::taken(port, None) };
    UiError::taken(port, holder)
}

/// Serves until `over`.
pub async fn serve(listeners: Vec<TcpListener>, router: &Router, over: &Over) {
    serve_with(listeners, router, over, UNREAD).await;
}

async fn serve_with(listeners: Vec<TcpListener>, router: &Router, over: &Over, unread: Duration) {
    let places = Arc::new(Semaphore::new(MOST));
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let places = Arc::clone(&places);
            tokio::spawn(accept(listener, router.clone(), over.clone(), places, unread))
        })
        .collect();
    for one in accepting {
        // It ends with the server.
        let _ = one.await;
    }
    // Each connection has a place: when all are free, nobody is left.
    let all = u32::try_from(MOST).unwrap_or(u32::MAX);
    let nobody_is_left = async {
        let _ = places.acquire_many(all).await;
        over.streams.closed().await;
    };
    let _ = tokio::time::timeout(FAREWELL, nobody_is_left).await;
}

async fn accept(listener: TcpListener, router: Router, over: Over, places: Arc<Semaphore>, unread: Duration) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).keep_alive(true);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = over.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: the next one may have luck.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Lines that were gathered already need not be gathered again.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let mut connection =
            http.serve_connection(TokioIo::new(Client::new(stream, unread)), service).with_upgrades();
        let over = over.clone();
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = over.cancelled() => {
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                    (&mut connection).await
                }
            };
            // One that has become a stream is another's.
            if let Some(parts) = connection.into_parts() {
                refused::answer(parts.io.into_inner(), ended, !parts.read_buf.is_empty()).await;
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream as Plain,
        pin::Pin,
        sync::atomic::{AtomicBool, Ordering},
        task::{Context, Poll},
    };

    use axum::{body::Body, routing::get};

    use crate::platform::clock::Stopwatch;

    use super::*;

    /// A body without an end, which tells when it is dropped.
    struct Endless(Arc<AtomicBool>);

    impl futures_core::Stream for Endless {
        type Item = io::Result<Vec<u8>>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(Some(Ok(vec![b'x'; 64 * 1024])))
        }
    }

    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_does_not_read_what_he_asked_for_is_dropped_and_who_does_is_not() {
        let dropped = Arc::new(AtomicBool::new(false));
        let of_route = Arc::clone(&dropped);
        let endless = get(async move || Body::from_stream(Endless(Arc::clone(&of_route))));
        let router = Router::new().route("/", endless);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (listeners, port) = runtime.block_on(bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).expect("a port");
        let over = Over::default();
        let ends = over.clone();
        let patience = Duration::from_millis(500);
        let served = runtime.spawn(async move { serve_with(listeners, &router, &ends, patience).await });
        let ask = || {
            let mut client = Plain::connect(("127.0.0.1", port)).expect("it listens");
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
            client
        };
        // One that reads for longer than the other one is waited for.
        let (mut reader, mut bytes) = (ask(), vec![0; 64 * 1024]);
        let since = Stopwatch::start();
        while since.elapsed() < 2 * patience {
            assert!(reader.read(&mut bytes).expect("it goes on") > 0);
        }
        assert!(!dropped.load(Ordering::SeqCst));
        drop(reader);
        while !dropped.swap(false, Ordering::SeqCst) {}
        let mut asleep = ask();
        while !dropped.load(Ordering::SeqCst) {
            assert!(since.elapsed() < Duration::from_secs(30), "it is still held");
            std::thread::yield_now();
        }
        // What was under way can be read, and then it is over.
        while asleep.read(&mut bytes).is_ok_and(|it| it > 0) {}
        over.end();
        runtime.block_on(served).expect("it ends");
    }
}
