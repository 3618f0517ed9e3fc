"""Asks this interpreter where it would import the trainer's modules from. The first part of what `dpgui setup` and
`dpgui doctor` run with `python -c`; `verify.py` or `doctor.py` follows.

The argument is a JSON object: `libs`, the symlink farm; `farm`, the modules that must come from there; `trainer`, the
trainer's checkout or null.
"""

import importlib.util
import json
import os
import sys


def place(name):
    """Where `name` would be imported from; None where it is not found."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or []), "nowhere")


def module_problems(name, home):
    """Says why `name` would not be imported from the folder `home`, if so.

    A regular package anywhere on the path beats a namespace package (a folder without `__init__.py`, as `comfy` is)
    that stands before it, so the place alone proves nothing: the finder is asked, without importing anything.
    """
    found = place(name)
    if found is None:
        return [f"the module `{name}` is not found; it should come from `{home}`"]
    if os.path.abspath(found).startswith(os.path.join(home, "")):
        return []
    return [f"the module `{name}` would come from `{found}` instead of `{home}`"]


questions = json.loads(sys.argv[1])
problems = []
winners = {}
trainer = questions["trainer"]
if trainer:
    # What Python itself does for `python train.py`: the script's folder comes first.
    sys.path[0] = trainer
    for name in ("utils", "models", "optimizers"):
        if os.path.isdir(os.path.join(trainer, name)):
            problems += module_problems(name, trainer)
            winners[name] = place(name)
    for name in questions["farm"]:
        problems += module_problems(name, questions["libs"])
        winners[name] = place(name)
    sys.path[0] = ""
