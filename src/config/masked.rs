//! A file's text for somebody who may change it and shall not see its secrets: each is a numbered placeholder, which
//! becomes the secret again when the text comes back.

use std::{ops::Range, path::Path};

use super::{
    secret::{self, is_hidden, is_in_word},
    source::Source,
};

const BEFORE: &str = "(hidden ";
const AFTER: &str = ")";

/// A placeholder that stands for nothing: the text is of another file, or of an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`(hidden {0})` stands for a secret that this file has not")]
pub struct Unknown(pub usize);

/// `text` without its secrets. What is no TOML is hidden generously.
pub fn mask(text: &str) -> String {
    let mut masked = String::new();
    let mut at = 0;
    for (index, Secret { span, quoted }) in secrets(text).into_iter().enumerate() {
        let quote = if quoted { "'" } else { "" };
        let number = (index + 1).to_string();
        masked.extend([&text[at..span.start], quote, BEFORE, &number, AFTER, quote]);
        at = span.end;
    }
    masked + &text[at..]
}

/// `text` with the secrets that `original` has. A placeholder counts only where a secret may be, so none can be moved to
/// where it would be seen.
///
/// # Errors
/// When there is no such secret.
pub fn unmask(text: &str, original: &str) -> Result<String, Unknown> {
    let known = secrets(original);
    let mut whole = String::new();
    let mut at = 0;
    for Secret { span, .. } in secrets(text) {
        let Some(number) = number(&text[span.clone()]) else { continue };
        let secret = number.checked_sub(1).and_then(|index| known.get(index)).ok_or(Unknown(number))?;
        whole.push_str(&text[at..span.start]);
        whole.push_str(&original[secret.span.clone()]);
        at = span.end;
    }
    Ok(whole + &text[at..])
}

/// That of a placeholder.
fn number(text: &str) -> Option<usize> {
    let text = text.trim().trim_matches(['\'', '"']);
    text.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.parse().ok()
}

/// Where one is.
struct Secret {
    span: Range<usize>,
    /// The placeholder is a TOML string too.
    quoted: bool,
}

/// In the order of the text.
fn secrets(text: &str) -> Vec<Secret> {
    // Byte-order mark and carriage returns are not in a source's text, so its places would be others here.
    let is_plain = !text.contains('\r') && !text.starts_with('\u{feff}');
    let parsed = Source::parse(Path::new(""), text.to_owned()).ok().filter(|_| is_plain);
    let mut found = match parsed {
        Some(source) => {
            let values =
                secret::spans(source.root(), is_hidden).into_iter().map(|span| Secret { span, quoted: true });
            let told = secret::in_comments(text, is_hidden).into_iter();
            values.chain(told.map(|it| Secret { span: it.value, quoted: false })).collect()
        }
        None => by_words(text),
    };
    found.sort_by_key(|it| it.span.start);
    found
}

/// What stands behind the name of a secret, in a text that is no TOML.
fn by_words(text: &str) -> Vec<Secret> {
    let mut found = vec![];
    let mut at = 0;
    while let Some(word) = next_word(text, at) {
        at = word.end;
        if !is_hidden(&text[word]) {
            continue;
        }
        let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |it| at + it);
        let line = &text[at..line_end(at)];
        let start = at + line.len() - line.trim_start_matches([' ', '\t', '"', '\'', '=', ':']).len();
        // Back to the quote that begins the value.
        let start = if text[at..start].ends_with(['"', '\'']) {
            at + text[at..start].trim_end_matches(['"', '\'']).len()
        } else {
            start
        };
        let (end, quoted) = value_end(text, start, line_end(start));
        if end > start {
            found.push(Secret { span: start..end, quoted });
            at = end;
        }
    }
    found
}

fn next_word(text: &str, at: usize) -> Option<Range<usize>> {
    let start = at + text[at..].find(is_in_word)?;
    let end = text[start..].find(|c| !is_in_word(c)).map_or(text.len(), |it| start + it);
    Some(start..end)
}

/// Of the value at `start`, and whether that is a whole TOML string. What has no end goes on up to the next key or table.
fn value_end(text: &str, start: usize, line_end: usize) -> (usize, bool) {
    let rest = &text[start..];
    let is_long = rest.starts_with("'''") || rest.starts_with("\"\"\"");
    if rest.starts_with(['"', '\'']) {
        match secret::string_length(rest) {
            Some(length) if is_long || start + length <= line_end => return (start + length, true),
            _ => {}
        }
    }
    let mut end = line_end;
    while end < text.len() {
        let next = text[end + 1..].find('\n').map_or(text.len(), |it| end + 1 + it);
        let line = text[end + 1..next].trim();
        if line.is_empty() || line.contains('=') || line.starts_with(['[', '#']) {
            break;
        }
        end = next;
    }
    (start + text[start..end].trim_end().len(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, masked: &str) {
        assert_eq!(mask(text), masked);
        assert_eq!(unmask(masked, text).as_deref(), Ok(text));
    }

    #[test]
    fn a_number_may_be_a_password_and_comes_back() {
        let text = "password = 12345678\nepochs = 3\n[a]\nhf_token = true\n";
        check(text, "password = '(hidden 1)'\nepochs = 3\n[a]\nhf_token = '(hidden 2)'\n");
    }

    #[test]
    fn a_secret_goes_and_comes_back() {
        check("a = 1\n", "a = 1\n");
        check(
            "[monitoring]\nwandb_api_key = \"canary\" # mine\n# wandb_api_key = 'canary'\nx = ''\n",
            "[monitoring]\nwandb_api_key = '(hidden 1)' # mine\n# wandb_api_key = (hidden 2)\nx = ''\n",
        );
        check(
            "m = { wandb_apikey = 'canary', b = [1] }\nhf_api_key = ['canary', \"\"\"canary\n\"\"\"]\n",
            "m = { wandb_apikey = '(hidden 1)', b = [1] }\nhf_api_key = ['(hidden 2)', '(hidden 3)']\n",
        );
        check("wandb_api_key = ''\n", "wandb_api_key = ''\n");
        check(
            "hf_token = 'hf_canary'\n# HF_TOKEN = 'hf_canary'\ntokenizer = 't5'\nmax_tokens = '9'\n",
            "hf_token = '(hidden 1)'\n# HF_TOKEN = (hidden 2)\ntokenizer = 't5'\nmax_tokens = '9'\n",
        );
    }

    #[test]
    fn so_it_does_where_the_text_is_no_toml_or_has_the_line_ends_of_windows() {
        check(
            "a = = 1\nwandb_api_key = 'canary' # b\nc = 1\n",
            "a = = 1\nwandb_api_key = '(hidden 1)' # b\nc = 1\n",
        );
        check("wandb_api_key = 'canary\n more\nb = 'c'\n", "wandb_api_key = (hidden 1)\nb = 'c'\n");
        check("wandb_api_key = canary", "wandb_api_key = (hidden 1)");
        check("wandb_api_key canary\n", "wandb_api_key (hidden 1)\n");
        check("a = = 1\n# wandb_api_key: canary\n", "a = = 1\n# wandb_api_key: (hidden 1)\n");
        check("wandb_api_key = [\n'canary',\n]\n= 1\n", "wandb_api_key = (hidden 1)\n= 1\n");
        check("\u{feff}wandb_api_key = 'canary'\r\n", "\u{feff}wandb_api_key = '(hidden 1)'\r\n");
    }

    #[test]
    fn a_placeholder_counts_only_where_a_secret_may_be() {
        let original = "wandb_api_key = 'canary'\n";
        let moved = "output_dir = '(hidden 1)'\n# (hidden 1)\n";
        assert_eq!(unmask(moved, original).as_deref(), Ok(moved));
        assert_eq!(unmask("wandb_api_key = '(hidden 2)'\n", original), Err(Unknown(2)));
        assert_eq!(unmask("wandb_api_key = '(hidden 1)'\n", ""), Err(Unknown(1)));
        let renamed = unmask("m.hf_api_key = \"(hidden 1)\"\n", original);
        assert_eq!(renamed.as_deref(), Ok("m.hf_api_key = 'canary'\n"));
    }
}
