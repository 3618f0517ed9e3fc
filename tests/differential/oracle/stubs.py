"""Stands in for the packages the trainer imports and we do not want: torch, ComfyUI, DeepSpeed and the like.

A stub takes any use without complaint: attribute, call, base class, decorator, `with`, iteration (empty, or as many
stubs as an unpacking asks for). None of the numbers we ask the trainer for goes through one.
"""

import dis
import importlib.abc
import importlib.machinery
import sys
import types

STUBBED = {
    "Lumina_2", "accelerate", "bitsandbytes", "comfy", "comfy_api", "comfy_kitchen", "cosmos1", "deepspeed",
    "diffusers", "easydict", "einops", "fast_hadamard_transform", "flash_attn", "flash_attn_interface", "ftfy",
    "hi_diffusers", "hyimage", "hyvideo", "loguru", "ltx_video", "omnigen2", "optimi", "optimum", "peft",
    "pytorch_optimizer", "regex", "safetensors", "src", "torch", "torchao", "torchaudio", "torchvision",
    "transformers", "wandb",
}  # fmt: skip


class Permissive:
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
    code = frame.f_code
    for instruction in dis.get_instructions(code):
        if instruction.offset == frame.f_lasti:
            return instruction.arg if instruction.opname == "UNPACK_SEQUENCE" else 0
    return 0


class Stub:
    def __init__(self, name):
        object.__setattr__(self, "_stub_name", name)

    def __repr__(self):
        return self._stub_name

    def __getattr__(self, name):
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
        first = next(base for base in bases if isinstance(base, Stub))
        return (Permissive,) if first is self else ()

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


class _Loader(importlib.abc.Loader):
    def create_module(self, spec):
        return StubModule(spec.name)

    def exec_module(self, module):
        module.__path__ = []
        module.__file__ = f"<stub {module.__name__}>"
        module.__version__ = "0"


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in STUBBED:
            return importlib.machinery.ModuleSpec(name, _Loader(), is_package=True)
        return None


def install():
    sys.meta_path.insert(0, _Finder())
