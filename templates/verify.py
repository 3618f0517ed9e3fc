"""Asks this interpreter whether it is what a training needs. Run by `dpgui setup` with `python -c`.

The argument is a JSON object: `libs`, the symlink farm; `farm`, the modules that must come from there; `trainer`, the
trainer's checkout or null. The last line of the output is a JSON object with what was found.
"""

import importlib.util
import json
import os
import sys


def module_problems(name, home):
    """Says why `name` would not be imported from the folder `home`, if so.

    A regular package anywhere on the path beats a namespace package (a folder without `__init__.py`, as `comfy` is)
    that stands before it, so the place alone proves nothing: the finder is asked, without importing anything.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:
        return [f"the module `{name}` is not found; it should come from `{home}`"]
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
    inside = [place for place in places if os.path.abspath(place).startswith(os.path.join(home, ""))]
    if inside[:1] == places[:1] and places:
        return []
    return [f"the module `{name}` would come from `{places[0] if places else 'nowhere'}` instead of `{home}`"]


questions = json.loads(sys.argv[1])
problems = []
trainer = questions["trainer"]
if trainer:
    # What Python itself does for `python train.py`: the script's folder comes first.
    sys.path[0] = trainer
    for name in ("utils", "models", "optimizers"):
        if os.path.isdir(os.path.join(trainer, name)):
            problems += module_problems(name, trainer)
    for name in questions["farm"]:
        problems += module_problems(name, questions["libs"])
    sys.path[0] = ""

import torch  # noqa: E402  (after the search path has been looked at)
import deepspeed  # noqa: E402

print(json.dumps(dict(
    torch=torch.__version__, deepspeed=deepspeed.__version__, cuda=torch.version.cuda, problems=problems)))
