"""What `reading` speaks of and how: values taken from the table, names, and merged sentences.

Nothing here judges a number. That is done in `reading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from softcam.seeds import SeedValue

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ABOUT_IMAGES", "ABOUT_SEEDS", "POINTING", "PRECISION", "Item", "Said", "best_floor",
    "ceiling_above", "certain", "fewer_seeds", "listed", "map_values", "mean_of",
    "merged", "name_of", "on_own_model", "reference",
    "rows_of_seeds", "sentence", "short_name", "values_of", "with_seeds", "without_interval",
]  # fmt: skip

Said = list[tuple[bool, str]]  # whether it speaks against SoftCAM, and the sentence

POINTING, PRECISION = "pointing-accuracy", "activation-precision"
ABOUT_SEEDS = (
    "In square brackets: the 95 % interval of the mean, over seeds and test images (with few seeds "
    "it understates chance in training; of only some of an arm's seeds the mean of their "
    "intervals), and the smallest and largest value over seeds."
)
ABOUT_IMAGES = (
    "In square brackets: the 95 % interval over test images (the mean of the intervals of the "
    "seeds), and the smallest and largest value over seeds."
)
_FLOORS = ("chance", "centre", "random")
_MAP_OF = "the evidence map of "
_NAMES = {
    "black-box": "the black box",
    "converted": "the converted black box",
    "logit-control": "the logit control",
    "hoyer": "Hoyer SoftCAM",
    "random": "a random map",
    "centre": "a map of the image centre",
    "chance": "chance (the area of the finding)",
}


@dataclass(frozen=True)
class Item:
    """What is said of one arm or map, before those with the same verdict become one sentence.

    Attributes:
        against: whether it speaks against SoftCAM.
        head: the verdict, with what it is measured against; the sentence up to its colon.
        text: name and value.
    """

    against: bool
    head: str
    text: str


def merged(items: Sequence[Item]) -> Said:
    """One sentence a head, in the order in which the heads first appear."""
    heads = dict.fromkeys((item.against, item.head) for item in items)
    return [
        (against, sentence(f"{head}: {listed([i.text for i in items if i.head == head])}."))
        for against, head in heads
    ]


def name_of(arm: str, method: str) -> str:
    """A model, a map of it, or a floor, for people."""
    if method in _NAMES:
        return _NAMES[method]
    model = _NAMES.get(arm, f"{arm} SoftCAM")
    if method == "-":
        return model
    return _MAP_OF + model if method == "softcam" else f"{method} on {model}"


def short_name(value: SeedValue) -> str:
    """The name inside a list that says already that these are SoftCAMs or their maps."""
    return value.name.removeprefix(_MAP_OF).replace(" SoftCAM", "", 1)


def mean_of(value: SeedValue) -> str:
    """The value without its brackets, where another sentence has them."""
    return str(value).split(" [")[0]


def with_seeds(value: SeedValue) -> str:
    """`with seed 0` or `with seeds 0 and 1`."""
    seeds = list(value.by_seed)
    return f"with seed{'s' if len(seeds) > 1 else ''} {listed(seeds)}"


def fewer_seeds(v: SeedValue, box: SeedValue | None) -> Item:
    """An arm that was trained with some of the seeds, beside the black box on the same."""
    base = box.over(v) if box else None
    beside = f" (AUC of the black box with the same {base})" if base and base.by_seed else ""
    head = f"trained with fewer seeds, {listed(list(v.by_seed))}{beside}"
    return Item(False, head, f"{v.name}, AUC {v}")


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sentence(text: str) -> str:
    """With a capital letter, whatever the name that it begins with."""
    return text[0].upper() + text[1:]


def values_of(rows: pd.DataFrame, metric: str) -> list[SeedValue]:
    """One value an arm and method, in the order of the table; means over seeds.

    The bounds are those of `seeds.with_seed_intervals` where the table has them.
    """
    own = on_own_model(rows[(rows["metric"] == metric) & (rows["n"] > 0) & rows["value"].notna()])
    found = []
    weights = ["lambda1", "lambda2"]
    for key, group in own.groupby(["arm", "method", *weights], sort=False):
        arm, method, lambda1, lambda2 = map(str, key)
        name = name_of(arm, method)
        if len(own[own["arm"] == arm].drop_duplicates(weights)) > 1:  # a sweep of the penalty
            name += f" (lambda1 {float(lambda1):.2g}, lambda2 {float(lambda2):.2g})"
        columns = [group[c].astype(float) for c in ("value", "ci_low", "ci_high")]
        triples = zip(*columns, strict=True)
        by_seed = dict(zip(group["seed"].astype(str), triples, strict=True))
        bounds = None
        if "seeds_low" in group and len(group) > 1 and group["seeds_low"].notna().all():
            bounds = (float(group["seeds_low"].iloc[0]), float(group["seeds_high"].iloc[0]))
        found.append(SeedValue(name, arm, method, (lambda1, lambda2), by_seed, bounds))
    return found


def on_own_model(rows: pd.DataFrame) -> pd.DataFrame:
    """Each map on its own model, hidden in the mean colour; our protocol, where there are both."""
    if (rows["occluded_run"] != "-").any():
        rows = rows[(rows["occluded_run"] == rows["run_id"]) | (rows["occluded_run"] == "-")]
    for column, first in (("fill", "mean-colour"), ("protocol", "corrected")):
        if rows[column].nunique() > 1:
            rows = rows[rows[column] == first]
    return rows


def rows_of_seeds(rows: pd.DataFrame, value: SeedValue) -> pd.DataFrame:
    """The rows of the seeds that a value has."""
    return rows[rows["seed"].astype(str).isin(list(value.by_seed))]


def map_values(rows: pd.DataFrame, metric: str) -> list[SeedValue]:
    """The maps of real methods, in the gauge that no zero can change where there is one."""
    real = rows[rows["method"].isin(_map_methods(rows))]
    contrast = real[real["gauge"] == "contrast"]
    return values_of(contrast if len(contrast) else real[real["gauge"] == "raw"], metric)


def _map_methods(rows: pd.DataFrame) -> list[str]:
    """Not floors, ceilings or what is no map."""
    return [m for m in rows["method"].unique() if m not in ("-", "reference-ceiling", *_FLOORS)]


def reference(rows: pd.DataFrame, metric: str, method: str) -> SeedValue | None:
    """One floor or ceiling, of any arm: it hangs on the images and the size of the map alone."""
    own = rows[(rows["method"] == method) & (rows["metric"] == metric)]
    values = values_of(own.drop_duplicates("seed").assign(arm="-", lambda1=0, lambda2=0), metric)
    return values[0] if values else None


def best_floor(rows: pd.DataFrame, metric: str) -> SeedValue | None:
    """The best of the maps that know nothing."""
    floors = [f for f in (reference(rows, metric, name) for name in _FLOORS) if f]
    return max(floors, key=lambda f: f.value) if floors else None


def ceiling_above(rows: pd.DataFrame, metric: str, floor: SeedValue | None) -> SeedValue | None:
    """The reference ceiling; None where it leaves no room above the floor, so no share of it."""
    found = reference(rows, metric, "reference-ceiling")
    return found if found and found.value > max(0.0, floor.value if floor else 0.0) else None


def certain(values: Sequence[SeedValue]) -> list[SeedValue]:
    """Those with an interval, from which something may follow."""
    return [v for v in values if v.has_interval]


def without_interval(rows: pd.DataFrame) -> Said:
    """The values that have no interval, such as those of a single image: only listed."""
    items = []
    for what, metric, values in (
        ("the AUC", "auc", values_of(rows, "auc")),
        ("the calibration error", "ece", values_of(rows, "ece")),
        ("pointing accuracy", POINTING, map_values(rows, POINTING)),
        ("activation precision", PRECISION, map_values(rows, PRECISION)),
        ("the area under the deletion curve", "audc", map_values(rows, "audc")),
    ):
        own = rows[rows["metric"] == metric]
        for v in values:
            if not v.has_interval:
                n = own[(own["arm"] == v.arm) & (own["method"] == v.method)]["n"].max()
                one = " (1 image)" if n == 1 else ""
                head = f"{what} has no interval{one}, so nothing follows from these values"
                items.append(Item(False, head, f"{short_name(v)} {mean_of(v)}"))
    return merged(items)
