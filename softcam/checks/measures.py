"""Assignment 4: activation precision, pointing accuracy, and what they stand between.

Definitions as in `softcam.metrics` (protocol `corrected`): maps are brought to image size
bilinearly, with half-pixel centres.

Source: Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016; Barnett et
al., IAIA-BL, 2021; Djoumessi & Berens, "Soft-CAM", MIDL 2026 (appendix, equation 6).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcam.checks import floor_mistakes as floors
from softcam.checks import measures_mistakes as wrong
from softcam.checks.drawing import finding, normal, tensor, whole
from softcam.checks.invariant import bilinear
from softcam.checks.records import Case, Question, ValueQuestion

__all__ = ["QUESTIONS"]


def pointing_accuracy(maps: np.ndarray, findings: np.ndarray) -> float:
    """Hits / images with a finding; the first maximum, reading like a page."""
    hits = []
    for image, marked in zip(bilinear(maps[:, None], findings.shape[1:]), findings, strict=True):
        if not marked.any():
            continue
        values = image[0].ravel().tolist()
        top = max(values)
        first = next(i for i, value in enumerate(values) if value == top)
        hits.append(bool(marked.ravel()[first]) and top > min(values))
    return sum(hits) / len(hits)


def activation_precision(maps: np.ndarray, findings: np.ndarray) -> np.ndarray:
    """(B,): the share of the positive part, its minimum at zero, that is marked."""
    found = []
    for image, marked in zip(bilinear(maps[:, None], findings.shape[1:]), findings, strict=True):
        positive = np.where(image[0] > 0, image[0], 0)
        positive = positive - positive.min()
        total = positive.sum()
        found.append(positive[marked].sum() / total if total and marked.any() else np.nan)
    return np.array(found)


def pointing_chance(findings: np.ndarray) -> float:
    """The mean share of marked pixels, over images where any is."""
    shares = [marked.sum() / marked.size for marked in findings if marked.any()]
    return float(sum(shares) / len(shares))


def pooled_finding(findings: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(B, h, w): block by block, the share of marked pixels."""
    height, width = findings.shape[1] // shape[0], findings.shape[2] // shape[1]
    cells = np.zeros((len(findings), *shape))
    for b, row, column in np.ndindex(*cells.shape):
        rows = slice(row * height, (row + 1) * height)
        block = findings[b, rows, column * width : (column + 1) * width]
        cells[b, row, column] = block.sum() / block.size
    return cells


def between_floor_and_ceiling(value: float, floor: float, ceiling: float) -> float:
    """0 at the floor, 1 at the ceiling, NaN where there is nothing between them."""
    return float("nan") if ceiling <= floor else (value - floor) / (ceiling - floor)


def _findings(generator: np.random.Generator, count: int, height: int, width: int) -> Tensor:
    """(B, H, W) bool: two rectangles each, of which one may cover the other."""
    each = [
        finding(generator, height, width) | finding(generator, height, width) for _ in range(count)
    ]
    return torch.stack(each)


def _peaked(generator: np.random.Generator, count: int, height: int, width: int) -> Tensor:
    """Maps that are weak at the edge, which bilinear enlarging repeats: one maximum for sure.

    Of two equal pixels rounding would decide which is the larger one. Enlarged by an odd factor,
    the largest cell has one pixel at its centre that nothing else reaches.
    """
    maps = normal(generator, count, height, width)
    maps[:, 1:-1, 1:-1] *= 10
    maps[:, 1, 1] = maps[:, 1, 1].abs() + 1
    return maps


def _pointing_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(4):
        maps = _peaked(generator, 40, 5, 6)
        cases.append(_case("random inputs", maps, _findings(generator, 40, 15, 18)))
    maps, findings = _peaked(generator, 40, 5, 6), _findings(generator, 40, 15, 18)
    findings[::2] = False
    hit = torch.zeros(4, 4, 8, dtype=torch.bool)
    hit[:, :2, :2] = True
    tied = torch.full((4, 4, 8), -1.0)
    tied[:, 0, 1] = tied[:, 3, 7] = 5  # twice the maximum, at a size that needs no enlarging
    tied[0, 0, 1] = 4
    second = hit.clone()
    second[1] = hit[1].flip((0, 1))  # here the second of them is marked
    corner = torch.ones(4, 2, 2)
    corner[1:, 1, 1] = 9
    one = torch.zeros(1, 15, 18, dtype=torch.bool)
    one[0, 3:12] = True
    return [
        *cases,
        _case("images without a finding among others", maps, findings),
        _case("maps with two equal maxima", tied, second),
        _case("a constant map", corner, hit),
        _case("a single image", _peaked(generator, 1, 5, 6), one),
    ]


def _case(kind: str, maps: Tensor, findings: Tensor) -> Case:
    return Case(kind, {"maps": maps, "findings": findings})


def _precision_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(4):
        height, width = (int(n) for n in generator.integers(3, 6, 2))
        images = _findings(generator, 6, 3 * height, 4 * width)
        cases.append(_case("random inputs", normal(generator, 6, height, width), images))
    findings = _findings(generator, 3, 12, 16)
    positive = normal(generator, 3, 3, 4).abs() + 1
    none = findings.clone()
    none[1] = False
    hand = tensor([[[4, -4], [0, 4]]])
    marked = tensor([[[1, 1], [1, 0]]]).bool()
    return [
        *cases,
        _case("a single image", normal(generator, 1, 3, 4), findings[:1]),
        _case("maps that are positive everywhere", positive, findings),
        _case("an image without a finding", normal(generator, 3, 3, 4), none),
        _case("maps without positive evidence", -positive, findings),
        _case("a constant positive map", torch.full((3, 3, 4), 2.0), findings),
        _case("by hand", hand, marked),
    ]


def _finding_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(4):
        sizes = (int(n) for n in generator.integers(5, 12, 2))
        cases.append(Case("random inputs", {"findings": _findings(generator, 7, *sizes)}))
    some = _findings(generator, 6, 9, 7)
    some[1::2] = False
    hand = tensor([[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 1], [1, 0]]]).bool()
    return [
        *cases,
        Case("a single image", {"findings": some[:1]}),
        Case("images without a finding among others", {"findings": some}),
        Case("by hand", {"findings": hand}),
    ]


def _pooled_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(4):
        height, width = (int(n) for n in generator.permutation([2, 3, 4, 5])[:2])
        findings = _findings(generator, 3, 4 * height, 3 * width)
        cases.append(_pooled("random inputs", findings, height, width))
    dot = torch.zeros(1, 8, 8, dtype=torch.bool)
    dot[0, 5, 2] = True
    hand = tensor([[[1, 1, 0, 0], [1, 0, 0, 1]]]).bool()
    return [
        *cases,
        _pooled("a finding of one pixel", dot, 2, 2),
        _pooled("an image without a finding", dot & False, 2, 2),
        _pooled("by hand", hand, 1, 2),
    ]


def _pooled(kind: str, findings: Tensor, height: int, width: int) -> Case:
    return Case(kind, {"findings": findings, "shape": (height, width)})


def _between_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(4):
        floor, value, ceiling = np.sort(generator.uniform(0.05, 0.95, 3))
        cases.append(_between("random inputs", value, floor, ceiling))
    return [
        *cases,
        _between("a value below the floor", 0.1, 0.25, 0.75),
        _between("a value above the ceiling", 0.9, 0.2, 0.7),
        _between("a ceiling at the floor", 0.5, 0.5, 0.5),
        _between("a ceiling below the floor", 0.4, 0.5, 0.3),
    ]


def _between(kind: str, value: float, floor: float, ceiling: float) -> Case:
    arguments = {"value": float(value), "floor": float(floor), "ceiling": float(ceiling)}
    return Case(kind, arguments)


def _draw_map(generator: np.random.Generator) -> dict[str, Any]:
    """A map with one largest cell and one of the largest size, and a finding of some cells."""
    while True:
        cells = whole(generator, 4, 4, low=-6, high=6)
        marked = finding(generator, 4, 4) | finding(generator, 4, 4)
        size = cells.abs()
        single = bool(cells.sum()) and all(
            int((each == each.max()).sum()) == 1 for each in (cells, size)
        )
        if single and 0 < int(marked.sum()) < 12 and float(cells[marked].clamp(min=0).sum()):
            return {"map": cells, "finding": marked}


def by_hand(map: np.ndarray, finding: np.ndarray) -> dict[str, Any]:
    """Pointing, activation precision, chance; the map is at image size already."""
    return wrong.three_numbers(map, finding)


QUESTIONS: tuple[Question | ValueQuestion, ...] = (
    Question("pointing_accuracy", pointing_accuracy, _pointing_cases, wrong.POINTING),
    Question("activation_precision", activation_precision, _precision_cases, wrong.PRECISION),
    Question("pointing_chance", pointing_chance, _finding_cases, floors.CHANCE),
    Question("pooled_finding", pooled_finding, _pooled_cases, floors.POOLED),
    Question(
        "between_floor_and_ceiling", between_floor_and_ceiling, _between_cases, floors.BETWEEN
    ),
    ValueQuestion("measures_by_hand", _draw_map, by_hand, floors.BY_HAND),
)
