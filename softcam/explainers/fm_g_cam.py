"""FM-G-CAM: several classes in one picture, each cell given to the class that claims it most.

H_c = mean_k alpha_k^c A_k with alpha_k^c the mean gradient of logit c, as in Grad-CAM. Each cell
keeps only the class with the largest H; negative values are cut off; one scale for all classes of
an image.

The public code norms each *column* of a map by its own length, so that two columns of one map
cannot be compared. One length for the whole picture is meant here; the min-max scaling after
it cancels that length, so only the division by the largest value is left.

Source: Silva & Bird, "FM-G-CAM", arXiv 2312.05975.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.explainers.features import Head, each_class, split_at, undisturbed
from softcam.explainers.hires_cam import head_gradient
from softcam.explainers.registry import explainer

__all__ = ["fm_g_cam", "fused_maps"]

CLASSES = 3  # K of the paper


def fused_maps(
    model: nn.Module,
    images: Tensor,
    classes: Tensor | int = CLASSES,
    layer: str | None = None,
) -> Tensor:
    """One map for each of K classes; no cell belongs to two of them.

    Args:
        model: a classifier with a last feature map.
        images: (B, 3, H, W) in [0, 1].
        classes: LongTensor (B, K), the classes that share each picture, or K for the K highest
            logits, highest first; at most as many as the model has.
        layer: a name of `model.named_modules()`; None takes the last feature map.

    Returns:
        (B, K, h, w) in [0, 1]: at each cell all but one are 0, and the largest value of an image
        is 1. A cell is 0 in all maps where no class has a positive value.

    Raises:
        SoftCAMError: classes of another shape, out of range or repeated within an image.
    """
    with torch.inference_mode(False), undisturbed(model):
        z, head = split_at(model, images.clone(), layer)
        with torch.no_grad():
            logits = head(z)
        if isinstance(classes, int):
            classes = _order(logits)[:, : max(classes, 0)]
        _check(classes, logits)
        return _share(torch.stack([_heat(z, head, column) for column in classes.T], 1))


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Each class in turn as the target, from one H a class."""
    logits, heat = each_class(model, images, _heat)
    maps = []
    for c in range(logits.shape[1]):
        shared = _rivals(logits, torch.full_like(logits[:, 0], c).long())
        places = shared[:, :, None, None].expand(-1, -1, *heat.shape[2:])
        maps.append(_share(heat.gather(1, places))[:, 0])
    return logits, torch.stack(maps, 1)


@explainer(
    name="fm-g-cam",
    title="FM-G-CAM",
    paper="Silva & Bird, arXiv 2312.05975, 2023",
    cost=f"the head once more, forward and backward, for each of {CLASSES} classes",
    gauges=("raw",),
    needs="features",
    all_classes=_all_classes,
)
def fm_g_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """What the target keeps when it shares the picture with the highest other logits.

    The target and the two classes with the highest other logits, or all where there are fewer.

    Args:
        model: a classifier.
        images: (B, 3, H, W) in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
        layer: a name of `model.named_modules()`; None takes the last feature map.

    Returns:
        (B, h, w) in [0, 1]; all 0 where other classes claim every cell.
    """
    with torch.inference_mode(False), undisturbed(model):
        z, head = split_at(model, images.clone(), layer)
        with torch.no_grad():
            shared = _rivals(head(z), targets.to(z.device).clone())
        return _share(torch.stack([_heat(z, head, column) for column in shared.T], 1))[:, 0]


def _heat(z: Tensor, head: Head, targets: Tensor) -> Tensor:
    """H of one class an image, (B, h, w), signed: Grad-CAM as a mean over channels."""
    return (head_gradient(z, head, targets).mean((2, 3), keepdim=True) * z).mean(1)


def _order(logits: Tensor) -> Tensor:
    """Classes by their logit, highest first, (B, C)."""
    return logits.sort(dim=1, descending=True, stable=True).indices


def _rivals(logits: Tensor, targets: Tensor) -> Tensor:
    """The target first, then the classes with the highest other logits, (B, K)."""
    return _order(logits.scatter(1, targets[:, None], torch.inf))[:, :CLASSES]


def _share(weighted: Tensor) -> Tensor:
    """Each cell to its largest class: (B, K, h, w) signed to the same in [0, 1]."""
    winner = weighted.argmax(1, keepdim=True)  # the first, where two are equal
    kept = torch.zeros_like(weighted).scatter_(1, winner, weighted.gather(1, winner)).clamp(min=0)
    most = kept.flatten(1).amax(1)[:, None, None, None]
    return kept / torch.where(most == 0, torch.ones_like(most), most)


def _check(classes: Tensor, logits: Tensor) -> None:
    known = logits.shape[1]
    whole = classes.dtype == torch.long and classes.ndim == 2 and len(classes) == len(logits)
    if not whole or not classes.shape[1]:
        raise SoftCAMError(
            f"expected the classes of each image as a LongTensor ({len(logits)}, K) with K >= 1, "
            f"found {classes.dtype} {tuple(classes.shape)}."
        )
    if not classes.numel():
        return
    if not 0 <= int(classes.min()) <= int(classes.max()) < known:
        raise SoftCAMError(
            f"classes run from {int(classes.min())} to {int(classes.max())}, but the model has "
            f"classes 0 to {known - 1}."
        )
    ordered = classes.sort(1).values
    if bool((ordered[:, 1:] == ordered[:, :-1]).any()):
        raise SoftCAMError("a class stands twice in one image's list: name each class once.")
