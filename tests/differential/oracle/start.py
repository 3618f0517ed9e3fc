"""What the trainer does with a training configuration: train.py itself, run until it would begin to cache.

By then it has parsed the file, filled in defaults, made the model object by the type's own constructor and read every
dataset file. Loading weights is stubbed, so a missing model file is noticed only where the trainer looks by itself.
"""

import ast
import builtins
import contextlib
import io
import os
import sys
import traceback
from pathlib import Path

FOLDER = Path("DATA")

# The stages of train.py's main part, in its order, each with a name that first appears where the stage begins.
STAGES = [
    ("parse", "toml"), ("defaults", "set_config_defaults"), ("start", "AUTOCAST_DTYPE"), ("model", "model_type"),
    ("dataset file", "dataset_config"), ("batch sizes", "micro_batch_size_per_gpu"), ("optimizer", "gradient_release"),
    ("dataset", "train_data"), ("eval datasets", "eval_data_map"),
]  # fmt: skip


class Caching(BaseException):
    """Raised where the trainer would begin to cache."""


class Starter:
    stages = STAGES

    def __init__(self, trainer):
        self.trainer = trainer
        self.script = trainer.path / "train.py"
        source = self.script.read_text()
        self.code = compile(source, str(self.script), "exec")
        self.landmarks = landmarks(ast.parse(source), self.stages)
        self.dataset = trainer.dataset
        self.dataset.DatasetManager.cache = _caching
        import deepspeed

        deepspeed.add_config_arguments = _arguments
        builtins.quit = _quit

    def answer(self, case):
        self.trainer.start_over()
        self._lay_out(case.get("files", {}))
        config = FOLDER / "config.toml"
        config.write_text(case["config"], encoding="utf-8")
        scope = {"__name__": "__main__", "__file__": str(self.script)}
        said = io.StringIO()
        argv, sys.argv = sys.argv, ["train.py", "--deepspeed", "--config", str(config), *case.get("args", [])]
        try:
            with contextlib.redirect_stdout(said):
                self.run(scope)
            answer = {"accepted": True}
        except (SystemExit, Exception) as error:
            answer = {"accepted": False, "error": self._told(error)}
        finally:
            sys.argv = argv
        if answer["accepted"]:
            answer["config"] = self.kept(scope)
            answer["deepspeed"] = self._plain(scope["ds_config"])
        # What is not needed to tell one from another is left out.
        warnings = [line[:60] for line in said.getvalue().splitlines() if line.startswith("WARNING")]
        if warnings:
            answer["warnings"] = warnings
        return {"id": case.get("id"), **answer}

    def run(self, scope):
        with contextlib.suppress(Caching):
            exec(self.code, scope)
            raise AssertionError("train.py came to its end")

    def kept(self, scope):
        return self._plain(scope["config"])

    def _lay_out(self, files):
        for name in ("images", "more", "masks", "control", "captioned", "output", "models"):
            (FOLDER / name).mkdir(parents=True)
        (FOLDER / "captioned" / "captions.json").write_text("{}")
        (FOLDER / "mask.png").touch()
        self.trainer.lay_out_models(FOLDER / "models")
        for name, text in files.items():
            (FOLDER / name).write_text(text, encoding="utf-8")

    def _told(self, error):
        """Type, text, and the trainer's line it came from, with the function that line is in."""
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith(str(self.trainer.path))
        ]
        told = {"type": type(error).__name__, "text": str(error)}
        if frames:
            last = frames[-1]
            told["at"] = f"{os.path.relpath(last.filename, self.trainer.path)}:{last.lineno}"
            told["in"] = last.name
            told["stage"] = self._stage(next(frame.lineno for frame in frames if frame.filename == str(self.script)))
        return told

    def _stage(self, line):
        """How far train.py was, by its own landmarks."""
        return [name for name, first in self.landmarks if first <= line][-1]

    def _plain(self, value):
        if isinstance(value, dict):
            return {str(key): self._plain(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._plain(each) for each in value]
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            # JSON has no infinities.
            return value if value - value == 0 else repr(value)
        return repr(value)


def landmarks(tree, stages):
    """The line at which each stage begins: the next statement of the main part in which its name appears."""
    main = [node for node in tree.body if isinstance(node, ast.If)][-1].body
    found, at = [("arguments", 0)], -1
    for stage, name in stages:
        at = next(i for i in range(at + 1, len(main)) if name in _names(main[i]))
        found.append((stage, main[at].lineno))
    return found


def _names(statement):
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
    return names | {type(statement).__name__}


def _caching(*args, **kwargs):
    raise Caching


def _quit():
    raise SystemExit("quit")


def _arguments(parser):
    parser.add_argument("--deepspeed", action="store_true")
    parser.add_argument("--deepspeed_config")
    return parser
