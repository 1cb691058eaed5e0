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


def write_good(folder: Path) -> dict[Path, int]:
    """Files the page reads, with the largest difference of a byte to Pillow's reading.

    Lossless ones are alike; alpha may differ by rounding, a JPEG by the decoder.
    """
    colour = Image.fromarray(scene(150, 220))
    turned = Image.Exif()
    turned[274] = 6  # lies on its side
    alpha = colour.copy()
    alpha.putalpha(Image.fromarray(scene(150, 220, 1)[..., 0]))
    return {
        _saved(folder / "colour.png", colour): 0,
        _saved(folder / "grey.png", colour.convert("L")): 0,
        _saved(folder / "palette.gif", colour.quantize(64)): 0,
        _saved(folder / "exact.bmp", Image.fromarray(scene(96, 96))): 0,
        _saved(folder / "alpha.png", alpha): 2,
        _saved(folder / "photo.jpg", colour, quality=95, subsampling=0): 3,
        _saved(folder / "turned.jpg", colour, quality=95, subsampling=0, exif=turned): 3,
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
        "half.png": (whole.getvalue()[:3000], "cannot be decoded"),
    }
    found = {}
    for name, (data, words) in contents.items():
        (folder / name).write_bytes(data)
        found[folder / name] = words
    huge = _saved(folder / "huge.png", Image.new("1", (20_000, 10_000)))  # 200 megapixels
    return {**found, huge: "20,000 x 10,000 pixels"}
