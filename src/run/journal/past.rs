//! What is read back of `events.jsonl`, and of what supervisors printed about themselves.

use jiff::Timestamp;
use serde::Deserialize;

use crate::run::outcome::Outcome;

/// What earlier supervisors put into `events.jsonl`, as far as it is read back. A power cut may have torn its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// Lines.
    pub seq: u64,
    pub outcome: Option<Outcome>,
    /// The last line has no end: what comes next must not become a part of it.
    pub is_torn: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Recorded {
    Ended {
        outcome: Outcome,
    },
    NotTold {
        why: String,
    },
    Restarting {
        time: Timestamp,
    },
    SupervisorPanicked {
        said: String,
    },
    #[serde(other)]
    Other,
}

/// What can be read back of the file's bytes. What is no event of ours, or damaged, is none.
fn recorded(bytes: &[u8]) -> impl Iterator<Item = Recorded> {
    bytes.split(|it| *it == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// Why somebody could not be told, in the bytes of an `events.jsonl`.
pub fn not_told(bytes: &[u8]) -> Vec<String> {
    let why = |it| if let Recorded::NotTold { why } = it { Some(why) } else { None };
    recorded(bytes).filter_map(why).collect()
}

/// When it was decided to try the run again, in the bytes of an `events.jsonl`.
pub fn restarts(bytes: &[u8]) -> Vec<Timestamp> {
    let time = |it| if let Recorded::Restarting { time } = it { Some(time) } else { None };
    recorded(bytes).filter_map(time).collect()
}

/// What supervisors said that ended by a bug of dpgui, in the bytes of an `events.jsonl`.
pub fn panics(bytes: &[u8]) -> Vec<String> {
    let said = |it| if let Recorded::SupervisorPanicked { said } = it { Some(said) } else { None };
    recorded(bytes).filter_map(said).collect()
}

/// The same in what supervisors have printed: `thread 'main' (7) panicked at src/x.rs:1:2:` and the line below it.
pub(super) fn printed_panics(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().collect();
    let is_one = |line: &&str| line.starts_with("thread '") && line.contains("panicked at ");
    let at = lines.iter().enumerate().filter(|(_, line)| is_one(line));
    at.map(|(at, line)| format!("{line} {}", lines.get(at + 1).copied().unwrap_or_default())).collect()
}

impl Past {
    /// Of the file's bytes. What is no event of ours, or damaged, counts as a line and no more.
    pub fn read(bytes: &[u8]) -> Self {
        let outcome = |it| if let Recorded::Ended { outcome } = it { Some(outcome) } else { None };
        let is_torn = bytes.last().is_some_and(|it| *it != b'\n');
        let lines = memchr::memchr_iter(b'\n', bytes).count() + usize::from(is_torn);
        Self { seq: lines as u64, outcome: recorded(bytes).find_map(outcome), is_torn }
    }
}

#[cfg(test)]
mod tests {
    use crate::run::journal::Record;

    use super::*;

    #[test]
    fn a_panic_is_found_with_what_it_said() {
        let log = "dpgui: something\n\nthread 'main' (7) panicked at src/run/x.rs:1:2:\nindex out of bounds\nnote: run \
                   with `RUST_BACKTRACE=1`\nthread 'main' panicked at src/y.rs:3:4:\n";
        let found = printed_panics(log);
        let first = "thread 'main' (7) panicked at src/run/x.rs:1:2: index out of bounds";
        assert_eq!(found, [first, "thread 'main' panicked at src/y.rs:3:4: "]);
        let record = Record::SupervisorPanicked { said: first.to_owned() };
        let line = serde_json::to_string(&record).expect("JSON");
        assert_eq!(panics(format!("{line}\n{{}}\n").as_bytes()), [first]);
    }

    #[test]
    fn what_was_torn_or_damaged_costs_a_line_and_nothing_after_it() {
        let ended = serde_json::to_string(&Record::Ended { outcome: Outcome::Lost }).expect("JSON");
        let check = |bytes: &[u8], seq, has_ended: bool, is_torn| {
            let outcome = has_ended.then_some(Outcome::Lost);
            assert_eq!(Past::read(bytes), Past { seq, outcome, is_torn });
        };
        let line = |text: &str| [text.as_bytes(), b"\n"].concat();
        check(b"", 0, false, false);
        check(&line("{\"event\":\"adopted\"}"), 1, false, false);
        check(b"{\"event\":\"adop", 1, false, true);
        // As a new supervisor goes on after it.
        check(&[&line("{\"event\":\"adop")[..], &line(&ended)].concat(), 2, true, false);
        check(&[&line("\u{0}\u{0}")[..], b"\xff\xfe\n", ended.as_bytes()].concat(), 3, true, true);
        check(&ended.as_bytes()[..ended.len() - 1], 1, false, true);
    }
}
