"""From results to the mistake behind them, in words: known mistakes first, then what is visible."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from softcam.checks.comparing import (
    Arrays,
    array_in_words,
    differences,
    number_in_words,
    same,
    shapes,
)
from softcam.checks.records import CheckFailed, Mistake, Question
from softcam.checks.running import Outcome, variant

__all__ = ["diagnose"]

FORGOTTEN = {
    "a single image": ("only-large-batches", "an axis that is lost where the batch holds one."),
    "images of another size": ("only-one-size", "a size of the map that is written into the code."),
}


def diagnose(question: Question, outcomes: list[Outcome]) -> CheckFailed | None:
    """The failure that the outcomes show, or None where all are right.

    Order: not written; nothing or another type returned; a known mistake; an exception; a wrong
    shape; NaN; a factor, an offset, a sign; at last the plain numbers.
    """
    if all(each.right for each in outcomes):
        return None
    for each in sorted(outcomes, key=lambda each: each.slug != "not-written"):
        if each.slug not in ("", "raises"):
            return CheckFailed(each.slug, each.words, _where(outcomes))
    known = _known(question.mistakes, outcomes)
    return known or _only(outcomes) or _raised(outcomes) or _visible(outcomes)


def _known(mistakes: tuple[Mistake, ...], outcomes: list[Outcome]) -> CheckFailed | None:
    """The known mistake behind the results: on all inputs, on the wrong ones, on the usual ones.

    A special input, such as a map of zeros, may hide a second mistake behind the first.
    """
    wrong = [each for each in outcomes if each.found is not None and not each.right]
    if not wrong:
        return None
    given = [each for each in outcomes if each.found is not None]
    usual = [each for each in wrong if each.case.kind == outcomes[0].case.kind]
    for among in (given, wrong, usual):
        for mistake in mistakes:
            if among and all(_gives(mistake, each) for each in among):
                example = _smallest(wrong)
                return CheckFailed(
                    mistake.slug,
                    mistake.words,
                    _where(outcomes),
                    _example(example),
                    f"Look at: {mistake.look}",
                )
    return None


def _gives(mistake: Mistake, each: Outcome) -> bool:
    value = variant(mistake.function, each.case)
    return value is not None and each.found is not None and same(each.found, value)


def _only(outcomes: list[Outcome]) -> CheckFailed | None:
    """Right but for one sort of input that many forget."""
    wrong = [each for each in outcomes if not each.right]
    for words, (slug, advice) in FORGOTTEN.items():
        kinds = [words in each.case.kind for each in outcomes]
        if kinds == [not each.right for each in outcomes]:
            example = _smallest(wrong)
            seen = example.words or f"found the shape {shapes(example.found or ())}"
            what = f"Your function is right, but not for {words}: {seen}"
            return CheckFailed(slug, what, _sizes(example), f"Look at: {advice}")
    return None


def _raised(outcomes: list[Outcome]) -> CheckFailed | None:
    raised = [each for each in outcomes if each.slug == "raises"]
    if not raised:
        return None
    if len(raised) == len(outcomes):
        return CheckFailed("raises", raised[0].words)
    first = raised[0]
    return CheckFailed("raises-sometimes", first.words, _where(outcomes), _sizes(first))


def _visible(outcomes: list[Outcome]) -> CheckFailed:
    wrong = [each for each in outcomes if not each.right]
    misshapen = [
        each for each in wrong if each.found and shapes(each.found) != shapes(each.expected)
    ]
    example = _smallest(misshapen or wrong)
    found, expected = example.found, example.expected
    assert found is not None
    where = _where(outcomes)
    if misshapen:
        words = f"The shape is wrong: found {shapes(found)}, expected {shapes(expected)}."
        slug, more = _axes(wrong)
        return CheckFailed(slug, words, more, where, _sizes(example))
    if isinstance(found, str) or isinstance(expected, str):
        return CheckFailed("value", "The answer is wrong.", where, _example(example))
    if any(np.isnan(f).any() and not np.isnan(e).any() for f, e in zip(found, expected)):  # noqa: B905
        words = "There is NaN in your result: a division by zero, or a root of nothing?"
        return CheckFailed("nan", words, where, _example(example))
    slug, words = _relation(wrong)
    look = "Look at: work the example through on paper, cell by cell."
    return CheckFailed(slug, words, where, _example(example), look)


def _axes(wrong: list[Outcome]) -> tuple[str, str]:
    """Whether the result is right but for the order of its axes."""
    for each in wrong:
        found, expected = each.found, each.expected
        if not isinstance(found, tuple) or not isinstance(expected, tuple):
            return "shape", ""
        if len(found) != 1 or found[0].ndim != expected[0].ndim or found[0].ndim > 4:
            return "shape", ""
        orders = itertools.permutations(range(found[0].ndim))
        if not any(same((found[0].transpose(order),), expected) for order in orders):
            return "shape", ""
    return "axes-swapped", "The numbers are right, but two axes have changed places."


def _relation(wrong: list[Outcome]) -> tuple[str, str]:
    """A factor, an offset or a sign between found and expected, the same in a whole result."""
    pairs = [
        (np.concatenate([x.ravel() for x in each.found]), _flat(each.expected))
        for each in wrong
        if isinstance(each.found, tuple)
    ]
    if all(same((found,), (-expected,)) for found, expected in pairs):
        return "sign", "Your result has the wrong sign: it is the right one times -1."
    factors = [float((f * e).sum() / max((e * e).sum(), 1e-30)) for f, e in pairs]
    scaled = zip(pairs, factors, strict=True)
    if all(same((f,), (k * e,)) and e.size > 1 for (f, e), k in scaled):
        shown = ", ".join(sorted({f"{k:.4g}" for k in factors}))
        return "factor", f"Your result is the right one times a factor ({shown}, by input)."
    if all(same((f,), (e + (f - e).mean(),)) and e.size > 1 for f, e in pairs):
        return "offset", "Your result is the right one plus the same number everywhere."
    return "value", "The numbers are wrong."


def _flat(value: Arrays) -> np.ndarray:
    assert not isinstance(value, str)
    return np.concatenate([part.ravel() for part in value])


def _smallest(outcomes: list[Outcome]) -> Outcome:
    """The one whose numbers are the easiest to read: by hand first, then the smallest."""
    return min(outcomes, key=lambda each: (_elements(each), each.case.kind))


def _elements(each: Outcome) -> int:
    sizes = [getattr(value, "numel", lambda: 0)() for value in each.case.arguments.values()]
    return sum(sizes)


def _where(outcomes: list[Outcome]) -> str:
    """Which kinds of input are right and which are not, where it is not the same for all."""
    wrong = list(dict.fromkeys(each.case.kind for each in outcomes if not each.right))
    right = [each.case.kind for each in outcomes if each.right]
    fine = [kind for kind in dict.fromkeys(right) if kind not in wrong]
    if not fine:
        return ""
    return f"Right on: {', '.join(fine)}. Wrong on: {', '.join(wrong)}."


def _sizes(each: Outcome) -> str:
    parts = [
        f"{name} {tuple(value.shape)}"
        for name, value in each.case.arguments.items()
        if hasattr(value, "shape")
    ]
    return f"The input ({each.case.kind}): {', '.join(parts)}." if parts else ""


def _example(each: Outcome) -> str:
    """Input, found and expected of one small case."""
    lines = [f"An example ({each.case.kind}):"]
    for name, value in each.case.arguments.items():
        lines.append(f"  {name}: {_argument(value)}")
    if each.found is not None:
        lines += [f"  {line}" for line in differences(each.found, each.expected)]
    return "\n".join(lines)


def _argument(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return array_in_words(value.detach().numpy())
    if isinstance(value, dict):
        return ", ".join(f"{name} {tuple(each.shape)}" for name, each in value.items())
    if isinstance(value, float):
        return number_in_words(value)
    return repr(value) if len(repr(value)) < 60 else type(value).__name__
