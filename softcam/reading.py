"""The results table read aloud: plain sentences, what speaks against SoftCAM first.

Every number is taken from the table; a difference is called one only where the intervals allow
it. With several seeds a value is the mean over seeds, its interval draws seeds and images, and a
difference must have the same sign in every seed. Two values are compared over the seeds that both
have, for each seed may have test images of its own. Arms and maps with the same verdict share a
sentence; a map that fails at what it is for has one of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softcam.seeds import SeedValue, with_seed_intervals
from softcam.wording import (
    ABOUT_IMAGES,
    ABOUT_SEEDS,
    POINTING,
    PRECISION,
    Item,
    Said,
    best_floor,
    ceiling_above,
    certain,
    fewer_seeds,
    listed,
    map_values,
    mean_of,
    merged,
    reference,
    rows_of_seeds,
    sentence,
    short_name,
    values_of,
    with_seeds,
    without_interval,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["findings_in_words"]

_SATURATED = 0.98  # of a deletion curve that hardly leaves 1


def findings_in_words(table: pd.DataFrame, per_image: pd.DataFrame | None = None) -> list[str]:
    """What a table of results says, in sentences, for a report.

    Args:
        table: as `evaluate` returns it or `results.csv` holds it.
        per_image: the rows of single images. With them the interval of a mean over seeds draws
            seeds and images; without, it is the mean of the seeds' intervals over images.

    Returns:
        Sentences; first those in which SoftCAM does not win, or in which a map does not do what
        it is for. An empty table gives an empty list.
    """
    if per_image is not None and table["seed"].nunique() > 1:
        table = with_seed_intervals(table, per_image, _SPOKEN_OF)
    about_seeds = ABOUT_SEEDS if "seeds_low" in table else ABOUT_IMAGES
    against: list[str] = []
    others: list[str] = []
    parts = (_chance, _classification, _pointing, _activation, _faithfulness, _calibration)
    groups = ["dataset", "split", "model"]
    several = [c for c in groups if c == "dataset" or table[c].nunique() > 1]
    alone = len(table[groups].drop_duplicates()) <= 1
    for _, rows in table.groupby(groups, sort=False):
        about = "" if alone else ", ".join(str(rows[c].iloc[0]) for c in several) + ": "
        if _mixed(rows):
            against.append(about + _MIXED)
            continue
        for part in (*parts, without_interval):
            for is_against, text in part(rows):
                (against if is_against else others).append(about + text)
        if rows["seed"].nunique() > 1 and about_seeds not in others:
            others.append(about_seeds)
    others.sort(key=lambda text: text == about_seeds)  # the key to the brackets comes last
    return against + others


_MIXED = (
    "Several runs have the same arm, penalty and seed, so they differ in something that the table "
    "does not say, such as the difficulty of the data. They are not averaged: evaluate them apart."
)
_SPOKEN_OF = ("auc", "ece", "logit-size", POINTING, PRECISION, "audc")


def _mixed(rows: pd.DataFrame) -> bool:
    """Whether two runs could be taken for one."""
    what = ["arm", "lambda1", "lambda2", "seed"]
    return bool(rows[[*what, "run_id"]].drop_duplicates().duplicated(what).any())


def _chance(rows: pd.DataFrame) -> Said:
    """What chance in training does alone: dense SoftCAM is the black box, trained once more."""
    parts: dict[str, list[str]] = {}
    differ = False
    auc, maps = values_of(rows, "auc"), map_values(rows, POINTING)
    for what, values, own, method in (
        ("pointing accuracy", maps, "softcam", "grad-cam"),
        ("AUC", auc, "-", "-"),
    ):
        dense = next((v for v in values if (v.arm, v.method) == ("dense", own)), None)
        box = next((v for v in values if (v.arm, v.method) == ("black-box", method)), None)
        if dense is None or box is None or not dense.over(box).by_seed:
            continue
        v, base = dense.over(box), box.over(dense)
        apart = max(abs(each[0] - base.by_seed[seed][0]) for seed, each in v.by_seed.items())
        differ = differ or apart > 0
        up_to = "up to " if len(v.by_seed) > 1 else ""
        text = f"{up_to}{apart:.3f} apart in {what} ({v} and {base})"
        parts.setdefault(with_seeds(v), []).append(text)
    if not differ:
        return []
    text = (
        "dense SoftCAM is the same function as the black box and has no penalty, so a difference "
        "between the two is chance in training, where rounding errors grow: "
        f"{'; '.join(f'{seeds} they are {listed(each)}' for seeds, each in parts.items())}. "
        "Smaller differences between arms say nothing by themselves."
    )
    return [(True, sentence(text))]


def _classification(rows: pd.DataFrame) -> Said:
    """Which arm classifies best, and which are as good within the interval."""
    values = certain(values_of(rows, "auc"))
    values = [v for v in values if v.arm != "converted"]  # the black box over again
    box = next((v for v in values if v.arm == "black-box"), None)
    if box:  # `_chance` has compared the two
        values = [v for v in values if v.arm != "dense" or not v.over(box).by_seed]
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
        text += f" Within its interval: {listed([v.name for v in as_good])}."
    if worse:
        text += f" Below it: {listed(worse)}."
    no_win = any(v.arm == "black-box" for v in (best, *as_good)) and len(values) > 1
    fewer = [fewer_seeds(v, box) for v in values if len(v.by_seed) < seeds]
    return [(no_win, sentence(text)), *merged(fewer)]


def _pointing(rows: pd.DataFrame) -> Said:
    """Does the map point at the finding: against its floor, its ceiling, and Grad-CAM."""
    said: Said = []
    items = []
    values = certain(map_values(rows, POINTING))
    for v in values:
        own = rows_of_seeds(rows, v)
        floor = best_floor(own, POINTING)
        ceiling = ceiling_above(own, POINTING, floor)
        share = f"{v.value / ceiling.value:.0%}" if ceiling else ""
        if floor and not (v.low > floor.value and v.above(floor) == len(v.by_seed)):
            of = f", {share} of the reference ceiling {ceiling.value:.2f}" if ceiling else ""
            text = (
                f"{v.name} points at the finding in a share of {v} of the images{of}; not more "
                f"often, within the interval, than the best floor, {floor.name} "
                f"({floor.value:.2f})."
            )
            said.append((True, sentence(text)))
            continue
        than = f" more often than the best floor, {floor.name} ({floor.value:.2f})" if floor else ""
        of = f", in round brackets of the reference ceiling {ceiling.value:.2f}" if ceiling else ""
        head = f"these maps point at the finding{than}; shares of the images{of}"
        items.append(Item(False, head, f"{short_name(v)} {v}" + (f" ({share})" if share else "")))
    return said + _against_grad_cam(values, "pointing accuracy", higher=True) + merged(items)


def _activation(rows: pd.DataFrame) -> Said:
    """How much of the positive evidence lies in the finding, against chance."""
    said: Said = []
    items = []
    values = certain(map_values(rows, PRECISION))
    for v in values:
        chance = reference(rows_of_seeds(rows, v), PRECISION, "chance")
        if chance is None:
            continue
        if v.low > chance.value:
            head = (
                f"of the positive evidence, more lies in the marked finding than by chance "
                f"({chance.value:.2f})"
            )
            items.append(Item(False, head, f"{short_name(v)} {v}"))
            continue
        text = f"of the positive evidence of {v.name}, a share of {v} lies in the marked finding"
        if v.high < chance.value:
            text += (
                f", below chance ({chance.value:.2f}): the model reads something else than the "
                "marked findings; what is not established."
            )
        else:
            text += f"; chance is {chance.value:.2f}, inside the interval."
        said.append((True, sentence(text)))
    return said + _against_grad_cam(values, "activation precision", higher=True) + merged(items)


def _faithfulness(rows: pd.DataFrame) -> Said:
    """Deletion on each model, against a random order of patches on the same model."""
    values = certain(map_values(rows, "audc"))
    random = {(v.arm, v.weights): v for v in values_of(rows[rows["method"] == "random"], "audc")}
    if values and all(v.low >= _SATURATED for v in values):
        text = (
            f"hiding patches changes almost no prediction (area under the deletion curve at least "
            f"{min(v.low for v in values):.2f} for every map), so deletion says nothing here about "
            "which map is faithful."
        )
        return [(True, sentence(text))]
    items = []
    for v in values:
        # A converted black box is the black box, and so is its random order.
        floor = random.get(("black-box" if v.arm == "converted" else v.arm, v.weights))
        if floor is None:
            continue
        faithful = v.high < floor.value and floor.over(v).above(v) == len(v.by_seed)
        head = (
            "when the patches that a map ranks first are hidden, the prediction "
            f"{'falls faster' if faithful else 'does not clearly fall faster'} than with random "
            "patches on the same model (areas under the deletion curve, random in round brackets)"
        )
        items.append(Item(not faithful, head, f"{short_name(v)} {v} ({floor.value:.2f})"))
    compared = _against_grad_cam(
        values, "area under the deletion curve (lower is better)", higher=False
    )
    if compared:
        note = "areas under deletion curves of different networks compare networks as well as maps."
        compared.append((False, sentence(note)))
    return merged(items) + compared


def _calibration(rows: pd.DataFrame) -> Said:
    """What the penalty costs: calibration and the size of the logits beside the black box's."""
    sizes = {v.name: v for v in values_of(rows, "logit-size")}
    errors = {v.name: v for v in certain(values_of(rows, "ece"))}
    base_size, base_error = (e.get("the black box") for e in (sizes, errors))
    if base_size is None or base_error is None:
        return []
    verdicts: dict[str, list[str]] = {_WORSE: [], _NOT_WORSE: [], _SAME: []}
    for name, error in errors.items():
        base = base_error.over(error)
        if error.arm in ("black-box", "converted") or name not in sizes or not base.by_seed:
            continue
        text = f"{short_name(error)} {error} ({sizes[name].value:.2f})"
        if len(base.by_seed) < len(base_error.by_seed):
            size = base_size.over(error).value
            text += f" {with_seeds(base)}, where the black box has {base} ({size:.2f})"
        worse = _WORSE if error.low > base.high else _NOT_WORSE
        verdicts[_SAME if error.arm == "dense" else worse].append(text)
    found = [f"{verdict}, {listed(texts)}" for verdict, texts in verdicts.items() if texts]
    text = (
        "the calibration error (and the mean |logit|) beside the black box's "
        f"{base_error} ({base_size.value:.2f}): {'; '.join(found)}."
    )
    return [(bool(verdicts[_WORSE]), sentence(text))] if found else []


_WORSE, _NOT_WORSE = "clearly worse", "not clearly worse"
_SAME = "the same function as the black box"


def _against_grad_cam(values: list[SeedValue], what: str, higher: bool) -> Said:
    """Trained SoftCAMs against Grad-CAM on the black box, over the seeds that both have."""
    baseline = next((v for v in values if (v.arm, v.method) == ("black-box", "grad-cam")), None)
    found: dict[tuple[str, str], list[str]] = {}
    for own in values if baseline else []:
        assert baseline is not None
        # The map of `converted` is Grad-CAM's; `dense` is compared in `_chance`.
        if own.method != "softcam" or own.arm in ("converted", "dense"):
            continue
        v, base = own.over(baseline), baseline.over(own)
        if not v.by_seed or not (v.has_interval and base.has_interval):
            continue
        seeds = len(v.by_seed)
        ahead = v.above(base) if higher else base.above(v)
        better = ahead == seeds and (v.low > base.high if higher else v.high < base.low)
        worse = ahead == 0 and (v.high < base.low if higher else v.low > base.high)
        verdict = "better than" if better else "worse than" if worse else _NO_DIFFERENCE
        fewer = f" {with_seeds(v)}" if seeds < len(baseline.by_seed) else ""
        others = found.setdefault((verdict, f"{base.name}{fewer} ({base})"), [])
        in_seeds = f"{ahead} of {seeds}" if others else f"ahead in {ahead} of {seeds} seeds"
        count = f" ({in_seeds})" if seeds > 1 else ""
        others.append(f"{short_name(v)} {mean_of(v)}{count}")
    return [
        (verdict != "better than", f"In {what}, {verdict} {than}: {listed(texts)}.")
        for verdict in ("worse than", _NO_DIFFERENCE, "better than")
        for (own_verdict, than), texts in found.items()
        if own_verdict == verdict
    ]


_NO_DIFFERENCE = "not clearly different from"
