"""Assignment 1: class activation maps by hand, and the invariant `maps.mean((2, 3)) == logits`.

Source: Zhou et al., "Learning deep features for discriminative localization", CVPR 2016;
Djoumessi & Berens, "Soft-CAM", MIDL 2026 (equations 3 and 4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from softcam.checks import grid_mistakes as grid
from softcam.checks import invariant_mistakes as wrong
from softcam.checks.comparing import plain
from softcam.checks.drawing import different, normal, tensor, whole
from softcam.checks.records import Case, Question, ValueQuestion

__all__ = ["QUESTIONS", "bilinear", "evidence_maps"]


def cam(features: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(B, C, h, w): sum over D of weight[c, d] * features[b, d], as loops."""
    images, _, height, width = features.shape
    maps = np.zeros((images, len(weight), height, width))
    for b in range(images):
        for c, row in enumerate(weight):
            for d, factor in enumerate(row):
                maps[b, c] += factor * features[b, d]
    return maps


def evidence_maps(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(B, C, h, w): the CAM with the bias in every cell."""
    maps = cam(features, weight)
    for c, each in enumerate(bias):
        maps[:, c] += each
    return maps


def logits_from_maps(maps: np.ndarray) -> np.ndarray:
    """(B, C): the sum over cells divided by their number."""
    cells = maps.shape[2] * maps.shape[3]
    return np.array([[each.sum() / cells for each in image] for image in maps])


def bilinear(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(B, C, H, W) with half-pixel centres: two small matrices, one an axis."""
    rows, columns = _weights(maps.shape[2], size[0]), _weights(maps.shape[3], size[1])
    return np.einsum("yi,bcij,xj->bcyx", rows, maps, columns)


def _weights(cells: int, pixels: int) -> np.ndarray:
    """(pixels, cells): what each cell adds to each pixel along one axis."""
    centre = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(cells)))


def _cam_cases(generator: np.random.Generator, with_bias: bool = False) -> list[Case]:
    """Features, weight and, where asked for, bias, in all sorts of sizes."""
    shapes = [("random inputs", different(generator, 5)) for _ in range(5)]
    shapes += [
        ("C = D and h = w", [2, 3, 3, 4, 4]),
        ("a single image", [1, 2, 5, 3, 4]),
        ("maps of one cell", [3, 2, 4, 1, 1]),
    ]
    cases = []
    for kind, (images, classes, channels, height, width) in shapes:
        arguments = {
            "features": normal(generator, images, channels, height, width),
            "weight": normal(generator, classes, channels),
            "bias": normal(generator, classes),
        }
        cases.append(Case(kind, arguments))
    hand = {
        "features": tensor([[[[1, 0], [2, 1]], [[0, 3], [1, 0]]]]),
        "weight": tensor([[1, -1], [2, 1]]),
        "bias": tensor([1, -3]),
    }
    cases.append(Case("by hand", hand))
    if with_bias:
        return cases
    return [Case(c.kind, {k: v for k, v in c.arguments.items() if k != "bias"}) for c in cases]


def _evidence_cases(generator: np.random.Generator) -> list[Case]:
    return _cam_cases(generator, with_bias=True)


def _maps_cases(generator: np.random.Generator) -> list[Case]:
    shapes = [("random inputs", different(generator, 4)) for _ in range(6)]
    shapes += [
        ("square maps", [2, 3, 4, 4]),
        ("a single image", [1, 4, 3, 5]),
        ("maps of one class", [3, 1, 2, 4]),
        ("maps of one cell", [2, 3, 1, 1]),
    ]
    cases = [Case(kind, {"maps": normal(generator, *shape)}) for kind, shape in shapes]
    hand = tensor([[[[1, 2], [3, 6]], [[-4, 0], [1, 1]]]])
    return [*cases, Case("by hand", {"maps": hand}), Case("maps of zeros", {"maps": hand * 0})]


def _upsample_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(4):
        images, classes, height, width = different(generator, 4, 2, 6)
        maps = normal(generator, images, classes, height, width)
        cases.append(Case("random inputs", {"maps": maps, "size": (3 * height, 4 * width + 3)}))
    one = normal(generator, 1, 2, 3, 4)
    hand = tensor([[[[0, 8], [4, 12]]]])
    return [
        *cases,
        Case("a single image", {"maps": one, "size": (9, 9)}),
        Case("maps of one cell", {"maps": one[:, :, :1, :1], "size": (4, 5)}),
        Case("by hand", {"maps": hand, "size": (2, 4)}),
    ]


def _draw_grid(generator: np.random.Generator) -> dict[str, Any]:
    """A 4 x 4 grid of two channels and two classes, in small whole numbers; one hottest cell."""
    while True:
        signs = torch.from_numpy(generator.choice([-1.0, 1.0], (2, 2))).float()
        grid = {
            "features": whole(generator, 2, 4, 4, low=0, high=4),
            "weight": whole(generator, 2, 2, low=1, high=3) * signs,
            "bias": whole(generator, 2, low=1, high=3) * signs[0],
        }
        shown = evidence_maps(
            plain(grid["features"])[None], plain(grid["weight"]), plain(grid["bias"])
        )[0]
        if (shown[1] == shown[1].max()).sum() == 1:
            return grid


def by_hand(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> dict[str, Any]:
    """The evidence map of class 1, both logits, and row and column of the map's hottest cell."""
    maps = evidence_maps(features[None], weight, bias)
    return grid.answers(maps[0])


QUESTIONS: tuple[Question | ValueQuestion, ...] = (
    Question("cam", cam, _cam_cases, wrong.CAM),
    Question("evidence_maps", evidence_maps, _evidence_cases, wrong.EVIDENCE),
    Question("logits_from_maps", logits_from_maps, _maps_cases, wrong.LOGITS),
    ValueQuestion("map_by_hand", _draw_grid, by_hand, grid.BY_HAND),
    Question("upsample", bilinear, _upsample_cases, grid.UPSAMPLE),
)
