//! What dpgui writes for the trainer, read back by the very parser that the trainer uses.

use std::{fmt::Write, sync::Mutex};

use dpgui::config::{Severity, portable, source::Source};
use proptest::prelude::*;

use crate::support::old_toml::{OldToml, meaning};

/// The copy of a file with this text, and what was found on the way.
fn copy_of(text: &str) -> (String, Vec<dpgui::config::Finding>) {
    let dir = tempfile::tempdir().expect("a temp dir");
    let path = dir.path().join("c.toml");
    std::fs::write(&path, text).expect("written");
    let source = Source::read(&path).unwrap_or_else(|error| panic!("{error}\n{text}"));
    portable::rewrite(&source, &portable::Replaced::new())
}

/// The package refuses or misreads `text`, but reads our copy as it was meant.
#[track_caller]
fn check_repaired(package: &mut OldToml, text: &str, meant: &str) {
    let before = package.load(text);
    assert_ne!(before, Ok(meaning(meant)), "needs no repair:\n{text}");
    let (copy, _) = copy_of(text);
    assert_eq!(package.load(&copy), Ok(meaning(meant)), "{text}\nbecame\n{copy}");
}

#[test]
fn what_the_trainers_parser_gets_wrong_is_repaired() {
    let mut package = OldToml::start();
    for text in [
        "betas = [0, 0.99]",
        "betas = [\n  0, # it's 0]\n  0.99,\n]",
        "a = [[512, 1.5], [1, 2]]",
        "\u{feff}a = 1",
        "a = [['x]', 'y']]",
        "a = [{ name = \"it's\", config = 'c' }]",
        "a = 0b11\nb = 0o17\nc=0xff",
        "a=0b11",
        r#"a = "\e""#,
        r#"a = "\x41""#,
        "a = 0e5",
        "a = [\"\"\"x,\ny\"\"\", 'z']",
    ] {
        check_repaired(&mut package, text, text.trim_start_matches('\u{feff}'));
    }
    check_repaired(
        &mut package,
        "resolutions = [512, [1280, 720]]\nar_buckets = [1.5, 1, [4, 3]]",
        "resolutions = [[512, 512], [1280, 720]]\nar_buckets = [[1.5, 1.0], [1, 1], [4, 3]]",
    );
}

#[test]
fn what_no_spelling_can_repair_is_an_error() {
    for (text, expected) in [
        ("a = 2020-01-01", "1:5: error[toml-no-dates]: `a` is a date, which the trainer cannot use"),
        (
            "a = ['x', 1]",
            "1:5: error[toml-homogeneous-arrays]: `a` mixes types, which the trainer's TOML parser refuses",
        ),
        (
            "d = [{path = 'x', r = [[1, 2], [3, 4]]}]",
            "1:24: error[toml-readable]: the trainer's TOML parser cannot read the braces of `r`",
        ),
        (
            "a = { b = 1,\n c = 2 }",
            "1:5: error[toml-readable]: the trainer's TOML parser cannot read the braces of `a`",
        ),
        (
            "a = { b = inf }",
            "1:11: error[toml-readable]: the trainer's TOML parser cannot read `b = inf` between braces",
        ),
        (
            r#"a = "\"\" it's""#,
            "1:5: error[toml-readable]: the trainer's TOML parser cannot read the quotes in `a`",
        ),
    ] {
        let (_, findings) = copy_of(text);
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|line| line.ends_with(expected)), "{text}\n{lines:#?}");
        let mut package = OldToml::start();
        if !text.contains("2020") {
            assert_ne!(package.load(text), Ok(meaning(text)), "no error needed:\n{text}");
        }
    }
}

static PACKAGE: Mutex<Option<OldToml>> = Mutex::new(None);

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_document_means_the_same_to_the_trainers_parser(text in document()) {
        let (copy, findings) = copy_of(&text);
        let errors: Vec<_> = findings.into_iter().filter(|it| it.severity == Severity::Error).collect();
        prop_assert!(errors.is_empty(), "{:?}\n{}", errors, text);
        let mut package = PACKAGE.lock().expect("no panic before");
        let read = package.get_or_insert_with(OldToml::start).load(&copy);
        drop(package);
        // Python reads text with universal newlines.
        prop_assert_eq!(read, Ok(meaning(&text.replace("\r\n", "\n"))), "\n{}\nbecame\n{}", text, copy);
        let (again, _) = copy_of(&copy);
        prop_assert_eq!(again, copy);
    }
}

/// Root keys, then tables and lists of tables, with comments everywhere.
fn document() -> impl Strategy<Value = String> {
    let section = (any::<bool>(), entries());
    (entries(), prop::collection::vec(section, 0..4), comment(), any::<bool>()).prop_map(
        |(root, sections, comment, crlf)| {
            let mut text = root;
            for (index, (list, body)) in sections.into_iter().enumerate() {
                let header = if list { "[[list]]".to_owned() } else { format!("[ t{index} ]") };
                let _ = write!(text, "\n{header} #{comment}\n{body}");
            }
            text.push_str("# the end, without a line's end");
            if crlf { text.replace('\n', "\r\n") } else { text }
        },
    )
}

fn entries() -> impl Strategy<Value = String> {
    let key =
        prop_oneof![4 => Just("k"), 1 => Just("resolved.k"), 1 => Just("'a key'.k"), 1 => Just("\"k\".k")];
    let entry = (key, prop_oneof![Just(" = "), Just("="), Just("\t=  ")], value(), comment());
    prop::collection::vec(entry, 0..5).prop_map(|entries| {
        let mut text = String::new();
        for (index, (key, equals, value, comment)) in entries.into_iter().enumerate() {
            let _ = write!(text, "#{comment}\n{key}{index}{equals}{value} #{comment}\n");
        }
        text
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        scalar(true),
        array(scalar(false)),
        array(number()),
        array(array(string(false))),
        array(array(number())),
        braces(),
        array(braces()),
    ]
}

/// `[…]` of values of one kind, on one line or several. A kind of value is drawn once, so that strings do not meet
/// numbers.
fn array(item: impl Strategy<Value = String> + Clone + 'static) -> impl Strategy<Value = String> + Clone {
    let items = prop::collection::vec(item, 0..4).prop_map(|mut items: Vec<String>| {
        let kind = |item: &String| match item.chars().next() {
            Some('\'' | '"') => 0,
            Some('t' | 'f') => 1,
            Some('[') => 2,
            Some('{') => 3,
            _ => 4,
        };
        let first = items.first().map(kind);
        items.retain(|item| Some(kind(item)) == first);
        items
    });
    (items, 0..3, comment()).prop_map(|(items, style, comment)| match style {
        0 => format!("[{}]", items.join(", ")),
        1 => format!("[ {} ]", items.join(" ,")),
        _ => items.iter().fold("[\n".to_owned(), |text, item| format!("{text}\t{item}, #{comment}\n")) + "]",
    })
}

/// An inline table as users write them.
fn braces() -> impl Strategy<Value = String> + Clone {
    let list = prop::collection::vec(string(false), 0..3).prop_map(|items| format!("[{}]", items.join(", ")));
    (string(false), scalar(false), list).prop_filter_map("no inf or nan", |(name, scalar, list)| {
        let finite = !scalar.ends_with("inf") && !scalar.ends_with("nan");
        finite.then(|| format!("{{ name = {name}, v={scalar} , list = {list}}}"))
    })
}

fn scalar(alone: bool) -> impl Strategy<Value = String> + Clone {
    prop_oneof![number(), Just("true".to_owned()), Just("false".to_owned()), string(alone)]
}

fn number() -> impl Strategy<Value = String> + Clone {
    let float = any::<f64>().prop_filter("finite", |it| it.is_finite());
    prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        (-9..2000_i64).prop_map(|it| it.to_string()),
        (0..9_000_000_i64).prop_map(|it| format!("{it:#x}")),
        (0..99_i64).prop_map(|it| format!("{it:#b}")),
        (1..999_i64).prop_map(|it| format!("+{it}_000")),
        float.clone().prop_map(|it| format!("{it:?}")),
        float.prop_map(|it| format!("{it:e}")),
        (0..99_i32, -9..9_i32).prop_map(|(a, b)| format!("{a}e{b}")),
        (0..99_i32, 0..999_i32).prop_map(|(a, b)| format!("{a}.{b}E+0{}", b % 10)),
        prop::sample::select(vec!["inf", "-inf", "+inf", "nan", "0e3", "-0", "1_0.2_5"])
            .prop_map(str::to_owned),
    ]
}

/// A string in any spelling. `alone`: not in an array or braces.
fn string(alone: bool) -> impl Strategy<Value = String> + Clone {
    let part = prop::sample::select(vec![
        "a", " ", "/data", "'", "\"", "\\", "#", "=", ",", "[", "]", "{", "}", ".", "\n", "\t", "é", "日本",
        "😀", "u0041", "n", "true", "'''", "\\\\", "1e-4", "\u{1}", "\u{7f}", "\u{2028}", "]]", "}, {",
    ]);
    let text = prop::collection::vec(part, 0..7).prop_map(|parts| parts.concat());
    // The one thing that has no spelling, and is an error.
    let spellable = move |text: &String| {
        let literal = alone && !text.contains(|c: char| c == '\'' || c.is_control());
        literal || !(text.starts_with("\"\"") || text == "\"")
    };
    (text.prop_filter("has a spelling", spellable), 0..5).prop_map(|(text, style)| {
        let controls = text.contains(|c: char| c.is_control() && c != '\n' && c != '\t');
        let escaped = || {
            text.replace('\\', r"\\")
                .replace('"', "\\\"")
                .replace('\u{1}', r"\x01")
                .replace('\u{7f}', r"\u007f")
        };
        match style {
            0 if !controls && !text.contains(['\'', '\n']) => format!("'{text}'"),
            1 if !controls && !text.contains("''") && !text.ends_with('\'') => format!("'''\n{text}'''"),
            2 => format!("\"\"\"\n{}\"\"\"", escaped().replace('\t', r"\t")),
            3 => {
                let all: Vec<_> = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
                format!("\"{}\"", all.concat())
            }
            _ => format!("\"{}\"", escaped().replace('\n', r"\n").replace('\t', r"\t")),
        }
    })
}

fn comment() -> impl Strategy<Value = String> + Clone {
    let part =
        prop::sample::select(vec![" ", "it's", "\"", "]", "[", "}", "a = 1", "\\", "#", "'''", "é", "]]"]);
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}
