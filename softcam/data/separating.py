"""How well a few numbers tell the classes apart: a logistic model on train, its AUC on test.

Small and without a library, since nothing more is needed: a penalised logistic regression by
Newton's method, and the area under the ROC curve with a bootstrap interval in which the images of
one patient stay together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softcam.common import rng
from softcam.data.trivial_features import Column

__all__ = ["Separation", "encode", "fit_logistic", "separation", "weighted_auc"]

PENALTY = 1.0  # on the sum of squared weights of standardised columns, halved
FAR = 5.0  # spreads at which a value is cut off
LEVELS = 20  # categories that get a column of their own
STEPS, CLOSE = 50, 1e-8
STREAM = 0x41554449  # keeps these draws apart from others with the same seed
BLOCK = 2_000_000  # weights held at a time


@dataclass(frozen=True)
class Separation:
    """The AUC on the test split; with several classes the mean of each against the rest.

    Attributes:
        value, low, high: NaN where it is undefined.
        n_train, n_test: images that had a value.
        reason: why it is undefined, else empty.
    """

    value: float
    low: float
    high: float
    n_train: int
    n_test: int
    reason: str = ""

    @property
    def tells(self) -> bool:
        """Whether the whole interval lies above one half, which is what guessing reaches."""
        return self.low > 0.5


def encode(columns: Sequence[Column], train: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Columns as standardised numbers, with what is known of the training images alone.

    Args:
        columns: features; a number also gives its square, a category a column of 0 and 1.
        train: indices of the training images.
        rows: indices of the images that are wanted.

    Returns:
        (len(rows), D) float64; D is 0 where nothing differs among the training images.
    """
    out = []
    for column in columns:
        if column.numbers is not None:
            values = _standard(column.numbers, train)
            out.append(_standard(np.hstack([values, values**2]), train)[rows])
            continue
        counts = Counter(column.words[i] for i in train)
        levels = [word for word, count in counts.most_common(LEVELS) if count > 1]
        hot = [[word == level for level in levels] for word in column.words]
        table = np.array(hot, float).reshape(len(column.words), len(levels))
        out.append(_standard(table, train)[rows])
    return np.hstack(out) if out else np.zeros((len(rows), 0))


def _standard(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Mean 0 and spread 1 on the training images; columns that do not vary there are dropped."""
    mean, spread = values[train].mean(0), values[train].std(0)
    varies = spread > 1e-9 * np.maximum(1, np.abs(mean))
    scaled = (values[:, varies] - mean[varies]) / spread[varies]
    return np.asarray(scaled.clip(-FAR, FAR))


def fit_logistic(x: np.ndarray, y: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """The weights that minimise log loss, summed, plus penalty / 2 of their squares.

    Args:
        x: (N, D).
        y: (N,) 0 or 1, both present.
        penalty: of the D weights; the constant is free.

    Returns:
        (D + 1,), the constant last.
    """
    table = np.hstack([x, np.ones((len(x), 1))])
    ridge = np.full(table.shape[1], penalty)
    ridge[-1] = 1e-9
    weights = np.zeros(table.shape[1])
    weights[-1] = np.log(y.mean() / (1 - y.mean()))
    loss = _loss(table, y, weights, ridge)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(table @ weights).clip(-30, 30)))
        gradient = table.T @ (p - y) + ridge * weights
        hessian = (table * (p * (1 - p))[:, None]).T @ table + np.diag(ridge)
        step, scale = np.linalg.solve(hessian, gradient), 1.0
        while scale > CLOSE and (new := _loss(table, y, weights - scale * step, ridge)) > loss:
            scale /= 2  # Newton may leap too far
        if scale <= CLOSE:
            break
        weights, loss = weights - scale * step, new
        if np.abs(scale * step).max() < CLOSE:
            break
    return weights


def _loss(table: np.ndarray, y: np.ndarray, weights: np.ndarray, ridge: np.ndarray) -> float:
    z = table @ weights
    return float((np.logaddexp(0, z) - y * z).sum() + (ridge * weights**2).sum() / 2)


def weighted_auc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The chance that an image of class 1 scores above one of class 0, ties counted half.

    Args:
        scores, labels: (N,); labels are 0 or 1.
        weights: (B, N), how often each image counts.

    Returns:
        (B,); NaN where a class has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    of_one = np.add.reduceat(weights[:, order] * labels[order], starts, axis=1)
    of_zero = np.add.reduceat(weights[:, order] * (1 - labels[order]), starts, axis=1)
    below = np.cumsum(of_zero, 1) - of_zero / 2
    total = of_one.sum(1) * of_zero.sum(1)
    return np.asarray(
        np.where(total > 0, (of_one * below).sum(1) / np.maximum(total, 1), np.nan), float
    )


def separation(
    columns: Sequence[Column],
    targets: np.ndarray,
    splits: np.ndarray,
    patients: np.ndarray,
    *,
    n_boot: int,
    seed: int,
) -> Separation:
    """How well some features together tell the classes apart, where all of them have a value.

    Args:
        columns: one or several features.
        targets: (N, T) 0 or 1, one column a question.
        splits: (N,) `train`, `val` or `test`.
        patients: (N,) group names.
        n_boot, seed: of the interval.
    """
    known = np.all([column.known for column in columns], axis=0)
    train, test = (np.flatnonzero(known & (splits == split)) for split in ("train", "test"))
    asked = [t for t in range(targets.shape[1]) if _both(targets[train, t], targets[test, t])]

    def nothing(reason: str) -> Separation:
        nan = float("nan")
        return Separation(nan, nan, nan, len(train), len(test), reason)

    if not known.any():
        return nothing("no image has a value")
    if not asked:
        return nothing("train or test has values of one class only")
    x = encode(columns, train, np.arange(len(splits)))
    if not x.shape[1]:
        words = [column for column in columns if column.numbers is None]
        differs = any(len({column.words[i] for i in train}) > 1 for column in words)
        return nothing("every image differs" if differs else "all training images are the same")
    scores = []
    for t in asked:
        weights = fit_logistic(x[train], targets[train, t])
        scores.append(x[test] @ weights[:-1])
    draws = _bootstrap(np.array(scores), targets[test][:, asked].T, patients[test], n_boot, seed)
    drawn = draws[1:][np.isfinite(draws[1:])]  # a draw may lack a class
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (np.nan, np.nan)
    return Separation(float(draws[0]), float(low), float(high), len(train), len(test))


def _both(*parts: np.ndarray) -> bool:
    return all(len(part) and part.min() != part.max() for part in parts)


def _bootstrap(
    scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, n_boot: int, seed: int
) -> np.ndarray:
    """The mean AUC over (T, N) scores: first of all images, then of `n_boot` draws of patients."""
    members = np.unique(patients, return_inverse=True)[1]
    groups = int(members.max()) + 1
    drawing = rng(seed, STREAM)

    def values(weights: np.ndarray) -> np.ndarray:
        each = [weighted_auc(s, y, weights) for s, y in zip(scores, labels, strict=True)]
        return np.asarray(np.mean(each, axis=0))

    out = [values(np.ones((1, len(members))))]
    block = max(1, BLOCK // len(members))
    for start in range(0, n_boot, block):
        count = min(block, n_boot - start)
        drawn = drawing.multinomial(groups, np.full(groups, 1 / groups), size=count)
        out.append(values(drawn[:, members].astype(float)))
    return np.concatenate(out)
