"""Many paired comparisons in one table, with p-values corrected for their number.

Two questions are ready: `against_controls`, does a map that knows nothing of the model score as
well, and `against_black_box`, is a trained SoftCAM better than the black box of its seed. Like is
compared with like: the same measure, protocol, fill, step and target, on the same images.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from softcam.common import SoftCAMError, choose
from softcam.compare import PerImage, verdict
from softcam.metrics import Interval, Permutation, holm, measures
from softcam.paired import Comparison, Draws
from softcam.results import KEYS
from softcam.seeds import SEEDS_OF

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "CONTROLS", "against_black_box", "against_controls", "significance"]

log = logging.getLogger(__name__)
CONTROLS = ("random", "centre", "edge")
YARDSTICKS = (*CONTROLS, "chance", "reference-ceiling", "true-mask")
WHAT = ["metric", "protocol", "fill", "step", "target", "finding", "interpolation", "threshold"]
COLUMNS = (
    "dataset", "split", "model", "metric", "protocol", "fill", "step", "target", "arm", "lambda1",
    "lambda2", "method", "gauge", "seed", "occluded", "b_arm", "b_method", "b_gauge", "direction",
    "n", "difference", "ci_low", "ci_high", "ci_kind", "p", "p_kind", "p_holm", "better", "reason",
)  # fmt: skip
_STATISTICS = ("n", "ci_low", "ci_high", "ci_kind")  # of the table, not of the difference
_KINDS = ("classification", "map", "labelled", "occlusion")
Seeds = Literal["each", "pooled", "both"]
Occluded = Literal["own", "same"]


def significance(
    table: pd.DataFrame,
    per_image: pd.DataFrame,
    *,
    reference: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] = "black-box",
    metrics: Collection[str] | None = None,
    steps: Collection[str] = ("10",),
    seeds: Seeds = "both",
    occluded: Occluded = "own",
    alpha: float = 0.05,
    n_boot: int = 1000,
    n_draws: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Paired comparisons a - b, one a row; b is the reference.

    Args:
        table, per_image: of one evaluation, or `results.read_results`.
        reference: `"black-box"`: each trained SoftCAM against the black box of its seed, the maps
            against Grad-CAM on it. Or columns and values that choose b, such as
            `{"method": "random"}`: then everything is a, each against b of its own run; with
            `arm` or `run_id` among the columns, against the run of the same data, model and seed.
            Several of them make one table.
        metrics: names of measures; None takes all on images. Those without a value an image,
            besides AUC, kappa and calibration error, cannot be compared.
        steps: of measures on maps with several steps, those to compare. Of curves under
            occlusion the area is compared, unless `metrics` names the curve.
        seeds: `each` seed by itself, `pooled` over the seeds of an arm where there are several,
            or `both`.
        occluded: `own`: each map on its own model. `same`: a and b on the same occluded model,
            for crossed tables; pooled where the model has the seed of the map.
        alpha: level of the verdict.
        n_boot, n_draws, seed: of intervals and permutation tests.

    Returns:
        `COLUMNS`. `seed` is the seed or `pooled`, `occluded` is `-`, `own` or the arm. Of a
        multi-label set, `target` is `class:N` for finding N and `-` for their mean. `p_holm`
        is corrected over all rows. `better` is `a` or `b` where `p_holm` is at most alpha and
        the interval does not hold 0, else `neither`. Over seeds the interval draws the seeds
        too; the p-value is about the trained networks. Only maps in the contrast, or the gauge
        the method has, are compared.

    Raises:
        UnknownNameError: an unknown measure or option.
    """
    import pandas as pd

    choose("seeds", seeds, ("each", "pooled", "both"))
    choose("occluded", occluded, ("own", "same"))
    rows = _wanted(table, metrics, steps, occluded)
    pairs = pd.concat([_pairs(rows, each, occluded) for each in _references(reference)])
    images = PerImage(per_image, set(pairs["metric"]))
    jobs = {i: job for i, job in enumerate(_comparisons(pairs, seeds)) if job.load(images)}
    place = {id(job): i for i, job in jobs.items()}
    found = [
        (place[id(job)], _row(job, interval, test))
        for job, interval, test in Draws(n_boot, n_draws, seed).test(jobs.values())
    ]
    ordered = [row for _, row in sorted(found, key=lambda each: each[0])]
    out = pd.DataFrame(ordered, columns=list(COLUMNS))
    out["p_holm"] = holm(out["p"].to_numpy(dtype=np.float64))
    if len(out) > alpha * (n_draws + 1):
        log.warning(
            "%d comparisons and %d draws: no corrected p-value can be as small as %g; "
            "raise n_draws, or name fewer metrics", len(out), n_draws, alpha,
        )  # fmt: skip
    clear = (out["p_holm"] <= alpha).to_numpy()
    bounds = zip(out["ci_low"], out["ci_high"], out["direction"], clear, strict=True)
    verdicts = [verdict(*each) if sure else "neither" for *each, sure in bounds]
    return out.assign(better=verdicts)


def against_controls(
    table: pd.DataFrame,
    per_image: pd.DataFrame,
    *,
    controls: Sequence[str] = CONTROLS,
    **options: Any,
) -> pd.DataFrame:
    """Does a random, a centre or an edge map score as well? Each method minus each control.

    Options of `significance`. A control that was not measured has no rows.
    """
    return significance(table, per_image, reference=[{"method": c} for c in controls], **options)


def against_black_box(table: pd.DataFrame, per_image: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Each trained SoftCAM minus the black box of its seed; maps against Grad-CAM on it."""
    return significance(table, per_image, reference="black-box", **options)


def _references(reference: Any) -> list[dict[str, Any]]:
    if isinstance(reference, str):
        choose("reference", reference, ("black-box",))
        return [{"arm": "black-box", "method": "grad-cam", "trained": True}]
    found = [reference] if isinstance(reference, Mapping) else list(reference)
    for each in found:
        for column in each:
            choose("column", column, KEYS)
    if not found or not all(found):
        raise SoftCAMError("a reference is at least one column with a value, found none.")
    return [dict(each) for each in found]


def _wanted(
    table: pd.DataFrame,
    metrics: Collection[str] | None,
    steps: Collection[str],
    occluded: Occluded,
) -> pd.DataFrame:
    """The rows that may be compared, in the gauge that no zero can change where there is one."""
    both = (*measures(), *measures(protocol="paper"))
    testable = [m for m in both if m.direction != "none" and m.joint == "-"]
    kinds = {f"{m.name} {m.protocol}": str(m.kind) for m in testable}
    rows = table[(table["n"] > 0) & (table["method"] != "true-mask")]
    protocols = rows["protocol"].replace("-", "corrected")
    kind = (rows["metric"] + " " + protocols).map(kinds)
    step = rows["step"].astype(str)
    if metrics is None:
        asked = kind.isin(_KINDS) & ((step == "-") | ((kind == "map") & step.isin(list(steps))))
    else:
        known = {*table["metric"], *(each.name for each in both)}
        names = [choose("measure", name, known) for name in metrics]
        asked = rows["metric"].isin(names) & ((step == "-") | step.isin(list(steps)))
    rows = rows[asked]
    own = (rows["occluded_run"] == "-") | (rows["occluded_run"] == rows["run_id"])
    if occluded == "own":
        rows = rows[own]
        whose = rows["occluded_run"].where(rows["occluded_run"] == "-", "own")
        return _default_gauge(rows.assign(occluded=whose, occluded_seed="-"))
    runs = table.drop_duplicates("run_id").set_index("run_id")
    whose = rows["occluded_run"].map(runs["arm"]).fillna("-")
    home = rows["occluded_run"].map(runs["seed"])
    return _default_gauge(rows.assign(occluded=whose, occluded_seed=home))


def _default_gauge(rows: pd.DataFrame) -> pd.DataFrame:
    whose = ["run_id", "arm", "method"]
    rank = rows["gauge"].map({"contrast": 0, "raw": 1, "-": 2}).fillna(3)
    best = rank.groupby([rows[c] for c in whose], sort=False).transform("min")
    return rows[rank == best]


def _pairs(rows: pd.DataFrame, reference: dict[str, Any], occluded: Occluded) -> pd.DataFrame:
    """Each row beside its reference; the columns of b end in `_b`."""
    import pandas as pd

    trained = reference.pop("trained", False)
    elsewhere = "arm" in reference or "run_id" in reference
    chosen = np.ones(len(rows), bool)
    for column, value in reference.items():
        same = rows[column].astype(str) == str(value)
        if column in ("method", "gauge") and elsewhere:
            same |= rows["method"] == "-"  # the models themselves
        chosen &= same.to_numpy()
    first, second = rows[~chosen & ~rows["method"].isin(YARDSTICKS).to_numpy()], rows[chosen]
    if trained:
        first = first[~first["arm"].isin(["black-box", "converted"])]
        first = first[first["method"].isin(["softcam", "-"])]
    on = [*WHAT, "dataset", "split", "occluded"]
    if elsewhere:
        on += ["model"] if "run_id" in reference else ["model", "seed"]
    else:
        on += ["run_id", "arm"]
    if occluded == "same":
        on.append("occluded_run")
    beside = second.add_suffix("_b").assign(**{c: second[c] for c in on})
    if not elsewhere:  # a black box's controls are the converted one's too
        boxes = beside[beside["arm"] == "black-box"]
        beside = pd.concat([beside, boxes.assign(arm="converted")])
    merged = first.merge(beside, on=on)
    whose = ["run_id", "arm", "method", "gauge", "occluded_run", *WHAT]
    return merged[~merged.duplicated(whose, keep=False)]  # two partners: none


def _comparisons(pairs: pd.DataFrame, seeds: Seeds) -> list[Comparison]:
    """Seed by seed and pooled, in the order of the pairs."""
    found = []
    what = [*SEEDS_OF, "method", "gauge", "arm_b", "method_b", "gauge_b", "occluded", *WHAT]
    for _, rows in pairs.groupby(what, sort=False):
        records = _records(rows)
        if seeds != "pooled" or len(records) == 1:
            found += [Comparison([each], str(each["seed"])) for each in records]
        at_home = rows[(rows["occluded"] == "-") | (rows["occluded"] == "own") | _own_seed(rows)]
        if seeds != "each" and len(at_home) > 1 and not at_home["seed"].duplicated().any():
            found.append(Comparison(_records(at_home), "pooled"))
        elif seeds == "pooled" and len(records) > 1:  # runs that cannot be pooled
            found += [Comparison([each], str(each["seed"])) for each in records]
    return found


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in each.items()} for each in rows.to_dict("records")]


def _own_seed(rows: pd.DataFrame) -> pd.Series:
    return rows["occluded_seed"].astype(str) == rows["seed"].astype(str)


def _row(job: Comparison, interval: Interval, test: Permutation) -> dict[str, Any]:
    first = job.pairs[0]
    value, low, high = (float(np.squeeze(each)) for each in interval)
    reason = "; ".join(dict.fromkeys(r for r in (interval.reason, test.reason) if r))
    return {
        **{c: first[c] for c in COLUMNS if c in first and c not in _STATISTICS},
        "seed": job.seed, "b_arm": first["arm_b"], "b_method": first["method_b"],
        "b_gauge": first["gauge_b"], "n": int(test.n), "difference": value, "ci_low": low,
        "ci_high": high, "ci_kind": interval.kind, "p": float(test.p), "p_kind": test.kind,
        "reason": reason,
    }  # fmt: skip
