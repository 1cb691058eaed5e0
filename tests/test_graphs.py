"""Traced parts: what a trace freezes is put back, and nothing is stored that was not before."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


class Block(nn.Module):
    """Batch norm as a function of its own mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, 4)
        self.register_buffer("average", torch.zeros(8))
        self.register_buffer("spread", torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(self.conv(x), self.average, self.spread, training=self.training)  # type: ignore[arg-type]


class Frozen(nn.Module):
    """A block, two ways to drop, and arguments that have defaults."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.fc = Block(), nn.Linear(8, 3)

    def forward(
        self, x: Tensor, features: bool = False, targets: Tensor | None = None, scale: float = 1.0
    ) -> Tensor:
        z = F.dropout(self.block(x), 0.5, self.training)
        if features or targets is not None:
            return z
        return self.fc(z.mean((2, 3))) * scale


class Handed(Frozen):
    def forward(self, *args: Tensor, **options: float) -> Tensor:
        return super().forward(*args, **options)


@pytest.mark.parametrize("kind", [Frozen, Handed])
def test_each_module_answers_for_its_own_mode(kind: type[Frozen]) -> None:
    net = kind().train()
    net.block.eval()
    model, x = to_softcam(net), torch.randn(4, 3, 32, 24)
    assert model.conversion is not None and model.conversion.kind == "exact"
    torch.manual_seed(1)
    expected = net(x)
    torch.manual_seed(1)
    torch.testing.assert_close(model(x), expected)  # drops, but takes the stored averages
    assert not any(bool(value.any()) for name, value in model.named_buffers() if "average" in name)
    torch.testing.assert_close(model.train()(x[:1]).shape, net.train()(x[:1]).shape)
    assert any(bool(value.any()) for name, value in model.named_buffers() if "average" in name)


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(1).item()])
def test_random_numbers_that_a_trace_would_freeze_are_refused(draw: Callable[[], float]) -> None:
    class Random(Elsewhere):
        def forward(self, x: Tensor) -> Tensor:
            z = self.conv(x)
            if self.training and draw() < 0.5:
                z = z * 2
            return self.fc(z.mean((2, 3)))

    net = Random()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index,union-attr]
    with pytest.raises(SoftCAMError, match="draws random numbers"):
        to_softcam(net)
    assert before[0] == random.getstate()
    assert before[1] == np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    assert before[2] == torch.get_rng_state().tolist()


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
