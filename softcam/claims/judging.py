"""A claim on each data set: holds, does not hold, undecided, or not testable here.

A claim about several rivals is true only if it is true of each (an intersection). It holds where
it is shown of each, and does not hold where the opposite is shown of one; a difference that is
shown to be smaller than the smallest effect of interest is no advantage. Source: Berger,
Technometrics 1982 (intersection-union tests); Schuirmann 1987 (two one-sided tests).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from softcam.claims.asking import Answer, answer_of, answers, endpoint_rows, rival_name
from softcam.claims.data import stands_for
from softcam.claims.power import detectable, power, smaller_than
from softcam.claims.records import POST_HOC, Claim
from softcam.metrics import holm

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEAST", "NO_RESULTS", "VERDICTS", "Verdict", "judge"]

Word = Literal["holds", "does not hold", "undecided", "not testable here"]
VERDICTS: tuple[Word, ...] = ("does not hold", "undecided", "holds", "not testable here")
NO_RESULTS = "no results on these data"
LEAST = 20  # images: with fewer the bootstrap does not know their spread
Number = tuple[float, str]  # its value, and where it is known from


@dataclass(frozen=True)
class Verdict:
    """One claim on one data set, network and target.

    Attributes:
        claim: what was asked.
        dataset, task, model, target: of what; `-` where there are no such results.
        verdict: one of `VERDICTS`.
        reason: what it rests on, in words.
        answers: one a rival.
        deciding: the rival that the claim is true of least; None without answers.
    """

    claim: Claim
    dataset: str
    task: str
    model: str
    target: str
    verdict: Word
    reason: str
    answers: Sequence[Answer] = ()
    deciding: Answer | None = None

    @property
    def stands_for(self) -> str:
        """Whose data these are; a verdict on substitutes says nothing of the paper's data."""
        return stands_for(self.dataset)

    @property
    def power(self) -> float:
        """The chance to show the claim of the deciding rival alone, at Holm's first step.

        0 where a rival has fewer than `LEAST` images: nothing is concluded from so few. The chance
        to show the claim of every rival at once is smaller.
        """
        if self.deciding is None:
            return math.nan
        if _too_few(self.answers):
            return 0.0
        level = self.claim.alpha / len(self.answers)
        effect = self.claim.smallest_effect
        return power(self.deciding.error, effect, level, self.claim.alternative)

    @property
    def detectable(self) -> float:
        """The difference from the deciding rival that would be shown with a chance of 80 %.

        NaN where a rival has fewer than `LEAST` images: no difference would be shown.
        """
        if self.deciding is None or _too_few(self.answers):
            return math.nan
        return detectable(self.deciding.error, self.claim.alpha / len(self.answers))


def judge(
    claim: Claim,
    table: pd.DataFrame,
    per_image: pd.DataFrame,
    *,
    numbers: Mapping[str, Number] | None = None,
    **options: Any,
) -> list[Verdict]:
    """The verdicts of a claim, one a data set, network and target that has its side a.

    Args:
        claim: from `read_claim`.
        table, per_image: results, of the chosen runs alone.
        numbers: by id the value and kind of the paper's numbers, for claims about one of them.
        options: of `significance` (`n_boot`, `n_draws`, `seed`).

    Returns:
        At least one; a data set that the claim names and the results do not hold is not testable
        here.
    """
    names = [str(name) for name in table["dataset"].unique()]
    found = [
        Verdict(claim, pattern, claim.task, claim.model, "-", "not testable here",
                NO_RESULTS)
        for pattern in claim.datasets
        if not any(claim.asks(name) for name in names if _matches(pattern, name))
    ]  # fmt: skip
    rows = endpoint_rows(claim, table)
    for dataset in filter(claim.asks, names):
        here = rows[rows["dataset"] == dataset]
        if claim.task != "-":
            here = here[here["task"] == claim.task]
        own = here[(here["arm"] == claim.a.arm) & (here["method"] == claim.a.methods[0])]
        if own.empty:
            said = f"not measured: {claim.a}, {claim.endpoint.metric}"
            found.append(_untested(claim, dataset, claim.task, said))
        found += _by_network(claim, here, own, per_image, numbers or {}, options)
    return found


def _matches(pattern: str, name: str) -> bool:
    from fnmatch import fnmatchcase

    return pattern == "-" or fnmatchcase(name, pattern)


def _untested(claim: Claim, dataset: str, task: str, reason: str) -> Verdict:
    return Verdict(claim, dataset, task, claim.model, "-", "not testable here", reason)


def _by_network(
    claim: Claim, rows: pd.DataFrame, own: pd.DataFrame, per_image: pd.DataFrame,
    numbers: Mapping[str, Number], options: dict[str, Any],
) -> Iterator[Verdict]:  # fmt: skip
    """One verdict a task, network and target; networks without any rival only if all are."""
    what = ["dataset", "task", "model", "target"]
    found: list[Verdict] = []
    for key, mine in own.groupby(what, sort=False):
        dataset, task, model, target = (str(each) for each in key)
        here = rows[(rows[what] == mine[what].iloc[0]).all(axis=1)]
        compared: list[Answer] = []
        reason = ""
        if claim.b[0].number:
            compared, reason = _beside_number(claim, mine, per_image, numbers)
        elif len(here) > len(mine):
            compared = answers(claim, here, per_image, **options)
        word, said = _decided(claim, compared, _missing(claim, compared)) if not reason else (
            "not testable here", reason)  # fmt: skip
        worst = _least(claim, compared, word)
        found.append(Verdict(claim, dataset, task, model, target, word, said, compared, worst))
    some = [each for each in found if each.answers]
    yield from some or found[:1]


def _missing(claim: Claim, found: Sequence[Answer]) -> list[str]:
    """Rivals that the claim names and nobody measured."""
    known = {each.rival for each in found}
    return [
        "a post-hoc method" if method == POST_HOC else rival_name(side, method)
        for side in claim.b
        if not side.number
        for method in side.methods
        if not (known if method == POST_HOC else rival_name(side, method) in known)
    ]


def _least(claim: Claim, found: Sequence[Answer], word: Word) -> Answer | None:
    """The rival that the claim is true of least, among those that decided against it if any."""
    kept = list(found)
    if word == "does not hold":
        kept = [each for each, no in zip(found, _shown(claim, found)[1], strict=True) if no]
    return min(kept, key=lambda each: _margin(claim, each), default=None)


def _margin(claim: Claim, answer: Answer) -> float:
    """By how much the claim is true of this rival."""
    if math.isnan(answer.difference):
        return -math.inf
    return -abs(answer.difference) if claim.alternative == "equal" else answer.difference


def _too_few(found: Sequence[Answer]) -> list[str]:
    """Rivals with fewer than `LEAST` images."""
    return [each.rival for each in found if each.n < LEAST]


def _unmeasured(claim: Claim, missing: Sequence[str]) -> str:
    where, names = claim.endpoint.occluded, ", ".join(missing)
    if where == "own":
        return f"not measured: {names}"
    return (
        f"not measured with both maps on the network of {where}: {names}; each was asked on its "
        "own network alone (`occlude: all` asks every network)"
    )


def _decided(claim: Claim, found: Sequence[Answer], missing: Sequence[str]) -> tuple[Word, str]:
    if not found:
        return "not testable here", _unmeasured(claim, missing)
    for_it, against = _shown(claim, found)
    refuted = [each.rival for each, no in zip(found, against, strict=True) if no]
    shown = [each.rival for each, yes in zip(found, for_it, strict=True) if yes]
    wording = {
        "better": f"an advantage of {claim.smallest_effect:g} is excluded over",
        "not worse": f"worse by more than {claim.smallest_effect:g} than",
        "equal": f"differs by more than {claim.smallest_effect:g} from",
    }
    if refuted:
        return "does not hold", f"{wording[claim.alternative]} {', '.join(refuted)}"
    if missing:
        return "not testable here", _unmeasured(claim, missing)
    if len(shown) == len(found):
        return "holds", f"shown of each: {', '.join(shown)}"
    left = [each.rival for each in found if each.rival not in shown]
    if few := _too_few(found):
        return "undecided", f"fewer than {LEAST} images, so no power: {', '.join(few)}"
    reasons = dict.fromkeys(each.reason for each in found if each.rival in left and each.reason)
    return "undecided", "; ".join([f"not shown of {', '.join(left)}", *reasons])


def _shown(claim: Claim, found: Sequence[Answer]) -> tuple[list[bool], list[bool]]:
    """For each rival whether the claim is shown of it, and whether the opposite is.

    By two-sided p-values at alpha, Holm's correction over the rivals. Whether a true difference
    could be as large as the smallest effect is asked of the paired standard error. From fewer
    than `LEAST` images nothing follows: their spread is too little known.
    """
    effect = claim.smallest_effect
    for_it, against = _shown_of_any(claim, found, effect)
    enough = [each.n >= LEAST for each in found]
    return [y and e for y, e in zip(for_it, enough, strict=True)], [
        n and e for n, e in zip(against, enough, strict=True)
    ]


def _shown_of_any(
    claim: Claim, found: Sequence[Answer], effect: float
) -> tuple[list[bool], list[bool]]:
    above = [_two_sided(each.difference - effect, each.error) for each in found]  # below +effect
    below = [_two_sided(-each.difference - effect, each.error) for each in found]  # above -effect
    beyond = [_two_sided(effect - abs(each.difference), each.error) for each in found]
    worse = [_two_sided(each.difference + effect, each.error) for each in found]
    if claim.alternative == "better":
        against = _rejected(claim, above)
        for_it = [each.answer == "better" for each in found]
        return [y and not n for y, n in zip(for_it, against, strict=True)], against
    if claim.alternative == "not worse":
        return _rejected(claim, below), _rejected(claim, worse)
    both = [max(pair) for pair in zip(above, below, strict=True)]
    return _rejected(claim, both), _rejected(claim, beyond)


def _two_sided(distance: float, error: float) -> float:
    """p of a true distance of 0 or more, seen this one; doubled, as beside a 95 % interval."""
    return min(1.0, 2 * smaller_than(distance, error, 0.0))


def _rejected(claim: Claim, p: Sequence[float]) -> list[bool]:
    return [bool(each <= claim.alpha) for each in holm(np.array(p, np.float64))]


def _beside_number(
    claim: Claim, mine: pd.DataFrame, per_image: pd.DataFrame, numbers: Mapping[str, Number]
) -> tuple[list[Answer], str]:
    """Ours minus a number of the paper; or why that is no test."""
    from softcam.seeds import with_seed_intervals

    name, dataset = claim.b[0].number, str(mine["dataset"].iloc[0])
    if name not in numbers:
        return [], f"there is no number {name!r}"
    value, kind = numbers[name]
    if kind != "paper":
        return [], f"the number is of the kind {kind}, not read in the paper"
    if stands_for(dataset) != "paper":
        return [], "the number is about other data"
    rows = mine
    if len(mine) > 1:
        rows = with_seed_intervals(mine, per_image, [claim.endpoint.metric])
        rows = rows.assign(ci_low=rows["seeds_low"], ci_high=rows["seeds_high"])
    first = {str(k): v for k, v in rows.iloc[0].items()}
    row = {
        **first, "difference": rows["value"].mean() - value, "ci_low": first["ci_low"] - value,
        "ci_high": first["ci_high"] - value, "n": rows["n"].sum(), "seed": "pooled", "reason": "",
    }  # fmt: skip
    return [answer_of(claim, dataset, f"the paper's {value:g}", row, math.nan)], ""
