"""One answer a rival: paired by image, pooled over seeds, Holm's correction over the rivals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from softcam.claims.power import standard_error
from softcam.claims.records import POST_HOC, Claim, Side
from softcam.common import SoftCAMError
from softcam.explainers import Explainer, explainers
from softcam.metrics import holm
from softcam.significance import significance

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ORDER", "Answer", "Word", "answer_of", "answers", "endpoint_rows", "rival_name",
           "rivals_of"]  # fmt: skip

Word = Literal["better", "worse", "draw", "open"]
ORDER: tuple[Word, ...] = ("worse", "draw", "open", "better")


@dataclass(frozen=True)
class Answer:
    """Side a minus one rival on the endpoint; positive is for side a.

    Attributes:
        dataset, rival: against which method or arm, on which data.
        metric: the endpoint.
        difference, low, high: pooled over seeds, with its 95 % interval.
        p: with Holm's correction over the rivals.
        n: images that both have, all seeds together.
        answer: `draw`: the interval lies within the smallest effect; `better`, `worse`: the
            interval does not hold 0 and p is at most alpha; else `open`.
        seeds: the seed, or `pooled`.
        reason: why there is no interval, or no p; empty if there are both.
    """

    dataset: str
    rival: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    n: int
    answer: Word
    seeds: str = "pooled"
    reason: str = ""

    @property
    def error(self) -> float:
        """The standard error of the paired difference, NaN where it has no interval."""
        return standard_error(self.low, self.high)


def answers(
    claim: Claim, table: pd.DataFrame, per_image: pd.DataFrame, **options: Any
) -> list[Answer]:
    """The comparisons of a claim, one a data set and rival.

    Args:
        claim: what is asked. Its data sets and its task are not looked at: give the rows.
        table, per_image: of one evaluation.
        options: of `significance` (`n_boot`, `n_draws`, `seed`).

    Returns:
        Answers, those against side a first. Of `post-hoc`, experimental methods and controls are
        left out; a rival that was not measured has no answer.

    Raises:
        SoftCAMError: nothing of side a, several architectures, findings, steps or weights.
    """
    rows = endpoint_rows(claim, table)
    own = _of_side(rows, claim.a.arm, claim.a.methods[0])
    _check_one(claim, rows, own)
    kept = per_image["metric"].isin([claim.endpoint.metric, "label", "logit"])
    images = per_image[(kept & per_image["run_id"].isin(rows["run_id"].unique())).to_numpy()]
    found: list[Answer] = []
    for dataset, mine in own.groupby("dataset", sort=False):
        here = rows[rows["dataset"] == dataset]
        pairs = [
            (name, _pair(claim, mine, _of_side(here, arm, method), images, options))
            for name, arm, method in rivals_of(claim, here)
        ]
        compared = [(name, row) for name, row in pairs if row is not None]
        corrected = holm(np.array([row["p"] for _, row in compared], np.float64))
        found += [
            answer_of(claim, str(dataset), name, row, float(p))
            for (name, row), p in zip(compared, corrected, strict=True)
        ]
    return sorted(found, key=lambda each: ORDER.index(each.answer))


def endpoint_rows(claim: Claim, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the results that measure the endpoint, on any side."""
    asked = claim.endpoint
    rows = table[(table["metric"] == asked.metric) & (table["n"] > 0)]
    rows = rows[rows["protocol"].isin([asked.protocol, "-"]) & (rows["fill"] == asked.fill)]
    if asked.gauge == "raw":
        rows = rows[rows["gauge"].isin(["raw", "-"])]
    if asked.step != "-":
        rows = rows[rows["step"].astype(str) == asked.step]
    return rows if claim.model == "-" else rows[rows["model"] == claim.model]


def rivals_of(claim: Claim, rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """(name, arm, method) of each rival that the claim names and these rows hold, or could."""
    found = []
    for side in claim.b:
        here = rows[rows["arm"] == side.arm]["method"].unique()
        for method in side.methods:
            names = [m for m in here if _is_post_hoc(m)] if method == POST_HOC else [method]
            found += [(rival_name(side, name), side.arm, name) for name in names]
    return found


def rival_name(side: Side, method: str) -> str:
    """A method by itself; the model, or its own map, by its arm."""
    return side.arm if method in ("-", "softcam") else method


def answer_of(claim: Claim, dataset: str, rival: str, row: dict[str, Any], p: float) -> Answer:
    """One row of `significance` in words.

    Args:
        row: with `direction`, `difference`, `ci_low`, `ci_high`, `n`, `seed` and `reason`.
        p: corrected.
    """
    sign = -1.0 if row["direction"] == "lower" else 1.0
    low, high = sorted((sign * float(row["ci_low"]), sign * float(row["ci_high"])))
    word: Word = "open"
    if -claim.smallest_effect <= low and high <= claim.smallest_effect:
        word = "draw"
    elif p <= claim.alpha and (low > 0 or high < 0):
        word = "better" if low > 0 else "worse"
    return Answer(
        dataset, rival, claim.endpoint.metric, sign * float(row["difference"]), low, high, p,
        int(row["n"]), word, str(row["seed"]), str(row["reason"]),
    )  # fmt: skip


def _check_one(claim: Claim, rows: pd.DataFrame, own: pd.DataFrame) -> None:
    """A claim is about one number of one network."""
    metric, names = claim.endpoint.metric, sorted(rows["model"].unique())
    if own.empty or len(names) > 1:
        raise SoftCAMError(
            f"claims about {metric!r} need {_whose(claim.a)} of the arm {claim.a.arm!r} of one "
            f"model, found {len(own)} rows of {', '.join(names) or 'no model'}: evaluate them, or "
            "name `model`."
        )
    if (own["task"] == "multi-label").any() and own["target"].nunique() > 1:
        raise SoftCAMError(
            f"a primary endpoint is one number, and {metric!r} has one for each of the findings "
            f"{', '.join(sorted(own['target'].unique()))}: give the rows of one of them, "
            "table[table['target'] == 'class:0']."
        )
    steps = sorted(own["step"].astype(str).unique())
    if len(steps) > 1:
        raise SoftCAMError(
            f"a primary endpoint is one number, and {metric!r} has {len(steps)}: choose a measure "
            "without steps, or name the `step`."
        )


def _whose(side: Side) -> str:
    return "predictions" if side.methods[0] == "-" else f"the {side.methods[0]} maps"


def _of_side(rows: pd.DataFrame, arm: str, method: str) -> pd.DataFrame:
    return rows[(rows["arm"] == arm) & (rows["method"] == method)]


def _is_post_hoc(name: str) -> bool:
    known: dict[str, Explainer] = explainers()
    method = known.get(name)
    return method is not None and not method.experimental and method.needs in ("features", "images")


def _pair(
    claim: Claim, mine: pd.DataFrame, theirs: pd.DataFrame, images: pd.DataFrame, options: Any
) -> dict[str, Any] | None:
    """The pooled comparison of two sides; None where no seed or image is shared."""
    import pandas as pd

    if theirs.empty:
        return None
    both = pd.concat([mine, theirs])
    arm, method = theirs["arm"].iloc[0], theirs["method"].iloc[0]
    at_home = claim.endpoint.occluded == "own"
    rows = significance(
        both, images, reference={"arm": arm, "method": method}, metrics=[claim.endpoint.metric],
        steps=[str(mine["step"].iloc[0])], seeds="pooled",
        occluded="own" if at_home else "same", **options,
    )  # fmt: skip
    if not at_home:
        rows = rows[rows["occluded"] == claim.endpoint.occluded]
    if len(rows) > 1:
        raise SoftCAMError(
            f"{claim.a} has {len(rows)} comparisons with {arm}: {method} where one is expected "
            f"(seeds {', '.join(rows['seed'].astype(str))}, lambda1 "
            f"{', '.join(rows['lambda1'].astype(str).unique())}): give the chosen runs alone."
        )
    return None if rows.empty else {str(k): v for k, v in rows.iloc[0].items()}
