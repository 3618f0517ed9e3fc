//! The listening socket and its connections: how many, how long they may take, and how they end.

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

/// Connections at once: twenty tabs with all their streams, a few times over.
const MOST: usize = 512;

/// For the head of a request. Whoever takes longer is no browser.
const HEAD: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 * 1024;

/// For what is under way when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Whether the server is ending.
#[derive(Clone, Debug, Default)]
pub struct Over(watch::Sender<bool>);

impl Over {
    pub fn end(&self) {
        self.0.send_replace(true);
    }

    pub fn is_over(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it ends.
    pub async fn cancelled(&self) {
        let mut ends = self.0.subscribe();
        // An end without a word is an end.
        let _ = ends.wait_for(|over| *over).await;
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
    let places = Arc::new(Semaphore::new(MOST));
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept(listener, router.clone(), over.clone(), Arc::clone(&places))))
        .collect();
    for one in accepting {
        // It ends with the server.
        let _ = one.await;
    }
    // Each connection has a place: when all are free, nobody is left.
    let all = u32::try_from(MOST).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(FAREWELL, places.acquire_many(all)).await;
}

async fn accept(listener: TcpListener, router: Router, over: Over, places: Arc<Semaphore>) {
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
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let over = over.clone();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // Browsers break connections off as they like.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = over.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(place);
        });
    }
}
