"""A fresh last layer takes the place of the old one, wherever that one is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from tests.test_heads import CLASSES, D


class Mean(nn.Module):
    """Convolution, mean, linear; or maps of the classes, and their mean."""

    def __init__(self, maps: bool = False, activation: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, D, 8, 8), nn.BatchNorm2d(D), nn.ReLU())
        self.fc: nn.Module = nn.Conv2d(D, CLASSES, 1) if maps else nn.Linear(D, CLASSES)
        self.maps, self.activation = maps, activation

    def forward(self, x: Tensor) -> Tensor:
        if not self.maps:
            return self.fc(self.body(x).mean((2, 3)))
        a = self.fc(self.body(x))
        return (a.relu() if self.activation else a).mean((2, 3))


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("classes", [1, 9])
def test_a_fresh_layer_takes_the_place_of_its_own_last_convolution(
    activation: bool, classes: int
) -> None:
    net = Mean(maps=True, activation=activation).eval()
    model = to_softcam(net, num_classes=classes)
    assert model.get_classifier().weight.shape == (classes, D, 1, 1)
    x = torch.rand(2, 3, 64, 48)
    torch.testing.assert_close(model.forward_features(x), net.body(x))
    assert model(x).shape == (2, classes)
    assert (
        model.conversion is not None and "(fc, which gave its maps)" in model.conversion.notes[-1]
    )


def test_class_maps_of_two_layers_have_no_last_one_to_swap() -> None:
    class Sum(Mean):
        def __init__(self) -> None:
            super().__init__(maps=True)
            self.other = nn.Conv2d(D, CLASSES, 1)

        def forward(self, x: Tensor) -> Tensor:
            z = self.body(x)
            return (self.fc(z) + self.other(z)).mean((2, 3))

    assert to_softcam(Sum()).conversion is not None
    with pytest.raises(SoftCAMError, match="more than one layer"):
        to_softcam(Sum(), num_classes=9)
