//! The wheels on their way here: several at a time, and handed over as they arrive, so that uv unpacks while the
//! others are still coming.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
    thread::Scope,
};

use crate::{
    output::Progress,
    platform::{digest::Sha256, net::NetError, place::Place},
    vendor::lock::Package,
};

use super::super::{
    InstallError,
    download::{self, Fetched, Listener, Wanted},
    packages::TOOLS,
    step::Site,
};

/// Transfers at a time. More share the same line, and the first file would be there later.
const AT_ONCE: usize = 6;

/// The address of each file, as far as an index tells.
pub(super) type Places = HashMap<Sha256, Place>;

/// Asks for the addresses of these.
pub(super) type LookUp<'a> = &'a (dyn Fn(&[&Package]) -> Result<Places, InstallError> + Sync);

/// What has become of a file.
#[derive(Debug)]
pub(super) enum Arrived<'a> {
    /// It is in the cache, verified, and stays there for as long as this lives.
    Here(&'a Package, Fetched),
    /// No index tells us where it is, or not without a password that only uv can ask a keyring for.
    LeftToUv(&'a Package),
}

/// The transfers of one environment.
pub(super) struct Transfers<'a> {
    pub(super) site: &'a Site,
    places: Places,
    /// Whose addresses were asked for; the others were in the cache then.
    looked_up: HashSet<Sha256>,
    look_up: LookUp<'a>,
    /// Held by who looks something up: its lists have one name.
    looking_up: Mutex<()>,
    /// The smallest first.
    queue: Mutex<VecDeque<&'a Package>>,
    stopped: AtomicBool,
    bytes: AtomicU64,
    total: AtomicU64,
    progress: &'a Progress,
    keep: bool,
}

impl<'a> Transfers<'a> {
    /// # Errors
    /// When the addresses of what is not in the cache cannot be asked for.
    pub(super) fn new(
        site: &'a Site,
        packages: &'a [Package],
        (missing, look_up): (&[&Package], LookUp<'a>),
        (progress, keep): (&'a Progress, bool),
    ) -> Result<Self, InstallError> {
        let places = look_up(missing)?;
        let looked_up = missing.iter().map(|it| it.sha256).collect();
        let mut queue: Vec<&Package> = packages.iter().collect();
        // What sources are built with and the sources come before all: building takes longer than fetching them.
        let rank = |it: &Package| (!TOOLS.contains(&it.name.as_str()), !it.is_source(), it.size);
        queue.sort_by_key(|it| rank(it));
        let total = packages.iter().filter_map(|it| it.size).sum();
        progress.expect_download(total);
        let (stopped, bytes) = (AtomicBool::new(false), AtomicU64::new(0));
        let (queue, total) = (Mutex::new(queue.into()), AtomicU64::new(total));
        let looking_up = Mutex::new(());
        Ok(Self {
            site,
            places,
            looked_up,
            look_up,
            looking_up,
            queue,
            stopped,
            bytes,
            total,
            progress,
            keep,
        })
    }

    /// Starts them; each file comes out of the channel once.
    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
    ) -> Receiver<Result<Arrived<'scope>, InstallError>> {
        let (sender, receiver) = mpsc::channel();
        for worker in 0..AT_ONCE {
            let sender = sender.clone();
            scope.spawn(move || {
                // One takes the small ones, so that uv has work early; the others the largest that is left.
                while let Some(package) = self.next(worker == 0) {
                    let result = self.fetch(package).and_then(|it| self.kept(it));
                    let failed = result.is_err();
                    if sender.send(result).is_err() {
                        return;
                    }
                    // Once its own error is on its way: the others end with errors too.
                    if failed {
                        self.stop();
                        self.site.http.halt().call();
                    }
                }
            });
        }
        receiver
    }

    /// What is under way goes on; nothing more is begun.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn next(&self, small: bool) -> Option<&'a Package> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if small { queue.pop_front() } else { queue.pop_back() }
    }

    /// While it is held: whoever else uses it may be about to throw it away.
    fn kept<'b>(&self, arrived: Arrived<'b>) -> Result<Arrived<'b>, InstallError> {
        if let (Arrived::Here(package, _), true) = (&arrived, self.keep) {
            self.site.cache.want_kept(package.sha256)?;
        }
        Ok(arrived)
    }

    fn fetch(&self, package: &'a Package) -> Result<Arrived<'a>, InstallError> {
        let listener = OneOfMany { all: self, known: package.size.is_some(), at: AtomicU64::new(0) };
        let mut place = self.places.get(&package.sha256).cloned();
        if place.is_none() {
            if let Some(held) = self.site.cache.take(package.sha256)? {
                listener.at(package.size.unwrap_or(0));
                return Ok(Arrived::Here(package, Fetched::earlier(held)));
            }
            if !self.looked_up.contains(&package.sha256) {
                place = self.place_of_lost(package)?;
            }
        }
        let Some(place) = place else { return Ok(Arrived::LeftToUv(package)) };
        let (name, sha256, size) = (&*package.file, package.sha256, package.size);
        let wanted = Wanted { name, sha256, size, places: std::slice::from_ref(&place), another_way: false };
        match download::fetch(&self.site.http, &wanted, &self.site.cache, &listener) {
            Ok(fetched) => {
                if let Some(size) = package.size {
                    listener.at(size);
                }
                Ok(Arrived::Here(package, fetched))
            }
            Err(InstallError::Net(NetError::Status { status, .. }))
                if [401, 403].contains(&status.as_u16()) =>
            {
                Ok(Arrived::LeftToUv(package))
            }
            Err(error) if error.is_wrong_file() => {
                Err(InstallError::OtherPackage { file: package.file.clone(), source: Box::new(error) })
            }
            Err(error) => Err(error),
        }
    }
}

impl Transfers<'_> {
    /// A file that counted as here by its name, and is not what that says or has gone since, has to be fetched like the
    /// others.
    fn place_of_lost(&self, package: &Package) -> Result<Option<Place>, InstallError> {
        if self.site.http.is_offline() {
            return Err(NetError::Offline { url: package.file.clone() }.into());
        }
        let _looking_up = self.looking_up.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((self.look_up)(&[package])?.remove(&package.sha256))
    }
}

/// Adds up what many transfers say of themselves.
struct OneOfMany<'a, 'b> {
    all: &'b Transfers<'a>,
    /// Its size is in the sum already.
    known: bool,
    at: AtomicU64,
}

impl Listener for OneOfMany<'_, '_> {
    fn total(&self, bytes: u64) {
        if !self.known {
            let total = self.all.total.fetch_add(bytes, Ordering::Relaxed) + bytes;
            self.all.progress.expect_download(total);
        }
    }

    fn at(&self, bytes: u64) {
        let before = self.at.swap(bytes, Ordering::Relaxed);
        let all = &self.all.bytes;
        // A transfer that starts over takes back what it said.
        let now = if bytes >= before {
            all.fetch_add(bytes - before, Ordering::Relaxed) + (bytes - before)
        } else {
            all.fetch_sub(before - bytes, Ordering::Relaxed) - (before - bytes)
        };
        self.all.progress.bytes(now);
    }

    /// The whole environment's line has other things to say.
    fn doing(&self, _what: String) {}

    fn waits(&self, what: String) {
        self.all.progress.mention_wait(&what);
    }
}
