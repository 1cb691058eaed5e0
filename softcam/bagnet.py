"""BagNet: a ResNet that sees the image through small windows, the backbone of Sparse BagNet.

Most of its 3x3 convolutions are 1x1, so that a cell of the last map depends on a square of 9, 17
or 33 px and nothing else. With mean pooling and a linear layer it is a bag of local features: its
evidence maps are exact *and* local, at the price of never seeing the whole. Sparse BagNet is this
backbone under a class-evidence layer with an L1 penalty, which is what `to_softcam` and the arm
`sparse` make of it.

    bagnet9, bagnet17, bagnet33       the published layout: 3, 4, 6, 3 bottlenecks
    bagnet9t, bagnet17t, bagnet33t    tiny: one block a stage, without the fourfold widening

One deviation: the 3x3 convolutions are padded, so that a map of h x w cells covers the whole image
like that of any other network (12 x 12 at 96 px, 64 x 64 at 512 px; without padding 8 x 8 and
60 x 60, whose outer cells are centred 16 px inside the border). Parameters keep the published
names, so a state dict of the authors' BagNets fits the large ones.

Source: Brendel & Bethge, "Approximating CNNs with bag-of-local-features models", ICLR 2019;
Djoumessi et al., "Sparse activations for interpretable disease grading", MIDL 2023.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor, nn

from softcam.common import SoftCAMError

__all__ = ["BAGNETS", "BagNet", "build_bagnet"]

# Receptive field in px: in which of the four stages the first block has a 3x3 convolution.
WINDOWS = {9: (3, 3, 1, 1), 17: (3, 3, 3, 1), 33: (3, 3, 3, 3)}
BAGNETS = tuple(f"bagnet{window}{size}" for window in WINDOWS for size in ("", "t"))
STRIDES = (2, 2, 2, 1)
CHANNELS = (64, 128, 256, 512)


class Block(nn.Module):
    """1x1, 3x3 or 1x1, then 1x1 convolution, and a shortcut around them."""

    def __init__(self, inside: int, width: int, outside: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel, stride, kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outside, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn3(self.conv3(out)) + shortcut)


class BagNet(nn.Module):
    """Normalised images (B, 3, H, W) to logits (B, C), with timm's verbs.

    Args:
        window: receptive field of a cell, 9, 17 or 33 px; the stride is 8 px in all of them.
        num_classes: C.
        depths: blocks in each stage.
        channels: inner width of each stage; the stem has that of the first.
        expansion: how much wider a block's output is.
    """

    def __init__(
        self,
        window: int,
        num_classes: int,
        depths: Sequence[int] = (3, 4, 6, 3),
        channels: Sequence[int] = CHANNELS,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        self.receptive_field = window
        self.conv1 = nn.Conv2d(3, channels[0], 1, bias=False)
        self.conv2 = nn.Conv2d(channels[0], channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU(inplace=True)
        inside = channels[0]
        stages = zip(depths, channels, WINDOWS[window], STRIDES, strict=True)
        for number, (depth, width, kernel, stride) in enumerate(stages, 1):
            outside = width * expansion
            blocks = [Block(inside, width, outside, kernel, stride)]
            blocks += [Block(outside, width, outside, 1, 1) for _ in range(depth - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            inside = outside
        self.num_features = inside
        self.fc = nn.Linear(inside, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, x: Tensor) -> Tensor:
        """The last feature map, (B, D, H / 8, W / 8), rounded up."""
        x = self.relu(self.bn1(self.conv2(self.conv1(x))))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return x

    def forward_head(self, z: Tensor) -> Tensor:
        """Mean over the map and the linear layer: (B, D, h, w) to (B, C)."""
        return self.fc(z.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Linear:
        """The linear layer."""
        return self.fc


def build_bagnet(
    name: str, num_classes: int, *, channels: Sequence[int] = CHANNELS, **refused: object
) -> BagNet:
    """The network of a name in `BAGNETS`.

    Raises:
        SoftCAMError: an option that a BagNet does not have.
    """
    if refused:
        asked = ", ".join(f"{key}={value}" for key, value in refused.items())
        raise SoftCAMError(
            f"{name} cannot be built with {asked}: a BagNet has stride 8 and takes only a width, "
            f"as in {name}-w32."
        )
    found = re.fullmatch(r"bagnet(\d+)(t?)", name)
    assert found, name
    if found[2]:
        return BagNet(int(found[1]), num_classes, (1, 1, 1, 1), channels, expansion=1)
    return BagNet(int(found[1]), num_classes, channels=channels)
