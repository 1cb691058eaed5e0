"""The results table read aloud: plain sentences, what speaks against SoftCAM first.

Every number is taken from the table; a difference is called one only where the intervals allow
it. With several seeds a value is the mean over seeds, its bounds the means of the bounds, and a
difference must have the same sign in every seed. Two values are compared over the seeds that both
have, for each seed may have test images of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softcam.compare import SeedValue

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


def findings_in_words(table: pd.DataFrame) -> list[str]:
    """What a table of results says, in sentences, for a report.

    Args:
        table: as `evaluate` returns it or `results.csv` holds it.

    Returns:
        Sentences; first those in which SoftCAM does not win, or in which a map does not do what
        it is for. An empty table gives an empty list.
    """
    against: list[str] = []
    others: list[str] = []
    parts = (_classification, _pointing, _activation, _faithfulness, _calibration)
    groups = ["dataset", "split", "model"]
    several = [c for c in groups if c == "dataset" or table[c].nunique() > 1]
    for _, rows in table.groupby(groups, sort=False):
        about = ", ".join(str(rows[c].iloc[0]) for c in several)
        if _mixed(rows):
            against.append(f"{about}: {_MIXED}")
            continue
        for part in parts:
            for is_against, sentence in part(rows):
                (against if is_against else others).append(f"{about}: {sentence}")
        if rows["seed"].nunique() > 1:
            others.append(f"{about}: {_ABOUT_SEEDS}")
    return against + others


_MIXED = (
    "Several runs have the same arm, penalty and seed, so they differ in something that the table "
    "does not say, such as the difficulty of the data. They are not averaged: evaluate them apart."
)
_ABOUT_SEEDS = (
    "In brackets: the 95 % interval over test images (the mean of the intervals of the seeds), and "
    "the smallest and largest value over seeds."
)


def _mixed(rows: pd.DataFrame) -> bool:
    """Whether two runs could be taken for one."""
    what = ["arm", "lambda1", "lambda2", "seed"]
    return bool(rows[[*what, "run_id"]].drop_duplicates().duplicated(what).any())


_Said = list[tuple[bool, str]]  # whether it speaks against SoftCAM, and the sentence


def _classification(rows: pd.DataFrame) -> _Said:
    """Which arm classifies best, and which are as good within the interval."""
    values = _values(rows, "auc")
    values = [v for v in values if v.arm != "converted"]  # the black box over again
    if not values:
        return []
    seeds = max(len(v.by_seed) for v in values)
    whole = [v for v in values if len(v.by_seed) == seeds]
    best = max(whole, key=lambda v: v.value)
    n = int(rows[rows["metric"] == "auc"]["n"].max())
    over = "1 seed" if seeds == 1 else f"mean of {seeds} seeds"
    text = f"{best.name} classifies best: AUC {best}, {n} images, {over}."
    as_good = [v for v in whole if v is not best and v.value >= best.low]
    worse = [f"{v.name} ({v})" for v in whole if v.value < best.low]
    if as_good:
        text += f" Within its interval: {_list([v.name for v in as_good])}."
    if worse:
        text += f" Below it: {_list(worse)}."
    no_win = any(v.arm == "black-box" for v in (best, *as_good)) and len(values) > 1
    said = [(no_win, _sentence(text))]
    return said + [_fewer_seeds(v, whole) for v in values if len(v.by_seed) < seeds]


def _fewer_seeds(v: SeedValue, whole: list[SeedValue]) -> tuple[bool, str]:
    """An arm that was trained with some of the seeds, beside the black box on the same."""
    text = f"{v.name} was trained with fewer seeds ({', '.join(v.by_seed)}): AUC {v}"
    base = next((w.over(v) for w in whole if w.arm == "black-box"), None)
    beside = f", the black box with the same {base}." if base and base.by_seed else "."
    return False, _sentence(text + beside)


def _pointing(rows: pd.DataFrame) -> _Said:
    """Does the map point at the finding: against its floor, its ceiling, and Grad-CAM."""
    said: _Said = []
    values = _map_values(rows, POINTING)
    for v in values:
        own = _of_seeds(rows, v)
        floor, ceiling = _floor(own, POINTING), _reference(own, POINTING, "reference-ceiling")
        text = f"{v.name} points at the finding in a share of {v} of the images"
        if ceiling:
            text += f", {v.value / ceiling.value:.0%} of the reference ceiling {ceiling.value:.2f}"
        if floor is None:
            said.append((False, _sentence(text + ".")))
            continue
        above = v.low > floor.value and v.above(floor) == len(v.by_seed)
        verdict = "more often than" if above else "not more often, within the interval, than"
        text += f"; {verdict} the best floor, {floor.name} ({floor.value:.2f})."
        said.append((not above, _sentence(text)))
    return said + _against_grad_cam(values, "pointing accuracy", higher=True)


def _activation(rows: pd.DataFrame) -> _Said:
    """How much of the positive evidence lies in the finding, against chance."""
    said: _Said = []
    values = _map_values(rows, PRECISION)
    for v in values:
        chance = _reference(_of_seeds(rows, v), PRECISION, "chance")
        if chance is None:
            continue
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
    random = {(v.arm, v.weights): v for v in _values(rows[rows["method"] == "random"], "audc")}
    if values and all(v.low >= _SATURATED for v in values):
        text = (
            f"hiding patches changes almost no prediction (area under the deletion curve at least "
            f"{min(v.low for v in values):.2f} for every map), so deletion says nothing here about "
            "which map is faithful."
        )
        return [(True, _sentence(text))]
    for v in values:
        # A converted black box is the black box, and so is its random order.
        floor = random.get(("black-box" if v.arm == "converted" else v.arm, v.weights))
        if floor is None:
            continue
        faithful = v.high < floor.value and floor.over(v).above(v) == len(v.by_seed)
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
    for name, error in errors.items():
        if error.arm in ("black-box", "converted") or name not in sizes:
            continue
        base_size, base_error = (e.get("the black box") for e in (sizes, errors))
        if base_size is None or base_error is None or not base_error.over(error).by_seed:
            continue
        base_size, base_error = base_size.over(error), base_error.over(error)
        worse = error.low > base_error.high
        text = (
            f"{name} has a calibration error of {error} and a mean |logit| of "
            f"{sizes[name].value:.2f}; the black box {base_error} and {base_size.value:.2f}."
        )
        said.append((worse, _sentence(text)))
    return said


def _against_grad_cam(values: list[SeedValue], what: str, higher: bool) -> _Said:
    """Trained SoftCAMs against Grad-CAM on the black box, over the seeds that both have."""
    baseline = next((v for v in values if v.method == "grad-cam"), None)
    said: _Said = []
    for own in values if baseline else []:
        assert baseline is not None
        if own.method != "softcam" or own.arm == "converted":  # the same map as Grad-CAM
            continue
        v, base = own.over(baseline), baseline.over(own)
        if not v.by_seed:
            continue
        seeds = len(v.by_seed)
        ahead = v.above(base) if higher else base.above(v)
        better = ahead == seeds and (v.low > base.high if higher else v.high < base.low)
        worse = ahead == 0 and (v.high < base.low if higher else v.low > base.high)
        verdict = "better than" if better else "worse than" if worse else None
        text = f"in {what}, {v.name} ({v}) is {verdict or 'not clearly different from'} "
        count = f", ahead in {ahead} of {seeds} seeds" if seeds > 1 else ""
        said.append((not better, _sentence(f"{text}{base.name} ({base}){count}.")))
    return said


def _values(rows: pd.DataFrame, metric: str) -> list[SeedValue]:
    """One value an arm and method, in the order of the table; means over seeds."""
    own = rows[(rows["metric"] == metric) & (rows["n"] > 0) & rows["value"].notna()]
    found = []
    weights = ["lambda1", "lambda2"]
    for key, group in own.groupby(["arm", "method", *weights], sort=False):
        arm, method, lambda1, lambda2 = map(str, key)
        name = _name(arm, method)
        if len(own[own["arm"] == arm].drop_duplicates(weights)) > 1:  # a sweep of the penalty
            name += f" (lambda1 {float(lambda1):.2g}, lambda2 {float(lambda2):.2g})"
        columns = [group[c].astype(float) for c in ("value", "ci_low", "ci_high")]
        triples = zip(*columns, strict=True)
        by_seed = dict(zip(group["seed"].astype(str), triples, strict=True))
        found.append(SeedValue(name, arm, method, (lambda1, lambda2), by_seed))
    return found


def _of_seeds(rows: pd.DataFrame, value: SeedValue) -> pd.DataFrame:
    """The rows of the seeds that a value has."""
    return rows[rows["seed"].astype(str).isin(list(value.by_seed))]


def _map_values(rows: pd.DataFrame, metric: str) -> list[SeedValue]:
    """The maps of real methods, in the gauge that no zero can change where there is one."""
    real = rows[rows["method"].isin(_map_methods(rows))]
    contrast = real[real["gauge"] == "contrast"]
    return _values(contrast if len(contrast) else real[real["gauge"] == "raw"], metric)


def _map_methods(rows: pd.DataFrame) -> list[str]:
    return [m for m in rows["method"].unique() if m not in ("-", "reference-ceiling", *_FLOORS)]


def _reference(rows: pd.DataFrame, metric: str, method: str) -> SeedValue | None:
    """One floor or ceiling, of any arm: it hangs on the images and the size of the map alone."""
    own = rows[(rows["method"] == method) & (rows["metric"] == metric)]
    values = _values(own.drop_duplicates("seed").assign(arm="-", lambda1=0, lambda2=0), metric)
    return values[0] if values else None


def _floor(rows: pd.DataFrame, metric: str) -> SeedValue | None:
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


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
