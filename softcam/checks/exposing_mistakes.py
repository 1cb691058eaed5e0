"""Forgeries, and checks that miss some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from softcam.checks.drawing import normal
from softcam.checks.records import Mistake

__all__ = ["EXPOSE", "forgeries", "recomputed"]

Forgery = tuple[str, Callable[[Tensor], Tensor]]
BOUND = 1e-3


def recomputed(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(B, C, h, w): the maps as the model makes them."""
    maps = np.tensordot(weight, features, (1, 1)).transpose(1, 0, 2, 3)  # (C, B, h, w) first
    return np.asarray(maps + bias[:, None, None])


def forgeries(generator: np.random.Generator) -> Iterator[Forgery]:
    """(kind, what is done to honest maps (B, C, h, w)): each fools one sort of check."""
    yield "honest maps", lambda maps: maps.clone()
    yield (
        "honest maps up to rounding",
        lambda maps: maps + 1e-5 * normal(generator, *maps.shape).clamp(-3, 3),
    )
    yield from _shifts(generator)
    yield from _paints(generator)
    yield "other logits", lambda maps: maps * torch.tensor([1.0, 1.4, 0.8])[:, None, None]


def _shifts(generator: np.random.Generator) -> Iterator[Forgery]:
    """What is added to all classes alike."""

    def common(maps: Tensor) -> Tensor:
        return maps + normal(generator, len(maps), 1, *maps.shape[2:])

    def common_zero_mean(maps: Tensor) -> Tensor:
        extra = normal(generator, 1, 1, *maps.shape[2:])
        return maps + extra - extra.mean()

    yield "a map added to all classes", common
    yield "a zero-mean map added to all classes", common_zero_mean
    yield "a number added to all cells", lambda maps: maps + 1.5


def _paints(generator: np.random.Generator) -> Iterator[Forgery]:
    """What is painted on one class, its mean 0."""

    def paint(maps: Tensor) -> Tensor:
        return _painted(maps, normal(generator, *maps.shape[2:]))

    def last_image(maps: Tensor) -> Tensor:
        found = maps.clone()
        found[-1:] = paint(maps[-1:])
        return found

    def cancelling(maps: Tensor) -> Tensor:
        extra = normal(generator, *maps.shape[2:])
        found = _painted(maps, extra)
        found[1::2] = 2 * maps[1::2] - found[1::2]  # painted with the other sign
        return found

    def both(maps: Tensor) -> Tensor:
        return paint(maps + normal(generator, len(maps), 1, *maps.shape[2:]))

    yield "paint on one class", paint
    yield "paint in the last image only", last_image
    yield "paint that cancels over the batch", cancelling
    yield "both forgeries at once", both


def _painted(maps: Tensor, pattern: Tensor) -> Tensor:
    found = maps.clone()
    found[:, -1] += pattern - pattern.mean()
    return found


def _change(shown: np.ndarray, z: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return shown - recomputed(z, w, b)


def _size(change: np.ndarray) -> float:
    return float(np.abs(change).max())


def _centred(change: np.ndarray) -> np.ndarray:
    return np.asarray(change - change.mean(1, keepdims=True))


def _judge(raw: float, centred: float, bound: float = BOUND) -> str:
    if raw < bound:
        return "honest"
    return "row shift" if centred < bound else "painted"


def _judged(change: np.ndarray) -> str:
    return _judge(_size(change), _size(_centred(change)))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def _by_logits(change: np.ndarray) -> str:
    return _judged(change.mean((2, 3), keepdims=True))


BOTH = "which of the forgeries a comparison cannot see: of raw maps, of centred maps, of logits."

EXPOSE = (
    Mistake(
        "compares-predictions",
        "You compare predictions: both forgeries leave them as they are.",
        BOTH,
        lambda a, z, w, b: (
            "honest"
            if np.allclose(
                _softmax(a.mean((2, 3))), _softmax(recomputed(z, w, b).mean((2, 3))), atol=1e-3
            )
            else "painted"
        ),
    ),
    Mistake(
        "compares-logits",
        "You compare logits: paint whose mean is zero is not in them.",
        BOTH,
        lambda a, z, w, b: _by_logits(_change(a, z, w, b)),
    ),
    Mistake(
        "compares-logits",
        "You compare logits: paint whose mean is zero is not in them.",
        BOTH,
        lambda a, z, w, b: (
            "honest" if _size(_change(a, z, w, b).mean((2, 3))) < BOUND else "painted"
        ),
    ),
    Mistake(
        "exact-equality",
        "You ask for equality to the last digit: honest maps in float32 differ by rounding.",
        "a bound, 1e-3.",
        lambda a, z, w, b: _judge(
            _size(_change(a, z, w, b)), _size(_centred(_change(a, z, w, b))), 2e-7
        ),
    ),
    Mistake(
        "raw-only",
        "You never find a row shift: maps that differ are all painted to you.",
        "what is left of a row shift when the class mean is taken away.",
        lambda a, z, w, b: "honest" if _size(_change(a, z, w, b)) < BOUND else "painted",
    ),
    Mistake(
        "centred-only",
        "You compare centred maps only: a row shift passes for honest.",
        BOTH,
        lambda a, z, w, b: "honest" if _size(_centred(_change(a, z, w, b))) < BOUND else "painted",
    ),
    Mistake(
        "always-row-shift",
        "You call every forgery a row shift.",
        "what is left of paint when the class mean is taken away.",
        lambda a, z, w, b: "honest" if _size(_change(a, z, w, b)) < BOUND else "row shift",
    ),
    Mistake(
        "first-image-only",
        "You look at the first image only.",
        "one painted image is enough.",
        lambda a, z, w, b: _judged(_change(a, z, w, b)[:1]),
    ),
    Mistake(
        "batch-mean",
        "You compare means over the batch: paint of both signs cancels.",
        "each image by itself.",
        lambda a, z, w, b: _judged(_change(a, z, w, b).mean(0, keepdims=True)),
    ),
    Mistake(
        "abs-forgotten",
        "You look at the signed difference: one that is negative everywhere, or cancels, passes.",
        "the absolute value comes before any maximum or mean.",
        lambda a, z, w, b: _judge(
            abs(float(_change(a, z, w, b).mean())), abs(float(_centred(_change(a, z, w, b)).mean()))
        ),
    ),
    Mistake(
        "bias-forgotten",
        "The maps that you work out have no bias, so honest maps look forged.",
        "the maps of a model hold the bias in every cell.",
        lambda a, z, w, b: _judged(_change(a, z, w, 0 * b)),
    ),
    Mistake(
        "wrong-axis",
        "You take the mean over the cells away, not the mean over the classes.",
        "a row shift is the same for all classes, cell by cell.",
        lambda a, z, w, b: _judge(
            _size(_change(a, z, w, b)),
            _size(_change(a, z, w, b) - _change(a, z, w, b).mean((2, 3), keepdims=True)),
        ),
    ),
    Mistake(
        "words-swapped",
        'You say "row shift" for paint and "painted" for a row shift.',
        "which of the two is common to all classes?",
        lambda a, z, w, b: {"row shift": "painted", "painted": "row shift"}.get(
            _judged(_change(a, z, w, b)), "honest"
        ),
    ),
    Mistake("always-honest", "You call every map honest.", BOTH, lambda a, z, w, b: "honest"),
)
