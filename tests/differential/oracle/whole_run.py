"""What the trainer does after caching: train.py to its end, over an engine that only counts.

Weights, layers and optimizers are stubs, so nothing is asked about those; what is read from the configuration on the
way, and when models and checkpoints are saved, is the trainer's own.
"""

import copy
import os
import sys
import types

import start
import stubs
import trainer as trainer_module

# No run is followed for longer: the answer then says where it was.
MOST_STEPS = 150

# How many blocks the published weights of a type have, by the attribute that the trainer counts. The files are not
# here, so the counts are ours: of the rule on block swapping only the arithmetic is asked. Many stands for unknown.
MANY = 100
BLOCKS = {
    "flux": {"transformer_blocks": 19, "single_transformer_blocks": 38},
    "chroma": {"double_blocks": 19, "single_blocks": 38},
    "hunyuan-video": {"double_blocks": 20, "single_blocks": 40},
    "hunyuan_image": {"double_blocks": 20, "single_blocks": 40},
    "hidream": {"double_stream_blocks": 16, "single_stream_blocks": 32},
    "flux2": {"double_blocks": 8, "single_blocks": 48},
    "auraflow": {"single_transformer_blocks": 32},
    "cosmos_predict2": {"blocks": 28}, "anima": {"blocks": 28}, "wan": {"blocks": 40}, "minimax_h3": {"blocks": 50},
    "qwen_image": {"transformer_blocks": 60}, "ltx2": {"transformer_blocks": 48}, "z_image": {"layers": 30},
    "ernie_image": {"layers": MANY}, "ideogram4": {"layers": MANY}, "krea2": {"blocks": MANY},
    "hunyuan_video_15": {"double_blocks": MANY},
}  # fmt: skip
WAN_SMALL = ("wan2.1-t2v-1.3b", "wan2.2-ti2v-5b")


class Enough(BaseException):
    """Raised when a run goes on for longer than we look."""


# As `start.STAGES`. `While` is the training loop itself.
LATER = [
    ("caching", "cache_only"), ("loading", "load_diffusion_model"), ("adapter", "configure_adapter"),
    ("run folder", "run_dir_container"), ("wandb", "wandb_enable"), ("block swap", "blocks_to_swap"), ("layers", "layers"),
    ("engine", "initialize"), ("intervals", "save_every_n_examples"), ("optimizer made", "_configure_optimizer"),
    ("batches", "post_init"), ("schedule", "scheduler_type"), ("resume", "step"), ("saving", "tb_writer"),
    ("training", "While"), ("end", "checkpointed"),
]  # fmt: skip


class Follower(start.Starter):
    stages = start.STAGES + LATER

    def __init__(self, trainer):
        super().__init__(trainer)
        import deepspeed
        import torch
        import utils.saver
        import wandb

        self.saver = utils.saver
        self.dataset.DatasetManager.cache = lambda manager, unload_models=True: self._cached()
        self.dataset.PipelineDataLoader = self._loader
        self.dataset.Dataset.post_init = lambda *args, **kwargs: None
        deepspeed.initialize = self._initialize
        torch.optim.AdamW, torch.optim.SGD = AdamW, SGD
        wandb.login = wandb.init = lambda **kwargs: None
        self.saver.Saver.save_model = lambda saver, name: self.events.append(["model", self.step, name])
        self.saver.Saver.save_checkpoint = lambda saver, step, examples: self.events.append(["checkpoint", self.step, examples])
        _weightless()
        # Between evaluations the trainer collects garbage, of which a stub leaves none worth the wait.
        trainer.common.gc = types.SimpleNamespace(collect=lambda: 0)
        for model_type in trainer_module.PIPELINES:
            _with_blocks(trainer.pipeline(model_type))
        os.environ.update(LOCAL_SIZE="1", LOCAL_RANK="0")

    def answer(self, case):
        self.case, self.events, self.step, self.at_caching = case, [], 0, None
        self.saver.last_checkpoint_time = None
        answer = super().answer(case)
        answer["events"] = self.events
        answer["steps"] = self.step
        return answer

    def run(self, scope):
        try:
            exec(self.code, scope)
        except Enough:
            self.events.append(["still running", self.step, ""])

    def kept(self, scope):
        # The trainer takes keys out and changes others later.
        return self.at_caching

    def _cached(self):
        frame = sys._getframe(2)
        self.at_caching = self._plain(copy.copy(frame.f_globals["config"]))

    def _loader(self, dataset, engine, accumulation, model, **kwargs):
        return Loader(self.case.get("steps_per_epoch", 10), accumulation, self)

    def _initialize(self, args, model, config):
        engine = Engine(config, self.case.get("data_parallel", 1), self)
        return engine, None, None, None


def _weightless():
    """Three types look into the weights they load; here there are none."""
    import comfy.sd
    import models.cosmos_predict2
    import models.hunyuan_video

    models.hunyuan_video.load_state_dict = models.hunyuan_video._convert_state_dict_keys = lambda *args: {}
    models.cosmos_predict2.get_dit_config = lambda *args: {}
    models.cosmos_predict2.MiniTrainDIT = stubs.Stub("MiniTrainDIT")
    patcher = stubs.Stub("patcher")
    object.__setattr__(patcher.model.diffusion_model.params, "guidance_embed", False)
    object.__setattr__(patcher.model.diffusion_model, "vector_in", None)
    comfy.sd.load_diffusion_model = lambda *args, **kwargs: patcher
    comfy.sd.load_lora_for_models = lambda model, *args: (model, None)


def _with_blocks(pipeline):
    """Has the loaded model as many blocks as the published one."""
    if getattr(pipeline.load_diffusion_model, "with_blocks", False):
        return
    load = pipeline.load_diffusion_model

    def loaded(self):
        load(self)
        kind = self.model_config["type"]
        counts = dict(BLOCKS.get(kind, {}))
        if kind == "wan" and str(self.model_config["ckpt_path"]).endswith(WAN_SMALL):
            counts["blocks"] = 30
        whole = self.diffusion_model if issubclass(type(self), sys.modules["models.base"].ComfyPipeline) else self.transformer
        for name, count in counts.items():
            object.__setattr__(whole, name, [stubs.Stub(f"{name}[{i}]") for i in range(count)])

    loaded.with_blocks = True
    pipeline.load_diffusion_model = loaded


class AdamW(stubs.Optimizer):
    """Takes what torch 2.9's takes."""

    def __init__(
        self, params, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, amsgrad=False, *, maximize=False,
        foreach=None, capturable=False, differentiable=False, fused=None,
    ):  # fmt: skip
        _check(lr=lr, eps=eps, weight_decay=weight_decay)
        for i, beta in enumerate(betas[:2]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        super().__init__(params, {"lr": lr, "betas": betas})


class SGD(stubs.Optimizer):
    """Takes what torch 2.9's takes."""

    def __init__(
        self, params, lr=0.001, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False,
        foreach=None, differentiable=False, fused=None,
    ):  # fmt: skip
        _check(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, {"lr": lr, "momentum": momentum})


def _check(**values):
    for name, value in values.items():
        if value < 0.0:
            raise ValueError(f"Invalid {name} value: {value}")


class Loader:
    epoch = 1

    def __init__(self, steps, accumulation, follower):
        self.steps, self.accumulation, self.follower = steps, accumulation, follower
        self.pulled = 0

    def __len__(self):
        return self.steps * self.accumulation

    def __iter__(self):
        return self

    def __next__(self):
        self.pulled += 1
        if self.pulled == len(self):
            self.pulled = 0
            self.epoch += 1
        return None

    def sync_epoch(self):
        pass

    def reset(self):
        self.epoch, self.pulled = 1, 0

    def set_eval_quantile(self, quantile):
        if quantile == 0.1:
            self.follower.events.append(["evaluation", self.follower.step, ""])

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Engine:
    is_pipe_parallel = False

    def __init__(self, config, data_parallel, follower):
        self.config, self.follower = config, follower
        self.micro_batches = config["gradient_accumulation_steps"]
        self.grid = Grid(data_parallel)
        self.optimizer = None

    def train_micro_batch_size_per_gpu(self):
        return self.config["train_micro_batch_size_per_gpu"]

    def gradient_accumulation_steps(self):
        return self.config["gradient_accumulation_steps"]

    def _configure_optimizer(self, make, parameters):
        self.optimizer = make([Parameter("unet.blocks.0.attn.weight", 2), Parameter("unet.blocks.0.attn.bias", 1)])

    def is_first_stage(self):
        return True

    is_last_stage = is_first_stage

    def reset_activation_shape(self):
        pass

    def train_batch(self, batches):
        self.follower.step += 1
        if self.follower.step > MOST_STEPS:
            raise Enough
        return Loss()

    def eval_batch(self, batches, num_micro_batches):
        return Loss()

    def load_checkpoint(self, folder, **kwargs):
        # DeepSpeed's way of saying that there is none.
        return None, {}


class Grid:
    def __init__(self, data_parallel):
        self.data_parallel = data_parallel

    def get_data_parallel_rank(self):
        return 0

    def get_data_parallel_world_size(self):
        return self.data_parallel

    get_pipe_parallel_rank = get_data_parallel_rank


class Loss:
    def item(self):
        return 0.5


class Parameter:
    requires_grad = True
    data = grad = None

    def __init__(self, name, dimensions):
        self.original_name = name
        self.ndim = dimensions

    def requires_grad_(self, wanted):
        pass

    def register_post_accumulate_grad_hook(self, hook):
        pass
