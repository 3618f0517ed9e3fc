//! Any bytes as the `events.jsonl` of a run, cut anywhere: an end or none, no panic, and what a new supervisor adds is found
//! behind whatever was torn.
//!
//! The first two bytes say where the file is cut.
#![no_main]

use dpgui::run::{
    Outcome,
    journal::{Past, Record},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [low, high, file @ ..] = bytes else { return };
    let cut = usize::from(u16::from_le_bytes([*low, *high])).min(file.len());
    let (whole, part) = (Past::read(file), Past::read(&file[..cut]));
    assert!(part.seq <= whole.seq && part.seq <= cut as u64);
    // A line that is cut may end the run where the whole one does not, and never another one before it.
    if !part.is_torn && part.outcome.is_some() {
        assert_eq!(part.outcome, whole.outcome);
    }
    let ended = Record::Ended { outcome: Outcome::Lost };
    let mut more = file[..cut].to_vec();
    more.extend(part.is_torn.then_some(b'\n'));
    more.extend(serde_json::to_vec(&ended).expect("JSON"));
    more.push(b'\n');
    let again = Past::read(&more);
    assert_eq!((again.seq, again.is_torn), (part.seq + 1, false));
    assert_eq!(again.outcome, part.outcome.or(Some(Outcome::Lost)));
});
