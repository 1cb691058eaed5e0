"""Cubic resizing: against OpenCV, against torch, and against the kernel written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.metrics.paper import check_side, cubic_resize
from tests.metrics import oracle_paper

SHAPES = [((16, 16), (60, 60)), ((7, 9), (58, 58)), ((60, 60), (60, 60)), ((16, 16), (512, 512)),
          ((512, 512), (60, 60)), ((40, 3), (20, 31)), ((1, 1), (5, 4))]  # fmt: skip


def draw(shape: tuple[int, int], n: int = 2) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_equals_the_kernel_and_torch(shape: tuple[int, int], size: tuple[int, int]) -> None:
    maps = draw(shape)
    got = cubic_resize(maps, size)
    assert got.shape == (2, *size)
    assert got.dtype == torch.float64
    expected = F.interpolate(maps[:, None], size, mode="bicubic", align_corners=False)[:, 0]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-11)
    written = oracle_paper.cubic(maps[0].numpy(), size)
    np.testing.assert_allclose(got[0].numpy(), written, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_equals_opencv(shape: tuple[int, int], size: tuple[int, int]) -> None:
    """Up to the float32 positions and weights of OpenCV: exact where the ratio is a power of 2."""
    cv2 = pytest.importorskip("cv2")
    maps = draw(shape)
    got = cubic_resize(maps, size).numpy()
    for dtype in (np.float32, np.float64):
        for i, cells in enumerate(maps.numpy().astype(dtype)):
            expected = cv2.resize(cells, size[::-1], interpolation=cv2.INTER_CUBIC)
            np.testing.assert_allclose(got[i], expected, rtol=0, atol=1e-4)
    exact = cv2.resize(maps[0].numpy(), (4 * shape[1], 2 * shape[0]), interpolation=cv2.INTER_CUBIC)
    ours = cubic_resize(maps, (2 * shape[0], 4 * shape[1]))[0].numpy()
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-11)


def test_rings() -> None:
    """A lone negative cell gives its neighbours positive evidence: a tenth of its size."""
    maps = torch.zeros(1, 16, 16)
    maps[0, 8, 8] = -262.0
    assert float(cubic_resize(maps, (60, 60)).max()) == pytest.approx(27, abs=1)


def test_shrinking_samples() -> None:
    """From 512 to 60, a pixel that no kernel reaches changes nothing."""
    maps = torch.zeros(1, 512, 512)
    maps[0, :, 8] = 1e6  # cell 0 reads pixels 2 to 5, cell 1 pixels 11 to 14
    assert not cubic_resize(maps, (60, 60)).any()


def test_constant_maps_stay_constant() -> None:
    for shape, size in SHAPES:
        resized = cubic_resize(torch.full((1, *shape), 0.1, dtype=torch.float64), size)
        assert resized.min() == resized.max() == pytest.approx(0.1)


@pytest.mark.parametrize("size", [(512, 496), (256, 256), (512, 511)])
def test_other_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SoftCAMError, match=f"512x512 and 496x496 px, found {size[0]}x{size[1]}"):
        check_side(size)


def test_the_paper_sizes_pass() -> None:
    check_side((512, 512))
    check_side((496, 496))


@pytest.mark.parametrize("scale", [1e-310, 1e-30, 1e300, 1e307])
def test_any_magnitude(scale: float) -> None:
    maps = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = cubic_resize(maps * scale, (12, 12)) / scale
    torch.testing.assert_close(got, cubic_resize(maps, (12, 12)), rtol=0, atol=1e-9)


def test_the_input_is_left_alone() -> None:
    maps = draw((8, 8))
    before = maps.clone()
    cubic_resize(maps, (8, 8))[:] = 0
    assert torch.equal(maps, before)
