"""Files that readers open: good, odd, and not pictures at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["scene", "write_bad", "write_good"]


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Soft blobs, unlike from corner to corner; (H, W, 3) uint8."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def _saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def _turned(path: Path, image: Image.Image, number: int) -> Path:
    """A file with one of the eight EXIF notes on how it has to be turned."""
    note = Image.Exif()
    note[274] = number
    options = {"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {"lossless": True}
    return _saved(path, image, exif=note, **options)


def write_good(folder: Path) -> dict[Path, int]:
    """Files the page reads, with the largest difference of a byte to Pillow's reading.

    Lossless ones are alike; alpha may differ by rounding, a JPEG by the decoder.
    """
    colour = Image.fromarray(scene(150, 220))
    several = {"save_all": True, "append_images": [Image.fromarray(scene(150, 220, 2))]}
    palette = colour.quantize(32)
    alpha = colour.copy()
    alpha.putalpha(Image.fromarray(scene(150, 220, 1)[..., 0]))
    return {
        _saved(folder / "colour.png", colour): 0,
        _saved(folder / "grey.png", colour.convert("L")): 0,
        _saved(folder / "palette.gif", colour.quantize(64)): 0,
        _saved(folder / "exact.bmp", Image.fromarray(scene(96, 96))): 0,
        _saved(folder / "alpha.png", alpha): 2,
        _saved(folder / "clear.png", palette, transparency=3): 2,
        _saved(folder / "moving.gif", colour.quantize(64), **several): 0,
        _saved(folder / "no-extension", colour, format="png"): 0,
        _saved(folder / "photo.jpg", colour, quality=95, subsampling=0): 3,
        **{_turned(folder / f"turned-{number}.jpg", colour, number): 3 for number in range(1, 9)},
        _saved(folder / "print.jpg", colour.convert("CMYK"), quality=95): 3,
    }


def write_bad(folder: Path) -> dict[Path, str]:
    """Files the page refuses, with words of its message."""
    whole = io.BytesIO()
    Image.fromarray(scene(150, 220)).save(whole, "PNG")
    contents = {
        "empty.png": (b"", "The file is empty"),
        "report.pdf": (b"%PDF-1.7\n" * 40, "not a picture that the page reads"),
        "named.png": (b"MZ" + bytes(200), "not a picture that the page reads"),
        "drawing.svg": (b"<svg xmlns='a'>" + b" " * 40 + b"</svg>", "not a picture that"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(400), "HEIC are not read here"),
        "scan.dcm": (bytes(128) + b"DICM" + bytes(400), "DICOM"),
        "half.png": (whole.getvalue()[:3000], "cannot be decoded"),
    }
    found = {}
    for name, (data, words) in contents.items():
        (folder / name).write_bytes(data)
        found[folder / name] = words
    small = {
        "deep.png": (Image.new("I;16", (20, 20)), "16 bits a colour"),
        "dot.png": (Image.new("RGB", (1, 1)), "1 x 1 pixels"),
        "line.png": (Image.new("RGB", (1, 5000)), "1 x 5,000 pixels"),
        "strip.png": (Image.new("RGB", (10, 5000)), "a strip"),
    }
    for name, (image, words) in small.items():
        found[_saved(folder / name, image)] = words
    turned = _turned(folder / "turned.webp", Image.fromarray(scene(60, 90)), 6)
    found[turned] = "it has to be turned"
    huge = _saved(folder / "huge.png", Image.new("1", (20_000, 10_000)))  # 200 megapixels
    return {**found, huge: "20,000 x 10,000 pixels"}
