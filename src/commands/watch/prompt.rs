//! What the keys of the view do: one asks, another one answers.

use std::time::Duration;

use crate::{output::screen::Key, platform::clock::Stopwatch};

/// After it what was said is read, and may be true no more.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// The lowest line of the view.
#[derive(Clone, Debug, Default)]
pub(super) enum Prompt {
    /// The keys and what they do.
    #[default]
    Keys,
    Confirm(Wish),
    /// What came of it, until the next key or until it has been there for [`LONG_ENOUGH`].
    Said(String, Stopwatch),
}

/// What can be wanted of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Save,
    Stop,
    StopNow,
}

/// What a key comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    /// The view is left, the run is not.
    Leave,
    Do(Wish),
}

/// For people, in the order in which they are shown.
pub(super) const KEYS: [(&str, &str); 4] =
    [("c", "checkpoint"), ("s", "save and stop"), ("x", "stop now"), ("d/q/Ctrl-C", "leave, it trains on")];

/// The same where there is less room.
pub(super) const SHORT_KEYS: [(&str, &str); 4] =
    [("c", "save"), ("s", "stop"), ("x", "stop now"), ("q", "leave")];

impl Prompt {
    pub(super) fn press(&mut self, key: Key) -> Answer {
        let asked = std::mem::take(self);
        match (asked, key) {
            (_, Key::CtrlC) | (Self::Keys | Self::Said(..), Key::Char('d' | 'q')) => Answer::Leave,
            (Self::Confirm(wish), Key::Char('y' | 'Y')) => Answer::Do(wish),
            // What was done since the last checkpoint is not given away by a key that is pressed by habit.
            (Self::Confirm(wish), Key::Enter) if wish != Wish::StopNow => Answer::Do(wish),
            // Nothing is lost by it.
            (Self::Keys | Self::Said(..), Key::Char('c')) => Answer::Do(Wish::Save),
            (Self::Keys | Self::Said(..), Key::Char('s')) => self.ask(Wish::Stop),
            (Self::Keys | Self::Said(..), Key::Char('x')) => self.ask(Wish::StopNow),
            // Of a question, anything else is a no, and no other order.
            (_, Key::Char(_) | Key::Enter | Key::Escape) => Answer::Nothing,
        }
    }

    pub(super) fn say(&mut self, text: String) {
        *self = Self::Said(text, Stopwatch::start());
    }

    /// Shows the keys again where what was said has been there long enough.
    pub(super) fn age(&mut self) {
        if matches!(self, Self::Said(_, since) if since.elapsed() > LONG_ENOUGH) {
            *self = Self::Keys;
        }
    }

    /// The same after something that was said, and not in the middle of a question.
    pub(super) fn say_on(&mut self, text: String) {
        if matches!(self, Self::Said(..)) {
            self.say(text);
        }
    }

    fn ask(&mut self, wish: Wish) -> Answer {
        *self = Self::Confirm(wish);
        Answer::Nothing
    }
}

impl Wish {
    pub(super) const fn question(self) -> &'static str {
        match self {
            Self::Save => "Write a checkpoint? Y/n",
            Self::Stop => "Let it save a checkpoint, then stop? Y/n",
            Self::StopNow => "Stop it at once, without saving? y/N",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_run_without_a_yes_and_ctrl_c_only_leaves() {
        let check = |keys: &[Key], expected: &[Answer]| {
            let mut prompt = Prompt::default();
            let answers: Vec<_> = keys.iter().map(|key| prompt.press(*key)).collect();
            assert_eq!(answers, expected, "{keys:?}");
        };
        let (s, x, y) = (Key::Char('s'), Key::Char('x'), Key::Char('y'));
        check(&[s, y], &[Answer::Nothing, Answer::Do(Wish::Stop)]);
        check(&[x, y], &[Answer::Nothing, Answer::Do(Wish::StopNow)]);
        check(&[x, Key::Enter, y], &[Answer::Nothing; 3]);
        check(&[s, Key::Enter], &[Answer::Nothing, Answer::Do(Wish::Stop)]);
        check(&[s, Key::Char('n'), y], &[Answer::Nothing; 3]);
        check(&[s, x, y], &[Answer::Nothing; 3]); // the second key was a no
        check(&[s, Key::Char('q')], &[Answer::Nothing; 2]);
        check(&[s, Key::CtrlC], &[Answer::Nothing, Answer::Leave]);
        check(&[y, Key::Enter, Key::Escape], &[Answer::Nothing; 3]);
        check(&[Key::Char('d')], &[Answer::Leave]);
        check(&[Key::Char('q')], &[Answer::Leave]);
    }
}
