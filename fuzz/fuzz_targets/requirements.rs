//! Any three requirement lists: what is derived of them installs nothing that the rules keep out.
#![no_main]

use std::sync::OnceLock;

use dpgui::vendor::requirements::{self, Rules};
use libfuzzer_sys::fuzz_target;

static RULES: OnceLock<Rules> = OnceLock::new();

/// Where Python's `str.splitlines`, and with it pip, begins a new line.
const LINE_ENDS: [char; 11] =
    ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}', '\0'];

fuzz_target!(|text: &str| {
    let rules = RULES.get_or_init(|| Rules::load().expect("the embedded rules are valid"));
    let mut texts = text.split('\0');
    let lists: Vec<(&str, &str)> =
        rules.precedence.iter().map(|name| (name.as_str(), texts.next().unwrap_or_default())).collect();
    let derived = rules.derive(&lists);
    for line in
        derived.split(LINE_ENDS).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        assert!(!line.starts_with('-'), "an option: {line:?}");
        let end =
            line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
        let name = line[..end].to_ascii_lowercase().replace(['_', '.'], "-");
        assert!(!rules.of_the_profile.contains(&name), "of the profile: {line:?}");
        let from_a_list = lists.iter().any(|(_, list)| list.contains(line));
        let from_a_rule = rules.rule.iter().any(|rule| !rule.with.is_empty() && line.starts_with(&rule.with));
        assert!(from_a_list || from_a_rule, "from nowhere: {line:?}");
    }
    // The same whatever the order of the lists, and the digest does not care for comments.
    let mut turned = lists.clone();
    turned.reverse();
    assert_eq!(rules.derive(&turned), derived);
    assert_eq!(requirements::digest(&format!("# a comment\n{derived}")), requirements::digest(&derived));
});
