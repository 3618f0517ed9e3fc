"""Makes up questions for answer.py: `generate.py KIND --seed N --count N > questions`. The same seed, the same questions."""

import argparse
import json
import random

import ask_config
import ask_plan
import ask_run

KINDS = {"plan": ask_plan.question, "config": ask_config.question, "run": ask_run.question}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100, help="how many questions")
    parser.add_argument("--items", type=int, default=30, help="how many media files at most, for `plan`")
    args = parser.parse_args()
    for n in range(args.count):
        # Each question has its own generator, so that one of many can be made again alone.
        rng = random.Random(f"{args.kind} {args.seed} {n}")
        print(json.dumps({"id": f"{args.seed}.{n}", **KINDS[args.kind](rng, args)}, separators=(",", ":")))


if __name__ == "__main__":
    main()
