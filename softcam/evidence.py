"""The paper's model in one file: class-evidence layer, evidence maps, explanation.

A CNN with global average pooling (GAP) and a fully connected layer (FC) pools its features
first and weighs them afterwards. SoftCAM swaps the two sums: a 1x1 convolution weighs the
features at every position, and the mean of the resulting *evidence maps* is the prediction.

    Z = backbone(x)                     (B, D, h, w)   features
    A = class_evidence(Z)               (B, C, h, w)   evidence maps, raw and signed, in logits
    logits = A.mean((2, 3))             (B, C)         so the maps *are* the prediction

Source: Djoumessi & Berens, "Soft-CAM", MIDL 2026 (equations 3 and 4); the swap itself is class
activation mapping, Zhou et al., CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError, choose
from softcam.portable import Portable
from softcam.wrappers import Link, Normalize, Wrapper

__all__ = [
    "Conversion",
    "Explanation",
    "SoftCAM",
]


@dataclass(frozen=True)
class Conversion:
    """What `to_softcam` did, as `model.conversion`.

    Attributes:
        kind: `exact` (same function, weights carried over or folded), `pointwise` (the layers
            after the pooling are applied at each cell: the logits change) or `paper` (the paper's
            VGG head, freshly initialised: the old logits are lost).
        max_logit_difference: the largest on noise images as a share of the logit scale (max |logit
            - bias|): for `exact` of the randomised probe, for `pointwise` with the network's own
            weights; None for `paper`, or where those give one logit whatever the image.
        reduction: image pixels from one cell to the next; of one square map, rounded up.
        notes: what was done that a reader should know.
    """

    kind: Literal["exact", "pointwise", "paper"]
    max_logit_difference: float | None
    reduction: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """The prediction of a SoftCAM, laid out over the image.

    Attributes:
        maps: (B, C, h, w) evidence maps, raw and signed, in logits; their mean is the logit.
        bias: (C,) the part of every cell that does not depend on the image, in logits.
        link: `softmax` or `sigmoid`; what the gauge and the contrast mean depends on it.
    """

    maps: Tensor
    bias: Tensor
    link: Link = "softmax"
    _gauge: str = field(default="raw", repr=False)

    @property
    def logits(self) -> Tensor:
        """(B, C): the spatial mean of the maps (equation 4)."""
        return self.maps.mean((2, 3))

    @property
    def probabilities(self) -> Tensor:
        """(B, C) in [0, 1]: softmax or sigmoids of the logits."""
        return self.logits.softmax(1) if self.link == "softmax" else self.logits.sigmoid()

    @property
    def contributions(self) -> Tensor:
        """(B, C, h, w): what each cell adds to the logit; sums to the logit, bias included."""
        return self.maps / (self.maps.shape[2] * self.maps.shape[3])

    def gauge(self, name: Literal["raw", "centred"]) -> Explanation:
        """The same prediction with another zero.

        Adding one map to the maps of all classes changes every map and no softmax prediction,
        so training alone never fixes the zero. `centred` takes the mean over classes away at
        each cell; the contrast of two classes is the same in every gauge.

        Raises:
            SoftCAMError: `centred` for a sigmoid link, where the zero is fixed already, or `raw`
                of maps that were centred, which do not remember their old zero.
            UnknownNameError: another name.
        """
        if choose("gauge", name, ("raw", "centred")) == self._gauge:
            return self
        if name == "raw":
            raise SoftCAMError(
                "centred maps have lost their raw zero: keep the Explanation that explain() gave."
            )
        if self.link == "sigmoid":
            raise SoftCAMError(
                "a sigmoid's zero is fixed (logit 0 is a probability of one half), so there is "
                "nothing to centre: use the raw maps."
            )
        maps = self.maps - self.maps.mean(1, keepdim=True)
        return replace(self, maps=maps, bias=self.bias - self.bias.mean(), _gauge="centred")

    def contrast(self, c: int | Tensor, other: int | Tensor | None = None) -> Tensor:
        """A_c - A_other, (B, h, w): the evidence for class c *rather than* another, in logits.

        Its mean is the difference of the two logits. For two classes it is the map to look at.

        Args:
            c: a class, or one class an image as LongTensor (B,).
            other: likewise; None takes the class with the highest other logit in each image.
                With a sigmoid link there is no other class, and the contrast is the map itself.
        """
        batch = self.maps.shape[0]
        c = self._classes(c)
        rows = torch.arange(batch, device=self.maps.device)
        own = self.maps[rows, c]
        if self.link == "sigmoid":
            if other is not None:
                raise SoftCAMError(
                    "with a sigmoid link each map stands alone: contrast(c) takes no other class."
                )
            return own
        if self.maps.shape[1] == 1:
            raise SoftCAMError(
                "one logit has no other class to contrast with: a one-logit head needs "
                "link='sigmoid'."
            )
        if other is None:
            rest = self.logits.clone()
            rest[rows, c] = -torch.inf
            other = rest.argmax(1)
        return own - self.maps[rows, self._classes(other)]

    def _classes(self, c: int | Tensor) -> Tensor:
        batch, classes = self.maps.shape[:2]
        chosen = torch.as_tensor(c, device=self.maps.device)
        if chosen.ndim == 0:
            chosen = chosen.expand(batch)
        if chosen.shape != (batch,) or chosen.is_floating_point():
            raise SoftCAMError(
                f"expected one class or {batch} integers (one an image), found shape "
                f"{tuple(chosen.shape)} of {chosen.dtype}."
            )
        if bool((chosen < 0).any()) or bool((chosen >= classes).any()):
            raise SoftCAMError(
                f"class {chosen.tolist()} is out of range: "
                f"the model has classes 0 to {classes - 1}."
            )
        return chosen

    def upsample(self, size: int | tuple[int, int]) -> Tensor:
        """(B, C, H, W): the maps enlarged bilinearly (half-pixel centres), for drawing only."""
        size = (size, size) if isinstance(size, int) else size
        return F.interpolate(self.maps, size=size, mode="bilinear", align_corners=False)


class SoftCAM(Portable, Wrapper):
    """A CNN whose prediction is the mean of its evidence maps.

    Args:
        backbone: normalised images (B, 3, H, W) to features (B, D, h, w).
        evidence: the class-evidence layer, whose last layer is a 1x1 convolution to C maps;
            one `nn.Conv2d`, the layers of a head at each cell, or the paper's VGG head.
        normalize: as in `BlackBox`.
        link: `softmax` or `sigmoid`.
        conversion: what `to_softcam` did, if it built this model.
    """

    def __init__(
        self,
        backbone: nn.Module,
        evidence: nn.Conv2d | nn.Sequential,
        normalize: Normalize | tuple[Sequence[float], Sequence[float]] | None = None,
        link: Link = "softmax",
        conversion: Conversion | None = None,
    ) -> None:
        super().__init__(normalize, link)
        self.backbone = backbone
        self.evidence = evidence
        self.conversion = conversion

    def evidence_maps(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to evidence maps A (B, C, h, w), in logits (equation 3)."""
        self._check_size(x)
        z = self.forward_features(x)  # (B, D, h, w)
        return self.evidence(z)  # (B, C, h, w)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to logits (B, C): the mean of each map (equation 4)."""
        return self.evidence_maps(x).mean((2, 3))

    @torch.no_grad()
    def explain(self, x: Tensor) -> Explanation:
        """Classify and explain in one forward pass: no hooks, no gradients, all classes at once.

        The model stays in the mode it is in: call `.eval()` first, as for any prediction.
        """
        return Explanation(maps=self.evidence_maps(x), bias=self.bias, link=self.link)

    def forward_features(self, x: Tensor) -> Tensor:
        """The features Z, (B, D, h, w), that the class-evidence layer weighs."""
        return self.backbone(self._checked(x))

    def get_classifier(self) -> nn.Conv2d:
        """The last 1x1 convolution: weight (C, D, 1, 1), bias (C,)."""
        last = self.evidence[-1] if isinstance(self.evidence, nn.Sequential) else self.evidence
        assert isinstance(last, nn.Conv2d)
        return last

    @property
    def num_features(self) -> int:
        """D, the number of channels that enter the last 1x1 convolution."""
        return self.get_classifier().in_channels

    @property
    def bias(self) -> Tensor:
        """(C,): what every cell of a map holds whatever the image, in logits."""
        last = self.get_classifier()
        if last.bias is None:
            return last.weight.new_zeros(last.out_channels)
        return last.bias.detach()

    def _check_size(self, x: Tensor) -> None:
        cell = self.conversion.reduction if self.conversion else 1
        if x.ndim == 4 and min(x.shape[2:]) < cell:
            raise SoftCAMError(
                f"an image of {x.shape[2]}x{x.shape[3]} px is smaller than one cell of the map: "
                f"this network needs at least {cell}x{cell} px."
            )
