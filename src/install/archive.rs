//! Unpacking by our own strict loop: what is not plain and inside is refused, never skipped or moved.
//!
//! `tar::Archive::unpack` silently skips `../x`, relocates absolute paths, and makes an empty file of a FIFO
//! (measured with tar 0.4.46). Digests are pinned, so a hostile archive would need a sha256 collision; but mirrors
//! and overrides are the user's own, and a loud error beats a quiet half-install.

use std::{
    collections::HashMap,
    io::{BufReader, Read},
    path::{Component, Path, PathBuf},
};

use flate2::read::GzDecoder;
use tar::EntryType;

use crate::{
    output::Progress,
    platform::{
        digest::{Hasher, Sha256},
        fs::{self, FsError},
    },
};

use super::{InstallError, manifest::Known};

/// Far above any archive that setup unpacks: Node has 5,000 entries and 200 MB.
const MOST_ENTRIES: u64 = 100_000;
const MOST_BYTES: u64 = 4 << 30;

/// Unpacks a `.tar.gz` with one top directory; what is in that directory lands in `target`. The digests of what was
/// written come back.
pub fn unpack_tar_gz(archive: &Path, target: &Path, progress: &Progress) -> Result<Known, InstallError> {
    let bad = |problem: String| InstallError::BadArchive { archive: archive.to_owned(), problem };
    let total = fs::size(archive)?;
    progress.expect_bytes(total);
    progress.doing("unpacking");
    let counted = Counted { inner: fs::open(archive)?, done: 0, progress };
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::with_capacity(1 << 17, counted)));
    let mut tree = Tree::new(archive, target);
    let mut top = None;
    for entry in tar.entries().map_err(|cause| bad(cause.to_string()))? {
        let mut entry = entry.map_err(|cause| bad(cause.to_string()))?;
        let path = entry.path().map_err(|cause| bad(cause.to_string()))?.into_owned();
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode().map_err(|cause| bad(cause.to_string()))?);
        let link =
            entry.link_name().map_err(|cause| bad(cause.to_string()))?.map(std::borrow::Cow::into_owned);
        let Some(inside) = tree.below_top(&path, &mut top)? else { continue };
        match (kind, link) {
            (EntryType::Directory, _) => tree.directory(&inside)?,
            (EntryType::Regular | EntryType::Continuous, _) => tree.file(&inside, mode, &mut entry)?,
            (EntryType::Symlink, Some(link)) => tree.symlink(&inside, &link)?,
            (EntryType::Link, Some(link)) => {
                let Some(existing) = tree.below_top(&link, &mut top)? else {
                    return Err(bad(format!("`{}` is a hard link to a directory", path.display())));
                };
                tree.hard_link(&inside, &existing)?;
            }
            (kind, _) => return Err(bad(format!("`{}` is of the type {kind:?}", path.display()))),
        }
    }
    // The end of the tar is not the end of the file: reading on checks the compression's own checksum too.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(|cause| bad(cause.to_string()))?;
    tree.finish()
}

/// Unpacks what a wheel holds under `prefix`.
pub fn unpack_wheel(archive: &Path, prefix: &str, target: &Path) -> Result<Known, InstallError> {
    let bad = |problem: String| InstallError::BadArchive { archive: archive.to_owned(), problem };
    let mut zip = zip::ZipArchive::new(fs::open(archive)?).map_err(|cause| bad(cause.to_string()))?;
    let mut tree = Tree::new(archive, target);
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|cause| bad(cause.to_string()))?;
        let path = PathBuf::from(entry.name().map_err(|cause| bad(cause.to_string()))?.as_ref());
        let Ok(inside) = path.strip_prefix(prefix) else { continue };
        let (inside, mode) = (tree.plain(inside)?, entry.unix_mode().unwrap_or(0o644));
        if entry.is_dir() {
            tree.directory(&inside)?;
        } else if entry.is_file() {
            tree.file(&inside, mode, &mut entry)?;
        } else {
            return Err(bad(format!("`{}` is neither a file nor a directory", path.display())));
        }
    }
    tree.finish()
}

/// What has been unpacked so far, and the rules for the next entry.
struct Tree<'a> {
    archive: &'a Path,
    target: &'a Path,
    files: HashMap<PathBuf, (u64, Sha256)>,
    /// Where each points, as written.
    links: HashMap<PathBuf, PathBuf>,
    entries: u64,
    bytes: u64,
}

impl<'a> Tree<'a> {
    fn new(archive: &'a Path, target: &'a Path) -> Self {
        Self { archive, target, files: HashMap::new(), links: HashMap::new(), entries: 0, bytes: 0 }
    }

    fn bad(&self, problem: String) -> InstallError {
        InstallError::BadArchive { archive: self.archive.to_owned(), problem }
    }

    /// `path` with nothing in it but names.
    fn plain(&self, path: &Path) -> Result<PathBuf, InstallError> {
        let mut plain = PathBuf::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => plain.push(name),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(self.bad(format!("`{}` leads out of it", path.display())));
                }
            }
        }
        Ok(plain)
    }

    /// `path` below the archive's one top directory; `None` for that directory itself.
    fn below_top(&self, path: &Path, top: &mut Option<PathBuf>) -> Result<Option<PathBuf>, InstallError> {
        let plain = self.plain(path)?;
        let Some(first) = plain.iter().next().map(PathBuf::from) else { return Ok(None) };
        let expected = top.get_or_insert_with(|| first.clone());
        if *expected != first {
            let both = format!("`{}` and `{}`", expected.display(), first.display());
            return Err(self.bad(format!("it has more than one top directory: {both}")));
        }
        let below: PathBuf = plain.iter().skip(1).collect();
        Ok((!below.as_os_str().is_empty()).then_some(below))
    }

    /// Where an entry goes, once it is clear that it may.
    fn place(&mut self, path: &Path) -> Result<PathBuf, InstallError> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(self.bad(format!("it has more than {MOST_ENTRIES} entries")));
        }
        if path
            .ancestors()
            .skip(1)
            .any(|parent| self.links.contains_key(parent) || self.files.contains_key(parent))
        {
            return Err(self.bad(format!("`{}` lies behind a link or a file", path.display())));
        }
        if self.files.contains_key(path) || self.links.contains_key(path) {
            return Err(self.bad(format!("`{}` is in it twice", path.display())));
        }
        let place = self.target.join(path);
        fs::create_dir_all(place.parent().unwrap_or(self.target))?;
        Ok(place)
    }

    fn directory(&mut self, path: &Path) -> Result<(), InstallError> {
        let place = self.place(path)?;
        Ok(fs::create_dir_all(&place)?)
    }

    fn file(&mut self, path: &Path, mode: u32, content: &mut dyn Read) -> Result<(), InstallError> {
        let place = self.place(path)?;
        // Readable and writable by us, executable if it was, never setuid.
        let mode = (mode & 0o755) | 0o600;
        // One byte more than allowed is enough to know.
        let limited = content.take(MOST_BYTES - self.bytes + 1);
        let mut hashed = Hashed { inner: limited, hasher: Hasher::default() };
        let size =
            fs::write_stream(&place, &mut hashed, mode).map_err(|error| self.unreadable(path, error))?;
        self.bytes += size;
        if self.bytes > MOST_BYTES {
            return Err(self.bad(format!("it unpacks to more than {MOST_BYTES} bytes")));
        }
        self.files.insert(path.to_owned(), (size, hashed.hasher.finish()));
        Ok(())
    }

    fn symlink(&mut self, path: &Path, link: &Path) -> Result<(), InstallError> {
        let place = self.place(path)?;
        // By its text alone, which is where the kernel would end up too: no directory above it is a link, and
        // `Tree::finish` refuses what would pass through one.
        let mut depth = path.components().count() - 1;
        for part in link.components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::CurDir => {}
                Component::ParentDir if depth > 0 => depth -= 1,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    let (path, link) = (path.display(), link.display());
                    return Err(self.bad(format!("the link `{path}` leads out of it, to `{link}`")));
                }
            }
        }
        fs::symlink(link, &place)?;
        self.links.insert(path.to_owned(), link.to_owned());
        Ok(())
    }

    fn hard_link(&mut self, path: &Path, existing: &Path) -> Result<(), InstallError> {
        let place = self.place(path)?;
        let Some(content) = self.files.get(existing).copied() else {
            let (path, existing) = (path.display(), existing.display());
            return Err(self.bad(format!("`{path}` is a hard link to `{existing}`, which is no file of it")));
        };
        fs::hard_link(&self.target.join(existing), &place)?;
        self.files.insert(path.to_owned(), content);
        Ok(())
    }

    /// What can be told only when all entries are there.
    fn finish(self) -> Result<Known, InstallError> {
        if self.files.is_empty() {
            return Err(self.bad("there is no file in it".to_owned()));
        }
        let through = self.links.iter().find(|(path, link)| self.passes_through_a_link(path, link));
        if let Some((path, link)) = through {
            let (path, link) = (path.display(), link.display());
            return Err(self.bad(format!("the link `{path}` goes through another one, to `{link}`")));
        }
        let mut known = Known::default();
        for (path, (size, sha256)) in self.files {
            known.add(path, size, sha256);
        }
        Ok(known)
    }

    /// A link may lead to a link, which was looked at itself, but not through one and on: `l/..` is not where
    /// `l` is.
    fn passes_through_a_link(&self, path: &Path, link: &Path) -> bool {
        let mut at = path.parent().unwrap_or(Path::new("")).to_owned();
        for part in link.components() {
            if self.links.contains_key(&at) {
                return true;
            }
            match part {
                Component::Normal(name) => at.push(name),
                Component::ParentDir => {
                    at.pop();
                }
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        false
    }

    /// A file that cannot be written is the disk's fault; one that cannot be read is the archive's.
    fn unreadable(&self, path: &Path, error: FsError) -> InstallError {
        match error.source.kind() {
            std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::UnexpectedEof => {
                self.bad(format!("`{}` cannot be read: {}", path.display(), error.source))
            }
            _ => error.into(),
        }
    }
}

/// Takes the digest of what passes by: it is in the cache now, and would have to be read again later.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Shows how far the archive has been read.
struct Counted<'a, R> {
    inner: R,
    done: u64,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        self.progress.bytes(self.done);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::manifest::Manifest, *};
    use crate::output::{Mode, Output};

    /// Packs with raw headers: the `tar` crate refuses to write some of what we must refuse to read.
    fn tar_gz(dir: &Path, entries: &[(&str, EntryType, &str)]) -> PathBuf {
        let path = dir.join("a.tar.gz");
        let gz =
            flate2::write::GzEncoder::new(fs::create(&path).expect("created"), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            let content = if is_link { "" } else { content };
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).expect("appended");
        }
        tar.into_inner().expect("finished").finish().expect("written");
        path
    }

    fn unpacked(dir: &Path, archive: &Path) -> Result<Known, InstallError> {
        let progress = Output::new(Mode::Plain).progress("test");
        unpack_tar_gz(archive, &dir.join("out"), &progress)
    }

    #[test]
    fn a_good_archive_is_unpacked_without_its_top_directory() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temp dir");
        let archive = tar_gz(
            dir.path(),
            &[
                ("./node/", EntryType::Directory, ""),
                ("node/bin/node", EntryType::Regular, "binary"),
                ("node/lib/cli.js", EntryType::Regular, "script"),
                ("node/bin/npm", EntryType::Symlink, "../lib/cli.js"),
                ("node/bin/npx", EntryType::Symlink, "npm"),
                ("node/bin/node22", EntryType::Link, "node/bin/node"),
            ],
        );
        let known = unpacked(dir.path(), &archive).expect("unpacked");
        let out = dir.path().join("out");
        let (seen, read) = (Manifest::of_tree(&out, &known), Manifest::of_tree(&out, &Known::default()));
        assert_eq!(seen.expect("told"), read.expect("told"), "the digests are those of the files");
        let mut expected = Known::default();
        for (path, text) in [("bin/node", "binary"), ("bin/node22", "binary"), ("lib/cli.js", "script")] {
            expected.add(path.into(), text.len() as u64, Sha256::of(text));
        }
        assert_eq!(known, expected);
        assert_eq!(fs::names(&out.join("bin")).expect("listed"), ["node", "node22", "npm", "npx"]);
        assert_eq!(fs::read_text(&out.join("bin/npm")).expect("read"), "script");
        assert_eq!(fs::read_text(&out.join("bin/node22")).expect("read"), "binary");
        let mode = out.join("bin/node").metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "setuid is dropped");
    }

    #[test]
    fn what_is_not_plain_and_inside_is_refused() {
        let check = |entries: &[(&str, EntryType, &str)], expected: &str| {
            let dir = tempfile::tempdir().expect("a temp dir");
            let archive = tar_gz(dir.path(), entries);
            let error = unpacked(dir.path(), &archive).expect_err(expected);
            let prefix = format!("`{}` is not an archive that dpgui unpacks: ", archive.display());
            assert_eq!(error.to_string().strip_prefix(&prefix), Some(expected));
            assert_eq!(crate::error::Report::kind(&error), crate::error::Kind::Integrity);
        };
        let file = EntryType::Regular;
        check(&[("t/../../x", file, "")], "`t/../../x` leads out of it");
        check(&[("/etc/x", file, "")], "`/etc/x` leads out of it");
        check(&[("t/x", EntryType::Symlink, "/etc")], "the link `x` leads out of it, to `/etc`");
        check(&[("t/a/x", EntryType::Symlink, "../../b")], "the link `a/x` leads out of it, to `../../b`");
        check(
            &[("t/d", EntryType::Symlink, "e"), ("t/d/x", file, "through")],
            "`d/x` lies behind a link or a file",
        );
        check(
            &[
                ("t/f", file, ""),
                ("t/a/b/m", EntryType::Symlink, "l/../.."),
                ("t/a/b/l", EntryType::Symlink, "../.."),
            ],
            "the link `a/b/m` goes through another one, to `l/../..`",
        );
        check(&[("t/x", file, "1"), ("t/x", file, "2")], "`x` is in it twice");
        check(&[("t/x", EntryType::Link, "t/y")], "`x` is a hard link to `y`, which is no file of it");
        check(&[("t/x", EntryType::Fifo, "")], "`t/x` is of the type Fifo");
        check(&[("t/x", file, "1"), ("u/x", file, "1")], "it has more than one top directory: `t` and `u`");
        check(&[("t/", EntryType::Directory, "")], "there is no file in it");
    }

    #[test]
    fn a_truncated_archive_is_refused() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let noise: String = (0..20_000_u32)
            .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
            .collect();
        let archive = tar_gz(dir.path(), &[("t/x", EntryType::Regular, &noise)]);
        let whole = fs::read(&archive).expect("read");
        for length in [0, 10, whole.len() / 2, whole.len() - 4] {
            fs::write_atomic(&archive, &whole[..length]).expect("written");
            let _ = fs::remove_tree(&dir.path().join("out"));
            let error = unpacked(dir.path(), &archive).expect_err("cut off");
            assert_eq!(
                crate::error::Report::kind(&error),
                crate::error::Kind::Integrity,
                "{length}: {error}"
            );
        }
    }
}
