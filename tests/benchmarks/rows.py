"""What a long evaluation takes in memory: `python start.py bench rows`.

A trivial network answers about 10,000 and 100,000 images of 16 px; a SoftCAM's maps are measured,
and every row of every image is written. Printed are the rows, the seconds, and by how many MB the
process grew. The images themselves are counted apart: they are there before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn

from softcam import SoftCAM
from softcam.data.records import ImageSet
from softcam.evaluation import evaluate_to
from softcam.wrappers import BlackBox
from tests.benchmarks.maps import memory_growth

SIDE, CELL = 16, 4
METRICS = ("accuracy", "brier", "auc", "pointing-accuracy", "activation-precision", "audc",
           "deletion-probability")  # fmt: skip


class Trivial:
    """A run of a SoftCAM of one convolution, whose cache lies in a folder."""

    id, arm, seed, lambdas = "trivial", "dense", 0, (0.0, 0.0)
    config = types.SimpleNamespace(model="resnet10t-w32-os8")

    def __init__(self, images: int, path: Path) -> None:
        draw = np.random.default_rng(0)
        names = tuple(f"image-{k}" for k in range(images))
        masks = np.zeros((images, 1, SIDE, SIDE // 8), np.uint8)
        masks[:, 0, 4:8, 0] = 0b11110000
        self.path = path
        self._data = ImageSet(
            "rows", "test", ("healthy", "ill"),
            draw.integers(0, 256, (images, SIDE, SIDE), np.uint8), np.arange(images) % 2,
            names, names, masks, ("lesion",), ("lesion",), np.ones(images, bool), str(images),
        )  # fmt: skip
        torch.manual_seed(0)
        self._model = SoftCAM(
            nn.Conv2d(3, 4, CELL, CELL), nn.Conv2d(4, 2, 1), ((0.5,) * 3, (0.5,) * 3)
        ).eval()

    def data(self, split: str) -> ImageSet:
        return self._data

    def model(self) -> BlackBox | SoftCAM:
        return self._model

    def converted(self) -> SoftCAM:
        return self._model


def growth(images: int, metrics: tuple[str, ...] = METRICS, limit: int = 200) -> dict[str, float]:
    """Rows written, seconds, and MB by which the process grew while it evaluated."""
    import pyarrow.parquet

    grown = list[float]()
    with tempfile.TemporaryDirectory() as folder:
        run = Trivial(images, Path(folder))
        started = time.perf_counter()
        with memory_growth(grown):
            evaluate_to(
                folder, [run], methods=["softcam"], metrics=metrics, limit=limit, n_boot=100,
                progress=False,
            )  # fmt: skip
        seconds = time.perf_counter() - started
        rows = pyarrow.parquet.ParquetFile(Path(folder) / "per_image.parquet").metadata.num_rows
    return {"images": images, "rows": rows, "seconds": seconds, "MB": grown[0]}


def main(arguments: list[str]) -> None:
    """One line a number of images."""
    parser = argparse.ArgumentParser(prog="bench rows", description="Memory of a long evaluation.")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    growth(100)  # what is imported once
    for images in parser.parse_args(arguments).images:
        found = growth(images)
        sys.stdout.write("  ".join(f"{name} {value:,.0f}" for name, value in found.items()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
