//! A whole log at once.

use std::io::{self, Read};

use super::{Diagnoser, Diagnosis, Numbers};

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// What the log tells that begins at the byte `offset` with what `log` gives; `None` if nothing went wrong in it.
///
/// # Errors
/// When it cannot be read.
pub fn of_reader(mut log: impl Read, offset: u64, numbers: &Numbers) -> io::Result<Option<Diagnosis>> {
    let mut diagnoser = Diagnoser::new();
    let mut piece = vec![0; PIECE];
    let mut offset = offset;
    loop {
        match log.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                diagnoser.push(offset, None, &piece[..count]);
                offset += count as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    diagnoser.finish();
    Ok(diagnoser.judge(numbers))
}
