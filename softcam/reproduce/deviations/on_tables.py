"""Effects that the tables of a reproduction hold: arms against each other, and choices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from softcam.reproduce.deviations.material import Material, Place
from softcam.reproduce.deviations.records import Measured
from softcam.reproduce.deviations.spread import over_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ON_ARMS", "ON_TABLES"]

# Effect of L1 against its control: measure, and gauge of the maps.
_CONTROL = {
    "l1-control-gini": ("gini", "raw"), "l1-control-auprc": ("pixel-auprc", "contrast"),
}  # fmt: skip
Found = Iterable[tuple[str, Measured]]


def control(material: Material, place: Place) -> Found:
    """The sparse SoftCAM against its logit control, image by image, all seeds together."""
    arms = ("sparse", "logit-control")
    if not set(arms) <= set(place.runs):
        return
    for name, (metric, gauge) in _CONTROL.items():
        pair = _values(material.images, place, arms, metric, gauge)
        data, images = f"{place.name}, {_seeds(pair)}", _images(pair)
        values = tuple(pair[arm].to_numpy() for arm in arms)
        yield name, over_rows(difference, values, data, material, groups=images)
    a, b, labels, pair = _logits(material.images, place, arms)
    data, images = f"{place.name}, {_seeds(pair)}", _images(pair)
    sizes = tuple(np.abs(each).mean(1) for each in (a, b))
    yield "l1-control-logit", over_rows(ratio, sizes, data, material, groups=images)
    right = tuple((said(each) == labels).astype(float) for each in (a, b))
    yield "l1-control-accuracy", over_rows(difference, right, data, material, groups=images)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Of two means."""
    return float(a.mean() - b.mean())


def ratio(a: np.ndarray, b: np.ndarray) -> float:
    """Of two means; NaN over 0."""
    return float(a.mean() / b.mean()) if b.any() else math.nan


def said(logits: np.ndarray) -> np.ndarray:
    """(n,): the predicted class; of one logit whether it is above 0."""
    return logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).astype(int)


def dense_after_training(material: Material, place: Place) -> Found:
    """Test probabilities of the dense SoftCAM and of the black box, same seed."""
    if not {"dense", "black-box"} <= set(place.runs):
        return
    a, b, _, pair = _logits(material.images, place, ("dense", "black-box"))
    apart = np.abs(_probabilities(a) - _probabilities(b)).mean(1)
    data = f"{place.name}, {_seeds(pair)}"
    yield "dense-trained", over_rows(np.mean, (apart,), data, material, groups=_images(pair))


def best_epoch(material: Material) -> Found:
    """Which epoch accuracy and cross-entropy choose in the histories of all runs."""
    differs, excess = [], []
    for run in material.all_runs():
        history = run.history()
        by_accuracy = int(history["val_accuracy"].to_numpy().argmax())
        losses = history["val_loss"].to_numpy()
        differs.append(by_accuracy != int(losses.argmin()))
        excess.append(losses[by_accuracy] - losses.min())
    data = "every run of the reproduction"
    yield "epoch-differs", over_rows(np.mean, (np.array(differs, float),), data, material, "runs")
    yield "epoch-loss", over_rows(np.mean, (np.array(excess),), data, material, "runs")


def chosen_by_test(material: Material) -> Found:
    """What choosing the weight by test accuracy would have claimed beyond the rule's choice."""
    if material.selection is None:
        return
    gains = optimism(material.selection, material.everything)
    data = "every grid of weights of the reproduction"
    yield "lambda-optimism", over_rows(np.mean, (gains,), data, material, "grids")


def optimism(selection: pd.DataFrame, results: pd.DataFrame) -> np.ndarray:
    """(grids,): best test accuracy of each grid of weights, minus that of the chosen weight."""
    own = results[(results["metric"] == "accuracy") & (results["arm"] != "converted")]
    accuracy = own.drop_duplicates("run_id").set_index("run_id")["value"].astype(float)
    gains = []
    for _, grid in selection.groupby(["dataset", "task", "model", "arm", "seed"], sort=False):
        found = grid["run_id"].map(accuracy).astype(float).to_numpy()
        chosen = grid["chosen"].astype(str).str.lower().eq("true").to_numpy()
        if chosen.sum() == 1 and not math.isnan(found[chosen][0]):
            gains.append(np.nanmax(found) - found[chosen][0])
    return np.array(gains)


def _values(
    images: pd.DataFrame, place: Place, arms: tuple[str, str], metric: str, gauge: str
) -> pd.DataFrame:
    """A measure of the own maps of two arms, a column each, by seed and image."""
    import pandas as pd

    rows = _at(images, place)
    rows = rows[(rows["metric"] == metric) & (rows["gauge"] == gauge)
                & (rows["method"] == "softcam") & (rows["weight"] > 0)]  # fmt: skip
    sides = {
        arm: rows[rows["arm"] == arm].set_index(["seed", "image_id"])["value"].astype(float)
        for arm in arms
    }
    return pd.concat(sides, axis=1, join="inner").dropna()


def _logits(
    images: pd.DataFrame, place: Place, arms: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]:
    """Logits (n, C) of two arms for the same seeds and images, labels (n,), and a table of both."""
    import pandas as pd

    rows = _at(images, place)
    found, names = {}, rows["target"].astype(str).where(rows["metric"] == "logit", "label")
    for arm in arms:
        own = rows[(rows["arm"] == arm) & rows["metric"].isin(["label", "logit"])]
        plain = pd.DataFrame({
            "seed": own["seed"], "image_id": own["image_id"].astype(str),
            "name": names[own.index], "value": own["value"].astype(float),
        })  # fmt: skip
        found[arm] = plain.pivot_table(index=["seed", "image_id"], columns="name", values="value")
    both = pd.concat(found, axis=1, join="inner").dropna()
    a, b = (both[arm].drop(columns="label").to_numpy(copy=True) for arm in arms)
    return a, b, both[arms[0]]["label"].to_numpy().astype(int), both


def _at(images: pd.DataFrame, place: Place) -> pd.DataFrame:
    return images[(images["dataset"] == place.dataset) & (images["model"] == place.model)
                  & (images["task"] == place.task)]  # fmt: skip


def _probabilities(logits: np.ndarray) -> np.ndarray:
    values = torch.from_numpy(logits)
    return (values.softmax(1) if values.shape[1] > 1 else values.sigmoid()).numpy()


def _images(rows: pd.DataFrame) -> np.ndarray:
    return rows.index.get_level_values("image_id").to_numpy().astype(str)


def _seeds(rows: pd.DataFrame) -> str:
    seeds = sorted(set(rows.index.get_level_values("seed")))
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" if seeds else "no seed"


ON_TABLES = {
    best_epoch: ("epoch-differs", "epoch-loss"),
    chosen_by_test: ("lambda-optimism",),
}
ON_ARMS = {
    control: (*_CONTROL, "l1-control-logit", "l1-control-accuracy"),
    dense_after_training: ("dense-trained",),
}
