//! SHA-256 digests: what proves that a file is the one that was pinned.

use std::{fmt, io, path::Path, str::FromStr};

use sha2::Digest as _;

use super::fs::{self, FsError};

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes.as_ref());
        hasher.finish()
    }

    /// A digest that was made elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Of the file at `path`.
    pub fn of_file(path: &Path) -> Result<Self, FsError> {
        let mut hasher = Hasher::default();
        hasher.update_from(&mut fs::open(path)?).map_err(fs::context("read", path))?;
        Ok(hasher.finish())
    }

    /// As Python's packages write it: 43 letters of the base64 that is safe in addresses, without padding.
    pub fn from_base64(text: &str) -> Option<Self> {
        let value = |letter: u8| match letter {
            b'A'..=b'Z' => Some(letter - b'A'),
            b'a'..=b'z' => Some(letter - b'a' + 26),
            b'0'..=b'9' => Some(letter - b'0' + 52),
            b'-' => Some(62),
            b'_' => Some(63),
            _ => None,
        };
        let (mut bytes, mut buffer, mut bits) = (Vec::with_capacity(32), 0_u32, 0);
        for letter in text.trim_end_matches('=').bytes() {
            (buffer, bits) = (buffer << 6 | u32::from(value(letter)?), bits + 6);
            if bits >= 8 {
                bits -= 8;
                bytes.push(u8::try_from(buffer >> bits & 0xff).ok()?);
            }
        }
        Some(Self(bytes.try_into().ok()?))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a sha256 digest: 64 hexadecimal digits are expected")]
pub struct BadDigest(String);

impl FromStr for Sha256 {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let bad = || BadDigest(text.to_owned());
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Sha256 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Takes bytes as they pass by.
#[derive(Clone, Debug, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes all that `reader` still has; the count of bytes comes back.
    pub fn update_from(&mut self, reader: &mut impl io::Read) -> io::Result<u64> {
        let mut buffer = vec![0; 1 << 16];
        let mut total = 0;
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                return Ok(total);
            }
            self.update(&buffer[..count]);
            total += count as u64;
        }
    }

    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

/// Takes the digest of what is read through it: later it would have to be read again.
#[derive(Debug)]
pub struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R> Hashed<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::default() }
    }

    pub fn finish(self) -> Sha256 {
        self.hasher.finish()
    }
}

impl<R: io::Read> io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_and_written_as_hexadecimal() {
        // The well-known digest of nothing.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::of("").to_string(), empty);
        assert_eq!(empty.parse::<Sha256>().expect("a digest"), Sha256::of(""));
        for wrong in ["", "e3b0", &empty.replace('e', "g"), &format!("{empty}00")] {
            wrong.parse::<Sha256>().expect_err(wrong);
        }
    }

    #[test]
    fn a_digest_is_read_as_pythons_packages_write_it() {
        // As it stands in the RECORD of many packages, for a file of nothing.
        let empty = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        assert_eq!(Sha256::from_base64(empty), Some(Sha256::of("")));
        assert_eq!(Sha256::from_base64(&format!("{empty}=")), Some(Sha256::of("")));
        for wrong in ["", "47DE", &empty.replace('-', "+"), &format!("{empty}AA")] {
            assert_eq!(Sha256::from_base64(wrong), None, "{wrong}");
        }
    }
}
