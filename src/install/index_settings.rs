//! The environment that uv runs with: what the user has told pip about package indexes is translated for it.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use crate::platform::{Env, fs};

use super::{python, step::Site};

/// A setting of pip, its variables in uv (what is set there already wins) and what separates several values there.
const SETTINGS: [(&str, &[&str], &str); 5] = [
    ("index-url", &["UV_DEFAULT_INDEX", "UV_INDEX_URL"], " "),
    ("extra-index-url", &["UV_INDEX", "UV_EXTRA_INDEX_URL"], " "),
    ("find-links", &["UV_FIND_LINKS"], ","),
    ("trusted-host", &["UV_INSECURE_HOST"], " "),
    ("cert", &["SSL_CERT_FILE", "SSL_CERT_DIR"], " "),
];

/// What pip's own files say, once they were asked for: finding a pip and starting it takes a second.
#[derive(Clone, Debug, Default)]
pub struct PipSettings(Arc<OnceLock<Vec<(String, String)>>>);

/// uv does not read pip's settings; people who set an index for pip mean it for this too.
pub fn uv_env(site: &Site) -> Env {
    let mut env = site.tool_env();
    fill(&mut env, || site.pip.0.get_or_init(|| configured(site)));
    // The interpreter is settled; uv is not to fetch another. The system's certificates are what the user trusts.
    env.set("UV_PYTHON_DOWNLOADS", "never").set("UV_SYSTEM_CERTS", "true").remove("UV_TORCH_BACKEND");
    if site.http.is_offline() {
        env.set("UV_OFFLINE", "1");
    }
    // Who has no home is not to be given one.
    if env.existing_home().is_none() && env.first(&["UV_CACHE_DIR", "XDG_CACHE_HOME"]).is_none() {
        env.set("UV_CACHE_DIR", site.workspace.internal().join("uv-cache"));
    }
    env
}

/// By these uv chooses other packages, or refuses those that are locked.
const CHOICES: [&str; 11] = [
    "UV_BUILD_CONSTRAINT",
    "UV_CONSTRAINT",
    "UV_EXCLUDE",
    "UV_EXCLUDE_NEWER",
    "UV_EXCLUDE_NEWER_PACKAGE",
    "UV_FORK_STRATEGY",
    "UV_NO_BINARY",
    "UV_OVERRIDE",
    "UV_PRERELEASE",
    "UV_REQUIRE_HASHES",
    "UV_RESOLUTION",
];

/// The same where every file is chosen already: what the user has told uv about choosing was asked for when they were locked.
pub fn locked_env(site: &Site) -> Env {
    let mut env = uv_env(site);
    leave_no_choice(&mut env);
    env
}

fn leave_no_choice(env: &mut Env) {
    for name in CHOICES {
        env.remove(name);
    }
}

/// Who has an index of their own may not reach, or not want, anybody else's.
pub fn is_private(env: &Env) -> bool {
    env.first(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"]).is_some()
}

fn fill<'a>(env: &mut Env, configured: impl Fn() -> &'a Vec<(String, String)>) {
    for (name, of_uv, separator) in SETTINGS {
        if env.first(of_uv).is_some() {
            continue;
        }
        let variable = format!("PIP_{}", name.replace('-', "_").to_uppercase());
        let value = env.text(&variable).map(str::to_owned).or_else(|| {
            // What counts for `install` alone comes after the global settings and overrides them.
            configured().iter().rev().find(|(it, _)| it == name).map(|(_, value)| value.clone())
        });
        // A folder that is not there is a warning of pip's and the end for uv.
        let is_there = |it: &&str| name != "find-links" || it.contains("://") || fs::exists(Path::new(it));
        let words: Vec<&str> = value.iter().flat_map(|it| it.split_whitespace()).filter(is_there).collect();
        if !words.is_empty() {
            env.set(of_uv[0], words.join(separator));
        }
    }
}

/// The settings in pip's own files; none where there is no pip to ask.
fn configured(site: &Site) -> Vec<(String, String)> {
    let said = python::that_answers(site, &["-m", "pip", "config", "list"]);
    said.map(|(_, said)| said.lines().filter_map(setting).collect()).unwrap_or_default()
}

/// `global.index-url='https://…'`: the last word of the name, and the value as Python writes a text.
fn setting(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let (section, name) = name.rsplit_once('.')?;
    let quote = value.chars().next().filter(|it| ['\'', '"'].contains(it))?;
    let value = value.strip_prefix(quote)?.strip_suffix(quote)?;
    // The values are addresses and paths, several of them on lines of their own.
    let value = value.replace("\\n", "\n").replace("\\'", "'").replace("\\\\", "\\");
    ["global", "install"].contains(&section).then(|| (name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_is_no_matter_of_choice_any_more() {
        let mut env = Env::from([
            ("UV_EXCLUDE_NEWER", "2020-01-01"),
            ("UV_CONSTRAINT", "mine.txt"),
            ("UV_DEFAULT_INDEX", "http://index.example"),
        ]);
        leave_no_choice(&mut env);
        assert_eq!((env.text("UV_EXCLUDE_NEWER"), env.text("UV_CONSTRAINT")), (None, None));
        assert_eq!(
            env.text("UV_DEFAULT_INDEX"),
            Some("http://index.example"),
            "places are no choice of packages"
        );
    }

    #[test]
    fn a_setting_is_read_as_pip_prints_it() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(setting(line), expected, "{line}");
        };
        check(
            "global.index-url='https://index.example/simple'",
            Some(("index-url", "https://index.example/simple")),
        );
        check(r"install.find-links='\n/a\n/b'", Some(("find-links", "\n/a\n/b")));
        check(r#"global.find-links="/it's""#, Some(("find-links", "/it's")));
        check(":env:.cert='/etc/ca.pem'", None);
        check("download.timeout='60'", None);
        check("nothing", None);
    }

    #[test]
    fn uv_gets_what_pip_is_told_unless_it_is_told_itself() {
        let mut env =
            Env::from([("PIP_FIND_LINKS", "/ /no/such/folder https://a"), ("UV_INSECURE_HOST", "mine")]);
        let configured = [
            ("index-url", "https://global"),
            ("index-url", "https://install"),
            ("extra-index-url", "\nhttps://one\nhttps://two"),
            ("find-links", "/c"),
            ("trusted-host", "theirs"),
        ];
        let configured = configured.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        fill(&mut env, || &configured);
        let expected = Env::from([
            ("PIP_FIND_LINKS", "/ /no/such/folder https://a"),
            ("UV_INSECURE_HOST", "mine"),
            ("UV_DEFAULT_INDEX", "https://install"),
            ("UV_INDEX", "https://one https://two"),
            ("UV_FIND_LINKS", "/,https://a"),
        ]);
        assert!(env == expected, "{env:?}");
    }
}
