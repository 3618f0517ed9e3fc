//! One list of Python requirements out of three: the trainer's own wins, and every exception is a declared rule.
//!
//! diffusion-pipe, ComfyUI and HunyuanVideo each bring a `requirements.txt`, and they contradict each other. The
//! checkouts stay clean: the list is derived, and says in comments what was left out and why.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::platform::digest::Sha256;

use super::VendorError;

const FILE: &str = "vendor/requirements.toml";
const TEXT: &str = include_str!("../../vendor/requirements.toml");

/// Where a line ends for pip, which asks Python's `str.splitlines`: what we take for a part of a comment must not be an
/// option for it.
const LINE_ENDS: [char; 10] =
    ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];

/// What the declarations say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// The repositories with a list, the one that wins first.
    pub precedence: Vec<String>,
    /// Packages that no list decides on, because the torch profile pins them.
    pub of_the_profile: Vec<String>,
    #[serde(default)]
    pub rule: Vec<Rule>,
}

/// An exception for one package of one list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub from: String,
    pub package: String,
    pub action: Action,
    /// What stands there instead, with [`Action::Replace`].
    #[serde(default)]
    pub with: String,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The line is left out; a later list may still name the package.
    Drop,
    /// The line becomes `with`.
    Replace,
}

impl Rules {
    pub fn load() -> Result<Self, VendorError> {
        toml::from_str(TEXT).map_err(|cause| VendorError::Embedded { file: FILE, details: cause.to_string() })
    }

    /// What a lock names the rules by: another rule may make another list.
    pub fn digest() -> Sha256 {
        Sha256::of(TEXT)
    }

    /// The text of the derived list, from each repository's own.
    pub fn derive(&self, lists: &[(&str, &str)]) -> String {
        let mut text = String::from(
            "# Derived by dpgui from the requirement lists of the checkouts; written anew by `dpgui setup`.\n",
        );
        let mut named: Vec<(String, &str)> = vec![];
        for from in &self.precedence {
            let Some((_, list)) = lists.iter().find(|(name, _)| name == from) else { continue };
            let _ = writeln!(text, "\n# from {from}/requirements.txt");
            for line in requirement_lines(list) {
                // Writing to a `String` cannot fail.
                let _ = writeln!(text, "{}", self.derived_line(from, line, &mut named));
            }
        }
        text
    }

    /// What becomes of one line. `named` has the packages so far, each with the list that names it.
    fn derived_line<'a>(&self, from: &'a str, line: &str, named: &mut Vec<(String, &'a str)>) -> String {
        if line.starts_with('-') {
            return format!("# left out: {line} (an option: other lists and other indexes take no part)");
        }
        let package = package_name(line);
        if self.of_the_profile.contains(&package) {
            return format!("# left out: {line} (the torch profile pins it)");
        }
        let winner = named.iter().find(|(name, by)| *name == package && *by != from);
        match (self.rule_for(from, &package), winner) {
            (Some(Rule { action: Action::Drop, why, .. }), _) => format!("# left out: {line} ({why})"),
            (_, Some((_, by))) => format!("# left out: {line} (the list of {by} names it and wins)"),
            (Some(Rule { action: Action::Replace, with, why, .. }), None) => {
                named.push((package, from));
                format!("{with}  # instead of {line} ({why})")
            }
            (None, None) => {
                named.push((package, from));
                line.to_owned()
            }
        }
    }

    fn rule_for(&self, from: &str, package: &str) -> Option<&Rule> {
        self.rule.iter().find(|it| it.from == from && it.package == package)
    }
}

/// Of what a list requires, whatever its order and its comments say.
pub fn digest(list: &str) -> Sha256 {
    let mut lines: Vec<&str> = requirement_lines(list).collect();
    lines.sort_unstable();
    lines.dedup();
    Sha256::of(lines.join("\n"))
}

/// The lines that say something, without comments.
fn requirement_lines(list: &str) -> impl Iterator<Item = &str> {
    let list = list.strip_prefix('\u{feff}').unwrap_or(list);
    list.split(LINE_ENDS)
        .map(|line| line.split(" #").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The normalised name of what a line requires: lower case, runs of `-_.` as one `-` (PEP 503).
pub fn package_name(line: &str) -> String {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
    let mut name = String::new();
    for c in line[..end].chars() {
        match c {
            '-' | '_' | '.' if name.ends_with('-') => {}
            '-' | '_' | '.' => name.push('-'),
            c => name.push(c.to_ascii_lowercase()),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_rule_is_about_a_list_that_takes_part() {
        let rules = Rules::load().expect("the embedded rules are valid");
        assert_eq!(rules.precedence.first().map(String::as_str), Some("diffusion-pipe"));
        for rule in rules.rule {
            assert!(!rules.of_the_profile.contains(&rule.package), "{rule:?}");
            assert!(rules.precedence.contains(&rule.from) && !rule.why.is_empty(), "{rule:?}");
            assert_eq!(rule.action == Action::Replace, !rule.with.is_empty(), "{rule:?}");
            assert_eq!(rule.package, package_name(&rule.package), "rules name packages in normal form");
        }
    }

    #[test]
    fn a_list_is_the_same_with_other_comments_and_in_another_order() {
        assert_eq!(digest("a==1\nb>=2  # why\n"), digest("# list\n\nb>=2\na==1"));
        assert_ne!(digest("a==1\nb>=2"), digest("a==1\nb>=3"));
    }

    #[test]
    fn the_trainers_list_wins_and_each_exception_says_why() {
        let rules: Rules = toml::from_str(
            r#"
            precedence = ["trainer", "library"]
            of-the-profile = ["torch"]
            rule = [
                { from = "library", package = "numpy", action = "drop", why = "cannot build" },
                { from = "trainer", package = "kitchen", action = "drop", why = "the library knows better" },
                { from = "library", package = "pandas", action = "replace", with = "pandas>=2", why = "no wheel" },
            ]
            "#,
        )
        .expect("valid");
        let trainer =
            "\u{feff}# ours\nDiffusers>=0.35.1\nimageio[ffmpeg]\ntorch>=2.9\nkitchen\nav\nav>=16.0.0";
        let library = "numpy==1.24.4\r\ndiffusers==0.31.0\npandas==2.0.3\nkitchen==0.2\n\n-r more.txt\neinops==0.7.0 # why\n";
        assert_eq!(
            rules.derive(&[("library", library), ("trainer", trainer)]),
            "# Derived by dpgui from the requirement lists of the checkouts; written anew by `dpgui setup`.\n\
             \n# from trainer/requirements.txt\n\
             Diffusers>=0.35.1\nimageio[ffmpeg]\n\
             # left out: torch>=2.9 (the torch profile pins it)\n\
             # left out: kitchen (the library knows better)\nav\nav>=16.0.0\n\
             \n# from library/requirements.txt\n\
             # left out: numpy==1.24.4 (cannot build)\n\
             # left out: diffusers==0.31.0 (the list of trainer names it and wins)\n\
             pandas>=2  # instead of pandas==2.0.3 (no wheel)\n\
             kitchen==0.2\n\
             # left out: -r more.txt (an option: other lists and other indexes take no part)\n\
             einops==0.7.0\n"
        );
    }

    #[test]
    fn what_pip_takes_for_a_line_is_one_here_too() {
        let rules = Rules::load().expect("the embedded rules are valid");
        let head = "# Derived by dpgui from the requirement lists of the checkouts; written anew by `dpgui setup`.\n\n\
                    # from diffusion-pipe/requirements.txt\n";
        for end in LINE_ENDS {
            let derived =
                rules.derive(&[("diffusion-pipe", &format!("torch==1{end}-i https://host.example/{end}av"))]);
            let expected = "# left out: torch==1 (the torch profile pins it)\n\
                            # left out: -i https://host.example/ (an option: other lists and other indexes take no part)\nav\n";
            assert_eq!(derived, format!("{head}{expected}"), "{end:?}");
        }
    }

    #[test]
    fn package_names_are_compared_in_their_normal_form() {
        let check = |line, expected: &str| assert_eq!(package_name(line), expected);
        check("Flash_Attn.core==2", "flash-attn-core");
        check("imageio[ffmpeg]>=2; python_version > '3'", "imageio");
        check("comfy-kitchen @ git+https://host/x", "comfy-kitchen");
    }
}
