"""BroadCAM: class weights of the feature maps from labels alone, in closed form.

A CAM weighs feature maps with the trained head, whose weights are poor where labels were few.
BroadCAM leaves the head aside: pooled features of some labelled images are regressed on the
labels, and the coefficients weigh the maps. As in the authors' code, features are standardised, a
first ridge regression orders them for each class, groups of the best are averaged into
"enhancement" features (a broad learning system), a second ridge regression weighs both, and all
of it, being linear, folds into one weight a channel and class.

Deviations: features of the last map only, where the authors join several stages; maps stay signed,
where they clip twice; one image size, where they add four and a mirror image. The offset and scale
that the authors give enhancement features are left out: a ridge with normed columns undoes them.

Source: Lin et al., "BroadCAM", arXiv 2309.03509.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError, as_number
from softcam.explainers.features import split_at_features, undisturbed
from softcam.explainers.registry import Explainer, check_targets

__all__ = ["BroadFit", "broad_cam", "fit_broad_cam", "fold_weights"]

ALPHA, STEP = 50.0, 256  # of the authors' demo


@dataclass(frozen=True)
class BroadFit:
    """What a fit leaves: `weights` (C, D), one a class and channel, and how it came about."""

    weights: Tensor
    alpha: float
    images: int


def fit_broad_cam(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    alpha: float = ALPHA,
    step: int = STEP,
    batch_size: int = 32,
) -> BroadFit:
    """Regress labels on the mean of each channel; the model's head takes no part.

    Args:
        model: a classifier with a last feature map.
        images: (N, 3, H, W) in [0, 1], of the training split.
        labels: LongTensor (N,); two classes at least.
        alpha: ridge penalty on columns of length 1; the larger, the more the weights are plain
            correlations.
        step: features in a group; with fewer positive ones than that there are no groups.
        batch_size: images at a time.

    Raises:
        SoftCAMError: labels that do not fit, or of one class only.
    """
    as_number("alpha", alpha)
    pooled, classes = [], 0
    with torch.inference_mode(False), undisturbed(model), torch.no_grad():
        for start in range(0, len(images), batch_size):
            part = images[start : start + batch_size]
            z, head = split_at_features(model, part.clone())
            pooled.append(z.mean((2, 3)).cpu().double())
            classes = classes or head(z[:1]).shape[1]
    check_targets(labels, len(images), classes)
    if len(images) == 0 or len(set(labels.tolist())) < 2:
        raise SoftCAMError(
            f"a fit needs labelled images of two classes at least, found {len(images)} images "
            f"of {len(set(labels.tolist()))}: take some of every class."
        )
    one_hot = F.one_hot(labels.cpu(), classes).double()
    weights = fold_weights(torch.cat(pooled), one_hot, alpha, step)
    return BroadFit(weights.float(), float(alpha), len(images))


def broad_cam(fit: BroadFit) -> Explainer:
    """The explainer of a fit: sum over channels of its weight times the feature map, signed.

    It is no entry of the registry, since it is nothing without its fit.
    """
    classes, channels = fit.weights.shape

    def maps(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False), undisturbed(model), torch.no_grad():
            z, head = split_at_features(model, images.clone())
            logits = head(z)
            found = (logits.shape[1], z.shape[1])
            if found != (classes, channels):
                raise SoftCAMError(
                    f"this fit has {classes} classes and {channels} channels, the model "
                    f"{found[0]} and {found[1]}: fit_broad_cam on the model that is explained."
                )
            return logits, torch.einsum("cd,bdhw->bchw", fit.weights.to(z), z)

    return Explainer(
        name="broad-cam",
        title="BroadCAM",
        paper="Lin et al., arXiv 2309.03509, 2023",
        cost="none beside the fit: one ridge regression on pooled features",
        gauges=("raw",),
        needs="features",
        function=_own(maps),
        all_classes=maps,
        experimental=True,
    )


def _own(
    maps: Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]],
) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    def function(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        _, every = maps(model, images)
        return every[torch.arange(len(every), device=every.device), targets.to(every.device)]

    return function


def fold_weights(features: Tensor, labels: Tensor, alpha: float, step: int = STEP) -> Tensor:
    """(C, D): the whole broad learning system as one weight a class and channel.

    Args:
        features: (N, D) float64, pooled and not standardised.
        labels: (N, C), 1 where an image has the class.
    """
    scale = features.std(0, correction=0)
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    z = (features - features.mean(0)) / scale
    first = _ridge(z, labels, alpha) / scale[:, None]  # (D, C)
    groups = int((first > 0).sum(0).min()) // step
    mixing = z.new_zeros(len(scale), labels.shape[1] * groups)
    order = first.argsort(stable=True, dim=0, descending=True)
    for column in range(mixing.shape[1]):
        c, place = divmod(column, groups)
        best = order[place * step : (place + 1) * step, c]
        mixing[best, column] = first[best, c] / step
    joint = _ridge(torch.cat([z, z @ mixing], 1), labels, alpha)
    direct, enhanced = joint[: len(scale)], joint[len(scale) :]
    return ((direct + mixing @ enhanced) / scale[:, None]).T.contiguous()


def _ridge(x: Tensor, y: Tensor, alpha: float) -> Tensor:
    """Ridge coefficients (D, C), with an intercept and columns of x brought to length 1.

    Solved over images where there are fewer of them than columns.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    length = x.norm(dim=0)
    length = torch.where(length == 0, torch.ones_like(length), length)
    x = x / length
    few = len(x) < x.shape[1]
    gram = x @ x.T if few else x.T @ x
    gram = gram + alpha * torch.eye(len(gram), dtype=x.dtype)
    solved = x.T @ torch.linalg.solve(gram, y) if few else torch.linalg.solve(gram, x.T @ y)
    return solved / length[:, None]
