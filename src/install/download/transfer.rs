//! One place of a file: its bytes into the partial file, in as many tries as may help.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use url::Url;

use crate::{
    error::in_one_line,
    platform::{
        fs::{self, FsError},
        net::{Http, NetError, Part},
        place::Place,
    },
};

use super::{InstallError, Listener, Partial, Wanted};

/// Read at a time, and so the most that is in memory.
const CHUNK: usize = 1 << 17;

/// So much between two breaks is worth another try, however slowly it came.
const WORTH_IT: u64 = 1 << 20;

/// Where the bytes come from and who is told.
pub(super) struct Source<'a> {
    pub(super) http: &'a Http,
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) place: &'a Place,
    pub(super) another_way: bool,
    pub(super) listener: &'a dyn Listener,
}

/// What a request brought.
struct Brought {
    result: Result<(), InstallError>,
    /// The partial file has bytes from before: a wrong digest says nothing of this place yet.
    resumed: bool,
}

impl Source<'_> {
    /// Until the file is the wanted one or this place is out of the question.
    pub(super) fn fill(&self, partial: &mut Partial) -> Result<(), InstallError> {
        let mut retries = self.http.retries(self.another_way);
        let mut furthest = partial.have();
        let mut may_start_over = true;
        loop {
            let Brought { result, resumed } = self.request(partial);
            let error = match result.and_then(|()| self.verify(partial)) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if is_about_content(&error) {
                partial.clear()?;
                if !(resumed && may_start_over) {
                    return Err(error);
                }
                // The beginning came from an earlier try or another place: one clean start before the verdict.
                (may_start_over, furthest) = (false, 0);
                self.listener.doing(format!("{}; starting over", in_one_line(&error)));
                continue;
            }
            let InstallError::Net(error) = error else { return Err(error) };
            let moved = partial.have().saturating_sub(furthest);
            // One that is cut off may go on as long as it moves. One that trickles would go on for days.
            if moved >= WORTH_IT || (moved > 0 && !error.is_slow()) {
                furthest = partial.have();
                retries.start_over();
            }
            let Some(pause) = retries.after(&error) else { return Err(error.into()) };
            let seconds = pause.as_secs_f32();
            self.listener.waits(format!("{}; trying again in {seconds:.1} s", in_one_line(&error)));
            if self.http.halt().pause(pause) {
                return Err(InstallError::GivenUp);
            }
        }
    }

    fn verify(&self, partial: &Partial) -> Result<(), InstallError> {
        let (expected, found) = (self.wanted.sha256, partial.digest());
        if found == expected {
            return Ok(());
        }
        Err(InstallError::WrongDigest { from: self.place.to_string(), expected, found })
    }

    fn request(&self, partial: &mut Partial) -> Brought {
        match self.place {
            Place::Http(url) => self.request_part(url, partial),
            Place::File(path) => {
                let resumed = partial.have() > 0;
                Brought { result: self.copy_file(path, partial), resumed }
            }
        }
    }

    fn request_part(&self, url: &Url, partial: &mut Partial) -> Brought {
        let have = partial.have();
        let part = match self.http.part(url.as_str(), have, partial.validator(url)) {
            Ok(part) => part,
            // As long as the whole file, or longer: only the digest can tell.
            Err(NetError::Status { status, .. }) if status.as_u16() == 416 && have > 0 => {
                return Brought { result: Ok(()), resumed: true };
            }
            Err(error) => return Brought { result: Err(error.into()), resumed: have > 0 },
        };
        let resumed = part.start > 0;
        Brought { result: self.receive(part, url, partial), resumed }
    }

    fn receive(&self, part: Part, url: &Url, partial: &mut Partial) -> Result<(), InstallError> {
        let known = if part.start > 0 { partial.total(url) } else { None };
        if let (Some(known), Some(said)) = (known, part.total)
            && known != said
        {
            let problem = format!("the whole file has {said} bytes now, and had {known}");
            return Err(NetError::WrongPart { url: self.place.to_string(), problem }.into());
        }
        let total = self.length(part.total)?;
        if part.start == 0 && partial.have() > 0 {
            // The server starts over, so we do too.
            partial.clear()?;
        }
        self.expect(total, partial)?;
        partial.comes_from(url, &part)?;
        let mut body = part.body;
        self.copy(&mut body, total, partial)?;
        match total {
            Some(total) if partial.have() < total => {
                let message = format!("{} of {total} bytes came", partial.have());
                Err(self.broken(io::Error::new(io::ErrorKind::UnexpectedEof, message)))
            }
            _ => Ok(()),
        }
    }

    /// A file of this machine, from where the partial one ends, or from its end if it is shorter.
    fn copy_file(&self, path: &Path, partial: &mut Partial) -> Result<(), InstallError> {
        let unreadable = |source| InstallError::NoFile { place: path.to_owned(), source };
        let open = || -> Result<(File, u64), FsError> {
            let (mut file, total) = (fs::open(path)?, fs::size(path)?);
            file.seek(SeekFrom::Start(partial.have().min(total))).map_err(fs::context("read", path))?;
            Ok((file, total))
        };
        let (mut file, total) = open().map_err(unreadable)?;
        let total = self.length(Some(total))?;
        self.expect(total, partial)?;
        self.copy(&mut file, total, partial)
    }

    /// How long the whole file is to be, where the place says `said`.
    fn length(&self, said: Option<u64>) -> Result<Option<u64>, InstallError> {
        match (self.wanted.size, said) {
            (Some(expected), Some(found)) if expected != found => {
                Err(InstallError::WrongSize { from: self.place.to_string(), expected, found })
            }
            (pinned, said) => Ok(pinned.or(said)),
        }
    }

    /// Sees to it that there is room for a file of so many bytes.
    fn expect(&self, total: Option<u64>, partial: &Partial) -> Result<(), InstallError> {
        let Some(total) = total else { return Ok(()) };
        self.listener.total(total);
        self.listener.at(partial.have());
        require_space(self.wanted.name, partial.path(), total.saturating_sub(partial.have()))
    }

    fn copy(
        &self,
        body: &mut dyn Read,
        total: Option<u64>,
        partial: &mut Partial,
    ) -> Result<(), InstallError> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = body.read(&mut buffer).map_err(|source| self.broken(source))?;
            if count == 0 {
                return Ok(());
            }
            if let Some(expected) = total
                && partial.have() + count as u64 > expected
            {
                return Err(InstallError::TooLong { from: self.place.to_string(), expected });
            }
            partial.write(&buffer[..count])?;
            self.listener.at(partial.have());
        }
    }

    /// A transfer that ended in the middle.
    fn broken(&self, source: io::Error) -> InstallError {
        match self.place {
            Place::Http(_) => NetError::Broken { url: self.place.to_string(), source }.into(),
            Place::File(path) => {
                let source = fs::context("read", path)(source);
                InstallError::NoFile { place: path.clone(), source }
            }
        }
    }
}

/// The bytes that are here are wrong, or go with no others from this place.
const fn is_about_content(error: &InstallError) -> bool {
    matches!(
        error,
        InstallError::WrongDigest { .. }
            | InstallError::TooLong { .. }
            | InstallError::Net(NetError::WrongPart { .. })
    )
}

fn require_space(what: &str, at: &Path, needed: u64) -> Result<(), InstallError> {
    let available = fs::available_bytes(at)?;
    if needed <= available {
        return Ok(());
    }
    let dir = at.parent().unwrap_or(at).to_owned();
    Err(InstallError::CacheFull { what: what.to_owned(), dir, needed, available })
}
