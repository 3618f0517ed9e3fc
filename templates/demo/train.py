"""Trains a LoRA on a tiny diffusion transformer: the trainer behind `dpgui demo`.

It stands in for diffusion-pipe on machines without a GPU, model files or GitHub. The model is small, the rest
is real: flow matching on 16x16 images, DeepSpeed's pipeline engine, its launcher, its checkpoints.

    deepspeed --num_gpus=2 train.py --deepspeed --config demo.toml [--resume_from_checkpoint [RUN]]

Kept from diffusion-pipe, so that whatever supervises one can supervise the other:

  flags and keys  the same names and meanings; what is not implemented is refused, never ignored
  paths           relative to the working directory; no `~`, no variables
  stdout          `steps: N loss: X ...` from DeepSpeed, `Started new epoch: N`, `TRAINING COMPLETE!`, ...
  run folder      OUTPUT_DIR/<UTC time>/ with epochN/ and stepN/ (the adapter), global_stepN/ and `latest` (the
                  state to resume from), TensorBoard events, copies of both configuration files
  control files   `save` in the run folder asks for a checkpoint, `save_quit` for a checkpoint and the end

Bad input ends the run with one `error: ...` line and exit code 1.
"""

import argparse
import importlib
import json
import math
import os
import shutil
import sys
import time
import zlib
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, NamedTuple

import deepspeed
import numpy as np
import safetensors.torch
import toml
import torch
import torch.nn.functional as F
from deepspeed import comm as dist
from deepspeed.accelerator import get_accelerator
from deepspeed.pipe import PipelineModule
from PIL import Image, ImageOps
from torch import nn
from tqdm import tqdm

SEED = 0  # every rank builds the same base weights from it, so there is nothing to download
RESOLUTION = 16  # pixels
PATCH = 2  # pixels; 64 patches make one image
WIDTH = 64  # of a token
HEADS = 4
DEPTH = 4  # blocks; with the layers before and after them 6 layers to split into stages
CAPTION_WIDTH = 64  # of a caption's embedding
IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}  # in small or capital letters


class InputError(Exception):
    """Something the user wrote or chose is wrong; the message is the one line they see."""


# --- Configuration ---------------------------------------------------------------------------------------------------

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Kind(NamedTuple):
    """What a key's value may be: in words, and as a test."""

    wanted: str
    accepts: Callable


def one_of(*choices):
    return Kind(" or ".join(map(repr, choices)), lambda value: value in choices)


TEXT = Kind("a text that is not empty", lambda value: isinstance(value, str) and value)
# `type`, because `true` is an instance of int.
COUNT = Kind("a whole number of at least 1", lambda value: type(value) is int and value >= 1)
COUNT_OR_ZERO = Kind("a whole number of at least 0", lambda value: type(value) is int and value >= 0)
NUMBER = Kind("a number of at least 0", lambda value: type(value) in (int, float) and value >= 0)
PAIR = Kind("two numbers", lambda value: isinstance(value, list) and list(map(NUMBER.accepts, value)) == [True] * 2)
TABLE = Kind("a table", lambda value: isinstance(value, dict))
TABLES = Kind("tables", lambda value: isinstance(value, list) and value and all(map(TABLE.accepts, value)))
DTYPE = one_of("float32", "bfloat16")

REQUIRED = object()
TRAINING_KEYS = {
    "output_dir": (TEXT, REQUIRED),
    "dataset": (TEXT, REQUIRED),
    "epochs": (COUNT, REQUIRED),
    "max_steps": (COUNT, None),
    "micro_batch_size_per_gpu": (COUNT, 1),
    "pipeline_stages": (COUNT, 1),
    "gradient_accumulation_steps": (COUNT, 1),
    "gradient_clipping": (NUMBER, 1.0),
    "warmup_steps": (COUNT_OR_ZERO, 0),
    "lr_scheduler": (one_of("constant", "linear", "cosine"), "constant"),
    "save_every_n_epochs": (COUNT, None),
    "save_every_n_steps": (COUNT, None),
    "save_dtype": (one_of(*DTYPES), None),
    "checkpoint_every_n_epochs": (COUNT, None),
    "checkpoint_every_n_minutes": (NUMBER, None),
    "steps_per_print": (COUNT, 1),
    "logging_steps": (COUNT, 1),
    "resume_from_checkpoint": (TEXT, None),
    "model": (TABLE, REQUIRED),
    "adapter": (TABLE, REQUIRED),
    "optimizer": (TABLE, REQUIRED),
}
MODEL_KEYS = {"type": (one_of("demo"), REQUIRED), "dtype": (DTYPE, REQUIRED)}
ADAPTER_KEYS = {"type": (one_of("lora"), REQUIRED), "rank": (COUNT, REQUIRED), "dtype": (DTYPE, None)}
OPTIMIZER_KEYS = {
    "type": (one_of("adamw"), REQUIRED),
    "lr": (NUMBER, 1e-3),
    "betas": (PAIR, [0.9, 0.999]),
    "weight_decay": (NUMBER, 1e-2),
    "eps": (NUMBER, 1e-8),
}
DATASET_KEYS = {"resolutions": (one_of([RESOLUTION]), REQUIRED), "directory": (TABLES, REQUIRED)}
DIRECTORY_KEYS = {"path": (TEXT, REQUIRED), "num_repeats": (COUNT, 1)}


def read_table(values, keys, where):
    """Checks one TOML table and fills in what it leaves out."""
    for key in values:
        if key not in keys:
            raise InputError(f"{where}: unknown key `{key}`; known are {', '.join(keys)}")
    for key, (kind, default) in keys.items():
        if key not in values and default is REQUIRED:
            raise InputError(f"{where}: the key `{key}` is missing")
        if key in values and not kind.accepts(values[key]):
            raise InputError(f"{where}: `{key}` is {values[key]!r}, must be {kind.wanted}")
    return SimpleNamespace(**{key: values.get(key, default) for key, (_, default) in keys.items()})


def read_toml(path):
    try:
        return toml.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, IndexError) as error:  # the second is how this parser meets some syntax errors
        raise InputError(f"{path}: {error}") from error


def read_settings(path):
    settings = read_table(read_toml(path), TRAINING_KEYS, path)
    settings.model = read_table(settings.model, MODEL_KEYS, f"{path}: [model]")
    settings.adapter = read_table(settings.adapter, ADAPTER_KEYS, f"{path}: [adapter]")
    settings.optimizer = read_table(settings.optimizer, OPTIMIZER_KEYS, f"{path}: [optimizer]")
    if settings.save_every_n_epochs is None and settings.save_every_n_steps is None:
        raise InputError(f"{path}: set `save_every_n_epochs` or `save_every_n_steps`")
    settings.adapter.dtype = settings.adapter.dtype or settings.model.dtype
    return settings


# --- Data ------------------------------------------------------------------------------------------------------------


def cache_dataset(path):
    """Reads every image and caption once: arrays of latents and of caption embeddings, one row per example."""
    dataset = read_table(read_toml(path), DATASET_KEYS, path)
    latents, captions = [], []
    for directory in dataset.directory:
        directory = read_table(directory, DIRECTORY_KEYS, f"{path}: [[directory]]")
        if not Path(directory.path).is_dir():
            raise InputError(f"{path}: the folder `{directory.path}` does not exist")
        files = sorted(Path(directory.path).iterdir())
        images = [file for file in files if file.suffix.lower() in IMAGES and file.is_file()]
        if not images:
            raise InputError(f"{path}: the folder `{directory.path}` holds no image")
        print(f"caching latents: {directory.path}")
        # Seconds between two redraws; at the default of 0.1 so small a dataset would be through after the first.
        bar = tqdm(images, mininterval=0.002)
        latents += [encode_image(image) for image in bar] * directory.num_repeats
        print(f"caching text embeddings: {directory.path}")
        captions += [encode_caption(image.with_suffix(".txt")) for image in images] * directory.num_repeats
    return np.stack(latents), np.stack(captions)


def encode_image(path):
    """The demo's autoencoder: centre-cropped pixels between -1 and 1, channels first."""
    with Image.open(path) as image:
        pixels = ImageOps.fit(image.convert("RGB"), (RESOLUTION, RESOLUTION))
    return np.asarray(pixels, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1


def encode_caption(path):
    """The demo's text encoder: each word is a fixed random vector, a caption their normalised sum."""
    words = path.read_text(encoding="utf-8").lower().split()
    if not words:
        raise InputError(f"the caption `{path}` is empty")
    vectors = [np.random.default_rng(zlib.crc32(word.encode())).standard_normal(CAPTION_WIDTH) for word in words]
    return (np.sum(vectors, axis=0) / math.sqrt(len(words))).astype(np.float32)


class Loader:
    """Deals out shuffled batches for ever and knows the place, so that a resumed run goes on where it stopped.

    Every random number follows from the seed, the epoch, the batch and the data-parallel rank. So the first
    stage, which needs the noisy images, and the last, which needs the targets, draw the same noise and need
    not send it; and a resumed run sees exactly what it would have seen.
    """

    def __init__(self, latents, captions, settings, data_rank, data_ranks):
        self.latents, self.captions = latents, captions
        self.data_rank, self.data_ranks = data_rank, data_ranks
        self.micro_batch = settings.micro_batch_size_per_gpu
        self.global_batch = self.micro_batch * settings.gradient_accumulation_steps * data_ranks
        self.batches_per_epoch = len(latents) // self.global_batch
        self.epoch, self.batch = 1, 0  # of the next batch; epochs count from 1 as in every printed line

    def next_batch(self):
        """One optimizer step's worth of micro-batches for this rank: ((noisy image, time, caption), velocity)."""
        order = np.random.default_rng([SEED, self.epoch]).permutation(len(self.latents))
        start = self.batch * self.global_batch
        mine = order[start : start + self.global_batch][self.data_rank :: self.data_ranks]
        images = self.latents[mine]

        rng = np.random.default_rng([SEED, self.epoch, self.batch, self.data_rank])
        noise = rng.standard_normal(images.shape, dtype=np.float32)
        # Logit-normal times favour the middle of the path, where there is most to learn.
        times = 1 / (1 + np.exp(-rng.standard_normal((len(mine), 1), dtype=np.float32)))
        mix = times[:, :, None, None]
        noisy, velocity = (1 - mix) * images + mix * noise, noise - images

        self.batch += 1
        if self.batch == self.batches_per_epoch:
            self.epoch, self.batch = self.epoch + 1, 0
        columns = [
            torch.from_numpy(column).split(self.micro_batch)
            for column in (noisy, times, self.captions[mine], velocity)
        ]
        return iter([((x, t, caption), target) for x, t, caption, target in zip(*columns)])

    def state_dict(self):
        return {"epoch": self.epoch, "num_batches_pulled": self.batch}

    def load_state_dict(self, state):
        self.epoch, self.batch = state["epoch"], state["num_batches_pulled"]


# --- Model -----------------------------------------------------------------------------------------------------------


class Embed(nn.Module):
    """Before the blocks: patches of the noisy image, its time and its caption become tokens.

    Time and caption are tokens like any other, so that one tensor is all that passes between two stages.
    """

    def __init__(self):
        super().__init__()
        self.patch = nn.Linear(3 * PATCH**2, WIDTH)
        self.time = nn.Linear(WIDTH, WIDTH)
        self.caption = nn.Linear(CAPTION_WIDTH, WIDTH)
        self.position = nn.Parameter(torch.randn((RESOLUTION // PATCH) ** 2, WIDTH))
        self.register_buffer("frequencies", torch.logspace(0, 2, WIDTH // 2), persistent=False)

    def forward(self, inputs):
        noisy, times, captions = inputs
        patches = F.pixel_unshuffle(noisy, PATCH).flatten(2).transpose(1, 2)
        angles = times * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        return torch.cat([self.patch(patches) + self.position, time[:, None], self.caption(captions)[:, None]], dim=1)


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, dim=2))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Head(nn.Module):
    """After the blocks: the image's tokens become its predicted velocity; it starts at zero."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.velocity = nn.Linear(WIDTH, 3 * PATCH**2)
        nn.init.zeros_(self.velocity.weight)
        nn.init.zeros_(self.velocity.bias)

    def forward(self, x):
        side = RESOLUTION // PATCH
        patches = self.velocity(self.norm(x[:, : side**2]).to(self.velocity.weight.dtype))
        return F.pixel_shuffle(patches.transpose(1, 2).unflatten(2, (side, side)), PATCH)


class LoraLinear(nn.Module):
    """A frozen linear layer and its trained low-rank correction; alpha equals the rank, so there is no scale."""

    def __init__(self, base, rank, dtype):
        super().__init__()
        self.base = base
        self.lora_A = nn.Linear(base.in_features, rank, bias=False, dtype=dtype)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False, dtype=dtype)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        base = self.base(x.to(self.base.weight.dtype))
        return base + self.lora_B(self.lora_A(x.to(self.lora_A.weight.dtype))).to(base.dtype)


class DiffusionTransformer(nn.Module):
    """Random weights in place of pretrained ones: frozen, with a LoRA on each linear layer.

    The head is trained whole and saved with the adapter, as PEFT's `modules_to_save` are: frozen at random it
    could hit no target, frozen at zero it would let no gradient through.
    """

    def __init__(self, settings):
        super().__init__()
        torch.manual_seed(SEED)
        self.embed = Embed()
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.head = Head()
        adapter_dtype = DTYPES[settings.adapter.dtype]
        self.requires_grad_(False).to(DTYPES[settings.model.dtype])
        for layer in (self.embed, *self.blocks):
            for name, linear in list(layer.named_children()):
                if isinstance(linear, nn.Linear):
                    setattr(layer, name, LoraLinear(linear, settings.adapter.rank, adapter_dtype))
        self.head.requires_grad_(True).to(adapter_dtype)
        for name, parameter in self.named_parameters():
            parameter.original_name = name  # a stage knows its layers by number only; files want this name

    def layers(self):
        return [self.embed, *self.blocks, self.head]


def flow_matching_loss(predicted, velocity):
    return F.mse_loss(predicted.float(), velocity)


# --- Saving ----------------------------------------------------------------------------------------------------------


class Saver:
    """Writes models and checkpoints into the run folder, when they are due or asked for."""

    def __init__(self, args, settings, run_dir, engine, loader, step):
        self.config_path, self.settings, self.run_dir = args.config, settings, run_dir
        self.engine, self.loader = engine, loader
        self.is_main = dist.get_rank() == 0
        self.last_model, self.last_checkpoint = None, step
        self.last_checkpoint_time = time.monotonic()

    def after_epoch(self, epoch, step):
        if due(epoch, self.settings.checkpoint_every_n_epochs):
            self.save_checkpoint(step)
        if due(epoch, self.settings.save_every_n_epochs):
            self.save_model(f"epoch{epoch}")

    def after_step(self, step):
        """Does what is due or asked for after a step; true when asked to quit."""
        asked, quit_asked = self.look_for_requests()
        if due(step, self.settings.save_every_n_steps):
            self.save_model(f"step{step}")
        if asked:
            self.save_checkpoint(step)
        return quit_asked

    def finish(self, step):
        """Leaves a checkpoint and a model of the last step, unless they are there already."""
        done = self.loader.epoch > self.settings.epochs
        final_model = f"epoch{self.settings.epochs}" if done else f"step{step}"
        if self.last_checkpoint != step:
            self.save_checkpoint(step)
        if self.last_model != final_model:
            self.save_model(final_model)

    def look_for_requests(self):
        """Rank 0 looks at clock and control files and tells the others, who might see something else."""
        requests = torch.zeros(2, dtype=torch.int32, device=self.engine.device)  # checkpoint, quit
        if self.is_main:
            minutes = (time.monotonic() - self.last_checkpoint_time) / 60
            limit = self.settings.checkpoint_every_n_minutes
            requests[0] = limit is not None and minutes > limit
            # A request disappears when it is taken up, not when it is done: so does diffusion-pipe's.
            for name in ("save", "save_quit"):
                if (self.run_dir / name).is_file():
                    (self.run_dir / name).unlink()
                    requests[0], requests[1] = True, name == "save_quit"
                    break
        dist.broadcast(requests, src=0)
        return requests.tolist()

    def save_checkpoint(self, step):
        examples = step * self.loader.global_batch
        state = {"step": step, "examples": examples, "custom_loader": self.loader.state_dict()}
        self.engine.save_checkpoint(self.run_dir, client_state=state, exclude_frozen_parameters=True)
        self.last_checkpoint, self.last_checkpoint_time = step, time.monotonic()

    def save_model(self, name):
        """Gathers the trained weights of all stages on rank 0, which writes them as one adapter."""
        if self.is_main:
            print(f"Saving model to directory {name}")
        dtype = self.settings.save_dtype and DTYPES[self.settings.save_dtype]
        mine = {
            f"diffusion_model.{parameter.original_name}": parameter.detach().to("cpu", dtype, copy=True)
            for parameter in self.engine.module.parameters()
            if parameter.requires_grad
        }
        everyones = [None] * dist.get_world_size()
        torch.distributed.all_gather_object(everyones, mine)
        if self.is_main:
            weights = {key: weight for stage in everyones for key, weight in stage.items()}
            folder = self.run_dir / name
            folder.mkdir(exist_ok=True)
            safetensors.torch.save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
            rank, targets = self.settings.adapter.rank, {k.split(".")[-3] for k in weights if ".lora_A." in k}
            about = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "lora_dropout": 0.0, "bias": "none"}
            about |= {"target_modules": sorted(targets), "modules_to_save": ["head"]}
            (folder / "adapter_config.json").write_text(json.dumps(about, indent=2) + "\n")
            shutil.copy(self.config_path, folder)
        self.last_model = name


def due(count, interval):
    return interval is not None and count % interval == 0


# --- Training --------------------------------------------------------------------------------------------------------


def parse_args():
    parser = argparse.ArgumentParser(description="Trains the LoRA of `dpgui demo`.")
    parser.add_argument("--config", required=True, help="the training TOML")
    parser.add_argument("--deepspeed", action="store_true", help="accepted for the launcher; always on")
    parser.add_argument("--local_rank", type=int, default=0, help="set by the launcher")
    parser.add_argument("--master_port", type=int, default=29500, help="where the ranks meet")
    resume_help = "go on with this run of output_dir, or with the newest one"
    parser.add_argument("--resume_from_checkpoint", nargs="?", const=True, metavar="RUN", help=resume_help)
    parser.add_argument("--reset_dataloader", action="store_true", help="resume at the start of the epoch")
    reset_help = "resume without the state of optimizer and schedule"
    parser.add_argument("--reset_optimizer", action="store_true", help=reset_help)
    params_help = "resume with the learning rate and other parameters of the configuration"
    parser.add_argument("--reset_optimizer_params", action="store_true", help=params_help)
    return parser.parse_args()


def connect(args):
    """Joins the other ranks."""
    os.environ["MASTER_PORT"] = str(args.master_port)
    deepspeed.utils.set_log_level_from_string("info")
    # DeepSpeed would compile an operator for shared memory: a minute's wait, and no start without a compiler.
    # (As an attribute, `deepspeed.comm.torch` is torch itself; the module of that name has to be asked for.)
    importlib.import_module("deepspeed.comm.torch").build_shm_op = lambda: None
    get_accelerator().set_device(args.local_rank)
    deepspeed.init_distributed(auto_mpi_discovery=False)


def prepare(args):
    """Everything that can be wrong with what the user wrote is found here, on rank 0, before any training."""
    settings = read_settings(args.config)
    ranks, stages = dist.get_world_size(), settings.pipeline_stages
    if ranks % stages or stages > DEPTH + 2:
        layers = DEPTH + 2
        raise InputError(f"`pipeline_stages = {stages}` does not divide {ranks} rank(s), or exceeds {layers} layers")
    latents, captions = cache_dataset(settings.dataset)
    global_batch = settings.micro_batch_size_per_gpu * settings.gradient_accumulation_steps * ranks // stages
    if global_batch > len(latents):
        raise InputError(f"the dataset's {len(latents)} example(s) do not fill one batch of {global_batch}")

    settings.resume = args.resume_from_checkpoint or settings.resume_from_checkpoint
    if settings.resume:
        run_dir = find_run(settings.output_dir, settings.resume, stages)
    else:
        run_dir = Path(settings.output_dir, datetime.now(timezone.utc).strftime("%Y%m%d_%H-%M-%S"))
        run_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(args.config, run_dir)
        shutil.copy(settings.dataset, run_dir)
    return settings, latents, captions, run_dir


def find_run(output_dir, name, stages):
    """The folder to resume; names are times, so the last one is the newest."""
    runs = [name] if name is not True else sorted(path.name for path in Path(output_dir).glob("*") if path.is_dir())
    if not runs:
        raise InputError(f"there is no run in `{output_dir}` to resume")
    run_dir = Path(output_dir, runs[-1])
    if not (run_dir / "latest").is_file():
        raise InputError(f"there is no checkpoint in `{run_dir}` to resume from")
    checkpoint = run_dir / (run_dir / "latest").read_text().strip()
    found = len(list(checkpoint.glob("mp_rank_*_model_states.pt")))
    if found != stages:
        raise InputError(f"`{checkpoint}` was written with pipeline_stages = {found}, not {stages}")
    return run_dir


def train(args, settings, latents, captions, run_dir):
    # `uniform`: the default would weigh layers by their trained weights alone.
    pipeline = PipelineModule(
        DiffusionTransformer(settings).layers(),
        num_stages=settings.pipeline_stages,
        loss_fn=flow_matching_loss,
        partition_method="uniform",
    )
    grid = pipeline.mpu()
    loader = Loader(latents, captions, settings, grid.get_data_parallel_rank(), grid.get_data_parallel_world_size())
    engine = start_engine(pipeline, settings, settings.epochs * loader.batches_per_epoch)
    print(f"Global batch size = {loader.global_batch}")  # on every rank, as diffusion-pipe does
    step = resume(args, engine, loader, run_dir) if settings.resume else 0
    saver = Saver(args, settings, run_dir, engine, loader, step)
    board = open_board(run_dir) if dist.get_rank() == 0 else None

    max_steps, asked_to_quit, epoch_losses = settings.max_steps or math.inf, False, []
    while loader.epoch <= settings.epochs and step < max_steps and not asked_to_quit:
        step, epoch = step + 1, loader.epoch
        loss = engine.train_batch(loader.next_batch()).item()
        epoch_losses.append(loss)
        if board and due(step, settings.logging_steps):
            board.add_scalar("train/loss", loss, step)
        if loader.epoch > epoch:
            saver.after_epoch(epoch, step)
            if board:
                board.add_scalar("train/epoch_loss", sum(epoch_losses) / len(epoch_losses), epoch)
            epoch_losses.clear()
        if loader.epoch <= settings.epochs:
            if board and loader.epoch > epoch:
                print(f"Started new epoch: {loader.epoch}")
            asked_to_quit = saver.after_step(step)
    if board:
        board.close()

    if asked_to_quit:
        print("Manually quitting")  # on every rank, as diffusion-pipe does
        return
    saver.finish(step)
    if board:
        print("TRAINING COMPLETE!")


def start_engine(pipeline, settings, total_steps):
    trained = [parameter for parameter in pipeline.parameters() if parameter.requires_grad]
    options = {key: value for key, value in vars(settings.optimizer).items() if key != "type"}
    optimizer = torch.optim.AdamW(trained, **options)
    config = {
        "train_micro_batch_size_per_gpu": settings.micro_batch_size_per_gpu,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "gradient_clipping": settings.gradient_clipping,
        "steps_per_print": settings.steps_per_print,
    }
    scheduler = lr_schedule(optimizer, settings, total_steps)
    engine, *_ = deepspeed.initialize(model=pipeline, optimizer=optimizer, lr_scheduler=scheduler, config=config)
    return engine


def lr_schedule(optimizer, settings, total_steps):
    """Made of the same parts as diffusion-pipe's, whose state in a checkpoint goes on whatever the configuration says."""
    make = torch.optim.lr_scheduler
    if settings.lr_scheduler == "linear":
        schedule = make.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=total_steps)
    elif settings.lr_scheduler == "cosine":
        schedule = make.CosineAnnealingLR(optimizer, T_max=total_steps, eta_min=1e-6)
    else:
        schedule = make.ConstantLR(optimizer, factor=1.0)
    steps = settings.warmup_steps
    if steps == 0:
        return schedule
    warmup = make.LinearLR(optimizer, start_factor=1 / steps, total_iters=steps)
    return make.SequentialLR(optimizer, schedulers=[warmup, schedule], milestones=[steps])


def resume(args, engine, loader, run_dir):
    """Loads the run's last checkpoint; the step it was written at."""
    optimizer = engine.client_optimizer
    params = list(optimizer.param_groups)
    # Not strict: the frozen weights are not in it, the seed has made them again.
    _, state = engine.load_checkpoint(
        run_dir,
        load_module_strict=False,
        load_optimizer_states=not args.reset_optimizer,
        load_lr_scheduler_states=not (args.reset_optimizer or args.reset_optimizer_params),
    )
    if args.reset_optimizer_params:
        optimizer.param_groups = params
    loader.load_state_dict(state["custom_loader"])
    if args.reset_dataloader:
        loader.batch = 0
    if dist.get_rank() == 0:
        print(f"Resuming training from checkpoint. Resuming at epoch: {loader.epoch}, step: {state['step'] + 1}")
    return state["step"]


def open_board(run_dir):
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only rank 0 writes

    return SummaryWriter(log_dir=run_dir, flush_secs=1)  # the default, two minutes, outlasts the demo


def main():
    # The launcher's `python -u` would write a line and its end apart, and the ranks share one stream.
    sys.stdout.reconfigure(line_buffering=True, write_through=False)
    args = parse_args()
    connect(args)
    job = [None]
    if dist.get_rank() == 0:
        try:
            job = [prepare(args)]
        except (InputError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
    # The others wait here, so that bad input makes one line and not one per rank.
    torch.distributed.broadcast_object_list(job, src=0)
    if job[0] is not None:
        train(args, *job[0])
    dist.destroy_process_group()
    sys.exit(job[0] is None)


if __name__ == "__main__":
    main()
