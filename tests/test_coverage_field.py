"""Receptive fields against arithmetic."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from softcam import to_softcam
from softcam.backbones import build_net
from softcam.coverage import look, receptive_field


def field_by_arithmetic(layers: list[tuple[int, int, int]]) -> int:
    """1 + sum of (kernel - 1) * dilation * the strides before."""
    field, jump = 1, 1
    for kernel, stride, dilation in layers:
        field += (kernel - 1) * dilation * jump
        jump *= stride
    return field


STACKS = [
    [(1, 1, 1)],
    [(3, 1, 1)],
    [(7, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1)],
    [(3, 2, 1), (5, 2, 1), (3, 1, 4), (1, 1, 1), (3, 2, 1), (3, 1, 2)],
    [(3, 2, 1)] * 5 + [(3, 1, 1)] * 8,  # wider than the first strip
    [(4, 4, 1), (2, 2, 1)],  # patches, without padding
]


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("layers", STACKS)
def test_a_stack_of_convolutions(layers: list[tuple[int, int, int]], padded: bool) -> None:
    stack, width = nn.Sequential(), 3
    for kernel, stride, dilation in layers:
        padding = dilation * (kernel - 1) // 2 if padded and kernel % 2 else 0
        stack.append(nn.Conv2d(width, 4, kernel, stride, padding, dilation))
        stack += nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())
        width = 4
    small = not padded and len(layers) > 6  # 64 px are not wide enough, 128 px neither
    expected = "-" if small else str(field_by_arithmetic(layers))
    assert receptive_field(stack.eval()) == expected


def test_nothing_hides_a_dependence() -> None:
    stack = nn.Sequential(nn.Conv2d(3, 2, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU6())
    nn.init.zeros_(stack[0].weight)  # type: ignore[arg-type]
    nn.init.constant_(stack[0].bias, -1.0)  # type: ignore[arg-type]  # every ReLU is dead
    assert receptive_field(stack) == "6"


@pytest.mark.parametrize("name", ["bagnet9t-w8", "bagnet17t-w8", "bagnet33t-w8", "bagnet33-w4"])
def test_a_bagnet_sees_its_window(name: str) -> None:
    net = build_net(name, 2).eval()
    model = to_softcam(net).eval()
    assert look(model, (224, 224), (64,)).receptive_field == str(net.receptive_field)


def test_published_fields() -> None:
    """435 px for ResNet-18, from its layers (Araujo et al., Distill 2019)."""
    net = build_net("resnet18-w2", 2).eval()
    assert receptive_field(net.forward_features) == "435"  # type: ignore[arg-type]


class Everywhere(nn.Module):
    """A convolution, and the mean of the whole image at every cell."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::8, ::8] + x.mean((2, 3), keepdim=True)


class OneSize(nn.Module):
    """Takes images of 32x32 px only."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (32, 32)
        return self.conv(x)


def test_what_has_no_length() -> None:
    far = nn.Conv2d(3, 1, 65, stride=64, padding=2048, dilation=64)  # 4097 px, with holes
    assert receptive_field(Everywhere()) == "whole image"
    assert receptive_field(far) == "4097"
    assert receptive_field(OneSize(5), (32, 32)) == "5"
    assert receptive_field(OneSize(41), (32, 32)) == "41"
    assert receptive_field(OneSize(57), (32, 32)) == "> 16"
    assert receptive_field(OneSize(5), (48, 48)) == "-"
    assert receptive_field(lambda x: x / 0 * 0) == "-"  # NaN out of nothing is no field
