//! Any bytes as a log: a diagnosis or none, no panic, and the same however the bytes are cut into pieces.
//!
//! The first byte says how long the pieces are, the second what was counted.
#![no_main]

use dpgui::{
    diagnosis::{Diagnoser, Diagnosis, Disk, Numbers},
    platform::signal::Exit,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [piece, counted, log @ ..] = bytes else { return };
    let numbers = Numbers {
        exit: (counted & 1 != 0).then_some(Exit::Code(i32::from(*counted))),
        ended_early: counted & 2 != 0,
        oom_kills: (counted & 32 == 0).then_some(u64::from(counted & 4)),
        launcher_lost: counted & 64 != 0,
        disks: vec![Disk {
            path: "/".into(),
            free_bytes: if counted & 8 != 0 { 0 } else { 1 << 40 },
            free_files: None,
        }],
        lost_gpus: if counted & 16 != 0 { vec![1] } else { vec![] },
        ..Numbers::default()
    };
    let whole = judged(log, usize::MAX, &numbers);
    assert_eq!(judged(log, usize::from(*piece).max(1), &numbers), whole);
    assert!(whole.is_none_or(|it| !it.to_string().is_empty() && it.evidence.len() <= 6));
});

fn judged(log: &[u8], piece: usize, numbers: &Numbers) -> Option<Diagnosis> {
    let mut diagnoser = Diagnoser::new();
    let mut offset = 0;
    for piece in log.chunks(piece.min(log.len().max(1))) {
        diagnoser.push(offset, None, piece);
        offset += piece.len() as u64;
    }
    diagnoser.finish();
    diagnoser.judge(numbers)
}
