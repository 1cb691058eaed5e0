"""The paper's head is for networks whose first layer behind `features` reads a grid of cells."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from softcam.proof import NotThisWay
from softcam.vgg import paper_head

D = 8


class Kin(nn.Module):
    """`features`, and fully connected layers over a grid of 4x4 cells."""

    def __init__(self, features: nn.Module | None = None, cells: int = 16) -> None:
        super().__init__()
        body = nn.Sequential(nn.Conv2d(3, D, 4, 4), nn.ReLU())
        self.features = features or body.append(nn.AdaptiveAvgPool2d(4))
        self.fc1, self.fc2 = nn.Linear(D * cells, 6), nn.Linear(6, 3)
        self.spare = nn.Linear(6, 77)  # never used

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(self.features(x).flatten(1)).relu())


class Stem(Kin):
    """Its `features` do not take the image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 2 - 1)


class Lists(Kin):
    """Its `features` give a list."""

    def __init__(self) -> None:
        super().__init__(Two(), 2)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.features(x)
        return self.fc2(self.fc1(torch.cat([a.mean((2, 3)), b.mean((2, 3))], 1)))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, D, 8, 8)

    def forward(self, x: Tensor) -> list[Tensor]:
        z = self.conv(x)
        return [z, z.relu()]


class TwoPools(Kin):
    """Reads as many numbers as two cells have, but pooled ones."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, D, 4, 4), 2)

    def forward(self, x: Tensor) -> Tensor:
        z = self.features(x)
        return self.fc2(self.fc1(torch.cat([z.mean((2, 3)), z.amax((2, 3))], 1)))


class Neck(nn.Module):
    """A convolution behind `features`, with weights enough for several cells."""

    def __init__(self, kernel: int, padding: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, D, 8, 8)
        self.neck, self.fc = nn.Conv2d(D, 6, kernel, padding=padding), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.neck(self.features(x)).mean((2, 3))).softmax(1)


@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d(4), nn.AdaptiveMaxPool2d((2, 8))])
def test_classes_are_those_of_the_logits(pool: nn.Module) -> None:
    net = Kin(nn.Sequential(nn.Conv2d(3, D, 4, 4), nn.ReLU(), pool))
    features, head, conversion = paper_head(net, None, 5)
    assert head(features(torch.rand(2, 3, 32, 64))).shape[1] == 3
    assert conversion.kind == "paper"
    assert paper_head(net, 7, 5)[1](torch.rand(1, D, 2, 2)).shape == (1, 7, 2, 2)


def test_features_need_no_weights() -> None:
    features, head, _ = paper_head(Kin(nn.AdaptiveAvgPool2d((4, 4)), 6).eval(), None, 5)
    assert head(features(torch.rand(2, 3, 32, 32))).shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Stem(), "do not take the image itself"),
        (Lists(), "give no map"),
        (Kin(nn.Sequential(nn.Conv2d(3, D, 8, 8), nn.Flatten())), "no map"),
        (TwoPools(), "reads no grid"),
        (Neck(3, 1), "reads no grid"),
        (Neck(4, 0), "reads no grid"),  # covers the map of a 32 px image, and no other
        (Kin(nn.Sequential(nn.Conv2d(3, D, 4, 4), nn.AdaptiveAvgPool2d(1)), 1), "reads no grid"),
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), "has no `features`"),
    ],
)  # fmt: skip
def test_other_networks_are_not_of_the_family(net: nn.Module, reason: str) -> None:
    with pytest.raises(NotThisWay, match=reason):
        paper_head(net, None, 5)
