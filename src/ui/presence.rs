//! Whether the workspace is still there, asked for every request beside the connections: a file system that hangs holds up
//! who asks for what is on it, and nobody else.

use std::{path::Path, sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::{sync::Semaphore, time::timeout};

use crate::platform::fs;

use super::failure::Failure;

/// For a file system to answer. One on a disk that has to spin up first needs seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// Threads that wait for its answer at once: each that hangs stays until the file system answers.
const LOOKS: usize = 8;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    There,
    Gone,
    /// Its file system has not answered.
    Silent,
}

#[derive(Debug)]
pub(super) struct Presence {
    looks: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Presence {
    fn default() -> Self {
        Self { looks: Arc::new(Semaphore::new(LOOKS)), patience: PATIENCE }
    }
}

impl Presence {
    /// Lets on whoever wants something of the workspace in `root`, while there is one.
    ///
    /// # Errors
    /// When it has gone, or cannot be reached.
    pub(super) async fn wanted(&self, root: &Path) -> Result<(), Failure> {
        let folder = root.to_owned();
        let (message, hint) = match self.look(move || fs::is_missing(&folder)).await {
            Found::There => return Ok(()),
            Found::Gone => (
                format!("there is no workspace in `{}` any more", root.display()),
                "put it back, or end this server and start `dpgui ui` where the workspace is now",
            ),
            Found::Silent => (
                format!("the workspace in `{}` does not answer", root.display()),
                "look whether its file system is still reachable; all goes on when it is",
            ),
        };
        Err(Failure::http(StatusCode::SERVICE_UNAVAILABLE, "no-workspace", message).with_hint(hint))
    }

    async fn look(&self, is_missing: impl FnOnce() -> bool + Send + 'static) -> Found {
        let looks = Arc::clone(&self.looks);
        let answer = async {
            let place = looks.acquire_owned().await.ok()?;
            let look = move || {
                let found = is_missing();
                drop(place);
                found
            };
            tokio::task::spawn_blocking(look).await.ok()
        };
        match timeout(self.patience, answer).await {
            Ok(Some(true)) => Found::Gone,
            Ok(Some(false)) => Found::There,
            Ok(None) | Err(_) => Found::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_file_system_that_hangs_keeps_only_those_waiting_who_ask_for_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let presence = Presence { patience: Duration::from_millis(50), ..Presence::default() };
        let (answer, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(std::sync::Mutex::new(hangs));
        runtime.block_on(async {
            assert_eq!(presence.look(|| false).await, Found::There);
            assert_eq!(presence.look(|| true).await, Found::Gone);
            // More of them than there are threads for, one after the other: the runtime's only thread is never theirs.
            for _ in 0..LOOKS + 2 {
                let hangs = Arc::clone(&hangs);
                let look = move || hangs.lock().is_ok_and(|it| it.recv().is_err());
                assert_eq!(presence.look(look).await, Found::Silent);
            }
            drop(answer);
            // It answers again.
            let patient = Presence { patience: PATIENCE, looks: Arc::clone(&presence.looks) };
            assert_eq!(patient.look(|| false).await, Found::There);
        });
    }

    #[test]
    fn a_workspace_that_has_gone_is_missed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let world = tempfile::tempdir().expect("a temp dir");
        let check = |root: &Path| runtime.block_on(Presence::default().wanted(root));
        assert!(check(world.path()).is_ok());
        let refused = check(&world.path().join("gone")).expect_err("it is not there");
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
