"""Imports torch and says what it is, as a JSON object. Run by `dpgui setup` while the environment is made."""

import json

import torch

print(json.dumps(dict(torch=torch.__version__, cuda=torch.version.cuda)))
