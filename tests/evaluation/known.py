"""A network whose maps are known by construction, runs of it, and images to ask it about."""

from __future__ import annotations

import copy
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from softcam.data.records import ImageSet, pack_masks
from softcam.evidence import Conversion, SoftCAM
from softcam.wrappers import BlackBox

SIZE, CELL = 32, 8
NORMALIZE = ((0.1, 0.1, 0.1), (1.0, 1.0, 1.0))
QUICK: dict[str, Any] = {"n_boot": 20, "progress": False}


class Brightness(nn.Module):
    """A feature a cell of 4 x 4, its mean brightness, and a linear head.

    Bright cells speak for class 1.

    So the map points at the brightest cell, and everything can be worked out by hand.

    Args:
        gain: (4, 4), how much each cell counts; None counts all alike.
    """

    num_features = 1

    def __init__(self, classes: int = 2, gain: Tensor | None = None) -> None:
        super().__init__()
        self.fc = nn.Linear(1, classes)
        slopes = torch.arange(classes).float() ** 2 if classes > 1 else torch.ones(1)
        self.fc.weight.data = 40 * slopes[:, None]
        # A dark cell speaks against class 1; one bright cell outweighs all fifteen.
        self.fc.bias.data = 1.4 * slopes
        self.register_buffer("gain", torch.ones(1, 1, 1, 1) if gain is None else gain[None, None])

    def forward_features(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, SIZE // CELL).mean(1, keepdim=True) * self.gain

    def forward_head(self, z: Tensor) -> Tensor:
        return self.fc(z.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class _Features(nn.Module):
    def __init__(self, net: Brightness) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net.forward_features(x)


class FakeRun:
    """What `evaluate` needs of a run, without training one; with a `path` it keeps a cache."""

    def __init__(
        self,
        data: ImageSet,
        arm: str = "black-box",
        classes: int = 2,
        normalize: Any = NORMALIZE,
        gain: Tensor | None = None,
        path: Path | None = None,
        name: str = "",
    ) -> None:
        self.id, self.arm = name or f"fake-{arm}-s0", arm
        self.seed, self.lambdas = 0, (0.0, 0.0)
        self.config = types.SimpleNamespace(model="resnet10t-w32-os8")
        self.net = Brightness(classes, gain)
        self.path = path
        self._data, self._link = data, "sigmoid" if classes == 1 else "softmax"
        self._normalize = normalize

    def data(self, split: str) -> ImageSet:
        return self._data

    def model(self) -> BlackBox | SoftCAM:
        if self.arm == "black-box":
            return BlackBox(self.net, self._normalize, self._link).eval()
        return self.converted()

    def converted(self) -> SoftCAM:
        net = copy.deepcopy(self.net)
        conv = nn.Conv2d(1, net.fc.out_features, 1)
        conv.weight.data = net.fc.weight.data[:, :, None, None].clone()
        conv.bias.data = net.fc.bias.data.clone()
        exact = Conversion("exact", 0.0, CELL)
        return SoftCAM(_Features(net), conv, self._normalize, self._link, exact).eval()


def image_set(
    images: np.ndarray, labels: np.ndarray, masks: np.ndarray, classes: int, **more: Any
) -> ImageSet:
    """A split of these arrays; four images to a patient."""
    n = len(images)
    fields: dict[str, Any] = {
        "name": "fake", "split": "test", "classes": tuple(f"class {c}" for c in range(classes)),
        "images": images, "labels": labels.astype(np.int64),
        "ids": tuple(f"i{k}" for k in range(n)), "patients": tuple(f"p{k // 4}" for k in range(n)),
        "masks": pack_masks(masks), "mask_names": ("square",), "finding_names": ("square",),
        "annotated": np.ones(n, bool), "fingerprint": "fingerprint",
    }  # fmt: skip
    return ImageSet(**{**fields, **more})


def bright_square(n: int = 12, misplaced: int = 0, classes: int = 2, **more: Any) -> ImageSet:
    """Odd images: one bright cell, marked as finding; even ones dark and healthy.

    In the first `misplaced` diseased images the mark is in another place than the bright cell.
    """
    draw = np.random.default_rng(0)
    images = draw.integers(0, 20, (n, SIZE, SIZE)).astype(np.uint8)
    masks = np.zeros((n, 1, SIZE, SIZE), bool)
    labels = np.arange(n) % 2 * (1 if classes == 2 else 1 + np.arange(n) // 2 % (classes - 1))
    for k, i in enumerate(np.flatnonzero(labels)):
        r, c = divmod(int(i) % 16, 4)
        cell = slice(r * CELL, (r + 1) * CELL), slice(c * CELL, (c + 1) * CELL)
        images[i][cell] = 250
        marked = (3 - r, 3 - c) if k < misplaced else (r, c)
        masks[i, 0, marked[0] * CELL : (marked[0] + 1) * CELL,
              marked[1] * CELL : (marked[1] + 1) * CELL] = True  # fmt: skip
    return image_set(images, labels, masks, classes, **more)


def rows(table: pd.DataFrame, **where: str) -> pd.DataFrame:
    """The rows with these words in these columns."""
    return table[np.logical_and.reduce([table[k] == v for k, v in where.items()])]


def one(table: pd.DataFrame, **where: str) -> pd.Series:
    """The only row with these words in these columns."""
    found = rows(table, **where)
    assert len(found) == 1, f"{len(found)} rows for {where}"
    return found.iloc[0]


def same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Two tables hold the same rows in the same order, to the bit."""
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))
