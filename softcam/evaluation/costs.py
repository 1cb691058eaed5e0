"""What a costly explainer is asked: fewer images, and the dearest one only of a few networks.

Counted in forward passes of the whole network an image and class. A post-hoc method of hundreds
of passes on every image of every run would take days; on a seeded choice of the findings it says
as much, with a wider interval, and the table's `n` says on how many.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from softcam.evaluation.question import Question, some_of
from softcam.evaluation.subjects import Model, Subject
from softcam.explainers import Explainer, passes

__all__ = [
    "COSTLY",
    "DESTROYED",
    "FINDINGS",
    "RARE",
    "affordable",
    "examined",
    "first_networks",
    "sampled",
]

log = logging.getLogger(__name__)
COSTLY = 50  # more passes than that: `FINDINGS` images
RARE = 200  # more: besides, only the first seed's black box and sparse SoftCAM
FINDINGS = 64
DESTROYED = 4  # images whose network is drawn anew, for a costly method


def first_networks(models: Sequence[Subject]) -> set[str]:
    """Ids of the runs that the dearest methods explain.

    Of each architecture and data source the black box and the sparse arm of the smallest seed;
    where there is neither, every arm of it.
    """
    groups: dict[tuple[str, str], list[Subject]] = {}
    for each in models:
        groups.setdefault((str(each.keys["dataset"]), str(each.keys["model"])), []).append(each)
    found: set[str] = set()
    for group in groups.values():
        seed = min(each.run.seed for each in group)
        first = [each for each in group if each.run.seed == seed]
        chosen = [each for each in first if each.arm in ("black-box", "sparse")] or first
        found |= {each.run.id for each in chosen}
    return found


def affordable(subject: Subject, model: Model, first: set[str]) -> list[Explainer]:
    """The methods of a subject, without the dearest where it is not among the first networks."""
    kept = [m for m in subject.methods if passes(m, model) <= RARE or subject.run.id in first]
    left = [m.name for m in subject.methods if m not in kept]
    if left:
        log.info(
            "%s: without %s, of over %d forward passes an image: only on %s; costly='all' asks "
            "every network", subject.name, ", ".join(left), RARE, ", ".join(sorted(first)),
        )  # fmt: skip
    return kept


def examined(
    subject: Subject, model: Model, first: set[str], images: np.ndarray, seed: int
) -> dict[Explainer, np.ndarray]:
    """The methods whose sanity is tested here, and on which of these images.

    A cascade draws the network anew a dozen times for each image. So the costly methods have
    theirs only on the first networks, on `DESTROYED` images, and the dearest have none. The check
    against shuffled labels, two maps an image, takes these methods on all images.
    """
    found = {}
    for method in subject.methods:
        forwards = passes(method, model)
        if forwards <= COSTLY:
            found[method] = images
        elif forwards <= RARE and subject.run.id in first:
            found[method] = some_of(images, DESTROYED, seed)
    return found


def sampled(method: Explainer, model: Model, question: Question, seed: int) -> np.ndarray | None:
    """Indices of the images that a method explains; None for all of them.

    A seeded choice of the findings, and whatever small choice of images is occluded or twinned;
    where these are drawn from the same images, they are among the first.
    """
    if passes(method, model) <= COSTLY:
        return None
    findings = some_of(question.located, FINDINGS, seed)
    small = [each for each in (question.occluded, question.twinned) if len(each) <= FINDINGS]
    return np.unique(np.concatenate([findings, *small]))
