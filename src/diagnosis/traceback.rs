//! Python's tracebacks in a log: where each begins, and the line at its end that says what was raised.

/// Lines after which a traceback that has no end is given up.
const LONGEST: u32 = 1000;

/// A traceback that is being read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traceback {
    lines: u32,
}

/// What a further line means for a traceback that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It goes on.
    On,
    /// This line is its end.
    Raised,
    /// It has no end that could be found.
    Lost,
}

impl Traceback {
    pub(super) fn read(&mut self, line: &[u8]) -> Read {
        self.lines += 1;
        match line {
            _ if self.lines > LONGEST => Read::Lost,
            [] | [b' ' | b'\t', ..] => Read::On,
            line if is_exception(line) => Read::Raised,
            // Somebody else's, in between.
            _ => Read::On,
        }
    }
}

/// `package.SomeError: text`, or `AssertionError` alone.
pub(super) fn is_exception(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"._".contains(byte)));
    let (name, after) = line.split_at(end.unwrap_or(line.len()));
    let class = name.rsplit(|byte| *byte == b'.').next().unwrap_or(name);
    let is_class = class.first().is_some_and(u8::is_ascii_uppercase) && class.len() >= 3;
    let is_path = name.first().is_some_and(u8::is_ascii_alphabetic);
    is_path && is_class && matches!(after, [] | [b':', b' ', ..] | [b':'] | [b'[', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_told_from_other_lines() {
        for line in [
            "ValueError: x",
            "torch.OutOfMemoryError: CUDA",
            "AssertionError",
            "queue.Empty",
            "KeyboardInterrupt",
            "torch._dynamo.exc.BackendCompilerFailed: backend",
        ] {
            assert!(is_exception(line.as_bytes()), "{line}");
        }
        for line in
            ["steps: 4 loss: 0.1", "caching latents: /a", "Started new epoch: 2", "", "[2026] [INFO]", "..."]
        {
            assert!(!is_exception(line.as_bytes()), "{line}");
        }
    }
}
