"""The data that `benches/data.sh` measures with, and the trainer's own way to look at it.

    data.py make DIR IMAGES VIDEOS     files as datasets have them, each with a caption
    data.py link DIR DIR FILES         so many images more, as links to those of the first
    data.py look DIR                   as the trainer does: Pillow, imageio and PyAV, in as many processes

Needs Pillow, imageio, PyAV and NumPy.
"""

import io
import json
import multiprocessing
import os
import random
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import imageio
import numpy
from PIL import Image

VIDEOS = {each.extension for each in imageio.config.video_extensions}
VIDEOS |= {each.upper() for each in VIDEOS}


def make(folder, images, videos):
    folder.mkdir(parents=True)
    random.seed(1)
    kinds = []
    for number in range(40):
        size = random.randint(300, 2600), random.randint(300, 2600)
        suffix, kind = [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"), ("jpg", "JPEG")][number % 4]
        picture = Image.effect_noise(size, 40).convert("RGB") if number % 4 == 0 else Image.new("RGB", size, (number, 9, 9))
        file = io.BytesIO()
        picture.save(file, kind)
        kinds.append((suffix, file.getvalue()))
    for number in range(images):
        suffix, content = kinds[number % len(kinds)]
        (folder / f"image{number:06}.{suffix}").write_bytes(content)
        (folder / f"image{number:06}.txt").write_text("a caption")
    rates = [24, 25, 30, Fraction(30000, 1001), 60, Fraction(24000, 1001)]
    films = [film(320 + 32 * n, 20 + 15 * n, rates[n % 6], folder.parent / "film.mp4") for n in range(12)]
    for number in range(videos):
        (folder / f"video{number:06}.mp4").write_bytes(films[number % len(films)])
        (folder / f"video{number:06}.txt").write_text("a film")


def film(width, frames, rate, path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, 240, "yuv420p"
        for number in range(frames):
            picture = numpy.full((240, width, 3), number % 255, dtype=numpy.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    path.unlink()
    return content


def link(folder, to, count):
    to.mkdir(parents=True)
    images = sorted(folder.glob("image*.jpg"))
    for number in range(count):
        image = images[number % len(images)]
        os.link(image, to / f"{number:06}.jpg")
        os.link(image.with_suffix(".txt"), to / f"{number:06}.txt")


def look(folder):
    files = sorted(path for path in folder.glob("*") if path.is_file() and path.suffix not in (".txt", ".json", ".npz"))
    with multiprocessing.Pool(min(8, os.cpu_count())) as pool:
        return pool.map(measure, files)


def measure(path):
    """What `_metadata_map_fn` does before it chooses a bucket."""
    caption = path.with_suffix(".txt")
    if not caption.exists():
        return None
    caption.read_text().strip()
    if path.suffix == ".webp":
        imageio.get_reader(path).get_length()
    if path.suffix not in VIDEOS:
        return Image.open(path).size
    # ComfyUI opens the film anew for each of the three questions.
    with av.open(str(path)) as container:
        size = container.streams.video[0].width, container.streams.video[0].height
    with av.open(str(path)) as container:
        frames = container.streams.video[0].frames
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
    return *size, frames, float(rate)


if __name__ == "__main__":
    command, folder, *counts = sys.argv[1:]
    if command == "make":
        make(Path(folder), *map(int, counts))
    elif command == "link":
        link(Path(folder), Path(counts[0]), int(counts[1]))
    else:
        start = time.perf_counter()
        found = look(Path(folder))
        print(json.dumps({"files": len(found), "seconds": round(time.perf_counter() - start, 3)}))
