//! What of this process's environment decides on its connections: told where one fails, for it may be the very reason.
//!
//! The client takes these variables from the process itself, and so does this.

use super::without_secrets;

/// By whose name a variable's value is asked for.
type Get<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn of_this_process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|it| !it.is_empty())
}

/// What to look at where `url` cannot be reached.
pub(super) fn where_to_look(url: &str, get: Get<'_>) -> String {
    let mirror = "name a mirror under `[sources]` in `dpgui.toml`";
    let Some((name, proxy)) = proxy(url, get) else {
        return format!("check the network and the proxy settings, or {mirror}");
    };
    let exceptions = ["NO_PROXY", "no_proxy"].into_iter().find(|it| get(it).is_some());
    let exceptions = exceptions.map(|it| format!(" for all but what `{it}` names")).unwrap_or_default();
    format!("check the network and the proxy `{proxy}`, which `{name}` sets{exceptions}, or {mirror}")
}

/// The variable that sets a proxy for `url`, and the proxy.
fn proxy(url: &str, get: Get<'_>) -> Option<(&'static str, String)> {
    let of_scheme: &[&str] = if url.starts_with("https:") {
        &["HTTPS_PROXY", "https_proxy"]
    } else {
        &["HTTP_PROXY", "http_proxy"]
    };
    let names = of_scheme.iter().chain(&["ALL_PROXY", "all_proxy"]);
    names.copied().find_map(|name| Some((name, without_secrets(&get(name)?))))
}

/// What to do about a certificate that is not trusted; `problem` says why a file is not read.
pub(super) fn about_certificates(get: Get<'_>, problem: &dyn Fn(&str) -> Option<String>) -> String {
    let usual = "if your network has its own certificate authority, point `SSL_CERT_FILE` at its PEM file";
    let Some(file) = get("SSL_CERT_FILE") else { return usual.to_owned() };
    match problem(&file) {
        Some(problem) => format!(
            "`SSL_CERT_FILE` is set to `{file}`, which is not used ({problem}): let it name a PEM file with the authority of \
             your network, or unset it"
        ),
        None => {
            format!(
                "if your network has its own certificate authority, add it to `{file}`, which `SSL_CERT_FILE` names"
            )
        }
    }
}

/// Why nothing comes of a file of certificates.
pub(super) fn problem_with(file: &str) -> Option<String> {
    match std::fs::read_to_string(file) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => None,
        Ok(_) => Some("there is no certificate in it".to_owned()),
        Err(cause) => Some(cause.to_string()),
    }
}

/// What to do where nothing may be fetched.
pub(super) fn about_offline(get: Get<'_>) -> String {
    match get("DPGUI_OFFLINE") {
        Some(value) => format!("`DPGUI_OFFLINE` is `{value}`: unset it where there is a network"),
        None => "run it without `--offline` where there is a network".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_that_a_connection_takes_is_named_without_its_password() {
        let check = |set: &[(&str, &str)], url, expected: &str| {
            let get = |name: &str| set.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
            let told = where_to_look(url, &get);
            assert!(told.contains(expected), "{told}");
        };
        let proxies =
            [("HTTPS_PROXY", "http://me:secret@proxy.example:3128"), ("all_proxy", "http://other.example")];
        check(&[], "https://a.example/", "check the network and the proxy settings, or name");
        check(
            &proxies,
            "https://a.example/",
            "the proxy `http://proxy.example:3128/`, which `HTTPS_PROXY` sets, or",
        );
        check(&proxies, "http://a.example/", "the proxy `http://other.example`, which `all_proxy` sets, or");
        let some = [proxies[0], ("NO_PROXY", "b.example")];
        check(&some, "https://a.example/", "which `HTTPS_PROXY` sets for all but what `NO_PROXY` names, or");
    }

    #[test]
    fn a_file_of_certificates_that_is_set_is_named_with_what_is_wrong_with_it() {
        let told = |set: Option<&str>, problem: Option<&str>| {
            about_certificates(&|_| set.map(str::to_owned), &|_| problem.map(str::to_owned))
        };
        assert!(told(None, None).contains("point `SSL_CERT_FILE` at its PEM file"));
        assert!(
            told(Some("/x.pem"), Some("no such file")).contains("`/x.pem`, which is not used (no such file)")
        );
        assert!(told(Some("/x.pem"), None).ends_with("add it to `/x.pem`, which `SSL_CERT_FILE` names"));
    }

    #[test]
    fn who_is_offline_by_a_variable_is_told_of_the_variable() {
        assert!(about_offline(&|_| Some("1".to_owned())).starts_with("`DPGUI_OFFLINE` is `1`: unset it"));
        assert!(about_offline(&|_| None).contains("without `--offline`"));
    }
}
