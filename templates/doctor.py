"""Tells what this interpreter, its torch and its DeepSpeed are. Run by `dpgui doctor`, after `modules.py`.

`full` in the questions: import DeepSpeed too. Nothing that fails ends the script; the last line of the output is a
JSON object with what was found.
"""

import importlib.metadata  # noqa: E402  (after the search path has been looked at)
import re  # noqa: E402
import sysconfig  # noqa: E402
import warnings  # noqa: E402


def why(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def ask(question):
    """The answer, or None where this torch does not know the question."""
    try:
        return question()
    except Exception:
        return None


def arch_flags(torch):
    """`torch.cuda.get_arch_list()` is empty where no GPU answers; what was compiled in does not depend on that."""
    return ask(lambda: torch._C._cuda_getArchFlags().split()) or ask(torch.cuda.get_arch_list) or []


def gpus(torch):
    def one(index):
        it = torch.cuda.get_device_properties(index)
        return dict(name=it.name, capability=[it.major, it.minor])
    return ask(lambda: [one(index) for index in range(torch.cuda.device_count())]) or []


def torch_answer(torch):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
        nccl = ask(torch.cuda.nccl.version) if torch.distributed.is_available() else None
        return dict(
            version=str(torch.__version__), cuda=torch.version.cuda, available=available,
            archs=arch_flags(torch) if torch.version.cuda else [], gpus=gpus(torch) if available else [],
            nccl=".".join(map(str, nccl)) if isinstance(nccl, tuple) else None,
            said=next((str(it.message).splitlines()[0] for it in said if "CUDA" in str(it.message)), None))


def packages():
    """Versions by name, as PEP 503 writes names; the first on the search path is the one that is imported."""
    found = {}
    for it in importlib.metadata.distributions():
        name = it.metadata["Name"]
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), it.version)
    return found


headers = os.path.join(sysconfig.get_path("include") or "", "Python.h")
answer = dict(
    python=sys.version.split()[0], headers=headers, has_headers=os.path.exists(headers),
    problems=problems, winners=winners, packages=ask(packages) or {}, torch=None, torch_error=None, deepspeed=None, deepspeed_error=None)
try:
    import torch
    answer["torch"] = torch_answer(torch)
except BaseException as error:
    answer["torch_error"] = why(error)
try:
    answer["deepspeed"] = importlib.metadata.version("deepspeed")
    if questions["full"]:
        import deepspeed
        answer["deepspeed"] = deepspeed.__version__
except BaseException as error:
    answer["deepspeed_error"] = why(error)
print("\n" + json.dumps(answer))
