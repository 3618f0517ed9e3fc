"""Makes an adapter of a checkpoint, as the trainer would have saved it at that step: `dpgui export`.

    python export.py QUESTIONS

The trainer needs the base model and a GPU to save an adapter, only because its parameters carry their names. Here
the names come from the checkpoint: DeepSpeed writes one file per layer of the pipeline, and which part of the model a
layer wraps is known for each model type (`templates/schema/models/`). QUESTIONS is a JSON object:

    checkpoint   the folder `global_stepN`
    output       an empty folder for the adapter
    layout       `[export]` of the model type
    adapter      `[adapter]` of the configuration
    save_dtype   what weights are cast to, or null

The last line of stdout is a JSON object that says what was done. What cannot be done ends with one `error: ...` line.
"""

import json
import re
import sys
from pathlib import Path

import safetensors.torch
import torch

# A module that the trainer's layers wrap is called one of these in them.
WRAPPED = re.compile(r"^(block|layer)\.")


class Refusal(Exception):
    """It cannot be done; the message says why."""


def read_layers(checkpoint):
    """The trained tensors of each layer of the pipeline, by its number."""
    layers = {}
    for path in checkpoint.glob("layer_*-model_states.pt"):
        number = int(re.match(r"layer_(\d+)", path.name)[1])
        layers[number] = torch.load(path, map_location="cpu", weights_only=True)
    if not layers:
        raise Refusal(f"`{checkpoint}` holds no layers")
    return dict(sorted(layers.items()))


def is_adapters(key):
    """PEFT's names; what is not trained may be in a layer too, as buffers are."""
    return re.search(r"\.(lora|lokr)_", key) is not None


def first_of_each_kind(layers, blocks):
    """The layer in which the blocks of each kind begin."""
    starts = [blocks[0]["first"]]
    if len(blocks) == 2:
        mark = blocks[0]["has"]
        marked = [number for number, layer in layers.items() if any(key.startswith(mark) for key in layer)]
        if not marked:
            raise Refusal(f"no layer of the checkpoint has `{mark}`: it is none of this model type")
        starts.append(marked[-1] + 1 + blocks[1]["after"])
    return starts


def named(layers, layout):
    """The adapter's tensors by the names that they have in the whole model."""
    blocks, parts = layout.get("blocks"), layout.get("layers", {})
    starts = first_of_each_kind(layers, blocks) if blocks else []
    found = {}
    for number, layer in layers.items():
        for key, tensor in layer.items():
            if layout["writer"] == "demo" or is_adapters(key):
                found[name_of(number, key, blocks, starts, parts.get(str(number), {}))] = tensor
    if not found:
        raise Refusal("the checkpoint holds no weights of an adapter")
    return found


def name_of(number, key, blocks, starts, parts):
    for part, name in parts.items():
        if part == "" or key.startswith(f"{part}."):
            return name + key[len(part) :] if part else f"{name}.{key}"
    if not (blocks and WRAPPED.match(key)):
        # The first and the last layers hold parts of the model by their own names.
        return key
    kind = max(index for index, start in enumerate(starts) if start <= number)
    return WRAPPED.sub(f"{blocks[kind]['name'].format(number - starts[kind])}.", key)


def peft_config(tensors, adapter):
    """As the trainer's `configure_adapter` makes it (models/base.py); alpha always equals the rank."""
    import peft

    rank = adapter["rank"]
    targets = sorted({re.split(r"\.(?:lora|lokr)_", name)[0] for name in tensors})
    common = {"r": rank, "target_modules": targets, "exclude_modules": adapter.get("exclude_modules")}
    if adapter["type"] == "lokr":
        return peft.LoKrConfig(
            alpha=rank,
            decompose_factor=adapter.get("decompose_factor", -1),
            rank_dropout=adapter.get("rank_dropout", 0.0),
            **common,
        )
    return peft.LoraConfig(lora_alpha=rank, lora_dropout=adapter.get("dropout", 0.0), bias="none", **common)


def write_demo(tensors, adapter, output):
    """As templates/demo/train.py does."""
    rank, targets = adapter["rank"], {name.split(".")[-3] for name in tensors if ".lora_A." in name}
    about = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "lora_dropout": 0.0, "bias": "none"}
    about |= {"target_modules": sorted(targets), "modules_to_save": ["head"]}
    (output / "adapter_config.json").write_text(json.dumps(about, indent=2) + "\n")


def write(tensors, layout, adapter, output):
    """The trainer's `save_adapter`, which is of one of four kinds."""
    writer, prefix = layout["writer"], layout.get("prefix", "")
    if writer == "diffusers":
        import diffusers.loaders

        getattr(diffusers.loaders, layout["mixin"]).save_lora_weights(output, transformer_lora_layers=tensors)
        return
    if writer == "kohya":
        from diffusers.utils.state_dict_utils import convert_state_dict_to_kohya

        save(convert_state_dict_to_kohya(tensors), output / "lora.safetensors")
        return
    if writer == "peft":
        peft_config(tensors, adapter).save_pretrained(output)
    else:
        write_demo(tensors, adapter, output)
    for old, new in layout.get("rename", []):
        tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
    save({prefix + name: tensor for name, tensor in tensors.items()}, output / "adapter_model.safetensors")


def save(tensors, path):
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def export(questions):
    layout, adapter, output = questions["layout"], questions["adapter"], Path(questions["output"])
    if len(layout.get("blocks") or []) == 2 and adapter.get("exclude_modules"):
        raise Refusal("with `exclude_modules` it is not certain which block of this model type a layer is")
    tensors = named(read_layers(Path(questions["checkpoint"])), layout)
    # What the trainer's saver does to the names (utils/saver.py).
    tensors = {key.replace(".default", "").replace(".modules_to_save", ""): it for key, it in tensors.items()}
    if questions["save_dtype"]:
        dtype = getattr(torch, questions["save_dtype"])
        tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    write(tensors, layout, adapter, output)
    return {"tensors": len(tensors)}


def main():
    try:
        print(json.dumps(export(json.loads(sys.argv[1]))))
    except (Refusal, OSError, RuntimeError, ImportError, KeyError) as error:
        said = str(error).strip().replace("\n", " ")
        sys.exit(f"error: {said if isinstance(error, Refusal) else f'{type(error).__name__}: {said}'}")


if __name__ == "__main__":
    main()
