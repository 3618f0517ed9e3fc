//! Secrets out of a text that strangers will read: those that are known by value, and those that look like one.

use std::{borrow::Cow, collections::BTreeMap};

use regex::bytes::{Captures, Regex, RegexBuilder};

/// What stands where a secret was, wherever one is shown.
pub const HIDDEN: &str = "(hidden)";

/// Shorter values are words of every text; hiding them would say more than showing them.
const SHORTEST: usize = 6;

/// Names of variables and keys that hold secrets have one of these in them.
const NAMES: [&str; 9] =
    ["token", "secret", "password", "passwd", "api_key", "apikey", "credential", "private_key", "access_key"];

/// What secrets look like. What a pattern's first group matches is hidden, or all of it if it has none.
const SHAPES: [(&str, &str); 13] = [
    ("private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"),
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{16,}"),
    ("`sk-` key", r"\bsk-[A-Za-z0-9_-]{16,}"),
    ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,})"),
    ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{16,}"),
    ("Slack token", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    ("AWS key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("Google key", r"\bAIza[0-9A-Za-z_-]{30,}"),
    ("login in an address", r"://([^/\s@]+)@"),
    ("signed address", r"(?i)[?&](?:[a-z-]*(?:token|signature|sig|key|credential))=([^&\s(][^&\s]*)"),
    ("authorization", r"(?i)\b(?:bearer|basic)\s+([A-Za-z0-9+/._~=-]{8,})"),
    ("W&B key", r"(?i)(?:wandb|api[_-]?key)[^\n]{0,60}?\b([0-9a-f]{40,})\b"),
    (
        "secret by its name",
        r#"(?i)(?:token|secret|password|passwd|api_?key|credentials?|private_key|access_key)["']?\s*[=:]\s*["']?([^\s"',;&(\[{][^\s"',;&]{5,})"#,
    ),
];

/// Hides secrets, and counts what it hid.
#[derive(Debug)]
pub struct Redactor {
    values: Vec<(String, String)>,
    shapes: Vec<(&'static str, Regex)>,
    /// How often each kind was hidden.
    pub hidden: BTreeMap<String, usize>,
}

impl Default for Redactor {
    fn default() -> Self {
        // Our own patterns: each is compiled by a test.
        let compile = |pattern: &str| RegexBuilder::new(pattern).unicode(false).build().ok();
        let shapes = SHAPES.iter().filter_map(|(name, pattern)| Some((*name, compile(pattern)?)));
        Self { values: vec![], shapes: shapes.collect(), hidden: BTreeMap::new() }
    }
}

impl Redactor {
    /// The value of `name` is a secret, if the name says so or `always`.
    pub fn know(&mut self, name: &str, value: &str, always: bool) {
        let value = value.trim();
        if value.len() >= SHORTEST && (always || is_secret(name)) {
            self.values.push((name.to_owned(), value.to_owned()));
            // A long one may hold a short one.
            self.values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        }
    }

    /// `text` without secrets. What is left after the first time is looked at once more: hiding one may uncover another.
    pub fn redact(&mut self, text: &str) -> String {
        let once = self.pass(text);
        self.pass(&once)
    }

    fn pass(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.values {
            let count = text.matches(value.as_str()).count();
            if count > 0 {
                text = text.replace(value.as_str(), HIDDEN);
                *self.hidden.entry(format!("the value of `{name}`")).or_default() += count;
            }
        }
        for (name, shape) in &self.shapes {
            let mut count = 0;
            let replaced = shape.replace_all(text.as_bytes(), |found: &Captures<'_>| {
                let whole = found.get(0).map_or(&b""[..], |it| it.as_bytes());
                let start = found.get(0).map_or(0, |it| it.start());
                let secret = found.get(1).or_else(|| found.get(0));
                let (from, to) = secret.map_or((0, 0), |it| (it.start() - start, it.end() - start));
                if &whole[from..to] == HIDDEN.as_bytes() {
                    return whole.to_vec();
                }
                count += 1;
                [&whole[..from], HIDDEN.as_bytes(), &whole[to..]].concat()
            });
            if let Cow::Owned(bytes) = replaced {
                text = String::from_utf8_lossy(&bytes).into_owned();
            }
            if count > 0 {
                *self.hidden.entry((*name).to_owned()).or_default() += count;
            }
        }
        text
    }
}

/// `HF_TOKEN`, `AWS_SECRET_ACCESS_KEY`, `WANDB_API_KEY`; not `TOKENIZERS_PARALLELISM`.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_tokenizer = name.contains("tokenizer");
    name.ends_with("_key")
        || name.ends_with("_pat")
        || NAMES.iter().any(|it| name.contains(it) && !is_tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_everything_else_stays() {
        let mut redactor = Redactor::default();
        assert_eq!(redactor.shapes.len(), SHAPES.len(), "a pattern does not compile");
        redactor.know("MY_TOKEN", "canary-by-value", false);
        redactor.know("TOKENIZERS_PARALLELISM", "false-and-long", false);
        redactor.know("wandb_api_key", "short", true);
        let mut check = |text: &str, expected: &str| assert_eq!(redactor.redact(text), expected);
        check("canary-by-value at canary-by-value.", "(hidden) at (hidden).");
        check("false-and-long short", "false-and-long short");
        check("hf_abcdefghijklmnopqrstuvwx", "(hidden)");
        check("https://user:pass@host/x?a=1", "https://(hidden)@host/x?a=1");
        check("https://host/x?X-Amz-Signature=abcdef&b=1", "https://host/x?X-Amz-Signature=(hidden)&b=1");
        check("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer (hidden)");
        check("wandb: login 0123456789abcdef0123456789abcdef01234567", "wandb: login (hidden)");
        check(
            "commit 0123456789abcdef0123456789abcdef01234567",
            "commit 0123456789abcdef0123456789abcdef01234567",
        );
        check("password = \"correct horse\"", "password = \"(hidden) horse\"");
        check("wandb_api_key = 'abcdef0123'", "wandb_api_key = '(hidden)'");
        check(
            "AKIAABCDEFGHIJKLMNOP ghp_abcdefghijklmnopqrst sk-abcdefghijklmnopqrst",
            "(hidden) (hidden) (hidden)",
        );
        check("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\nx é", "(hidden)\nx é");
        check("steps: 4 loss: 0.12 tokens: 512", "steps: 4 loss: 0.12 tokens: 512");
        let again = redactor.redact("wandb_api_key = '(hidden)' https://(hidden)@host");
        assert_eq!(again, "wandb_api_key = '(hidden)' https://(hidden)@host");
    }
}
