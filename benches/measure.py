#!/usr/bin/env python3
"""Runs a command and notes what it took; makes the tables of what was noted.

    measure.py run RESULTS.jsonl LABEL -- COMMAND...
    measure.py table RESULTS.jsonl BASE [LABEL...]

`run` notes: the wall time; the time until all of it is on the disk, which a program may leave to the kernel; the CPU
time of the command and everything that it started; and the most memory that the program itself had, without what it
started (`VmHWM` of its first process, which `time` cannot tell apart from uv's).
`table` has a line for each label, or those that are named: medians, and the ratio to BASE of the same round, because two rounds on a busy
machine have little to do with each other.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

# Seconds between two looks at the memory: its peak is kept by the kernel, only the last moments are missed.
LOOK = 0.02


def peak_memory(pid: int, stop: threading.Event, found: list[int]) -> None:
    while not stop.wait(LOOK):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return
        found[0] = max([found[0]] + [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")])


def run(results: Path, label: str, command: list[str]) -> None:
    started = time.monotonic()
    with results.with_suffix(".log").open("wb") as log, subprocess.Popen(
        command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
    ) as process:
        stop, peak = threading.Event(), [0]
        watcher = threading.Thread(target=peak_memory, args=(process.pid, stop, peak))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        stop.set()
        watcher.join()
    if process.returncode != 0:
        sys.exit(f"{label}: exit code {process.returncode}, see {results.with_suffix('.log')}")
    os.sync()
    earlier = read(results) if results.exists() else []
    entry = {
        "label": label,
        "round": sum(it["label"] == label for it in earlier) + 1,
        "wall": wall,
        "durable": time.monotonic() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_kib": peak[0],
        "load": os.getloadavg()[0],
    }
    with results.open("a") as file:
        file.write(json.dumps(entry) + "\n")
    print(f"{label} {entry['round']}: {wall:.2f} s, {entry['durable']:.2f} s with sync, CPU {entry['cpu']:.2f} s,"
          f" {peak[0] / 1024:.0f} MiB, load {entry['load']:.1f}", file=sys.stderr)


def read(results: Path) -> list[dict]:
    return [json.loads(line) for line in results.read_text().splitlines()]


def ratios(entries: list[dict], label: str, base: str, key: str) -> list[float]:
    of = {(it["label"], it["round"]): it[key] for it in entries}
    return [value / of[base, round] for (name, round), value in of.items() if name == label and (base, round) in of]


def digits(seconds: float) -> str:
    return f"{seconds:.{1 if seconds >= 20 else 2 if seconds >= 0.1 else 4}f}"


def table(results: Path, base: str, labels: list[str]) -> None:
    entries = read(results)
    print(f"| | seconds | on the disk | CPU seconds | own memory | time, as a multiple of {base} | rounds |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for label in labels or dict.fromkeys(it["label"] for it in entries):
        mine = [it for it in entries if it["label"] == label]
        middle = {key: statistics.median(it[key] for it in mine) for key in ("wall", "durable", "cpu")}
        peak = max(it["peak_kib"] for it in mine) / 1024
        multiples = ratios(entries, label, base, "wall")
        spread = f"{statistics.median(multiples):.2f} ({min(multiples):.2f} to {max(multiples):.2f})" if multiples else ""
        wall, durable, cpu = (digits(middle[key]) for key in ("wall", "durable", "cpu"))
        print(f"| {label} | {wall} | {durable} | {cpu} | {peak:.0f} MiB | {spread} | {len(mine)} |")


def main() -> None:
    match sys.argv[1:]:
        case ["run", results, label, "--", *command]:
            run(Path(results), label, command)
        case ["table", results, base, *labels]:
            table(Path(results), base, labels)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
