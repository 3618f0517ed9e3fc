//! Words of a report that catch the eye, in colour where stdout is a terminal.

use console::Style;

use super::{Mode, Output};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Heading,
    Good,
    Neutral,
    Doubtful,
    Bad,
    /// For what few want to read.
    Faint,
}

impl Output {
    /// `text` as it goes to stdout.
    pub fn toned(&self, tone: Tone, text: &str) -> String {
        let colour = self.mode == Mode::Terminal { colour: true } && self.shows_data_on_terminal();
        paint(tone, text, colour)
    }
}

fn paint(tone: Tone, text: &str, colour: bool) -> String {
    let style = Style::new();
    let style = match tone {
        Tone::Heading => style.bold(),
        Tone::Good => style.green(),
        Tone::Neutral => style.cyan(),
        Tone::Doubtful => style.yellow().bold(),
        Tone::Bad => style.red().bold(),
        Tone::Faint => style.dim(),
    };
    style.force_styling(colour).apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_coloured_where_there_are_colours_only() {
        assert_eq!(paint(Tone::Bad, "problem", false), "problem");
        assert_eq!(paint(Tone::Good, "ok", true), "\u{1b}[32mok\u{1b}[0m");
    }
}
