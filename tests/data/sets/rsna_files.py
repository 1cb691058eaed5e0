"""The challenge in small: its two tables and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from softcam.data.catalogue import Catalogue
from softcam.data.sets import rsna
from softcam.data.sets.rsna import read_rsna

SIDE = 32
LABELS, CLASS_INFO, IMAGES = rsna.LABELS, rsna.CLASS_INFO, rsna.IMAGES
THIRD = "No Lung Opacity / Not Normal"
NORMAL = [f"n{i:02}" for i in range(12)]
OPACITY = [f"o{i:02}" for i in range(9)]
OTHER = ["t00", "t01"]
BOXES = {p: [(4.0, 6.0, 8.0, 10.0)] for p in OPACITY} | {
    "o00": [(4.0, 6.0, 8.0, 10.0), (20.0, 2.0, 6.5, 9.0), (1.0, 25.0, 3.0, 3.0)]
}


def pixels(patient: str) -> np.ndarray:
    seed = sum(map(ord, patient))
    small = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((SIDE, SIDE)))


def label_rows() -> list[str]:
    rows = [f"{p},,,,,0" for p in NORMAL + OTHER]
    rows += [f"{p},{x},{y},{w},{h},1" for p, boxes in BOXES.items() for x, y, w, h in boxes]
    return rows


def class_rows() -> list[str]:
    rows = [f"{p},Normal" for p in NORMAL] + [f"{p},{THIRD}" for p in OTHER]
    return rows + [f"{p},Lung Opacity" for p, boxes in BOXES.items() for _ in boxes]


def write_tables(folder: Path, labels: list[str], classes: list[str]) -> None:
    (folder / LABELS).write_text("\n".join(["patientId,x,y,width,height,Target", *labels]) + "\n")
    (folder / CLASS_INFO).write_text("\n".join(["patientId,class", *classes]) + "\n")


def catalogue(path: Path, **options: Any) -> Catalogue:
    return read_rsna(path, progress=False, **options)[1]
