"""Asks this interpreter whether it is what a training needs. Run by `dpgui setup`, after `modules.py`.

The last line of the output is a JSON object with what was found.
"""

import torch  # noqa: E402  (after the search path has been looked at)
import deepspeed  # noqa: E402

print(json.dumps(dict(
    torch=torch.__version__, deepspeed=deepspeed.__version__, cuda=torch.version.cuda, problems=problems)))
