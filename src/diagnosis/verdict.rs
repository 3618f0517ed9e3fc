//! What was seen and counted, weighed: the one cause, and what shows it.

use std::collections::BTreeMap;

use super::{
    Diagnoser, Diagnosis, Evidence, Node, Numbers, UNKNOWN, Way,
    catalogue::{Cause, Kind},
    engine::Sight,
};

/// What was followed by so many steps did not end the training. A rank that still lives may do one or two.
const SURVIVED: u64 = 3;

/// Lines of a log and facts that are shown.
const MOST_EVIDENCE: usize = 6;

/// The cause that an exit code of 0 shows when the trainer was not done.
const EXITED_EARLY: &str = "exited_early";

/// The cause that ranks without their launcher show.
const LAUNCHER_KILLED: &str = "launcher_killed";

/// What a rank said of whose cause nothing is known.
const TRACEBACK: &str = "the last traceback ends with";
const COMPLAINT: &str = "the trainer says";

/// Said where something else than the kernel must have killed a process.
const NO_OOM: &str = "the kernel killed no process for lack of memory while it ran (`oom_kill` did not rise)";

/// Stands for the name of a machine in the sentence of a cause.
const HOST: &str = "<host>";

type Rank = Option<u32>;

impl Diagnoser<'_> {
    /// The cause, by what was pushed so far and by `numbers`; `None` if nothing is wrong.
    pub fn judge(&self, numbers: &Numbers) -> Option<Diagnosis> {
        if self.done {
            return None;
        }
        if let Some(node) = &numbers.node {
            return Some(self.of_node(node, numbers));
        }
        let primary = self.earliest(Kind::Primary);
        let by_text = primary.map(|(cause, ..)| cause);
        if let Some((cause, fact)) = self.by_numbers(by_text, numbers) {
            let lines = self.lines(|it| it.matter == cause.matter);
            let fact = Evidence::Fact { text: fact };
            return Some(told(cause, [fact].into_iter().chain(lines), numbers));
        }
        let killed = numbers.signal().and_then(|it| self.catalogue.of_signal(it));
        let killed_by = |kind| killed.filter(|it| it.kind == kind);
        if let Some((cause, rank, sight)) = primary {
            return Some(self.seen(cause, rank, sight, numbers));
        }
        if let Some(cause) = killed_by(Kind::Primary) {
            return Some(self.counted(cause, self.lines(|_| true), numbers));
        }
        // What ranks print that are ended with it is no cause.
        if let Some(cause) = self.catalogue.find(LAUNCHER_KILLED).filter(|_| numbers.launcher_lost) {
            return Some(told(cause, self.lines(|_| true), numbers));
        }
        if let Some(raised) = self.last_raised() {
            return Some(self.unknown(Some((TRACEBACK, raised)), numbers));
        }
        if let Some((cause, rank, sight)) = self.earliest(Kind::Secondary) {
            return Some(self.seen(cause, rank, sight, numbers));
        }
        if let Some(cause) = killed_by(Kind::Secondary) {
            return Some(told(cause, self.lines(|_| true), numbers));
        }
        let end = numbers.end()?;
        match self.catalogue.find(EXITED_EARLY).filter(|_| end.starts_with("exit code 0")) {
            Some(cause) if numbers.ended_early => Some(told(cause, self.lines(|_| true), numbers)),
            Some(_) => None,
            None => {
                let said = earliest_of(&self.complaints, |it| self.ended_by(it));
                Some(self.unknown(said.map(|it| (COMPLAINT, it)), numbers))
            }
        }
    }

    /// What ended on another machine is the cause, whatever the signals that dpgui sent made the ranks here print. Those
    /// there that failed by themselves say why: what they print is in this log too.
    fn of_node(&self, node: &Node, numbers: &Numbers) -> Diagnosis {
        let fact = Evidence::Fact { text: node.sentence() };
        if node.way == Way::Failed {
            let by_text = match (self.earliest(Kind::Primary), self.last_raised()) {
                (Some((cause, rank, sight)), _) => Some(told(cause, [line(rank, sight)], numbers)),
                (None, Some(raised)) => Some(self.unknown(Some((TRACEBACK, raised)), numbers)),
                (None, None) => None,
            };
            if let Some(mut diagnosis) = by_text {
                diagnosis.evidence.insert(0, fact);
                return diagnosis;
            }
        }
        let Some(cause) = self.catalogue.find(node.way.cause()) else { return self.unknown(None, numbers) };
        let lines = self.lines(|it| it.kind != Kind::Secondary);
        let diagnosis = told(cause, [fact].into_iter().chain(lines), numbers);
        let named = |text: &str| text.replace(HOST, &node.host).into();
        let advice = diagnosis.advice.iter().map(|it| named(it)).collect();
        Diagnosis { cause: named(&diagnosis.cause), advice, ..diagnosis }
    }

    /// What a number proves, unless a text speaks of something that it has nothing to do with.
    fn by_numbers(&self, by_text: Option<&Cause>, numbers: &Numbers) -> Option<(&Cause, String)> {
        use super::catalogue::Matter;
        let killed = numbers.signal() == Some(9);
        numbers.show().into_iter().find_map(|(matter, id, fact)| {
            let about_it = by_text.is_none_or(|it| it.matter == Some(matter));
            let proven = match matter {
                Matter::Gpu => true,
                Matter::Memory => about_it || killed,
                Matter::Disk => about_it,
            };
            Some((self.catalogue.find(id).filter(|_| proven)?, fact))
        })
    }

    fn seen(&self, cause: &Cause, rank: Rank, sight: &Sight, numbers: &Numbers) -> Diagnosis {
        let others = self.lines(|it| it.id != cause.id);
        self.counted(cause, [line(rank, sight)].into_iter().chain(others), numbers)
    }

    /// The cause, unless it is about memory and the kernel says that it was not.
    fn counted(
        &self,
        cause: &Cause,
        lines: impl IntoIterator<Item = Evidence>,
        numbers: &Numbers,
    ) -> Diagnosis {
        let other = cause.without_oom.as_deref().filter(|_| numbers.oom_kills == Some(0));
        match other.and_then(|it| self.catalogue.find(it)) {
            Some(other) => {
                let fact = Evidence::Fact { text: NO_OOM.to_owned() };
                told(other, [fact].into_iter().chain(lines), numbers)
            }
            None => told(cause, lines, numbers),
        }
    }

    /// The first that was seen of a kind and that the training did not survive.
    fn earliest(&self, kind: Kind) -> Option<(&Cause, Rank, &Sight)> {
        let seen =
            self.sights.iter().map(|((cause, rank), sight)| (&self.catalogue.causes()[*cause], *rank, sight));
        let fatal = seen.filter(|(cause, _, sight)| cause.kind == kind && self.ended_by(sight));
        fatal.min_by_key(|(_, _, sight)| sight.at)
    }

    /// The traceback that no pattern explains, of the rank that was the first to have one.
    fn last_raised(&self) -> Option<(Rank, &Sight)> {
        earliest_of(&self.raised, |it| self.ended_by(it))
    }

    const fn ended_by(&self, sight: &Sight) -> bool {
        self.steps - sight.steps < SURVIVED
    }

    /// All lines of causes that are of interest, as they were written.
    fn lines(&self, is_wanted: impl Fn(&Cause) -> bool) -> Vec<Evidence> {
        let seen = self.sights.iter().filter(|((cause, _), _)| is_wanted(&self.catalogue.causes()[*cause]));
        let mut seen: Vec<_> = seen.map(|((_, rank), sight)| (*rank, sight)).collect();
        seen.sort_by_key(|(_, sight)| sight.at);
        seen.into_iter().map(|(rank, sight)| line(rank, sight)).collect()
    }

    /// `said` is what it was that a rank said.
    fn unknown(&self, said: Option<(&str, (Rank, &Sight))>, numbers: &Numbers) -> Diagnosis {
        let cause = match said {
            Some((what, (_, sight))) => format!("unknown to dpgui; {what} `{}`", sight.text),
            None => "unknown to dpgui; nothing in the log says why".to_owned(),
        };
        let advice = [
            "read the lines before the end of the log: `dpgui logs RUN -n 200`",
            "make a report for an issue, without secrets: `dpgui report RUN`",
        ];
        let lines = said.map(|(_, (rank, sight))| line(rank, sight)).into_iter().chain(self.lines(|_| true));
        Diagnosis {
            id: UNKNOWN.into(),
            cause: cause.into(),
            advice: advice.map(Into::into).to_vec(),
            recoverable: false,
            evidence: shown(lines, numbers),
        }
    }
}

/// Of the ranks that said something like this, the first one's, as far as it counts.
fn earliest_of(said: &BTreeMap<Rank, Sight>, counts: impl Fn(&Sight) -> bool) -> Option<(Rank, &Sight)> {
    let counting = said.iter().filter(|(_, sight)| counts(sight));
    counting.min_by_key(|(_, sight)| sight.at).map(|(rank, sight)| (*rank, sight))
}

fn told(cause: &Cause, evidence: impl IntoIterator<Item = Evidence>, numbers: &Numbers) -> Diagnosis {
    Diagnosis {
        id: cause.id.clone().into(),
        cause: cause.cause.clone().into(),
        advice: cause.advice.iter().cloned().map(Into::into).collect(),
        recoverable: cause.recoverable,
        evidence: shown(evidence, numbers),
    }
}

/// The first of them, and always how it ended.
fn shown(evidence: impl IntoIterator<Item = Evidence>, numbers: &Numbers) -> Vec<Evidence> {
    let end = numbers.end().map(|text| Evidence::Fact { text });
    let room = MOST_EVIDENCE - usize::from(end.is_some());
    evidence.into_iter().take(room).chain(end).collect()
}

fn line(rank: Rank, sight: &Sight) -> Evidence {
    Evidence::Line { offset: sight.offset, rank, text: sight.text.clone() }
}
