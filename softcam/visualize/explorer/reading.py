"""One map and the number it is about: the sum spelled out, and what a region takes from it.

    logit = sum of the cells above 0 + sum of the cells below 0 + bias

A cell's *image share* is (A - bias) / (h * w): what the image adds there. The bias is the same in
every cell whatever the image shows, so it stands apart, and no region can take it away. The cell's
contribution, as `Explanation.contributions` has it, is its image share + bias / (h * w).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from softcam.evidence import Explanation
from softcam.explainers import Explainer

__all__ = ["Reading", "highest_other", "number_of", "read_explanation", "read_method"]


@dataclass(frozen=True)
class Reading:
    """A map of one class over one image.

    Attributes:
        cells: (h, w) float64; where `exact` the image shares, in logits where `in_logits`.
        value: what the map is about: the logit, the centred logit, or a difference of two.
        exact: the cells and the bias add up to `value`, as in a SoftCAM they must.
        in_logits: the cells are in logits; the map of another method need not add up all the same.
    """

    cells: np.ndarray
    value: float
    exact: bool
    in_logits: bool

    @property
    def positive(self) -> float:
        """The sum of the cells above 0."""
        return float(np.maximum(self.cells, 0).sum())

    @property
    def negative(self) -> float:
        """The sum of the cells below 0."""
        return float(np.minimum(self.cells, 0).sum())

    @property
    def rest(self) -> float:
        """What the cells do not account for: the bias where `exact`, else of unknown origin."""
        return self.value - self.positive - self.negative

    @property
    def middle(self) -> float:
        """The value that is drawn as nothing: 0.

        A map that is not in logits and has one sign throughout shows nothing by its sign; of it
        the mean is drawn as nothing.
        """
        one_sign = bool((self.cells > 0).all() or (self.cells < 0).all())
        return float(self.cells.mean()) if one_sign and not self.in_logits else 0.0

    def lost(self, shares: np.ndarray, keep: bool = False) -> float:
        """What the value loses when a region is taken out of the map, or all but the region.

        Args:
            shares: (h, w), see `Region.shares`.
            keep: the region stays and everything else goes.
        """
        gone = 1 - shares if keep else shares
        return float((self.cells * gone).sum())


def read_explanation(explanation: Explanation, target: int, gauge: str) -> Reading:
    """The map of one class of a SoftCAM, exact.

    Args:
        explanation: of one image.
        target: the class.
        gauge: `raw`, `centred`, or `contrast` with the class of the highest other logit.
    """
    if gauge == "centred":
        explanation = explanation.gauge("centred")
    maps, bias = explanation.maps[0, target], explanation.bias[target]
    if gauge == "contrast":
        other = highest_other(explanation.logits[0], target)
        maps, bias = maps - explanation.maps[0, other], bias - explanation.bias[other]
    cells = ((maps - bias).cpu().double() / maps.numel()).numpy()
    return Reading(cells, number_of(explanation.logits[0], target, gauge), True, True)


def read_method(method: Explainer, map: Tensor, logits: Tensor, target: int, gauge: str) -> Reading:
    """The map of another method: as it is, whether or not it adds up to anything.

    Args:
        method: a map that can be contrasted is linear in the logits, and in their unit.
        map: (h, w).
        logits: (C,).
        target, gauge: as in `read_explanation`; `-` where all classes share the map.
    """
    cells = map.detach().cpu().double().numpy()
    if method.name == "cam":  # its mean is the logit without the bias, that of the others the sum
        cells = cells / cells.size
    value = number_of(logits, target, gauge)
    return Reading(cells, value, False, "contrast" in method.gauges)


def number_of(logits: Tensor, target: int, gauge: str, other: int | None = None) -> float:
    """What a map in this gauge is about: a logit (C,), minus their mean, or minus another one.

    Args:
        logits: (C,).
        target: the class.
        gauge: `raw` and `-`, `centred` or `contrast`.
        other: the class that the contrast is against; None takes the highest other logit.
    """
    logits = logits.detach().cpu().double()
    own = float(logits[target])
    if gauge == "centred":
        return own - float(logits.mean())
    if gauge == "contrast":
        return own - float(logits[highest_other(logits, target) if other is None else other])
    return own


def highest_other(logits: Tensor, target: int) -> int:
    """The class of the highest logit (C,) but that of `target`; two classes at least."""
    rest = logits.detach().clone()
    rest[target] = -torch.inf
    return int(rest.argmax())
