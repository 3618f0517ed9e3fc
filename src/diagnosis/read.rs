//! A whole log at once.

use std::io::{self, Read};

use super::Diagnoser;

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// All that was seen in `log`, to be judged.
///
/// # Errors
/// When it cannot be read.
pub fn of_reader(mut log: impl Read) -> io::Result<Diagnoser<'static>> {
    let mut diagnoser = Diagnoser::new();
    let mut piece = vec![0; PIECE];
    let mut offset = 0;
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
    Ok(diagnoser)
}
