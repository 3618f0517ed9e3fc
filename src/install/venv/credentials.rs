//! Names and passwords for the servers of packages, where the user told them to uv or pip: in the address of an index, in
//! `UV_INDEX_NAME_USERNAME` and `_PASSWORD`, in `~/.netrc`. What a keyring has, uv alone can ask for.
//!
//! As with uv, those in the address of an index are for everything on that server.

use std::path::PathBuf;

use url::Url;

use crate::platform::{Env, fs, place::Place};

/// Where uv finds addresses of indexes and files; several are set apart by blanks or commas.
const INDEXES: [&str; 5] =
    ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"];

/// What is known of servers.
pub(super) struct Credentials {
    /// Each with a name and a password in it.
    indexes: Vec<Url>,
    netrc: String,
}

impl Credentials {
    /// `env` is what uv runs with.
    pub(super) fn of(env: &Env) -> Self {
        let values = INDEXES.iter().filter_map(|it| env.text(it));
        let words = values.flat_map(|it| it.split([' ', ',', '\n', '\t']));
        let indexes = words.filter_map(|word| index(word, env)).collect();
        let home = || Some(env.home()?.join(".netrc"));
        let file = env.get("NETRC").map(PathBuf::from).or_else(home);
        // One that cannot be read is uv's to complain of.
        let netrc = file.and_then(|it| fs::read_optional(&it).ok().flatten()).unwrap_or_default();
        Self { indexes, netrc }
    }

    /// `place` with the name and the password for its server, if there are any.
    pub(super) fn fill(&self, place: Place) -> Place {
        match place {
            Place::Http(url) if url.username().is_empty() => Place::Http(self.filled(url)),
            place => place,
        }
    }

    fn filled(&self, url: Url) -> Url {
        let of_index = || {
            let index = self.indexes.iter().find(|it| it.origin() == url.origin())?;
            with_encoded(&url, index.username(), index.password()?)
        };
        let of_netrc = || {
            let (user, password) = in_netrc(&self.netrc, url.host_str()?)?;
            with(&url, user, password)
        };
        of_index().or_else(of_netrc).unwrap_or(url)
    }
}

/// `NAME=URL` or `URL`, if its user has a password.
fn index(word: &str, env: &Env) -> Option<Url> {
    let is_name =
        |it: &str| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let (name, address) = match word.split_once('=') {
        Some((name, address)) if is_name(name) => (Some(name), address),
        _ => (None, word),
    };
    let url = Url::parse(address).ok()?;
    if url.password().is_some() {
        return Some(url);
    }
    let name: String =
        name?.to_uppercase().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let of_index = |what: &str| env.text(&format!("UV_INDEX_{name}_{what}"));
    with(&url, of_index("USERNAME")?, of_index("PASSWORD")?)
}

/// `url` with both; the sign that an address writes others with stands for itself in them.
fn with(url: &Url, user: &str, password: &str) -> Option<Url> {
    with_encoded(url, &user.replace('%', "%25"), &password.replace('%', "%25"))
}

fn with_encoded(url: &Url, user: &str, password: &str) -> Option<Url> {
    let mut url = url.clone();
    url.set_username(user).and_then(|()| url.set_password(Some(password))).ok()?;
    Some(url)
}

/// What `machine HOST`, or else `default`, says. See `netrc(5)`; macros are not known, nor blanks in passwords.
fn in_netrc<'a>(text: &'a str, host: &str) -> Option<(&'a str, &'a str)> {
    let is_text = |line: &&str| !line.trim_start().starts_with('#');
    let mut words = text.lines().filter(is_text).flat_map(str::split_whitespace);
    let (mut is_it, mut user, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if is_it && password.is_some() {
                    break;
                }
                is_it = word == "default" || words.next() == Some(host);
                (user, password) = (None, None);
            }
            "login" => user = words.next().filter(|_| is_it).or(user),
            "password" => password = words.next().filter(|_| is_it).or(password),
            _ => {}
        }
    }
    Some((user.unwrap_or_default(), password?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_the_name_and_password_that_the_user_told_for_it_and_no_other() {
        let check = |variables: &[(&str, &str)], netrc: &str, expected: &str| {
            let mut env = Env::default();
            for (name, value) in variables {
                env.set(name, value);
            }
            let credentials = Credentials { netrc: netrc.to_owned(), ..Credentials::of(&env) };
            let place = credentials.fill("https://h.example/a.whl".parse().expect("a place"));
            let Place::Http(url) = place else { panic!("no file") };
            assert_eq!(url.as_str().strip_suffix("h.example/a.whl"), Some(expected));
        };
        check(&[], "", "https://");
        check(&[("UV_DEFAULT_INDEX", "https://u:p%40@h.example/simple")], "", "https://u:p%40@");
        // Another server, another port, another scheme, a name alone.
        for other in ["https://u:p@x.example/", "https://u:p@h.example:8/", "http://u:p@h.example/"] {
            check(&[("UV_DEFAULT_INDEX", other)], "", "https://");
        }
        check(&[("UV_DEFAULT_INDEX", "https://u@h.example/")], "", "https://");
        check(&[("UV_INDEX", "https://pypi.example a=https://u:p@h.example/x")], "", "https://u:p@");
        let named = [("UV_INDEX", "my-own=https://h.example/x"), ("UV_INDEX_MY_OWN_USERNAME", "u")];
        check(&named, "", "https://");
        check(&[&named[..], &[("UV_INDEX_MY_OWN_PASSWORD", "p")]].concat(), "", "https://u:p@");
        let netrc = "# machine h.example password no\nmachine x.example login x password y\n\
                     machine h.example\n  login u\n  password p\ndefault login d password e\n";
        check(&[], netrc, "https://u:p@");
        check(&[], "machine h.example login u password p%40", "https://u:p%2540@");
        check(&[], "machine x.example login x password y default login d password e", "https://d:e@");
        check(&[], "machine x.example login x password y", "https://");
    }
}
