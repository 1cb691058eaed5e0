"""The stride that is read off maps, and the difference of logits."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from softcam.proof import (
    NotThisWay,
    Silent,
    answers,
    cell_size,
    is_even,
    logit_difference,
    probe_copy,
    reduction_of,
    run,
)


class Unpadded(nn.Module):
    """Loses borders: (n - 3) // 8 + 1 cells of n pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=8)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


@pytest.mark.parametrize(
    ("image", "cells", "cell", "even"),
    [
        ((64, 96), (2, 3), 32, True),
        ((64, 96), (1, 2), 32, False),  # a stride of 64 with what is left filled up
        ((128, 96), (7, 5), 16, False),
        ((224, 224), (7, 7), 32, True),
        ((224, 224), (13, 13), 18, False),
        ((64, 64), (2, 2), 32, False),  # too few to tell
    ],
)
def test_the_stride_is_read_off_two_sides(
    image: tuple[int, int], cells: tuple[int, int], cell: int, even: bool
) -> None:
    x, z = torch.empty(1, 3, *image), torch.empty(1, 8, *cells)
    assert cell_size(x, z) == cell and is_even(x, z) is even


def test_a_map_that_is_wide_where_the_image_is_high_has_no_stride() -> None:
    with pytest.raises(NotThisWay, match="taller where the image is wider"):
        cell_size(torch.empty(1, 3, 64, 128), torch.empty(1, 8, 4, 2))


class Several(nn.Module):
    """Gives what it is told to; a further table in training."""

    def __init__(self, give: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.give = give

    def forward(self, x: Tensor) -> object:
        return self.give(x.mean((2, 3)))


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda f: (f, f[:, :2]), r"2 tables, \(2, 3\) and \(2, 2\): wrap it"),
        (lambda f: {"logits": f}, r"a dict \(logits\): wrap it"),
        (lambda f: f[:, 0], r"shape \(2,\), expected logits \(B, C\): give it one column"),
        (lambda f: [f[:, :, None]], "a list, and a list of features has no classifier"),
    ],
)
def test_what_is_no_table_of_logits_is_named(give: Callable[[Tensor], object], said: str) -> None:
    found = run(Several(give).eval(), torch.randn(2, 3, 8, 8))
    assert isinstance(found, str) and re.search(said, found)


def test_auxiliary_logits_in_training_pass() -> None:
    net, x = Several(lambda f: (f, f * 2)), torch.randn(2, 3, 8, 8)
    assert isinstance(run(net.train(), x), Tensor) and isinstance(run(net.eval(), x), str)


def test_the_second_probe_has_another_area_and_aspect() -> None:
    found = answers(Several(lambda f: f).eval(), torch.float32, (64, 128))
    (height, width), (second_height, second_width) = (tuple(x.shape[2:]) for x, _ in found)
    assert height * width != second_height * second_width
    assert (height < width) and (second_height > second_width)


def test_the_stride_of_a_network_without_padding() -> None:
    assert reduction_of(Unpadded(), Unpadded()) == 8


def test_the_difference_is_a_share_of_what_the_image_adds() -> None:
    expected, bias = torch.tensor([[3.0, 1.0]]), torch.tensor([1.0, 0.0])
    assert logit_difference(expected + 0.5, expected, bias) == pytest.approx(0.25)
    with pytest.raises(Silent, match="whatever the image"):
        logit_difference(bias[None], bias[None], bias)
    with pytest.raises(NotThisWay, match="scale"):
        logit_difference(expected, expected * float("inf"), bias)
    with pytest.raises(NotThisWay, match="became"):
        logit_difference(expected[:, :1], expected, bias)


def test_the_probe_leaves_nothing_at_zero() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    nn.init.zeros_(net[0].weight), nn.init.zeros_(net[0].bias), nn.init.zeros_(net[1].weight)
    torch.manual_seed(0)
    probe = probe_copy(net.train())
    assert not probe.training and net.training
    assert all(bool((p != 0).any()) for p in probe.parameters())
    assert not any(bool((p != 0).any()) for p in (net[0].weight, net[0].bias, net[1].weight))
    again = copy_seeded(net)
    assert all(torch.equal(a, b.float()) for a, b in zip(probe.parameters(), again, strict=True))


def copy_seeded(net: nn.Module) -> list[Tensor]:
    torch.manual_seed(0)
    return list(probe_copy(net, torch.float64).parameters())
