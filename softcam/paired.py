"""One comparison on the same images, over one seed or several; many of them at a time.

Comparisons over the same images are stacked as steps, so that they share one bootstrap and one
permutation test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, digest
from softcam.compare import STATISTICS, PerImage
from softcam.metrics import (
    Interval,
    Permutation,
    Ratios,
    hierarchical_difference,
    hierarchical_statistic,
    paired_permutation,
    paired_permutation_statistic,
)
from softcam.metrics.classification import class_probabilities
from softcam.seeds import align, grouping, labels_and_logits, same_images, statistic_of

__all__ = ["Comparison", "Draws"]

STATISTIC_DRAWS = 2000  # an AUC has to be computed again for each draw
TOGETHER = 64  # comparisons at a time; bounds the memory


@dataclass
class Comparison:
    """a - b of one measure.

    Attributes:
        pairs: one row a seed, of a; the columns of b end in `_b`.
        seed: the seed, or `pooled`.
        sides: for each seed the `Ratios` of a and b, or their labels and logits.
        groups: patients, as `hierarchical_difference` takes them.
        crossed: the same images in every seed.
        key: the same for comparisons that can be stacked.
    """

    pairs: Sequence[Mapping[str, Any]]
    seed: str
    sides: list[Any] = field(default_factory=list)
    groups: Any = None
    crossed: bool = False
    key: str = ""

    @property
    def metric(self) -> str:
        return str(self.pairs[0]["metric"])

    def load(self, images: PerImage) -> bool:
        """Read what is needed; False where a side has no rows, or no image of the other's."""
        runs = [(str(p["run_id"]), str(p["arm"])) for p in self.pairs]
        self.crossed = len(runs) > 1 and same_images(images, runs)
        return self._predictions(images) if self.metric in STATISTICS else self._values(images)

    def _values(self, images: PerImage) -> bool:
        tables = [[images.rows(p), images.rows(_second(p))] for p in self.pairs]
        if any(t is None for both in tables for t in both):
            return False
        shared = [a.index.intersection(b.index) for a, b in tables]  # type: ignore[union-attr]
        if any(not len(ids) for ids in shared):
            return False
        kept = [[t.loc[ids] for t in both] for both, ids in zip(tables, shared, strict=True)]  # type: ignore[union-attr]
        self.sides, self.groups = align(kept, self.crossed)
        self.key = digest(self.crossed, *("\n".join(sorted(ids)) for ids in shared))
        return True

    def _predictions(self, images: PerImage) -> bool:
        found = []
        for p in self.pairs:
            a = images.predictions(str(p["run_id"]), str(p["arm"])).sort_index()
            b = images.predictions(str(p["run_id_b"]), str(p["arm_b"]))
            ids = a.index.intersection(b.index)
            if not len(ids):
                return False
            found.append((a.loc[ids], b.loc[ids]))
        target = str(self.pairs[0]["target"])
        self.sides = [[labels_and_logits(t, target) for t in both] for both in found]
        if not all(np.array_equal(a[0], b[0]) for a, b in self.sides):
            who = " and ".join(str(self.pairs[0][c]) for c in ("run_id", "run_id_b"))
            raise SoftCAMError(
                f"{who} have the same images and other labels; expected runs that learned the "
                "same: compare those of one label_column."
            )
        self.groups = grouping([a["patient_id"] for a, _ in found], self.crossed)
        return True


def _second(pair: Mapping[str, Any]) -> dict[str, Any]:
    """What `PerImage.rows` is asked for b: the same measure of another source."""
    own = {c: pair[c] for c in PerImage.COLUMNS}
    return {**own, **{c: pair[f"{c}_b"] for c in own if f"{c}_b" in pair}}


Tested = tuple[Comparison, Interval, Permutation]


@dataclass(frozen=True)
class Draws:
    """How often, and with which seed, comparisons are tested."""

    n_boot: int
    n_draws: int
    seed: int

    def test(
        self, jobs: Iterable[Comparison]
    ) -> Iterator[tuple[Comparison, Interval, Permutation]]:
        """Interval and p-value of each; those over the same images come one after the other."""
        by_key: dict[str, list[Comparison]] = {}
        for job in jobs:
            if job.key:
                by_key.setdefault(job.key, []).append(job)
            else:
                yield job, *self._statistic(job)
        for same in by_key.values():
            for start in range(0, len(same), TOGETHER):
                yield from self._ratios(same[start : start + TOGETHER])

    def _ratios(self, jobs: list[Comparison]) -> Iterator[Tested]:
        one = jobs[0]
        a, b = (
            [_side_by_side([job.sides[s][side] for job in jobs]) for s in range(len(one.sides))]
            for side in (0, 1)
        )
        interval = hierarchical_difference(
            a, b, self.n_boot, self.seed, one.groups, crossed=one.crossed
        )
        test = paired_permutation(a, b, self.n_draws, self.seed, one.groups, crossed=one.crossed)
        for i, job in enumerate(jobs):
            yield (
                job,
                Interval(
                    low=interval.low[i],
                    high=interval.high[i],
                    value=interval.value[i],
                    kind=interval.kind,
                    reason=interval.reason,
                ),
                Permutation(test.p[i], test.n[i], test.kind, test.reason),
            )

    def _statistic(self, job: Comparison) -> tuple[Interval, Permutation]:
        """AUC, kappa, calibration error: computed again for each draw."""
        first, second = ([both[side] for both in job.sides] for side in (0, 1))
        statistic = statistic_of(job.metric, *first[0])
        interval = hierarchical_statistic(
            statistic, first, second, n_boot=self.n_boot, seed=self.seed, groups=job.groups,
            crossed=job.crossed,
        )  # fmt: skip
        if job.metric == "auc":  # scores of two models cannot be exchanged, their ranks can
            first, second = ([_ranked(*each) for each in side] for side in (first, second))
            statistic = statistic_of("auc", first[0][0], np.zeros((1, 1)))
        of_seed = np.repeat(np.arange(len(first)), [len(y) for y, _ in first])

        def mean(which: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
            return float(np.mean([statistic(y[which == s], z[which == s]) for s in set(of_seed)]))

        a, b = (
            [np.concatenate(each) for each in zip(*side, strict=True)] for side in (first, second)
        )
        test = paired_permutation_statistic(
            mean, (of_seed, *a), (of_seed, *b), n_draws=min(self.n_draws, STATISTIC_DRAWS),
            seed=self.seed, groups=_one_sequence(job, [len(y) for y, _ in first]),
        )  # fmt: skip
        if job.groups is None:  # the groups were the images of all seeds
            test = replace(test, kind=test.kind.replace("groups", "images"))
        return interval, test


def _side_by_side(ratios: Sequence[Ratios]) -> Ratios:
    return Ratios(
        np.concatenate([each.numerator for each in ratios], 1),
        np.concatenate([each.denominator for each in ratios], 1),
    )


def _one_sequence(job: Comparison, sizes: Sequence[int]) -> np.ndarray | None:
    """What is swapped together, for the images of all seeds in a row."""
    if len(sizes) == 1:
        return None if job.groups is None else np.asarray(job.groups[0])
    if job.crossed:
        own = np.arange(sizes[0]) if job.groups is None else job.groups
        return np.tile(np.asarray(own).astype(str), len(sizes))
    if job.groups is None:
        return None
    by_seed = [np.arange(n) if g is None else g for g, n in zip(job.groups, sizes, strict=True)]
    return np.concatenate([[f"{s} {g}" for g in each] for s, each in enumerate(by_seed)])


def _ranked(y: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose order says the same to the AUC: ranks in (-1, 1), one column a class."""
    if y.ndim == 2:
        columns = list(logits.T)
    elif logits.shape[1] == 2:
        columns = [logits[:, 1] - logits[:, 0]]
    elif logits.shape[1] == 1:
        columns = [logits[:, 0]]
    else:
        columns = list(class_probabilities(logits).T)
    return y, np.stack([2 * mean_ranks(c) / (len(c) + 1) - 1 for c in columns], 1)


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[index]
