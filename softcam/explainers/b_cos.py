"""B-cos: what each pixel adds to a logit, read off a network made of B-cos layers.

With the weights of every layer held at their values for the image, the network is a linear map
W(x), and the map is W(x) times x at each pixel, summed over the six colour channels. Over the image
it sums to the logit. The network explains itself: other networks have no such map and are refused.

Source: Böhle et al., "B-cos networks: alignment is all we need for interpretability", CVPR 2022;
the network is `softcam.bcos`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.bcos import BcosNet
from softcam.explainers.features import chunk_of, normalised, undisturbed
from softcam.explainers.registry import explainer
from softcam.wrappers import BlackBox

__all__ = ["b_cos"]


def _net(model: nn.Module) -> BcosNet:
    """The B-cos network inside the black box, or the bare one."""
    net = getattr(model, "net", None) if isinstance(model, BlackBox) else model
    assert isinstance(net, BcosNet), "the registry lets no other network through"
    return net


def _maps(model: nn.Module, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and the maps (B, K, H, W) of classes (B, K), some images at a time."""
    net = _net(model)
    with torch.inference_mode(False), undisturbed(model), torch.enable_grad():
        x, _ = normalised(model, images.detach().clone())
        chunk = chunk_of(images, gradients=True)
        parts = zip(torch.split(x, chunk), torch.split(classes.clone(), chunk), strict=True)
        logits, maps = zip(*(net.contributions(*part) for part in parts), strict=True)
    return torch.cat(logits), torch.cat(maps)


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and maps (B, C, H, W): one forward pass, and a backward pass a class."""
    every = torch.arange(_net(model).num_classes, device=images.device)
    return _maps(model, images, every.expand(len(images), -1))


@explainer(
    name="b-cos",
    title="B-cos",
    paper="Böhle et al., CVPR 2022",
    cost="one forward pass, and one backward pass for each class",
    gauges=("raw", "centred", "contrast"),
    needs="b-cos",
    all_classes=_all_classes,
    forwards=3,
)
def b_cos(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """What each pixel adds to the logit of the class.

    Returns:
        (B, H, W), signed, in logits, at the image's resolution; the sum is the logit.
    """
    _, maps = _maps(model, images, targets.to(images.device)[:, None])
    return maps[:, 0]
