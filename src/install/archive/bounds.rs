//! How much an archive may unpack to, whatever it claims: by its own size, and between two files hardly anything.

use std::{
    cell::Cell,
    io::{self, Read},
};

/// Far above any archive that setup unpacks: Node has 5,000 entries and 200 MB.
pub(super) const MOST_ENTRIES: u64 = 30_000;
const MOST_BYTES: u64 = 4 << 30;

/// Far above programs and their sources, which shrink to a third or a fifth; zeros shrink to a thousandth.
const MOST_RATIO: u64 = 30;

/// What even a small archive may unpack to.
const FREE_BYTES: u64 = 16 << 20;

/// The headers of one entry with its long name and link, or the zeros at the end: kilobytes in any real archive.
const MOST_BETWEEN: u64 = 1 << 20;

/// Bytes that an archive of `size` bytes may hold.
pub(super) fn most_bytes(size: u64) -> u64 {
    size.saturating_mul(MOST_RATIO).saturating_add(FREE_BYTES).min(MOST_BYTES)
}

/// What may still be read of an unpacked stream before the next look at it.
#[derive(Debug)]
pub(super) struct Allowance(Cell<u64>);

impl Allowance {
    pub(super) const fn new() -> Self {
        Self(Cell::new(MOST_BETWEEN))
    }

    /// What comes now is read by somebody who counts it.
    pub(super) fn content(&self) {
        self.0.set(u64::MAX);
    }

    /// What comes now is read by a parser that keeps it in memory, or by nobody.
    pub(super) fn between(&self) {
        self.0.set(MOST_BETWEEN);
    }
}

/// A stream that ends in an error where its allowance does.
#[derive(Debug)]
pub(super) struct Bounded<'a, R> {
    pub(super) inner: R,
    pub(super) allowance: &'a Allowance,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.0.get();
        if left == 0 && !buffer.is_empty() {
            let problem = format!("more than {MOST_BETWEEN} bytes lie between two files");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        self.allowance.0.set(left - count as u64);
        Ok(count)
    }
}

/// The first of the two blocks of zeros that end an archive (POSIX pax, "ustar Interchange Format") has been read, the
/// other comes first in `rest`. Without it, the archive was cut off between two entries.
pub(super) fn nothing_but_zeros(rest: &mut dyn Read) -> io::Result<bool> {
    let (mut seen, mut buffer) = (0, [0; 4096]);
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(seen >= 512),
            count if buffer[..count].iter().any(|byte| *byte != 0) => return Ok(false),
            count => seen += count,
        }
    }
}
