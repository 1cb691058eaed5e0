"""Maps over images: bilinear as torch does it, areas as an integral does it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.metrics.geometry import (
    PatchGrid,
    area_pool,
    enlarge,
    patch_grid,
    patch_maximum,
    read_patches,
)
from tests.metrics import oracle


@pytest.mark.parametrize(
    ("cells", "size"), [((4, 4), (32, 32)), ((3, 5), (17, 40)), ((1, 1), (6, 9))]
)
def test_enlarge_is_torchs_bilinear(cells: tuple[int, int], size: tuple[int, int]) -> None:
    maps = torch.randn(3, *cells, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(enlarge(maps, size), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("fine", "size"), [((24, 16), (12, 8)), ((20, 30), (13, 7))])
def test_a_finer_map_is_area_pooled(fine: tuple[int, int], size: tuple[int, int]) -> None:
    maps = np.random.default_rng(1).normal(size=fine)
    found = enlarge(torch.from_numpy(maps)[None], size)[0].numpy()
    np.testing.assert_allclose(found, oracle.upsample(maps, size), atol=1e-9)
    if fine[0] % size[0] == 0:  # whole pixels: a plain block mean
        blocks = maps.reshape(size[0], 2, size[1], 2).mean((1, 3))
        np.testing.assert_allclose(found, blocks, atol=1e-9)


def test_a_constant_map_stays_constant() -> None:
    up = enlarge(torch.full((1, 7, 11), 0.1, dtype=torch.float32), (96, 96))
    assert up.min() == up.max()


def test_area_pool_by_hand() -> None:
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[0, 0, 0] = mask[0, 3, 3:] = True
    expected = torch.tensor([[[1 / 6, 0], [0, 0.5]]], dtype=torch.float64)
    torch.testing.assert_close(area_pool(mask, (2, 2)), expected)


def test_area_pool_keeps_the_area_where_cells_cut_pixels() -> None:
    mask = torch.rand(2, 10, 14, generator=torch.Generator().manual_seed(2)) > 0.6
    pooled = area_pool(mask, (3, 4))
    torch.testing.assert_close(pooled.mean((1, 2)), mask.double().mean((1, 2)))


@pytest.mark.parametrize(
    ("size", "grid"),
    [((512, 512), PatchGrid(33, 8, 60, 60)), ((496, 496), PatchGrid(32, 8, 59, 59)),
     ((96, 96), PatchGrid(6, 1, 91, 91)), ((32, 48), PatchGrid(3, 1, 30, 46))],
)  # fmt: skip
def test_patch_grid(size: tuple[int, int], grid: PatchGrid) -> None:
    assert patch_grid(*size) == grid


@pytest.mark.parametrize(("size", "stride", "reach"), [(33, 8, 2), (6, 1, 2), (8, 2, 1), (3, 1, 1)])
def test_reach_is_just_under_half_a_side(size: int, stride: int, reach: int) -> None:
    assert PatchGrid(size, stride, 9, 9).reach == reach
    assert reach * stride < size / 2 <= (reach + 1) * stride


def test_an_image_smaller_than_a_patch_is_refused() -> None:
    with pytest.raises(SoftCAMError, match="2x9 px"):
        patch_grid(2, 9)


def test_a_patch_is_read_at_its_own_centre() -> None:
    """A map that rises linearly with y reads as the y of the centre, away from the border."""
    y = (torch.arange(64, dtype=torch.float64) + 0.5) / 64 * 512
    grid = patch_grid(512, 512)
    scores = read_patches(y[None, :, None].expand(1, 64, 64), (512, 512), grid)[0]
    centres = torch.arange(60) * 8 + 16.5
    torch.testing.assert_close(scores[:, 5], centres.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("cells", [(5, 5), (40, 40), (512, 512)])
def test_read_patches_follows_the_oracle(cells: tuple[int, int]) -> None:
    maps = np.random.default_rng(3).normal(size=cells)
    grid = PatchGrid(33, 8, 4, 3)
    found = read_patches(torch.from_numpy(maps)[None], (512, 512), grid)[0].numpy()
    ys, xs = [8 * r + 16.5 for r in range(4)], [8 * c + 16.5 for c in range(3)]
    np.testing.assert_allclose(found, oracle.read_at(maps, ys, xs, 8, (512, 512)), atol=1e-9)


def test_patch_maximum_keeps_cut_off_tiles_only_when_asked() -> None:
    values = torch.arange(25.0).reshape(1, 5, 5)
    assert patch_maximum(values, 2, 2).tolist() == [[[6, 8], [16, 18]]]
    whole = patch_maximum(values, 2, 2, partial=True)
    assert whole.tolist() == [[[6, 8, 9], [16, 18, 19], [21, 23, 24]]]


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(3, 3), (5, 2), (4, 1), (9, 9)])
def test_patch_maximum_is_torchs_max_pooling(size: int, stride: int, partial: bool) -> None:
    values = torch.randn(2, 11, 17, generator=torch.Generator().manual_seed(6))
    expected = F.max_pool2d(values[:, None], size, stride, ceil_mode=partial)[:, 0]
    assert torch.equal(patch_maximum(values, size, stride, partial=partial), expected)


def test_a_map_at_image_size_stays_as_it_is() -> None:
    """But for the rounding that makes nearly equal values equal."""
    maps = torch.randn(2, 9, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(enlarge(maps, (9, 14)), maps, atol=1e-11, rtol=0)
    one_axis = oracle.upsample(maps[0].numpy(), (9, 30))
    np.testing.assert_allclose(enlarge(maps, (9, 30))[0].numpy(), one_axis, atol=1e-9)
