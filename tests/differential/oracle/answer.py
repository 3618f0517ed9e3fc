"""Questions as JSON lines in, the trainer's answers as JSON lines out: `answer.py KIND < questions > answers`."""

import json
import os
import sys


def main():
    kinds = {"plan": _plan}
    if len(sys.argv) != 2 or sys.argv[1] not in kinds:
        sys.exit(f"usage: answer.py {'|'.join(kinds)} < questions > answers")
    # What the trainer prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import trainer

    subject = trainer.Trainer()
    try:
        answer = kinds[sys.argv[1]](subject)
        for line in sys.stdin:
            answers.write(json.dumps(answer(json.loads(line)), separators=(",", ":")) + "\n")
            answers.flush()
    finally:
        subject.close()


def _plan(subject):
    import plan

    return plan.Planner(subject).answer


main()
