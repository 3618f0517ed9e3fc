//! Unpacking by our own strict loop: what is not plain and inside is refused, never skipped or moved.
//!
//! `tar::Archive::unpack` silently skips `../x`, relocates absolute paths, and makes an empty file of a FIFO
//! (measured with tar 0.4.46). Digests are pinned, so a hostile archive would need a sha256 collision; but mirrors
//! and overrides are the user's own, and a loud error beats a quiet half-install.

mod bounds;
mod extensions;
mod wheel;

use std::{
    collections::HashMap,
    io::{BufReader, ErrorKind, Read},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::{
    error::in_one_line,
    output::Progress,
    platform::{
        digest::{Hashed, Sha256},
        fs::{self, FsError},
    },
};

use self::bounds::{Allowance, Bounded, MOST_ENTRIES};
use super::{
    InstallError,
    manifest::{self, Known},
    receipt,
};

/// Linux's limit for one name, in bytes (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// A quarter of Linux's limit (`PATH_MAX`), so that a workspace may lie deep.
const LONGEST_PATH: usize = 1024;

/// Characters of what is said about an archive: some lines of a terminal.
const LONGEST_PROBLEM: usize = 400;

/// Unpacks a `.tar.gz` with one top directory; what is in that directory lands in `target`. The digests of what was
/// written come back.
pub fn unpack_tar_gz(archive: &Path, target: &Path, progress: &Progress) -> Result<Known, InstallError> {
    let bad = |cause: std::io::Error| refusal(archive, &in_one_line(&cause));
    let total = fs::size(archive)?;
    progress.expect_bytes(total);
    progress.doing("unpacking");
    let counted = Counted { inner: fs::open(archive)?, done: 0, progress };
    let allowance = Allowance::new();
    // Several members make one stream, as RFC 1952 (2.2) says; what follows them and is none is an error.
    let inner = MultiGzDecoder::new(BufReader::with_capacity(1 << 17, counted));
    let mut tar = tar::Archive::new(Bounded { inner, allowance: &allowance });
    let mut tree = Tree::new(archive, target, total);
    let mut top = None;
    for entry in tar.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        allowance.content();
        unpack_entry(&mut entry, &mut tree, &mut top)?;
        allowance.between();
    }
    // The end of the tar is not the end of the file: reading on checks the compression's own checksum too.
    if !bounds::nothing_but_zeros(&mut tar.into_inner()).map_err(bad)? {
        return Err(tree.bad("it does not end where an archive ends".to_owned()));
    }
    tree.finish()
}

fn unpack_entry<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    tree: &mut Tree<'_>,
    top: &mut Option<PathBuf>,
) -> Result<(), InstallError> {
    let unreadable = |cause: std::io::Error| refusal(tree.archive, &in_one_line(&cause));
    let path = entry.path().map_err(unreadable)?.into_owned();
    let (kind, mode) = (entry.header().entry_type(), entry.header().mode().map_err(unreadable)?);
    let link = entry.link_name().map_err(unreadable)?.map(std::borrow::Cow::into_owned);
    let inside = tree.below_top(&path, top)?;
    let odd = |what: &str| refusal(tree.archive, &format!("`{}` {what}", path.display()));
    extensions::check(entry).map_err(|problem| odd(&problem))?;
    match kind {
        EntryType::Regular | EntryType::Continuous if path.as_os_str().as_bytes().ends_with(b"/") => {
            return Err(odd("is a file with the name of a directory"));
        }
        EntryType::Directory | EntryType::Symlink | EntryType::Link if entry.size() > 0 => {
            return Err(odd("has content but is no file"));
        }
        _ => {}
    }
    match (kind, inside, link.filter(|it| !it.as_os_str().is_empty())) {
        (EntryType::Directory, None, _) => Ok(()),
        (EntryType::Directory, Some(inside), _) => tree.directory(&inside),
        (EntryType::Regular | EntryType::Continuous, Some(inside), _) => tree.file(&inside, mode, entry),
        (EntryType::Symlink, Some(inside), Some(link)) => tree.symlink(&inside, &link),
        (EntryType::Link, Some(inside), Some(link)) => match tree.below_top(&link, top)? {
            Some(existing) => tree.hard_link(&inside, &existing),
            None => Err(odd("is a hard link to a directory")),
        },
        (EntryType::Symlink | EntryType::Link, Some(_), None) => Err(odd("is a link to nothing")),
        (EntryType::Regular | EntryType::Continuous | EntryType::Symlink | EntryType::Link, None, _) => {
            Err(odd("is no directory but stands at the top"))
        }
        (kind, ..) => Err(odd(&format!("is of the type {kind:?}"))),
    }
}

fn refusal(archive: &Path, problem: &str) -> InstallError {
    InstallError::BadArchive { archive: archive.to_owned(), problem: plain(problem) }
}

/// The text may hold names of an archive, which must neither fill nor command the terminal.
pub(super) fn plain(problem: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    problem.chars().take(LONGEST_PROBLEM).map(plain).collect()
}

/// Unpacks what a wheel holds under `prefix`.
pub fn unpack_wheel(archive: &Path, prefix: &str, target: &Path) -> Result<Known, InstallError> {
    let bad = |cause: zip::result::ZipError| refusal(archive, &in_one_line(&cause));
    let mut tree = Tree::new(archive, target, fs::size(archive)?);
    let mut zip = wheel::open(archive)?;
    tree.room_for(zip.len() as u64)?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(bad)?;
        let path = PathBuf::from(entry.name().map_err(bad)?.as_ref());
        let (plain, mode) = (tree.plain(&path)?, entry.unix_mode().unwrap_or(0o644));
        let Some(is_dir) = wheel::is_directory(&entry) else {
            return Err(tree.bad(format!("`{}` is neither a file nor a directory", path.display())));
        };
        match plain.strip_prefix(prefix) {
            Ok(inside) if is_dir => tree.directory(inside)?,
            Ok(inside) if inside.as_os_str().is_empty() => {
                return Err(tree.bad(format!("`{prefix}` is no directory but stands at the top")));
            }
            Ok(inside) => {
                let (before, size) = (tree.bytes, entry.size());
                tree.file(inside, mode, &mut entry)?;
                if tree.bytes - before != size {
                    return Err(tree.bad(format!("`{}` is not as long as it says", path.display())));
                }
            }
            Err(_) => {}
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
    most_bytes: u64,
}

impl<'a> Tree<'a> {
    /// For an archive of `size` bytes.
    fn new(archive: &'a Path, target: &'a Path, size: u64) -> Self {
        let (files, links, most_bytes) = (HashMap::new(), HashMap::new(), bounds::most_bytes(size));
        Self { archive, target, files, links, entries: 0, bytes: 0, most_bytes }
    }

    #[expect(clippy::needless_pass_by_value, reason = "every caller has just made the text")]
    fn bad(&self, problem: String) -> InstallError {
        refusal(self.archive, &problem)
    }

    /// `path` with nothing in it but names.
    fn plain(&self, path: &Path) -> Result<PathBuf, InstallError> {
        if path.as_os_str().is_empty() {
            return Err(self.bad("an entry has no name".to_owned()));
        }
        self.fits(path, path)?;
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

    /// `text`, the name of the entry `path` or its link, is one that the kernel and a terminal take.
    fn fits(&self, path: &Path, text: &Path) -> Result<(), InstallError> {
        if text.as_os_str().as_bytes().iter().any(u8::is_ascii_control) {
            return Err(self.bad(format!("`{}` has a control character in it", path.display())));
        }
        if text.as_os_str().len() > LONGEST_PATH || text.iter().any(|name| name.len() > LONGEST_NAME) {
            let start: String = path.display().to_string().chars().take(40).collect();
            return Err(self.bad(format!("`{start}…` has a longer name or link than dpgui takes")));
        }
        Ok(())
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
        self.room_for(self.entries)?;
        if [receipt::NAME, manifest::NAME].map(Path::new).contains(&path) {
            return Err(self.bad(format!("`{}` is a name that dpgui uses itself", path.display())));
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

    fn room_for(&self, entries: u64) -> Result<(), InstallError> {
        if entries > MOST_ENTRIES {
            return Err(self.bad(format!("it has more than {MOST_ENTRIES} entries")));
        }
        Ok(())
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
        let limited = content.take(self.most_bytes - self.bytes + 1);
        let mut hashed = Hashed::new(limited);
        let size =
            fs::write_stream(&place, &mut hashed, mode).map_err(|error| self.unreadable(path, error))?;
        self.bytes += size;
        if self.bytes > self.most_bytes {
            return Err(self.bad(format!("it unpacks to more than {} bytes", self.most_bytes)));
        }
        self.files.insert(path.to_owned(), (size, hashed.finish()));
        Ok(())
    }

    fn symlink(&mut self, path: &Path, link: &Path) -> Result<(), InstallError> {
        self.fits(path, link)?;
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
        fs::symlink(link, &place).map_err(|error| self.unreadable(path, error))?;
        self.links.insert(path.to_owned(), link.to_owned());
        Ok(())
    }

    fn hard_link(&mut self, path: &Path, existing: &Path) -> Result<(), InstallError> {
        let place = self.place(path)?;
        let Some(content) = self.files.get(existing).copied() else {
            let (path, existing) = (path.display(), existing.display());
            return Err(self.bad(format!("`{path}` is a hard link to `{existing}`, which is no file of it")));
        };
        fs::hard_link(&self.target.join(existing), &place).map_err(|error| self.unreadable(path, error))?;
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
        Ok(Known::from(self.files))
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
        match (error.source.kind(), error.source.raw_os_error()) {
            // Nothing was in `target` before; or the file system takes two names of the archive for one.
            (ErrorKind::AlreadyExists, _) => self.bad(format!("`{}` is in it twice", path.display())),
            // The kernel did not say it, so whoever decodes the archive did.
            (_, None) => {
                self.bad(format!("`{}` cannot be read: {}", path.display(), in_one_line(&error.source)))
            }
            _ => error.into(),
        }
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
