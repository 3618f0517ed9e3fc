//! What lines of the log mean: the few that say how far a training is.
//!
//! Formats: diffusion-pipe's `train.py`, `utils/saver.py`, `utils/dataset.py`; DeepSpeed's `runtime/pipe/engine.py` and
//! `launcher/launch.py`. Several processes write the log. Each text arrives whole (one short write), but its newline
//! is a write of its own, so another text may stand before it or after it on the same line.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use serde::Serialize;

/// A line with a meaning.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Latents or text embeddings are being computed for the cache.
    Caching,
    Step(Step),
    /// This epoch begins; the first one is not announced.
    Epoch(u64),
    /// A model is being written to this folder, `epoch3` or `step500`. Its end is not announced.
    Saving(String),
    /// A checkpoint of this name is about to be written, `global_step500`.
    Checkpoint(String),
    Resumed {
        epoch: u64,
        step: u64,
    },
    Evaluating,
    /// The proof that a training is done: exit codes prove nothing.
    Complete,
    /// The answer to the control file `save_quit`.
    Quitting,
    /// The launcher has begun to end its ranks, one after the other: one of them has failed, or it was told to end.
    Killing,
    /// The launcher tells the exit code of its ranks; negative is a signal.
    Exited {
        code: i32,
    },
}

/// One optimiser step, as DeepSpeed's pipeline engine prints it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Goes on counting after a resume.
    pub step: u64,
    /// May be NaN or infinite: the trainer goes on then. JSON has no such numbers and gets `null`.
    pub loss: f64,
    pub seconds_per_step: f64,
    pub samples_per_second: f64,
}

/// One of them is in every line that means something.
static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = [
        "TRAINING COMPLETE!",
        "Manually quitting",
        "steps: ",
        "Resuming training from checkpoint. Resuming at epoch: ",
        "Started new epoch: ",
        "Saving model to directory ",
        "[Torch] Checkpoint ",
        " exits with return code = ",
        ":sigkill_handler] Killing subprocess ",
        " exits successfully.",
        "Running eval",
        "caching latents: ",
        "caching text embeddings: ",
    ];
    // Without it, which is for automata beyond all memory, every line is looked at.
    AhoCorasick::new(words).ok()
});

impl Mark {
    /// What `line` (folded, without colours) says, the weightiest first if it says several things.
    pub fn parse(line: &str) -> Option<Self> {
        // Most lines say none of it, and are found out by one look instead of ten.
        if WORDS.as_ref().is_some_and(|words| !words.is_match(line)) {
            return None;
        }
        if said(line, "TRAINING COMPLETE!").is_some() {
            return Some(Self::Complete);
        }
        if said(line, "Manually quitting").is_some() {
            return Some(Self::Quitting);
        }
        Step::parse(line)
            .map(Self::Step)
            .or_else(|| resumed(said(line, "Resuming training from checkpoint. Resuming at epoch: ")?))
            .or_else(|| Some(Self::Epoch(number(said(line, "Started new epoch: ")?)?.0)))
            .or_else(|| {
                Some(Self::Saving(folder(said(line, "Saving model to directory ")?, &["epoch", "step"])?))
            })
            .or_else(|| checkpoint(said(line, "[Torch] Checkpoint ")?))
            .or_else(|| Some(Self::Exited { code: exit_code(said(line, " exits with return code = ")?)? }))
            .or_else(|| {
                let ends =
                    line.contains(":main] Process ") && line.trim_end().ends_with(" exits successfully.");
                ends.then_some(Self::Exited { code: 0 })
            })
            .or_else(|| said(line, ":sigkill_handler] Killing subprocess ").map(|_| Self::Killing))
            .or_else(|| said(line, "Running eval").map(|_| Self::Evaluating))
            .or_else(|| said(line, "caching latents: ").map(|_| Self::Caching))
            .or_else(|| said(line, "caching text embeddings: ").map(|_| Self::Caching))
    }
}

impl Step {
    /// Reads `steps: 10 loss: 0.5123 iter time (s): 1.234 samples/sec: 3.210`.
    ///
    /// The engine prints four and three decimals: what follows them belongs to another writer and is not taken for a
    /// part of the number. A text that breaks off gives nothing.
    pub fn parse(line: &str) -> Option<Self> {
        let mut starts = memchr::memmem::find_iter(line.as_bytes(), "steps: ");
        starts.find_map(|start| Self::at(&line[start + "steps: ".len()..]))
    }

    fn at(text: &str) -> Option<Self> {
        let (step, text) = number(text)?;
        let (loss, text) = decimal(text.strip_prefix(" loss: ")?, 4)?;
        let (seconds_per_step, text) = decimal(text.strip_prefix(" iter time (s): ")?, 3)?;
        let (samples_per_second, _) = decimal(text.strip_prefix(" samples/sec: ")?, 3)?;
        Some(Self { step, loss, seconds_per_step, samples_per_second })
    }
}

/// What follows `text` in `line`, unless it is a part of a path: people name their folders as they like.
fn said<'a>(line: &'a str, text: &str) -> Option<&'a str> {
    let start = memchr::memmem::find(line.as_bytes(), text.as_bytes())?;
    (!line[..start].ends_with('/')).then_some(&line[start + text.len()..])
}

fn resumed(text: &str) -> Option<Mark> {
    let (epoch, text) = number(text)?;
    let (step, _) = number(text.strip_prefix(", step: ")?)?;
    Some(Mark::Resumed { epoch, step })
}

fn checkpoint(text: &str) -> Option<Mark> {
    text.contains(" is about to be saved!")
        .then(|| folder(text, &["global_step"]).map(Mark::Checkpoint))
        .flatten()
}

/// The folder's name at the start of `text`: one of `stems` with its number.
fn folder(text: &str, stems: &[&str]) -> Option<String> {
    stems.iter().find_map(|stem| Some(format!("{stem}{}", number(text.strip_prefix(stem)?)?.0)))
}

fn exit_code(text: &str) -> Option<i32> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let code = i32::try_from(number(digits)?.0).ok()?;
    Some(if negative { -code } else { code })
}

/// The digits at the start of `text`, and what follows them.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// A number at the start of `text` as Python's `:0.Nf` prints it, and what follows it.
fn decimal(text: &str, decimals: usize) -> Option<(f64, &str)> {
    for (name, value) in [("nan", f64::NAN), ("inf", f64::INFINITY), ("-inf", f64::NEG_INFINITY)] {
        if let Some(rest) = text.strip_prefix(name) {
            return Some((value, rest));
        }
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (_, fraction) = digits.split_once('.')?;
    let whole = text.len() - fraction.len();
    let length = fraction.bytes().take(decimals).take_while(u8::is_ascii_digit).count();
    let number = &text[..whole + length];
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    (plain && length == decimals).then(|| Some((number.parse().ok()?, &text[whole + length..])))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step(step: u64, loss: f64, seconds_per_step: f64, samples_per_second: f64) -> Step {
        Step { step, loss, seconds_per_step, samples_per_second }
    }

    #[test]
    fn a_step_is_read_from_whole_lines_and_from_lines_that_others_wrote_into() {
        let check = |line: &str, expected: Option<Step>| assert_eq!(Step::parse(line), expected, "{line}");
        let whole = "steps: 10 loss: 0.5123 iter time (s): 1.234 samples/sec: 3.210";
        let read = Some(step(10, 0.5123, 1.234, 3.21));
        check(whole, read);
        check(&format!("n1: {whole} "), read); // pdsh tells the host
        check(&format!(" 50%|█▌ | 1/2 [00:01<00:01]{whole}[rank1] 42"), read);
        check(&format!("{whole}4 caching"), read); // the 4 is somebody else's
        check(&format!("steps: 9 loss: 0.5{whole}"), read);
        check(
            "steps: 7 loss: -inf iter time (s): 120.000 samples/sec: 0.008",
            Some(step(7, f64::NEG_INFINITY, 120.0, 0.008)),
        );
        for end in 0..whole.len() {
            check(&whole[..end], None);
        }
        check("steps: 1 loss: 1.2.3456 iter time (s): 1.234 samples/sec: 3.210", None);
        check("steps: -1 loss: 0.5123 iter time (s): 1.234 samples/sec: 3.210", None);
        check("steps: 99999999999999999999 loss: 0.5123 iter time (s): 1.234 samples/sec: 3.210", None);
        check("max_steps: 10 loss: low", None);
    }

    #[test]
    fn a_loss_that_is_no_number_is_a_step_all_the_same() {
        let nan =
            Step::parse("steps: 3 loss: nan iter time (s): 0.070 samples/sec: 457.143").expect("a step");
        assert!(nan.loss.is_nan());
        assert_eq!(
            serde_json::to_string(&nan).expect("serialised"),
            r#"{"step":3,"loss":null,"seconds_per_step":0.07,"samples_per_second":457.143}"#
        );
    }

    #[test]
    fn the_lines_that_upstream_prints_are_understood() {
        let check = |line: &str, expected: Option<Mark>| assert_eq!(Mark::parse(line), expected, "{line}");
        check("Started new epoch: 2", Some(Mark::Epoch(2)));
        check("Saving model to directory epoch10", Some(Mark::Saving("epoch10".to_owned())));
        check("Saving model to directory step500", Some(Mark::Saving("step500".to_owned())));
        check(
            "[2026-11-20 10:11:12,345] [INFO] [torch_checkpoint_engine.py:27:create] \
             [Torch] Checkpoint global_step60 is about to be saved!",
            Some(Mark::Checkpoint("global_step60".to_owned())),
        );
        check(
            "Resuming training from checkpoint. Resuming at epoch: 3, step: 120",
            Some(Mark::Resumed { epoch: 3, step: 120 }),
        );
        check("caching latents: /data/a", Some(Mark::Caching));
        check("caching text embeddings: (512, 512, 1)", Some(Mark::Caching));
        check("Running eval", Some(Mark::Evaluating));
        check("Manually quittingManually quitting", Some(Mark::Quitting));
        check("TRAINING COMPLETE!", Some(Mark::Complete));
        check(
            "steps: 9 loss: 0.1000 iter time (s): 0.100 samples/sec: 1.000TRAINING COMPLETE!",
            Some(Mark::Complete),
        );
        check(
            "[2026-11-20 10:11:12,345] [ERROR] [launch.py:341:sigkill_handler] \
             ['/venv/bin/python', '-u', 'train.py'] exits with return code = -9",
            Some(Mark::Exited { code: -9 }),
        );
        check(
            "[2026-11-20 10:11:12,345] [INFO] [launch.py:335:sigkill_handler] Killing subprocess 4711",
            Some(Mark::Killing),
        );
        check("Killing subprocess 4711", None);
        check(
            "[2026-11-20 10:11:12,345] [INFO] [launch.py:367:main] Process 4711 exits successfully.",
            Some(Mark::Exited { code: 0 }),
        );
        check("caching latents: /data/TRAINING COMPLETE!", Some(Mark::Caching));
        check("Started new epoch: soon", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(
            parts in prop::collection::vec(prop_oneof![
                Just("steps: ".to_owned()), Just(" loss: ".to_owned()), Just(" iter time (s): ".to_owned()),
                Just(" samples/sec: ".to_owned()), Just("Started new epoch: ".to_owned()),
                Just("[Torch] Checkpoint ".to_owned()), Just(" exits with return code = -".to_owned()),
                "[0-9.é-]{0,6}", Just("nan".to_owned()),
            ], 0..12),
        ) {
            let _ = Mark::parse(&parts.concat());
        }
    }
}
