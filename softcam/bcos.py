"""B-cos ResNets: networks whose own linear map is the explanation, a rival to evidence maps.

A B-cos unit computes |cos(x, w)| * (w . x) with |w| = 1: linear in x, with weights that depend on
x. Layers of such units, norms without bias and mean pooling compose to W(x) x, so that a logit is a
sum over the pixels of what each adds to it, exactly and at the image's own resolution.

    bcos_resnet10, bcos_resnet18, bcos_resnet34    basic blocks: 1 1 1 1, 2 2 2 2, 3 4 6 3
    bcos_resnet50                                  bottlenecks: 3 4 6 3

`-wN` gives channels (N, 2N, 4N, 8N). `-osN` leaves out the strides of the last stages, without the
dilation that other networks put in their place (the package has it for bottlenecks alone, and
slowly). The explanation has a value a pixel at any stride, but is finer where the features are.

The networks are those of the authors' package `bcos` (an extra: `softcam[bcos]`) with the norm of
their ImageNet ResNets. Three things differ from what the authors do:

- The six colour channels (r, g, b, 1-r, 1-g, 1-b) are made inside, from [0, 1]: a `BlackBox` hands
  over its normalisation, and it is undone first.
- There is no constant -log(C - 1) on the logits, so that contributions sum to the logit itself. The
  softmax does not see it; a sigmoid starts at one half.
- They are trained by the loop of every other network, with cross-entropy over the softmax; the
  authors use a binary cross-entropy a class, clipped gradients and no weight decay (which changes
  the length of w only, and thereby the size of the steps).

Source: Böhle, Fritz & Schiele, "B-cos networks: alignment is all we need for interpretability",
CVPR 2022; Böhle, Singh, Fritz & Schiele, "B-cos alignment for inherently interpretable CNNs and
vision transformers", TPAMI 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.wrappers import Normalize

__all__ = ["BCOS", "BcosNet", "build_bcos"]

BLOCKS = {
    "bcos_resnet10": ("BasicBlock", [1, 1, 1, 1]),
    "bcos_resnet18": ("BasicBlock", [2, 2, 2, 2]),
    "bcos_resnet34": ("BasicBlock", [3, 4, 6, 3]),
    "bcos_resnet50": ("Bottleneck", [3, 4, 6, 3]),
}
BCOS = tuple(BLOCKS)


class BcosNet(nn.Module):
    """Normalised images (B, 3, H, W) to logits (B, C), with timm's verbs.

    Args:
        net: a network of the package, from six channels to logits, without a constant in them.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.normalize = Normalize()
        self.num_features = int(net.num_features)
        self.num_classes = int(net.num_classes)

    def undo_normalization(self, normalize: Normalize) -> None:
        """Say how the images that come in were normalised; a `BlackBox` does."""
        self.normalize = normalize

    def encode(self, x: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) to colours and their opposites, (B, 6, H, W) in [0, 1]."""
        x = self.normalize.inverse(x)
        return torch.cat([x, 1 - x], 1)

    def forward_features(self, x: Tensor) -> Tensor:
        """The last feature map, (B, D, H / 32, W / 32) unless built finer, rounded up."""
        return self.net.forward_features(self.encode(x))

    def forward_head(self, z: Tensor) -> Tensor:
        """The last B-cos layer in each cell, then the mean: (B, D, h, w) to (B, C)."""
        return self.net.fc(z).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """The last B-cos layer."""
        return self.net.fc

    def contributions(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """What each pixel adds to the logit of each class: W(x) x, not yet summed over pixels.

        The weights of every layer are held at their values for `x`, and the gradient is then
        W(x). To be called in eval mode, where gradients can be had.

        Args:
            x: normalised images (B, 3, H, W).
            classes: LongTensor (B, K), the classes to explain in each image.

        Returns:
            logits (B, C), and maps (B, K, H, W) in logits, signed; the sum over H and W is the
            logit.
        """
        x6 = self.encode(x).detach().requires_grad_()
        with import_module("bcos").explanation_mode(self.net):
            logits = self.forward_head(self.net.forward_features(x6))
            chosen = logits.gather(1, classes).sum(0)  # (K,): images do not meet in eval mode
            maps = [
                (x6 * torch.autograd.grad(each, x6, retain_graph=True)[0]).sum(1) for each in chosen
            ]
        return logits.detach(), torch.stack(maps, 1).detach()


def build_bcos(
    name: str,
    num_classes: int,
    *,
    channels: Sequence[int] = (64,),
    output_stride: int = 32,
    **refused: object,
) -> BcosNet:
    """The network of a name in `BCOS`; of `channels` the first counts, a stage doubles them.

    A map cell covers `output_stride` px: 8, 16 or 32.

    Raises:
        SoftCAMError: an option that the network does not have, or no package `bcos`.
    """
    if refused:
        asked = ", ".join(f"{key}={value}" for key, value in refused.items())
        raise SoftCAMError(
            f"{name} cannot be built with {asked}: a B-cos ResNet takes only a width and an "
            f"output stride, as in {name}-w32-os8."
        )
    try:
        resnet, norms = import_module("bcos.models.resnet"), import_module("bcos.modules.norms")
    except ImportError as error:
        raise SoftCAMError(
            f"{name} is built by the package bcos, which cannot be imported ({error}): "
            "pip install 'softcam[bcos]'."
        ) from error
    block, depths = BLOCKS[name]
    net = resnet.BcosResNet(
        getattr(resnet, block),
        depths,
        num_classes=num_classes,
        inplanes=channels[0],
        norm_layer=norms.NoBias(norms.BatchNormUncentered2d),
        logit_bias=1.0,  # the default fails for one class; taken away below
    )
    net.logit_layer.logit_bias = None
    for stage in (net.layer3, net.layer4)[{8: 0, 16: 1, 32: 2}[output_stride] :]:
        for layer in stage.modules():
            if isinstance(layer, resnet.BcosConv2d) and layer.stride == 2:
                layer.stride, layer.linear.stride = 1, (1, 1)
    return BcosNet(net)
