"""Layouts of feature maps: every one there and back, and tokens to the cells they came from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.layouts import LAYOUTS, Layout, TokenGrid, from_map, is_grid, noise_for, token_stride
from softcam.layouts import to_map as as_map


@pytest.mark.parametrize("layout", [layout for rank in LAYOUTS.values() for layout in rank])
def test_every_layout_holds_the_channel_of_a_cell_where_it_says(layout: Layout) -> None:
    z = torch.arange(2 * 5 * 3 * 4.0).view(2, 5, 3, 4)
    laid = from_map(z, layout)
    d, i, j = 4, 2, 1
    at = {
        "BDhw": lambda t: t[1, d, i, j],
        "BhwD": lambda t: t[1, i, j, d],
        "BND": lambda t: t[1, 4 * i + j, d],
        "BDN": lambda t: t[1, d, 4 * i + j],
    }[layout]
    assert at(laid) == z[1, d, i, j]
    back = as_map(laid, layout)
    assert torch.equal(back.view(z.shape), z)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 8, 1, 1), False),
        ((2, 8), False),
        ((2, 1, 4, 3), True),
        ((2, 49, 8), True),
        ((2, 8, 2, 1), True),
        ((2, 1, 8), False),
        ((2, 1, 1, 8), False),
    ],
)
def test_a_grid_has_several_cells(shape: tuple[int, ...], expected: bool) -> None:
    assert is_grid(shape) is expected


@pytest.mark.parametrize(
    ("tokens", "height", "width", "stride"),
    [
        (6, 64, 96, 32),  # 25 px would cut off borders and give 2 x 3 as well
        (196, 224, 224, 16),
        (256, 224, 224, 14),
        (7, 224, 224, 0),
    ],
)
def test_the_stride_of_tokens_prefers_the_one_without_rest(
    tokens: int, height: int, width: int, stride: int
) -> None:
    assert token_stride(tokens, height, width) == stride


def test_tokens_that_do_not_cover_the_image_are_refused() -> None:
    z, x = torch.rand(1, 8, 12), torch.rand(1, 3, 64, 48)
    assert TokenGrid(16)(z, x).shape == (1, 8, 4, 3)
    with pytest.raises(SoftCAMError, match="12 tokens of an image of 64x64 px form no grid of 16"):
        TokenGrid(16)(z, torch.rand(1, 3, 64, 64))


def test_noise_is_positive_only_for_a_head_that_takes_no_other() -> None:
    def root(z: Tensor) -> Tensor:
        return z.sqrt().mean((2, 3))

    assert noise_for(root, (2, 4, 3, 3)).min() >= 0
    assert noise_for(lambda z: z.mean((2, 3)), (2, 4, 3, 3)).min() < 0
