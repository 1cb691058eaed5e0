"""Maps of the two shipped models on fixed phantoms, and on their twins without the marker.

They lie beside this file as `marker_maps.npz`, so that a check needs neither the models nor the
phantoms. A test works them out anew from both, and compares.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["ShippedMaps", "shipped_maps"]

FILE = Path(__file__).with_name("marker_maps.npz")


@dataclass(frozen=True)
class ShippedMaps:
    """Sick patients, each with a marker; two models.

    Attributes:
        index: (N,) number of the phantom in `phantom_options()`.
        cheating, honest: (N, 2, h, w) float32, evidence maps of the image, in logits.
        cheating_twin, honest_twin: (N, 2, h, w), of the image without its marker.
        markers: (N, H, W) bool, the rectangle around the marker, one cell wider on each side.
    """

    index: Tensor
    cheating: Tensor
    cheating_twin: Tensor
    honest: Tensor
    honest_twin: Tensor
    markers: Tensor


@functools.cache
def shipped_maps() -> ShippedMaps:
    """The maps as they lie beside this file."""
    with np.load(FILE, allow_pickle=False) as stored:
        arrays = {each.name: stored[each.name] for each in fields(ShippedMaps)}
    markers = np.unpackbits(arrays.pop("markers"), axis=2).astype(bool)
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    for name, value in tensors.items():
        tensors[name] = value.float() if value.is_floating_point() else value
    return ShippedMaps(**tensors, markers=torch.from_numpy(markers))
