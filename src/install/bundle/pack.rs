//! Making a bundle: what is not in the cache is fetched, then everything is written once, in the order of the list.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::in_one_line,
    output::Progress,
    platform::{
        checkpoint::{Checkpoint, reach},
        digest::{Hashed, Hasher, Sha256},
        fs::{self, FsError},
        tree,
    },
    vendor::{git, sources},
};

use super::{
    super::{InstallError, cache::Held, pinned::Pinned, repositories, step::Site, venv::Venv},
    Bundled, CONTENTS, Contents, DOWNLOADS, Entry, LOCK, PROGRAM, REPOSITORIES, SCHEMA,
    draft::Draft,
    is_of_a_repository,
};

/// A file that goes in, and what it is called there.
struct Source {
    from: PathBuf,
    entry: Entry,
    executable: bool,
}

/// What becomes of the packages that were fetched for a bundle alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// They stay in the cache, for the next bundle and for setups.
    Keep,
    Drop,
}

/// # Errors
/// When something cannot be fetched, `target` cannot be written, or the workspace is not set up.
pub fn create(
    site: &Site,
    venv: &Venv,
    target: &Path,
    (fetched, progress): (Afterwards, &Progress),
) -> Result<Bundled, InstallError> {
    let mut sources = vec![
        source(&site.host.program, Path::new(PROGRAM), true)?,
        source(&site.workspace.lock_file(), Path::new(LOCK), false)?,
    ];
    // Nothing of it may leave the cache before it is written.
    let mut held: Vec<Held> = vec![];
    for name in ["uv", "python", "node"] {
        progress.doing(format!("fetching {name}"));
        match Pinned::new(site, name).and_then(|it| it.fetch(progress)) {
            Ok(fetched) => held.push(fetched.held),
            Err(error) if error.is_network() => site
                .output
                .warn(format_args!("{}; the other machine needs its own {name}", in_one_line(&error))),
            Err(error) => return Err(error),
        }
    }
    let packages = venv.fetch_all(progress)?;
    held.extend(packages.held);
    progress.doing("listing what goes in");
    for file in &held {
        let digest = file.path.file_name().unwrap_or_default();
        sources.push(source(&file.path, &Path::new(DOWNLOADS).join(digest), false)?);
    }
    for name in site.sources.repositories.keys() {
        sources.extend(repository(site, name)?);
    }
    let contents = Contents {
        schema: SCHEMA,
        dpgui: env!("CARGO_PKG_VERSION").to_owned(),
        arch: site.host.arch,
        environments: vec![packages.environment],
        files: sources.iter().map(|it| it.entry.clone()).collect(),
    };
    write(site, target, (&contents, &sources), progress)?;
    drop(held);
    let left = match fetched {
        Afterwards::Keep => packages.fetched,
        Afterwards::Drop => {
            let used =
                |it: &Sha256| site.cache.discard(*it).map(|is_gone| (!is_gone).then_some(*it)).transpose();
            packages.fetched.iter().filter_map(used).collect::<Result<_, _>>()?
        }
    };
    let left_in_cache = left.iter().map(|it| site.cache.bytes_of(*it)).sum();
    let bytes = fs::size(target)?;
    Ok(Bundled::BundleMade { path: target.to_owned(), files: sources.len(), bytes, left_in_cache })
}

fn source(from: &Path, path: &Path, executable: bool) -> Result<Source, InstallError> {
    let (size, sha256) = digest(from)?;
    let entry = Entry { path: path.to_owned(), size, sha256 };
    Ok(Source { from: from.to_owned(), entry, executable })
}

fn digest(path: &Path) -> Result<(u64, Sha256), FsError> {
    let mut hasher = Hasher::default();
    let size = hasher.update_from(&mut fs::open(path)?).map_err(fs::context("read", path))?;
    Ok((size, hasher.finish()))
}

/// The files of a checkout's own repository, which has its one commit and no more; none where it is not checked out.
fn repository(site: &Site, name: &str) -> Result<Vec<Source>, InstallError> {
    let checkout = site.workspace.vendor().join(name);
    if let Some(damage) = git::damage(&checkout)? {
        return Err(repositories::unreadable(&site.workspace, name, damage));
    }
    let Some(head) = git::head(&checkout)? else {
        if name == sources::TRAINER {
            return Err(InstallError::Verify {
                problem: format!("`{}` is not there", checkout.display()),
                hint: "run `dpgui setup` first".to_owned(),
            });
        }
        return Ok(vec![]);
    };
    let (inside, place) = (checkout.join(".git"), Path::new(REPOSITORIES).join(format!("{head}.git")));
    let mut files = tree::walk(&inside, &|_| false)?;
    files.retain(|it| !it.is_dir && is_of_a_repository(&it.path));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.iter().map(|it| source(&inside.join(&it.path), &place.join(&it.path), false)).collect()
}

fn write(
    site: &Site,
    target: &Path,
    (contents, sources): (&Contents, &[Source]),
    progress: &Progress,
) -> Result<(), InstallError> {
    // Those of other workspaces too: here it is known by its name.
    fs::remove_leftovers(target)?;
    let draft = Draft::begin(&site.workspace, target)?;
    fill(&draft.path, contents, sources, progress)?;
    Ok(draft.becomes(target)?)
}

fn fill(
    draft: &Path,
    contents: &Contents,
    sources: &[Source],
    progress: &Progress,
) -> Result<(), InstallError> {
    let failed = |cause| fs::context("write", draft)(cause);
    let file = fs::create(draft)?;
    let mut tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, &file));
    let list = serde_json::to_vec(contents).unwrap_or_default();
    tar.append_data(&mut header(list.len() as u64, false), CONTENTS, &*list).map_err(failed)?;
    let total = contents.files.iter().map(|it| it.size).sum();
    progress.expect_bytes(total);
    progress.doing("writing");
    let mut done = 0;
    for source in sources {
        let mut head = header(source.entry.size, source.executable);
        let mut content = Hashed::new(fs::open(&source.from)?);
        tar.append_data(&mut head, &source.entry.path, &mut content).map_err(failed)?;
        // This very program may have been replaced by a newer one since it was listed.
        if content.finish() != source.entry.sha256 {
            let problem = format!("`{}` changed while it was packed", source.from.display());
            return Err(InstallError::NoBundle { problem, hint: "run the same command again" });
        }
        done += source.entry.size;
        progress.bytes(done);
    }
    let mut rest = tar.into_inner().map_err(failed)?;
    rest.flush().map_err(failed)?;
    drop(rest);
    file.sync_all().map_err(failed)?;
    reach(Checkpoint::BundleWritten);
    Ok(())
}

fn header(size: u64, executable: bool) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_mtime(0);
    header
}
