"""A folder of small images with two findings: a square on the left, a disc on the right, or not.

They come and go independently of each other, so no network can tell one by the other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE, RADIUS = 32, 6
FINDINGS = ("square", "disc")
COUNTS = {"train": 128, "val": 32, "test": 40}
OPTIONS = {"label_column": list(FINDINGS), "finding_classes": list(FINDINGS)}


def two_findings(path: Path, marked: tuple[str, ...] = FINDINGS) -> Path:
    """Write images, labels and the masks of these findings below `path`."""
    draw = np.random.default_rng(0)
    (path / "images").mkdir(parents=True)
    (path / "masks").mkdir()
    rows = ["filename,split,square,disc"]
    for split, count in COUNTS.items():
        for i in range(count):
            shown = [i % 2, i // 2 % 2]
            name = f"{split}{i}.png"
            pixels = draw.integers(60, 100, (SIDE, SIDE)).astype(np.uint8)
            for finding, has in zip(FINDINGS, shown, strict=True):
                mask = where(finding, draw)
                if has:
                    pixels[mask] = draw.integers(170, 210, int(mask.sum()))
                if has and finding in marked:
                    target = path / "masks" / f"{Path(name).stem}.{finding}.png"
                    Image.fromarray(mask.astype(np.uint8) * 255).save(target)
            Image.fromarray(pixels).save(path / "images" / name)
            rows.append(f"{name},{split},{shown[0]},{shown[1]}")
    (path / "labels.csv").write_text("\n".join(rows) + "\n")
    return path


def where(finding: str, draw: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE) bool: a place in the half that the finding has."""
    half = 0 if finding == "square" else SIDE // 2
    row = draw.integers(RADIUS, SIDE - RADIUS)
    column = half + draw.integers(RADIUS, SIDE // 2 - RADIUS + 1)
    y, x = np.mgrid[:SIDE, :SIDE]
    dy, dx = np.abs(y - row), np.abs(x - column)
    if finding == "square":
        return np.asarray((dy < RADIUS) & (dx < RADIUS))
    return np.asarray(dy**2 + dx**2 < RADIUS**2)
