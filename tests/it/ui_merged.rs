//! All that a run prints as one stream: nothing is missing, nothing comes twice, and each line says whose it is.

use serde_json::{Value, json};

use crate::support::{
    browser::{Frame, Served, next},
    lab::{Lab, Run, until},
};

/// Follows all from `query` on for at most `frames` frames: the lines, where it goes on, and what was said.
fn follow(served: &Served, run: &Run, query: &str, frames: usize) -> (String, String, Vec<Value>) {
    let mut socket = served.stream(&format!("/api/runs/{}/log/merged?{query}", run.id()));
    let (mut lines, mut said, mut at) = (String::new(), vec![], String::new());
    for _ in 0..frames {
        match next(&mut socket) {
            Frame::Said(value) => {
                if let Some(place) = value["at"].as_str() {
                    place.clone_into(&mut at);
                }
                said.push(value);
            }
            // What `next` takes for an offset is the length of the place, and the first half of it.
            Frame::Bytes(head, rest) => {
                let frame = [&head.to_le_bytes()[..], &rest].concat();
                let length =
                    usize::try_from(u32::from_le_bytes(frame[..4].try_into().expect("4"))).expect("small");
                at = String::from_utf8(frame[4..4 + length].to_vec()).expect("text");
                let text = std::str::from_utf8(&frame[4 + length..]).expect("text");
                assert!(text.ends_with('\n'), "cut between lines: {text:?}");
                lines += text;
            }
            Frame::Closed => break,
        }
    }
    (lines, at, said)
}

/// What the lines say that one stream wrote.
fn of(lines: &str, name: &str) -> String {
    let tag = format!("[{name}] ");
    let own = lines.lines().filter_map(|it| match (name, it.strip_prefix(&*tag)) {
        ("launcher", _) => (!it.starts_with("[rank")).then_some(it),
        (_, rest) => rest,
    });
    own.flat_map(|it| [it, "\n"]).collect()
}

#[track_caller]
fn assert_whole(lines: &str, run: &Run) {
    for name in ["launcher", "rank0", "rank1"] {
        let expected = String::from_utf8(run.stream(name)).expect("text");
        assert!(of(lines, name) == expected, "{name}: {} of {} bytes", of(lines, name).len(), expected.len());
    }
}

#[test]
fn all_ranks_are_followed_as_one_by_whoever_comes_and_comes_back() {
    let lab = Lab::new(&[("STEPS", "300"), ("STEP_TIME", "0.01"), ("ALL", "yes"), ("GREET", "yes")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    // A page that breaks off again and again.
    let (mut all, mut at) = (String::new(), String::new());
    for _ in 0..20 {
        let (lines, next, said) = follow(&served, &run, &format!("from={at}"), 4);
        if !at.is_empty() {
            assert_eq!(said[0], json!({ "type": "start", "at": at }));
        }
        all += &lines;
        at = next;
    }
    let (lines, end, said) = follow(&served, &run, &format!("from={at}"), usize::MAX);
    all += &lines;
    assert_eq!(said.last(), Some(&json!({ "type": "end" })), "{said:?}");
    assert_whole(&all, &run);
    let sizes = ["launcher", "rank0", "rank1"].map(|it| format!("{it}:{}", run.stream(it).len()));
    assert_eq!(end, sizes.join(","));
    // Whoever comes when all is there sees what the terminal shows.
    let (whole, ..) = follow(&served, &run, "", usize::MAX);
    assert_eq!(whole, lab.sandbox.dpgui(&["logs", &run.id()]).ok().stdout);
    assert!(
        whole.contains("[rank1] rank 1 is at step 7\n") && whole.contains("[rank0] steps: 7 "),
        "{whole}"
    );
    let (tail, ..) = follow(&served, &run, "lines=3", usize::MAX);
    assert_eq!(tail.lines().count(), 3 + 3 + 1, "of each stream the last three: {tail}");
    for wrong in ["from=rank0", "from=x:1", "lines=-1", "from=rank0:1,rank0:2"] {
        let path = format!("/api/runs/{}/log/merged?{wrong}", run.id());
        assert_eq!(served.socket(&path, &[("Authorization", &served.bearer())]).err(), Some(400), "{wrong}");
    }
}

#[test]
fn who_reads_slowly_gets_all_of_it() {
    let lab = Lab::new(&[("STEPS", "0"), ("PRINT", "flood"), ("BYTES", "6000000")]);
    let served = Served::start(&lab.sandbox, &[]);
    let run = lab.detached(&[]);
    let mut slow = served.stream(&format!("/api/runs/{}/log/merged", run.id()));
    assert!(matches!(next(&mut slow), Frame::Said(_)));
    run.wait_for_log("steps: 20 ");
    let mut count = 0;
    let mut expected = 0;
    while expected < 60_000 {
        let Frame::Bytes(head, rest) = next(&mut slow) else { panic!("all of it is there") };
        let frame = [&head.to_le_bytes()[..], &rest].concat();
        let length = usize::try_from(u32::from_le_bytes(frame[..4].try_into().expect("4"))).expect("small");
        for line in String::from_utf8_lossy(&frame[4 + length..]).lines() {
            if let Some(number) = line.strip_prefix("[rank0] ").filter(|it| it.len() == 99) {
                assert_eq!(number.parse(), Ok(expected), "each once, in order");
                expected += 1;
            }
        }
        count += 1;
    }
    assert!(count > 10, "in pieces: {count}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    run.outcome();
    until("nobody writes there any more", || (!run.is_supervised()).then_some(()));
    let (_, _, said) = follow(&served, &run, "lines=1", usize::MAX);
    assert_eq!(said.last(), Some(&json!({ "type": "end" })));
}
