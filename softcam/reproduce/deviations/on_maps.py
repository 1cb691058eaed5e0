"""Effects on the maps of the sparse SoftCAM: what each detail of a measure changes in it.

One detail is changed at a time, the others as in the public code; findings are brought to 512 px,
where that code is defined.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from softcam.metrics import MapBatch, Ratios
from softcam.metrics.paper import (
    PUBLIC,
    Quirks,
    activation_precision,
    activation_precision_hard,
    cubic_resize,
    patch_precision,
    patch_precision_tp,
    patch_scores,
    select_cells,
)
from softcam.metrics.records import divide
from softcam.reproduce.deviations.material import Material, Place
from softcam.reproduce.deviations.records import Measured
from softcam.reproduce.deviations.spread import over_rows, paired, undefined
from softcam.reproduce.specification.maps import KeptMaps

__all__ = ["ON_MAPS"]

K = 10  # top-k
MOST = 29  # the largest k of the public code
POSITIVE = PUBLIC.at(0.0)  # the public code's patches, of every positive cell
LEVEL = 1.0  # the public threshold of a patch, in logits
GAME = 0.003  # that of the pointing game
CELLS = (16, 16)  # of consistency in the public code
Found = Iterable[tuple[str, Measured]]

# Effect: what is switched off; the value is with minus without.
_SWITCHES = {
    "ringing-precision": "cubic", "grid-precision": "displaced", "wrap-precision": "wraps",
    "chain-precision": "chained", "lopsided-precision": "lopsided",
}  # fmt: skip


def switches(material: Material, place: Place) -> Found:
    """Patch precision with a detail of the public code, minus without."""
    maps = material.sparse(place)
    if maps is None:
        return
    batch = material.public_batch(maps)
    public = patch_precision(batch, quirks=POSITIVE)
    for name, trap in _SWITCHES.items():
        other = patch_precision(batch, quirks=POSITIVE.without(trap))
        yield name, paired(public, other, K - 1, str(place), material)
    turned = patch_precision(batch, quirks=replace(POSITIVE, transposed=True))
    yield "transposed-precision", paired(turned, public, 0, str(place), material)
    point = patch_precision(MapBatch(batch.maps, centres(batch.findings)), quirks=POSITIVE)
    yield "points-precision", paired(point, public, 0, str(place), material)
    yield from _pooling(batch, public, str(place), material)
    yield from _counts(batch, str(place), material)


def _pooling(batch: MapBatch, public: Ratios, data: str, material: Material) -> Found:
    """Pooled patches against the mean over images; and those predicted as their label."""
    hits, taken = public.numerator[:, K - 1], public.denominator[:, K - 1]
    some = taken > 0
    yield "micro-macro", over_rows(pooled_minus_mean, (hits[some], taken[some]), data, material)
    shown = patch_precision_tp(batch, quirks=POSITIVE).denominator[:, K - 1] > 0
    if not shown.any():
        yield "predicted-only", undefined(f"{data}: no image is predicted as its label")
        return
    arrays = (hits[some], taken[some], shown[some])
    yield "predicted-only", over_rows(gain_of_some, arrays, data, material)


def gain_of_some(hits: np.ndarray, taken: np.ndarray, shown: np.ndarray) -> float:
    """Hits over patches of the images `shown`, minus of all; NaN where none is shown."""
    kept = divide((hits * shown).sum(), (taken * shown).sum())
    return float(kept - divide(hits.sum(), taken.sum()))


def pooled_minus_mean(hits: np.ndarray, taken: np.ndarray) -> float:
    """All hits over all patches, minus the mean over images of hits over patches."""
    return float(hits.sum() / taken.sum() - (hits / taken).mean())


def _counts(batch: MapBatch, data: str, material: Material) -> Found:
    """How many patches, and which, without the wrap-around and without chains."""
    scores = patch_scores(batch.clean, batch.size)
    chosen = {
        name: _sets(scores, quirks)
        for name, quirks in (
            ("public", POSITIVE), ("unwrapped", POSITIVE.without("wraps")),
            ("unchained", POSITIVE.without("chained")),
        )
    }  # fmt: skip
    pairs = list(zip(chosen["public"], chosen["unwrapped"], strict=True))
    changed = [len(a ^ b) for a, b in pairs], [len(a | b) for a, b in pairs]
    yield "wrap-patches", over_rows(share, _counted(*changed), data, material)
    counts = ([min(MOST, len(a)) for a in chosen[name]] for name in ("public", "unchained"))
    yield "chain-patches", over_rows(share, _counted(*counts), data, material)


def share(part: np.ndarray, whole: np.ndarray) -> float:
    """Of totals; NaN over 0."""
    return float(divide(part.sum(), whole.sum()))


def _counted(part: list[int], whole: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, for the images in which the whole is not 0."""
    some = np.array(whole) > 0
    return np.array(part)[some], np.array(whole)[some]


def _sets(scores: Tensor, quirks: Quirks) -> list[set[int]]:
    return [{int(c) for c in row if c >= 0} for row in select_cells(scores, quirks)]


def centres(findings: Tensor) -> Tensor:
    """(n, H, W) bool: of each finding the marked pixel nearest to the middle of all marked."""
    points = torch.zeros_like(findings)
    for finding, point in zip(findings, points, strict=True):
        at = finding.nonzero()
        if len(at):
            middle = at.double().mean(0)
            row, column = at[((at - middle) ** 2).sum(1).argmin()].tolist()
            point[row, column] = True
    return points


def mass(material: Material, place: Place) -> Found:
    """Activation precision: maps without positive evidence, and the older definition."""
    maps = material.sparse(place)
    if maps is None:
        return
    batch = material.public_batch(maps)
    counted = activation_precision(batch)
    excluded = activation_precision(batch, quirks=PUBLIC.without("epsilon"))
    arrays = (counted.per_image[:, 0], excluded.denominator[:, 0] > 0, batch.scored.numpy())
    kept = [each[arrays[2]] for each in arrays[:2]]

    def fall(values: np.ndarray, positive: np.ndarray) -> float:
        return float(values.mean() - values[positive].mean()) if positive.any() else np.nan

    yield "epsilon-precision", over_rows(fall, (kept[0], kept[1]), str(place), material)
    older = activation_precision_hard(batch)
    yield "hard-precision", paired(older, counted, 0, str(place), material)


def consistency(material: Material, place: Place) -> Found:
    """The share of positive cells, after cubic resizing to 16 x 16 and in the map itself."""
    maps = material.sparse(place)
    if maps is None:
        return
    own = _own(maps)
    coarse = (cubic_resize(own, CELLS) > 0).double().mean((1, 2))
    difference = coarse - (own > 0).double().mean((1, 2))
    yield "consistency-cubic", over_rows(np.mean, (difference,), str(place), material)


def ringing(material: Material, place: Place) -> Found:
    """Cells above 1 on the public grid that lie between map cells of which none is above 1."""
    maps = material.sparse(place)
    if maps is None:
        return
    own = _own(maps)
    bright, unsupported = unsupported_cells(own)
    some = bright > 0
    if not some.any():
        yield "ringing-real", undefined(f"{place}: no cell is above {LEVEL:g}")
        return
    arrays = (unsupported[some], bright[some])
    yield "ringing-real", over_rows(share, arrays, str(place), material)


def unsupported_cells(maps: Tensor, side: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Of each map (n, h, w), enlarged cubically: cells above 1, and those among them whose four
    neighbours in the map are not; (n,) each."""
    fine = cubic_resize(maps, (side, side)) > LEVEL
    at = [((torch.arange(side) + 0.5) * cells / side - 0.5).clamp(0, cells - 1)
          for cells in maps.shape[1:]]  # fmt: skip
    around = torch.stack([
        maps[:, rows.long()][:, :, columns.long()]
        for rows in (at[0].floor(), at[0].ceil()) for columns in (at[1].floor(), at[1].ceil())
    ]).amax(0)  # fmt: skip
    invented = fine & (around <= LEVEL)
    return fine.sum((1, 2)).numpy(), invented.sum((1, 2)).numpy()


def printed_norm(material: Material, place: Place) -> Found:
    """Equation 5's second term as printed over the code's, on the maps themselves."""
    maps = material.sparse(place)
    if maps is None:
        return
    flat = maps.maps.double().flatten(1)
    size = flat.shape[1] ** 0.5
    ratio = flat.abs().sum(1) / (size * torch.linalg.vector_norm(flat, dim=1))
    yield "l2-printed", over_rows(np.mean, (ratio,), str(place), material)


def gauge(material: Material, place: Place) -> Found:
    """The maps of all classes lifted by one standard deviation of the maps."""
    maps = material.sparse(place)
    if maps is None:
        return
    if maps.gauges == ("raw",):  # a sigmoid has one zero
        return
    lift, data = float(maps.maps.std()), str(place)
    before, after = maps.logits.double(), maps.logits.double() + lift
    moved = (after.softmax(1) - before.softmax(1)).abs().max()
    yield "gauge-probability", Measured(float(moved), n=len(before), unit="images", data=data)
    raw, lifted = (material.public_batch(maps, by) for by in (0.0, lift))
    counts = [patch_precision(each).denominator[:, -1] for each in (raw, lifted)]
    if counts[0].any():
        yield "gauge-patches", over_rows(share, tuple(counts[::-1]), data, material)
    else:
        yield "gauge-patches", undefined(f"{data}: no patch is above {LEVEL:g}")
    contrasts = [material.public_batch(maps, by, "contrast") for by in (0.0, lift)]
    for name, (a, b) in (("gauge-activation", (lifted, raw)),
                         ("gauge-contrast", (contrasts[1], contrasts[0]))):  # fmt: skip
        yield name, paired(activation_precision(a), activation_precision(b), 0, data, material)
    own = _own(maps)
    for name, level in (("gauge-consistency", 0.0), ("gauge-game", GAME)):
        rise = ((own + lift > level).double() - (own > level).double()).mean((1, 2))
        yield name, over_rows(np.mean, (rise,), data, material)


def _own(maps: KeptMaps) -> Tensor:
    """(n, h, w) float64: the raw map of each image's target."""
    rows = np.arange(len(maps.indices)).tolist()
    return maps.read("raw", maps.targets, rows).double()


ON_MAPS = {
    switches: (
        *_SWITCHES, "transposed-precision", "points-precision", "micro-macro", "predicted-only",
        "wrap-patches", "chain-patches",
    ),
    mass: ("epsilon-precision", "hard-precision"),
    consistency: ("consistency-cubic",),
    ringing: ("ringing-real",),
    printed_norm: ("l2-printed",),
    gauge: (
        "gauge-probability", "gauge-patches", "gauge-activation", "gauge-consistency",
        "gauge-game", "gauge-contrast",
    ),
}  # fmt: skip
