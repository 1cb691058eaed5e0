"""Both sides of every specification, image by image: from maps, and from stored occlusion curves.

What is left out by rule is in `RULES`, and is said beside the results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError, digest
from softcam.metrics.registry import PIXELS
from softcam.reproduce.specification.maps import KeptMaps
from softcam.reproduce.specification.measuring import Way, map_measures, paper_measures
from softcam.reproduce.specification.resizing import INTERPOLATIONS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILL_MEASURES", "RULES", "Choice", "Sides", "from_maps", "from_occlusion",
           "shared_gauges", "without_repeats"]  # fmt: skip

RULES = (
    "centred maps of two classes, half of their contrast; with more classes they take part",
    "centred and contrast with a sigmoid, whose zero is fixed",
    "a threshold in logits, which Grad-CAM's unit is not",
    "the predicted class with one logit, whose map is the same",
    "the paper's protocol but at 512 and 496 px",
    "a choice that changes no value of any image, counted once",
)
FILL_MEASURES = ("audc", "audc-probability", "auic", "auic-probability")
Side = tuple[np.ndarray, np.ndarray]  # numerators and denominators, (n,) each


@dataclass(frozen=True)
class Choice:
    """One specification but for the seed."""

    way: Way
    gauge: str
    interpolation: str
    target: str
    fill: str


@dataclass(frozen=True)
class Sides:
    """One specification in one seed.

    Attributes:
        images: (n,) names of the images, the same in two seeds only if the images are.
        patients: (n,) what belongs together.
        sparse, rival: numerators and denominators, (n,) each.
    """

    images: np.ndarray
    patients: np.ndarray
    sparse: Side
    rival: Side


def from_maps(sparse: KeptMaps, rival: KeptMaps) -> Iterator[tuple[Choice, Sides]]:
    """Every specification of one seed that is read from maps.

    Raises:
        SoftCAMError: maps of different images.
    """
    data, other = sparse.data, rival.data
    if data.fingerprint != other.fingerprint or not np.array_equal(sparse.indices, rival.indices):
        raise SoftCAMError(f"the maps are of different images of {data.name} and {other.name}.")
    finite = (sparse.maps.isfinite() & rival.maps.isfinite()).flatten(1).all(1).numpy()
    mark = data.fingerprint[:12]
    images = np.array([f"{mark} {data.ids[i]}" for i in sparse.indices])
    patients = np.array([f"{mark} {data.patients[i]}" for i in sparse.indices])
    for gauge in shared_gauges(sparse, rival):
        for interpolation in INTERPOLATIONS:
            first, second = (_both_targets(m, gauge, interpolation) for m in (sparse, rival))
            for (way, target), own in first.items():
                pair = [(n[finite], d[finite]) for n, d in (own, second[way, target])]
                choice = Choice(way, gauge, _named(way, interpolation), target, "-")
                yield choice, Sides(images[finite], patients[finite], pair[0], pair[1])


def shared_gauges(sparse: KeptMaps, rival: KeptMaps) -> list[str]:
    """The zeros worth asking for on both sides."""
    return [gauge for gauge in sparse.gauges if gauge in rival.gauges]


def _named(way: Way, interpolation: str) -> str:
    return "bicubic" if way.protocol == "paper" else interpolation


def _both_targets(maps: KeptMaps, gauge: str, interpolation: str) -> dict[tuple[Way, str], Side]:
    """The maps of the label; and those of the prediction, which differ where it is wrong."""
    label = _values(maps, gauge, interpolation, maps.targets, np.arange(len(maps.indices)))
    predicted = maps.predicted
    wrong = np.flatnonzero(predicted != maps.targets)
    found = {(way, "label"): side for way, side in label.items()}
    if maps.gauges == ("raw",):
        return found
    other = _values(maps, gauge, interpolation, predicted, wrong) if len(wrong) else {}
    for way, side in label.items():
        merged = (side[0].copy(), side[1].copy())
        if way in other:
            merged[0][wrong], merged[1][wrong] = other[way]
        found[way, "predicted"] = merged
    return found


def _values(
    maps: KeptMaps, gauge: str, interpolation: str, classes: np.ndarray, rows: np.ndarray
) -> dict[Way, Side]:
    """Every way to score the maps of these rows, some images at a time; the memory is bounded."""
    height, width = maps.data.size
    chunk = max(1, PIXELS // (height * width))
    parts: list[dict[Way, Side]] = []
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        values = maps.read(gauge, classes, part.tolist()).nan_to_num(0, 0, 0)
        findings = maps.findings_of(part)
        found = map_measures(values, findings, interpolation)
        if interpolation == "bicubic":
            found |= paper_measures(values, findings)
        parts.append(found)
    return {
        way: (
            np.concatenate([part[way][0] for part in parts]),
            np.concatenate([part[way][1] for part in parts]),
        )
        for way in parts[0]
    }


def from_occlusion(
    per_image: pd.DataFrame, sparse: str, rival: str, fingerprint: str, gauges: Sequence[str]
) -> Iterator[tuple[Choice, Sides]]:
    """What depends on the fill, from the rows of single images; each map on its own network.

    Args:
        per_image: rows of `FILL_MEASURES`.
        sparse, rival: ids of the SoftCAM's run and of the black box's.
        fingerprint: of the data.
        gauges: the zeros worth asking for, as from the maps.
    """
    rows = per_image[per_image["metric"].isin(FILL_MEASURES)]
    home = rows["occluded_run"].astype(str) == rows["run_id"].astype(str)
    rows = rows[home.to_numpy()]
    own = _of(rows, sparse, "sparse", "softcam")
    other = _of(rows, rival, "black-box", "grad-cam")
    for key, mine in own.items():
        metric, protocol, fill, gauge, target, interpolation, direction = key
        if key not in other or gauge not in gauges:
            continue
        both = mine.add_suffix("_a").join(other[key].add_suffix("_b"), how="inner")
        if both.empty:
            continue
        way = Way(metric, protocol, "signed", "-", "-", direction)
        named = "label" if target.startswith("class:") else target
        sides = [
            ((both[f"value_{s}"] * both[f"weight_{s}"]).to_numpy(), both[f"weight_{s}"].to_numpy())
            for s in ("a", "b")
        ]
        mark = fingerprint[:12]
        images = np.array([f"{mark} {name}" for name in both.index])
        patients = np.array([f"{mark} {name}" for name in both["patient_id_a"]])
        yield Choice(way, gauge, interpolation, named, fill), Sides(images, patients, *sides)


def _of(rows: pd.DataFrame, run: str, arm: str, method: str) -> dict[tuple[str, ...], Any]:
    kept = (rows["run_id"] == run) & (rows["arm"] == arm) & (rows["method"] == method)
    what = ["metric", "protocol", "fill", "gauge", "target", "interpolation", "direction"]
    found = {}
    for key, part in rows[kept].groupby(what, sort=False, observed=True):
        values = part[["patient_id", "value", "weight"]].astype({"patient_id": str})
        found[tuple(str(k) for k in key)] = values.set_index(part["image_id"].astype(str))
    return found


def without_repeats(
    found: Mapping[Choice, Mapping[int, Sides]],
) -> tuple[dict[Choice, Mapping[int, Sides]], int]:
    """Each choice whose values differ from those before it, and how many do not."""
    seen: set[str] = set()
    kept: dict[Choice, Mapping[int, Sides]] = {}
    for choice, by_seed in found.items():
        key = digest(*(_fingerprint(choice, by_seed[seed]) for seed in sorted(by_seed)))
        if key not in seen:
            kept[choice] = by_seed
        seen.add(key)
    return kept, len(found) - len(kept)


def _fingerprint(choice: Choice, sides: Sides) -> bytes:
    """What the specification says of each image: which side is ahead, and by how much."""
    sign = -1.0 if choice.way.direction == "lower" else 1.0
    (a, n), (b, m) = sides.sparse, sides.rival
    both = (n > 0) & (m > 0)
    ahead = np.zeros(len(a))
    ahead[both] = sign * (a[both] / n[both] - b[both] / m[both])
    numbers = np.round(np.stack([ahead, n * both, m * both]), 9) + 0.0
    return "\n".join(sides.images).encode() + numbers.tobytes()
