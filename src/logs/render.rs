//! Foreign bytes made safe to show: valid UTF-8, and no control sequence but colours.
//!
//! File names of a dataset reach the log, so whoever made the dataset can put bytes there. Left in, they could rename
//! the terminal's window, write its clipboard, draw over other lines or make it answer into our input. What is surely
//! a control sequence goes; what only begins like one loses its first bytes and the rest is shown.
//! Grammar: ECMA-48 and <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>.

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;
const DELETE: u8 = 0x7f;

const RESET: &str = "\x1b[0m";

/// What becomes of colour sequences (SGR): kept for terminals, dropped elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    Keep,
    Drop,
}

/// What a piece without `\r` and `\n` does to the line that it is written on, from its first column on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It shows something, in place of what was there.
    Replaces,
    /// It shows nothing and erases what was there.
    Erases,
    /// It does nothing that one can see.
    Nothing,
}

/// Puts what `raw` shows into `out`, in place of what is there.
pub(super) fn render(raw: &[u8], colours: Colours, out: &mut String) -> Effect {
    out.clear();
    let mut renderer = Renderer { colours, out, effect: Effect::Nothing, coloured: false };
    let mut rest = raw;
    while let Some(control) = rest.iter().position(|byte| is_control(*byte)) {
        renderer.text(&rest[..control]);
        let after = &rest[control + 1..];
        rest = if rest[control] == ESCAPE { renderer.escape(after) } else { after };
    }
    renderer.text(rest);
    renderer.finish()
}

/// All of C0 but the tab, and DEL.
const fn is_control(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t' || byte == DELETE
}

struct Renderer<'a> {
    colours: Colours,
    out: &'a mut String,
    effect: Effect,
    /// A colour is on that no reset has ended yet.
    coloured: bool,
}

impl Renderer<'_> {
    fn text(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.effect = Effect::Replaces;
        let text = String::from_utf8_lossy(bytes);
        // C1 controls: to a terminal, U+009B begins a sequence as `ESC [` does. In UTF-8 all begin with this byte.
        if memchr::memchr(0xc2, text.as_bytes()).is_some() {
            self.out.extend(text.chars().filter(|c| !matches!(c, '\u{80}'..='\u{9f}')));
        } else {
            self.out.push_str(&text);
        }
    }

    /// Handles what follows an escape character and returns what follows that.
    fn escape<'b>(&mut self, after: &'b [u8]) -> &'b [u8] {
        match after.first() {
            Some(b'[') => self.control_sequence(&after[1..]),
            Some(b']' | b'P' | b'X' | b'^' | b'_') => skip_string(&after[1..]),
            // The choice of a character set and the like: some bytes of this kind, then a final one.
            Some(0x20..=0x2f) => {
                let (_, rest) = split(after, |byte| (0x20..=0x2f).contains(&byte));
                let has_final = rest.first().is_some_and(|byte| (0x30..=0x7e).contains(byte));
                &rest[usize::from(has_final)..]
            }
            Some(0x30..=0x7e) => &after[1..],
            Some(_) | None => after,
        }
    }

    /// `ESC [`, parameters, intermediate bytes, one final byte that says what it does.
    fn control_sequence<'b>(&mut self, after: &'b [u8]) -> &'b [u8] {
        let (parameters, rest) = split(after, |byte| (0x30..=0x3f).contains(&byte));
        let (intermediates, rest) = split(rest, |byte| (0x20..=0x2f).contains(&byte));
        let Some((end @ 0x40..=0x7e, rest)) = rest.split_first() else { return after };
        match (end, parameters, intermediates) {
            (b'm', _, []) => self.colour(parameters),
            // To the end of the line: behind what is shown nothing is left anyway.
            (b'K', b"" | b"0", []) if self.effect == Effect::Nothing => self.effect = Effect::Erases,
            // From the start of the line up to here.
            (b'K', b"1", []) if self.effect == Effect::Replaces => self.erase(),
            (b'K', b"2", []) => self.erase(),
            _ => {}
        }
        rest
    }

    fn erase(&mut self) {
        self.out.clear();
        (self.effect, self.coloured) = (Effect::Erases, false);
    }

    fn colour(&mut self, parameters: &[u8]) {
        let Ok(parameters) = str::from_utf8(parameters) else { return };
        // A leading `<`, `=`, `>` or `?` makes it another, private sequence.
        let is_sgr = parameters.bytes().all(|byte| byte.is_ascii_digit() || byte == b';' || byte == b':');
        if self.colours == Colours::Keep && is_sgr {
            self.out.push_str("\x1b[");
            self.out.push_str(parameters);
            self.out.push('m');
            self.coloured = !matches!(parameters, "" | "0");
        }
    }

    /// A colour ends with its line, so that a damaged line does not dye what comes after it.
    fn finish(self) -> Effect {
        if self.coloured {
            self.out.push_str(RESET);
        }
        self.effect
    }
}

/// A string for the terminal (title, clipboard, …) up to its terminator. One that does not end is shown: a log must
/// not be able to hide its rest.
fn skip_string(after: &[u8]) -> &[u8] {
    let (_, rest) = split(after, |byte| !is_control(byte));
    match rest {
        [BELL, rest @ ..] | [ESCAPE, b'\\', rest @ ..] => rest,
        _ => after,
    }
}

/// Where the first byte is that is not `wanted`.
fn split(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| !wanted(*byte)).unwrap_or(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_a_terminal_would_obey_is_gone_but_colours() {
        let check = |raw: &[u8], kept: &str, dropped: &str| {
            for (colours, expected) in [(Colours::Keep, kept), (Colours::Drop, dropped)] {
                let mut out = "old".to_owned();
                render(raw, colours, &mut out);
                assert_eq!(out, expected, "{}", raw.escape_ascii());
            }
        };
        let same = |raw: &[u8], shown: &str| check(raw, shown, shown);
        check(b"\x1b[1;31mred\x1b[0m.", "\x1b[1;31mred\x1b[0m.", "red.");
        check(b"\x1b[38:2::255:0:0mred", "\x1b[38:2::255:0:0mred\x1b[0m", "red");
        same(b"\x1b]0;title\x07a", "a");
        same(b"\x1b]52;c;bHM=\x1b\\a", "a"); // writes the clipboard
        same(b"\x1bP+q544e\x1b\\a", "a"); // makes the terminal answer
        same(b"\x1b[2Aup\x1b[6n\x1b[?1049h\x1b[>4;2m\x1b[ q!", "up!");
        same(b"\x1b(B\x1bcreset\x1b7", "reset");
        same(b"bell\x07 back\x08 nul\x00 del\x7f \ttab", "bell back nul del \ttab");
        same("C1: \u{9b}2J \u{85}é£".as_bytes(), "C1: 2J é£");
        same(b"broken \xff\xe2\x96 utf-8", "broken \u{fffd}\u{fffd} utf-8");
        same(b"\x1b]0;never ended", "0;never ended");
        same(b"\x1b[31", "31");
        same(b"\x1b", "");
        same(b"\x1b\x1b[Ka", "a");
    }
}
