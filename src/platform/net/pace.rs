//! A watch on the pace of a body: a connection that is alive but brings next to nothing counts as broken.

use std::{
    io::{self, Read},
    time::Duration,
};

use crate::platform::{clock::Stopwatch, halt::Halt, patience::Patience};

/// Reads on as long as bytes come fast enough. Only the time spent waiting for the server counts, not what the reader
/// does between two reads.
#[derive(Debug)]
pub struct Paced<R> {
    inner: R,
    patience: Patience,
    halt: Halt,
    waited: Duration,
    bytes: u64,
}

impl<R> Paced<R> {
    pub(super) const fn new(inner: R, patience: Patience, halt: Halt) -> Self {
        Self { inner, patience, halt, waited: Duration::ZERO, bytes: 0 }
    }

    pub const fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Looks back once the time that is waited for is over, then begins anew.
    fn check(&mut self) -> io::Result<()> {
        let Patience { slow, slowest, .. } = self.patience;
        if self.waited < slow {
            return Ok(());
        }
        // Whole milliseconds: tests are in more of a hurry than seconds can say.
        let enough = u128::from(self.bytes) * 1000 >= u128::from(slowest) * slow.as_millis();
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        if enough {
            return Ok(());
        }
        let limit = slow.as_secs_f64();
        let message = format!("fewer than {slowest} bytes a second came for {limit} s");
        Err(io::Error::new(io::ErrorKind::TimedOut, message))
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.halt.is_called() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it is not needed any more"));
        }
        let watch = Stopwatch::start();
        let count = self.inner.read(buffer)?;
        self.waited += watch.elapsed();
        self.bytes += count as u64;
        // The end is no reason to complain of the way there.
        if count > 0 {
            self.check()?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_body_that_hardly_moves_is_given_up() {
        let check = |bytes, waited, expected: Option<&str>| {
            let patience = Patience { slow: Duration::from_mins(1), slowest: 1000, ..Patience::default() };
            let halt = Halt::default();
            let mut paced = Paced { inner: io::empty(), patience, halt, waited, bytes };
            assert_eq!(paced.check().err().map(|it| it.to_string()).as_deref(), expected);
        };
        let (short, long) = (Duration::from_secs(59), Duration::from_mins(1));
        check(0, short, None);
        check(60_000, long, None);
        check(59_999, long, Some("fewer than 1000 bytes a second came for 60 s"));
    }
}
