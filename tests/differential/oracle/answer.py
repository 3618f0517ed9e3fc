"""Questions as JSON lines in, the trainer's answers as JSON lines out: `answer.py KIND < questions > answers`."""

import json
import os
import sys


def main():
    kinds = {"plan": _plan, "config": _config, "run": _run}
    if len(sys.argv) != 2 or sys.argv[1] not in kinds:
        sys.exit(f"usage: answer.py {'|'.join(kinds)} < questions > answers")
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    _guard()
    import trainer

    subject = trainer.Trainer()
    try:
        answer = kinds[sys.argv[1]](subject)
        for line in questions:
            answers.write(json.dumps(answer(json.loads(line)), separators=(",", ":")) + "\n")
            answers.flush()
            _guard()
    finally:
        subject.close()


def _guard():
    """Points the standard input and output at nothing: the trainer prints, and `dataset = 0` opens its stdin."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    if nothing > 2:
        os.close(nothing)


def _plan(subject):
    import plan

    return plan.Planner(subject).answer


def _config(subject):
    import start

    return start.Starter(subject).answer


def _run(subject):
    import whole_run

    return whole_run.Follower(subject).answer


main()
