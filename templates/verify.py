"""Asks this interpreter whether it is what a training needs. Run by `dpgui setup`, after `modules.py`.

torch is imported, because its libraries are what a machine may lack something for. The rest is only looked for: the
packages are the locked ones to the last byte, and importing DeepSpeed costs as much time as installing it. The doctor
does that. The last line of the output is a JSON object with what was found.
"""

import importlib.metadata  # noqa: E402  (after the search path has been looked at)

import torch  # noqa: E402

if importlib.util.find_spec("deepspeed") is None:
    problems.append("the module `deepspeed` is not found")

print(json.dumps(dict(
    torch=torch.__version__, deepspeed=importlib.metadata.version("deepspeed"), cuda=torch.version.cuda,
    problems=problems)))
