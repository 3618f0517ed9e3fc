"""Holds the stand-ins of the oracle against the real things: Hugging Face's tables, Pillow, files on disk.

    DPGUI_DIFFUSION_PIPE=CHECKOUT python tests/differential/test_oracle.py
"""

import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "oracle"))

CONFIGS = [
    "resolutions = [512, 700]\nenable_ar_bucket = true\nmin_ar = 0.4\nmax_ar = 2.5\nnum_ar_buckets = 8\nnum_repeats = 3\n",
    "resolutions = [[640, 480]]\nenable_ar_bucket = true\nar_buckets = [0.5, 0.9, 1.0, 1.7]\nshuffle_tags = true\n",
    "size_buckets = [[512, 512, 1], [600, 400, 1], [300, 900, 1]]\nnum_repeats = 2\n",
    "resolutions = [333.3]\ncache_shuffle_num = 2\n",
]
BATCH = {"config": {"micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 2}, "data_parallel": 1}


def sizes(seed):
    rng = random.Random(seed)
    return [(rng.randint(8, 300), rng.randint(8, 300)) for _ in range(120)]


class Oracle(unittest.TestCase):
    def test_tables_in_memory_and_sizes_without_pictures_give_what_the_real_ones_do(self):
        for seed, config in enumerate(CONFIGS):
            with self.subTest(config=config), tempfile.TemporaryDirectory() as folder:
                items = [{"w": width, "h": height} for width, height in sizes(seed)]
                text = config + "[[directory]]\npath = 'x'\n"
                question = {"model": "sdxl", "config": text, "items": items, "batch": BATCH}
                ours = run(HERE / "oracle/answer.py", "plan", json.dumps(question))
                real = run(__file__, "real", json.dumps({"config": text, "seed": seed, "folder": folder}))
                found = ours["directories"][0]
                buckets = [each["bucket"] for each in found["buckets"]]
                self.assertEqual(buckets, real["buckets"])
                self.assertEqual([each["length"] for each in found["buckets"]], real["lengths"])
                members = [[] for _ in buckets]
                for i, item in enumerate(found["items"]):
                    for b in item["buckets"]:
                        members[b].append(i)
                self.assertEqual(members, real["members"])
                self.assertEqual(ours["epoch"]["batches"], real["batches"])
                self.assertEqual([each["kept"] for each in ours["epoch"]["buckets"]], real["kept"])

    def test_rows_are_shuffled_as_the_real_tables_are(self):
        import datasets
        import table

        for seed, count in [(0, 1), (1, 2), (42, 100), (999_999_999, 1000)]:
            rows = list(range(count))
            real = datasets.Dataset.from_dict({"a": rows}).shuffle(seed=seed)["a"]
            self.assertEqual(list(table.Dataset.from_dict({"a": rows}).shuffle(seed=seed)["a"]), list(real))


def run(script, argument, question):
    done = subprocess.run([sys.executable, script, argument], input=question + "\n", text=True, capture_output=True)
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def real(question):
    """The trainer's way with nothing replaced but the latents: files, Pillow, tables on disk."""
    from PIL import Image

    import toml
    import trainer

    subject = trainer.Trainer()
    folder = Path(question["folder"])
    for i, (width, height) in enumerate(sizes(question["seed"])):
        Image.new("RGB", (width, height)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("one, two, three")
    config = toml.loads(question["config"])
    config["directory"][0]["path"] = str(folder)
    dataset = subject.dataset
    dataset._map_and_cache = lambda rows, *args, **kwargs: list(range(len(rows)))
    # More processes than one would only be slower here.
    dataset.NUM_PROC = 1
    with contextlib.redirect_stdout(io.StringIO()):
        whole = dataset.Dataset(config, subject.model("sdxl"))
        whole.cache_metadata()
        whole.cache_latents(None)
        whole.post_init(0, 1, {None: 2}, 2, {None: 2})
    found = sorted(whole.directory_datasets[0].get_size_bucket_datasets(), key=lambda each: tuple(each.size_bucket))
    kept = sorted(whole.buckets, key=lambda each: tuple(each.datasets[0].size_bucket))
    subject.close()
    return {
        "buckets": [list(each.size_bucket) for each in found],
        "lengths": [len(each) for each in found],
        "members": [sorted(int(Path(spec[1]).stem) for spec in each.metadata_dataset["image_spec"]) for each in found],
        "kept": [len(each.iteration_order) for each in kept],
        "batches": len(whole),
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["real"]:
        answer = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        answer.write(json.dumps(real(json.loads(sys.stdin.read()))) + "\n")
        answer.close()
    else:
        unittest.main()
