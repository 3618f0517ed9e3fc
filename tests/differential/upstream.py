"""Takes every TOML the trainer's repository shows (examples, docs, README) and makes files a check can be run on.

    DPGUI_DIFFUSION_PIPE=CHECKOUT python tests/differential/upstream.py FOLDER

Each file and each fenced block of TOML becomes `FOLDER/NAME/config.toml` with its dataset files beside it; a block that
is only part of a configuration is put into a whole one of ours. What is commented out (`#key = value`, `# [table]`) is
advice too: each such block becomes one more case, with it alone made live. `FOLDER/cases.jsonl` has a line for each case: where it is
from, a hash of the text, and what the trainer says of it (`oracle/answer.py run`). `DATA`, relative, is a folder as
tests/differential/README.md describes it. Nothing of it is kept in our repository.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import toml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "oracle"))

EXPECTED = HERE.parent / "data/differential/upstream.jsonl"
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.S | re.M)
SETTING = re.compile(r"^# ?(?:[a-z][a-z0-9_]* = \S|\[+[a-z_]+\]+$)")
ROOT = """output_dir = 'DATA/output'
dataset = 'DATA/dataset.toml'
epochs = 10
save_every_n_epochs = 1
checkpoint_every_n_minutes = 120
micro_batch_size_per_gpu = 1
"""
MODEL = "[model]\ntype = 'sdxl'\ncheckpoint_path = 'm/sdxl.safetensors'\ndtype = 'bfloat16'\n"
ADAPTER = "[adapter]\ntype = 'lora'\nrank = 32\ndtype = 'bfloat16'\n"
OPTIMIZER = "[optimizer]\ntype = 'adamw_optimi'\nlr = 2e-5\nbetas = [0.9, 0.99]\nweight_decay = 0.01\n"
DATASET = """resolutions = [512]
enable_ar_bucket = true
min_ar = 0.5
max_ar = 2.0
num_ar_buckets = 7
[[directory]]
path = 'DATA/images'
"""
COSMOS = "size_buckets = [[960, 960, 1]]\n[[directory]]\npath = 'DATA/images'\nsize_buckets = [[960, 960, 1]]\n"
# The type that an example of a dataset is for, by its name; the plain one is named by the example for hunyuan-video.
KINDS = {"cosmos": "cosmos", "minimax": "minimax_h3", "kontext": "flux", "lumina": "lumina_2"}
# The places of the examples, and where the same thing lies in our folder: last part of the path, or the key's name.
PLACES = {
    "Wan2.1-T2V-1.3B": "DATA/models/wan2.1-t2v-1.3b", "Wan2.1-T2V-14B": "DATA/models/wan2.1-t2v",
    "Wan2.2-T2V-A14B": "DATA/models/wan2.2-t2v-a14b", "low_noise_model": "DATA/models/wan2.2-t2v-a14b/low_noise_model",
    "high_noise_model": "DATA/models/wan2.2-t2v-a14b/high_noise_model",
    "flux2-dev.safetensors": "DATA/models/flux2-dev.safetensors",
    "flux-2-klein-base-4b.safetensors": "DATA/models/flux2-klein_4b.safetensors",
    "flux-2-klein-base-9b.safetensors": "DATA/models/flux2-klein_9b.safetensors",
    "Qwen-Image": "DATA/models/qwen-image", "init_from_existing": "DATA/models/adapter",
    "something_else": "DATA/more", "normal_t2i_dataset": "DATA/more", "videos": "DATA/more",
    "output_dir": "DATA/output", "dataset": "DATA/dataset.toml", "path": "DATA/images", "control_path": "DATA/control",
    "mask_path": "DATA/masks", "config": "DATA/eval.toml",
}  # fmt: skip


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder, checkout = Path(sys.argv[1]), Path(os.environ["DPGUI_DIFFUSION_PIPE"])
    cases = [variant for text in found(checkout) for variant in variants(text)]
    questions = "".join(json.dumps({"id": each["name"], **question(each)}) + "\n" for each in cases)
    ask = [sys.executable, HERE / "oracle/answer.py", "run"]
    answers = subprocess.run(ask, check=True, input=questions, stdout=subprocess.PIPE, text=True).stdout
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cases.jsonl").open("w") as out:
        for case, answer in zip(cases, map(json.loads, answers.splitlines()), strict=True):
            asked = question(case)
            place = folder / case["name"]
            place.mkdir(exist_ok=True)
            (place / "config.toml").write_text(asked["config"])
            for name, text in asked["files"].items():
                (place / name).write_text(text)
            kept = {key: case[key] for key in ("name", "from", "index", "line", "uncomment", "sha256") if key in case}
            out.write(json.dumps({**kept, "answer": answer}) + "\n")
    compare(folder)


def compare(folder):
    """Whether our expectations are still about these texts, and agree with the trainer."""
    ours = {each["name"]: each for each in map(json.loads, EXPECTED.read_text().splitlines())} if EXPECTED.exists() else {}
    for case in map(json.loads, (folder / "cases.jsonl").read_text().splitlines()):
        expected = ours.pop(case["name"], None)
        if expected is None:
            print(f"{case['name']}: no expectation")
            continue
        if expected["sha256"] != case["sha256"]:
            print(f"{case['name']}: another text than the one judged")
        if expected["accepted"] != case["answer"]["accepted"]:
            print(f"{case['name']}: the trainer says {case['answer']}")
    for name in ours:
        print(f"{name}: not there any more")


def found(checkout):
    """Every text of TOML, in order, with the `[model]` a later part belongs to."""
    names = subprocess.run(["git", "-C", checkout, "ls-files", "*.toml", "*.md"], check=True, capture_output=True, text=True)
    for name in names.stdout.split():
        text = (checkout / name).read_text()
        if name.endswith(".toml"):
            yield {"from": name, "index": 0, "line": 1, "text": text, "model": MODEL}
            continue
        model = MODEL
        for index, match in enumerate(BLOCK.finditer(text)):
            block = re.sub(f"^{match[1]}", "", match[3], flags=re.M)
            if not is_toml(match[2], block):
                continue
            line = text[: match.start()].count("\n") + 1
            yield {"from": name, "index": index, "line": line, "text": block, "model": model}
            if "[model]" in block:
                model = block


def is_toml(language, block):
    if language not in ("", "toml"):
        return False
    try:
        return bool(toml.loads(block))
    except (toml.TomlDecodeError, IndexError):
        # A shell command rarely has ` = `; a broken example must not go unseen.
        return language == "toml" or bool(re.search(r"^\w+ = ", block, re.M))


def variants(case):
    base = f"{Path(case['from']).name}-{case['index']}"
    yield {**case, "name": base, "sha256": digest(case["text"])}
    lines = case["text"].splitlines()
    done = -1
    for start in range(len(lines)):
        if start <= done or not SETTING.match(lines[start]):
            continue
        block, done = longest_block(lines, start)
        if block:
            text = "\n".join(made_live(lines, start, done, block)) + "\n"
            yield {**case, "name": f"{base}-{start + 1}", "uncomment": start + 1, "text": text, "sha256": digest(case["text"])}


def longest_block(lines, start):
    """The commented lines from `start` that are TOML together, and the last one's number."""
    best, last, block = [], start, []
    for n in range(start, len(lines)):
        if not lines[n].startswith("#"):
            break
        block.append(re.sub("^# ?", "", lines[n]))
        try:
            if toml.loads("\n".join(block)):
                best, last = list(block), n
        except Exception:
            continue
    # Comments between and behind are harmless; prose cannot parse.
    return best, last


def made_live(lines, start, last, block):
    """The text with the block in place of what it stands for: the same table, or the same keys in its table."""
    header = re.match(r"\[(\w+)\]", block[0])
    keys = set() if block[0].startswith("[") else {line.split(" = ")[0] for line in block if " = " in line}
    here = table_at(lines, start)
    kept = []
    for n, line in enumerate(lines):
        if n == start:
            kept += block
        if start <= n <= last:
            continue
        same_table = header and table_at(lines, n) == header[0]
        same_key = table_at(lines, n) == here and line.split(" = ")[0] in keys
        if not (same_table or same_key):
            kept.append(line)
    return kept


def table_at(lines, n):
    return next((line.strip() for line in reversed(lines[: n + 1]) if line.startswith("[")), "")


def question(case):
    text = placed(case["text"])
    tables = set(re.findall(r"^\[+([a-z_]+)", text, re.M))
    if "directory" in tables:
        model = next((kind for part, kind in KINDS.items() if part in case["from"]), "hunyuan-video")
        return {"config": ROOT + own_model(model) + ADAPTER + OPTIMIZER, "files": {"dataset.toml": text}}
    if "model" not in tables:
        model = placed(case["model"])
        if not tables:
            # Settings of the `[model]` shown before.
            names = set(re.findall(r"^(\w+) = ", text, re.M))
            model = "".join(line for line in model.splitlines(True) if line.split(" = ")[0] not in names) + text
            return whole(model)
        return whole(model, optimizer=text)
    if "output_dir" in text or case["from"].endswith(".toml"):
        return {"config": text, "files": files(text)}
    return whole(text)


def whole(model, optimizer=OPTIMIZER):
    text = ROOT + model + ADAPTER + optimizer
    return {"config": text, "files": files(text)}


def files(text):
    made = {"dataset.toml": COSMOS if "'cosmos'" in text else DATASET}
    if "DATA/eval.toml" in text:
        made["eval.toml"] = DATASET
    return made


def own_model(kind):
    import ask_config
    import to_toml

    return to_toml.document({"model": {"type": kind, **ask_config.MODELS[kind], "dtype": "bfloat16"}})


def placed(text):
    """The text with its author's paths turned into ours."""

    def place(match):
        key, quote, path = match[1], match[2], match[3]
        last = path.rstrip("/").split("/")[-1]
        ours = PLACES.get(last) or (PLACES.get(key) if not path.endswith(".safetensors") else None)
        return f"{key} = {quote}{ours}{quote}" if ours else match[0]

    return re.sub(r"\b(\w+) = (['\"])([^'\"\n]*)\2", place, text)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
