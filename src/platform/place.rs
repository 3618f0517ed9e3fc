//! Places that a file can be got from: a web server or this machine.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::Deserialize;
use url::Url;

use super::net;

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Http(Url),
    File(PathBuf),
}

/// A place in which `{version}` and `{arch}` are still to be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PlaceTemplate(String);

#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no place to get a file from: an `https://`, `http://` or `file://` address or an absolute path is expected"
)]
pub struct NotAPlace(String);

impl PlaceTemplate {
    pub fn fill(&self, version: &str, arch: &str) -> Result<Place, NotAPlace> {
        self.0.replace("{version}", version).replace("{arch}", arch).parse()
    }

    /// As it was written, secrets and all.
    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// With `new` for the `old` at its beginning; `None` if it begins otherwise.
    pub fn moved(&self, old: &str, new: &str) -> Option<Result<Self, NotAPlace>> {
        let rest = self.0.strip_prefix(old)?;
        Some(format!("{}{rest}", new.trim_end_matches('/')).try_into())
    }
}

impl TryFrom<String> for PlaceTemplate {
    type Error = NotAPlace;

    fn try_from(text: String) -> Result<Self, NotAPlace> {
        // What is still to be filled in does not make a place of what is none, nor the other way round.
        text.parse::<Place>().map(|_| Self(text))
    }
}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        if text.starts_with('/') {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let place = Url::parse(text).ok().and_then(|url| match url.scheme() {
            "http" | "https" => Some(Self::Http(url)),
            "file" => url.to_file_path().ok().map(Self::File),
            _ => None,
        });
        place.ok_or_else(|| NotAPlace(net::without_secrets(text)))
    }
}

/// Without secrets: fit for messages, logs and receipts.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(&net::without_secrets(url.as_str())),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_or_an_absolute_path() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Place>().map_or("none".to_owned(), |it| it.to_string()), expected);
        };
        check("https://me:secret@host.example/v%2B1", "https://host.example/v%2B1");
        check("/a b/node.tar.gz", "/a b/node.tar.gz");
        check("file:///a%20b/node.tar.gz", "/a b/node.tar.gz");
        check("file://host.example/node.tar.gz", "none");
        check("ftp://host.example/node.tar.gz", "none");
        check("node.tar.gz", "none");
        check("https:///", "none");
        check("", "none");
    }

    #[test]
    fn a_template_is_filled_in_after_its_beginning_was_moved() {
        let template = PlaceTemplate("https://host.example/{version}/node-{arch}.tar.gz".to_owned());
        let moved = template.moved("https://host.example", "http://mirror.example/").expect("it begins so");
        let place = moved.and_then(|it| it.fill("1.2", "x64")).expect("a place");
        assert_eq!(place.to_string(), "http://mirror.example/1.2/node-x64.tar.gz");
        assert!(template.moved("https://other.example", "http://mirror.example").is_none());
    }
}
