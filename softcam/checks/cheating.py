"""Assignment 5: which of two models decides by the side marker?

The maps are those of two shipped models on fixed phantoms, or closed forms; nothing is trained.
What a map says of a part is a hypothesis about pixels; what the model says of the twin without
that part is an experiment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcam.checks import cheating_mistakes as wrong
from softcam.checks import verdict_mistakes as decision
from softcam.checks.drawing import different, finding, normal, tensor
from softcam.checks.measures import pooled_finding
from softcam.checks.records import Case, Question, ValueQuestion
from softcam.checks.shipped import shipped_maps

__all__ = ["QUESTIONS"]

IMAGES = 8  # of a student


def share_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(B,): |evidence| inside / |evidence|, a cell counting by its marked share."""
    shares = pooled_finding(masks, maps.shape[1:])
    found = []
    for cells, share in zip(maps, shares, strict=True):
        total = sum(abs(value) for value in cells.ravel())
        inside = sum(abs(v) * s for v, s in zip(cells.ravel(), share.ravel(), strict=True))
        found.append(inside / total if total else np.nan)
    return np.array(found)


def evidence_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(B,): the sum of the contributions, a cell counting by its marked share."""
    shares, found = pooled_finding(masks, maps.shape[1:]), []
    for cells, share in zip(maps, shares, strict=True):
        found.append(sum((cells / cells.size * share).ravel().tolist()))
    return np.array(found)


def twin_effect(logits: np.ndarray, twin_logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(B,): the margin over the highest other logit of the image, minus the twin's same margin."""
    found = []
    for image, twin, target in zip(logits, twin_logits, targets, strict=True):
        others = [c for c in range(len(image)) if c != target]
        other = max(others, key=lambda c: image[c])
        found.append((image[target] - image[other]) - (twin[target] - twin[other]))
    return np.array(found)


def which_cheats(a: dict[str, np.ndarray], b: dict[str, np.ndarray], markers: np.ndarray) -> str:
    """The one whose margin of class 1 over 0 the marker moves more, in the mean."""
    sizes = [float(np.abs(decision.effects(each)).mean()) for each in (a, b)]
    return "a" if sizes[0] > sizes[1] else "b"


def _mask_cases(generator: np.random.Generator) -> list[Case]:
    """Maps and masks for both questions about the inside of a mask."""
    cases = []
    for _ in range(5):
        images, height, width = different(generator, 3, 2, 6)
        masks = torch.stack([finding(generator, 4 * height, 3 * width) for _ in range(images)])
        cases.append(_case("random inputs", normal(generator, images, height, width), masks))
    maps = normal(generator, 2, 3, 4)
    full = torch.ones(2, 6, 8, dtype=torch.bool)
    hand = tensor([[[2, -4], [0, 4]]])
    marked = tensor([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]]).bool()
    return [
        *cases,
        _case("a single image", maps[:1], finding(generator, 6, 8)[None]),
        _case("a mask over the whole image", maps, full),
        _case("a mask without a pixel", maps, ~full),
        _case("by hand", hand, marked),
    ]


def _case(kind: str, maps: Tensor, masks: Tensor) -> Case:
    return Case(kind, {"maps": maps, "masks": masks})


def _share_cases(generator: np.random.Generator) -> list[Case]:
    cases = _mask_cases(generator)
    masks = torch.ones(2, 4, 4, dtype=torch.bool)
    return [*cases, _case("maps of zeros", torch.zeros(2, 2, 2), masks)]


def _twin_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    for classes in (3, 4, 5, 6):
        cases.append(_effect_case(generator, "random inputs", 12, classes))
    hand = {
        "logits": tensor([[3, 2, 1], [0, 5, 4]]),
        "twin_logits": tensor([[1, 0, 2], [0, 1, 6]]),
        "targets": torch.tensor([0, 2]),
    }
    return [
        *cases,
        _effect_case(generator, "two classes", 6, 2),
        _effect_case(generator, "a single image", 1, 4),
        Case("by hand", hand),
    ]


def _effect_case(generator: np.random.Generator, kind: str, images: int, classes: int) -> Case:
    targets = torch.from_numpy(generator.integers(0, classes, images))
    logits, twins = (normal(generator, images, classes) for _ in range(2))
    return Case(kind, {"logits": logits, "twin_logits": twins, "targets": targets})


def _two_models(generator: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Some of the shipped maps, the models in either order: (which cheats, the arguments)."""
    stored = shipped_maps()
    rows = torch.from_numpy(generator.permutation(len(stored.index))[:IMAGES])
    cheat = {"maps": stored.cheating[rows], "twin_maps": stored.cheating_twin[rows]}
    honest = {"maps": stored.honest[rows], "twin_maps": stored.honest_twin[rows]}
    first = bool(generator.integers(2))
    a, b = (cheat, honest) if first else (honest, cheat)
    return "a" if first else "b", {"a": a, "b": b, "markers": stored.markers[rows]}


def _model_cases(generator: np.random.Generator) -> list[Case]:
    """The shipped models in both orders, and closed forms in both orders."""
    cases: list[Case] = []
    seen: set[str] = set()
    while len(seen) < 2 or len(cases) < 4:
        which, arguments = _two_models(generator)
        seen.add(which)
        cases.append(Case("the shipped models", arguments))
    for kind, cheat, honest, markers in decision.closed_forms(generator):
        cases.append(Case(kind, {"a": cheat, "b": honest, "markers": markers}))
        cases.append(Case(kind, {"a": honest, "b": cheat, "markers": markers}))
    return cases


def _draw_verdict(generator: np.random.Generator) -> dict[str, Any]:
    arguments = _two_models(generator)[1]
    a, b = arguments["a"], arguments["b"]
    return {
        "maps_a": a["maps"],
        "twin_maps_a": a["twin_maps"],
        "maps_b": b["maps"],
        "twin_maps_b": b["twin_maps"],
        "markers": arguments["markers"],
    }


def verdict(**data: np.ndarray) -> dict[str, Any]:
    """Mean share of the contrast in the marker, mean twin effect, and the decision."""
    return decision.five_answers(data)


QUESTIONS: tuple[Question | ValueQuestion, ...] = (
    Question("share_inside", share_inside, _share_cases, wrong.SHARE),
    Question("evidence_inside", evidence_inside, _mask_cases, wrong.INSIDE),
    Question("twin_effect", twin_effect, _twin_cases, wrong.EFFECT),
    Question("which_cheats", which_cheats, _model_cases, decision.DECISION),
    ValueQuestion("verdict", _draw_verdict, verdict, decision.VERDICT),
)
