"""Opti-CAM: the mixture of feature maps under which the image keeps the largest logit.

    S(x; w)  = sum_k softmax(w)_k A_k                       (B, h, w)   a mixture of feature maps
    F(x; w)  = logit_c of the model on x * n(up(S(x; w)))   (B,)        what is maximised over w

Every image has weights w of its own, no training and no other data. The image is multiplied in
[0, 1], before the model's normalisation.

Source: Zhang et al., "Opti-CAM", CVIU 2024 (equations 4 and 8-11, the other objective 19), and the
authors' public code: ReLU on the features, w = 0.5 at the start, Adam.

One deviation: the public code looks at the loss every steps/10 steps and stops where it has grown,
for the *sum* over the batch, so that an image's map hangs on its neighbours. Here each image stops
for itself. For one image at a time the two are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError, choose
from softcam.explainers.features import split_at_features, undisturbed
from softcam.explainers.registry import check_targets, explainer

__all__ = ["OptimisedMasks", "opti_cam", "optimise_masks"]

START = 0.5  # every w at the beginning: all maps count the same
LOOKS = 10  # how often in a search an image may stop

Objective = Callable[[Tensor, Tensor], Tensor]  # weights (A, K) and rows (A,) to values (A,)


@dataclass(frozen=True)
class OptimisedMasks:
    """What Opti-CAM found for B images, and the way it took.

    Attributes:
        maps: (B, h, w) S, 0 or more, at the resolution of the features.
        masks: (B, H, W) n(up(S)), what the image was multiplied with; in [0, 1].
        weights: (B, K) softmax(w), the share of each feature map; they sum to 1.
        objective: (B, steps + 1) after 0, 1, ... steps, NaN after an image has stopped: the
            logit of the masked image (`plain`), or minus its distance from the logit of the
            image (`diff`).
        steps: (B,) steps behind each result; its objective is `objective[i, steps[i]]`.
    """

    maps: Tensor
    masks: Tensor
    weights: Tensor
    objective: Tensor
    steps: Tensor


def optimise_masks(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    steps: int = 100,
    lr: float = 0.1,
    objective: str = "plain",
    normalisation: str = "max_min",
) -> OptimisedMasks:
    """Search the mixture of feature maps of each image, all images at once.

    After every steps/10 steps an image whose objective has fallen since the last look stops and
    keeps the weights of that moment, as in the public code; the others go on without it. No
    image's result depends on the batch around it, apart from rounding. That is no small print:
    the gradient of a network with ReLUs jumps, and a search of 100 steps in single precision
    blows the last digit of a batched convolution up to per cents of the map. Where two runs have
    to agree, use `model.double()` and `images.double()`, at about three times the time.

    Args:
        model: `BlackBox`, `SoftCAM` or a bare network with a spatial map; left as it was.
        images: (B, 3, H, W) in [0, 1]; for a bare network what it expects, so that a hidden
            pixel is the 0 of that scale.
        targets: LongTensor (B,), the class whose logit counts.
        steps: of Adam, 1 or more.
        lr: its learning rate, on w.
        objective: `plain`, the logit of the masked image (equation 10); `diff`, minus its
            distance from the logit of the image (equation 19; `norm` in the public code).
        normalisation: n: `max_min`, from 0 to 1 in each image; `max`, divided by its maximum;
            `sigmoid`. A map without any contrast is 0 under the first, and one that is 0
            everywhere under the first two, as in equation 4.

    Raises:
        SoftCAMError: targets that do not fit, half precision, several devices, no spatial map,
            an unknown objective or normalisation, steps or lr that are not positive.
    """
    choose("objective", objective, ("plain", "diff"))
    choose("normalisation", normalisation, _NORMALISATIONS)
    if steps < 1 or not lr > 0:
        raise SoftCAMError(f"expected steps >= 1 and lr > 0, found steps={steps} and lr={lr}.")
    _check_precision(model, images)
    # Gradients by the weights alone, whatever is around the call: nothing of the model is marked.
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(model):
        images = images.detach().clone()
        features = _features(model, images)
        images, logits = _laid_out(model, images)
        check_targets(targets, len(images), logits.shape[1])
        targets = targets.to(images.device).clone()
        whole = logits.gather(1, targets[:, None])[:, 0]

        def value(w: Tensor, rows: Tensor) -> Tensor:
            masks = _masks(_mix(w, features[rows]), images.shape[2:], normalisation)
            own = model(images[rows] * masks[:, None].to(images.dtype)).gather(
                1, targets[rows, None]
            )[:, 0]
            return own if objective == "plain" else -(own - whole[rows]).abs()

        w, history, taken = _ascend(value, features, steps, lr)
        maps = _mix(w, features)
        masks = _masks(maps, images.shape[2:], normalisation)
        shares, kind = w.softmax(1), images.dtype
        return OptimisedMasks(
            maps.to(kind), masks.to(kind), shares.to(kind), history.to(kind), taken
        )


@torch.no_grad()
def _laid_out(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The images in the memory order that is fastest for the network, and its logits."""
    channels_last = images.contiguous(memory_format=torch.channels_last)
    try:
        return channels_last, model(channels_last)
    except RuntimeError:  # some networks call .view() on their features
        return images, model(images)


def _ascend(
    value: Objective, features: Tensor, steps: int, lr: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Adam on every image at once: weights w (B, K), objective (B, steps + 1), steps (B,).

    An image that stops leaves the batch, and its weights are put aside. Adam works number by
    number, so the rest does not notice.
    """
    w = features.new_full(features.shape[:2], START).requires_grad_(True)
    adam = torch.optim.Adam([w], lr=lr)
    kept, history = w.detach().clone(), w.new_full((len(w), steps + 1), torch.nan)
    taken = torch.full((len(w),), steps, device=w.device)
    running, before = torch.arange(len(w), device=w.device), w.new_full((len(w),), -torch.inf)
    for step in range(steps):
        if not len(running):
            break
        found = value(w[running], running)
        (gradient,) = torch.autograd.grad(-found.sum(), w)
        found = found.detach().to(w.dtype)
        history[running, step] = found
        if step % max(1, steps // LOOKS) == 0:
            fallen = found < before[running]
            stopped, before[running] = running[fallen], found
            kept[stopped], taken[stopped] = w.detach()[stopped], step
            running = running[~fallen]
        w.grad = gradient
        adam.step()
    if len(running):
        kept[running] = w.detach()[running]
        with torch.no_grad():
            history[running, steps] = value(kept[running], running).to(w.dtype)
    return kept, history, taken


def _features(model: nn.Module, images: Tensor) -> Tensor:
    """ReLU of the last feature map, (B, K, h, w), in double precision where there is any.

    The masks of `max_min` and `max` do not change with the scale of S. So a feature map that is 0
    has a gradient of exactly 0; single precision makes it a rounding error instead, which Adam
    would blow up to full steps, and S would hang on them.
    """
    features, _ = split_at_features(model, images)
    features = features.detach().relu()
    return features if features.device.type == "mps" else features.double()


def _mix(w: Tensor, features: Tensor) -> Tensor:
    """S (equation 8): (A, K) and (A, K, h, w) to (A, h, w)."""
    return torch.einsum("bk,bkij->bij", w.softmax(1), features)


def _masks(maps: Tensor, size: torch.Size, normalisation: str) -> Tensor:
    """n(up(S)): (A, h, w) to (A, H, W)."""
    large = F.interpolate(maps[:, None], tuple(size), mode="bilinear", align_corners=False)
    return _NORMALISATIONS[normalisation](large[:, 0])


def _max_min(maps: Tensor) -> Tensor:
    low = maps.amin((1, 2), keepdim=True)
    return _over(maps - low, maps.amax((1, 2), keepdim=True) - low)


def _max(maps: Tensor) -> Tensor:
    return _over(maps, maps.amax((1, 2), keepdim=True))


def _over(parts: Tensor, whole: Tensor) -> Tensor:
    """parts / whole; 0 (n(0) = 0, equation 4), and no gradient, where the whole is 0."""
    return torch.where(whole > 0, parts / torch.where(whole > 0, whole, 1), 0)


_NORMALISATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "max_min": _max_min,
    "max": _max,
    "sigmoid": torch.sigmoid,
}


def _check_precision(model: nn.Module, images: Tensor) -> None:
    """Refuse what a search in small steps cannot be run on."""
    parameters = list(model.parameters())
    kinds = {p.dtype for p in (*parameters, images) if p.is_floating_point()}
    small = sorted(str(kind) for kind in kinds - {torch.float32, torch.float64})
    if small:
        raise SoftCAMError(
            f"Opti-CAM adds up small steps and needs single precision, found {', '.join(small)}: "
            "use model.float() and images.float()."
        )
    devices = sorted({str(p.device) for p in (*parameters, images)})
    if len(devices) > 1:
        raise SoftCAMError(
            f"Opti-CAM expects the model and the images on one device, found {devices}: move them "
            "with .to(device)."
        )


@explainer(
    name="opti-cam",
    title="Opti-CAM",
    paper="Zhang et al., CVIU 2024",
    cost="100 steps of Adam, each a forward and a backward pass, for each class",
    gauges=("raw",),
    needs="features",
    forwards=202,
)
def opti_cam(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The mixture of feature maps under which the target's logit is largest, (B, h, w).

    `optimise_masks` with the authors' settings: 100 steps, learning rate 0.1, the plain logit.

    Returns:
        S, 0 or more, on the scale of the features: where the map has its zero says nothing.
    """
    return optimise_masks(model, images, targets).maps
