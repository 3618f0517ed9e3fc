"""Random runs: a configuration that starts, with changes to what is read after caching, and the length of an epoch."""

import ask_config
import to_toml
from ask_config import _call, _drop, _put


def question(rng, args):
    kind = rng.choice(list(ask_config.MODELS))
    config = ask_config._good(rng, kind)
    config["epochs"] = rng.choice([1, 2, 3, 5, 8])
    for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4])):
        _call(rng, CHANGES, config)
    dataset = to_toml.document(DATASETS.get(kind, PLAIN))
    ask = {"config": to_toml.document(config), "files": {"dataset.toml": dataset, "eval.toml": dataset}}
    ask["steps_per_epoch"] = rng.choice([1, 2, 5, 10, 24])
    if rng.random() < 0.3:
        ask["data_parallel"] = rng.choice([2, 4])
    if rng.random() < 0.05:
        ask["args"] = rng.choice([["--resume_from_checkpoint"], ["--resume_from_checkpoint", "none"], ["--reset_optimizer"]])
    return ask


PLAIN = {"resolutions": [512], "directory": [{"path": "DATA/images"}]}
DATASETS = {"cosmos": {"size_buckets": [[960, 960, 1]], "directory": [{"path": "DATA/images", "size_buckets": [[960, 960, 1]]}]}}


def _saving(rng, config):
    for key in [key for key in config if key.startswith("save_every")]:
        del config[key]
    keys = ["save_every_n_epochs", "save_every_n_steps", "save_every_n_examples"]
    for key in rng.sample(keys, rng.choice([1, 1, 2])):
        config[key] = rng.choice([1, 2, 3, 7, 10, 50, 0])


def _no_scheduler_but(rng, config):
    config["lr_scheduler"] = rng.choice(["constant", "linear", "cosine", "polynomial", "Linear", "cosine_with_restarts", ""])
    if rng.random() < 0.3:
        config.pop("epochs", None)


def _optimizer(rng, config):
    """Another optimizer with some of its own arguments, or another's."""
    kind = rng.choice(list(OPTIMIZERS))
    table = {"type": kind if rng.random() < 0.9 else rng.choice([kind.lower(), kind.upper(), kind + "x"])}
    own = OPTIMIZERS[kind] if rng.random() < 0.7 else rng.choice(list(OPTIMIZERS.values()))
    for key in rng.sample(list(own), rng.randint(0, len(own))):
        table[key] = rng.choice(own[key])
    if rng.random() < 0.8:
        table["lr"] = rng.choice([1e-4, 1, 0.0])
    if rng.random() < 0.05:
        table["weight_decay"] = -0.1
    config["optimizer"] = table


BETAS, EPS, DECAY = [[0.9, 0.99], [0.95, 0.98]], [1e-8, 1e-6], [0.01, 0.0, 0.1]
OPTIMIZERS = {
    "adamw": {"betas": [*BETAS, [0.9, 1.0]], "eps": EPS, "weight_decay": DECAY, "amsgrad": [True], "fused": [True]},
    "adamw_optimi": {"betas": BETAS, "eps": EPS, "weight_decay": DECAY, "decouple_lr": [True], "kahan_sum": [True], "max_lr": [1e-3]},
    "stableadamw": {"betas": BETAS, "eps": EPS, "weight_decay": DECAY, "decouple_lr": [True]},
    "AdamW8bit": {"betas": BETAS, "eps": EPS, "weight_decay": DECAY, "min_8bit_size": [4096], "optim_bits": [8], "is_paged": [True]},
    "AdamW8bitKahan": {"betas": BETAS, "weight_decay": DECAY, "stabilize": [False, True]},
    "sgd": {"momentum": [0.9], "weight_decay": DECAY, "nesterov": [True]},
    "automagic": {"weight_decay": DECAY, "min_lr": [1e-7], "max_lr": [1e-3], "lr_bump": [1e-6], "beta2": [0.99], "eps": [[1e-30, 1e-3]]},
    "GenericOptim": {"betas": [*BETAS, [1.0, 0.9], [0.9, 1.0]], "momentum_type": ["ema", "sm", "none", "nesterov"], "eps": [1e-8, -1.0],
                     "second_moment_type": ["ema", "none", "sn", "factored", "x"], "muon": [True, False], "adamuon": [True], "normuon": [False],
                     "rank": [8], "update_proj_gap": [10], "proj_type": ["svd", "topk"], "automagic": [True], "cpu_offload": [True]},
    "Prodigy": {"betas": BETAS, "weight_decay": DECAY, "d_coef": [1.0], "d0": [1e-6], "safeguard_warmup": [True]},
    "Lion": {"betas": BETAS, "weight_decay": DECAY}, "CAME": {"betas": [[0.9, 0.99, 0.999]], "weight_decay": DECAY},
    "ScheduleFreeAdamW": {"betas": BETAS, "weight_decay": DECAY, "r": [0.0]}, "AdaFactor": {"betas": BETAS, "scale_parameter": [False]},
}  # fmt: skip
CHANGES = [
    _optimizer, _optimizer, _optimizer, _optimizer,
    _saving, _saving, _saving, _no_scheduler_but, _drop("epochs"), _drop("adapter"), _drop("optimizer", "lr"), _drop("optimizer", "type"),
    _put(["blocks_to_swap"], 1, 4, 8, 16), _put(["pipeline_stages"], 1, 2, 4), _put(["activation_checkpointing"], "offload", 1, 0, True, "unsloth"),
    _put(["checkpoint_every_n_epochs"], 0, 1, 2, 3), _put(["checkpoint_every_n_minutes"], 0, 120, "120"),
    _put(["warmup_steps"], 0, 1, 10, -1, 0.1, "10"), _put(["epochs"], 1, 2, 0, -1, 2.5, "3", 1000), _put(["max_steps"], 1, 5, 13, 0, -1, "5"),
    _put(["logging_steps"], 1, 2, 0), _put(["eval_every_n_steps"], 0, 1, 5), _put(["eval_every_n_epochs"], 0, 1), _put(["eval_every_n_examples"], 1, 8, 100),
    _put(["gradient_accumulation_steps"], 1, 2, 4), _put(["micro_batch_size_per_gpu"], 1, 2, [[512, 2], [1024, 1]], [[1024, 1], [512, 2]]),
    _put(["eval_datasets"], ["DATA/eval.toml"], [{"name": "a", "config": "DATA/eval.toml"}]),
    _put(["monitoring"], {"enable_wandb": True}, {"enable_wandb": True, "wandb_api_key": "", "wandb_tracker_name": "", "wandb_run_name": ""}, {}),
    _put(["optimizer", "beta2_half_life"], 100, 1.5), _put(["optimizer", "betas"], [0.9, 0.99], [0.9], [0.9, 0.99, 0.999]), _drop("optimizer", "betas"),
    _put(["optimizer", "gradient_release"], True), _put(["optimizer", "type"], "adamw", "GenericOptim", "automagic", "sgd", "offload", "stableadamw"),
    _put(["optimizer", "momentum"], 0.9), _put(["force_constant_lr"], 1e-5), _put(["adapter", "init_from_existing"], "DATA/none", "DATA/images"),
    _put(["adapter", "fuse_adapters"], [{"path": "m/a.safetensors"}], [{"weight": 1.0}], [{"path": "m/a", "weight": 0.5}]),
    _put(["adapter", "type"], "lora", "lokr"), _put(["adapter", "dropout"], 0.1), _put(["model", "merge_adapters"], ["m/a.safetensors"], []),
    _put(["resume_from_checkpoint"], True, "none", False), _put(["output_dir"], 5, "DATA/output"), _drop("output_dir"),
    _put(["x_axis_examples"], True), _put(["compile"], True), _put(["partition_split"], [3], [1, 2]), _put(["partition_method"], "manual", "uniform"),
    _put(["steps_per_print"], 1, 0), _put(["model", "cfg"], 1, 4), _put(["huber_delta"], 0.1),
]  # fmt: skip
