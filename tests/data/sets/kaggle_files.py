"""The Kaggle challenge in small: its levels, its photographs and its tables."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from softcam.data.catalogue import Catalogue

TRAIN = {
    f"{n}_{eye}": (n + k) % 5 for n in range(10, 30) for k, eye in enumerate(("left", "right"))
}

TEST = {f"{n}_{eye}": n % 5 for n in range(1, 6) for eye in ("left", "right")}


def jpeg() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (12, 10), (90, 40, 10)).save(data, "JPEG")
    return data.getvalue()


JPEG = jpeg()

SOLUTION = [f"{key},{level},{'Public' if key < '3' else 'Private'}" for key, level in TEST.items()]


def put(path: Path, files: Iterable[str], data: bytes = JPEG) -> Path:
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def table(path: Path, rows: Iterable[str], header: str = "image,level") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def levels(part: dict[str, int]) -> list[str]:
    return [f"{key},{level}" for key, level in part.items()]


def by_split(found: Catalogue) -> dict[str, set[str]]:
    return {s: {i.id for i in found.items if i.split == s} for s in ("train", "val", "test")}
