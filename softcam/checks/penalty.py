"""Assignment 3: the ElasticNet penalty, its gradient, and why L1 here is no sparsity prior.

Since a logit is the mean of its map, sum |A_c| >= h*w*|logit_c|, with equality for every map of
one sign: the penalty punishes cancellation and confidence, not spread.

Source: Djoumessi & Berens, "Soft-CAM", MIDL 2026 (equation 5), with the norm as in the authors'
code and the mean over the batch; Hoyer, JMLR 5, 2004 (the ratio of the norms).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcam.checks import penalty_mistakes as wrong
from softcam.checks import spread_mistakes as spread
from softcam.checks.comparing import Unfit
from softcam.checks.drawing import different, normal, tensor, whole
from softcam.checks.records import Case, CheckFailed, Question, ValueQuestion
from softcam.checks.running import raised_in_words

__all__ = ["QUESTIONS"]


def elastic_net(maps: np.ndarray, lambda1: float, lambda2: float) -> np.ndarray:
    """(): image by image, cell by cell."""
    total = 0.0
    for image in maps:
        cells = [float(value) for value in image.ravel()]
        total += lambda1 * sum(abs(value) for value in cells)
        total += lambda2 * math.sqrt(sum(value**2 for value in cells))
    return np.asarray(total / len(maps))


def penalty_gradient(maps: np.ndarray, lambda1: float, lambda2: float) -> np.ndarray:
    """(B, C, h, w): the slope of |a| and of the norm of each image, shared out over the batch."""
    slope = np.zeros_like(maps)
    for image, out in zip(maps, slope, strict=True):
        norm = math.sqrt((image**2).sum())
        out += lambda1 * ((image > 0).astype(float) - (image < 0))
        if norm:
            out += lambda2 * image / norm
    return slope / len(maps)


def smallest_l1(maps: np.ndarray) -> np.ndarray:
    """(B,): the sum over classes of |sum of the cells|."""
    return np.array([sum(abs(a.sum()) for a in image) for image in maps])


def two_maps(logit: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The flat map and a spike in the first cell; the check takes the spike at any place."""
    return np.full((height, width), logit), spread.spike(logit * height * width, height, width)


def read_two_maps(result: Any, case: Case, given: object) -> tuple[Tensor, ...]:
    """The student's two maps, the spike moved to the first cell.

    Raises:
        Unfit: no two maps of the right shape, or such as are no counterexample, in words.
    """
    logit, height, width = case.arguments.values()
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Unfit("type", "Expected two maps, (dense, sparse).")
    if not all(isinstance(each, Tensor) for each in result):
        raise Unfit("type", "Expected two tensors, (dense, sparse).")
    dense, sparse = (each.detach().double() for each in result)
    for name, each in (("dense", dense), ("sparse", sparse)):
        if each.shape != (height, width):
            words = f"{name} has the shape {tuple(each.shape)}, expected {(height, width)}."
            raise Unfit("shape", words)
    spread.examine(dense, sparse, float(logit))
    return dense, torch.from_numpy(spread.spike(float(sparse.sum()), height, width))


def hoyer_spread(maps: np.ndarray) -> np.ndarray:
    """(B, C): 0 for one cell, 1 where all |A| are equal, 0 for a map of zeros."""
    cells = maps.shape[2] * maps.shape[3]
    found = np.zeros(maps.shape[:2])
    for place in np.ndindex(*found.shape):
        values = np.abs(maps[place])
        norm = math.sqrt((values**2).sum())
        if norm:
            found[place] = (values.sum() / norm - 1) / (math.sqrt(cells) - 1)
    return found


def _lambda_cases(generator: np.random.Generator) -> list[Case]:
    """Maps and both weights: together, alone, on maps of zeros."""
    cases = []
    for _ in range(4):
        weights = generator.uniform(0.2, 2, 2)
        maps = normal(generator, *different(generator, 4))
        cases.append(_case("random inputs", maps, *weights))
    maps = normal(generator, 3, 2, 4, 5)
    hand = tensor([[[[3, -4], [0, 0]]], [[[0, 0], [12, 5]]]])
    return [
        *cases,
        _case("lambda1 alone", maps, 0.7, 0.0),
        _case("lambda2 alone", maps, 0.0, 1.3),
        _case("a single image", maps[:1], 0.5, 0.25),
        _case("by hand", hand, 1.0, 10.0),
        _case("maps of zeros", maps * 0, 0.5, 0.5),
    ]


def _case(kind: str, maps: Tensor, lambda1: float, lambda2: float) -> Case:
    return Case(kind, {"maps": maps, "lambda1": float(lambda1), "lambda2": float(lambda2)})


def _maps_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(5):
        cases.append(Case("random inputs", {"maps": normal(generator, *different(generator, 4))}))
    hand = tensor([[[[1, -1], [2, 2]], [[0, 0], [0, -3]]]])
    flat, spike = tensor([[[[2, 2], [2, 2]]]]), tensor([[[[0, 8], [0, 0]]]])
    return [
        *cases,
        Case("a single image", {"maps": normal(generator, 1, 3, 4, 2)}),
        Case("by hand", {"maps": hand}),
        Case("a flat map", {"maps": flat}),
        Case("a spike", {"maps": spike}),
        Case("maps of zeros", {"maps": hand * 0}),
    ]


def _two_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for sign in (1, -1, 1, -1):
        logit = sign * round(float(generator.uniform(0.5, 4)), 2)
        height, width = different(generator, 2)
        kind = "a positive logit" if sign > 0 else "a negative logit"
        cases.append(Case(kind, {"logit": logit, "height": height, "width": width}))
    return cases


def _gradient_flows(
    function: Callable[..., Any], generator: np.random.Generator
) -> tuple[tuple[int, str], ...]:
    """A penalty that trains: its gradient by torch is the closed form, and no NaN at zero."""
    maps = normal(generator, 3, 2, 4, 5).requires_grad_()
    try:
        value = function(maps, 0.5, 0.25)
    except Exception as error:
        words = raised_in_words(function, error)[1]
        raise CheckFailed(
            "raises-with-gradient", words, "On maps that ask for gradients."
        ) from None
    if not value.requires_grad:
        raise CheckFailed(
            "detached-gradient",
            "The value is right, but no gradient flows from it to the maps: a training would not "
            "notice the penalty.",
            "Look at: where the maps leave torch (item, detach, numpy, no_grad, a new tensor).",
        )
    value.backward()
    expected = penalty_gradient(maps.detach().double().numpy(), 0.5, 0.25)
    if maps.grad is None or not np.allclose(maps.grad.numpy(), expected, atol=1e-5):
        raise CheckFailed(
            "gradient",
            "The value is right, but its gradient by the maps is not that of equation 5.",
        )
    zeros = torch.zeros(2, 2, 3, 3, requires_grad=True)
    function(zeros, 0.5, 0.25).backward()
    if zeros.grad is None or not bool(zeros.grad.isfinite().all()):
        raise CheckFailed(
            "nan-gradient-at-zero",
            "The value is right, but the gradient on maps of zeros is NaN: a training that reaches "
            "them, or begins there, is lost.",
            "Look at: the slope of a square root at zero. torch has a norm that knows about it.",
        )
    return ((1, "gradient"), (1, "gradient on maps of zeros"))


def _draw_map(generator: np.random.Generator) -> dict[str, Any]:
    """Four whole numbers, three of one sign and one of the other."""
    sign = float(generator.choice([-1, 1]))
    cells = whole(generator, 4, low=1, high=6) * sign
    cells[int(generator.integers(4))] *= -1
    return {"map": cells.reshape(2, 2)}


def by_hand(map: np.ndarray) -> dict[str, Any]:
    """L1, L2, the logit, the smallest L1 with that logit, the Hoyer spread."""
    return spread.five_numbers(map)


QUESTIONS: tuple[Question | ValueQuestion, ...] = (
    Question("elastic_net", elastic_net, _lambda_cases, wrong.PENALTY, also=_gradient_flows),
    Question("penalty_gradient", penalty_gradient, _lambda_cases, wrong.GRADIENT),
    Question("smallest_l1", smallest_l1, _maps_cases, spread.SMALLEST),
    Question("two_maps", two_maps, _two_cases, (), read=read_two_maps),
    Question("hoyer_spread", hoyer_spread, _maps_cases, spread.SPREAD),
    ValueQuestion("penalty_by_hand", _draw_map, by_hand, spread.BY_HAND),
)
