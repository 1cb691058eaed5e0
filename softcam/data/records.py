"""One split of a data set as arrays: what every source produces and every reader takes.

Images, masks and a table lie side by side in memory or in memory-mapped files, so item i costs
a copy of its own bytes and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from softcam.common import DataError, choose

__all__ = ["ImageSet", "Splits", "pack_masks", "unpack_mask"]

SPLITS = ("train", "val", "test")


def pack_masks(masks: np.ndarray) -> np.ndarray:
    """Masks (..., H, W) bool to bits (..., H, ceil(W / 8)) uint8."""
    return np.packbits(masks.astype(bool), axis=-1)


def unpack_mask(bits: np.ndarray, width: int) -> np.ndarray:
    """The inverse of `pack_masks`: (..., H, ceil(W / 8)) uint8 to (..., H, W) bool."""
    return np.unpackbits(np.ascontiguousarray(bits), axis=-1, count=width).astype(bool)


@dataclass(frozen=True)
class ImageSet(Dataset[tuple[Tensor, int | Tensor]]):
    """One split: N images of one size, their labels, and what is marked in them.

    Attributes:
        name: slug of the data set, `phantoms-cxr` or `folder-NAME`.
        split: `train`, `val` or `test`.
        classes: the C class names, in label order.
        images: (N, H, W) grey or (N, H, W, 3) RGB, uint8.
        labels: (N,) int64, the class of each image; or (N, C) int64 of 0 and 1 where an image may
            show several findings or none, and `classes` are the findings (see `multi_label`).
        ids: N names, unique in the data set.
        patients: N group names; an unknown patient is a group of its own.
        masks: (N, K, H, ceil(W / 8)) uint8, bits of K masks an image (see `unpack_mask`).
        mask_names: the K mask names (lesion types, anatomy, `marker`).
        finding_names: which of them count as a finding.
        annotated: (N,) bool, whether anybody looked for findings in the image. A diseased image
            that nobody annotated is no image without a finding.
        fingerprint: SHA-256 over labels, masks and image digests of the whole data set
            (for phantoms over generator version, seed and options).
        options: what the set was made with, for config.json.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    patients: tuple[str, ...]
    masks: np.ndarray
    mask_names: tuple[str, ...] = ()
    finding_names: tuple[str, ...] = ()
    annotated: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    fingerprint: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.images)
        lengths = {
            "labels": len(self.labels),
            "ids": len(self.ids),
            "patients": len(self.patients),
            "masks": len(self.masks),
            "annotated": len(self.annotated),
        }
        wrong = {key: value for key, value in lengths.items() if value != n}
        if wrong:
            raise DataError(
                f"{self.name}/{self.split}: {n} images but {wrong}: one entry an image."
            )
        choose("split", self.split, SPLITS)
        shape = np.shape(self.labels)
        if len(shape) > 1 and shape[1:] != (len(self.classes),):
            raise DataError(
                f"{self.name}/{self.split}: labels are {shape}, expected one class an image, "
                f"({n},), or one 0 or 1 a class, ({n}, {len(self.classes)})."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int | Tensor]:
        """Image (3, H, W) float32 in [0, 1], and its label; of a multi-label set (C,) float32."""
        image = self.batch([index])[0]
        if self.multi_label:
            return image, torch.from_numpy(np.asarray(self.labels[index], np.float32))
        return image, int(self.labels[index])

    @property
    def multi_label(self) -> bool:
        """Whether `labels` are one 0 or 1 a class, so that each class needs a sigmoid."""
        return np.ndim(self.labels) == 2

    @property
    def counts(self) -> tuple[int, ...]:
        """Images of each class; of a multi-label set images that show each finding."""
        if self.multi_label:
            return tuple(np.asarray(self.labels).sum(0).tolist())
        return tuple(np.bincount(self.labels, minlength=len(self.classes)).tolist())

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    def batch(self, indices: Any) -> Tensor:
        """Several images at once: (B, 3, H, W) float32 in [0, 1]."""
        raw = np.asarray(self.images[np.asarray(indices, dtype=np.int64)])
        pixels = torch.from_numpy(raw)  # (B, H, W) or (B, H, W, 3)
        if pixels.ndim == 3:
            return (pixels.float() / 255)[:, None].expand(-1, 3, -1, -1).contiguous()
        out = torch.empty((len(pixels), 3, *self.size))  # in one go: neither copied nor cast twice
        out.copy_(pixels.permute(0, 3, 1, 2))
        return out.div_(255)

    def mask(self, index: int, *names: str) -> np.ndarray:
        """The union of the named masks of one image, (H, W) bool."""
        rows = [self.mask_names.index(choose("mask", name, self.mask_names)) for name in names]
        if not rows:
            return np.zeros(self.size, bool)
        return np.asarray(unpack_mask(self.masks[index, rows], self.size[1]).any(0))

    def finding(self, index: int) -> np.ndarray:
        """The union of everything that counts as a finding in one image, (H, W) bool."""
        return self.mask(index, *self.finding_names)

    def with_findings(self) -> np.ndarray:
        """Indices of the images in which a finding is marked."""
        rows = [self.mask_names.index(name) for name in self.finding_names]
        if not rows:
            return np.zeros(0, np.int64)
        return np.flatnonzero(np.asarray(self.masks[:, rows]).any(axis=(1, 2, 3)))


@dataclass(frozen=True)
class Splits:
    """The three splits of one data set, with the counts a reader should know about.

    Attributes:
        train, val, test: the splits.
        notes: what was left out, clipped, assumed or drawn.
        folder: where the arrays lie, with `meta.json` and, for real images, `manifest.csv`.
    """

    train: ImageSet
    val: ImageSet
    test: ImageSet
    notes: tuple[str, ...] = ()
    folder: Path | None = None

    def __getitem__(self, split: str) -> ImageSet:
        return getattr(self, choose("split", split, SPLITS))

    @property
    def name(self) -> str:
        return self.train.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    @property
    def multi_label(self) -> bool:
        return self.train.multi_label

    @property
    def fingerprint(self) -> str:
        return self.train.fingerprint
