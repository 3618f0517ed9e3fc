"""Writes the expected values under tests/data/differential: our questions with the trainer's answers.

    DPGUI_DIFFUSION_PIPE=CHECKOUT python tests/differential/regenerate.py
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data" / "differential"
# kind, seed, questions, further arguments: small enough to keep, large enough to hit every branch.
KEPT = [("plan", 2026, 300, ["--items", "16"])]


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    for kind, seed, count, more in KEPT:
        make = [sys.executable, HERE / "oracle/generate.py", kind, "--seed", str(seed), "--count", str(count), *more]
        questions = subprocess.run(make, check=True, capture_output=True, text=True).stdout
        ask = [sys.executable, HERE / "oracle/answer.py", kind]
        answers = subprocess.run(ask, check=True, input=questions, stdout=subprocess.PIPE, text=True).stdout
        with (DATA / f"{kind}.jsonl").open("w") as kept:
            for question, answer in zip(questions.splitlines(), answers.splitlines(), strict=True):
                pair = {"ask": json.loads(question), "answer": json.loads(answer)}
                kept.write(json.dumps(pair, separators=(",", ":")) + "\n")


main()
