//! Who is let in to `dpgui ui`, asked of every route that there is: a route that is added later is asked too.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use dpgui::ui::routes::{Route, Success};
use serde_json::json;
use tungstenite::{Message, WebSocket};

use crate::support::{
    browser::{Frame, Reply, Served, next},
    lab::Lab,
};

/// Every route with something plausible in place of its parameters.
fn routes() -> Vec<(Route, String)> {
    let fill = |route: &Route| {
        let path = route.path.replace("{id}", "20260101T000000Z-a").replace("{name}", "tiny.toml");
        assert!(!path.contains('{'), "what is `{path}` filled with?");
        path
    };
    let table = dpgui::ui::table().table;
    assert!(table.len() > 20, "the table is not the whole table");
    table.into_iter().map(|route| (route.clone(), fill(&route))).collect()
}

fn served() -> (Lab, Served) {
    let lab = Lab::new(&[]);
    let served = Served::start(&lab.sandbox, &[]);
    (lab, served)
}

/// A request as a browser would send it that is signed in, or as it is told.
fn ask(served: &Served, route: &Route, path: &str, headers: &[(&str, &str)]) -> Reply {
    let body: &[u8] = if route.method == "GET" { b"" } else { b"{}" };
    served.ask(route.method.as_str(), path, headers, body)
}

const CHANGE: [(&str, &str); 2] = [("Content-Type", "application/json"), ("X-Dpgui", "1")];

#[test]
fn no_route_answers_without_the_token() {
    let (_lab, served) = served();
    let origin = format!("http://localhost:{}", served.port);
    let bad = [
        vec![],
        vec![("Authorization", "Bearer ")],
        vec![("Authorization", "Bearer 0000000000000000000000000000000000000000000000000000000000000000")],
        vec![("Authorization", &*served.token)],
        vec![("Cookie", "dpgui-5173=x")],
    ];
    for (route, path) in routes() {
        if route.path == "/api/session" && route.method == "POST" {
            continue;
        }
        for headers in &bad {
            let headers = [&headers[..], &CHANGE, &[("Origin", &*origin)]].concat();
            let reply = ask(&served, &route, &path, &headers);
            assert_eq!(reply.status, 401, "{} {path} {headers:?}", route.method);
            assert_eq!(reply.json()["error"]["kind"], "unauthorised");
        }
        if matches!(route.success, Success::Stream(_)) {
            assert_eq!(served.socket(&path, &[("Origin", &origin)]).err(), Some(401), "{path}");
        }
    }
    let with_query = served.ask("GET", &format!("/api/runs?token={}", served.token), &[], b"");
    assert_eq!(with_query.status, 401, "addresses are kept in histories and logs");
}

#[test]
fn no_route_answers_to_another_name() {
    let (_lab, served) = served();
    let (port, bearer) = (served.port, served.bearer());
    let hosts = [
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("evil.127.0.0.1:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("localhost:{}", port ^ 1),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        format!("127.0.0.2:{port}"),
        format!("0.0.0.0:{port}"),
        format!("2130706433:{port}"),
        format!("localhost.:{port}"),
        format!("[::1]{port}"),
        format!("user@localhost:{port}"),
        format!("localhost:{port}, evil.example"),
        String::new(),
    ];
    let raw = |method: &str, path: &str, hosts: &str| {
        let body = "{}";
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{hosts}Connection: close\r\nAuthorization: {bearer}\r\n\
             Content-Type: application/json\r\nX-Dpgui: 1\r\nContent-Length: 2\r\n\r\n{body}"
        );
        served.raw(head.as_bytes()).status
    };
    let mut asked = 0;
    for (route, path) in routes() {
        for host in &hosts {
            let status = raw(route.method.as_str(), &path, &format!("Host: {host}\r\n"));
            assert!([400, 403].contains(&status), "{host}: {} {path}: {status}", route.method);
            asked += 1;
        }
        let own = format!("Host: localhost:{port}\r\n");
        for wrong in ["", &[&*own, "Host: evil.example\r\n"].concat(), &[&*own, &own].concat()] {
            let status = raw(route.method.as_str(), &path, wrong);
            assert!([400, 403].contains(&status), "{wrong:?}: {} {path}: {status}", route.method);
            asked += 1;
        }
    }
    assert!(asked > 350, "{asked}");
}

#[test]
fn no_route_answers_to_another_site() {
    let (_lab, served) = served();
    let (port, bearer) = (served.port, served.bearer());
    let mut asked = 0;
    let origins = [
        "http://evil.example",
        "null",
        "",
        &format!("http://127.0.0.1:{port}.evil.example"),
        &format!("http://localhost:{}", port ^ 1),
        &format!("http://evil.localhost:{port}"),
        &format!("file://localhost:{port}"),
        &format!("http://localhost:{port}/"),
        &format!("chrome-extension://localhost:{port}"),
    ];
    for (route, path) in routes() {
        for origin in origins {
            // Also with the token: a site that has got hold of it is still a site.
            let headers = [&CHANGE[..], &[("Origin", origin), ("Authorization", &*bearer)]].concat();
            let status = ask(&served, &route, &path, &headers).status;
            assert_eq!(status, 403, "{origin}: {} {path}", route.method);
            asked += 1;
        }
    }
    assert!(asked > 150, "{asked}");
}

#[test]
fn a_page_of_another_site_can_change_nothing() {
    let (lab, served) = served();
    let cookie = format!("dpgui-{}={}", served.port, session(&served));
    let origin = format!("http://localhost:{}", served.port);
    let own = [("Cookie", &*cookie), ("Origin", &*origin)];
    for (route, path) in routes() {
        if route.method == "GET" {
            continue;
        }
        // What a form can send, and what lacks the header that makes a browser ask first.
        for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
        {
            let headers = [&own[..], &[("Content-Type", kind), ("X-Dpgui", "1")]].concat();
            assert_eq!(ask(&served, &route, &path, &headers).status, 415, "{kind}: {path}");
        }
        let json = [&own[..], &CHANGE[..1]].concat();
        assert_eq!(ask(&served, &route, &path, &json).status, 403, "{path}");
        let without_origin = [&own[..1], &CHANGE].concat();
        assert_eq!(ask(&served, &route, &path, &without_origin).status, 403, "{path}");
        let from_elsewhere = [&own[..], &CHANGE, &[("Sec-Fetch-Site", "cross-site")]].concat();
        assert_eq!(ask(&served, &route, &path, &from_elsewhere).status, 403, "{path}");
    }
    for method in ["OPTIONS", "TRACE", "PATCH", "CONNECT", "BREW"] {
        let asks = [("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")];
        let reply = served.ask(method, "/api/runs", &asks, b"");
        assert!(!reply.head.to_ascii_lowercase().contains("access-control-"), "{}", reply.head);
        assert!(reply.status >= 400, "{method}: {}", reply.status);
    }
    // A stream is no change, but it tells everything.
    let foreign = [("Cookie", &*cookie), ("Origin", "http://evil.example")];
    assert_eq!(served.socket("/api/events", &foreign).err(), Some(403));
    assert_eq!(served.socket("/api/events", &[("Cookie", &cookie)]).err(), Some(403));
    assert!(served.socket("/api/events", &own).is_ok());
    drop(lab);
}

#[test]
fn the_browser_that_asks_for_a_new_token_stays_signed_in_and_no_other_does() {
    let (lab, served) = served();
    let name = format!("dpgui-{}", served.port);
    let (mine, other) =
        (format!("{name}={}", session(&served)), format!("{name}={}", another_session(&lab, &served)));
    let origin = format!("http://localhost:{}", served.port);
    let asks = |cookie: &str| served.ask("GET", "/api/session", &[("Cookie", cookie)], b"").status;
    assert_eq!((asks(&mine), asks(&other)), (204, 204));
    let headers = [&CHANGE[..], &[("Origin", &*origin), ("Cookie", &*mine)]].concat();
    let reply = served.ask("POST", "/api/session/rotate", &headers, b"{}");
    assert_eq!(reply.status, 204, "{reply:?}");
    let cookie = reply.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let renewed = cookie.split(';').next().expect("a pair").to_owned();
    assert_eq!((asks(&renewed), asks(&mine), asks(&other)), (204, 401, 401));
    assert_eq!(served.get("/api/runs").status, 401, "the old token");
}

/// That of another browser.
fn another_session(lab: &Lab, served: &Served) -> String {
    let link = lab.sandbox.dpgui(&["ui", "--link"]).ok().stdout;
    let code = link.trim().split_once("#t=").expect("a code").1.to_owned();
    let origin = format!("http://localhost:{}", served.port);
    let headers = [&CHANGE[..], &[("Origin", &*origin)]].concat();
    let reply = served.ask("POST", "/api/session", &headers, json!({ "token": code }).to_string().as_bytes());
    let cookie = reply.header("set-cookie").expect("a cookie");
    cookie.split(';').next().expect("a pair").split_once('=').expect("a pair").1.to_owned()
}

/// The cookie's value, for the link's code.
fn session(served: &Served) -> String {
    let code = served.link.split_once("#t=").expect("a code").1.to_owned();
    let origin = format!("http://localhost:{}", served.port);
    let body = json!({ "token": code }).to_string();
    let headers = [&CHANGE[..], &[("Origin", &*origin)]].concat();
    let reply = served.ask("POST", "/api/session", &headers, body.as_bytes());
    assert_eq!(reply.status, 204, "{reply:?}");
    let cookie = reply.header("set-cookie").expect("a cookie");
    for words in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(words), "{cookie}");
    }
    let again = served.ask("POST", "/api/session", &headers, body.as_bytes());
    assert_eq!(again.status, 401, "a link is good once");
    let (name, value) = cookie.split(';').next().expect("a pair").split_once('=').expect("a pair");
    assert_eq!(name, format!("dpgui-{}", served.port));
    value.to_owned()
}

#[test]
fn a_link_signs_a_browser_in_once_and_a_new_token_ends_its_session() {
    let (lab, served) = served();
    let cookie = format!("dpgui-{}={}", served.port, session(&served));
    let asks = |cookie: &str| served.ask("GET", "/api/session", &[("Cookie", cookie)], b"").status;
    assert_eq!(asks(&cookie), 204);
    assert_eq!(asks(&format!("other=1; {cookie}; more=2")), 204);
    // A program on another port can set one of the same name.
    assert_eq!(asks(&format!("dpgui-{}=x; {cookie}", served.port)), 204);
    let mut news = served.stream("/api/events");
    assert_eq!(asks(&cookie[..cookie.len() - 1]), 401);
    let link = lab.sandbox.dpgui(&["ui", "--link"]).ok().stdout;
    assert!(link.starts_with(&format!("http://localhost:{}/#t=", served.port)), "{link}");
    served.send("POST", "/api/session/rotate", &json!({})).ok();
    assert_eq!(asks(&cookie), 401);
    assert_eq!(served.get("/api/runs").status, 401);
    assert!((0..20).any(|_| matches!(next(&mut news), Frame::Closed)), "streams end with their session");
    let token = lab.sandbox.dpgui(&["ui", "--token"]).ok().stdout;
    assert_ne!(token.trim(), served.token);
    // A token that is made anew on the command line counts for a server that runs already, too.
    let bearer = format!("Bearer {}", token.trim());
    let with_it = || served.ask("GET", "/api/runs", &[("Authorization", &*bearer)], b"").status;
    assert_eq!(with_it(), 200);
    lab.sandbox.dpgui(&["ui", "--rotate-token"]).ok();
    assert_eq!(with_it(), 401);
}

#[test]
fn the_keys_are_for_their_user_alone_and_in_no_answer() {
    let (lab, served) = served();
    let mode =
        |name: &str| lab.sandbox.root().join(name).metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(".dpgui/ui"), mode(".dpgui/ui/token")), (0o700, 0o600));
    for (route, path) in routes() {
        if route.method == "GET" && matches!(route.success, Success::Json(..)) {
            let reply = served.get(&path);
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(!text.contains(&served.token), "{path}");
        }
    }
}

#[test]
fn every_answer_tells_the_browser_to_be_careful() {
    let (_lab, served) = served();
    for path in ["/", "/api/runs", "/api/nothing", "/assets/nothing.js", "/runs/x", "/%2e%2e/x"] {
        let reply = served.ask("GET", path, &[], b"");
        let policy = reply.header("content-security-policy").expect("a policy");
        for words in ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"]
        {
            assert!(policy.contains(words), "{path}: {policy}");
        }
        assert!(!policy.contains("script-src") && !policy.contains("unsafe-eval"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path}");
        }
    }
}

#[test]
fn names_from_outside_lead_nowhere_else() {
    let lab = Lab::new(&[]);
    lab.sandbox.write("outside.toml", "canary");
    lab.sandbox.write("w/.dpgui/page/index.html", "<h1>page</h1>");
    lab.sandbox.write("w/.dpgui/secret", "canary");
    let long = "a".repeat(300);
    let names = [
        "..",
        "../outside.toml",
        "..%2foutside.toml",
        "..%2Foutside.toml",
        "%2e%2e%2foutside.toml",
        "%252e%252e%252f",
        ".",
        "a/../../outside.toml",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "..%5c..%5cx",
        "C:%5cx",
        "%00",
        "a%00.toml",
        "%0d%0a",
        "%ff",
        "~",
        "~root",
        "-rf",
        "--help",
        "$(touch%20x)",
        "`touch%20x`",
        "a;b",
        "a%7cb",
        "a%0ab",
        "%E2%80%AE",
        &long,
    ];
    let served = Served::start(&lab.sandbox, &[]);
    for name in names {
        let paths = [
            format!("/{name}"),
            format!("/assets/{name}"),
            format!("/api/runs/{name}"),
            format!("/api/runs/{name}/log/raw"),
            format!("/api/jobs/{name}/events"),
        ];
        for path in paths {
            let reply = served.get(&path);
            assert!(!String::from_utf8_lossy(&reply.body).contains("canary"), "{path}");
            assert!(reply.status < 500 || reply.status == 503, "{path}: {}", reply.status);
        }
        let body = json!({ "kind": "data-check", "config": percent_decoded(name) });
        assert!([400, 404].contains(&served.send("POST", "/api/jobs", &body).status), "{name}");
        let body = json!({ "config": percent_decoded(name) });
        assert!([400, 404].contains(&served.send("POST", "/api/runs", &body).status), "{name}");
    }
    assert!(!lab.sandbox.root().join("x").exists());
}

fn percent_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("a={}", text.replace('+', "%2b")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[test]
fn what_is_too_much_or_no_http_is_refused_and_the_server_goes_on() {
    let (_lab, served) = served();
    let headers = [("Authorization", &*served.bearer()), CHANGE[0], CHANGE[1]];
    let large = vec![b' '; 3 << 20];
    let reply = served.ask("POST", "/api/queue", &headers, &large);
    assert_eq!((reply.status, &reply.json()["error"]["kind"]), (413, &json!("usage")));
    let origin = format!("http://localhost:{}", served.port);
    let unknown = [CHANGE[0], CHANGE[1], ("Origin", &*origin)];
    assert_eq!(served.ask("POST", "/api/session", &unknown, &[b' '; 10_000]).status, 413);
    let smuggled = format!(
        "POST /api/queue HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        served.port
    );
    assert!([400, 403].contains(&served.raw(smuggled.as_bytes()).status));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"held\":1}",
        "{\"held\":true,\"more\":1}",
        "{\"held\":true}x",
        "\u{feff}{}",
        "{\"held\":\"true\"}",
    ] {
        let reply = served.ask("POST", "/api/queue", &headers, body.as_bytes());
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.json()["error"]["kind"], "usage", "{body}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(served.ask("POST", "/api/queue", &headers, deep.as_bytes()).status, 400);
    assert_eq!(served.get("/api/runs?id=1").status, 400, "what is not known is not passed over");
    assert_eq!(served.get("/api/queue").ok()["held"], false);
}

#[test]
fn a_request_that_is_not_understood_is_told_what_and_where() {
    let (_lab, served) = served();
    let headers = [("Authorization", &*served.bearer()), CHANGE[0], CHANGE[1]];
    let check = |body: &str, message: &str, cause: &str| {
        let error = served.ask("POST", "/api/queue", &headers, body.as_bytes()).json()["error"].clone();
        let causes = if cause.is_empty() { json!([]) } else { json!([cause]) };
        assert_eq!((&error["message"], &error["causes"]), (&json!(message), &causes), "{body}");
        let hint = "`/api/openapi.json` says what each request holds";
        assert_eq!(error["hint"], if cause.is_empty() { json!(null) } else { json!(hint) });
    };
    check(" ", "nothing was sent, where JSON is expected", "");
    check("{\n\"held\": yes}", "the request is no JSON: see line 2, column 9", "expected value");
    let cut = "the request ends in the middle of its JSON, in line 1, column 7";
    check("{\"held\"", cut, "EOF while parsing an object");
    let wrong = "the request is not as expected";
    check("{\"held\":1}", wrong, "invalid type: integer `1`, expected a boolean (line 1, column 9)");
    check("{}", wrong, "missing field `held` (line 1, column 2)");
    let error = served.get("/api/runs?id=1").json()["error"].clone();
    assert_eq!(error["message"], "what is asked is not as expected");
    assert!(error["causes"][0].as_str().is_some_and(|it| it.contains("unknown field `id`")), "{error}");
}

#[test]
fn what_is_too_long_is_refused_before_it_is_sent() {
    let (_lab, served) = served();
    let head = format!(
        "POST /api/queue HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         X-Dpgui: 1\r\nContent-Length: 9000000000\r\n",
        served.port,
        served.bearer()
    );
    for more in ["", "Expect: 100-continue\r\n"] {
        let mut stream = served.connect();
        stream.write_all(format!("{head}{more}\r\n").as_bytes()).expect("sent");
        let since = Instant::now();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 413", "{more}");
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
}

#[test]
fn an_address_that_is_given_whole_names_this_server_as_its_host_does() {
    let (_lab, served) = served();
    let ask = |authority: &str| {
        let head = format!(
            "GET http://{authority}/api/queue HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
            served.port,
            served.bearer()
        );
        served.raw(head.as_bytes())
    };
    assert_eq!(ask(&format!("localhost:{}", served.port)).status, 200);
    for other in ["evil.example", "localhost:1", &format!("127.0.0.1:{}", served.port)] {
        let reply = ask(other);
        let message = format!("`{other}` is asked for, and `Host` says `localhost:{}`", served.port);
        assert_eq!((reply.status, &reply.json()["error"]["message"]), (400, &json!(message)));
    }
}

#[test]
fn who_comes_by_a_wrong_name_with_a_browser_can_read_what_to_do() {
    let (_lab, served) = served();
    let visit = |host: &str, accept: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        served.raw(head.as_bytes())
    };
    let reply = visit("<b>evil.example", "text/html,application/xhtml+xml,*/*;q=0.8");
    let html = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (403, Some("text/html; charset=utf-8")),
        "{html}"
    );
    assert!(html.contains("<h1>this server does not go by that name</h1>"), "{html}");
    assert!(html.contains(&format!("<p>open http://localhost:{}, or add the name", served.port)), "{html}");
    assert!(!html.contains("src=") && !html.contains("<b>"), "{html}");
    assert!(reply.header("content-security-policy").is_some());
    let reply = visit("evil.example", "*/*");
    assert_eq!((reply.status, &reply.json()["error"]["kind"]), (403, &json!("forbidden")));
}

#[test]
fn a_stream_says_why_it_is_closed_and_what_it_did_not_understand() {
    let (lab, served) = served();
    let mut news = served.stream("/api/events");
    let refusal = |news: &mut WebSocket<TcpStream>| loop {
        match next(news) {
            Frame::Said(it) if it["type"] == "refused" => return it["error"]["message"].clone(),
            Frame::Said(_) => {}
            other => panic!("{other:?}"),
        }
    };
    for (word, expected) in [
        (Message::text("{"), "the request ends in the middle of its JSON, in line 1, column 1"),
        (Message::text("{\"jobs\":[]}"), "the request is not as expected"),
        (Message::binary(vec![1]), "what a page says is text, and bytes were sent"),
    ] {
        news.send(word).expect("sent");
        assert_eq!(refusal(&mut news), expected);
    }
    let end = |socket: &mut WebSocket<TcpStream>| loop {
        if let Message::Close(close) = socket.read().expect("a message") {
            let close = close.expect("a reason");
            return (u16::from(close.code), close.reason.to_string());
        }
    };
    // A log that is over, from beyond its end.
    let run = lab.detached(&[]);
    run.outcome();
    let path = format!("/api/runs/{}/log?stream=rank0", run.id());
    let mut log = served.stream(&format!("{path}&from=99999999"));
    let Frame::Said(start) = next(&mut log) else { panic!("it says where it begins") };
    assert_eq!((&start["type"], &start["offset"]), (&json!("start"), &start["size"]), "{start}");
    assert!(start["size"].as_u64().is_some_and(|it| it > 0), "{start}");
    assert_eq!(end(&mut log), (1000, "that was all".to_owned()));
    let bearer = served.bearer();
    let upgrade = [
        ("Authorization", &*bearer),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    for twice in [format!("{path}&from=0&tail=9"), format!("/api/runs/{}/log/merged?from=&lines=9", run.id())]
    {
        let head = upgrade.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
        let head = format!("GET {twice} HTTP/1.1\r\nHost: localhost:{}\r\n{head}\r\n", served.port);
        let mut stream = served.connect();
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 400", "{twice}");
    }
    crate::support::lab::kill(served.pid(), "INT");
    assert_eq!(end(&mut news), (1001, "the server ends".to_owned()));
}

#[test]
fn what_is_no_head_of_a_request_is_refused_as_everything_is() {
    let (_lab, served) = served();
    let refused = |bytes: &[u8]| {
        let reply = served.raw(bytes);
        assert_eq!(reply.header("content-type"), Some("application/json"), "{reply:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{reply:?}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{reply:?}");
        let error = reply.json()["error"].clone();
        assert_eq!((&error["kind"], error["causes"].is_array()), (&json!("usage"), true), "{error}");
        (reply.status, error["message"].as_str().expect("a message").to_owned(), error["hint"].clone())
    };
    let head = |line: &str, rest: &str| {
        format!("{line} HTTP/1.1\r\nHost: localhost:{}\r\n{rest}\r\n", served.port).into_bytes()
    };
    let (status, message, hint) =
        refused(&head("GET /api/runs", &format!("Cookie: {}\r\n", "a".repeat(1 << 20))));
    let too_much = "the head of the request has too many lines, or more than 32768 bytes";
    assert_eq!((status, &*message), (431, too_much));
    assert!(hint.as_str().is_some_and(|it| it.contains("cookies")), "{hint}");
    let many = "X-More: x\r\n".repeat(2000);
    assert_eq!(refused(&head("GET /api/runs", &many)).1, too_much);
    let long = head(&format!("GET /api/{}", "a".repeat(100_000)), "");
    assert!([414, 431].contains(&refused(&long).0));
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/3.7\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ] {
        let (status, message, _) = refused(bytes);
        let is_said = message.starts_with("what was sent is no request of HTTP/1.1: ");
        assert!(status == 400 && is_said, "{bytes:?}: {status} {message}");
    }
    // One who begins with the words of another protocol understands none of ours.
    assert!([0, 400, 505].contains(&served.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status));
    // Behind one that was answered, whose answer comes first.
    let mut stream = served.connect();
    let first = head("GET /api/queue", &format!("Authorization: {}\r\n", served.bearer()));
    stream.write_all(&[&*first, b"GET\r\n\r\n"].concat()).expect("sent");
    let mut all = String::new();
    stream.read_to_string(&mut all).expect("text");
    let statuses: Vec<&str> = all.split("HTTP/1.1 ").skip(1).filter_map(|it| it.get(..3)).collect();
    assert_eq!(statuses, ["200", "400"], "{all}");
    assert!(all.ends_with("\"hint\":null}}"), "{all}");
}

#[test]
fn who_sends_slowly_is_cut_off_and_holds_nobody_up() {
    let (_lab, served) = served();
    let mut slow = served.connect();
    slow.write_all(b"GET /api/runs HTTP/1.1\r\nHost: ").expect("sent");
    let since = Instant::now();
    let idle: Vec<_> = (0..100).map(|_| served.connect()).collect();
    let mut half = served.connect();
    let head = format!(
        "POST /api/session HTTP/1.1\r\nHost: localhost:{0}\r\nOrigin: http://localhost:{0}\r\nX-Dpgui: 1\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        served.port
    );
    half.write_all(head.as_bytes()).expect("sent");
    assert_eq!(served.get("/api/queue").ok()["held"], false);
    let mut rest = String::new();
    slow.read_to_string(&mut rest).expect("an answer");
    assert!(rest.starts_with("HTTP/1.1 408") && rest.contains("{\"error\":{\"kind\":\"usage\""), "{rest}");
    assert!(since.elapsed() < Duration::from_secs(18), "{:?}", since.elapsed());
    drop(idle);
    half.set_read_timeout(Some(Duration::from_secs(40))).expect("set");
    let mut answer = [0; 12];
    half.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    served.get("/api/queue").ok();
}

#[test]
fn frames_that_are_none_end_their_own_stream_only() {
    let (_lab, served) = served();
    let mut other = served.stream("/api/events");
    for bytes in [
        &[0xff_u8; 14][..],
        // Not masked, as a client's must be; a control frame that is too long; a reserved kind; half a terabyte.
        &[0x81, 0x01, b'a'],
        &[0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x82, 0xff, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28],
    ] {
        let mut socket = served.stream("/api/events");
        // With a payload, which some are only refused after.
        socket.get_mut().write_all(&[bytes, &[0; 300]].concat()).expect("sent");
        let closes = (0..20).any(|_| matches!(next(&mut socket), Frame::Closed));
        assert!(closes, "{bytes:?}");
    }
    assert!(matches!(next(&mut other), Frame::Said(_)));
    served.get("/api/queue").ok();
}

#[test]
fn what_is_refused_before_a_route_is_reached_is_said_as_everything_is() {
    let (_lab, served) = served();
    let bearer = served.bearer();
    let headers = [("Authorization", &*bearer), CHANGE[0], CHANGE[1]];
    let check = |method: &str, path: &str, status, kind: &str| {
        let reply = served.ask(method, path, &headers, if method == "GET" { b"" } else { b"{}" });
        let said = (reply.status, reply.header("content-type"));
        assert_eq!(said, (status, Some("application/json")), "{method} {path}: {reply:?}");
        let error = &reply.json()["error"];
        assert_eq!(error["kind"], kind, "{method} {path}");
        assert!(error["message"].as_str().is_some_and(|it| !it.is_empty()), "{method} {path}: {error}");
        reply
    };
    let allowed = check("DELETE", "/api/runs", 405, "usage");
    assert!(allowed.header("allow").is_some_and(|it| it.contains("POST")), "{allowed:?}");
    let allowed = check("POST", "/", 405, "usage");
    assert_eq!(allowed.header("allow"), Some("GET, HEAD"), "{allowed:?}");
    // Who may not ask at all is not told what could be asked.
    let origin = format!("http://localhost:{}", served.port);
    assert_eq!(served.ask("DELETE", "/api/runs", &[("Origin", &*origin)], b"{}").status, 401);
    assert_eq!(served.ask("DELETE", "/api/runs", &[("Authorization", &*bearer)], b"{}").status, 415);
    assert_eq!(served.ask("POST", "/api/queue", &[], b"{}").status, 403, "nor a page of another site");
    check("PATCH", "/api/queue", 405, "usage");
    check("GET", "/api/nothing", 404, "not-found");
    check("POST", "/api/nothing", 404, "not-found");
    check("GET", "/api/runs/%ff", 400, "usage");
    // As a page that is no WebSocket, in a version that nobody speaks, and without a key.
    for path in ["/api/events", "/api/runs/20260101T000000Z-a/log"] {
        let reply = check("GET", path, 426, "usage");
        let message = "this is a stream: it is asked for as a WebSocket";
        assert_eq!(
            (reply.header("upgrade"), &reply.json()["error"]["message"]),
            (Some("websocket"), &json!(message))
        );
        for more in ["Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", ""] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: {bearer}\r\nConnection: Upgrade, close\r\n\
                 Upgrade: websocket\r\n{more}\r\n",
                served.port
            );
            let mut stream = served.connect();
            stream.write_all(head.as_bytes()).expect("sent");
            let mut all = String::new();
            let _ = stream.read_to_string(&mut all);
            assert!(
                all.starts_with("HTTP/1.1 400") && all.contains("{\"error\":{\"kind\":\"usage\""),
                "{all}"
            );
        }
    }
}

#[test]
fn who_signs_out_is_out_wherever_his_cookie_went_and_nobody_else_is() {
    let (lab, served) = served();
    let origin = format!("http://localhost:{}", served.port);
    let value = session(&served);
    let mine = format!("dpgui-{}={value}", served.port);
    let link = lab.sandbox.dpgui(&["ui", "--link"]).ok().stdout;
    let code = json!({ "token": link.trim().split_once("#t=").expect("a code").1 }).to_string();
    let headers = [&CHANGE[..], &[("Origin", &*origin)]].concat();
    let reply = served.ask("POST", "/api/session", &headers, code.as_bytes());
    let other = reply.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
    assert_ne!(mine, other);
    let asks =
        |served: &Served, cookie: &str| served.ask("GET", "/api/session", &[("Cookie", cookie)], b"").status;
    let mut news = served.socket("/api/events", &[("Cookie", &*mine), ("Origin", &*origin)]).expect("let in");
    let mut others =
        served.socket("/api/events", &[("Cookie", &*other), ("Origin", &*origin)]).expect("let in");
    let headers = [&headers[..], &[("Cookie", &*mine)]].concat();
    let reply = served.ask("DELETE", "/api/session", &headers, b"{}");
    assert_eq!(reply.status, 204, "{reply:?}");
    assert!(reply.header("set-cookie").is_some_and(|it| it.contains("Max-Age=0")), "{reply:?}");
    assert_eq!((asks(&served, &mine), asks(&served, &other)), (401, 204));
    assert!((0..20).any(|_| matches!(next(&mut news), Frame::Closed)), "a stream ends with its session");
    for _ in 0..3 {
        assert!(matches!(next(&mut others), Frame::Said(_)), "and no other does");
    }
    // Who comes with the token has no session to end.
    assert_eq!(served.send("DELETE", "/api/session", &json!({})).status, 204);
    assert_eq!(served.get("/api/runs").status, 200);
    let others_value = other.split_once('=').expect("a pair").1.to_owned();
    drop(served);
    // The next server knows it too.
    let served = Served::start(&lab.sandbox, &[]);
    let asks = |value: &str| asks(&served, &format!("dpgui-{}={value}", served.port));
    assert_eq!((asks(&value), asks(&others_value)), (401, 204));
}

#[test]
fn a_folder_that_is_not_there_is_not_made_by_asking_for_its_keys() {
    let lab = Lab::new(&[]);
    let nowhere = lab.sandbox.path("nowhere");
    for option in ["--token", "--link", "--rotate-token"] {
        let said = lab.sandbox.dpgui(&["-C", &nowhere.to_string_lossy(), "ui", option]);
        assert_eq!(said.code, Some(2), "{option}: {said}");
        assert!(said.stderr.contains("there is no workspace"), "{option}: {said}");
        assert!(!nowhere.exists(), "{option}");
    }
}
