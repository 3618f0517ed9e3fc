"""What the trainer makes of a dataset: the bucket of each item, what it drops, and the batches that remain.

The trainer's own classes run from the configuration to the batches. In place of files lie sizes, in place of tables
on disk tables in memory, in place of latents nothing.
"""

import ast
import builtins
import contextlib
import io
from pathlib import Path

import numpy
import toml

import media
import table

# Closer than this the two nearest aspect ratios cannot be told apart by a different `log`: NumPy's own differs by one
# unit in the last place between processors.
TIE = 1e-12
# What a bucket's pixels come to does not depend on the picture.
ANY_PICTURE = {"w": 64, "h": 64}


class Planner:
    def __init__(self, trainer):
        self.trainer = trainer
        self.dataset = trainer.dataset
        self.shelf = media.Shelf()
        self.dataset.Image = media.Pictures(self.shelf)
        self.dataset.InputImpl = media.Films(self.shelf)
        self.dataset.datasets = table
        self.dataset._map_and_cache = lambda rows, *args, **kwargs: list(range(len(rows)))
        self.dataset.tqdm = lambda rows, **kwargs: rows
        trainer.base.Image = media.Pictures(self.shelf)
        # The real one also closes stdin, from which the questions come.
        builtins.quit = _quit
        self._batch_sizes = _batch_size_reader(trainer.path / "train.py")

    def answer(self, case):
        folder = Path("DATA")
        table.Disk.tables.clear()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return {"id": case.get("id"), **self._answer(case, folder)}
        except (SystemExit, Exception) as error:
            return {"id": case.get("id"), "error": {"type": type(error).__name__, "text": str(error)}}
        finally:
            self.trainer.start_over()

    def _answer(self, case, folder):
        config = toml.loads(case["config"])
        _lay_out(config, folder)
        model = self.trainer.model(case["model"], case.get("variant"))
        whole = self.dataset.Dataset(config, model, skip_dataset_validation=case.get("skip_validation", False))
        seen = []
        for i, directory in enumerate(whole.directory_datasets):
            items = [item for item in case["items"] if item.get("dir", 0) == i]
            seen.append(self._measure(directory, items))
        for directory in whole.directory_datasets:
            directory.cache_latents(None)
        preprocess = model.get_preprocess_media_file_fn()
        out = {
            "directories": [
                self._directory(directory, rows, preprocess, case.get("crops", False))
                for directory, rows in zip(whole.directory_datasets, seen, strict=True)
            ]
        }
        if "batch" in case:
            out["epoch"] = self._epoch(whole, model, case["batch"])
        return out

    def _measure(self, directory, items):
        """Each item through the trainer's metadata function, then all through its grouping."""
        look = directory._metadata_map_fn()
        noted = {}
        for name in ("_find_closest_ar_bucket", "_find_closest_size_bucket"):
            setattr(directory, name, _noting(getattr(directory, name), noted))
        rows, kept = [], []
        for i, item in enumerate(items):
            self.shelf.item = item
            noted.clear()
            self.trainer.log.last = None
            suffix = ".mp4" if item.get("video") else ".png"
            captions = [f"caption {n}" for n in range(item.get("captions", 1))]
            result = look({
                "image_spec": [(None, f"{i}{suffix}")],
                "caption_file": [""],
                "mask_file": [None],
                "caption": [captions],
            })
            row = {"item": item}
            if noted:
                row["frames"] = int(noted["frames"])
                row["tie"] = _is_tie(noted["log_ar"], directory.log_ars)
            if not result["image_spec"]:
                row["dropped"] = "too short" if noted else self.trainer.log.last.split("exception was: ")[-1]
            else:
                kept.append({name: _as_stored(values[0]) for name, values in result.items()})
            rows.append(row)
        directory._get_ungrouped_metadata = lambda **kwargs: kept
        directory.grouping_keys_json_file.parent.mkdir(parents=True, exist_ok=True)
        directory.cache_metadata()
        return rows

    def _directory(self, directory, rows, preprocess, crops):
        found = sorted(directory.get_size_bucket_datasets(), key=lambda each: tuple(each.size_bucket))
        members = {}
        buckets = []
        for b, each in enumerate(found):
            bucket = [_number(value) for value in each.size_bucket]
            # The size without the aspect ratio that only makes the folder's name unique.
            width, height, frames = bucket[-3:]
            pixels = self._rounded(preprocess, ANY_PICTURE, (width, height, frames))
            buckets.append({
                "bucket": bucket,
                "pixels": [*pixels.size, int(preprocess.align_frames(frames))],
                "count": len(each.metadata_dataset),
                "entries": len(each.iteration_order),
                "length": len(each),
            })
            for spec in each.metadata_dataset["image_spec"]:
                members.setdefault(int(Path(spec[1]).stem), []).append(b)
        items = []
        for i, row in enumerate(rows):
            out = {}
            if "frames" in row:
                out["frames"] = row["frames"]
            if row.get("tie"):
                out["tie"] = True
            if "dropped" in row:
                out["dropped"] = row["dropped"]
            else:
                out["buckets"] = members.get(i, [])
                if crops:
                    out["crops"] = [
                        list(self._rounded(preprocess, row["item"], buckets[b]["bucket"][-3:]).box)
                        for b in out["buckets"]
                    ]
            items.append(out)
        resolutions = [] if directory.use_size_buckets else directory.resolutions
        return {
            "ars": [float(ar) for ar in directory.ars],
            "resolutions": [_number(value) for value in resolutions],
            "frame_buckets": [_number(value) for value in directory.frame_buckets],
            "num_repeats": directory.directory_config["num_repeats"],
            "buckets": buckets,
            "items": items,
        }

    def _rounded(self, preprocess, item, size_bucket):
        """How the trainer's preprocessing cuts and scales: its size and PIL's box."""
        self.shelf.item = item
        try:
            preprocess((None, "0.png"), None, tuple(size_bucket))
        except media.Cropped as cropped:
            return cropped
        # Pillow does not resize to nothing, and the trainer goes on with an empty picture.
        raise AssertionError("a bucket without pixels")

    def _epoch(self, whole, model, batch):
        sizes = self._batch_sizes(batch["config"])
        accumulation = batch["config"].get("gradient_accumulation_steps", 1)
        world = batch.get("data_parallel", 1)
        whole.post_init(0, world, sizes["micro_batch_size_per_gpu"], accumulation, sizes["image_micro_batch_size_per_gpu"])
        buckets = []
        for each in whole.buckets:
            buckets.append({
                "bucket": [_number(value) for value in each.datasets[0].size_bucket],
                "before": sum(len(dataset) for dataset in each.datasets),
                "global_batch": int(each.global_batch_size),
                "kept": len(each.iteration_order),
                "batches": len(each),
            })
        buckets.sort(key=lambda each: each["bucket"])
        out = {"buckets": buckets, "batches": len(whole)}
        try:
            loader = self.dataset.PipelineDataLoader(whole, None, accumulation, model)
        except RuntimeError as error:
            return {**out, "error": str(error).partition("\n")[0]}
        return {**out, "steps": len(loader) // accumulation}


def _quit():
    raise SystemExit("quit")


def _noting(method, noted):
    def wrapper(log_ar, frames, is_video):
        noted.update(log_ar=log_ar, frames=frames)
        return method(log_ar, frames, is_video)

    return wrapper


def _is_tie(log_ar, log_ars):
    distances = numpy.sort(numpy.abs(log_ar - log_ars))
    return len(distances) > 1 and bool(distances[1] - distances[0] < TIE)


def _as_stored(value):
    """As the value comes back from Arrow: plain lists and numbers, one type per list."""
    if isinstance(value, numpy.ndarray):
        return value.tolist()
    if isinstance(value, tuple) and value and all(isinstance(each, numpy.number) for each in value):
        return [float(each) for each in value]
    return value


def _number(value):
    return value.item() if isinstance(value, numpy.generic) else value


def _lay_out(config, folder):
    """Gives every path of the configuration something to find."""
    for i, directory in enumerate(config.get("directory", [])):
        for key in ("path", "mask_path", "control_path"):
            if key in directory:
                directory[key] = str(folder / f"{key}{i}")
                (folder / f"{key}{i}").mkdir(parents=True, exist_ok=True)
        directory.pop("default_mask_file", None)


def _batch_size_reader(script):
    """The lines of train.py that turn the four batch-size keys into tables by size, as a function."""
    main = next(node for node in ast.parse(script.read_text()).body if isinstance(node, ast.If))
    names = set()
    kept = []
    for node in main.body:
        assigned = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        inside = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        if assigned and assigned[0].endswith("micro_batch_size_per_gpu") and not assigned[0].startswith("default"):
            names.add(assigned[0])
            kept.append(node)
        elif isinstance(node, ast.If) and inside & names and inside <= names | {"x"}:
            kept.append(node)
    assert len(names) == 4, names
    code = compile(ast.Module(kept, []), str(script), "exec")

    def read(config):
        scope = {"config": config}
        exec(code, scope)
        return {name: scope[name] for name in names}

    return read
