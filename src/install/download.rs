//! Files from the network: resumed where they were cut off, tried again where that may help, and never taken for
//! whole before their digest is the pinned one.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::in_one_line,
    output::Progress,
    platform::{
        clock,
        digest::{Hasher, Sha256},
        fs::{self, FsError},
        net::{Http, NetError},
        place::Place,
        retry::Retries,
    },
};

use super::InstallError;

/// A pinned file: what it is called in messages, its digest, where it may be.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    pub name: &'a str,
    pub sha256: Sha256,
    pub places: &'a [Place],
    /// There is a way round all of the places.
    pub another_way: bool,
}

/// A verified file in the download directory, and where it came from.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub path: PathBuf,
    pub from: String,
}

/// Gets `wanted` into `dir`, where it is called by its digest.
///
/// # Errors
/// After the last place failed: with a wrong digest if there was one, because that is the news that matters, else
/// with what the last place said.
pub fn fetch(http: &Http, wanted: &Wanted, dir: &Path, progress: &Progress) -> Result<Fetched, InstallError> {
    let path = dir.join(wanted.sha256.to_string());
    if digest_of(&path)? == Some(wanted.sha256) {
        return Ok(Fetched { path, from: "an earlier download".to_owned() });
    }
    fs::create_dir_all(dir)?;
    let mut failure = None;
    for (index, place) in wanted.places.iter().enumerate() {
        let another_way = wanted.another_way || index + 1 < wanted.places.len();
        let retries = Retries::new(another_way);
        progress.doing(format!("from {place}"));
        match from_place(http, place, (&path, wanted.sha256), retries, progress) {
            Ok(()) => return Ok(Fetched { path, from: place.to_string() }),
            Err(
                error @ (InstallError::WrongDigest { .. }
                | InstallError::Net(_)
                | InstallError::NoFile { .. }),
            ) => {
                if !matches!(failure, Some(InstallError::WrongDigest { .. })) {
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
        None => InstallError::BadArchive {
            archive: path,
            problem: "no place to get it from is declared".to_owned(),
        },
    })
}

fn from_place(
    http: &Http,
    place: &Place,
    (path, sha256): (&Path, Sha256),
    mut retries: Retries,
    progress: &Progress,
) -> Result<(), InstallError> {
    let partial = path.with_extension("part");
    loop {
        let before = fs::size(&partial).unwrap_or(0);
        let result = transfer(http, place, &partial, progress);
        if fs::size(&partial).is_ok_and(|size| size == 0) {
            fs::remove_tree(&partial)?;
        }
        let error = match result {
            Ok(found) if found == sha256 => return Ok(fs::rename(&partial, path)?),
            Ok(found) => {
                fs::remove_tree(&partial)?;
                if before > 0 {
                    // The beginning came from an earlier try or another place: one clean start before the verdict.
                    continue;
                }
                let from = place.to_string();
                return Err(InstallError::WrongDigest { from, expected: sha256, found });
            }
            Err(InstallError::Net(error)) => error,
            Err(error) => return Err(error),
        };
        if fs::size(&partial).unwrap_or(0) > before {
            retries.start_over();
        }
        let Some(pause) = retries.after(&error) else { return Err(error.into()) };
        progress.doing(format!("{}; trying again in {} s", in_one_line(&error), pause.as_secs_f32()));
        clock::pause(pause);
    }
}

/// One request, its bytes added to the partial file; the digest of the whole file so far comes back.
fn transfer(http: &Http, place: &Place, partial: &Path, progress: &Progress) -> Result<Sha256, InstallError> {
    let mut file = fs::open_read_write(partial)?;
    let mut hasher = Hasher::default();
    let mut have = hasher.update_from(&mut file).map_err(fs::context("read", partial))?;
    let (mut body, rest): (Box<dyn Read>, Option<u64>) = match place {
        Place::File(path) => {
            let (source, rest) = open_from(path, &mut have)
                .map_err(|source| InstallError::NoFile { place: path.clone(), source })?;
            (Box::new(source), Some(rest))
        }
        Place::Http(url) => {
            let response = match http.get(url.as_str(), have) {
                // The partial file is as long as the whole one, or longer: only its digest can tell.
                Err(NetError::Status { status, .. }) if status.as_u16() == 416 && have > 0 => {
                    return Ok(hasher.finish());
                }
                response => response?,
            };
            if have > 0 && response.status().as_u16() != 206 {
                // The server starts over, so we do too.
                (hasher, have) = (Hasher::default(), 0);
                file.set_len(0).and_then(|()| file.rewind()).map_err(fs::context("empty", partial))?;
            }
            let rest = response.content_length();
            (Box::new(response), rest)
        }
    };
    if let Some(rest) = rest {
        progress.expect_bytes(have + rest);
        require_space(place, partial, rest)?;
    }
    copy(
        &mut body,
        &mut Sink { file: &mut file, path: partial, hasher: &mut hasher, have, progress },
        place,
    )?;
    file.sync_data().map_err(fs::context("sync", partial))?;
    Ok(hasher.finish())
}

/// The file from byte `have` on, or from its end if it is shorter, and how much there is of it from there.
fn open_from(path: &Path, have: &mut u64) -> Result<(File, u64), FsError> {
    let mut file = fs::open(path)?;
    let total = fs::size(path)?;
    *have = (*have).min(total);
    file.seek(SeekFrom::Start(*have)).map_err(fs::context("read", path))?;
    Ok((file, total - *have))
}

/// A transfer that ended in the middle.
fn broken(place: &Place, source: std::io::Error) -> InstallError {
    match place {
        Place::Http(_) => NetError::Broken { url: place.to_string(), source }.into(),
        Place::File(path) => {
            let source = fs::context("read", path)(source);
            InstallError::NoFile { place: path.clone(), source }
        }
    }
}

struct Sink<'a> {
    file: &'a mut File,
    path: &'a Path,
    hasher: &'a mut Hasher,
    have: u64,
    progress: &'a Progress,
}

fn copy(body: &mut dyn Read, sink: &mut Sink, place: &Place) -> Result<(), InstallError> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = body.read(&mut buffer).map_err(|source| broken(place, source))?;
        if count == 0 {
            return Ok(());
        }
        sink.file.write_all(&buffer[..count]).map_err(fs::context("write", sink.path))?;
        sink.hasher.update(&buffer[..count]);
        sink.have += count as u64;
        sink.progress.bytes(sink.have);
    }
}

fn require_space(what: &Place, at: &Path, needed: u64) -> Result<(), InstallError> {
    let available = fs::available_bytes(at)?;
    if needed <= available {
        return Ok(());
    }
    let at = at.parent().unwrap_or(at).to_owned();
    Err(InstallError::NoSpace { what: what.to_string(), at, needed, available })
}

fn digest_of(path: &Path) -> Result<Option<Sha256>, FsError> {
    if !fs::exists(path) {
        return Ok(None);
    }
    let mut hasher = Hasher::default();
    hasher.update_from(&mut fs::open(path)?).map_err(fs::context("read", path))?;
    Ok(Some(hasher.finish()))
}
