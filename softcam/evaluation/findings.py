"""A multi-label set under evaluation: one question a finding, and what cannot be asked of it.

Each finding is a question of its own, with a logit, a sigmoid and a map of its own: where an image
shows it, does its map point at it? So a set of C findings is evaluated like C sets of two classes
over one network. What takes one class an image, or holds one class against another, is left out
or refused by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from softcam.common import SoftCAMError
from softcam.data.records import ImageSet
from softcam.evaluation.question import Question
from softcam.evaluation.subjects import Subject
from softcam.metrics import Measure
from softcam.metrics.multi_label import UNORDERED

__all__ = ["about_findings", "by_finding", "finding_set", "one_kind_of_set"]

log = logging.getLogger(__name__)
WAY_OUT = "or take a set of a single finding (label_column=ONE)."


def one_kind_of_set(sets: Sequence[ImageSet]) -> bool:
    """Whether these sets are multi-label; some but not all of them is an error."""
    kinds = {each.multi_label: each.name for each in sets}
    if len(kinds) > 1:
        raise SoftCAMError(
            f"the classes of {kinds[True]} are findings (several an image), {kinds[False]} has "
            "one class an image: evaluate them one at a time."
        )
    return True in kinds


def about_findings(
    measures: Sequence[Measure], sets: Sequence[ImageSet], *, only: str, outside: bool
) -> list[Measure]:
    """The measures that a multi-label set has; one warning names those left out.

    Args:
        measures: what was asked for.
        sets: multi-label, all of them.
        only: the option of `evaluate`.
        outside: whether maps from files are among what is evaluated.

    Raises:
        SoftCAMError: what would have to be answered for one class an image.
    """
    names = ", ".join(dict.fromkeys(each.name for each in sets))
    if any(each.protocol == "paper" for each in measures):
        raise SoftCAMError(
            "the paper's protocol is defined for one class an image, and the classes of "
            f"{names} are findings, of which an image may show several: use "
            f"protocol='corrected', {WAY_OUT}"
        )
    if only == "correct":
        raise SoftCAMError(
            f"only='correct' asks for one answer an image, and {names} has one a finding: leave "
            f"it out, {WAY_OUT}"
        )
    if outside:
        raise SoftCAMError(
            f"maps from files are read as those of one class an image, and the classes of {names} "
            f"are findings, each with a sigmoid: leave maps out, {WAY_OUT}"
        )
    kept = [m for m in measures if m.kind not in ("labelled", "twin") and m.name not in UNORDERED]
    left = [each.name for each in measures if each not in kept]
    if left:
        log.warning(
            "%s: without %s: they take one class an image, or hold classes against each other",
            names, ", ".join(left),
        )  # fmt: skip
    _say_unmarked(sets)
    return kept


def _say_unmarked(sets: Sequence[ImageSet]) -> None:
    for data in {each.fingerprint: each for each in sets}.values():
        unmarked = [name for name in data.classes if name not in data.finding_names]
        if unmarked and data.finding_names:
            log.warning(
                "%s: nothing is marked as %s: the maps of these are held against all that is "
                "marked (%s)", data.name, ", ".join(unmarked), ", ".join(data.finding_names),
            )  # fmt: skip


def finding_set(data: ImageSet, c: int) -> ImageSet:
    """The same images as a set of two classes: without finding `c`, and with it.

    What is marked under the name of the finding is the finding; where nothing is, all findings.
    """
    name = data.classes[c]
    own = (name,) if name in data.finding_names else data.finding_names
    labels = np.asarray(data.labels)[:, c]
    return replace(data, classes=(f"no {name}", name), labels=labels, finding_names=own)


def by_finding(
    subject: Subject, ask: Callable[[ImageSet], Question]
) -> list[tuple[Subject, Question]]:
    """A model of a multi-label set as one of each finding, and what it is asked.

    The maps of finding c are held against what is marked in the images labelled with it, and
    these images are occluded; target `class:c`.

    Args:
        ask: the question about a set of two classes.
    """
    found = []
    for c in range(len(subject.data.classes)):
        data = finding_set(subject.data, c)
        plain = ask(data)
        located = plain.located[np.asarray(data.labels)[plain.located] == 1]
        question = replace(plain, targets=np.full(len(data), c), name=f"class:{c}", located=located)
        keys = {**subject.keys, "finding": "+".join(data.finding_names) or "-"}
        found.append((subject.seen_as(data=data, keys=keys), question))
    return found
