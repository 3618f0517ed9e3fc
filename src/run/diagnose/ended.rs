//! Ends that no line of the log and no exit code explains: those by dpgui itself, by what it saw and for how long, and the
//! one that nobody saw.

use std::{borrow::Cow, time::Duration};

use crate::{
    diagnosis::{Diagnosis, Evidence},
    output::size,
    platform::cgroup::OomKills,
    run::{
        journal::Snapshot,
        outcome::Concern,
        spec::Spec,
        watchdog::{Alarm, OnNan, OnStall, Wishes},
    },
};

/// The cause of an end for this `concern`, by the alarm that led to it.
pub(super) fn of_concern(concern: Concern, now: &Snapshot, spec: &Spec) -> Diagnosis {
    // Another machine's end is no alarm of this one.
    let alarm = now.alarm.filter(|_| concern != Concern::HeadLost);
    let cause = alarm.map_or_else(|| concern.sentence().to_owned(), |it| it.to_string());
    let (id, advice): (_, &[&str]) = match (concern, alarm) {
        (Concern::NotANumber, _) => (
            "loss_not_a_number",
            &[
                "go on from the last checkpoint before the first of them, with a lower `lr`: `dpgui train CONFIG --resume RUN -- \
                 --reset_optimizer_params`",
                "train in `bfloat16` rather than `float16`, and look for broken or empty files: `dpgui data check CONFIG`",
            ],
        ),
        (Concern::NotResumed, _) => (
            "not_resumed",
            &[
                "see whether the checkpoint is still there and whole: `dpgui runs show RUN`",
                "start anew without `--resume`",
            ],
        ),
        (Concern::HeadLost, _) => (
            "head_lost",
            &[
                "see there how the run is: `dpgui runs`",
                "see whether the network between both machines holds",
            ],
        ),
        (Concern::Stalled, Some(Alarm::CachingDied)) => (
            "caching_died",
            &[
                "give it more memory: set `map_num_proc = 1` in the configuration, or close other programs",
                "start it again with `dpgui train CONFIG`: what is cached already is taken over",
            ],
        ),
        (Concern::Stalled, _) => (
            "stalled",
            &[
                "see what it did last: `dpgui logs RUN -n 50`",
                "go on from the last checkpoint: `dpgui train CONFIG --resume`; `--on-stall restart` does that by itself",
                "if a step may take that long, raise `runs.stall-after` in `dpgui.toml`; with several GPUs, see \
                 whether `NCCL_P2P_DISABLE=1` helps",
            ],
        ),
    };
    Diagnosis {
        id: id.into(),
        cause: cause.into(),
        advice: advice.iter().map(|it| Cow::Borrowed(*it)).collect(),
        recoverable: false,
        evidence: facts(concern, now, spec).into_iter().map(|text| Evidence::Fact { text }).collect(),
    }
}

/// Everything of the run is gone, who looked after it too, and neither its log nor the kernel's counters say why.
pub(super) fn unseen(now: &Snapshot) -> Diagnosis {
    let advice = [
        "see what the kernel says of that time, as of memory, GPUs or a container that ended: `journalctl -k` or `dmesg`",
        "go on from the last checkpoint: `dpgui resume RUN`",
    ];
    Diagnosis {
        id: "lost".into(),
        cause: "everything of the run was ended at once, dpgui's supervisor too, so that nobody saw why"
            .into(),
        advice: advice.map(Cow::Borrowed).to_vec(),
        recoverable: false,
        evidence: seen_last(now).into_iter().map(|text| Evidence::Fact { text }).collect(),
    }
}

/// What shows it, and by whose wish it was ended.
fn facts(concern: Concern, now: &Snapshot, spec: &Spec) -> Vec<String> {
    let mut facts = seen_last(now);
    facts.extend(wish(concern, &spec.watchdog));
    facts
}

/// How far it had come, and whether memory was short while it ran.
fn seen_last(now: &Snapshot) -> Vec<String> {
    let mut facts = vec![];
    match (now.last_step, now.state.evidence()) {
        (Some(last), _) => {
            let loss = last.loss.map_or_else(|| "not a number".to_owned(), |it| format!("{it:.4}"));
            let took = size::duration(Duration::try_from_secs_f64(last.seconds_per_step).unwrap_or_default());
            facts.push(format!("the last step was {}, with a loss of {loss}; it took {took}", last.step));
        }
        (None, Some(evidence)) => {
            facts.push(format!("it had done no step: it was {}", evidence.phase.word()));
        }
        (None, None) => {}
    }
    let kills = now.oom_kills.and_then(|before| OomKills::sample().since(before));
    if let Some(kills @ 1..) = kills {
        facts.push(format!("the kernel killed for lack of memory while it ran (`oom_kill` rose by {kills})"));
    }
    facts
}

fn wish(concern: Concern, wishes: &Wishes) -> Option<String> {
    let after = size::duration(wishes.stall_after);
    match concern {
        Concern::NotANumber if wishes.on_nan == OnNan::Stop => Some(format!(
            "dpgui ended it after {} steps without a number, by `--on-nan stop`",
            wishes.nan_steps
        )),
        Concern::Stalled => {
            let word = if wishes.on_stall == OnStall::Restart { "restart" } else { "stop" };
            Some(format!("dpgui ended it, by `--on-stall {word}` with `stall-after` at {after}"))
        }
        Concern::NotANumber | Concern::NotResumed | Concern::HeadLost => None,
    }
}
