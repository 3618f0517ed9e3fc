"""Stands in for the packages the trainer imports and we do not want: torch, ComfyUI, DeepSpeed and the like.

A stub takes any use without complaint: attribute, call, base class, decorator, `with`, iteration (empty, or as many
stubs as an unpacking asks for). None of the numbers we ask the trainer for goes through one.
"""

import abc
import collections
import dis
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from pathlib import Path

STUBBED = {
    "Lumina_2", "accelerate", "bitsandbytes", "comfy", "comfy_api", "comfy_kitchen", "cosmos1", "deepspeed",
    "diffusers", "easydict", "einops", "fast_hadamard_transform", "flash_attn", "flash_attn_interface", "ftfy",
    "hi_diffusers", "hyimage", "hyvideo", "loguru", "ltx_video", "omnigen2", "optimum", "peft", "regex", "safetensors", "src", "torch", "torchao", "torchaudio", "torchvision",
    "transformers", "triton", "wandb",
}  # fmt: skip

# Packages of optimizers, for whose arguments the real ones are needed. They are Python over torch, and a stub of torch
# does for that; of bitsandbytes only this part.
REAL = {"optimi", "pytorch_optimizer", "bitsandbytes.optim"}


class PermissiveType(abc.ABCMeta):
    def __getattr__(cls, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Stub(f"{cls.__name__}.{name}")


class Permissive(metaclass=PermissiveType):
    """What a class becomes that derives from a stub, and what a call of a stub gives."""

    def __init__(self, *args, **kwargs):
        pass

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Stub(name)

    def __init_subclass__(cls, **kwargs):
        pass


def _wanted_by_unpacking(frame):
    """How many values the running `a, b = stub` wants; none when it is a loop."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at + 1] if code[at] == dis.opmap["UNPACK_SEQUENCE"] else 0


class Stub:
    def __init__(self, name):
        object.__setattr__(self, "_stub_name", name)

    def __repr__(self):
        return self._stub_name

    def __getattr__(self, name):
        if name == "__name__":
            return self._stub_name.rpartition(".")[2]
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        made = Stub(f"{self._stub_name}.{name}")
        object.__setattr__(self, name, made)
        return made

    def __call__(self, *args, **kwargs):
        # A decorator, with or without its own arguments, leaves what it decorates alone.
        if len(args) == 1 and not kwargs and isinstance(args[0], (types.FunctionType, type)):
            return args[0]
        return Stub(f"{self._stub_name}()")

    def __mro_entries__(self, bases):
        # A class of its own, or two stubs among the ancestors could not be put in one order.
        if "_stub_class" not in self.__dict__:
            object.__setattr__(self, "_stub_class", type(self._stub_name, (Permissive,), {}))
        return (self._stub_class,)

    def __instancecheck__(self, instance):
        return False

    def __subclasscheck__(self, subclass):
        return False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return False

    def __iter__(self):
        return iter([Stub(f"{self._stub_name}[{i}]") for i in range(_wanted_by_unpacking(sys._getframe(1)))])

    def __getitem__(self, key):
        return Stub(f"{self._stub_name}[]")

    def __setitem__(self, key, value):
        pass

    def __contains__(self, key):
        return False

    def __len__(self):
        return 0

    def __bool__(self):
        return True

    def __index__(self):
        return 0

    __int__ = __index__

    def __float__(self):
        return 0.0

    def __format__(self, wanted):
        return self._stub_name

    def __fspath__(self):
        return "/nowhere"

    def __lt__(self, other):
        return False

    __le__ = __gt__ = __ge__ = __lt__

    def _arithmetic(self, *others):
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _arithmetic
    __floordiv__ = __rfloordiv__ = __mod__ = __pow__ = __rpow__ = __neg__ = __matmul__ = _arithmetic
    __or__ = __ror__ = __and__ = __invert__ = _arithmetic


class StubModule(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        made = Stub(f"{self.__name__}.{name}")
        setattr(self, name, made)
        return made


class Version(str):
    """Compares with text and, as torch's does, with a tuple."""

    def __ge__(self, other):
        return tuple(map(int, self.split("."))) >= other if isinstance(other, tuple) else str.__ge__(self, other)

    def __lt__(self, other):
        return not self >= other


class _Loader(importlib.abc.Loader):
    def create_module(self, spec):
        return StubModule(spec.name)

    def exec_module(self, module):
        module.__path__ = []
        module.__file__ = f"<stub {module.__name__}>"
        module.__version__ = Version("2.9.0")


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == real or name.startswith(f"{real}.") for real in REAL):
            # Their parent may be a stub, which has no folder to look in.
            where = [str(Path(entry, *name.split(".")[:-1])) for entry in sys.path]
            return importlib.machinery.PathFinder.find_spec(name, where)
        if name.split(".")[0] in STUBBED:
            return importlib.machinery.ModuleSpec(name, _Loader(), is_package=True)
        return None


class Optimizer(Permissive):
    """Of torch's, the part that looks at its arguments: groups of parameters with the defaults filled in."""

    def __init__(self, params, defaults):
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults = defaults
        self.state = collections.defaultdict(dict)
        self.param_groups = [{**defaults, **group} for group in groups]


def install():
    sys.meta_path.insert(0, _Finder())
    import torch.optim

    torch.optim.Optimizer = torch.optim.optimizer.Optimizer = Optimizer
    for name in sorted(REAL):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            sys.exit(f"no package for `{name}`: see tests/differential/README.md")
