"""Which pixels are hidden: the order of the tiles, the map as a mask, the order of the truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.metrics.masking import as_mask, hide_by_rank, tile_ranks, true_mask_map
from tests.metrics import oracle, oracle_occlusion


def test_tiles_go_brightest_first_and_cover_the_border() -> None:
    maps = torch.tensor([[[1.0, 4.0], [3.0, 2.0]]])
    ranks = tile_ranks(maps, (6, 7))  # tiles of 3 px; the last column is 1 px wide
    for place, tile in enumerate(oracle_occlusion.tiles(maps[0].double().numpy(), (6, 7))):
        assert (ranks[0].numpy()[tile] == place).all()
    assert ranks.max() == 5


@pytest.mark.parametrize("question", ["deletion", "insertion"])
@pytest.mark.parametrize("size", [(6, 7), (40, 25)])
def test_what_is_hidden_along_the_curve(question: str, size: tuple[int, int]) -> None:
    maps = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    hiding = hide_by_rank(tile_ranks(maps, size), question)  # type: ignore[arg-type]
    for i in range(2):
        expected = oracle_occlusion.hidden(maps[i].double().numpy(), size, question)
        found = hiding.hidden(i, slice(0, len(hiding.counts)))[:, 0].numpy()
        np.testing.assert_array_equal(found, np.array(expected))


def test_pixels_without_a_tile_are_never_hidden() -> None:
    ranks = torch.full((1, 6, 6), 2**31 - 1)
    ranks[:, 3:] = 0
    hidden = hide_by_rank(ranks, "deletion").hidden(0, slice(0, 30))
    assert not hidden[:, :, :3].any() and hidden[1:, :, 3:].all()


def test_a_map_as_mask_runs_from_0_to_1_whatever_its_zero() -> None:
    maps = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    mask = as_mask(maps, (9, 11)).numpy()
    for i in range(2):
        up = oracle.upsample(maps[i].double().numpy(), (9, 11))
        np.testing.assert_allclose(mask[i], (up - up.min()) / np.ptp(up), atol=1e-9)
    np.testing.assert_allclose(as_mask(maps + 5, (9, 11)).numpy(), mask, atol=1e-6)
    assert not as_mask(torch.full((1, 2, 2), -3.0), (9, 11)).any()


def test_the_true_order_hides_most_of_the_finding_at_every_step() -> None:
    """12x11 px, tiles of 3 px: no set of i tiles holds more of the finding than the first i."""
    finding = np.zeros((12, 11), bool)
    finding[1:6, 4:11] = True
    finding[8, 0] = True
    maps = true_mask_map(torch.from_numpy(finding)[None])
    tiles = oracle_occlusion.tiles(maps[0].double().numpy(), (12, 11))
    held = [int((tile & finding).sum()) for tile in tiles]
    assert sum(held) == finding.sum() and len(set(held)) > 3
    for i in (1, 3, 5):
        best = max(sum(chosen) for chosen in itertools.combinations(held, i))
        assert sum(held[:i]) == best


def test_after_the_finding_the_tiles_next_to_it() -> None:
    finding = torch.zeros(1, 15, 15, dtype=torch.bool)
    finding[0, 9:12, 9:12] = True  # the tile in row and column 3 of 5
    tiles = oracle_occlusion.tiles(true_mask_map(finding)[0].double().numpy(), (15, 15))
    places = [tuple(np.argwhere(tile).min(0) // 3) for tile in tiles]
    distance = [np.hypot(y - 3, x - 3) for y, x in places]
    assert distance == sorted(distance) and places[0] == (3, 3)


def test_no_finding_has_no_truth_and_all_finding_is_a_tie() -> None:
    findings = torch.stack([torch.zeros(7, 8), torch.ones(7, 8)]).bool()
    maps = true_mask_map(findings)
    assert maps[0].isnan().all() and maps[1].isfinite().all()
    assert maps[1, 0, 0] == 1.0
    assert maps[1, 6, 7] == pytest.approx(2 / 9)  # 1x2 px are left of the last tile
    np.testing.assert_array_equal(true_mask_map(findings.int() * 7).numpy(), maps.numpy())
    assert true_mask_map(findings[:0]).shape == (0, 7, 8)
    with pytest.raises(SoftCAMError, match="findings > 0.5"):
        true_mask_map(findings.float())
