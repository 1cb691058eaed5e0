"""Assignment 6: maps that lie while every prediction stays, and the checks that expose them.

Two forgeries: a map added to all classes (a softmax does not see it), and a pattern whose mean is
zero painted on one class (its logit does not see it).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from softcam.checks import exposing_mistakes as exposing
from softcam.checks import forging_mistakes as wrong
from softcam.checks.constant_mistakes import CONSTANT
from softcam.checks.drawing import different, normal, tensor, whole
from softcam.checks.records import Case, Question, ValueQuestion

__all__ = ["QUESTIONS"]


def forge(maps: np.ndarray, wanted: np.ndarray, c: int) -> np.ndarray:
    """(B, C, h, w): to every class what class c lacks of the wanted map."""
    found = np.empty_like(maps)
    for b, image in enumerate(maps):
        for k, own in enumerate(image):
            found[b, k] = wanted + (own - image[c])
    return found


def shift_rows(
    weight: np.ndarray, bias: np.ndarray, vector: np.ndarray, number: float
) -> tuple[np.ndarray, np.ndarray]:
    """Row by row."""
    return np.stack([row + vector for row in weight]), np.array([each + number for each in bias])


def smiley(maps: np.ndarray, pattern: np.ndarray, c: int, strength: float) -> np.ndarray:
    """(B, C, h, w): the pattern without its mean, on class c."""
    found = maps.copy()
    level = pattern.sum() / pattern.size
    for image in found:
        image[c] += strength * (pattern - level)
    return found


def expose(shown: np.ndarray, features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> str:
    """The maps worked out anew, and what the difference looks like."""
    change = shown - exposing.recomputed(features, weight, bias)
    if np.abs(change).max() < 1e-3:
        return "honest"
    common = np.abs(change - change[:, :1]).max() < 1e-3  # the same for all classes
    return "row shift" if common else "painted"


def constant_share(maps: np.ndarray) -> np.ndarray:
    """(C,): of the squared map without its logit, the part that all images share."""
    found = []
    for c in range(maps.shape[1]):
        flat = np.stack([image[c].ravel() - image[c].mean() for image in maps])  # (B, h*w)
        total = (flat**2).sum() / len(flat)
        common = (flat.sum(0) / len(flat)) ** 2
        found.append(common.sum() / total if total > 1e-12 else 0.0)
    return np.array(found)


def _sizes(generator: np.random.Generator) -> list[tuple[str, list[int]]]:
    """B, C, h, w."""
    shapes = [("random inputs", different(generator, 4)) for _ in range(4)]
    return [*shapes, ("a single image", [1, 3, 4, 5]), ("two classes", [3, 2, 4, 4])]


def _forge_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for kind, shape in _sizes(generator):
        arguments = {
            "maps": normal(generator, *shape),
            "wanted": normal(generator, *shape[2:]),
            "c": int(generator.integers(1, shape[1])),
        }
        cases.append(Case(kind, arguments))
    hand = tensor([[[[1, 2]], [[5, 5]]]])
    return [*cases, Case("by hand", {"maps": hand, "wanted": tensor([[0, 9]]), "c": 0})]


def _shift_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(4):
        classes, channels = different(generator, 2)
        cases.append(_shift("random inputs", generator, classes, channels))
    return [*cases, _shift("C = D", generator, 3, 3), _shift("two classes", generator, 2, 5)]


def _shift(kind: str, generator: np.random.Generator, classes: int, channels: int) -> Case:
    arguments = {
        "weight": normal(generator, classes, channels),
        "bias": normal(generator, classes),
        "vector": normal(generator, channels),
        "number": float(generator.uniform(1, 3)),
    }
    return Case(kind, arguments)


def _smiley_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for kind, shape in _sizes(generator):
        cases.append(_smiley(kind, generator, shape, normal(generator, *shape[2:]) + 1.5))
    face = torch.zeros(6, 6)
    face[1, 1] = face[1, 4] = face[3, 1] = face[3, 4] = face[4, 2] = face[4, 3] = 1
    hand = {"maps": tensor([[[[1, 2]], [[5, 5]]]]), "pattern": tensor([[0, 4]]), "c": 1}
    return [
        *cases,
        _smiley("a face", generator, [2, 3, 6, 6], face),
        _smiley("a flat pattern", generator, [2, 2, 3, 4], torch.full((3, 4), 2.0)),
        Case("by hand", {**hand, "strength": 1.0}),
    ]


def _smiley(kind: str, generator: np.random.Generator, shape: list[int], pattern: Tensor) -> Case:
    arguments = {
        "maps": normal(generator, *shape),
        "pattern": pattern,
        "c": int(generator.integers(1, shape[1])),
        "strength": float(generator.uniform(2, 5)),
    }
    return Case(kind, arguments)


def _expose_cases(generator: np.random.Generator) -> list[Case]:
    """Honest maps and every sort of forgery, each in sizes of its own."""
    cases = []
    for kind, change in exposing.forgeries(generator):
        images, classes, channels, height, width = 4, 3, *different(generator, 3, 4, 7)
        features = normal(generator, images, channels, height, width)
        weight, bias = normal(generator, classes, channels), normal(generator, classes) + 2
        maps = torch.einsum("cd,bdij->bcij", weight, features) + bias[:, None, None]
        arguments = {"shown": change(maps), "features": features, "weight": weight, "bias": bias}
        cases.append(Case(kind, arguments))
    without = {**arguments, "shown": maps - bias[:, None, None]}
    return [*cases, Case("maps without their bias", without)]


def _constant_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for _ in range(4):
        images, classes, height, width = different(generator, 4, 3, 8)
        maps = normal(generator, images, classes, height, width)
        paint = normal(generator, height, width, scale=3)
        maps[:, 0] += paint - paint.mean()
        # Every image has logits of its own: without taking them out they would count as well.
        maps += normal(generator, images, classes, 1, 1, scale=3) + 2
        cases.append(Case("random inputs", {"maps": maps}))
    one = normal(generator, 1, 2, 3, 4)
    level = whole(generator, 3, 2, 1, 1, low=1, high=9).expand(-1, -1, 2, 4).clone()
    hand = tensor([[[[1, 3]]], [[[4, 2]]], [[[0, 6]]]])
    return [
        *cases,
        Case("a single image", {"maps": one}),
        Case("the same map in every image", {"maps": one.repeat(4, 1, 1, 1)}),
        Case("maps that are the same in every cell", {"maps": level}),
        Case("by hand", {"maps": hand}),
    ]


QUESTIONS: tuple[Question | ValueQuestion, ...] = (
    Question("forge", forge, _forge_cases, wrong.FORGE),
    Question("shift_rows", shift_rows, _shift_cases, wrong.SHIFT),
    Question("smiley", smiley, _smiley_cases, wrong.SMILEY),
    Question("expose", expose, _expose_cases, exposing.EXPOSE),
    Question("constant_share", constant_share, _constant_cases, CONSTANT),
)
