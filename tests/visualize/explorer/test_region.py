"""A rectangle's share of each cell, against counting small pixels."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.visualize.explorer.region import Region, box_of


def counted(region: Region, cells: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Each pixel cut into as many parts as there are cells, so that no cell cuts a part."""
    parts = region.mask(size).repeat(cells[0], 0).repeat(cells[1], 1).astype(float)
    return parts.reshape(cells[0], size[0], cells[1], size[1]).mean((1, 3))


@pytest.mark.parametrize("cells", [(1, 1), (2, 2), (3, 5), (7, 7)])
@pytest.mark.parametrize("box", [(0, 0, 24, 20), (5, 3, 1, 1), (4, 7, 11, 6), (23, 19, 1, 1)])
def test_shares_are_those_counted(cells: tuple[int, int], box: tuple[int, ...]) -> None:
    size, region = (20, 24), Region(*box)
    found = region.shares(cells, size)
    assert found.shape == cells
    np.testing.assert_allclose(found, counted(region, cells, size), atol=1e-12)


def test_by_hand() -> None:
    found = Region(8, 0, 12, 4).shares((2, 4), (16, 32))  # cells of 8 x 8 pixels
    assert found.tolist() == [[0, 0.5, 0.25, 0], [0, 0, 0, 0]]


def test_regions_that_tile_the_image_add_up_to_all_of_it() -> None:
    left, right = Region(0, 0, 11, 20), Region(11, 0, 13, 20)
    total = left.shares((3, 5), (20, 24)) + right.shares((3, 5), (20, 24))
    np.testing.assert_allclose(total, 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((-5, -5, 100, 100), (0, 0, 24, 20)),
        ((30, 30, 4, 4), (23, 19, 1, 1)),
        ((3, 4, 0, -2), (3, 4, 1, 1)),
        ((20, 10, 10, 5), (20, 10, 4, 5)),
    ],
)
def test_what_leaves_the_image_is_cut_off(given: tuple, expected: tuple) -> None:
    assert Region.inside(given, (20, 24)) == Region(*expected)


def test_the_box_of_a_mask_holds_it_and_no_more() -> None:
    mask = np.zeros((20, 24), bool)
    mask[4, 7] = mask[9, 3] = True
    assert box_of(mask) == Region(3, 4, 5, 6)
