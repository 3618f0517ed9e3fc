//! The network as this machine sees it: the port of the page, proxies, certificates, package indexes; on request, whether
//! the servers answer that a setup gets things from.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    platform::{
        Env, fs,
        net::Http,
        place::Place,
        ports::{self, Holder, Port},
    },
    vendor::sources::Sources,
    workspace::Settings,
};

use super::{super::torch::Profile, Scene, check::Check};

/// What `dpgui ui` listens on by itself.
const UI_PORT: u16 = 5173;

/// What our own server is called among the processes.
const OURS: &str = "dpgui";

/// For an answer of a mirror that is any good.
const LIMIT: Duration = Duration::from_secs(3);

const PROXIES: [[&str; 2]; 3] =
    [["HTTPS_PROXY", "https_proxy"], ["HTTP_PROXY", "http_proxy"], ["ALL_PROXY", "all_proxy"]];

/// Files and folders with certificates, each for some of the programs that setup runs.
const CERTIFICATES: [&str; 7] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
];

/// Where distributions keep the certificates that they trust.
const STORES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

const INDEXES: [&str; 11] = [
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INSECURE_HOST",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_TRUSTED_HOST",
    "NPM_CONFIG_REGISTRY",
];

/// By these nothing at all is downloaded.
const OFFLINE: [&str; 2] = ["UV_OFFLINE", "PIP_NO_INDEX"];

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let env = &scene.site.host.env;
    let store = STORES.iter().map(Path::new).find(|it| fs::is_file(it));
    let mut checks = vec![judge_port(&ports::look(UI_PORT)), judge_proxies(env)];
    checks.push(judge_certificates(env, store, fs::exists));
    let configs = pip_configs(env);
    let configs: Vec<(PathBuf, String)> =
        configs.into_iter().filter_map(|it| fs::read_optional(&it).ok()?.map(|text| (it, text))).collect();
    checks.push(judge_indexes(env, &configs));
    checks
}

fn judge_port(port: &Port) -> Check {
    let id = "ui-port";
    let taken = |by: &str| {
        Check::note(id, format_args!("port {UI_PORT} of the page in the browser is taken{by}"))
            .advise("end that program, or give the page another port: `dpgui ui --port 5174`")
    };
    match port {
        Port::Free => Check::ok(id, format_args!("port {UI_PORT} is free")),
        Port::Taken(Some(Holder { name, .. })) if name == OURS => {
            Check::ok(id, format_args!("`dpgui ui` serves on port {UI_PORT}"))
        }
        Port::Taken(Some(Holder { pid, name })) => taken(&format!(" by `{name}` (process {pid})")),
        Port::Taken(None) => taken(" by another user's program"),
        Port::Unusable(why) => Check::warning(id, format_args!("nobody can listen on port {UI_PORT}: {why}")),
    }
}

fn judge_proxies(env: &Env) -> Check {
    let id = "proxy";
    let mut used = vec![];
    for names in PROXIES {
        let set: Vec<(&str, &str)> = names.iter().filter_map(|name| Some((*name, env.text(name)?))).collect();
        if let [(upper, one), (lower, other)] = set[..]
            && one != other
        {
            return Check::warning(
                id,
                format_args!("`{upper}` and `{lower}` differ, and programs differ in which they take"),
            )
            .advise("set both to the same proxy, or unset one");
        }
        used.extend(set.first().map(|(name, value)| format!("`{name}={}`", without_secrets(value))));
    }
    let Some(exceptions) = env.first(&["NO_PROXY", "no_proxy"]).filter(|_| !used.is_empty()) else {
        return Check::ok(id, if used.is_empty() { "none".to_owned() } else { used.join(", ") });
    };
    Check::ok(id, format_args!("{}, and not for `{}`", used.join(", "), exceptions.1))
}

fn judge_certificates(env: &Env, store: Option<&Path>, is_there: impl Fn(&Path) -> bool) -> Check {
    let id = "certificates";
    let set: Vec<(&str, &str)> =
        CERTIFICATES.iter().filter_map(|name| Some((*name, env.text(name)?))).collect();
    if let Some((name, path)) = set.iter().find(|(_, path)| !is_there(Path::new(path))) {
        return Check::warning(id, format_args!("`{name}` is `{path}`, which is not there"))
            .advise(format_args!("unset `{name}`, or let it name your certificates"));
    }
    // Who sets one for every program sets them alike.
    let mut by_path: Vec<(&str, Vec<&str>)> = vec![];
    for (name, path) in set {
        match by_path.iter_mut().find(|(it, _)| *it == path) {
            Some((_, names)) => names.push(name),
            None => by_path.push((path, vec![name])),
        }
    }
    let found: Vec<String> =
        by_path.iter().map(|(path, names)| format!("`{path}` ({})", names.join(", "))).collect();
    match (found.is_empty(), store) {
        (false, _) => Check::ok(id, found.join(", ")),
        (true, Some(store)) => Check::ok(id, format_args!("the system's, `{}`", store.display())),
        (true, None) => Check::note(id, "this system has none; dpgui uses Mozilla's, which are built in")
            .advise("install your system's package `ca-certificates`"),
    }
}

fn judge_indexes(env: &Env, configs: &[(PathBuf, String)]) -> Check {
    let id = "package-index";
    if let Some((name, value)) = env.first(&OFFLINE).filter(|(_, value)| !["0", "false"].contains(value)) {
        return Check::warning(id, format_args!("`{name}={value}` keeps packages from being downloaded"))
            .advise(format_args!("unset `{name}` for the setup"));
    }
    let set = INDEXES.iter().filter_map(|name| Some((*name, env.text(name)?)));
    let set = set.map(|(name, value)| {
        let words: Vec<String> = value.split_whitespace().map(without_secrets).collect();
        format!("`{name}={}`", words.join(" "))
    });
    let files = configs.iter().flat_map(|(path, text)| {
        let settings = index_settings(text).into_iter();
        settings.map(move |it| format!("`{it}` in `{}`", path.display()))
    });
    match set.chain(files).collect::<Vec<_>>().join(", ") {
        found if found.is_empty() => Check::ok(id, "the public one"),
        found => Check::ok(id, found),
    }
}

/// The lines of pip's settings that say where packages come from, see "Configuration" of pip's user guide.
fn index_settings(text: &str) -> Vec<String> {
    let setting = |line: &str| {
        let (name, value) = line.split_once(['=', ':'])?;
        let name = name.trim();
        let counts = ["index-url", "extra-index-url", "find-links", "no-index", "proxy"].contains(&name);
        let value: Vec<String> = value.split_whitespace().map(without_secrets).collect();
        counts.then(|| format!("{name}={}", value.join(" ")))
    };
    text.lines().filter_map(setting).collect()
}

/// What is set so that things come from elsewhere, or by another way: variables, then `[sources]` of the settings, each
/// with what it says, less passwords.
pub fn detours(env: &Env, settings: &Settings) -> Vec<(String, String)> {
    let shown = |value: &str| value.split_whitespace().map(without_secrets).collect::<Vec<_>>().join(" ");
    let sources = Sources::load(&Settings::default());
    let of_sources = sources.iter().flat_map(Sources::mirror_variables);
    let names = INDEXES.into_iter().chain(PROXIES.as_flattened().iter().copied()).chain(of_sources);
    let mut found: Vec<(String, String)> = vec![];
    for name in names {
        if let Some(value) = env.text(name).filter(|_| found.iter().all(|(it, _)| it != name)) {
            found.push((name.to_owned(), shown(value)));
        }
    }
    for (name, change) in &settings.sources {
        let places = change.places.iter().flatten().map(|it| shown(it.as_text()));
        let all = places.chain(change.url.as_deref().map(shown));
        found.extend(all.map(|value| (format!("sources.{name}"), value)));
    }
    found
}

/// Where pip looks for its settings, see `pip config debug`.
fn pip_configs(env: &Env) -> Vec<PathBuf> {
    if let Some(file) = env.get("PIP_CONFIG_FILE") {
        return vec![PathBuf::from(file)];
    }
    let config = env.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(env.home()?.join(".config")));
    let of_user = config.map(|it| it.join("pip/pip.conf"));
    let old = env.home().map(|it| it.join(".pip/pip.conf"));
    [Some(PathBuf::from("/etc/pip.conf")), old, of_user].into_iter().flatten().collect()
}

/// An address, with or without `https://` or `name=` before it, less its user, password and query.
fn without_secrets(word: &str) -> String {
    let (word, query) = word.split_once('?').map_or((word, ""), |(word, _)| (word, "?..."));
    let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{authority}{path}{query}")
}

/// Asks every server that a setup of this workspace would ask, side by side.
pub(super) fn mirrors(scene: &Scene) -> Vec<Check> {
    if !scene.online {
        return vec![];
    }
    let (http, places) = (&scene.site.http, wanted(scene));
    thread::scope(|scope| {
        let ask = |wanted: Wanted| scope.spawn(move || judge_mirror(&wanted, http));
        let asked: Vec<_> = places.into_iter().map(ask).collect();
        // One that broke off is told of by its absence; the others still count.
        asked.into_iter().filter_map(|it| it.join().ok()).collect()
    })
}

/// What is got, and from where: one place that answers is enough.
struct Wanted {
    name: String,
    places: Vec<Place>,
    /// The package index has it too.
    has_wheel: bool,
}

fn wanted(scene: &Scene) -> Vec<Wanted> {
    let (sources, host) = (&scene.site.sources, &scene.site.host);
    let other = |name: &str, address: &str| Wanted {
        name: name.to_owned(),
        places: address.parse().into_iter().collect(),
        has_wheel: false,
    };
    let archives = sources.archives.iter().map(|(name, it)| Wanted {
        name: name.clone(),
        places: it.places(host.arch, &host.env).unwrap_or_default(),
        has_wheel: it.wheel_beside_places(&host.env).is_some(),
    });
    let repositories = sources.repositories.iter().filter(|(_, it)| it.models.is_empty());
    let mut all: Vec<Wanted> = archives.chain(repositories.map(|(name, it)| other(name, &it.url))).collect();
    let index = host.env.first(&["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"]);
    if let Some((_, index)) = index {
        all.push(other("package index", index));
    } else if scene.wish.profile == Some(Profile::Cpu) {
        all.push(other("PyTorch's CPU index", &sources.torch.cpu_index));
    }
    all.retain(|it| !it.places.is_empty());
    all
}

fn judge_mirror(wanted: &Wanted, http: &Http) -> Check {
    let answers = |place: &&Place| match place {
        Place::Http(url) => http.answers(url.as_str(), LIMIT),
        Place::File(path) => fs::exists(path),
    };
    let Wanted { name, places, has_wheel } = wanted;
    if let Some(place) = places.iter().find(answers) {
        return Check::ok("mirror", format_args!("`{place}` answers")).about(name);
    }
    let all: Vec<String> = places.iter().map(|it| format!("`{it}`")).collect();
    let found = format!("no good answer within {} s from {}", LIMIT.as_secs(), all.join(", "));
    if *has_wheel {
        return Check::note("mirror", format_args!("{found}; a setup takes it from the package index"))
            .about(name);
    }
    Check::warning("mirror", found).about(name).advise(
        "check the network and the proxy settings, or name a mirror under `[sources]` in `dpgui.toml`",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::check::told, *};

    #[test]
    fn no_secret_of_an_address_is_shown() {
        let check = |word, expected: &str| assert_eq!(without_secrets(word), expected);
        check("https://u:p@host.example:8080/simple", "https://host.example:8080/simple");
        check("u:p@host.example:3128", "host.example:3128");
        check("mine=https://u:p@host.example/simple?token=x", "mine=https://host.example/simple?...");
        check("https://u:p@host.example?token=x", "https://host.example?...");
        check("https://host.example/@scope/x", "https://host.example/@scope/x");
        check("/wheels/a@b", "/wheels/a@b");
    }

    #[test]
    fn proxies_are_told_and_two_that_differ_are_a_warning() {
        let check = |env: Env, expected: &str| assert_eq!(told(&judge_proxies(&env)), expected);
        check(Env::from([]), "ok proxy: none");
        check(Env::from([("NO_PROXY", "localhost")]), "ok proxy: none");
        check(
            Env::from([("https_proxy", "http://u:p@proxy:3128"), ("NO_PROXY", "localhost")]),
            "ok proxy: `https_proxy=http://proxy:3128`, and not for `localhost`",
        );
        check(
            Env::from([("HTTP_PROXY", "http://a"), ("http_proxy", "http://b")]),
            "warning proxy: `HTTP_PROXY` and `http_proxy` differ, and programs differ in which they take -> \
             set both to the same proxy, or unset one",
        );
        check(
            Env::from([("HTTP_PROXY", "http://a"), ("http_proxy", "http://a")]),
            "ok proxy: `HTTP_PROXY=http://a`",
        );
    }

    #[test]
    fn certificates_that_are_not_there_are_a_warning() {
        let check = |env: Env, store: Option<&str>, expected: &str| {
            let found = judge_certificates(&env, store.map(Path::new), |path| path == Path::new("/ca.pem"));
            assert_eq!(told(&found), expected);
        };
        check(Env::from([]), Some("/store"), "ok certificates: the system's, `/store`");
        check(
            Env::from([("SSL_CERT_FILE", "/ca.pem"), ("PIP_CERT", "/ca.pem")]),
            None,
            "ok certificates: `/ca.pem` (SSL_CERT_FILE, PIP_CERT)",
        );
        check(
            Env::from([("SSL_CERT_FILE", "/ca.pem"), ("PIP_CERT", "/gone.pem")]),
            Some("/store"),
            "warning certificates: `PIP_CERT` is `/gone.pem`, which is not there -> \
             unset `PIP_CERT`, or let it name your certificates",
        );
        check(
            Env::from([]),
            None,
            "note certificates: this system has none; dpgui uses Mozilla's, which are built in -> \
             install your system's package `ca-certificates`",
        );
    }

    #[test]
    fn the_package_index_in_effect_is_told() {
        let check = |env: Env, configs: &[&str], expected: &str| {
            let text = "[global]\n# no\nindex-url = https://u:p@three.example/simple\ntimeout = 60\n";
            let configs: Vec<_> = configs.iter().map(|it| (PathBuf::from(it), text.to_owned())).collect();
            assert_eq!(told(&judge_indexes(&env, &configs)), expected);
        };
        check(Env::from([]), &[], "ok package-index: the public one");
        check(
            Env::from([("UV_INDEX", "a=https://u:p@one.example https://two.example")]),
            &["/etc/pip.conf"],
            "ok package-index: `UV_INDEX=a=https://one.example https://two.example`, \
             `index-url=https://three.example/simple` in `/etc/pip.conf`",
        );
        check(
            Env::from([("PIP_NO_INDEX", "1")]),
            &[],
            "warning package-index: `PIP_NO_INDEX=1` keeps packages from being downloaded -> \
             unset `PIP_NO_INDEX` for the setup",
        );
        check(Env::from([("UV_OFFLINE", "0")]), &[], "ok package-index: the public one");
    }

    #[test]
    fn whoever_has_the_port_is_named() {
        let holder = Holder { pid: 7, name: "node".to_owned() };
        assert_eq!(
            told(&judge_port(&Port::Taken(Some(holder)))),
            "note ui-port: port 5173 of the page in the browser is taken by `node` (process 7) -> \
             end that program, or give the page another port: `dpgui ui --port 5174`"
        );
        assert_eq!(told(&judge_port(&Port::Free)), "ok ui-port: port 5173 is free");
        let ours = Holder { pid: 7, name: "dpgui".to_owned() };
        assert_eq!(told(&judge_port(&Port::Taken(Some(ours)))), "ok ui-port: `dpgui ui` serves on port 5173");
    }
}
