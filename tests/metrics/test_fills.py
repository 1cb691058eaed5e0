"""Fills: the blur by its definition, the imputation against a dense solve and another library."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError, UnknownNameError
from softcam.metrics.fills import blur, fill_name, impute, painter
from softcam.metrics.masking import hide_by_rank, tile_ranks
from softcam.wrappers import BlackBox
from tests.metrics import oracle_occlusion as oracle


def scene(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.random((3, *size)), draw.random(size) < 0.6


def drawn(
    image: np.ndarray, cells: np.ndarray, question: str, key: int | str = 0, seed: int = 0
) -> np.ndarray:
    images, maps = torch.from_numpy(image)[None].float(), torch.from_numpy(cells)[None]
    hiding = hide_by_rank(tile_ranks(maps, image.shape[1:]), question)  # type: ignore[arg-type]
    out = torch.empty(len(hiding.counts), *image.shape)
    paint = painter("linear", BlackBox(torch.nn.Identity()), images, hiding, [key], seed)
    paint(0, slice(0, len(out)), out)
    return out.numpy()


def test_the_blur_is_a_mean_inside_the_image() -> None:
    image, _ = scene((13, 18))
    found = blur(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(found, oracle.blurred(image), atol=1e-12)


def test_the_blur_takes_what_its_docstring_says() -> None:
    """96 px, tiles of 6 px: what is left of a tile and of waves, in the middle of the image."""
    lone = torch.zeros(1, 3, 96, 96)
    lone[..., 45:51, 45:51] = 1
    x = torch.arange(960) + 0.5
    for half_period, least, most in ((6, 0, 1e-4), (24, 0.28, 0.30)):
        wave = torch.sin(torch.pi * x / half_period).expand(1, 3, 96, 960)
        assert least <= blur(wave)[0, 0, 48, 400:560].abs().max() < most
    assert blur(lone).amax() == pytest.approx(0.04, abs=0.003)


@pytest.mark.parametrize("size", [(9, 12), (7, 7)])
def test_imputation_is_the_dense_solution(size: tuple[int, int]) -> None:
    image, hidden = scene(size)
    hidden[:3, :3] = True  # a corner, where neighbours are missing
    np.testing.assert_allclose(impute(image, hidden), oracle.imputed(image, hidden), atol=1e-9)
    nothing, everything = np.zeros(size, bool), np.ones(size, bool)
    np.testing.assert_array_equal(impute(image, nothing), image)
    np.testing.assert_allclose(impute(image, everything), oracle.imputed(image, everything))


def test_imputation_equals_the_authors_at_the_border_too() -> None:
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    image, hidden = scene((14, 11))
    hidden[:4, :3] = hidden[9:, 8:] = True
    theirs = road.NoisyLinearImputer(noise=0.0)(
        torch.from_numpy(image).float(), torch.from_numpy(~hidden).float()
    )
    np.testing.assert_allclose(impute(image, hidden), theirs.numpy(), atol=1e-6)


def test_imputation_is_exact_on_a_plane() -> None:
    """A linear image solves the system inside: only its border rows are not weighted evenly."""
    plane = np.broadcast_to(np.add.outer(np.arange(12.0), 2 * np.arange(15.0)) / 50, (3, 12, 15))
    hidden = np.zeros((12, 15), bool)
    hidden[2:10, 3:13] = True
    np.testing.assert_allclose(impute(plane, hidden), plane, atol=1e-12)


@pytest.mark.parametrize("question", ["deletion", "insertion"])
def test_a_curve_of_imputations_is_each_point_by_itself(question: str) -> None:
    """The pieces that did not change keep their solution; the noise lies on hidden pixels only."""
    image, _ = scene((14, 16))
    cells = np.random.default_rng(1).normal(size=(4, 4))
    masks = oracle.hidden(cells, (14, 16), question)
    found = drawn(image, cells, question)
    noise = np.array([
        shown - oracle.imputed(image.astype(np.float32).astype(float), mask)
        for shown, mask in zip(found, masks, strict=True)
    ])  # fmt: skip
    hidden = np.repeat(np.array(masks)[:, None], 3, 1)
    assert np.abs(noise[~hidden]).max() < 1e-6
    assert noise[hidden].std() == pytest.approx(0.01, rel=0.05)
    assert abs(noise[hidden].mean()) < 1e-3
    if question == "deletion":  # other points, other noise
        assert abs(np.corrcoef(noise[20][hidden[20]], noise[21][hidden[20]])[0, 1]) < 0.2


def test_the_noise_hangs_on_the_key_and_the_seed() -> None:
    image, _ = scene((9, 9))
    cells = np.arange(9.0).reshape(3, 3)
    first = drawn(image, cells, "deletion", "a", 0)
    np.testing.assert_array_equal(drawn(image, cells, "deletion", "a", 0), first)
    for key, seed in (("b", 0), ("a", 1), (5, 0)):
        assert not np.array_equal(drawn(image, cells, "deletion", key, seed), first)


def test_names_of_fills() -> None:
    assert fill_name("linear") == "linear"
    assert fill_name((0.5, 0, 1)) == fill_name(torch.tensor([0.5, 0, 1])) == "0.5/0/1"
    with pytest.raises(UnknownNameError, match="did you mean 'mean-colour'"):
        fill_name("mean-color")
    for wrong in (None, "abc".split(), object()):
        with pytest.raises(SoftCAMError, match="a fill is .*expected one of mean-colour"):
            fill_name([wrong])
    with pytest.raises(SoftCAMError, match="shape"):
        fill_name((0.5, 0.5))
    with pytest.raises(SoftCAMError, match=r"in \[0, 1\]"):
        fill_name((0.5, 0.5, 128))
    with pytest.raises(SoftCAMError, match=r"in \[0, 1\]"):
        fill_name((0.5, 0.5, float("nan")))
