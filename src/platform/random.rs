//! Numbers that nobody can guess.

use std::{
    fs::File,
    io::{self, Read},
};

/// 256 bits as hexadecimal digits.
///
/// # Errors
/// When the kernel gives none: nothing may be made of less.
pub fn hex() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(super::digest::Sha256::from_bytes(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_another_one_each_time() {
        let (one, other) = (hex().expect("made"), hex().expect("made"));
        assert!(one != other && one.len() == 64 && one.bytes().all(|it| it.is_ascii_hexdigit()));
    }
}
