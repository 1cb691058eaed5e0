"""Answers in sentences, those against side a first."""

from __future__ import annotations

from collections.abc import Sequence

from softcam.claims.asking import Answer

__all__ = ["answers_in_words", "told"]


def answers_in_words(found: Sequence[Answer], effect: float) -> list[str]:
    """A sentence for each data set and answer, those in which SoftCAM does not win first.

    Args:
        found: of a claim about SoftCAM's own map.
        effect: the smallest effect of interest.
    """
    said = {
        "worse": "SoftCAM's map is worse than {}",
        "draw": f"SoftCAM's map differs by less than {effect:g}, which is a draw, from {{}}",
        "open": "undecided between SoftCAM's map and {}",
        "better": "SoftCAM's map is better than {}",
    }
    groups: dict[tuple[str, str], list[str]] = {}
    for each in found:
        groups.setdefault((each.answer, each.dataset), []).append(told(each))
    return [
        f"{dataset}, {found[0].metric}: {said[answer].format('; '.join(each))}."
        for (answer, dataset), each in groups.items()
    ]


def told(answer: Answer) -> str:
    """Rival, difference, interval, p and n of one answer."""
    return (
        f"{answer.rival} ({answer.difference:+.3f} [{answer.low:+.3f}, {answer.high:+.3f}], "
        f"p {answer.p:.3f}, {answer.n} images)"
    )
