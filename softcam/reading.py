"""The results table read aloud: plain sentences, what speaks against SoftCAM first.

Every number is taken from the table; a difference is called one only where the intervals allow
it. With several seeds a value is the mean over seeds, and its bounds the means of the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["findings_in_words"]

POINTING, PRECISION = "pointing-accuracy", "activation-precision"
_SATURATED = 0.98  # of a deletion curve that hardly leaves 1
_FLOORS = ("chance", "centre", "random")
_NAMES = {
    "black-box": "the black box",
    "converted": "the converted black box",
    "logit-control": "the logit control",
    "random": "a random map",
    "centre": "a map of the image centre",
    "chance": "chance (the area of the finding)",
}


@dataclass(frozen=True)
class _Value:
    """A value with its bounds: `name` for people, over `seeds` runs."""

    name: str
    arm: str
    method: str
    value: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def findings_in_words(table: pd.DataFrame) -> list[str]:
    """What a table of results says, in sentences, for a report.

    Args:
        table: as `evaluate` returns it or `results.csv` holds it.

    Returns:
        Sentences; for each data set first those in which SoftCAM does not win, or in which a map
        does not do what it is for. An empty table gives an empty list.
    """
    against: list[str] = []
    others: list[str] = []
    for dataset in table["dataset"].unique():
        rows = table[table["dataset"] == dataset]
        for part in (_classification, _pointing, _activation, _faithfulness, _calibration):
            for is_against, sentence in part(rows):
                (against if is_against else others).append(f"{dataset}: {sentence}")
    return against + others


_Said = list[tuple[bool, str]]  # whether it speaks against SoftCAM, and the sentence


def _classification(rows: pd.DataFrame) -> _Said:
    """Which arm classifies best, and which are as good within the interval."""
    values = _values(rows, "auc")
    values = [v for v in values if v.arm != "converted"]  # the black box over again
    if not values:
        return []
    best = max(values, key=lambda v: v.value)
    n = int(rows[rows["metric"] == "auc"]["n"].max())
    text = f"{best.name} classifies best: AUC {best}, {n} images, {_seeds(best)}."
    as_good = [v.name for v in values if v is not best and v.value >= best.low]
    worse = [f"{v.name} ({v})" for v in values if v.value < best.low]
    if as_good:
        text += f" Within its interval: {_list(as_good)}."
    if worse:
        text += f" Below it: {_list(worse)}."
    return [(best.arm == "black-box" and len(values) > 1, _sentence(text))]


def _pointing(rows: pd.DataFrame) -> _Said:
    """Does the map point at the finding: against its floor, its ceiling, and Grad-CAM."""
    said: _Said = []
    values, floor = _map_values(rows, POINTING), _floor(rows, POINTING)
    ceiling = _reference(rows, POINTING, "reference-ceiling")
    for v in values:
        text = f"{v.name} points at the finding in a share of {v} of the images"
        if ceiling:
            text += f", {v.value / ceiling.value:.0%} of the reference ceiling {ceiling.value:.2f}"
        if floor is None:
            said.append((False, _sentence(text + ".")))
            continue
        above = v.low > floor.value
        verdict = "more often than" if above else "not more often, within the interval, than"
        text += f"; {verdict} the best floor, {floor.name} ({floor.value:.2f})."
        said.append((not above, _sentence(text)))
    return said + _against_grad_cam(values, "pointing accuracy", higher=True)


def _activation(rows: pd.DataFrame) -> _Said:
    """How much of the positive evidence lies in the finding, against chance."""
    said: _Said = []
    values, chance = _map_values(rows, PRECISION), _reference(rows, PRECISION, "chance")
    for v in values if chance else []:
        assert chance is not None
        text = f"of the positive evidence of {v.name}, a share of {v} lies in the marked finding"
        if v.high < chance.value:
            text += (
                f", below chance ({chance.value:.2f}): the model reads something else than the "
                "marked findings; what is not established."
            )
        elif v.low <= chance.value:
            text += f"; chance is {chance.value:.2f}, inside the interval."
        else:
            text += f"; chance is {chance.value:.2f}."
        said.append((v.low <= chance.value, _sentence(text)))
    return said + _against_grad_cam(values, "activation precision", higher=True)


def _faithfulness(rows: pd.DataFrame) -> _Said:
    """Deletion on each model, against a random order of patches on the same model."""
    said: _Said = []
    values = _map_values(rows, "audc")
    random = {v.arm: v for v in _values(_one_weight(rows[rows["method"] == "random"]), "audc")}
    if values and all(v.low >= _SATURATED for v in values):
        text = (
            f"hiding patches changes almost no prediction (area under the deletion curve at least "
            f"{min(v.low for v in values):.2f} for every map), so deletion says nothing here about "
            "which map is faithful."
        )
        return [(True, _sentence(text))]
    for v in values:
        # A converted black box is the black box, and so is its random order.
        floor = random.get("black-box" if v.arm == "converted" else v.arm)
        if floor is None:
            continue
        faithful = v.high < floor.value
        verdict = "falls faster" if faithful else "does not clearly fall faster"
        text = (
            f"when the patches that {v.name} ranks first are hidden, the prediction {verdict} than "
            f"with random patches: area under the deletion curve {v}, random {floor.value:.2f}."
        )
        said.append((not faithful, _sentence(text)))
    compared = _against_grad_cam(values, "area under the deletion curve", higher=False)
    if compared:
        note = "areas under deletion curves of different networks compare networks as well as maps."
        compared.append((False, _sentence(note)))
    return said + compared


def _calibration(rows: pd.DataFrame) -> _Said:
    """What the penalty costs: calibration and the size of the logits beside the black box's."""
    said: _Said = []
    sizes = {v.name: v for v in _values(rows, "logit-size")}
    errors = {v.name: v for v in _values(rows, "ece")}
    base_size, base_error = sizes.get("the black box"), errors.get("the black box")
    if base_size is None or base_error is None:
        return []
    for name, error in errors.items():
        if error.arm in ("black-box", "converted") or name not in sizes:
            continue
        worse = error.low > base_error.high
        text = (
            f"{name} has a calibration error of {error} and a mean |logit| of "
            f"{sizes[name].value:.2f}; the black box {base_error} and {base_size.value:.2f}."
        )
        said.append((worse, _sentence(text)))
    return said


def _against_grad_cam(values: list[_Value], what: str, higher: bool) -> _Said:
    """Trained SoftCAMs against Grad-CAM on the black box."""
    baseline = next((v for v in values if v.method == "grad-cam"), None)
    said: _Said = []
    for v in values if baseline else []:
        assert baseline is not None
        if v.method != "softcam" or v.arm == "converted":  # the same map as Grad-CAM
            continue
        gain = (v.value - baseline.value) * (1 if higher else -1)
        apart = v.low > baseline.high or v.high < baseline.low
        verdict = "better than" if gain > 0 else "worse than"
        if not apart:
            verdict = "not clearly different from"
        text = f"in {what}, {v.name} ({v}) is {verdict} {baseline.name} ({baseline})."
        said.append((gain <= 0 or not apart, _sentence(text)))
    return said


def _values(rows: pd.DataFrame, metric: str) -> list[_Value]:
    """One value an arm and method, in the order of the table; means over seeds."""
    own = rows[(rows["metric"] == metric) & (rows["n"] > 0) & rows["value"].notna()]
    found = []
    weights = ["lambda1", "lambda2"]
    for key, group in own.groupby(["arm", "method", *weights], sort=False):
        arm, method = str(key[0]), str(key[1])
        value, low, high = (
            float(group[c].astype(float).mean()) for c in ("value", "ci_low", "ci_high")
        )
        name = _name(arm, method)
        if len(own[own["arm"] == arm].drop_duplicates(weights)) > 1:  # a sweep of the penalty
            name += f" (lambda1 {float(str(key[2])):.2g}, lambda2 {float(str(key[3])):.2g})"
        found.append(_Value(name, arm, method, value, low, high, len(group)))
    return found


def _one_weight(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of all weights of the penalty as one."""
    return rows.assign(lambda1=0, lambda2=0)


def _map_values(rows: pd.DataFrame, metric: str) -> list[_Value]:
    """The maps of real methods, in the gauge that no zero can change where there is one."""
    real = rows[rows["method"].isin(_map_methods(rows))]
    contrast = real[real["gauge"] == "contrast"]
    return _values(contrast if len(contrast) else real[real["gauge"] == "raw"], metric)


def _map_methods(rows: pd.DataFrame) -> list[str]:
    return [m for m in rows["method"].unique() if m not in ("-", "reference-ceiling", *_FLOORS)]


def _reference(rows: pd.DataFrame, metric: str, method: str) -> _Value | None:
    """One floor or ceiling, over all arms: it hangs on the images and the size of the map."""
    values = _values(_one_weight(rows[rows["method"] == method]).assign(arm="-"), metric)
    return values[0] if values else None


def _floor(rows: pd.DataFrame, metric: str) -> _Value | None:
    """The best of the maps that know nothing."""
    floors = [f for f in (_reference(rows, metric, name) for name in _FLOORS) if f]
    return max(floors, key=lambda f: f.value) if floors else None


def _name(arm: str, method: str) -> str:
    if method in _NAMES:
        return _NAMES[method]
    model = _NAMES.get(arm, f"{arm} SoftCAM")
    if method == "-":
        return model
    if method == "softcam":
        return f"the evidence map of {model}"
    return f"{method} on {model}"


def _seeds(value: _Value) -> str:
    return "1 seed" if value.seeds == 1 else f"mean of {value.seeds} seeds"


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
