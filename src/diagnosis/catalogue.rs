//! The causes that we know, as data: `templates/failures`, embedded, typed when first needed.
//!
//! A pattern is matched against one line, from which the name of a rank and colours are gone. Every pattern is anchored at
//! the line's beginning: a file name or a caption that looks like an error stands further on.

use std::sync::{LazyLock, OnceLock};

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

/// Stands in a pattern for what Python and C++ write before the text of an error.
const ERROR: (&str, &str) = ("<error>", r"(?:[\w.]*(?:Error|Exception)(?:\[[^\]]*\])?: |what\(\): +)");

/// Bytes that one compiled pattern may take.
const LARGEST_PATTERN: usize = 1 << 20;

/// One cause.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    pub id: String,
    #[serde(default)]
    pub kind: Kind,
    /// What numbers of the machine can prove it.
    pub matter: Option<Matter>,
    /// The signal that shows it when it ended the trainer, also without any text.
    pub signal: Option<i32>,
    /// The cause that it is where the kernel counts its kills for lack of memory and has counted none.
    pub without_oom: Option<String>,
    /// It may work when it is tried again as it is.
    #[serde(default)]
    pub recoverable: bool,
    /// Each anchored at the beginning of a line, without alternatives outside of brackets.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// One sentence, without a capital letter and a full stop; `<host>` stands for another machine.
    pub cause: String,
    /// The likeliest to help first.
    pub advice: Vec<String>,
    /// Where its texts come from.
    pub source: String,
    /// Ends of logs that have this cause; each pattern is met in one of them.
    #[serde(default)]
    pub samples: Vec<String>,
}

/// What seeing it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It ends a training.
    #[default]
    Primary,
    /// It follows from a cause elsewhere, and is one only if nothing else is seen.
    Secondary,
    /// It ends nothing by itself and may explain why something else did.
    Notice,
}

/// What there are numbers about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matter {
    Memory,
    Disk,
    Gpu,
}

/// What a word in a line may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    /// The line may match this pattern of this cause.
    Pattern {
        cause: usize,
        pattern: usize,
    },
    Traceback,
    Step,
    /// What many programs begin their last line with.
    Complaint,
    /// The trainer's own word that it is done.
    Done,
}

/// Words that are looked for beside those of the patterns.
const OTHER_WORDS: [(&str, Word); 8] = [
    ("Traceback (most recent call last)", Word::Traceback),
    ("steps: ", Word::Step),
    ("error: ", Word::Complaint),
    ("Error: ", Word::Complaint),
    ("ERROR: ", Word::Complaint),
    ("fatal: ", Word::Complaint),
    ("TRAINING COMPLETE!", Word::Done),
    ("Manually quitting", Word::Done),
];

/// All causes, made ready to be looked for.
pub struct Catalogue {
    causes: Vec<Cause>,
    /// Of each cause; compiled when its word is first met, as most never are.
    patterns: Vec<Vec<OnceLock<Option<Regex>>>>,
    words: AhoCorasick,
    /// What each of `words` may mean.
    meanings: Vec<Vec<Word>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cause: Vec<Cause>,
}

/// The files in `templates/failures`. Of several causes that a line may have, the first holds, so what is about all
/// kinds of programs comes last.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../templates/failures/", $name, ".toml")))),*]
    };
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let files = files![
        "launcher", "trainer", "dataset", "resume", "gpu", "memory", "weights", "network", "ranks", "nodes",
        "packages", "storage", "process",
    ];
    let causes = files.iter().flat_map(|(name, text)| match toml::from_str::<File>(text) {
        Ok(file) => file.cause,
        Err(cause) => panic!("templates/failures/{name}.toml: {cause}"),
    });
    Catalogue::of(causes.collect())
});

impl Catalogue {
    /// The one that is embedded.
    pub fn get() -> &'static Self {
        &CATALOGUE
    }

    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    pub fn find(&self, id: &str) -> Option<&Cause> {
        self.causes.iter().find(|it| it.id == id)
    }

    /// The cause that this signal shows.
    pub(super) fn of_signal(&self, signal: i32) -> Option<&Cause> {
        self.causes.iter().find(|it| it.signal == Some(signal))
    }

    /// These alone.
    ///
    /// # Panics
    /// When they have more words than memory.
    pub fn of(causes: Vec<Cause>) -> Self {
        let mut words: Vec<&str> = vec![];
        let mut meanings: Vec<Vec<Word>> = vec![];
        let mut means = |word, meaning| {
            if let Some(at) = words.iter().position(|it| *it == word) {
                meanings[at].push(meaning);
            } else {
                words.push(word);
                meanings.push(vec![meaning]);
            }
        };
        let needles: Vec<Vec<String>> =
            causes.iter().map(|it| it.patterns.iter().map(|pattern| word_of(pattern)).collect()).collect();
        for (cause, needles) in needles.iter().enumerate() {
            for (pattern, needle) in needles.iter().enumerate() {
                means(needle, Word::Pattern { cause, pattern });
            }
        }
        for (word, meaning) in OTHER_WORDS {
            means(word, meaning);
        }
        // Our own words are no more than a few thousand bytes: no limit is near.
        let words = AhoCorasick::builder()
            .kind(Some(aho_corasick::AhoCorasickKind::DFA))
            .build(&words)
            .unwrap_or_else(|cause| panic!("the words of the catalogue: {cause}"));
        let patterns =
            causes.iter().map(|it| it.patterns.iter().map(|_| OnceLock::new()).collect()).collect();
        Self { causes, patterns, words, meanings }
    }

    /// Where the first word at or after `from` ends.
    pub(super) fn next_word(&self, bytes: &[u8], from: usize) -> Option<usize> {
        self.words.find(bytes.get(from..)?).map(|it| from + it.end())
    }

    /// All that the words in a line may mean, into `out`, in the order of the catalogue.
    pub(super) fn meanings(&self, line: &[u8], out: &mut Vec<Word>) {
        out.clear();
        for found in self.words.find_overlapping_iter(line) {
            out.extend(&self.meanings[found.pattern().as_usize()]);
        }
        out.sort_unstable();
        out.dedup();
    }

    pub(super) fn matches(&self, cause: usize, pattern: usize, line: &[u8]) -> bool {
        let regex =
            self.patterns[cause][pattern].get_or_init(|| compile(&self.causes[cause].patterns[pattern]));
        regex.as_ref().is_some_and(|it| it.is_match(line))
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    let pattern = pattern.replace(ERROR.0, ERROR.1);
    RegexBuilder::new(&pattern).unicode(false).size_limit(LARGEST_PATTERN).build().ok()
}

/// The longest text that whatever matches `pattern` must contain: outside of brackets and classes, and not followed by
/// what makes it optional.
fn word_of(pattern: &str) -> String {
    let pattern = pattern.replace(ERROR.0, "()");
    let (mut best, mut run) = (String::new(), String::new());
    let mut depth = 0_usize;
    let mut in_class = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => chars.next().filter(|it| !it.is_ascii_alphanumeric()),
            '[' if !in_class => {
                in_class = true;
                None
            }
            ']' if in_class => {
                in_class = false;
                None
            }
            '(' if !in_class => {
                depth += 1;
                None
            }
            ')' if !in_class => {
                depth = depth.saturating_sub(1);
                None
            }
            '.' | '^' | '$' | '|' | '+' | ']' | '}' => None,
            '?' | '*' | '{' => {
                // What it follows need not be there, and its last letter is that.
                run.pop();
                if c == '{' {
                    chars.by_ref().find(|it| *it == '}');
                }
                None
            }
            c => Some(c),
        };
        if let Some(c) = literal.filter(|_| depth == 0 && !in_class) {
            run.push(c);
        } else {
            if run.len() > best.len() {
                best.clone_from(&run);
            }
            run.clear();
        }
    }
    if run.len() > best.len() { run } else { best }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Shorter ones would have every other line looked at closely.
    const SHORTEST_WORD: usize = 8;

    #[test]
    fn a_word_is_what_every_match_must_contain() {
        for (pattern, expected) in [
            (r"^<error>CUDA out of memory\. ", "CUDA out of memory. "),
            (r"^RuntimeError: Invalid (?:path|mask_path): ", "RuntimeError: Invalid "),
            (r"^pids? file exists[abc]x", " file exists"),
            (r"^.*abcdefgh$", "abcdefgh"),
            (r"^a{3,5}bcdef\d+", "bcdef"),
        ] {
            assert_eq!(word_of(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn every_cause_of_the_catalogue_is_whole() {
        let catalogue = Catalogue::get();
        assert!(catalogue.causes().len() >= 100, "{} causes", catalogue.causes().len());
        let ids: BTreeSet<_> = catalogue.causes().iter().map(|it| &it.id).collect();
        assert_eq!(ids.len(), catalogue.causes().len(), "an id is there twice");
        for cause in catalogue.causes() {
            let id = &cause.id;
            for pattern in &cause.patterns {
                assert!(pattern.starts_with('^'), "{id}: `{pattern}` is not anchored");
                assert!(compile(pattern).is_some(), "{id}: `{pattern}` is no pattern");
                assert!(word_of(pattern).len() >= SHORTEST_WORD, "{id}: no word in `{pattern}`");
            }
            assert!(!cause.cause.is_empty() && !cause.cause.ends_with('.'), "{id}: {}", cause.cause);
            assert!(!cause.advice.is_empty() && !cause.source.is_empty(), "{id}");
            assert!(cause.advice.iter().all(|it| !it.ends_with('.')), "{id}");
            assert!(cause.patterns.is_empty() == cause.samples.is_empty(), "{id}");
        }
    }
}
