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
    "Item", "Said", "best_floor", "listed", "map_values", "mean_of", "merged", "name_of",
    "fewer_seeds", "on_own_model", "reference", "rows_of_seeds", "sentence", "short_name",
    "values_of", "with_seeds",
]  # fmt: skip

Said = list[tuple[bool, str]]  # whether it speaks against SoftCAM, and the sentence

_FLOORS = ("chance", "centre", "random")
_MAP_OF = "the evidence map of "
_NAMES = {
    "black-box": "the black box",
    "converted": "the converted black box",
    "logit-control": "the logit control",
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
