//! What a supervisor survives, and whom it leaves alone: a full disk, its own death, a deleted folder, bystanders.

use std::process::Command;

use crate::support::{lab::Lab, sandbox::Said};

#[test]
fn a_run_that_ends_while_the_disk_is_full_is_known_once_there_is_room() {
    for lose in ["", "kill -9 $(cut -d ' ' -f 2 $run/supervisor.lock)"] {
        let lab = Lab::new(&[("STEPS", "60"), ("STEP_TIME", "0.02")]);
        let script = format!(
            "set -e; mkdir runs; mount -t tmpfs -o size=1m none runs
            run=runs/$(\"$0\" train configs/tiny.toml --detach)
            cookie=$(sed -n 's/.*\"cookie\": *\"\\([0-9a-f]*\\)\".*/\\1/p' $run/spec.json)
            until grep -q 'steps: 2 ' $run/output.log; do sleep 0.05; done
            if cat /dev/zero > runs/filler 2>/dev/null; then exit 9; fi
            while grep -q \"DPGUI_RUN_ID=$cookie\" /proc/[0-9]*/environ 2>/dev/null; do sleep 0.05; done
            {lose}
            for again in 1 2 3; do \"$0\" runs >&2; done
            rm runs/filler
            until grep -q ended $run/state.json; do sleep 0.05; done
            \"$0\" runs --json; cat $run/state.json $run/events.jsonl >&2"
        );
        let usual = lab.sandbox.command(&[]);
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--map-root-user", "--mount", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_dpgui")]);
        command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said =
            Said::from(command.current_dir(lab.sandbox.root()).output().expect("unshare is there")).ok();
        assert_eq!(said.events()[0]["state"], "completed", "{said}");
    }
}
