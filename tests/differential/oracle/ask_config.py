"""Random training configurations with their dataset files: a good one of some type, then nothing to three things changed."""

import copy

import to_toml
from to_toml import Raw

COMFY = {"diffusion_model": "m/model.safetensors", "vae": "m/vae.safetensors", "text_encoders": "TE"}
# What each type cannot do without. Weights need not exist: the trainer's loading of them is not asked.
MODELS = {
    "flux": {"diffusers_path": "m/flux"},
    "ltx-video": {"diffusers_path": "m/ltx", "single_file_path": "m/ltx-0.9.safetensors"},
    "hunyuan-video": {"ckpt_path": "m/hunyuan"},
    "sdxl": {"checkpoint_path": "m/sdxl.safetensors"},
    "cosmos": {"transformer_path": "m/t.pt", "vae_path": "m/v.pt", "text_encoder_path": "m/te.safetensors"},
    "lumina_2": {"transformer_path": "m/t.safetensors", "llm_path": "m/llm.safetensors", "vae_path": "m/v.safetensors"},
    "wan": {"ckpt_path": "DATA/models/wan2.1-t2v"},
    "chroma": {"diffusers_path": "m/flux", "transformer_path": "m/chroma.safetensors"},
    "hidream": {"diffusers_path": "m/hidream", "llama3_path": "m/llama"},
    "sd3": {"diffusers_path": "m/sd3"},
    "cosmos_predict2": {"transformer_path": "m/t.pt", "vae_path": "m/v.pth", "t5_path": "m/t5.safetensors"},
    "anima": {"transformer_path": "m/t.safetensors", "vae_path": "m/v.safetensors", "llm_path": "m/llm.safetensors"},
    "omnigen2": {"diffusers_path": "m/omnigen2"},
    "qwen_image": {"diffusers_path": "DATA/models/wan2.1-t2v", "transformer_path": "m/t.safetensors",
                   "text_encoder_path": "m/te.safetensors", "vae_path": "m/v.safetensors"},
    "hunyuan_image": {"transformer_path": "m/t.safetensors", "vae_path": "m/v.safetensors",
                      "text_encoder_path": "m/te.safetensors", "byt5_path": "m/b.safetensors"},
    "auraflow": {"transformer_path": "m/t.safetensors", "text_encoder_path": "m/te.safetensors",
                 "vae_path": "m/v.safetensors", "max_sequence_length": 768},
    "z_image": COMFY,
    "hunyuan_video_15": COMFY,
    "flux2": {**COMFY, "diffusion_model": "DATA/models/flux2-dev.safetensors"},
    "ernie_image": COMFY,
    "ltx2": {"diffusion_model": "m/ltx2.safetensors", "text_encoder": "m/te.safetensors"},
    "ideogram4": COMFY,
    "krea2": COMFY,
    "minimax_h3": {**COMFY, "audio_vae": "m/audio.safetensors"},
}  # fmt: skip
DTYPES = ["bfloat16", "float16", "float32", "float8", "float8_e4m3fn", "float8_e5m2"]
NO_DTYPES = ["bf16", "fp16", "fp8", "nf4", "BFloat16", "torch.bfloat16", "", "auto"]
OPTIMIZERS = ["adamw", "AdamW", "adamw_optimi", "AdamW8bit", "AdamW8bitKahan", "StableAdamW", "sgd", "automagic", "Prodigy"]


def question(rng, args):
    kind = rng.choice(list(MODELS))
    config, dataset = _good(rng, kind), _good_dataset(rng, kind)
    for _ in range(rng.choice([0, 0, 1, 1, 1, 1, 2, 3])):
        if rng.random() < 0.65:
            _call(rng, CONFIG_CHANGES, config)
        else:
            _call(rng, DATASET_CHANGES, dataset)
    files = {"dataset.toml": to_toml.document(dataset)}
    if any("eval.toml" in str(each) for each in [config.get("eval_datasets")]):
        files["eval.toml"] = to_toml.document(_good_dataset(rng, kind))
    ask = {"config": to_toml.document(config), "files": files}
    if rng.random() < 0.1:
        where = rng.random()
        if where < 0.7:
            ask["config"] = rng.choice(TEXT_CHANGES)(rng, ask["config"])
        else:
            files["dataset.toml"] = rng.choice(TEXT_CHANGES)(rng, files["dataset.toml"])
    if rng.random() < 0.03:
        ask["args"] = ["--i_know_what_i_am_doing"]
    return ask


def _good(rng, kind):
    config = {"output_dir": "DATA/output", "dataset": "DATA/dataset.toml", "epochs": rng.randint(1, 1000)}
    config[rng.choice(["save_every_n_epochs", "save_every_n_steps", "save_every_n_examples"])] = rng.randint(1, 500)
    optional = {
        "micro_batch_size_per_gpu": lambda: rng.randint(1, 8),
        "pipeline_stages": lambda: 1,
        "gradient_accumulation_steps": lambda: rng.randint(1, 8),
        "gradient_clipping": lambda: rng.choice([1.0, 0.5, 0]),
        "warmup_steps": lambda: rng.choice([0, 10, 100]),
        "checkpoint_every_n_minutes": lambda: 120,
        "activation_checkpointing": lambda: rng.choice([True, False, "unsloth"]),
        "partition_method": lambda: "parameters",
        "save_dtype": lambda: rng.choice(DTYPES),
        "caching_batch_size": lambda: rng.randint(1, 4),
        "steps_per_print": lambda: 1,
        "video_clip_mode": lambda: rng.choice(["single_beginning", "single_middle", "multiple_overlapping"]),
        "eval_every_n_epochs": lambda: 1,
        "eval_before_first_step": lambda: rng.random() < 0.5,
        "eval_micro_batch_size_per_gpu": lambda: rng.randint(1, 4),
        "image_micro_batch_size_per_gpu": lambda: rng.randint(1, 4),
        "eval_gradient_accumulation_steps": lambda: 1,
        "lr_scheduler": lambda: rng.choice(["constant", "linear", "cosine"]),
        "blocks_to_swap": lambda: rng.randint(1, 20),
        "compile": lambda: rng.random() < 0.5,
        "x_axis_examples": lambda: True,
        "uncond_fraction": lambda: 0.1,
        "map_num_proc": lambda: rng.randint(1, 16),
        "max_steps": lambda: rng.randint(1, 10000),
        "force_constant_lr": lambda: 1e-5,
        "huber_delta": lambda: 0.1,
    }
    for key in rng.sample(list(optional), rng.randint(0, 8)):
        config[key] = optional[key]()
    if rng.random() < 0.15:
        config["eval_datasets"] = [{"name": "held out", "config": "DATA/eval.toml"}]
    model = {"type": kind, **{key: _text_encoders(rng) if value == "TE" else value for key, value in MODELS[kind].items()}}
    model["dtype"] = "bfloat16" if rng.random() < 0.8 else rng.choice(DTYPES[:3])
    if rng.random() < 0.3:
        model["diffusion_model_dtype" if "diffusion_model" in model else "transformer_dtype"] = rng.choice(DTYPES)
    if rng.random() < 0.3:
        model["timestep_sample_method"] = rng.choice(["logit_normal", "uniform"])
    if rng.random() < 0.1:
        model["guidance"] = 3.5
    if rng.random() < 0.2:
        model["shift"] = 3
    if kind == "wan":
        model["ckpt_path"] = "DATA/models/" + rng.choice(["wan2.1-t2v", "wan2.1-i2v", "wan2.2-ti2v-5b", "SkyReels-V2"])
    config["model"] = model
    if rng.random() < 0.75:
        adapter = {"type": rng.choice(["lora", "lora", "lora", "lokr"]), "rank": rng.choice([4, 16, 32, 64])}
        if rng.random() < 0.5:
            adapter["dtype"] = rng.choice(DTYPES[:3])
        if rng.random() < 0.1:
            adapter["dropout" if adapter["type"] == "lora" else "rank_dropout"] = 0.1
        config["adapter"] = adapter
    optimizer = {"type": rng.choice(OPTIMIZERS), "lr": rng.choice([1e-4, 2e-5, 5e-05, 1.0])}
    if rng.random() < 0.5:
        optimizer.update(betas=[0.9, 0.99], weight_decay=0.01)
    if rng.random() < 0.1:
        optimizer["gradient_release"] = True
    config["optimizer"] = optimizer
    if rng.random() < 0.1:
        config["monitoring"] = {"enable_wandb": rng.random() < 0.5, "wandb_run_name": "x"}
    return config


def _text_encoders(rng):
    entry = {"type": rng.choice(["flux2", "lumina2", "qwen_image", "wan"])}
    entry["path" if rng.random() < 0.7 else "paths"] = "m/te.safetensors"
    if "paths" in entry and rng.random() < 0.7:
        entry["paths"] = ["m/te.safetensors", "m/te2.safetensors"]
    # As the docs write it, or as an array of tables.
    return [entry] if rng.random() < 0.5 else Raw(to_toml.scalar([entry]))


def _good_dataset(rng, kind):
    if kind == "cosmos" and rng.random() < 0.8:
        buckets = [[960, 960, 1], [1280, 704, 121]]
        return {"size_buckets": buckets, "directory": [{"path": "DATA/images", "size_buckets": buckets}]}
    dataset = {}
    if rng.random() < 0.15:
        dataset["size_buckets"] = [[512, 512, 1], [848, 480, 33]]
    else:
        dataset["resolutions"] = rng.choice([[512], [512, 1024], [[1280, 720]], [512.5], [512, 768, 1024]])
        dataset["enable_ar_bucket"] = rng.random() < 0.8
        dataset.update(min_ar=0.5, max_ar=2.0, num_ar_buckets=rng.choice([7, 5, 9]))
        if rng.random() < 0.4:
            dataset["frame_buckets"] = rng.choice([[1], [1, 33], [33], [1, 33, 65]])
        if rng.random() < 0.15:
            dataset["ar_buckets"] = rng.choice([[0.5, 1.0, 2.0], [[512, 512], [448, 576]], [1.0]])
    directory = {"path": "DATA/images"}
    if rng.random() < 0.5:
        directory["num_repeats"] = rng.choice([1, 5, 10])
    if rng.random() < 0.1:
        directory["mask_path"] = "DATA/masks"
    if rng.random() < 0.1:
        directory["control_path"] = "DATA/control"
    if rng.random() < 0.05:
        directory["default_mask_file"] = "DATA/mask.png"
    if rng.random() < 0.1:
        directory["caption_prefix"] = "a photo, "
    return {**dataset, "directory": [directory]}


def _call(rng, changes, config):
    """One change that finds something to change."""
    before = copy.deepcopy(config)
    for _ in range(20):
        try:
            rng.choice(changes)(rng, config)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            continue
        if config != before:
            return


def _drop(*path):
    def change(rng, config):
        for part in path[:-1]:
            config = config[part]
        del config[path[-1]]

    return change


def _put(path, *values):
    def change(rng, config):
        for part in path[:-1]:
            config = config[part]
        config[path[-1]] = copy.deepcopy(rng.choice(values))

    return change


def _drop_a_model_key(rng, config):
    del config["model"][rng.choice([key for key in config["model"] if key not in ("type", "dtype")])]


def _drop_saving(rng, config):
    for key in [key for key in config if key.startswith("save_every")]:
        del config[key]


def _misspell(rng, config):
    table = rng.choice([config, *[each for each in config.values() if isinstance(each, dict)]])
    key = rng.choice(list(table))
    at = rng.randrange(len(key))
    table[key[:at] + key[at + 1 :] + rng.choice(["", "s", "_"])] = table.pop(key)


def _into_a_table(rng, config):
    """A root key written below a table's header."""
    key = rng.choice([key for key, value in config.items() if not isinstance(value, dict) and key != "eval_datasets"])
    table = config[rng.choice([key for key, value in config.items() if isinstance(value, dict)])]
    table[key] = config.pop(key)


def _as_text(rng, config):
    table = rng.choice([config, *[each for each in config.values() if isinstance(each, dict)]])
    key = rng.choice([key for key, value in table.items() if isinstance(value, (int, float, bool))])
    table[key] = str(table[key])


def _as_number(rng, config):
    table = rng.choice([config, *[each for each in config.values() if isinstance(each, dict)]])
    key = rng.choice([key for key, value in table.items() if isinstance(value, str) and not isinstance(value, Raw)])
    table[key] = rng.choice([1, 0, 1.5, True, [1]])


def _other_type(rng, config):
    config["model"]["type"] = rng.choice(list(MODELS))


MICRO = (0, 1, 2.0, "2", True, [], [[512, 4], [1024, 1]], [[512, 4]], [512, 4], [[512]], {"512": 4}, -1)
CONFIG_CHANGES = [
    _drop("output_dir"), _drop("dataset"), _drop("epochs"), _drop("optimizer"), _drop("model"), _drop_saving,
    _drop("model", "dtype"), _drop("model", "type"), _drop("adapter", "rank"), _drop("adapter", "type"),
    _drop("optimizer", "type"), _drop("optimizer", "lr"), _drop("adapter"),
    _drop_a_model_key, _drop_a_model_key, _misspell, _misspell, _into_a_table, _as_text, _as_number, _other_type,
    _put(["model", "dtype"], *DTYPES, *NO_DTYPES), _put(["model", "transformer_dtype"], *DTYPES, *NO_DTYPES),
    _put(["model", "diffusion_model_dtype"], *DTYPES, *NO_DTYPES), _put(["adapter", "dtype"], *DTYPES, *NO_DTYPES),
    _put(["save_dtype"], *DTYPES, *NO_DTYPES), _put(["adapter", "alpha"], 1, 32), _put(["adapter", "rank"], 0, -4, 1.5, "32"),
    _put(["adapter", "type"], "LoRA", "loha", "dora", "", "lokr"), _put(["adapter"], {}, "lora", 1),
    _put(["model", "type"], "Flux", "wan2.1", "sd15", "hunyuan_video", "ltx_video", ""),
    _put(["model", "guidance"], 1, 0, "3.5"), _put(["model", "text_encoders"], [], Raw("[{ type = 'wan' }]"), Raw("[{ path = 'x' }]"), "x"),
    _put(["model", "timestep_sample_method"], "logit", "uniform", "sigmoid"),
    _put(["micro_batch_size_per_gpu"], *MICRO), _put(["image_micro_batch_size_per_gpu"], *MICRO),
    _put(["eval_micro_batch_size_per_gpu"], *MICRO), _put(["eval_image_micro_batch_size_per_gpu"], *MICRO),
    _put(["eval_datasets"], ["DATA/eval.toml"], ["DATA/none.toml"], [{"name": "a"}], [{"config": "DATA/eval.toml"}],
         Raw("[{ name = 'a', config = 'DATA/eval.toml' }]"), [], "DATA/eval.toml",
         [{"name": "a", "config": "DATA/eval.toml"}, {"name": "a", "config": "DATA/eval.toml"}]),
    _put(["activation_checkpointing"], "unsloth", "offload", 1, 0), _put(["pipeline_stages"], 2, 0, "1"),
    _put(["video_clip_mode"], "none", "multiple_overlapping"), _put(["map_num_proc"], 0, "4", -1),
    _put(["warmup_steps"], "10", -1, 0.1), _put(["uncond_fraction"], 2, "a"), _put(["dataset"], "DATA/none.toml", "DATA"),
    _put(["output_dir"], "~/out", "relative"), _put(["resume_from_checkpoint"], True, "20260101_00-00-00"),
    _put(["regenerate_cache"], True), _put(["save_every_n_epochs"], 0), _put(["gradient_accumulation_steps"], 0, "2"),
    _put(["optimizer"], {}, "adamw"), _put(["optimizer", "gradient_release"], True, False, "yes"),
    _put(["model", "ckpt_path"], "DATA/models/none", "DATA/models/wan2.2-i2v"), _put(["model", "transformer_path"], "m/t.bin", "m/none"),
    _put(["model", "cache_text_embeddings"], False), _put(["model", "llm_path"], "m/llm", ""), _put(["monitoring"], {}, {"enable_wandb": True}),
    _put(["lora"], {"dtype": "bfloat16"}), _put(["eval_every_n_steps"], 0, "1"), _put(["compile"], "yes"),
    _put(["network_dim"], 32), _put(["batch_size"], 4), _put(["max_train_epochs"], 4),
]  # fmt: skip

D = ("directory", 0)
DATASET_CHANGES = [
    _drop("resolutions"), _drop("directory"), _drop("min_ar"), _drop("max_ar"), _drop("num_ar_buckets"), _drop("enable_ar_bucket"),
    _drop(*D, "path"), _drop("size_buckets"), _drop(*D, "size_buckets"), _misspell,
    _put(["resolutions"], [512, 640, 768, 1024], [], [[512, 512, 1]], [[512]], 512, "512", ["512"], [0], [-512], [512.0]),
    _put([*D, "resolutions"], [256], [1, 2, 3, 4], []), _put([*D, "path"], "DATA/none", "DATA/mask.png", "", 5),
    _put([*D, "mask_path"], "DATA/none", "DATA/mask.png"), _put([*D, "control_path"], "DATA/none", "DATA/control"),
    _put([*D, "default_mask_file"], "DATA/none.png", "DATA/masks"), _put([*D, "online_captions"], True),
    _put(["online_captions"], True, False), _put([*D, "path"], "DATA/captioned"),
    _put(["ar_buckets"], [], [[1, 2, 3]], [0.5, 0], [[512, 0]], ["1"], 1.0, [-1.0]),
    _put(["min_ar"], 0, -1, "0.5", 3.0, 0.5), _put(["max_ar"], 0.1, 2), _put(["num_ar_buckets"], 0, 1, 7.0, -1, "7"),
    _put(["frame_buckets"], [], [33], [1.5], ["1"], 33, [0], [-1, 1]), _put([*D, "frame_buckets"], [33, 1], []),
    _put(["size_buckets"], [], [[512, 512]], [[512, 512, 1, 1]], [512], [[512, 0, 1]], [[512, 512, 33]], "512x512x1"),
    _put([*D, "size_buckets"], [[512, 512, 1]], [[960, 960, 1]]), _put([*D, "num_repeats"], 0, -1, 0.5, "2"),
    _put(["num_repeats"], 0, 2), _put([*D, "shuffle_tags"], True), _put(["subsample_ratio"], 0.0, 2.0, "half"),
    _put(["cache_shuffle_num"], 2), _put(["skip_empty_caption"], False), _put(["directory"], [], Raw("{ path = 'DATA/images' }"), "DATA/images"),
    _put(["enable_ar_bucket"], "yes", 0), _put([*D, "enable_ar_bucket"], True, False), _put([*D, "min_ar"], 0.25),
]  # fmt: skip


def _twice(rng, text):
    lines = text.splitlines()
    return "\n".join([*lines, rng.choice(lines)]) + "\n"


def _cut(rng, text):
    return text[: rng.randrange(len(text))]


def _without_a_character(rng, text):
    at = rng.randrange(len(text))
    return text[:at] + text[at + 1 :]


def _with_a_character(rng, text):
    at = rng.randrange(len(text))
    return text[:at] + rng.choice("\"'[]{}=,.#\t\n\\é_-1") + text[at:]


def _with_a_line(rng, text):
    lines = text.splitlines()
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(LINES))
    return "\n".join(lines) + "\n"


LINES = [
    "x = [1, 2.5]", "x = [1, 'a']", "x = [0, 0.99]", "x = 1_000", "x = 0xff", "x = 1e5", "x = 1e-4", "x = +1", "x = .5", "x = 5.",
    "x = inf", "x = nan", "x = 2026-01-01", "x = 07:32:00", "x = 'C:\\dir'", 'x = "C:\\dir"', 'x = "\\u00e9"', "x.y = 1", '"x y" = 1',
    "x = '''\na\n'''", 'x = """a"""', "x = {a = 1, b = [1, 2]}", "x = {a = {b = 1}}", "x = [[1, 2], [3]]", "x = [[1], ['a']]", "x = true",
    "x = True", "x = yes", "x = null", "x = ", "= 1", "x", "[x]", "[[x]]", "[x.y]", "[model]", "# comment", "x = 1 # comment", "x = 'a' b",
    "x = [1,\n2,\n]", "x = [ # c\n1 ]", "x : 1", "[ x ]", "[x", "x = [", "x = 01", "x = 1.0.0", "é = 1", "x = 0o7", "x = 'a#b'", 'x = "a\\"b"',
]  # fmt: skip
TEXT_CHANGES = [
    _twice, _cut, _without_a_character, _without_a_character, _with_a_character, _with_a_character, _with_a_line, _with_a_line,
    _with_a_line, lambda rng, text: "\ufeff" + text, lambda rng, text: text.replace("\n", "\r\n"), lambda rng, text: "",
]  # fmt: skip
