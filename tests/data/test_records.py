"""Pixels to numbers, and labels of both kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import DataError
from softcam.data.records import ImageSet


def records(images: np.ndarray, labels: np.ndarray, classes: int = 2) -> ImageSet:
    n, side = len(images), images.shape[1]
    ids = tuple(f"i{k}" for k in range(n))
    names = tuple(f"c{k}" for k in range(classes))
    masks = np.zeros((n, 0, side, -(-side // 8)), np.uint8)
    return ImageSet(
        "x", "train", names, images, labels, ids, ids, masks, annotated=np.zeros(n, bool)
    )


@pytest.mark.parametrize("channels", [0, 3])
def test_every_pixel_value_is_divided_by_255_to_the_last_bit(channels: int) -> None:
    values = np.arange(256, dtype=np.uint8)
    grey = np.stack([values.reshape(16, 16), values[::-1].reshape(16, 16)])
    images = grey if not channels else np.stack([grey, grey[::-1], np.roll(grey, 7, 2)], -1)
    data = records(images, np.zeros(2, np.int64))
    found = data.batch([1, 0])
    planes = images[[1, 0], None] if not channels else images[[1, 0]].transpose(0, 3, 1, 2)
    expected = torch.from_numpy(np.broadcast_to(planes, (2, 3, 16, 16)).astype(np.float32)) / 255
    assert found.shape == (2, 3, 16, 16) and found.dtype == torch.float32
    assert torch.equal(found, expected) and found.is_contiguous()
    assert torch.equal(data[1][0], found[0])
    assert data.batch([]).shape == (0, 3, 16, 16)
    assert (data.images == images).all(), "the images themselves are left alone"


def test_labels_of_several_findings() -> None:
    images = np.zeros((3, 8, 8), np.uint8)
    data = records(images, np.array([[1, 0], [1, 1], [0, 0]]))
    assert data.multi_label and data.counts == (2, 1)
    assert data[1][1].tolist() == [1.0, 1.0]
    assert records(images, np.array([1, 0, 1])).counts == (1, 2)
    with pytest.raises(DataError, match=r"labels are \(3, 2\), expected one class an image"):
        records(images, np.zeros((3, 2), np.int64), classes=3)
