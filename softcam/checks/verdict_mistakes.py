"""Wrong ways to decide which model cheats, and the closed forms that tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcam.checks.cheating_mistakes import pooled
from softcam.checks.drawing import normal
from softcam.checks.records import Mistake

__all__ = ["DECISION", "VERDICT", "closed_forms", "effects", "five_answers"]

Model = dict[str, np.ndarray]
Models = dict[str, Tensor]


def _contrast(maps: np.ndarray) -> np.ndarray:
    return np.asarray(maps[:, 1] - maps[:, 0])


def effects(model: Model) -> np.ndarray:
    """(B,): by how much the marker moves the margin of class 1 over class 0."""
    return np.asarray(_contrast(model["maps"] - model["twin_maps"]).mean((1, 2)))


def _share(maps: np.ndarray, markers: np.ndarray) -> float:
    """The mean share of |evidence| inside the marker, of maps (B, h, w)."""
    inside = (np.abs(maps) * pooled(markers, maps.shape[1:])).sum((1, 2))
    return float((inside / np.abs(maps).sum((1, 2))).mean())


def _larger(
    size: Callable[[Model, np.ndarray], float],
) -> Callable[[Model, Model, np.ndarray], str]:
    """A decision for the model with the larger number."""
    return lambda a, b, markers: "a" if size(a, markers) > size(b, markers) else "b"


def closed_forms(
    generator: np.random.Generator,
) -> Iterator[tuple[str, Models, Models, Tensor]]:
    """(kind, cheating model, honest model, markers): each deceives one way of deciding.

    The margin of the honest model is moved by nothing but small noise; that of the cheating one
    by several logits, so that its decision changes.
    """
    markers = torch.zeros(4, 12, 12, dtype=torch.bool)
    markers[:2, :2, :2] = markers[2:, :2, -2:] = True
    spot = torch.from_numpy(pooled(markers.numpy(), (6, 6))).float()
    beside = torch.stack(
        [torch.roll(each, (1, 1 if k < 2 else -1), (0, 1)) for k, each in enumerate(spot)]
    )
    yield "maps with a common part", *_pair(generator, spot, common=spot), markers
    yield "evidence beside the marker", *_pair(generator, beside, constant=spot), markers
    yield "a marker that speaks against class 1", *_pair(generator, -spot), markers


def _pair(
    generator: np.random.Generator,
    reads: Tensor,
    common: Tensor | None = None,
    constant: Tensor | None = None,
) -> tuple[Models, Models]:
    """A model that reads the map `reads` with the marker, and one that does not.

    Args:
        common: what the honest model adds to both classes where there is a marker.
        constant: evidence of the honest model there, with and without a marker.
    """
    shape = reads.shape
    base = [normal(generator, 4, 2, 6, 6, scale=0.3) for _ in range(2)]
    lesion = torch.zeros(shape)
    lesion[:, 3:5, 2:4] = 6.0  # 24 of 36: a margin of 0.67 logits
    cheat_twin, honest_twin = base[0], base[1]
    honest_twin[:, 1] += lesion
    strength = 36 * 4.0
    cheat = cheat_twin.clone()
    cheat[:, 1] += reads * strength
    cheat_twin = cheat_twin.clone()
    lean = -2.0 * float(reads.sum().sign())  # without the marker it decides the other way
    cheat[:, 1] += lean
    cheat_twin[:, 1] += lean
    if constant is not None:
        honest_twin[:, 1] += constant * 60
    honest = honest_twin + normal(generator, 4, 1, 1, 1, scale=0.01)
    if common is not None:
        honest = honest + common[:, None] * strength * 2
    return {"maps": cheat, "twin_maps": cheat_twin}, {"maps": honest, "twin_maps": honest_twin}


DECISION = (
    Mistake(
        "raw-map-read",
        "You read the map, or the logit, of class 1 alone: a map that is added to both classes "
        "moves it and no decision.",
        "which quantity stays when the same map is added to both classes?",
        _larger(lambda m, k: float(np.abs((m["maps"] - m["twin_maps"])[:, 1].mean((1, 2))).mean())),
    ),
    Mistake(
        "raw-map-read",
        "You read the map of class 1 alone: a map that is added to both classes changes it and no "
        "decision.",
        "which quantity stays when the same map is added to both classes?",
        _larger(lambda m, k: _share(m["maps"][:, 1], k)),
    ),
    Mistake(
        "map-only",
        "You decide by the share of evidence inside the marker: a cell sees beyond its own patch, "
        "so evidence beside the marker may still be about it.",
        "the experiment: what the model says without the marker.",
        _larger(lambda m, k: _share(_contrast(m["maps"]), k)),
    ),
    Mistake(
        "sign-of-effect",
        "You look for the largest signed effect: a marker may also speak against class 1.",
        "how far the marker moves the decision, in either direction.",
        _larger(lambda m, k: float(effects(m).mean())),
    ),
    Mistake(
        "honest-for-cheating",
        "You return the model that does not cheat.",
        "the decision of the cheating model falls with the marker.",
        lambda a, b, k: "b" if np.abs(effects(a)).mean() > np.abs(effects(b)).mean() else "a",
    ),
    Mistake(
        "always-a", 'You return "a" whatever the maps are.', "the arguments.", lambda a, b, k: "a"
    ),
    Mistake(
        "always-b", 'You return "b" whatever the maps are.', "the arguments.", lambda a, b, k: "b"
    ),
    Mistake(
        "confidence",
        "You choose the more confident model: to be sure is not to cheat.",
        "the twin without the marker.",
        _larger(lambda m, k: float(np.abs(_contrast(m["maps"]).mean((1, 2))).mean())),
    ),
)


def five_answers(data: dict[str, np.ndarray], **other: Any) -> dict[str, Any]:
    """The answers of `verdict`."""
    answers: dict[str, Any] = {}
    for name in ("a", "b"):
        model = {"maps": data[f"maps_{name}"], "twin_maps": data[f"twin_maps_{name}"]}
        answers[f"share_{name}"] = _share(_contrast(model["maps"]), data["markers"])
        answers[f"effect_{name}"] = float(effects(model).mean())
    answers["cheats"] = "a" if abs(answers["effect_a"]) > abs(answers["effect_b"]) else "b"
    return {**answers, **other}


def _changed(key: str, change: Callable[[float], float]) -> Callable[..., dict[str, Any]]:
    """The right answers, those that begin with `key` changed."""

    def answer(**data: np.ndarray) -> dict[str, Any]:
        right = five_answers(data)
        return {k: change(v) if k.startswith(key) else v for k, v in right.items()}

    return answer


def _signed(**data: np.ndarray) -> dict[str, Any]:
    """The shares without absolute values."""
    shares = {}
    for name in ("a", "b"):
        maps = _contrast(data[f"maps_{name}"])
        inside = (maps * pooled(data["markers"], maps.shape[1:])).sum((1, 2))
        shares[f"share_{name}"] = float((inside / maps.sum((1, 2))).mean())
    return five_answers(data, **shares)


def _exchanged(**data: np.ndarray) -> dict[str, Any]:
    right = five_answers(data)
    other = {"share_a": "share_b", "share_b": "share_a", "effect_a": "effect_b"}
    other["effect_b"] = "effect_a"
    return {key: right[other.get(key, key)] for key in right}


VERDICT = (
    Mistake(
        "raw-logit",
        "Your effects are on the logit of class 1 alone; class 1 against class 0 is asked for.",
        "the contrast: what both logits do.",
        lambda **data: five_answers(data, **_raw_effects(data)),
    ),
    Mistake(
        "sign",
        "Your effects have the wrong sign.",
        "with the marker minus without it.",
        _changed("effect", lambda value: -value),
    ),
    Mistake(
        "sum-for-mean",
        "Your effects are sums over the cells; logits are means.",
        "the invariant.",
        _changed("effect", lambda value: 144 * value),
    ),
    Mistake(
        "percent",
        "Your shares are in per cent; they are numbers from 0 to 1.",
        "the unit.",
        _changed("share", lambda value: 100 * value),
    ),
    Mistake(
        "abs-forgotten",
        "Your shares add evidence with its signs: for and against cancel.",
        "the absolute value comes before every sum.",
        _signed,
    ),
    Mistake(
        "models-swapped", "Your numbers of a and b have changed places.", "the names.", _exchanged
    ),
    Mistake(
        "honest-for-cheating",
        "You name the model that does not cheat.",
        "the decision of the cheating model falls with the marker.",
        lambda **data: five_answers(data, cheats="ab".replace(five_answers(data)["cheats"], "")),
    ),
)


def _raw_effects(data: dict[str, np.ndarray]) -> dict[str, float]:
    found = {}
    for name in ("a", "b"):
        change = data[f"maps_{name}"] - data[f"twin_maps_{name}"]
        found[f"effect_{name}"] = float(change[:, 1].mean())
    return found
