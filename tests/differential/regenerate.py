"""Writes the expected values under tests/data/differential: our questions with the trainer's answers.

    DPGUI_DIFFUSION_PIPE=CHECKOUT python tests/differential/regenerate.py
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MOST_TEXT = 60
DATA = HERE.parent / "data" / "differential"
# kind, seed, questions, further arguments: small enough to keep, large enough to hit every branch.
KEPT = [("plan", 2026, 300, ["--items", "16"]), ("config", 2026, 450, []), ("run", 2026, 400, [])]


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    for kind, seed, count, more in KEPT:
        make = [sys.executable, HERE / "oracle/generate.py", kind, "--seed", str(seed), "--count", str(count), *more]
        questions = subprocess.run(make, check=True, capture_output=True, text=True).stdout
        ask = [sys.executable, HERE / "oracle/answer.py", kind]
        answers = subprocess.run(ask, check=True, input=questions, stdout=subprocess.PIPE, text=True).stdout
        with (DATA / f"{kind}.jsonl").open("w") as kept:
            for question, answer in zip(questions.splitlines(), answers.splitlines(), strict=True):
                pair = {"ask": json.loads(question), "answer": shortened(json.loads(answer))}
                kept.write(json.dumps(pair, separators=(",", ":")) + "\n")


def shortened(answer):
    """Of the trainer's texts as much as tells one from another."""
    if "error" in answer:
        answer["error"]["text"] = answer["error"]["text"][:MOST_TEXT]
    if "error" in answer.get("epoch", {}):
        answer["epoch"]["error"] = answer["epoch"]["error"][:MOST_TEXT]
    return answer


main()
