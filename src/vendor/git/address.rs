//! Where a repository is, after the user's own `url.<base>.insteadOf` rules.

use std::path::PathBuf;

use git2::{Config, ConfigLevel};
use url::Url;

use crate::platform::{Env, fs, net};

use super::{GitError, libgit2::Libgit2};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Http(String),
    Local(PathBuf),
}

/// Beginnings of addresses and what git's configuration wants in their place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InsteadOf(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    beginning: String,
    base: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, GitError> {
        let unknown = || GitError::Address { url: net::without_secrets(text) };
        match text.split_once("://") {
            Some(("http" | "https", _)) => {
                Url::parse(text).map_err(|_| unknown())?;
                Ok(Self::Http(text.trim_end_matches('/').to_owned()))
            }
            Some(("file", _)) => {
                let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
                path.map(Self::Local).ok_or_else(unknown)
            }
            // `git@host:path` is ssh too.
            Some(_) => Err(unknown()),
            None if text.split('/').next().is_some_and(|it| it.contains(':')) => Err(unknown()),
            None => Ok(Self::Local(PathBuf::from(text))),
        }
    }
}

impl InsteadOf {
    /// From the files that git reads (system, XDG, home) and from `GIT_CONFIG_COUNT`, which CI systems use.
    pub(super) fn read(env: &Env) -> Result<Self, GitError> {
        let mut rules = rules_of_files(&files(env)).map_err(|source| GitError::Config { source })?;
        rules.extend(rules_of_environment(env));
        Ok(Self(rules))
    }

    /// `url` by the rule with the longest beginning. A rule that leads to ssh, which developers have for pushing, is
    /// passed over: dpgui reads over HTTP what they write over ssh.
    pub(super) fn apply(&self, url: &str) -> String {
        let mut best: Option<(&Rule, String)> = None;
        for rule in &self.0 {
            let Some(rest) = url.strip_prefix(&rule.beginning) else { continue };
            let longer = best.as_ref().is_none_or(|(best, _)| best.beginning.len() < rule.beginning.len());
            let rewritten = format!("{}{rest}", rule.base);
            if longer && Address::parse(&rewritten).is_ok() {
                best = Some((rule, rewritten));
            }
        }
        best.map_or_else(|| url.to_owned(), |(_, rewritten)| rewritten)
    }
}

/// The address of a submodule: `.gitmodules` may give it relative to that of the repository it is in.
pub(super) fn resolve(parent: &str, url: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_owned();
    }
    let mut base = parent.trim_end_matches('/');
    let mut rest = url;
    loop {
        if let Some(next) = rest.strip_prefix("./") {
            rest = next;
        } else if let Some(next) = rest.strip_prefix("../") {
            base = base.rsplit_once('/').map_or(base, |(before, _)| before);
            rest = next;
        } else {
            return format!("{base}/{rest}");
        }
    }
}

fn files(env: &Env) -> Vec<PathBuf> {
    let mut files = vec![];
    if env.get("GIT_CONFIG_NOSYSTEM").is_none() {
        files.push(env.get("GIT_CONFIG_SYSTEM").map_or_else(|| "/etc/gitconfig".into(), PathBuf::from));
    }
    if let Some(global) = env.get("GIT_CONFIG_GLOBAL") {
        files.push(PathBuf::from(global));
    } else {
        let xdg = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let xdg = xdg.or_else(|| env.home().map(|home| home.join(".config")));
        files.extend(xdg.map(|dir| dir.join("git/config")));
        files.extend(env.home().map(|home| home.join(".gitconfig")));
    }
    files
}

fn rules_of_files(files: &[PathBuf]) -> Result<Vec<Rule>, Libgit2> {
    let mut rules = vec![];
    for file in files.iter().filter(|file| fs::exists(file)) {
        let mut config = Config::new()?;
        config.add_file(file, ConfigLevel::App, false)?;
        let mut entries = config.entries(Some(r"^url\..*\.insteadof$"))?;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            rules.extend(Rule::new(entry.name()?, entry.value()?));
        }
    }
    Ok(rules)
}

fn rules_of_environment(env: &Env) -> Vec<Rule> {
    let count: usize = env.text("GIT_CONFIG_COUNT").and_then(|it| it.parse().ok()).unwrap_or(0);
    let pair = |index| {
        let key = env.text(&format!("GIT_CONFIG_KEY_{index}"))?;
        Rule::new(key, env.text(&format!("GIT_CONFIG_VALUE_{index}"))?)
    };
    (0..count).filter_map(pair).collect()
}

impl Rule {
    /// From `url.<base>.insteadOf`; any other key is none. Section and variable may be written in any case.
    fn new(key: &str, beginning: &str) -> Option<Self> {
        let (section, rest) = key.split_once('.')?;
        let (base, variable) = rest.rsplit_once('.')?;
        let ours = section.eq_ignore_ascii_case("url") && variable.eq_ignore_ascii_case("insteadof");
        (ours && !beginning.is_empty())
            .then(|| Self { beginning: beginning.to_owned(), base: base.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_or_a_place_on_this_machine_and_ssh_is_neither() {
        let check = |text: &str, expected: Result<Address, &str>| {
            let found = Address::parse(text).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned));
        };
        check("https://host.example/a.git/", Ok(Address::Http("https://host.example/a.git".into())));
        check("http://u:p@host.example/a", Ok(Address::Http("http://u:p@host.example/a".into())));
        check("file:///srv/a%20b.git", Ok(Address::Local("/srv/a b.git".into())));
        check("/srv/a:b", Ok(Address::Local("/srv/a:b".into())));
        check("../a", Ok(Address::Local("../a".into())));
        check(
            "git@host.example:a.git",
            Err("`git@host.example:a.git` is not an address that dpgui can clone from"),
        );
        check(
            "ssh://host.example/a",
            Err("`ssh://host.example/a` is not an address that dpgui can clone from"),
        );
        check("https://", Err("`https://` is not an address that dpgui can clone from"));
    }

    #[test]
    fn rewriting_rules_are_those_of_git_with_the_longest_beginning_first() {
        let home = tempfile::tempdir().expect("a temp dir");
        let included = "[url \"https://included.example/\"]\n\tinsteadOf = inc:\n";
        fs::write_atomic(&home.path().join("more"), included).expect("written");
        let config = "[URL \"https://Mirror.example/gh/\"]\n\tinsteadOf = https://github.com/\n\
                      [url \"https://short.example/\"]\n\tinsteadof = https://\n\tinsteadOf = gh:\n\
                      [url \"git@github.com:\"]\n\tinsteadOf = https://github.com/tdrussell/\n\
                      [core]\n\tautocrlf = true\n[include]\n\tpath = more\n";
        fs::write_atomic(&home.path().join(".gitconfig"), config).expect("written");
        let mut env = Env::from([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "url.file:///srv/.insteadOf"),
            ("GIT_CONFIG_VALUE_0", "https://github.com/local/"),
        ]);
        env.set("HOME", home.path());
        let rules = InsteadOf::read(&env).expect("readable");
        let check = |url: &str, expected: &str| assert_eq!(rules.apply(url), expected);
        check("https://github.com/Tencent/x", "https://Mirror.example/gh/Tencent/x");
        // The longest rule leads to ssh.
        check("https://github.com/tdrussell/x", "https://Mirror.example/gh/tdrussell/x");
        check("https://github.com/local/x.git", "file:///srv/x.git");
        check("https://other.example/x", "https://short.example/other.example/x");
        check("gh:x", "https://short.example/x");
        check("inc:x", "https://included.example/x");
        check("/srv/x", "/srv/x");
    }

    #[test]
    fn a_damaged_git_configuration_is_an_error_that_names_it() {
        let home = tempfile::tempdir().expect("a temp dir");
        fs::write_atomic(&home.path().join("broken"), "[url \"x\n").expect("written");
        let mut env = Env::from([("GIT_CONFIG_NOSYSTEM", "1")]);
        env.set("GIT_CONFIG_GLOBAL", home.path().join("broken"));
        let error = crate::error::Error::from(InsteadOf::read(&env).expect_err("damaged")).to_string();
        assert!(error.contains(&home.path().join("broken").display().to_string()), "{error}");
    }

    #[test]
    fn a_submodule_may_stand_beside_its_parent() {
        let check = |parent, url, expected: &str| assert_eq!(resolve(parent, url), expected);
        check("https://h.example/o/p.git", "../c.git", "https://h.example/o/c.git");
        check("https://h.example/o/p/", "../../x/c", "https://h.example/x/c");
        check("/srv/p", "./c", "/srv/p/c");
        check("/srv/p", "https://h.example/c", "https://h.example/c");
    }
}
