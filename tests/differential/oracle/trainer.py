"""The trainer's own modules, imported from a checkout with stubs for what needs a GPU."""

import contextlib
import importlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

# The real ones, loaded before the stubs so that their own optional imports of torch find nothing.
import datasets  # noqa: F401
import imageio  # noqa: F401
import multiprocess  # noqa: F401
import numpy  # noqa: F401
import toml  # noqa: F401
import tqdm  # noqa: F401
from PIL import Image, ImageOps  # noqa: F401

import stubs

# Where the checkpoints of `Trainer.model` lie, from the working directory.
WEIGHTS = "weights"
COMMIT = "8f83dbf25d03219df705570ec03e62be04bc402f"

# The pipeline class of each `[model] type`, as the if/elif chain of train.py has it; `Trainer` holds this
# table against that chain.
PIPELINES = {
    "flux": ("models.flux", "FluxPipeline"),
    "ltx-video": ("models.ltx_video", "LTXVideoPipeline"),
    "hunyuan-video": ("models.hunyuan_video", "HunyuanVideoPipeline"),
    "sdxl": ("models.sdxl", "SDXLPipeline"),
    "cosmos": ("models.cosmos", "CosmosPipeline"),
    "lumina_2": ("models.lumina_2", "Lumina2Pipeline"),
    "wan": ("models.wan.wan", "WanPipeline"),
    "chroma": ("models.chroma", "ChromaPipeline"),
    "hidream": ("models.hidream", "HiDreamPipeline"),
    "sd3": ("models.sd3", "SD3Pipeline"),
    "cosmos_predict2": ("models.cosmos_predict2", "CosmosPredict2Pipeline"),
    "anima": ("models.cosmos_predict2", "CosmosPredict2Pipeline"),
    "omnigen2": ("models.omnigen2", "OmniGen2Pipeline"),
    "qwen_image": ("models.qwen_image", "QwenImagePipeline"),
    "hunyuan_image": ("models.hunyuan_image", "HunyuanImagePipeline"),
    "auraflow": ("models.auraflow", "AuraFlowPipeline"),
    "z_image": ("models.z_image", "ZImagePipeline"),
    "hunyuan_video_15": ("models.hunyuan_video_15", "HunyuanVideo15Pipeline"),
    "flux2": ("models.flux2", "Flux2Pipeline"),
    "ernie_image": ("models.ernie_image", "ErnieImagePipeline"),
    "ltx2": ("models.ltx2", "LTX2Pipeline"),
    "ideogram4": ("models.ideogram4", "Ideogram4Pipeline"),
    "krea2": ("models.krea2", "Krea2Pipeline"),
    "minimax_h3": ("models.minimax_h3", "MinimaxH3Pipeline"),
}

# What the `wan` type turns into depends on the checkpoint's config.json, its tensor names and its folder's name:
# folder, config.json, tensor names.
WAN_VARIANTS = {
    "t2v": ("wan2.1-t2v", {"model_type": "t2v", "dim": 5120}, {}),
    "t2v_1.3b": ("wan2.1-t2v-1.3b", {"model_type": "t2v", "dim": 1536}, {}),
    "i2v": ("wan2.1-i2v", {"model_type": "i2v", "dim": 5120}, {"blocks.0.cross_attn.k_img.weight": 5120}),
    "i2v_2.2": ("wan2.2-i2v", {"model_type": "i2v", "dim": 5120}, {}),
    "flf2v": ("wan2.1-flf2v", {"model_type": "flf2v", "dim": 5120}, {}),
    "ti2v": ("wan2.2-ti2v-5b", {"model_type": "ti2v", "dim": 3072}, {}),
    "skyreels": ("SkyReels-V2", {"model_type": "t2v", "dim": 5120}, {}),
    "skyreels_i2v": ("SkyReels-V2-i2v", {"model_type": "i2v", "dim": 5120}, {"blocks.0.cross_attn.k_img.weight": 5120}),
}

# The width of `img_in.weight` tells the members of the Flux 2 family apart.
FLUX2_VARIANTS = {"dev": 6144, "klein_4b": 3072, "klein_9b": 4096}


class Checkpoint:
    """A safetensors file of which only names and first dimensions are looked at."""

    contents = {}

    def __init__(self, path, *args, **kwargs):
        self._tensors = self.contents.get(str(path), {})

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return False

    def keys(self):
        return list(self._tensors)

    def get_tensor(self, name):
        tensor = stubs.Stub(name)
        tensor.__dict__["shape"] = (self._tensors[name], self._tensors[name])
        return tensor

    def metadata(self):
        return {}


def checkout():
    path = os.environ.get("DPGUI_DIFFUSION_PIPE")
    if not path:
        sys.exit("set `DPGUI_DIFFUSION_PIPE` to a checkout of the trainer")
    path = Path(path).resolve()
    if not (path / "train.py").is_file():
        sys.exit(f"no `train.py` in `{path}`")
    return path


class Trainer:
    """The imported trainer."""

    def __init__(self):
        self.path = checkout()
        # The trainer makes folders for every dataset; in memory that is twice as fast.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.scratch = Path(tempfile.mkdtemp(prefix="dpgui-oracle-", dir=memory))
        # The trainer wants to stand in its checkout. Here that is a folder of links, so that what it writes stays
        # here, and a relative path in a question means the same wherever the checkout is.
        for entry in self.path.iterdir():
            if entry.name != ".git":
                (self.scratch / entry.name).symlink_to(entry)
        os.chdir(self.scratch)
        sys.path.insert(0, str(self.path))
        stubs.install()
        import torch
        import deepspeed.comm
        import deepspeed.comm.comm
        import hyvideo.constants
        import safetensors

        for module in (deepspeed.comm, deepspeed.comm.comm):
            module.get_rank = lambda *args: 0
            module.get_world_size = lambda *args: 1
        torch.is_tensor = lambda value: False
        hyvideo.constants.PRECISION_TO_TYPE = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
        safetensors.safe_open = Checkpoint
        with contextlib.redirect_stdout(io.StringIO()):
            self.dataset = importlib.import_module("utils.dataset")
            self.base = importlib.import_module("models.base")
        types = set(re.findall(r"model_type == '([^']+)'", (self.path / "train.py").read_text()))
        assert types == set(PIPELINES), types ^ set(PIPELINES)
        self.common = importlib.import_module("utils.common")
        self.lay_out_models(Path(WEIGHTS))
        self.log = Log()
        self.dataset.logger = self.log
        self._models = {}

    def close(self):
        os.chdir("/")
        shutil.rmtree(self.scratch, ignore_errors=True)

    def pipeline(self, model_type):
        module, name = PIPELINES[model_type]
        return getattr(importlib.import_module(module), name)

    def model(self, model_type, variant=None):
        """The trainer's pipeline object, made by its own constructor from a minimal `[model]`."""
        key = (model_type, variant)
        if key not in self._models:
            with contextlib.redirect_stdout(io.StringIO()):
                self._models[key] = self.pipeline(model_type)({"model": self.minimal_model(model_type, variant)})
        return self._models[key]

    def minimal_model(self, model_type, variant=None):
        where = WEIGHTS
        import torch

        model = {"type": model_type, "dtype": torch.bfloat16}
        for key in ("diffusers_path", "ckpt_path", "single_file_path", "checkpoint_path", "transformer_path",
                    "vae_path", "llm_path", "t5_path", "text_encoder_path", "byt5_path", "llama3_path", "clip_path",
                    "diffusion_model", "vae", "audio_vae", "text_encoder"):  # fmt: skip
            model[key] = f"{where}/{key}.safetensors"
        model["max_sequence_length"] = 512
        model["text_encoders"] = [{"path": f"{where}/te.safetensors", "type": "flux2"}]
        if model_type == "anima":
            del model["t5_path"]
        if model_type == "wan":
            model["ckpt_path"] = f"{where}/{WAN_VARIANTS[variant or 't2v'][0]}"
            del model["transformer_path"]
        if model_type == "flux2":
            model["diffusion_model"] = f"{where}/flux2-{variant or 'dev'}.safetensors"
        return model

    def lay_out_models(self, folder):
        """The few model files whose content steers the trainer before it loads any weights."""
        for name, config, tensors in WAN_VARIANTS.values():
            made = folder / name
            made.mkdir(parents=True, exist_ok=True)
            (made / "config.json").write_text(json.dumps(config))
            (made / "weights.safetensors").touch()
            Checkpoint.contents[str(made / "weights.safetensors")] = tensors
        # Wan 2.2 comes in two halves, and its top folder has no config.json.
        for half in ("low_noise_model", "high_noise_model"):
            made = folder / "wan2.2-t2v-a14b" / half
            made.mkdir(parents=True, exist_ok=True)
            (made / "config.json").write_text(json.dumps(WAN_VARIANTS["t2v"][1]))
            (made / "weights.safetensors").touch()
        for part in ("adapter", "qwen-image/text_encoder", "qwen-image/transformer", "qwen-image/vae"):
            made = folder / part
            made.mkdir(parents=True, exist_ok=True)
            (made / "weights.safetensors").touch()
        for variant, width in FLUX2_VARIANTS.items():
            Checkpoint.contents[str(folder / f"flux2-{variant}.safetensors")] = {"img_in.weight": width}

    def start_over(self):
        """Takes away what a run left behind, and puts back what train.py sets outside itself."""
        for entry in self.scratch.iterdir():
            if not entry.is_symlink() and entry.name != WEIGHTS:
                shutil.rmtree(entry, ignore_errors=True)
        self.common.AUTOCAST_DTYPE = None
        self.dataset.UNCOND_FRACTION = 0.0


class Log:
    """Takes the place of DeepSpeed's logger and keeps the last line."""

    def __init__(self):
        self.last = None

    def warning(self, line):
        self.last = line

    info = error = warning
