"""The gauge that every measure declares, held against the thing itself.

Adding one map to the maps of all classes changes no prediction of a softmax. What a measure does
then is its gauge. Every registered measure is asked, so a new one joins by itself and fails until
it is declared rightly. Values are multiples of 1/128 and sizes fit, so that all sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.explainers.gauges import in_gauge
from softcam.metrics import (
    LabelledMaps,
    MapBatch,
    Measure,
    OcclusionScores,
    Ratios,
    evidence_on,
    measures,
    occlusion_scores,
)
from softcam.twins import TwinEffects

EVERY = [*measures(), *measures(protocol="paper")]
SIDE = {"corrected": 48, "paper": 496}  # patches of 3 px every 1 px; the paper's own size
CONSTANT = 0.75
IMAGES, PARTS = 8, 14
SCENES = tuple(range(8))  # seeds; the even ones have two classes, the odd ones three


@dataclass(frozen=True)
class View:
    """How the maps are looked at.

    Attributes:
        gauge: `raw` or `contrast`.
        common: one random map added to the maps of all classes, and its mean to all logits.
        constant: added to the map that is read.
        fine: maps at image size, so that nothing is interpolated.
        bent: x + x^3 / 4, strictly increasing, of the map that is read.
    """

    gauge: str = "raw"
    common: bool = False
    constant: float = 0.0
    fine: bool = False
    bent: bool = False

    def read(self, maps: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        values = in_gauge(self.gauge, maps, logits, targets)
        return (values + values**3 / 4 if self.bent else values) + self.constant


class Weighing(nn.Module):
    """A classifier that weighs the grey of 8 x 8 parts of the image, in float64."""

    link = "softmax"

    def __init__(self, patterns: Tensor, common: Tensor) -> None:
        super().__init__()
        self.patterns, self.common = patterns, common
        self.mean_colour = torch.full((3,), 0.125)

    def forward(self, x: Tensor) -> Tensor:
        grey = F.adaptive_avg_pool2d(x.mean(1), 8)
        return torch.einsum("bhw,chw->bc", grey, self.patterns) / 2 + self.common

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)


@dataclass(frozen=True)
class Scene:
    """Class maps (N, C, h, w) of made-up images, and everything else that a measure may read."""

    seed: int
    maps: Tensor
    destroyed: Tensor
    logits: Tensor
    labels: Tensor
    findings: Tensor
    rows: np.ndarray
    masks: np.ndarray
    change: np.ndarray
    images: Tensor
    model: Weighing

    @property
    def targets(self) -> Tensor:
        """The diseased class that each map explains."""
        return self.labels.clamp(min=1)


def eighths(generator: torch.Generator, *shape: int) -> Tensor:
    """Multiples of 1/128 in [-4, 4)."""
    return torch.randint(-512, 512, shape, generator=generator).double() / 128


@cache
def scene(seed: int, protocol: str, common: bool, fine: bool) -> Scene:
    """The maps are 0 outside their middle, so that few patches are bright; what is added is not."""
    side, classes = SIDE[protocol], 2 + seed % 2
    cells = side if fine else side // 8 if protocol == "corrected" else side // 16
    draw = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, classes - 1, classes - 1])
    middle = torch.zeros(cells, cells)
    middle[cells // 3 : 2 * cells // 3, cells // 3 : 2 * cells // 3] = 1
    shape = (IMAGES, classes, cells, cells)
    maps, destroyed = (eighths(draw, *shape) * middle for _ in range(2))
    added = eighths(draw, IMAGES, 1, cells, cells) * common
    logits = eighths(draw, IMAGES, classes) + added.mean((2, 3))
    findings = torch.zeros(IMAGES, side, side, dtype=torch.bool)
    masks = np.zeros((PARTS, side, side), bool)
    for i, place in enumerate(torch.randint(0, side // 2, (IMAGES + PARTS, 2), generator=draw)):
        y, x = place.tolist()
        target = findings[i].numpy() if i < IMAGES else masks[i - IMAGES]
        target[y : y + side // 8 + i, x : x + side // 6 + i] = True
    rows = np.sort(torch.randint(0, IMAGES, (PARTS,), generator=draw).numpy())
    change = eighths(draw, PARTS, classes) + eighths(draw, PARTS, 1) * common
    orders = torch.stack([torch.randperm(64, generator=draw) for _ in range(classes)])
    patterns = torch.where(orders < 32, 1.0, -1.0).double().reshape(classes, 8, 8)
    hints = F.interpolate(patterns[labels][:, None], (side, side)).expand(-1, 3, -1, -1)
    images = 0.5 + hints / 64 + torch.rand(hints.shape, generator=draw, dtype=torch.float64) / 16
    model = Weighing(patterns, added.mean())
    return Scene(
        seed, maps + added, destroyed + 2 * added, logits, labels, findings, rows, masks,
        change.numpy(), images, model,
    )  # fmt: skip


def measured(each: Measure, seed: int, view: View) -> np.ndarray:
    """All numbers of a measure: numerators and denominators image by image, or the one value."""
    found = _ASK[each.kind](each, scene(seed, each.protocol, view.common, view.fine), view)
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, Ratios):
        assert found.n.any(), "the made-up images do not even count"
        return np.concatenate([found.numerator, found.denominator])
    assert np.isfinite(found)
    return np.array([found])


def on_maps(each: Measure, made: Scene, view: View) -> Ratios:
    maps = view.read(made.maps, made.logits, made.targets)
    return each(MapBatch(maps, made.findings, made.labels > 0))


def on_labelled(each: Measure, made: Scene, view: View) -> tuple[np.ndarray, Ratios]:
    one = torch.ones_like(made.labels)
    targets = one if each.reads == "disease" else made.labels
    maps = view.read(made.maps, made.logits, targets)
    return each(LabelledMaps.of(maps, made.labels.numpy()))


def on_answers(each: Measure, made: Scene, view: View) -> Ratios:
    return each(answers(made.seed, each.protocol, each.reads, view))


@cache
def answers(seed: int, protocol: str, reads: str, view: View) -> OcclusionScores:
    made = scene(seed, protocol, view.common, view.fine)
    ill = made.labels > 0
    maps = view.read(made.maps, made.logits, made.targets)[ill]
    return occlusion_scores(
        made.model, made.images[ill], maps, made.targets[ill], question=reads,
        protocol=protocol, chunk=16,
    )  # fmt: skip


def on_logits(each: Measure, made: Scene, view: View) -> float:
    """The contrast: every logit relative to that of class 0."""
    logits = made.logits - made.logits[:, :1] * (view.gauge == "contrast") + view.constant
    return each(made.labels.numpy(), logits.numpy(), "softmax")


def on_twins(each: Measure, made: Scene, view: View) -> float:
    """A constant in the map is a bias: it changes what the map says, and no effect."""
    maps = view.read(made.maps, made.logits, made.targets)
    rest = made.logits.clone()
    rest[torch.arange(IMAGES), made.targets] = -torch.inf
    parts = TwinEffects(made.rows, ("nodule",) * PARTS, made.change, made.masks)
    targets, others = (values.numpy()[made.rows] for values in (made.targets, rest.argmax(1)))
    effect = parts.effect(view.gauge, targets, others)
    return each(evidence_on(maps, made.rows, made.masks), effect)


def on_destroyed(each: Measure, made: Scene, view: View) -> Ratios:
    own, other = (
        view.read(maps, made.logits, made.targets) for maps in (made.maps, made.destroyed)
    )
    return each(own, other if each.steps is None else [other])


_ASK = {
    "map": on_maps,
    "labelled": on_labelled,
    "occlusion": on_answers,
    "classification": on_logits,
    "twin": on_twins,
    "sanity": on_destroyed,
}


def moves(each: Measure, seed: int, view: View, **changed: object) -> bool:
    """Whether any number changes between two views of the same scene."""
    before, after = (measured(each, seed, v) for v in (view, replace(view, **changed)))
    return before.shape != after.shape or not np.allclose(before, after, rtol=0, atol=1e-9)


def declared(*gauges: str) -> pytest.MarkDecorator:
    chosen = [each for each in EVERY if each.gauge in gauges]
    return pytest.mark.parametrize("each", chosen, ids=lambda m: f"{m.protocol}-{m.name}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SCENES[:2])
@declared("invariant", "order", "shift", "zero")
def test_on_the_contrast_a_map_added_to_all_classes_moves_nothing(each: Measure, seed: int) -> None:
    assert not moves(each, seed, View("contrast"), common=True)


@pytest.mark.parametrize("seed", SCENES[:2])
@declared("invariant")
def test_what_is_declared_invariant_does_not_move_on_raw_maps_either(
    each: Measure, seed: int
) -> None:
    assert not moves(each, seed, View(), common=True)
    assert not moves(each, seed, View(), constant=CONSTANT)


@pytest.mark.slow
@declared("order", "shift", "zero")
def test_on_raw_maps_every_other_measure_moves(each: Measure) -> None:
    assert any(moves(each, seed, View(), common=True) for seed in SCENES), (
        "it does not depend on the zero or on the other classes at all: declare it `invariant`"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", SCENES[:2])
@declared("order", "shift")
def test_a_constant_added_to_the_map_moves_neither_order_nor_shift(
    each: Measure, seed: int
) -> None:
    assert not moves(each, seed, View(), constant=CONSTANT), "declare it `zero`"


@declared("zero")
def test_a_constant_added_to_the_map_moves_what_reads_the_zero(each: Measure) -> None:
    assert any(moves(each, seed, View(), constant=CONSTANT) for seed in SCENES), (
        "the zero does not matter: declare it `shift` or `order`"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", SCENES[:2])
@declared("order")
def test_a_strictly_increasing_transform_moves_no_order(each: Measure, seed: int) -> None:
    """On maps at image size: the transform of an interpolated value is not the interpolation of
    transformed ones, so on coarser maps the order of pixels does change."""
    assert not moves(each, seed, View(fine=True), bent=True)


@declared("shift")
def test_a_strictly_increasing_transform_moves_what_reads_distances(each: Measure) -> None:
    assert any(moves(each, seed, View(), bent=True) for seed in SCENES), (
        "only the order matters: declare it `order`"
    )


def test_a_wrong_declaration_is_found() -> None:
    """The measures that carry each gauge, so that no test above runs on nothing."""
    assert {each.gauge for each in EVERY} == {"invariant", "order", "shift", "zero"}
    assert {each.kind for each in EVERY} == set(_ASK)
    precise = next(m for m in EVERY if (m.name, m.protocol) == ("activation-precision", "paper"))
    pointing = next(m for m in EVERY if m.name == "pointing-accuracy")
    assert moves(precise, 0, View(), constant=CONSTANT)
    assert not moves(pointing, 0, View(), constant=CONSTANT)
    bent = [moves(m, 0, View(), bent=True) for m in EVERY if m.interpolation == "bilinear"]
    assert any(bent), "a transform of coarse maps changes the order of interpolated pixels"
