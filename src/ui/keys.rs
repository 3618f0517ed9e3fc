//! Who may come in: the token of a workspace, the links that bring it into a browser, and the cookies made of it.
//!
//! The token is a file that only its user can read. A link holds a code that was signed with it, good once and for half a
//! day; the page gives it for a cookie, signed as well, each with a number of its own. So a new token ends every session and
//! every link, and whoever signs out ends his own.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use crate::platform::{
    clock,
    digest::Sha256,
    fs::{self, FsError},
    random,
};

/// How long a link is good.
const LINK_LIFE: Duration = Duration::from_hours(12);

/// Characters of a nonce, of a time, of a signature: hexadecimal.
const NONCE: usize = 32;
const TIME: usize = 16;

/// The keys of one workspace's server.
#[derive(Debug)]
pub struct Keys {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    token: String,
    /// Nonces of links that were used and would still be good.
    used: Vec<String>,
    /// Nonces of cookies that were signed out. Only who is signed in can add one, and a new token ends all of them.
    ended: HashSet<String>,
}

impl Keys {
    /// Those in `folder`, made if there are none.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn of(folder: &Path) -> Result<Self, FsError> {
        fs::create_private_dir(folder)?;
        let file = token_file(folder);
        let token = match fs::read_optional(&file)? {
            Some(text) if is_token(text.trim()) => text.trim().to_owned(),
            Some(_) | None => renew(&file)?,
        };
        let used = fs::read_optional(&used_file(folder))?.unwrap_or_default();
        let used = used.lines().map(str::to_owned).collect();
        let ended = fs::read_optional(&ended_file(folder))?.unwrap_or_default();
        let ended = ended.lines().map(str::to_owned).collect();
        Ok(Self { folder: folder.to_owned(), state: Mutex::new(State { token, used, ended }) })
    }

    /// What scripts send as `Authorization: Bearer`.
    pub fn token(&self) -> String {
        self.state().token.clone()
    }

    /// Ends all sessions and links.
    pub fn rotate(&self) -> Result<(), FsError> {
        let token = renew(&token_file(&self.folder))?;
        let mut state = self.state();
        state.token = token;
        // Nobody comes in with an old cookie any more, so those need not be known.
        state.ended.clear();
        fs::remove_tree(&ended_file(&self.folder))
    }

    /// Something that lets a browser in, once.
    ///
    /// # Errors
    /// When there are no random numbers to be had.
    pub fn link_code(&self) -> Result<String, FsError> {
        let until = clock::now().as_second() + i64::try_from(LINK_LIFE.as_secs()).unwrap_or(0);
        let nonce = random()?;
        let code = format!("{}{until:0TIME$x}", &nonce[..NONCE]);
        Ok(format!("{code}{}", self.sign(&["link", &code])))
    }

    /// Whether `code` lets somebody in; it does not a second time.
    ///
    /// # Errors
    /// When it cannot be noted that it was used: then it is good for nobody.
    pub fn take_code(&self, code: &str) -> Result<bool, FsError> {
        let Some((text, signature)) = code.split_at_checked(NONCE + TIME) else { return Ok(false) };
        let Some((nonce, time)) = text.split_at_checked(NONCE) else { return Ok(false) };
        let until = i64::from_str_radix(time, 16).ok().and_then(|it| Timestamp::from_second(it).ok());
        if !same(signature, &self.sign(&["link", text])) || until.is_none_or(|it| it < clock::now()) {
            return Ok(false);
        }
        let mut state = self.state();
        if state.used.iter().any(|it| it == nonce) {
            return Ok(false);
        }
        let mut used = state.used.clone();
        used.push(nonce.to_owned());
        // Far more than anybody opens in half a day: a list that only grows would be one day too long.
        used.drain(..used.len().saturating_sub(1000));
        fs::write_private(&used_file(&self.folder), used.join("\n"))?;
        state.used = used;
        Ok(true)
    }

    /// What a browser keeps.
    ///
    /// # Errors
    /// When there are no random numbers to be had.
    pub fn cookie(&self) -> Result<String, FsError> {
        let nonce = random()?;
        let nonce = &nonce[..NONCE];
        Ok(format!("{nonce}{}", self.sign(&["session", nonce])))
    }

    pub fn is_cookie(&self, given: &str) -> bool {
        given.split_at_checked(NONCE).is_some_and(|(nonce, signature)| {
            same(signature, &self.sign(&["session", nonce])) && !self.state().ended.contains(nonce)
        })
    }

    /// Ends the session of this cookie, if it is one, for whoever has a copy of it too.
    ///
    /// # Errors
    /// When that cannot be noted: then a server that is started later would let it in again.
    pub fn end(&self, cookie: &str) -> Result<(), FsError> {
        if !self.is_cookie(cookie) {
            return Ok(());
        }
        let mut state = self.state();
        state.ended.insert(cookie[..NONCE].to_owned());
        let all: Vec<&str> = state.ended.iter().map(String::as_str).collect();
        fs::write_private(&ended_file(&self.folder), all.join("\n"))
    }

    pub fn is_token(&self, given: &str) -> bool {
        same(given, &self.state().token)
    }

    fn sign(&self, parts: &[&str]) -> String {
        let state = self.state();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(state.token.as_bytes()).expect("any key is one");
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(b"\0");
        }
        Sha256::from_bytes(mac.finalize().into_bytes().into()).to_string()
    }

    /// As the file has it now: somebody may have made a new token meanwhile, so that nobody comes in with the old one.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Some(text)) = fs::read_optional(&token_file(&self.folder))
            && is_token(text.trim())
            && text.trim() != state.token
        {
            text.trim().clone_into(&mut state.token);
        }
        state
    }
}

fn token_file(folder: &Path) -> PathBuf {
    folder.join("token")
}

fn used_file(folder: &Path) -> PathBuf {
    folder.join("used-links")
}

fn ended_file(folder: &Path) -> PathBuf {
    folder.join("ended-sessions")
}

fn renew(file: &Path) -> Result<String, FsError> {
    let token = random()?;
    fs::write_private(file, &token)?;
    Ok(token)
}

fn random() -> Result<String, FsError> {
    random::hex().map_err(fs::context("read", Path::new("/dev/urandom")))
}

fn is_token(text: &str) -> bool {
    text.len() == 2 * NONCE && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// In the same time whatever is different.
fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn keys() -> (tempfile::TempDir, Keys) {
        let dir = tempfile::tempdir().expect("a temp dir");
        let keys = Keys::of(&dir.path().join("ui")).expect("made");
        (dir, keys)
    }

    #[test]
    fn a_link_lets_in_once_also_after_a_restart() {
        let (dir, keys) = keys();
        let code = keys.link_code().expect("made");
        assert!(keys.take_code(&code).expect("noted"));
        assert!(!keys.take_code(&code).expect("asked"));
        let again = Keys::of(&dir.path().join("ui")).expect("read");
        assert!(!again.take_code(&code).expect("asked"));
        assert!(
            again.take_code(&keys.link_code().expect("made")).expect("noted"),
            "whoever can read the token can make links"
        );
    }

    #[test]
    fn a_code_that_was_changed_or_is_old_lets_nobody_in() {
        let (_dir, keys) = keys();
        let code = keys.link_code().expect("made");
        for index in 0..code.len() {
            let mut other = code.clone();
            let digit = if &code[index..=index] == "0" { "1" } else { "0" };
            other.replace_range(index..=index, digit);
            assert!(!keys.take_code(&other).expect("asked"), "{index}");
        }
        for wrong in ["", "0", &code[..code.len() - 1], &format!("{code}0"), "ä".repeat(60).as_str()] {
            assert!(!keys.take_code(wrong).expect("asked"), "{wrong}");
        }
        let old = format!("{}{:016x}", &random().expect("made")[..NONCE], clock::now().as_second() - 1);
        assert!(!keys.take_code(&format!("{old}{}", keys.sign(&["link", &old]))).expect("asked"));
        assert!(keys.take_code(&code).expect("noted"));
    }

    #[test]
    fn a_new_token_ends_all_sessions_and_links() {
        let (_dir, keys) = keys();
        let cookie = keys.cookie().expect("made");
        let (token, code) = (keys.token(), keys.link_code().expect("made"));
        assert!(keys.is_cookie(&cookie) && keys.is_token(&token) && !keys.is_cookie(&token));
        keys.rotate().expect("written");
        assert!(!keys.is_cookie(&cookie) && !keys.is_token(&token) && !keys.take_code(&code).expect("asked"));
    }

    #[test]
    fn who_signs_out_ends_his_own_session_also_for_the_next_server() {
        let (dir, keys) = keys();
        let [one, other] = [(); 2].map(|()| keys.cookie().expect("made"));
        keys.end(&one).expect("noted");
        keys.end("ä").expect("no cookie");
        keys.end(&"0".repeat(one.len())).expect("no cookie of ours");
        let again = Keys::of(&dir.path().join("ui")).expect("read");
        for keys in [&keys, &again] {
            assert!(!keys.is_cookie(&one) && keys.is_cookie(&other));
        }
        keys.rotate().expect("written");
        assert!(!keys.is_cookie(&other));
        assert_eq!(fs::read_optional(&ended_file(&dir.path().join("ui"))).expect("read"), None);
    }

    #[test]
    fn nobody_else_can_read_the_token() {
        let (dir, _keys) = keys();
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("ui")), 0o700);
        assert_eq!(mode(&dir.path().join("ui/token")), 0o600);
    }
}
