"""The perceptual hash finds copies in another format, size and brightness, and nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from softcam.data import PhantomOptions, draw_scene, render
from softcam.data.hashing import DISTANCE, SIDE, alike_pairs, perceptual_hashes, thumbnails


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    """Sixty different phantoms of one kind, (60, 96, 96) uint8."""
    options = PhantomOptions("cxr", size=96)
    return np.stack([render(draw_scene(options, i)).image for i in range(60)])


def smaller(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image)
    return np.asarray(picture.resize((48, 48), Image.Resampling.BICUBIC).resize(picture.size))


def compressed(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def brighter(image: np.ndarray) -> np.ndarray:
    return np.asarray((image * 0.7 + 40).round(), np.uint8)


@pytest.mark.parametrize("copy", [smaller, compressed, brighter])
def test_a_changed_copy_is_found_and_nothing_else(films: np.ndarray, copy: object) -> None:
    places = (3, 17, 44)
    copies = np.stack([copy(films[i]) for i in places])  # type: ignore[operator]
    pairs, likeness = alike_pairs(thumbnails(np.concatenate([films, copies])))
    assert pairs.tolist() == [[place, 60 + at] for at, place in enumerate(places)]
    assert (likeness > 0.9).all()


def test_different_images_of_one_kind_are_not_alike(films: np.ndarray) -> None:
    pairs, _ = alike_pairs(thumbnails(films))
    assert len(pairs) == 0


@pytest.mark.parametrize("side", [20, 32, 50, 96])
def test_a_thumbnail_is_the_mean_over_areas(side: int) -> None:
    image = np.random.default_rng(side).integers(0, 256, (side, side)).astype(np.uint8)
    fine = np.repeat(np.repeat(image, SIDE, 0), SIDE, 1).astype(float)  # whole pixels an area
    means = fine.reshape(SIDE, side, SIDE, side).mean((1, 3))
    np.testing.assert_allclose(thumbnails(image[None])[0], means, atol=0.51)


def test_all_pairs_are_compared_as_one_by_one(
    films: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of a few images, against a double loop over hashes and details."""
    from softcam.data import hashing

    noisy = films[:30] + np.random.default_rng(0).integers(-60, 60, films[:30].shape)
    thumbs = thumbnails(np.concatenate([films[:30], noisy.clip(0, 255)]))
    bits, details, there = perceptual_hashes(thumbs)
    wide = details.astype(float)
    expected = []
    for i in range(len(thumbs)):
        for j in range(i + 1, len(thumbs)):
            cosine = wide[i] @ wide[j] / np.linalg.norm(wide[i]) / np.linalg.norm(wide[j])
            if there[i] and there[j] and (bits[i] != bits[j]).sum() <= 20 and cosine >= 0.5:
                expected.append([i, j])
    assert len(expected) > 20
    monkeypatch.setattr(hashing, "COMPARED", 7 * len(thumbs))
    monkeypatch.setattr(hashing, "CONFIRMED", 3)
    pairs, _ = alike_pairs(thumbs, distance=20, likeness=0.5)
    assert sorted(pairs.tolist()) == expected
    assert len(alike_pairs(thumbs, distance=20, likeness=0.5, limit=5)[0]) == 5


def test_the_hash_does_not_depend_on_the_batch(
    films: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from softcam.data import hashing

    whole = perceptual_hashes(thumbnails(films))[0]
    monkeypatch.setattr(hashing, "BATCH", 7)
    assert (perceptual_hashes(thumbnails(films))[0] == whole).mean() > 0.999


def test_flat_and_single_images_have_no_pairs() -> None:
    flat = np.full((3, SIDE, SIDE), 7, np.uint8)
    assert not perceptual_hashes(flat)[2].any()
    assert len(alike_pairs(flat)[0]) == 0
    assert len(alike_pairs(flat[:0])[0]) == 0
    one = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE)).astype(np.uint8)
    assert len(alike_pairs(one)[0]) == 0
    two = np.repeat(one, 2, 0)
    assert alike_pairs(two)[0].tolist() == [[0, 1]], "a set of two copies has no spread"
    assert DISTANCE < 32
