//! The listening socket and its connections: how many, how long they may take, and how they end.

use std::{
    io,
    net::{IpAddr, SocketAddr},
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

/// Takes the port; no other program can have it beside us.
///
/// # Errors
/// When it is taken, with whoever has it, and the next free one.
pub async fn bind(address: IpAddr, port: u16) -> Result<TcpListener, UiError> {
    TcpListener::bind(SocketAddr::new(address, port)).await.map_err(|source| {
        if source.kind() != io::ErrorKind::AddrInUse {
            return UiError::Listen { address: SocketAddr::new(address, port).to_string(), source };
        }
        let Port::Taken(holder) = ports::look(port) else { return UiError::taken(port, None) };
        UiError::taken(port, holder)
    })
}

/// Serves until `over`.
pub async fn serve(listener: TcpListener, router: Router, over: Over) {
    let places = Arc::new(Semaphore::new(MOST));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).keep_alive(true);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
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
    drop(listener);
    // Each connection has a place: when all are free, nobody is left.
    let all = u32::try_from(MOST).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(FAREWELL, places.acquire_many(all)).await;
}
