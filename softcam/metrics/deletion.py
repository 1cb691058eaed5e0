"""Is the map faithful? Deletion: hide the brightest tiles first and watch the prediction fall.

The image is cut into tiles of one patch each, without overlap; a tile's score is the maximum of
the map at image size inside it. At step i the i brightest tiles are painted in one colour.

Deletion on each method's own network compares networks as much as maps: to compare maps, rank
the tiles of one and the same network by each of them, and by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, choose
from softcam.metrics.geometry import enlarge, patch_grid, patch_maximum
from softcam.metrics.records import Ratios
from softcam.metrics.registry import measure

__all__ = ["DeletionScores", "audc", "deletion_curve", "deletion_scores", "tile_ranks"]

STEPS = tuple(range(30))
SOURCE = "SoftCAM, figure 3; Yeh et al., On the (in)fidelity and sensitivity, NeurIPS 2019"


@dataclass(frozen=True)
class DeletionScores:
    """What the model says while the tiles vanish, image by image.

    Attributes:
        predicted: (B, S) bool, the target is (still) the prediction after i tiles.
        probability: (B, S) float64, probability of the target after i tiles.
        finite: (B,) bool, the map could be ranked (no NaN, no infinity).
    """

    predicted: np.ndarray
    probability: np.ndarray
    finite: np.ndarray

    def ratios(self, score: Literal["prediction", "probability"] = "prediction") -> Ratios:
        """The curve, over images in which the target is the prediction before anything is hidden.

        `prediction`: the share that still is predicted as the target. `probability`: the mean of
        p_i / p_0, the target's probability relative to the untouched image; it may exceed 1.
        """
        choose("deletion score", score, ("prediction", "probability"))
        kept = np.repeat((self.finite & self.predicted[:, 0])[:, None], len(self.predicted[0]), 1)
        values = self.predicted.astype(float)
        if score == "probability":  # a predicted class has p_0 > 0
            start = np.where(kept, self.probability[:, :1], 1)
            values = self.probability / start
        return Ratios(np.where(kept, values, 0), kept.astype(float))


def deletion_scores(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    *,
    fill: Tensor | Sequence[float] | None = None,
    steps: int = len(STEPS),
    chunk: int = 64,
) -> DeletionScores:
    """Hide the i brightest tiles, i = 0 to steps - 1, and ask the model each time.

    The model is put in eval mode for it and left as it was.

    Args:
        model: `BlackBox`, `SoftCAM`, or any module from (B, 3, H, W) in [0, 1] to logits (B, C)
            with `.probabilities(logits)` and `.link`.
        images: (B, 3, H, W) float in [0, 1].
        maps: (B, h, w), raw and signed, of the target class.
        targets: (B,) integers: the class whose prediction is watched.
        fill: colour (3,) in [0, 1] to paint with; None takes `model.mean_colour`.
        steps: how many points the curve has. Once all tiles are hidden it stays flat.
        chunk: images a forward pass; bounds the memory.

    Raises:
        SoftCAMError: shapes that do not fit, a class out of range, a model without mean colour.
    """
    _check(images, maps, targets, steps)
    parameter = next(model.parameters(), images)
    images, targets = images.to(parameter.device), targets.to(parameter.device)
    colour = torch.as_tensor(model.mean_colour if fill is None else fill).to(images)
    if colour.shape != (3,):
        raise SoftCAMError(f"expected a fill colour (3,), found shape {tuple(colour.shape)}.")
    finite = maps.detach().isfinite().flatten(1).all(1).cpu()
    size = (images.shape[2], images.shape[3])
    ranks = tile_ranks(torch.where(finite[:, None, None], maps.detach().cpu(), 0), size)
    ranks = ranks.to(images.device)
    predicted, probability = _watch(model, images, ranks, targets, colour, steps, chunk)
    return DeletionScores(predicted.numpy(), probability.double().numpy(), finite.numpy())


@measure(
    name="deletion-prediction",
    title="Deletion: still predicted",
    direction="lower",
    source=SOURCE,
    kind="model",
    gauge="order",
    steps=STEPS,
    interpolation="bilinear",
)
def deletion_curve(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    *,
    fill: Tensor | Sequence[float] | None = None,
    steps: int = len(STEPS),
    chunk: int = 64,
    score: Literal["prediction", "probability"] = "prediction",
) -> Ratios:
    """Share of images still predicted as the target after i tiles; see `deletion_scores`."""
    scores = deletion_scores(model, images, maps, targets, fill=fill, steps=steps, chunk=chunk)
    return scores.ratios(score)


@measure(
    name="deletion-probability",
    title="Deletion: relative probability",
    direction="lower",
    source=SOURCE,
    kind="model",
    gauge="order",
    steps=STEPS,
    interpolation="bilinear",
)
def deletion_probability(
    model: nn.Module, images: Tensor, maps: Tensor, targets: Tensor, **options: object
) -> Ratios:
    """Mean probability of the target after i tiles, relative to the untouched image."""
    return deletion_curve(model, images, maps, targets, score="probability", **options)  # type: ignore[arg-type]


@measure(
    name="audc",
    title="Area under the deletion curve",
    direction="lower",
    source=SOURCE,
    kind="curve",
    gauge="order",
)
def audc(curve: Ratios) -> Ratios:
    """Area under a deletion curve, by trapezoids over [0, 1] of the steps: one value an image.

    Lower is more faithful. Source: SoftCAM, figure 3.
    """
    points = curve.numerator.shape[1]
    if points < 2:
        raise SoftCAMError(f"an area needs at least 2 points of the curve, found {points}.")
    if (curve.denominator != curve.denominator[:, :1]).any():
        raise SoftCAMError("the denominators change along the curve: this is no deletion curve.")
    area = (curve.numerator[:, 1:] + curve.numerator[:, :-1]).mean(1) / 2
    return Ratios(area, curve.denominator[:, 0])


def tile_ranks(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The place of each pixel's tile in the order of hiding: (B, h, w) to (B, H, W), 0 first.

    Tiles lie side by side from the top-left corner; the last ones are cut off at the border.
    Of equal tiles the first in reading order goes first.
    """
    height, width = size
    side = patch_grid(height, width).size
    scores = patch_maximum(enlarge(maps, size), side, side, partial=True)  # (B, rows, columns)
    order = scores.flatten(1).sort(dim=1, descending=True, stable=True).indices
    ranks = torch.empty_like(order)
    ranks.scatter_(1, order, torch.arange(order.shape[1]).expand_as(order).contiguous())
    ranks = ranks.reshape(scores.shape).repeat_interleave(side, 1).repeat_interleave(side, 2)
    return ranks[:, :height, :width]


def _watch(
    model: nn.Module,
    images: Tensor,
    ranks: Tensor,
    targets: Tensor,
    colour: Tensor,
    steps: int,
    chunk: int,
) -> tuple[Tensor, Tensor]:
    """Whether the target is predicted, and its probability, after each step; (B, steps) each."""
    # All (image, step) pairs in one row, so that every forward pass is full.
    image, step = torch.cartesian_prod(torch.arange(len(images)), torch.arange(steps)).T
    predicted, probability = [], []
    with _evaluating(model), torch.no_grad():
        for which, i in zip(image.split(chunk), step.split(chunk), strict=True):
            which, i = which.to(images.device), i.to(images.device)
            hidden = (ranks[which] < i[:, None, None])[:, None]  # (b, 1, H, W)
            x = torch.where(hidden, colour[:, None, None], images[which])
            p, is_target = _ask(model, x, targets[which])
            predicted.append(is_target.cpu())
            probability.append(p.cpu())
    shape = (len(images), steps)
    return torch.cat(predicted).reshape(shape), torch.cat(probability).reshape(shape)


def _ask(model: nn.Module, x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of the targets, and whether they are what the model predicts; (b,) each."""
    logits = model(x)
    if int(targets.max()) >= logits.shape[1]:
        raise SoftCAMError(
            f"target {int(targets.max())} is out of range: the model has {logits.shape[1]} "
            "outputs, counted from 0."
        )
    probability = model.probabilities(logits).gather(1, targets[:, None])[:, 0]  # type: ignore[operator]
    if model.link == "sigmoid":  # each output stands alone
        return probability, probability > 0.5  # at 0.5 class 0, as everywhere
    return probability, logits.argmax(1) == targets


def _check(images: Tensor, maps: Tensor, targets: Tensor, steps: int) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or maps.ndim != 3 or targets.ndim != 1:
        raise SoftCAMError(
            "expected images (B, 3, H, W), maps (B, h, w) and targets (B,), found "
            f"{tuple(images.shape)}, {tuple(maps.shape)} and {tuple(targets.shape)}."
        )
    if not len(images) == len(maps) == len(targets) or not len(images):
        raise SoftCAMError(
            f"expected one map and one target an image, found {len(images)} images, "
            f"{len(maps)} maps and {len(targets)} targets."
        )
    if targets.is_floating_point() or int(targets.min()) < 0 or steps < 1:
        raise SoftCAMError(
            f"expected targets >= 0 as integers and at least one step, found {targets.dtype}, "
            f"smallest {targets.min()}, and {steps} steps."
        )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every module in the mode it had (batch norm may be frozen)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
