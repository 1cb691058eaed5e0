"""RISE against a plain loop over masks written from the paper, and what its noise hangs on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.explainers import class_maps, explain_with
from softcam.explainers.rise import _checksum, draw_masks, rise_maps
from softcam.wrappers import BlackBox
from tests.explainers.sixteen import black_box, near, pictures


def test_equals_a_loop_over_the_masks() -> None:
    model, images = black_box(), pictures(2)
    _, maps = rise_maps(model, images, masks=40, shown=0.4)
    net, mean = model.net, model.mean_colour[:, None, None]
    for image, found in zip(images, maps, strict=True):
        expected = np.zeros(found.shape)
        for mask in torch.cat(list(draw_masks(_checksum(image), (20, 28), 40, 7, 0.4))):
            # Hidden is the mean colour: 0 behind the normalisation.
            shown = model.normalize(((image - mean) * mask + mean)[None])
            p = net(shown).softmax(1)[0].detach().double().numpy()
            expected += p[:, None, None] * mask.double().numpy() / (40 * 0.4)
        assert near(found, expected)


def enlarged(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear with half-pixel centres and the border repeated, pixel by pixel."""

    def places(n: int, m: int) -> list[tuple[int, int, float]]:
        centre = np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
        low = np.floor(centre).astype(int)
        return [(a, min(a + 1, m - 1), c - a) for a, c in zip(low, centre, strict=True)]

    rows = np.stack([(1 - t) * cells[a] + t * cells[b] for a, b, t in places(size[0], len(cells))])
    columns = places(size[1], cells.shape[1])
    return np.stack([(1 - t) * rows[:, a] + t * rows[:, b] for a, b, t in columns], 1)


def test_a_mask_is_a_shifted_piece_of_an_enlarged_grid() -> None:
    masks = torch.cat(list(draw_masks(5, (20, 28), 30, 3, 0.5, chunk=7)))
    assert masks.shape == (30, 20, 28)
    cell = (7, 10)  # ceil(20 / 3), ceil(28 / 3)
    grids = [np.array(list(np.binary_repr(n, 9)), float).reshape(3, 3) for n in range(512)]
    large = np.stack([enlarged(g, (28, 40)) for g in grids])
    offsets = set()
    for mask in masks[:10].double().numpy():
        found = [
            (y, x)
            for y, x in np.ndindex(*cell)
            if np.abs(large[:, y : y + 20, x : x + 28] - mask).max((1, 2)).min() < 1e-5
        ]
        assert found, "no grid and no shift of less than a cell gives this mask"
        offsets.update(found)
    assert len(offsets) > 5


def test_about_the_asked_share_is_shown_everywhere() -> None:
    for shown in (0.25, 0.5):
        masks = torch.cat(list(draw_masks(1, (24, 24), 4000, 7, shown)))
        assert float(masks.min()) == 0 and float(masks.max()) == 1
        assert abs(float(masks.mean()) - shown) < 0.01
        assert float((masks.mean(0) - shown).abs().max()) < 0.04


class Spot(nn.Module):
    """Class 1 is likely where one corner of the image is bright; nothing else counts."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x[:, :, 2:8, 3:9].mean((1, 2, 3))
        return torch.stack([torch.zeros_like(bright), 8 * bright - 4], 1)


def test_finds_the_only_place_that_counts() -> None:
    images = torch.ones(1, 3, 28, 28)
    _, maps = rise_maps(Spot(), images, masks=500)
    top = int(maps[0, 1].argmax())
    assert 1 <= top // 28 <= 9 and 2 <= top % 28 <= 10
    # Two classes: what speaks for one speaks against the other.
    assert 1 <= int(maps[0, 0].argmin()) // 28 <= 9


def test_the_same_image_gets_the_same_masks_in_any_company_and_order() -> None:
    model, images = black_box(), pictures()
    _, together = rise_maps(model, images, masks=16)
    _, turned = rise_maps(model, images.flip(0), masks=16)
    assert torch.allclose(together, turned.flip(0), atol=1e-6)
    assert _checksum(images[0]) != _checksum(images[1])
    assert _checksum(images[0]) == _checksum(images[0] + 1e-6)
    _, other = rise_maps(model, images, masks=16, seed=1)
    assert not torch.allclose(together, other, atol=1e-3)


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = black_box(), pictures(1)
    _, whole = rise_maps(model, images, masks=20)
    monkeypatch.setattr("softcam.explainers.rise.chunk_of", lambda _: 3)
    _, parts = rise_maps(model, images, masks=20)
    assert torch.allclose(whole, parts, atol=1e-6)


def test_one_set_of_passes_serves_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softcam.explainers.rise.MASKS", 256)
    model, images = black_box(), pictures(2)
    passes: list[int] = []
    hook = model.net.register_forward_hook(lambda m, i, o: passes.append(len(o)))
    logits, maps = class_maps("rise", model, images)
    hook.remove()
    assert sum(passes) == 2 * (1 + 256) and maps.shape == (2, 4, 20, 28)
    assert torch.allclose(logits, model(images))
    one = explain_with("rise", model, images, torch.tensor([3, 1]))
    assert torch.allclose(one, torch.stack([maps[0, 3], maps[1, 1]]), atol=1e-6)


def test_a_sigmoid_link_reads_each_logit_for_itself() -> None:
    model = BlackBox(black_box(classes=1).net, link="sigmoid").eval()
    _, maps = rise_maps(model, pictures(1), masks=8)
    assert 0 < float(maps.min()) and float(maps.std()) > 0  # softmax of one logit would be 1


@pytest.mark.parametrize("options", [{"masks": 0}, {"grid": 0}, {"shown": 0.0}, {"shown": 1.5}])
def test_numbers_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(SoftCAMError, match=next(iter(options))):
        rise_maps(black_box(), pictures(1), **options)
