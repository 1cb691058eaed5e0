"""What goes into a measure on maps, and what comes out: `MapBatch` and `Ratios`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.metrics.geometry import enlarge

__all__ = ["MapBatch", "Ratios", "divide"]


@dataclass(frozen=True)
class MapBatch:
    """Maps and what is marked in their images.

    A map covers the whole image, also where their aspects differ.

    Attributes:
        maps: (B, h, w), raw and signed, as the explainer gave them (kept as float64 on the CPU).
            A map with a NaN or an infinity is excluded from every measure, and counted.
        findings: (B, H, W) bool, or integers where not 0 means marked.
    """

    maps: Tensor
    findings: Tensor

    def __post_init__(self) -> None:
        maps, findings = self.maps, self.findings
        if maps.ndim != 3 or findings.ndim != 3 or len(maps) != len(findings):
            raise SoftCAMError(
                f"expected maps (B, h, w) and findings (B, H, W) of the same B, one an image, "
                f"found {tuple(maps.shape)} and {tuple(findings.shape)}."
            )
        if 0 in (*maps.shape[1:], *findings.shape[1:]) or not maps.is_floating_point():
            raise SoftCAMError(
                f"expected floating-point maps of at least one cell, found {maps.dtype} "
                f"{tuple(maps.shape)} over images of {tuple(findings.shape[1:])} px."
            )
        if findings.is_floating_point() or findings.is_complex():
            raise SoftCAMError(
                f"expected findings as bool, found {findings.dtype}: say what counts as marked, "
                "for example findings > 0.5."
            )
        object.__setattr__(self, "maps", maps.detach().cpu().double())
        object.__setattr__(self, "findings", findings.cpu() != 0)

    def __len__(self) -> int:
        return len(self.maps)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images, in pixels."""
        return int(self.findings.shape[1]), int(self.findings.shape[2])

    @cached_property
    def finite(self) -> Tensor:
        """(B,) bool: no NaN and no infinity in the map."""
        return self.maps.isfinite().flatten(1).all(1)

    @cached_property
    def clean(self) -> Tensor:
        """(B, h, w) float64: the maps, all zero where one is not finite."""
        return torch.where(self.finite[:, None, None], self.maps, 0)

    @cached_property
    def upsampled(self) -> Tensor:
        """(B, H, W) float64: `clean` at image size, bilinear (half-pixel centres)."""
        return enlarge(self.clean, self.size)

    @cached_property
    def scored(self) -> Tensor:
        """(B,) bool: the map is finite and something is marked in the image."""
        return self.finite & self.findings.flatten(1).any(1)


@dataclass(frozen=True)
class Ratios:
    """A measure image by image, before it is averaged.

    Attributes:
        numerator: (B, S) float64, S steps (1 for a single number).
        denominator: (B, S) float64, >= 0; 0 where the measure is undefined for the image.
    """

    numerator: np.ndarray
    denominator: np.ndarray

    def __post_init__(self) -> None:
        for name in ("numerator", "denominator"):
            array = np.asarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, array[:, None] if array.ndim == 1 else array)
        if self.numerator.ndim != 2 or self.numerator.shape != self.denominator.shape:
            raise SoftCAMError(
                f"expected numerator and denominator of one shape (images, steps), found "
                f"{self.numerator.shape} and {self.denominator.shape}."
            )
        defined = np.isfinite(self.denominator) & (self.denominator >= 0)
        if not defined.all() or not np.isfinite(self.numerator).all():
            raise SoftCAMError(
                "a ratio holds a NaN, an infinity or a negative denominator: an image for which "
                "a measure is undefined has numerator 0 and denominator 0."
            )

    def __len__(self) -> int:
        return len(self.numerator)

    @property
    def per_image(self) -> np.ndarray:
        """(B, S): the value of each image; NaN where it is undefined."""
        return divide(self.numerator, self.denominator)

    @property
    def value(self) -> np.ndarray:
        """(S,): the value over all images; NaN where no image has one."""
        return divide(self.numerator.sum(0), self.denominator.sum(0))

    @property
    def n(self) -> np.ndarray:
        """(S,): how many images count."""
        return (self.denominator > 0).sum(0)

    @property
    def n_excluded(self) -> np.ndarray:
        """(S,): for how many images the measure is undefined."""
        return (self.denominator == 0).sum(0)

    @classmethod
    def where(cls, defined: Tensor, values: Tensor) -> Ratios:
        """A mean over images: `values` (B,) where `defined` (B,), excluded elsewhere."""
        kept = torch.where(defined, values.double(), 0)
        return cls(kept.numpy(), defined.double().numpy())

    @classmethod
    def concatenate(cls, parts: Iterable[Ratios]) -> Ratios:
        """The images of several batches, one after the other."""
        parts = list(parts)
        if not parts:
            raise SoftCAMError("there are no images: nothing was measured.")
        return cls(
            np.concatenate([each.numerator for each in parts]),
            np.concatenate([each.denominator for each in parts]),
        )


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, NaN (without a warning) where the denominator is 0."""
    out = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) != 0)
