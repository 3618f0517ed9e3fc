"""Random datasets: configuration, media sizes, batch sizes."""

import math

import to_toml

MODELS = [
    ("flux", None), ("ltx-video", None), ("hunyuan-video", None), ("sdxl", None), ("cosmos", None), ("lumina_2", None),
    ("wan", "t2v"), ("wan", "i2v_2.2"), ("wan", "ti2v"), ("wan", "skyreels"), ("chroma", None), ("hidream", None),
    ("sd3", None), ("cosmos_predict2", None), ("anima", None), ("omnigen2", None), ("qwen_image", None),
    ("hunyuan_image", None), ("auraflow", None), ("z_image", None), ("hunyuan_video_15", None), ("flux2", "dev"),
    ("flux2", "klein_4b"), ("ernie_image", None), ("ltx2", None), ("ideogram4", None), ("krea2", None),
    ("minimax_h3", None),
]  # fmt: skip
WITH_VIDEO = {"ltx-video", "hunyuan-video", "cosmos", "wan", "cosmos_predict2", "anima", "hunyuan_video_15", "ltx2", "minimax_h3"}
RATES = ["24", "25", "30", "16", "60", "24000/1001", "30000/1001", "60000/1001", "15", "12", "10", "50", "120"]
SIDES = [240, 256, 320, 360, 480, 512, 540, 576, 640, 704, 720, 768, 832, 848, 960, 1024, 1080, 1088, 1152, 1280, 1344]


def question(rng, args):
    model, variant = rng.choice(MODELS)
    if rng.random() < 0.5:
        model, variant = rng.choice([each for each in MODELS if each[0] in WITH_VIDEO])
    config = _dataset(rng, model)
    ask = {"model": model, "config": to_toml.document(config)}
    if variant:
        ask["variant"] = variant
    if model == "cosmos" and rng.random() < 0.8:
        ask["skip_validation"] = True
    if rng.random() < 0.3:
        ask["crops"] = True
    ars = _aspect_ratios(config)
    count = rng.randint(1, args.items)
    ask["items"] = [_item(rng, model, ars, len(config["directory"])) for _ in range(count)]
    if rng.random() < 0.6:
        ask["batch"] = _batch(rng)
    return ask


def _dataset(rng, model):
    root, directories = {}, [{"path": f"data{i}"} for i in range(rng.choice([1, 1, 1, 2, 3]))]

    def put(make, share=0.75):
        """A key at the top, in some directories, or both."""
        if rng.random() < share:
            root.update(make())
        for directory in directories:
            if rng.random() < 0.2:
                directory.update(make())

    if rng.random() < 0.25:
        root.update(_size_buckets(rng, model))
        if rng.random() < 0.2:
            root.update(_resolutions(rng))
        for directory in directories:
            if rng.random() < 0.3:
                directory.update(_size_buckets(rng, model))
    else:
        # Without `resolutions` at the top the trainer fails; let that be rare.
        put(lambda: _resolutions(rng), 0.97)
        if rng.random() < 0.85:
            root["enable_ar_bucket"] = True
        for directory in directories:
            if rng.random() < 0.1:
                directory["enable_ar_bucket"] = rng.random() < 0.5
        if rng.random() < 0.35:
            put(lambda: {"ar_buckets": _ar_buckets(rng)}, 0.9)
        root.update(_ar_range(rng))
        if rng.random() < 0.02:
            root.pop(rng.choice(["min_ar", "max_ar", "num_ar_buckets"]))
        for directory in directories:
            if rng.random() < 0.15:
                directory.update(_ar_range(rng))
        if rng.random() < 0.7:
            put(lambda: {"frame_buckets": _frame_buckets(rng)}, 0.9)
    if rng.random() < 0.5:
        put(lambda: {"num_repeats": _repeats(rng)}, 0.5)
    if rng.random() < 0.1:
        root["shuffle_tags"] = True
    if rng.random() < 0.1:
        put(lambda: {"cache_shuffle_num": rng.randint(0, 4)}, 0.7)
    if rng.random() < 0.05:
        root["subsample_ratio"] = rng.choice([0.5, 0.25, 0.9, 1.0, round(rng.random(), 3)])
    return {**root, "directory": directories}


def _resolutions(rng):
    count = rng.choice([1, 1, 1, 2, 2, 3])
    if rng.random() < 0.02:
        count = 4
    shape = rng.random()
    if shape < 0.6:
        values = [rng.choice(SIDES) if rng.random() < 0.7 else rng.randint(64, 2048) for _ in range(count)]
    elif shape < 0.8:
        values = [[rng.choice(SIDES), rng.choice(SIDES)] for _ in range(count)]
    else:
        values = [round(rng.uniform(64, 2048), rng.randint(1, 6)) for _ in range(count)]
    return {"resolutions": values}


def _ar_buckets(rng):
    count = rng.randint(1, 9)
    if rng.random() < 0.5:
        return [[rng.choice(SIDES), rng.choice(SIDES)] for _ in range(count)]
    if rng.random() < 0.2:
        return [rng.randint(1, 3) for _ in range(count)]
    return [round(math.exp(rng.uniform(-1.4, 1.4)), rng.randint(2, 6)) for _ in range(count)]


def _ar_range(rng):
    low, high = rng.choice([(0.5, 2.0), (0.5, 2.0), (0.25, 4.0), (0.7, 1.4), (1.0, 1.0), (0.333, 3.0)])
    if rng.random() < 0.4:
        low, high = round(rng.uniform(0.1, 1.0), 3), round(rng.uniform(1.0, 6.0), 3)
    if rng.random() < 0.03:
        low, high = high, low
    number = rng.choice([5, 7, 9, 1, 2, 3, 11]) if rng.random() < 0.8 else rng.randint(1, 40)
    return {"min_ar": low, "max_ar": high, "num_ar_buckets": number}


def _frame_buckets(rng):
    values = [1, 33, 65, 97, 25, 49, 81, 121, 17, 34, 5, 2, 13]
    made = rng.sample(values, rng.randint(1, 4))
    if rng.random() < 0.3:
        made.append(rng.randint(1, 140))
    if rng.random() < 0.03:
        made.append(made[0])
    return made


def _size_buckets(rng, model):
    if model == "cosmos" and rng.random() < 0.7:
        sides = [[960, 960], [960, 704], [704, 960], [1280, 704], [704, 1280]]
        return {"size_buckets": [[*rng.choice(sides), rng.choice([1, 121])] for _ in range(rng.randint(1, 4))]}
    made = []
    for _ in range(rng.randint(1, 7)):
        sides = [rng.choice(SIDES) if rng.random() < 0.8 else rng.randint(17, 2048) for _ in range(2)]
        frames = rng.choice([1, 1, 1, 33, 65, 17, 49, 81, rng.randint(1, 140)])
        made.append([*sides, frames])
        if rng.random() < 0.3:
            made.append([*sides, rng.choice([1, 33, 65])])
    return {"size_buckets": made}


def _repeats(rng):
    if rng.random() < 0.03:
        return rng.choice([0, -1])
    return rng.choice([1, 2, 3, 5, 10, 0.5, 1.5, round(rng.uniform(0.05, 4), 2)])


def _aspect_ratios(config):
    """Roughly the ratios the configuration makes, to aim at the borders between them. The trainer decides, not this."""
    found = []
    for table in [config, *config["directory"]]:
        found += [each if isinstance(each, (int, float)) else each[0] / each[1] for each in table.get("ar_buckets", [])]
        found += [width / height for width, height, _ in table.get("size_buckets", [])]
        if "min_ar" in table and "max_ar" in table:
            steps = max(table.get("num_ar_buckets", 1) - 1, 1)
            factor = (table["max_ar"] / table["min_ar"]) ** (1 / steps)
            found += [table["min_ar"] * factor**i for i in range(steps + 1)]
    return sorted(set(found)) or [1.0]


def _item(rng, model, ars, directories):
    kind = rng.random()
    if kind < 0.35:
        width, height = rng.choice(SIDES), rng.choice(SIDES)
    elif kind < 0.6:
        width, height = rng.randint(1, 6000), rng.randint(1, 6000)
    elif kind < 0.7:
        width, height = rng.randint(1, 40), rng.randint(1, 40)
    else:
        # At the border between two neighbours, or on a ratio.
        i = rng.randrange(len(ars))
        ratio = math.sqrt(ars[i] * ars[min(i + 1, len(ars) - 1)]) if rng.random() < 0.7 else ars[i]
        height = rng.randint(100, 4000)
        width = max(round(height * ratio) + rng.choice([-1, 0, 0, 1]), 1)
    item = {"w": width, "h": height}
    if directories > 1:
        item["dir"] = rng.randrange(directories)
    if rng.random() < (0.5 if model in WITH_VIDEO else 0.03):
        item["video"] = True
        item["frames"] = rng.choice([rng.randint(1, 40), rng.randint(1, 400), rng.randint(1, 3000), 33, 65, 81, 121, 241])
        item["fps"] = rng.choice(RATES) if rng.random() < 0.8 else f"{rng.randint(1000, 120000)}/{rng.choice([1001, 1000, 997])}"
        if rng.random() < 0.002:
            item["frames"] = 0
    if rng.random() < 0.08:
        item["captions"] = rng.randint(1, 4)
    return item


def _batch(rng):
    config = {}
    if rng.random() < 0.9:
        config["micro_batch_size_per_gpu"] = _micro(rng)
    if rng.random() < 0.2:
        config["image_micro_batch_size_per_gpu"] = _micro(rng)
    if rng.random() < 0.5:
        config["gradient_accumulation_steps"] = rng.choice([1, 1, 2, 4, 3])
    return {"config": config, "data_parallel": rng.choice([1, 1, 1, 2, 4, 3])}


def _micro(rng):
    if rng.random() < 0.75:
        return rng.choice([1, 1, 1, 2, 2, 3, 4])
    sizes = rng.sample(SIDES, rng.randint(1, 4))
    return [[size, rng.randint(1, 4)] for size in sizes]
