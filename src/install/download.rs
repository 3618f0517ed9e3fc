//! Files from the network: resumed where they were cut off, by whatever, tried again where that may help, and never
//! taken for whole before their digest is the pinned one.
//!
//! Nothing that a server says of a file is believed, neither its length nor that a part belongs to the beginning that is
//! here: the digest decides. What does not come out right was perhaps put together from two files, so it is fetched once
//! more from its start before the place counts as wrong.

mod partial;
mod transfer;

use std::path::PathBuf;

use crate::{
    error::{Kind, Report},
    output::Progress,
    platform::{
        checkpoint::{Checkpoint, reach},
        digest::Sha256,
        net::Http,
        place::Place,
    },
};

use self::{partial::Partial, transfer::Source};

use super::{
    InstallError,
    cache::{Cache, Held},
};

/// A pinned file: what it is called in messages, its digest, where it may be.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    pub name: &'a str,
    pub sha256: Sha256,
    /// Bytes, where they are pinned too.
    pub size: Option<u64>,
    pub places: &'a [Place],
    /// There is a way round all of the places.
    pub another_way: bool,
}

/// A verified file in the cache, and where it came from. It stays there for as long as this lives.
#[derive(Debug)]
pub struct Fetched {
    pub path: PathBuf,
    pub from: String,
    pub held: Held,
}

/// Where what was in the cache came from.
pub const EARLIER: &str = "an earlier download";

impl Fetched {
    /// It was there.
    pub fn earlier(held: Held) -> Self {
        Self { path: held.path.clone(), from: EARLIER.to_owned(), held }
    }
}

/// Is told how far a download is.
pub trait Listener: Sync {
    /// This many bytes it will be in all.
    fn total(&self, bytes: u64);
    /// This many bytes are there.
    fn at(&self, bytes: u64);
    /// What is going on right now.
    fn doing(&self, what: String);
    /// What is waited for before it is tried again.
    fn waits(&self, what: String) {
        self.doing(what);
    }
}

impl Listener for Progress {
    fn total(&self, bytes: u64) {
        self.expect_download(bytes);
    }

    fn at(&self, bytes: u64) {
        self.bytes(bytes);
    }

    fn doing(&self, what: String) {
        Self::doing(self, what);
    }

    fn waits(&self, what: String) {
        Self::waits(self, &what);
    }
}

/// Gets `wanted` into the cache, where it may be already. Whoever fetches the same file just now is waited for.
///
/// # Errors
/// After the last place failed: with a wrong file if there was one, because that is the news that matters, else with
/// what the last place said.
pub fn fetch(
    http: &Http,
    wanted: &Wanted,
    cache: &Cache,
    listener: &dyn Listener,
) -> Result<Fetched, InstallError> {
    if let Some(held) = cache.take(wanted.sha256)? {
        return Ok(Fetched::earlier(held));
    }
    let waiting = || listener.doing("waiting for another setup that fetches the same file".to_owned());
    let Some(alone) = cache.alone(wanted.sha256, waiting)? else {
        return fetch(http, wanted, cache, listener);
    };
    // Somebody was faster, or there is a damaged one, which makes way in the end.
    if cache.is_sound(wanted.sha256)? {
        drop(alone);
        return fetch(http, wanted, cache, listener);
    }
    let mut partial = Partial::open(cache, wanted.sha256).map_err(|source| cache.failed(source))?;
    let from = get(http, wanted, &mut partial, listener).and_then(|from| {
        partial.sync()?;
        reach(Checkpoint::Downloaded);
        partial.forget_origin()?;
        reach(Checkpoint::PartialForgotten);
        Ok(from)
    });
    let from = match from {
        Ok(from) => from,
        Err(error) => {
            if partial.have() == 0 {
                // The error that is on its way says more than one about the tidying up.
                let _ = partial.forget();
            }
            return Err(match error {
                InstallError::Fs(source) => cache.failed(source),
                error => error,
            });
        }
    };
    let Some(held) = cache.keep(partial.path(), wanted.sha256, alone)? else {
        return fetch(http, wanted, cache, listener);
    };
    Ok(Fetched { path: held.path.clone(), from, held })
}

/// Makes `partial` the wanted file. Where it came from comes back.
fn get(
    http: &Http,
    wanted: &Wanted,
    partial: &mut Partial,
    listener: &dyn Listener,
) -> Result<String, InstallError> {
    if partial.digest() == wanted.sha256 {
        // Killed between its last byte and its name.
        return Ok(EARLIER.to_owned());
    }
    let mut failure = None;
    for (index, place) in wanted.places.iter().enumerate() {
        let another_way = wanted.another_way || index + 1 < wanted.places.len();
        listener.doing(format!("from {place}"));
        match (Source { http, wanted, place, another_way, listener }).fill(partial) {
            Ok(()) => return Ok(place.to_string()),
            Err(error) if is_about_the_place(&error) => {
                let is_worse = failure.as_ref().is_some_and(|it: &InstallError| it.kind() == Kind::Integrity);
                if !is_worse {
                    failure = Some(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    let what = wanted.name.to_owned();
    Err(match failure {
        Some(error) if wanted.places.len() == 1 => error,
        Some(error) => InstallError::NoPlace { what, source: Box::new(error) },
        None => InstallError::NoPlaces { what },
    })
}

/// Another place may have the file; of a full disk that cannot be said.
const fn is_about_the_place(error: &InstallError) -> bool {
    error.is_wrong_file() || matches!(error, InstallError::Net(_) | InstallError::NoFile { .. })
}
