"""What is asked of every model on one split: which class, in which images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from softcam.common import rng
from softcam.data.records import ImageSet

__all__ = ["Question", "ask", "findings_of", "output_index", "some_of"]

_DELETION = 0x44454C45  # stream of random numbers: which images are occluded


@dataclass(frozen=True)
class Question:
    """Which class is explained in which image.

    Attributes:
        targets: (N,) class to explain.
        name: as in the table, `class:1` or `label`.
        located: indices of the images in which the maps are held against the finding.
        occluded: indices of the images that are occluded; the costly part, so often a sample.
        twinned: indices of the images whose findings are taken out one by one (phantoms).
    """

    targets: np.ndarray
    name: str
    located: np.ndarray
    occluded: np.ndarray
    twinned: np.ndarray


def ask(
    data: ImageSet,
    limit: int | None,
    seed: int,
    only: Iterable[int] | None = None,
    twin_limit: int | None = None,
) -> Question:
    """Two classes: the evidence for class 1, wherever a finding is marked. More: for the label.

    Class 0 is the healthy one: with more than two classes, its images are not asked where their
    finding is, and the occluded images are those labelled diseased. The same images are asked
    for every run on these data.

    Args:
        data: the split.
        limit: how many images may be occluded, drawn with `seed`; None takes all.
        seed: of that choice.
        twin_limit: how many images may have twins; None takes `limit`.
        only: indices of the images that may be asked at all; None allows every image.
    """
    labels, located = np.asarray(data.labels), data.with_findings()
    diseased = np.flatnonzero(labels > 0)
    several = len(data.classes) > 2
    if several:
        located = located[labels[located] > 0]
    if only is not None:
        allowed = np.fromiter(only, np.int64)
        located, diseased = (each[np.isin(each, allowed)] for each in (located, diseased))
    targets = labels if several else np.ones(len(labels), np.int64)
    return Question(
        targets,
        "label" if several else "class:1",
        located,
        some_of(diseased, limit, seed),
        some_of(located, limit if twin_limit is None else twin_limit, seed),
    )


def some_of(indices: np.ndarray, limit: int | None, seed: int) -> np.ndarray:
    """A seeded choice of at most `limit`, in their order; a larger limit holds the smaller one."""
    if limit is None or limit >= len(indices):
        return indices
    return np.sort(rng(seed, _DELETION).permutation(indices)[:limit])


def output_index(targets: np.ndarray, outputs: int) -> Tensor:
    """Class to logit: a single sigmoid logit is that of class 1."""
    chosen = torch.as_tensor(np.array(targets), dtype=torch.long)
    return torch.zeros_like(chosen) if outputs == 1 else chosen


def findings_of(data: ImageSet, indices: np.ndarray) -> Tensor:
    """What is marked in these images, (B, H, W) bool."""
    masks = [data.finding(int(i)) for i in indices]
    return torch.from_numpy(np.stack(masks) if masks else np.zeros((0, *data.size), bool))
