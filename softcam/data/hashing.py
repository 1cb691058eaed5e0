"""A perceptual hash of 64 bits, and the pairs of images that it finds alike.

Medical images of one kind are all alike: two fundus photographs share the disc, two chest films
the ribs, so that a hash of the picture itself finds pairs everywhere. What is hashed here is in
what an image differs from the others of its set: a thumbnail of 32 x 32, less its blurred copy,
of unit contrast, less the mean over the set and divided by the spread there. The hash are the
signs of its 64 lowest waves (cosine transform, frequencies 1 to 8 in both directions), as in
Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010.

A pair is alike where the hashes differ in at most `DISTANCE` bits and what was hashed correlates
by at least `LIKENESS`. A copy in another format or size, brighter or darker, is found; one that
is mirrored, turned or cut is not. Of very smooth images a strongly compressed copy may be missed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softcam.common import hides_bar

__all__ = ["DISTANCE", "LIKENESS", "SIDE", "alike_pairs", "perceptual_hashes", "thumbnails"]

SIDE = 32  # pixels of a thumbnail
WAVES = 8
DISTANCE = 12  # bits of 64; unrelated images differ in about 32
LIKENESS = 0.9  # correlation
BLUR = 2  # pixels to each side
FLAT = 0.25  # grey levels: an image with less detail than rounding makes has no hash
CLIP = 3.0  # spreads; one bright spot must not decide
BATCH = 1024  # images at a time
COMPARED = 8_000_000  # pairs whose hashes are compared at a time
CONFIRMED = 4_000  # pairs whose correlation is taken at a time


def thumbnails(grey: np.ndarray) -> np.ndarray:
    """Images (B, H, W) to (B, 32, 32) uint8; a pixel is the mean over the area that it covers."""
    rows, columns = _areas(grey.shape[1]), _areas(grey.shape[2])
    return np.asarray(np.rint(rows @ grey.astype(np.float32) @ columns.T), np.uint8)


def _areas(length: int) -> np.ndarray:
    """(32, length): how much of each of `length` pixels lies in each of 32 equal parts."""
    edges = np.linspace(0, length, SIDE + 1)
    pixels = np.arange(length)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(shared.clip(0) / (length / SIDE), np.float32)


def perceptual_hashes(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The hash of every image, and what it was taken of.

    Args:
        thumbs: (N, 32, 32), all of one data set: the hashes of two sets cannot be compared.

    Returns:
        (N, 64) bool; the details (N, 1024) int8, in shares of the largest that is possible; and
        (N,) bool, whether the image has any. An image without detail has no hash.
    """
    bits = np.zeros((len(thumbs), WAVES * WAVES), bool)
    details = np.zeros((len(thumbs), SIDE * SIDE), np.int8)
    has_detail = np.zeros(len(thumbs), bool)
    mean, spread = _usual(thumbs)
    waves = _cosines()
    for start in range(0, len(thumbs), BATCH):
        part = slice(start, start + BATCH)
        detail, there = _detail(thumbs[part])
        detail = ((detail - mean) / spread).clip(-CLIP, CLIP)
        spectrum = waves @ detail.reshape(-1, SIDE, SIDE) @ waves.T
        bits[part] = spectrum.reshape(len(detail), -1) > 0
        details[part] = np.rint(detail * (127 / CLIP))
        has_detail[part] = there & details[part].any(1)
    return bits, details, has_detail


def _usual(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of the details over the set, (1024,) each."""
    count, total, squares = 0, np.zeros(SIDE * SIDE), np.zeros(SIDE * SIDE)
    for start in range(0, len(thumbs), BATCH):
        detail, there = _detail(thumbs[start : start + BATCH])
        count += int(there.sum())
        total += detail[there].sum(0)
        squares += (detail[there] ** 2).sum(0)
    if count < 2:  # there is nothing to compare with
        return np.zeros(SIDE * SIDE, np.float32), np.ones(SIDE * SIDE, np.float32)
    mean = total / count
    spread = np.sqrt((squares / count - mean**2).clip(0))
    if not np.median(spread) > 1e-3:  # copies of one image
        return np.zeros(SIDE * SIDE, np.float32), np.ones(SIDE * SIDE, np.float32)
    spread += np.median(spread) / 2
    return mean.astype(np.float32), spread.astype(np.float32)


def _detail(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, 32, 32) less its blurred copy, of unit contrast, (B, 1024); and whether there is any."""
    place = np.arange(SIDE)
    near = np.abs(place[:, None] - place) <= BLUR
    blur = (near / near.sum(1, keepdims=True)).astype(np.float32)
    pixels = thumbs.astype(np.float32)
    detail = (pixels - blur @ pixels @ blur.T).reshape(len(thumbs), -1)
    contrast = np.sqrt((detail**2).mean(1, keepdims=True))
    return detail / np.maximum(contrast, FLAT), contrast[:, 0] > FLAT


def _cosines() -> np.ndarray:
    """(8, 32): the waves of frequency 1 to 8."""
    k, x = np.arange(1, WAVES + 1)[:, None], np.arange(SIDE)
    return np.cos(np.pi * (2 * x + 1) * k / (2 * SIDE)).astype(np.float32)


def alike_pairs(
    thumbs: np.ndarray,
    *,
    distance: int = DISTANCE,
    likeness: float = LIKENESS,
    limit: int = 10_000,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of images that are alike.

    Args:
        thumbs: (N, 32, 32), all of one data set.
        distance: bits of 64 in which two hashes may differ.
        likeness: correlation that the details of two images must have.
        limit: no more pairs than this are looked for.
        progress: show a bar.

    Returns:
        (P, 2) int64, the smaller index first; and (P,) float32, their correlation.
    """
    bits, details, has_detail = perceptual_hashes(thumbs)
    signs = np.where(bits, 1.0, -1.0).astype(np.float32)
    pairs, found, count = [], [], 0
    for first, second in _candidates(signs, has_detail, distance, progress):
        a, b = (details[i].astype(np.float32) for i in (first, second))
        length = np.sqrt((a**2).sum(1) * (b**2).sum(1))
        correlation = np.einsum("nd,nd->n", a, b) / length
        kept = correlation >= likeness
        pairs.append(np.stack([first[kept], second[kept]], 1))
        found.append(correlation[kept])
        count += int(kept.sum())
        if count >= limit:
            break
    if not pairs:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    return np.concatenate(pairs)[:limit], np.concatenate(found)[:limit].clip(-1, 1)


def _candidates(
    signs: np.ndarray, has_detail: np.ndarray, distance: int, progress: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs whose hashes are near, some thousands at a time; memory grows with N, not with N^2."""
    from tqdm.auto import tqdm

    least = 64 - 2 * distance  # of the sum of products, when so many of 64 bits differ
    block = max(1, COMPARED // max(1, len(signs)))
    starts = range(0, len(signs), block)
    for start in tqdm(starts, "comparing images", disable=hides_bar(progress)):
        near = signs[start : start + block] @ signs[start:].T >= least
        near &= has_detail[start : start + block, None] & has_detail[start:]
        first, second = np.nonzero(np.triu(near, 1))
        for at in range(0, len(first), CONFIRMED):
            part = slice(at, at + CONFIRMED)
            yield first[part] + start, second[part] + start
