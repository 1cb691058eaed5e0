"""How much of a prediction lies in each part of the image: marker, lesion, elsewhere.

The contributions of all cells add up to the logit, so a division of the image divides the logit,
exactly. A cell that a part covers in part counts by the share of its area. "Inside" speaks of the
cell's own patch: what the cell has seen may lie beside it, as far as its receptive field reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.common import SoftCAMError, choose
from softcam.data.records import ImageSet
from softcam.metrics import bootstrap_statistic
from softcam.metrics.geometry import area_pool

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ELSEWHERE", "PartEvidence", "part_masks", "take_apart", "widen"]

ELSEWHERE = "elsewhere"
Kind = Literal["positive", "absolute", "area"]


@dataclass(frozen=True)
class PartEvidence:
    """The evidence of N maps, divided among P parts; one row an image, one column a part.

    Attributes:
        parts: the P names; the last is `elsewhere`.
        signed: (N, P) float64, what the part adds to the logit; a row sums to it (or, of a
            contrast, to the difference of two logits).
        positive: (N, P), the sum of the positive contributions in the part, >= 0.
        absolute: (N, P), the sum of |contribution| in the part, >= 0.
        area: (N, P) in [0, 1], the share of the image that the part covers; a row sums to 1.
    """

    parts: tuple[str, ...]
    signed: np.ndarray
    positive: np.ndarray
    absolute: np.ndarray
    area: np.ndarray

    def __len__(self) -> int:
        return len(self.signed)

    def of(self, part: str) -> np.ndarray:
        """(N,) what one part adds to each logit."""
        return np.asarray(self.signed[:, self.parts.index(choose("part", part, self.parts))])

    def share(self, kind: Kind) -> np.ndarray:
        """(N, P) in [0, 1]: each part's share of the positive or absolute evidence, or its area.

        A row sums to 1; it is NaN where a map holds no such evidence.
        """
        values = getattr(self, choose("kind of share", kind, ("positive", "absolute", "area")))
        total = values.sum(1, keepdims=True)
        return np.divide(values, total, out=np.full(values.shape, np.nan), where=total > 0)

    def table(self, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
        """Means over the images with 95 % intervals that draw images, one row a part and quantity.

        Columns: part, quantity (`logit`, `positive`, `absolute`, `area`), value, low, high,
        n (images with a value).
        """
        import pandas as pd

        kinds: tuple[Kind, ...] = ("positive", "absolute", "area")
        quantities: dict[str, np.ndarray] = {"logit": self.signed}
        quantities |= {kind: self.share(kind) for kind in kinds}
        rows = []
        for quantity, values in quantities.items():
            kept = values[np.isfinite(values).all(1)]
            for column, part in enumerate(self.parts):
                interval = bootstrap_statistic(_mean, kept[:, column], n_boot=n_boot, seed=seed)
                value, low, high = (float(each) for each in interval)
                rows.append((part, quantity, value, low, high, len(kept)))
        return pd.DataFrame(rows, columns=["part", "quantity", "value", "low", "high", "n"])


def take_apart(maps: Tensor, masks: Mapping[str, Tensor]) -> PartEvidence:
    """Divide maps among parts of the image.

    Args:
        maps: (N, h, w), raw and signed, in logits: an evidence map, a contrast, or the difference
            of an image's map and its twin's.
        masks: part name to (N, H, W) bool. A pixel of two parts belongs to the first one named;
            a pixel of none is `elsewhere`.

    Raises:
        SoftCAMError: shapes that do not fit, a map that is NaN or infinite, or a part of the name
            `elsewhere`.
    """
    _check(maps, masks)
    values = maps.detach().cpu().double() / (maps.shape[1] * maps.shape[2])
    grid = (int(maps.shape[1]), int(maps.shape[2]))
    shape = next(iter(masks.values())).shape if masks else (len(maps), *grid)
    free = torch.ones(shape, dtype=torch.bool)
    shares = []
    for mask in masks.values():
        shares.append(area_pool(mask.cpu() & free, grid))
        free &= ~mask.cpu()
    shares.append(area_pool(free, grid))
    covered = torch.stack(shares, 1)  # (N, P, h, w), sums to 1 over the parts

    def inside(contributions: Tensor) -> np.ndarray:
        return np.asarray((contributions[:, None] * covered).sum((2, 3)))

    return PartEvidence(
        parts=(*masks, ELSEWHERE),
        signed=inside(values),
        positive=inside(values.clamp(min=0)),
        absolute=inside(values.abs()),
        area=np.asarray(covered.mean((2, 3))),
    )


def part_masks(data: ImageSet, indices: Iterable[int] | np.ndarray) -> dict[str, Tensor]:
    """Where the marker and the lesions lie: `marker` and `lesion`, (N, H, W) bool each.

    Args:
        data: a split whose masks have a `marker`, as phantoms do.
        indices: which of its images.
    """
    rows = [int(index) for index in indices]

    def stacked(*names: str) -> Tensor:
        empty = np.zeros((0, *data.size), bool)
        return torch.from_numpy(np.stack([data.mask(i, *names) for i in rows]) if rows else empty)

    return {"marker": stacked("marker"), "lesion": stacked(*data.finding_names)}


def widen(masks: Tensor, margin: int) -> Tensor:
    """Masks (N, H, W) bool, grown by `margin` pixels to all sides (a square); 0 changes nothing."""
    if margin < 0:
        raise SoftCAMError(f"margin is {margin}: expected 0 or more pixels.")
    if masks.ndim != 3:
        raise SoftCAMError(f"expected masks (N, H, W), found shape {tuple(masks.shape)}.")
    if not margin or not len(masks):
        return masks
    grown = F.max_pool2d(masks.float()[:, None], 2 * margin + 1, stride=1, padding=margin)
    return grown[:, 0] > 0


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _check(maps: Tensor, masks: Mapping[str, Tensor]) -> None:
    if maps.ndim != 3 or not maps.is_floating_point():
        raise SoftCAMError(
            f"expected floating-point maps (N, h, w), found {maps.dtype} {tuple(maps.shape)}: "
            "choose one class or take a contrast."
        )
    if not bool(torch.isfinite(maps).all()):
        raise SoftCAMError("a map holds a NaN or an infinity: it has no parts that sum to a logit.")
    if ELSEWHERE in masks:
        raise SoftCAMError(f"{ELSEWHERE!r} is what no mask covers: give that mask another name.")
    shapes = {tuple(mask.shape) for mask in masks.values()}
    wrong = [name for name, mask in masks.items() if mask.dtype != torch.bool or mask.ndim != 3]
    if wrong or len(shapes) > 1 or any(shape[0] != len(maps) for shape in shapes):
        raise SoftCAMError(
            f"expected one bool mask (H, W) a map, {len(maps)} of each part and all of one size; "
            f"found { ({name: (mask.dtype, *mask.shape) for name, mask in masks.items()}) }."
        )
