"""Asks this interpreter whether it is what a training needs. Run by `dpgui setup`, after `modules.py`.

torch is imported, because its libraries are what a machine may lack something for; if that was done while the
environment was made, `imported` has what came of it, and torch only must be this environment's. The rest is only looked
for: the packages are the locked ones to the last byte, and importing DeepSpeed costs as much time as installing it. The
doctor does that. The last line of the output is a JSON object with what was found.
"""

import importlib.metadata  # noqa: E402  (after the search path has been looked at)

found = questions["imported"]
if found is None:
    import torch

    found = dict(torch=torch.__version__, cuda=torch.version.cuda)
else:
    problems += module_problems("torch", sys.prefix)

if importlib.util.find_spec("deepspeed") is None:
    problems.append("the module `deepspeed` is not found")

print(json.dumps(dict(
    found, deepspeed=importlib.metadata.version("deepspeed"), problems=problems)))
