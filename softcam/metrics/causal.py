"""Does the evidence on a part follow what the part truly does? One number over many parts.

`evidence` is what the map says that each part contributes, `effect` what truly vanishes from the
logit when the part alone is removed (see `softcam.twins`), both (M,) in logits. A pair with a NaN
or an infinity, from a map that holds one, does not count: the caller counts those. With fewer
than two pairs, or evidence or effect the same for all, a statistic is NaN.

Each statistic also takes `weights` (R, M), how often each pair is in each of R draws, and then
returns (R,): `bootstrap_statistic(..., weighted=True)` asks it about all draws at once.

Parts of one image are no independent draws, so an interval draws images:
`bootstrap_statistic(twin_r2, evidence, effect, groups=image, weighted=True)`.

Take one type of part at a time. Over lesions and markers together, a map that only knows where
markers lie (a centre map, for one) explains much of the variance. Read slope and share of
variance together: a map may rank the parts well in a unit of its own, noise in the evidence
pulls the slope towards 0 even where the unit is right, and the slope of a map that says nothing
may be anything, 1 included. `twin_concordance` asks for both at once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.data.records import unpack_mask
from softcam.metrics.draws import correlation, mean_ranks, of_pairs, sums_of_pairs
from softcam.metrics.geometry import area_pool
from softcam.metrics.records import divide
from softcam.metrics.registry import measure

__all__ = [
    "evidence_on",
    "twin_concordance",
    "twin_r2",
    "twin_rank",
    "twin_slope",
    "twin_slope_error",
]

MARGINS = (0, 1)  # by how many cells a part is widened when the evidence on it is read
CHUNK = 256  # masks unpacked at a time


def evidence_on(
    maps: Tensor,
    rows: np.ndarray,
    masks: np.ndarray,
    *,
    margin: int = 0,
    width: int | None = None,
) -> np.ndarray:
    """What a map says that a part contributes: the evidence in the cells it covers.

    The sum over cells of A * (share of the cell that the mask covers) / (h * w). The whole image
    gives the mean of the map, which for SoftCAM is the logit, so the unit is the logit.

    Args:
        maps: (K, h, w), raw and signed.
        rows: (M,) integers, which map belongs to which part.
        masks: (M, H, W) bool, or packed (M, H, ceil(W / 8)) uint8.
        margin: pixels by which each mask grows to all sides (a square), since a cell also sees
            what lies beside it and carries evidence for it.
        width: W of packed masks; None takes the height, as all phantoms are squares.

    Returns:
        (M,) float64; NaN where the map holds a NaN or an infinity, to be excluded and counted.
    """
    rows, masks = np.asarray(rows), np.asarray(masks)
    _check_evidence(maps, rows, masks, margin)
    values = maps.detach().cpu().double()
    values = torch.where(values.isfinite().flatten(1).all(1)[:, None, None], values, torch.nan)
    out = np.zeros(len(rows))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        bits = masks[part]
        marked = bits if bits.dtype == bool else unpack_mask(bits, width or bits.shape[1])
        grown = torch.from_numpy(marked).float()
        if margin:
            grown = F.max_pool2d(grown[:, None], 2 * margin + 1, stride=1, padding=margin)[:, 0]
        share = area_pool(grown, (values.shape[1], values.shape[2]))
        out[part] = (values[torch.from_numpy(rows[part])] * share).mean((1, 2)).numpy()
    return out


@measure(
    name="twin-slope",
    title="Twins: slope",
    direction="one",
    unit="logit/logit",
    source="phantom twins: least-squares slope of effect on evidence",
    kind="twin",
    gauge="zero",
    steps=MARGINS,
    weighted=True,
)
@of_pairs
def twin_slope(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Slope of the least-squares line, with intercept, of the effect on the evidence.

    1: one logit of evidence is one logit of effect. Above 1 the map says too little, between 0
    and 1 too much; 0: evidence says nothing of the effect; below 0: it points the wrong way.
    """
    sums = sums_of_pairs(x, y, weights)
    return divide(sums.xy, sums.xx)


@measure(
    name="twin-slope-error",
    title="Twins: slope's distance from 1",
    direction="lower",
    unit="logit/logit",
    source="phantom twins: |slope of effect on evidence - 1|",
    kind="twin",
    gauge="zero",
    steps=MARGINS,
    weighted=True,
)
@of_pairs
def twin_slope_error(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """|`twin_slope` - 1|: 0 where the map is in the logit's own unit, 1 where it says nothing."""
    sums = sums_of_pairs(x, y, weights)
    return np.abs(divide(sums.xy, sums.xx) - 1)


@measure(
    name="twin-concordance",
    title="Twins: concordance",
    direction="higher",
    unit="-",
    source="Lin, A concordance correlation coefficient, Biometrics 1989",
    kind="twin",
    gauge="zero",
    steps=MARGINS,
    weighted=True,
)
@of_pairs
def twin_concordance(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How closely evidence equals effect: 2 cov / (var + var + squared difference of the means).

    1: the same number for every part; 0: no relation; negative: the wrong way. It is the
    correlation, made smaller by a wrong unit and a wrong zero.
    """
    sums = sums_of_pairs(x, y, weights)
    return divide(2 * sums.xy, sums.xx + sums.yy + weights.sum(1) * sums.shift**2)


@measure(
    name="twin-r2",
    title="Twins: share of variance",
    direction="higher",
    source="squared Pearson correlation of evidence and effect over phantom twins",
    kind="twin",
    gauge="zero",
    steps=MARGINS,
    weighted=True,
)
@of_pairs
def twin_r2(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the variance of the effects that a line in the evidence explains, in [0, 1].

    It does not see the sign: a map that points the wrong way explains as much. `twin_rank` does.
    """
    return correlation(sums_of_pairs(x, y, weights)) ** 2


@measure(
    name="twin-rank",
    title="Twins: rank correlation",
    direction="higher",
    unit="-",
    source="Spearman, American Journal of Psychology 1904, over phantom twins",
    kind="twin",
    gauge="zero",
    steps=MARGINS,
    weighted=True,
)
@of_pairs
def twin_rank(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's correlation of the ranks, in [-1, 1]; equal values share their mean rank."""
    return correlation(sums_of_pairs(mean_ranks(x, weights), mean_ranks(y, weights), weights))


def _check_evidence(maps: Tensor, rows: np.ndarray, masks: np.ndarray, margin: int) -> None:
    if maps.ndim != 3 or not maps.is_floating_point():
        raise SoftCAMError(
            f"expected floating-point maps (K, h, w), found {maps.dtype} {tuple(maps.shape)}."
        )
    if masks.ndim != 3 or masks.dtype not in (np.dtype(bool), np.dtype(np.uint8)):
        raise SoftCAMError(
            f"expected masks (M, H, W) bool or packed (M, H, ceil(W / 8)) uint8, found "
            f"{masks.dtype} {masks.shape}."
        )
    if rows.shape != (len(masks),) or (len(rows) and rows.dtype.kind not in "iu"):
        raise SoftCAMError(
            f"expected the row of a map for each of {len(masks)} masks, found {rows.dtype} "
            f"{rows.shape}."
        )
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(maps):
        raise SoftCAMError(
            f"rows run from {rows.min()} to {rows.max()}, but there are {len(maps)} maps."
        )
    if margin < 0:
        raise SoftCAMError(f"margin is {margin}: expected 0 or more pixels.")
