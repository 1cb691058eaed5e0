"""The one question that was asked beforehand: does an arm's own map beat each post-hoc map?

Primary endpoint, smallest effect and sides are written down before the test images are read
(`tools/studies/`). Then there is one comparison a rival, paired by image and pooled over seeds,
with Holm's correction over the rivals, and one of four answers each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from softcam.common import SoftCAMError
from softcam.explainers import Explainer, explainers
from softcam.metrics import holm
from softcam.significance import significance

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Claim", "claims", "claims_in_words"]

Answer = Literal["better", "worse", "draw", "open"]
LEVEL = 0.05


@dataclass(frozen=True)
class Claim:
    """SoftCAM minus one rival on the primary endpoint; positive is for SoftCAM.

    Attributes:
        dataset, rival: against which method, on which data.
        metric: the endpoint.
        difference, low, high: pooled over seeds, with its 95 % interval.
        p: with Holm's correction over the rivals.
        n: images that both have, all seeds together.
        answer: `draw`: the interval lies within the smallest effect; `better`, `worse`: the
            interval does not hold 0 and p is at most 0.05; else `open`.
    """

    dataset: str
    rival: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    n: int
    answer: Answer


def claims(
    table: pd.DataFrame,
    per_image: pd.DataFrame,
    *,
    metric: str,
    effect: float,
    arm: str = "sparse",
    against: str = "black-box",
    model: str | None = None,
    **options: Any,
) -> list[Claim]:
    """The comparisons of a study, one a data set and rival.

    Args:
        table, per_image: of one evaluation.
        metric: primary endpoint, a measure on maps with a value an image and a direction.
        effect: the smallest difference of interest, > 0, in the endpoint's unit.
        arm: whose own map (`softcam`) is a.
        against: the arm whose network the post-hoc methods explain.
        model: the architecture on both sides; None allows one only.
        options: of `significance` (`n_boot`, `n_draws`, `seed`).

    Returns:
        Claims, those against SoftCAM first. Experimental methods and controls are left out.

    Raises:
        SoftCAMError: no map of one side, several architectures, or no positive effect.
    """
    if not effect > 0:
        raise SoftCAMError(f"the smallest effect of interest must be > 0, found {effect}.")
    rows = table[(table["metric"] == metric) & (table["n"] > 0)]
    rows = rows[rows["model"] == model] if model else rows
    names = sorted(rows["model"].unique())
    own = rows[(rows["arm"] == arm) & (rows["method"] == "softcam")]
    if own.empty or len(names) > 1:
        raise SoftCAMError(
            f"claims about {metric!r} need the softcam maps of the arm {arm!r} of one model, found "
            f"{len(own)} rows of {', '.join(names) or 'no model'}: evaluate them, or name `model`."
        )
    if (own["task"] == "multi-label").any() and own["target"].nunique() > 1:
        raise SoftCAMError(
            f"a primary endpoint is one number, and {metric!r} has one for each of the findings "
            f"{', '.join(sorted(own['target'].unique()))}: give the rows of one of them, "
            "table[table['target'] == 'class:0']."
        )
    found: list[Claim] = []
    for dataset, mine in own.groupby("dataset", sort=False):
        boxes = rows[(rows["arm"] == against) & (rows["dataset"] == dataset)]
        rivals = [name for name in boxes["method"].unique() if _is_rival(name)]
        pairs = [
            _pair(mine, boxes[boxes["method"] == each], per_image, metric, options)
            for each in rivals
        ]
        kept = [(each, row) for each, row in zip(rivals, pairs, strict=True) if row is not None]
        corrected = holm(np.array([row["p"] for _, row in kept], np.float64))
        found += [
            _claim(str(dataset), rival, metric, row, float(p), effect)
            for (rival, row), p in zip(kept, corrected, strict=True)
        ]
    return sorted(found, key=lambda claim: _ORDER.index(claim.answer))


_ORDER: tuple[Answer, ...] = ("worse", "draw", "open", "better")


def claims_in_words(found: Sequence[Claim], effect: float) -> list[str]:
    """A sentence for each data set and answer, those in which SoftCAM does not win first."""
    said = {
        "worse": "SoftCAM's map is worse than {}",
        "draw": f"SoftCAM's map differs by less than {effect:g}, which is a draw, from {{}}",
        "open": "undecided between SoftCAM's map and {}",
        "better": "SoftCAM's map is better than {}",
    }
    groups: dict[tuple[str, str], list[str]] = {}
    for claim in found:
        groups.setdefault((claim.answer, claim.dataset), []).append(_told(claim))
    return [
        f"{dataset}, {found[0].metric}: {said[answer].format('; '.join(each))}."
        for (answer, dataset), each in groups.items()
    ]


def _is_rival(name: str) -> bool:
    known: dict[str, Explainer] = explainers()
    method = known.get(name)
    return method is not None and not method.experimental and method.needs in ("features", "images")


def _pair(
    mine: pd.DataFrame, theirs: pd.DataFrame, per_image: pd.DataFrame, metric: str, options: Any
) -> dict[str, Any] | None:
    """The pooled comparison of two sides; None where no seed or image is shared."""
    import pandas as pd

    both = pd.concat([mine, theirs])
    reference = {"arm": theirs["arm"].iloc[0], "method": theirs["method"].iloc[0]}
    images = per_image[(per_image["metric"] == metric) & per_image["run_id"].isin(both["run_id"])]
    steps = sorted(mine["step"].astype(str).unique())
    if len(steps) > 1:
        raise SoftCAMError(
            f"a primary endpoint is one number, and {metric!r} has {len(steps)}: choose a measure "
            "without steps."
        )
    rows = significance(
        both, images, reference=reference, metrics=[metric], steps=steps, seeds="pooled", **options
    )
    return None if rows.empty else {str(k): v for k, v in rows.iloc[0].items()}


def _claim(
    dataset: str, rival: str, metric: str, row: dict[str, Any], p: float, effect: float
) -> Claim:
    sign = -1.0 if row["direction"] == "lower" else 1.0
    low, high = sorted((sign * float(row["ci_low"]), sign * float(row["ci_high"])))
    answer: Answer = "open"
    if -effect <= low and high <= effect:
        answer = "draw"
    elif p <= LEVEL and (low > 0 or high < 0):
        answer = "better" if low > 0 else "worse"
    value = sign * float(row["difference"])
    return Claim(dataset, rival, metric, value, low, high, p, int(row["n"]), answer)


def _told(claim: Claim) -> str:
    return (
        f"{claim.rival} ({claim.difference:+.3f} [{claim.low:+.3f}, {claim.high:+.3f}], "
        f"p {claim.p:.3f}, {claim.n} images)"
    )
