"""Eigen-CAM: the first principal component of the last feature map, whatever the class.

The cells of the map are points in a space of D channels. Centred, their largest common direction
is the first right singular vector v1, and the map is where each cell lies along it, A v1. Neither
a class nor a gradient takes part, so it shows what the features vary with, not why a class was
predicted.

A singular vector has no sign. Here the cell furthest from the mean is positive, as in
Seg-Eigen-CAM (Chung & Ying, Applied Sciences 2025, eq. 13); of two equally far ones the first in
reading order. `pytorch-grad-cam` centres likewise and keeps the sign that LAPACK happens to give;
the paper's own equation does not centre, which mostly returns the mean activation.

Source: Muhammad & Yeasin, "Eigen-CAM", IJCNN 2020, arXiv 2008.00299.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from softcam.explainers.features import split_at, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["eigen_cam", "first_component"]


@explainer(
    name="eigen-cam",
    title="Eigen-CAM",
    paper="Muhammad & Yeasin, IJCNN 2020",
    cost="the first singular vector of the feature map",
    gauges=("-",),
    needs="features",
)
def eigen_cam(
    model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None
) -> Tensor:
    """Where each cell lies along the first principal direction of its image's features.

    Args:
        model: a classifier.
        images: (B, 3, H, W) in [0, 1].
        targets: not used.
        layer: a name of `model.named_modules()`; None takes the last feature map.

    Returns:
        (B, h, w), mean 0, in units of the features.
    """
    with torch.inference_mode(False), undisturbed(model):
        z, _ = split_at(model, images.clone(), layer)
        return first_component(z)


def first_component(features: Tensor) -> Tensor:
    """The projection of each cell on the first principal direction of its own image.

    Args:
        features: (B, D, h, w); computed in float64 on the CPU.

    Returns:
        (B, h, w): the cell of the largest absolute value is positive; 0 where all cells are
        alike; NaN for an image whose features are not finite.
    """
    maps = [_along(each.cpu().double().flatten(1).T.numpy()) for each in features.detach()]
    shape = (len(features), *features.shape[2:])
    found = torch.from_numpy(np.stack(maps) if maps else np.zeros(0)).reshape(shape)
    return found.to(features.dtype).to(features.device)


def _along(cells: np.ndarray) -> np.ndarray:
    """Centred cells (h * w, D) times their first right singular vector: (h * w,).

    From the largest eigenvalue of the smaller of the two products, which is all that is needed:
    in float64 its vector is good to about 1e-12 where it is the largest by a few per cent.
    """
    from scipy.linalg import eigh

    if not np.isfinite(cells).all():
        return np.full(len(cells), np.nan)
    cells = cells - cells.mean(0)
    by_cell = len(cells) <= cells.shape[1]
    product = cells @ cells.T if by_cell else cells.T @ cells
    last = len(product) - 1
    (value,), vectors = eigh(product, subset_by_index=[last, last])
    along = vectors[:, 0] * max(value, 0.0) ** 0.5 if by_cell else cells @ vectors[:, 0]
    far = np.abs(along)
    # Rounding must not decide which of two equally far cells comes first.
    first = int((far >= far.max() * (1 - 1e-9)).argmax())
    return np.asarray(-along if along[first] < 0 else along)
