"""Small real media files, and what Pillow, imageio and PyAV say of them: what `dpgui::data::media` has to find as well.

Writes `tests/data/differential/media.jsonl`: `{"name", "bytes" (base64), "says", "then"}` a line. `says` is `[width, height]` of
an image, `[width, height, frames, rate]` of a film, or `null` where there is none. How many frames a film has is what
ComfyUI's `VideoFromFile` makes of PyAV's numbers: what the container says, else 1; of `.mkv` the trainer decodes all.

`then` is what becomes of it: `trains`; `skipped`, as what goes wrong while it is measured is caught; `raises` while it is
measured, outside of that; `fails` when its pixels are wanted; a number, if it is decoded to that many frames and more were
counted, which trains if they fill the bucket.

    python tests/differential/media.py
"""

import base64
import json
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import imageio
import numpy
from PIL import Image, ImageOps

OUT = Path(__file__).parent.parent / "data/differential/media.jsonl"
SIZE = (21, 13)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        images(folder)
        films(folder)
        damaged(folder)
        cut(folder)
        lines = [json.dumps(line(path)) for path in sorted(folder.iterdir())]
    OUT.write_text("".join(line + "\n" for line in lines))


def images(folder):
    for suffix in ["png", "jpg", "webp", "gif", "bmp", "tiff", "avif", "ppm", "tga", "dds", "qoi", "jp2", "ico"]:
        size = (48, 32) if suffix == "ico" else SIZE
        Image.new("RGBA" if suffix == "ico" else "RGB", size).save(folder / f"plain.{suffix}")
    Image.new("RGB", SIZE).save(folder / "progressive.jpg", progressive=True)
    Image.new("RGB", SIZE).save(folder / "profile.jpg", icc_profile=b"x" * 5000)
    Image.new("RGB", SIZE).save(folder / "lossless.webp", lossless=True)
    Image.new("RGBA", SIZE).save(folder / "clear.webp")
    two = {"save_all": True, "append_images": [Image.new("RGB", SIZE, "red")]}
    Image.new("RGB", SIZE).save(folder / "two.webp", **two)
    Image.new("RGB", SIZE).save(folder / "two.WEBP", format="WEBP", **two)
    Image.new("RGB", SIZE).save(folder / "two.gif", **two)
    for orientation in [1, 3, 6]:
        exif = Image.Exif()
        exif[274] = orientation
        for suffix in ["jpg", "png", "webp", "avif"]:
            Image.new("RGB", SIZE).save(folder / f"turned{orientation}.{suffix}", exif=exif)
        Image.new("RGB", SIZE).save(folder / f"turned{orientation}.tiff", tiffinfo={274: orientation})


def films(folder):
    rates = [24, Fraction(30000, 1001), Fraction(24000, 1001), Fraction(2997, 125), 16, Fraction(1000, 67)]
    for number, rate in enumerate(rates):
        for suffix, codec in [("mp4", "mpeg4"), ("mov", "mpeg4"), ("mkv", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4")]:
            film(folder / f"film{number}.{suffix}", 5 + number, rate, codec)
        film(folder / f"h264-{number}.mp4", 5 + number, rate, "libx264")
        film(folder / f"pieces{number}.mp4", 5, rate, "libx264", {"movflags": "frag_keyframe+empty_moov"})
    film(folder / "first.mp4", 9, 25, "libx264", {"movflags": "faststart"})
    for name, of in [("LARGE.MP4", "film0.mp4"), ("Mixed.Mp4", "film0.mp4"), ("really.mp4", "film0.mkv"), ("really.mkv", "film0.mp4")]:
        (folder / name).write_bytes((folder / of).read_bytes())


def film(path, frames, rate, codec, options=None, sound=None, noise=0):
    random = numpy.random.default_rng(1)
    with av.open(str(path), "w", container_options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = 32, 16
        if noise:
            # So that a frame is more than its headers.
            stream.bit_rate = 4_000_000
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        track = container.add_stream(sound, rate=8000, layout="mono") if sound else None
        for number in range(frames):
            if track:
                silence = numpy.zeros((1, 320), dtype=numpy.int16)
                heard = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
                heard.sample_rate, heard.pts = 8000, number * 320
                container.mux(track.encode(heard))
            picture = numpy.full((16, 32, 3), number * 20, dtype=numpy.uint8)
            picture += random.integers(0, noise + 1, picture.shape, dtype=numpy.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        if track:
            container.mux(track.encode(None))


def damaged(folder):
    png = (folder / "plain.png").read_bytes()
    (folder / "short.png").write_bytes(png[:40])
    (folder / "checksum.png").write_bytes(png[:29] + bytes(4) + png[33:])
    (folder / "png.jpg").write_bytes(png)
    (folder / "nosuffix").write_bytes(png)
    jpeg = (folder / "plain.jpg").read_bytes()
    (folder / "head.jpg").write_bytes(jpeg[:100])
    (folder / "half.jpg").write_bytes(jpeg[: len(jpeg) * 2 // 3])
    film = (folder / "film0.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(film[: len(film) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "page.jpg").write_text("<!DOCTYPE html><html><body>404</body></html>")
    (folder / "pointer.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def cut(folder):
    """Whole files of noise, their ends missing or more behind them; each format forgives other things."""
    random = numpy.random.default_rng(1)
    noise = Image.fromarray(random.integers(0, 255, (23, 29, 3), dtype=numpy.uint8))
    kinds = {
        "jpg": [{}, {"progressive": True}], "png": [{}], "gif": [{}], "bmp": [{}], "webp": [{}, {"lossless": True}],
        "tiff": [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}], "avif": [{}],
    }  # fmt: skip
    whole = folder / "whole"
    for suffix, ways in kinds.items():
        for number, way in enumerate(ways):
            picture = noise.convert("P") if suffix == "gif" else noise
            picture.save(whole, {"jpg": "JPEG"}.get(suffix, suffix.upper()), **way)
            ends(folder, f"{suffix}{number}", suffix, whole.read_bytes())
    odd = noise.convert("P")
    odd.save(whole, "BMP")
    ends(folder, "palette", "bmp", whole.read_bytes())
    odd.save(whole, "GIF", save_all=True, append_images=[odd.rotate(90)])
    ends(folder, "moving", "gif", whole.read_bytes())
    clear = Image.fromarray(random.integers(0, 255, (23, 29, 4), dtype=numpy.uint8))
    for name, picture in [("opaque", noise), ("clear", clear)]:
        picture.save(whole, "AVIF", quality=90)
        content = whole.read_bytes()
        for less in [100, 256, 270, 275, 276, 300, 410, 1000, 1135, 1136]:
            if less < len(content):
                (folder / f"{name}-less{less}.avif").write_bytes(content[: len(content) - less])
    # Only now `.webp` is no suffix at which the trainer counts frames.
    noise.save(whole, "WEBP")
    ends(folder, "capitals", "WEBP", whole.read_bytes())
    for name, suffix, codec, options in [
        ("h264", "mp4", "libx264", {"movflags": "faststart"}), ("mpeg4", "mp4", "mpeg4", {"movflags": "faststart"}),
        ("late", "mp4", "libx264", {}), ("pieces", "mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("cluster", "mkv", "libx264", {}), ("chunks", "avi", "mpeg4", {}),
    ]:  # fmt: skip
        path = folder / f"whole.{suffix}"
        film(path, 9, 25, codec, options)
        content = path.read_bytes()
        path.unlink()
        for share in [97, 60, 30]:
            (folder / f"{name}-{share}.{suffix}").write_bytes(content[: len(content) * share // 100])
        (folder / f"{name}-more.{suffix}").write_bytes(content + bytes(99))
    whole.unlink()
    sounding(folder)


def sounding(folder):
    """Longer films, whose ends are missing in many places: in a frame, in sound, between the two, in the index."""
    for name, suffix, codec, sound in [
        ("mute", "avi", "mpeg4", None), ("loud", "avi", "mpeg4", "pcm_s16le"), ("chosen", "avi", "libx264", None),
        ("mute", "mp4", "mpeg4", None), ("loud", "mp4", "mpeg4", "aac"), ("jpegs", "mp4", "mjpeg", None),
    ]:  # fmt: skip
        path = folder / f"whole.{suffix}"
        film(path, 6, 25, codec, {} if suffix == "avi" else {"movflags": "faststart"}, sound, noise=90)
        content = path.read_bytes()
        path.unlink()
        for less in [0, 1, 40, 450, 800, 1200, 1600]:
            (folder / f"{name}-{codec}-less{less}.{suffix}").write_bytes(content[: len(content) - less])


def ends(folder, name, suffix, content):
    size = len(content)
    for less in [0, 1, 2, 3, 4, 16, 20, 21, size // 2, size * 3 // 4]:
        (folder / f"{name}-{less}.{suffix}").write_bytes(content[: size - less])
    (folder / f"{name}-more.{suffix}").write_bytes(content + b"more" * 30)
    (folder / f"{name}-zeros.{suffix}").write_bytes(content[: size // 2] + bytes(size - size // 2))


def line(path):
    found, then = says(path)
    return {"name": path.name, "bytes": base64.b64encode(path.read_bytes()).decode(), "says": found, "then": then}


def says(path):
    videos = {each.extension for each in imageio.config.video_extensions}
    videos |= {each.upper() for each in videos}
    try:
        if path.suffix == ".webp" and imageio.get_reader(path).get_length() > 1:
            return None, "raises"
    except Exception:
        return None, "raises"
    try:
        if path.suffix not in videos:
            found = list(Image.open(path).size)
        else:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                found = [stream.width, stream.height, stream.frames or 1, str(Fraction(stream.average_rate))]
            if path.suffix.lower() == ".mkv":
                found[2] = frames(path)
            if found[2] == 0:
                return None, "skipped"
    except Exception:
        return None, "skipped"
    try:
        if path.suffix not in videos:
            ImageOps.fit(Image.open(path).convert("RGB"), (32, 32))
        elif decoded(path) < found[2]:
            return found, decoded(path) or "fails"
    except Exception:
        return found, "fails"
    return found, "trains"


def decoded(path):
    """As `VideoFromFile` does it: all frames, then back to the start, then all sound."""
    count = frames(path)
    with av.open(str(path)) as container:
        for stream in container.streams.audio:
            for packet in container.demux(stream):
                packet.decode()
    return count


def frames(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


if __name__ == "__main__":
    main()
