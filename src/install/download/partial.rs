//! A file that is not whole yet: what there is of it survives this process, and its digest grows with it.

use std::{
    fs::File,
    io::{Seek, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::platform::{
    checkpoint::{Checkpoint, reach},
    digest::{Hasher, Sha256},
    fs::{self, FsError},
    net::{self, Part},
};

use super::Cache;

/// `SHA256.part`, and `SHA256.part.json` beside it.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    origin_path: PathBuf,
    file: File,
    hasher: Hasher,
    have: u64,
    origin: Option<Origin>,
}

/// Where the bytes came from, so that the same server can be asked for the rest of the same file.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    /// For people: without user, password and query.
    url: String,
    /// Of the whole address, which tells it from others without giving its secrets away.
    url_sha256: Sha256,
    validator: Option<String>,
    total: Option<u64>,
}

impl Partial {
    /// For who is alone with it. What is there is read once: its digest must be that of the bytes on the disk.
    pub(super) fn open(cache: &Cache, sha256: Sha256) -> Result<Self, FsError> {
        let (path, origin_path) = (cache.partial(sha256), cache.origin(sha256));
        let mut file = fs::open_read_write(&path)?;
        let mut hasher = Hasher::default();
        let have = hasher.update_from(&mut file).map_err(fs::context("read", &path))?;
        // What cannot be made sense of is as good as no knowledge.
        let origin = fs::read_optional(&origin_path).ok().flatten();
        let origin = origin.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self { path, origin_path, file, hasher, have, origin })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    pub(super) const fn have(&self) -> u64 {
        self.have
    }

    /// Of what is there.
    pub(super) fn digest(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// What the server at `url` called the file that these bytes are from.
    pub(super) fn validator(&self, url: &Url) -> Option<&str> {
        self.origin_at(url)?.validator.as_deref()
    }

    /// How long the server at `url` said that the whole file is.
    pub(super) fn total(&self, url: &Url) -> Option<u64> {
        self.origin_at(url)?.total
    }

    fn origin_at(&self, url: &Url) -> Option<&Origin> {
        self.origin.as_ref().filter(|it| it.url_sha256 == Sha256::of(url.as_str()))
    }

    /// From now on the bytes are those of `part`, from `url`.
    pub(super) fn comes_from(&mut self, url: &Url, part: &Part) -> Result<(), FsError> {
        let origin = self.origin.insert(Origin {
            url: net::without_secrets(url.as_str()),
            url_sha256: Sha256::of(url.as_str()),
            validator: part.validator.clone(),
            total: part.total,
        });
        // Our own types have string keys and no foreign serialisers, so this cannot fail.
        let text = serde_json::to_string(origin).unwrap_or_default();
        // In place: half of it is as good as none, and there is no temporary file to be left behind.
        let written = fs::create(&self.origin_path)?.write_all(text.as_bytes());
        written.map_err(fs::context("write", &self.origin_path))?;
        reach(Checkpoint::OriginWritten);
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.file.write_all(bytes).map_err(fs::context("write", &self.path))?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// Back to nothing.
    pub(super) fn clear(&mut self) -> Result<(), FsError> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.rewind());
        cleared.map_err(fs::context("empty", &self.path))?;
        (self.hasher, self.have, self.origin) = (Hasher::default(), 0, None);
        fs::remove_tree(&self.origin_path)
    }

    /// Makes sure that its bytes survive a power cut: after this it may be taken for whole.
    pub(super) fn sync(&self) -> Result<(), FsError> {
        self.file.sync_all().map_err(fs::context("sync", &self.path))
    }

    /// The bytes are whole, and need no origin to be believed. Before they get their name, so that nothing of a partial
    /// file is left beside a whole one.
    pub(super) fn forget_origin(&self) -> Result<(), FsError> {
        fs::remove_tree(&self.origin_path)
    }

    /// Leaves nothing.
    pub(super) fn forget(&self) -> Result<(), FsError> {
        fs::remove_tree(&self.path)?;
        fs::remove_tree(&self.origin_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_for_the_next_process_with_where_it_came_from() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (cache, sha256) = (Cache::at(dir.path().to_owned(), 0), Sha256::of("half and half"));
        drop(cache.alone(sha256, || ()).expect("free"));
        let path = cache.partial(sha256);
        let url: Url = "http://me:secret@host.example/file?token=secret".parse().expect("a url");
        let mut partial = Partial::open(&cache, sha256).expect("opened");
        partial.write(b"half").expect("written");
        partial.origin = Some(Origin {
            url: net::without_secrets(url.as_str()),
            url_sha256: Sha256::of(url.as_str()),
            validator: Some("\"v1\"".to_owned()),
            total: Some(8),
        });
        let text = serde_json::to_string(&partial.origin).expect("JSON");
        assert!(!text.contains("secret"), "{text}");
        fs::write_atomic(&cache.origin(sha256), text).expect("written");
        drop(partial);

        let mut partial = Partial::open(&cache, sha256).expect("opened");
        assert_eq!((partial.have(), partial.digest()), (4, Sha256::of("half")));
        assert_eq!((partial.validator(&url), partial.total(&url)), (Some("\"v1\""), Some(8)));
        let other: Url = "http://host.example/file?token=other".parse().expect("a url");
        assert_eq!((partial.validator(&other), partial.total(&other)), (None, None));
        partial.write(b" and half").expect("written");
        assert_eq!(fs::read_text(&path).expect("there"), "half and half");

        partial.clear().expect("cleared");
        assert_eq!((partial.have(), partial.digest()), (0, Sha256::of("")));
        partial.forget().expect("removed");
        assert_eq!(
            fs::names(&dir.path().join("downloads")).expect("listed"),
            Vec::<std::ffi::OsString>::new()
        );
    }
}
