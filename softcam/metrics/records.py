"""What goes into a measure on maps, and what comes out: `MapBatch`, `LabelledMaps`, `Ratios`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.metrics.geometry import enlarge
from softcam.metrics.ordering import MarkedLevels, marked_levels

__all__ = ["LabelledMaps", "MapBatch", "Ratios", "divide"]


@dataclass(frozen=True)
class MapBatch:
    """Maps and what is marked in their images.

    A map covers the whole image, also where their aspects differ.

    Attributes:
        maps: (B, h, w), raw and signed, as the explainer gave them (kept as float64 on the CPU).
            A map with a NaN or an infinity is excluded from every measure, and counted.
        findings: (B, H, W) bool, or integers where not 0 means marked.
        predicted: (B,) bool, whether the model predicts the class that the map explains, for
            the few measures that ask; None counts every image as predicted.
    """

    maps: Tensor
    findings: Tensor
    predicted: Tensor | None = None

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
        marked = findings.cpu()
        marked = marked if marked.dtype == torch.bool else marked != 0
        object.__setattr__(self, "findings", marked)
        predicted = torch.ones(len(maps)) if self.predicted is None else self.predicted
        if predicted.shape != (len(maps),):
            raise SoftCAMError(
                f"expected one entry of `predicted` a map, ({len(maps)},), found "
                f"{tuple(predicted.shape)}."
            )
        object.__setattr__(self, "predicted", predicted.cpu() != 0)

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
        if self.finite.all():
            return self.maps
        return torch.where(self.finite[:, None, None], self.maps, 0)

    @cached_property
    def upsampled(self) -> Tensor:
        """(B, H, W) float64: `clean` at image size, bilinear (half-pixel centres)."""
        return enlarge(self.clean, self.size)

    @cached_property
    def scored(self) -> Tensor:
        """(B,) bool: the map is finite and something is marked in the image."""
        marked = self.findings.flatten(1).numpy().any(1)  # several times faster than torch here
        return self.finite & torch.from_numpy(marked)

    @cached_property
    def ranking(self) -> list[MarkedLevels | None]:
        """How the marked pixels rank in `upsampled`, image by image; None where not `scored`."""
        images = zip(self.upsampled, self.findings, self.scored, strict=True)
        return [
            marked_levels(values.numpy(), finding.numpy()) if scored else None
            for values, finding, scored in images
        ]


@dataclass(frozen=True)
class LabelledMaps:
    """The maps of a whole split, read when they are needed.

    Each map is of its image's own class, or, for a measure with `reads="disease"`, all are of
    one diseased class on every image, the healthy ones included.

    Attributes:
        labels: (N,) integers, the class of each image; 0 is the healthy one.
        read: indices (n,) to maps (n, h, w), raw and signed. A map with
            a NaN or an infinity is excluded and counted, as in `MapBatch`.
        target: the diseased class of all maps, where they are of one.
    """

    labels: np.ndarray
    read: Callable[[np.ndarray], Tensor]
    target: int = 1

    @classmethod
    def of(cls, maps: Tensor, labels: np.ndarray, target: int = 1) -> LabelledMaps:
        """Maps (N, h, w) that lie in memory."""
        labels = np.asarray(labels)
        if maps.ndim != 3 or labels.shape != (len(maps),):
            raise SoftCAMError(
                f"expected maps (N, h, w) and one label a map, found {tuple(maps.shape)} and "
                f"{labels.shape}."
            )
        return cls(labels, lambda indices: maps[torch.as_tensor(np.asarray(indices))], target)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, indices: np.ndarray, chunk: int = 256) -> Iterator[tuple[np.ndarray, Tensor]]:
        """(indices, maps (n, h, w) float64) of at most `chunk` images at a time."""
        for start in range(0, len(indices), chunk):
            part = indices[start : start + chunk]
            yield part, self.read(part).detach().cpu().double()


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
