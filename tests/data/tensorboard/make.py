"""Writes the two event files beside this file, see README.md."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from torch.utils.tensorboard import SummaryWriter

here = Path(__file__).parent


def keep(folder, name):
    (file,) = Path(folder).iterdir()
    shutil.move(file, here / name)


with tempfile.TemporaryDirectory() as folder:
    with SummaryWriter(log_dir=folder) as writer:
        writer.add_scalar("train/loss", 0.5, 1)
        writer.add_scalar("train/loss", float("nan"), 2)
        writer.add_scalar("train/loss", float("inf"), 3)
        writer.add_histogram("train/automagic_lrs", np.array([1e-4, 2e-4]), 3)
        writer.add_scalar("val/loss_quantile_0.10", 0.25, 3)
        writer.add_scalar("val/loss", 0.125, 3)
        writer.add_scalar("train/epoch_loss", 0.75, 1)
    keep(folder, "torch.tfevents")

with tempfile.TemporaryDirectory() as folder:
    writer = EventFileWriter(folder)

    def add(tag, step, tensor):
        value = summary_pb2.Summary.Value(tag=tag, tensor=tensor)
        writer.add_event(event_pb2.Event(wall_time=1.8e9, step=step, summary=summary_pb2.Summary(value=[value])))

    scalar = tensor_shape_pb2.TensorShapeProto()
    add("val/loss", 7, tensor_pb2.TensorProto(dtype=1, tensor_shape=scalar, float_val=[0.3125]))
    content = np.float32(0.25).tobytes()
    add("val/loss", 8, tensor_pb2.TensorProto(dtype=1, tensor_shape=scalar, tensor_content=content))
    add("val/double", 9, tensor_pb2.TensorProto(dtype=2, tensor_shape=scalar, double_val=[0.1]))
    add("val/text", 9, tensor_pb2.TensorProto(dtype=7, tensor_shape=scalar, string_val=[b"not a number"]))
    writer.close()
    keep(folder, "tensors.tfevents")
