"""What often goes wrong in assignment 1 with a map by hand, and with the size of a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from softcam.checks.invariant_mistakes import RELU, ROWS, SCALE, scaled, weighed
from softcam.checks.records import Mistake

__all__ = ["BY_HAND", "CENTRES", "UPSAMPLE", "answers"]


def answers(maps: np.ndarray, transposed: bool = False, **other: Any) -> dict[str, Any]:
    """The three answers of `map_by_hand` from two maps (2, h, w)."""
    row, column = divmod(int(maps[1].argmax()), maps.shape[2])
    place = [column, row] if transposed else [row, column]
    return {"map": maps[1], "logits": maps.mean((1, 2)), "hottest": place, **other}


def _grid(features: np.ndarray, weight: np.ndarray, bias: np.ndarray | float) -> np.ndarray:
    return weighed(features[None], weight, bias)[0]


BY_HAND = (
    Mistake(
        "bias-forgotten",
        "The bias is missing.",
        "each cell of a map holds the bias of its class, whatever the image.",
        lambda features, weight, bias: answers(_grid(features, weight, 0.0)),
    ),
    Mistake(
        "wrong-class",
        "You worked out the map of class 0; class 1 is asked for. Classes are counted from 0.",
        "the second row of the weight, and the second bias.",
        lambda features, weight, bias: answers(
            _grid(features, weight, bias)[::-1],
            logits=_grid(features, weight, bias).mean((1, 2)),
        ),
    ),
    Mistake(
        "transposed-weight",
        "You use a column of the weight where a row belongs.",
        ROWS,
        lambda features, weight, bias: answers(_grid(features, weight.T, bias)),
    ),
    Mistake(
        "sum-for-mean",
        "Your logits are the sum over the cells; they are the mean.",
        "there are 16 cells.",
        lambda features, weight, bias: answers(
            _grid(features, weight, bias),
            logits=_grid(features, weight, bias).sum((1, 2)),
        ),
    ),
    Mistake(
        "relu-too-early",
        "You set negative cells to zero.",
        RELU,
        lambda features, weight, bias: answers(np.maximum(_grid(features, weight, bias), 0)),
    ),
    Mistake(
        "row-and-column-swapped",
        "You give the column before the row.",
        "`hottest` is (row, column), both counted from 0, from the top-left corner.",
        lambda features, weight, bias: answers(_grid(features, weight, bias), transposed=True),
    ),
    Mistake(
        "counted-from-one",
        "You count rows and columns from 1.",
        "`hottest` is (row, column), both counted from 0, from the top-left corner.",
        lambda features, weight, bias: answers(
            _grid(features, weight, bias),
            hottest=[1 + each for each in answers(_grid(features, weight, bias))["hottest"]],
        ),
    ),
)


def _torch(maps: np.ndarray, size: tuple[int, int], **how: Any) -> np.ndarray:
    return F.interpolate(torch.from_numpy(maps), size=size, **how).numpy()


def _shifted(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear with the corners of cells and pixels aligned, not their centres."""
    weights = []
    for cells, pixels in zip(maps.shape[2:], size, strict=True):
        place = np.clip(np.arange(pixels) * cells / pixels, 0, cells - 1)
        weights.append(np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells))))
    return np.einsum("yi,bcij,xj->bcyx", weights[0], maps, weights[1])


CENTRES = "the centre of cell 0 lies half a cell inside the image, and so does that of pixel 0."

UPSAMPLE = (
    Mistake(
        "corners-aligned",
        "You put the centres of the corner cells on the corner pixels.",
        f"the option that decides where the corners go; {CENTRES}",
        lambda a, size: _torch(a, size, mode="bilinear", align_corners=True),
    ),
    Mistake(
        "half-pixel-error",
        "Your map is shifted towards the bottom right: the half pixel is missing.",
        CENTRES,
        _shifted,
    ),
    Mistake(
        "nearest",
        "You repeat each cell as a block; between centres the values should change evenly.",
        "the mode of interpolation: bilinear.",
        lambda a, size: _torch(a, size, mode="nearest"),
    ),
    Mistake(
        "bicubic",
        "You use cubic interpolation: it overshoots and invents evidence beside a strong cell.",
        "the mode of interpolation: bilinear.",
        lambda a, size: _torch(a, size, mode="bicubic", align_corners=False),
    ),
    Mistake(
        "size-swapped",
        "You swap height and width of the image.",
        "`size` is (height, width), as the shape of an image.",
        lambda a, size: _torch(a, size[::-1], mode="bilinear", align_corners=False),
    ),
    Mistake(
        "relu-too-early",
        "You set negative cells to zero.",
        "an enlarged map is still signed.",
        lambda a, size: _torch(np.maximum(a, 0), size, mode="bilinear", align_corners=False),
    ),
    Mistake(
        "normalised-map",
        "You scale the map to the range from 0 to 1.",
        SCALE,
        lambda a, size: scaled(_torch(a, size, mode="bilinear", align_corners=False)),
    ),
)
