"""Traced parts: what a trace freezes is put back, and nothing is stored that was not before."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Gained(nn.Module):
    """Multiplies by a table that is looked up while it is traced, and by one that is not stored."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)
        self.inner = nn.Sequential(nn.Identity())
        self.table = torch.linspace(0.5, 2, 16)
        self.register_buffer("passing", torch.linspace(1, 3, 8), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        z = self.inner(self.conv(x)) * self.table.view(2, 8)[0].view(1, 8, 1, 1)
        z = torch.relu(z * self.passing.view(1, 8, 1, 1))
        return self.fc(z.mean((2, 3)))


class Elsewhere(nn.Module):
    """Takes another way in training."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(3, 8, 4, 4)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.other(x) if self.training else self.conv(x)
        return self.fc(z.mean((2, 3)))


def test_constants_move_along_and_are_not_stored() -> None:
    net = Gained().eval()
    model, x = to_softcam(net), torch.randn(2, 3, 32, 24)
    stored = {"backbone.conv.weight", "backbone.conv.bias", "evidence.weight", "evidence.bias"}
    assert set(model.state_dict()) == stored
    torch.testing.assert_close(model(x), net(x))
    twin = copy.deepcopy(model).double()
    assert set(twin.state_dict()) == stored
    torch.testing.assert_close(twin(x.double()), net.double()(x.double()))


def test_another_way_in_training_is_refused_and_not_dropped() -> None:
    with pytest.raises(SoftCAMError, match="other layers in training than in evaluation"):
        to_softcam(Elsewhere())
