"""Measures who starts the ranks: the stock command by hand, dpgui with DeepSpeed's launcher, dpgui with its own, in turns.

    launchers.py DPGUI WORKSPACE [ROUNDS]

WORKSPACE is one that `dpgui demo` has set up; its demo trains, with real DeepSpeed. Seconds are from the command to what is
named; memory is the proportional share of every process but dpgui's own, at the first step.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

MEASURES = ["first step, s", "end, s", "s/step", "memory, MiB", "processes"]


def children(pid):
    """All below `pid`."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = [int(it) for it in task.read_text().split()]
        except OSError:
            continue
        for child in below:
            found += [child, *children(child)]
    return found


def share(pid):
    """KiB that a process has, pages of several counted in parts."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def is_ours(pid, dpgui):
    try:
        return os.path.realpath(f"/proc/{pid}/exe") == dpgui
    except OSError:
        return True


def measure(command, dpgui, whole):
    """Starts it, reads what it prints, and looks at its processes at the first step."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    first = memory = count = None
    steps = []
    for line in child.stdout:
        if "steps: " in line and "loss: " in line:
            steps.append(time.monotonic())
            if first is None:
                first = steps[0] - began
                # A run of dpgui's is no child of the command: its session is found by the file that it has open.
                pids = [it for it in whole(child.pid) if not is_ours(it, dpgui)]
                memory, count = sum(map(share, pids)) / 1024, len(pids)
    if child.wait() != 0 or first is None:
        raise SystemExit(f"`{' '.join(command)}` ended with {child.returncode}")
    pace = statistics.median(b - a for a, b in zip(steps, steps[1:]))
    return [first, time.monotonic() - began, pace, memory, count]


def main():
    dpgui = os.path.realpath(sys.argv[1])
    workspace = os.path.realpath(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    config = f"{workspace}/configs/demo.toml"
    train = [dpgui, "-C", workspace, "train", config]

    def supervised(_):
        newest = max(Path(workspace, "runs").iterdir(), key=lambda it: it.name)
        session = json.loads((newest / "state.json").read_text())["session"]["pid"]
        return [session, *children(session)]

    def typed():
        printed = subprocess.run([*train, "--print-command"], stdout=subprocess.PIPE, text=True, check=True)
        return ["sh", "-c", f"exec 2>&1; {printed.stdout.strip()}"]

    contestants = {
        "the stock command by hand": lambda: measure(typed(), dpgui, lambda pid: children(pid)),
        "`dpgui train`": lambda: measure(train, dpgui, supervised),
        "`dpgui train --launcher direct`": lambda: measure([*train, "--launcher", "direct"], dpgui, supervised),
    }
    results = {name: [] for name in contestants}
    for number in range(rounds):
        # Whoever is first finds other caches than whoever is last.
        order = list(contestants)[number % 3 :] + list(contestants)[: number % 3]
        for name in order:
            results[name].append(contestants[name]())
            print(f"{name}: {results[name][-1]}", file=sys.stderr)
    print("| | " + " | ".join(MEASURES) + " |\n|---|" + "--:|" * len(MEASURES))
    for name, rows in results.items():
        middle = [statistics.median(column) for column in zip(*rows)]
        print(f"| {name} | {middle[0]:.1f} | {middle[1]:.1f} | {middle[2]:.3f} | {middle[3]:.0f} | {middle[4]:.0f} |")


main()
