"""Random numbers that a network draws: held still to compare, and noticed in a trace."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Dropouts", "drawn", "reseed"]

_DROPOUTS = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
)  # fmt: skip


class Dropouts(TorchFunctionMode):
    """While active no activation is dropped.

    Dropout is the one random thing that sits on different sides of the pooling in the two
    networks, so it is switched off to compare them in training mode.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _DROPOUTS:
            return func(*args, **kwargs)
        return args[0] if args else kwargs["input"]


def reseed(seed: int) -> None:
    """Seed what a network may draw from on the CPU; a GPU's generators stay as they are."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def drawn() -> tuple[Any, ...]:
    """The states of those generators; equal ones where nothing was drawn in between."""
    name, keys, *rest = np.random.get_state()
    numbers = np.asarray(keys).tobytes()
    return torch.default_generator.get_state().numpy().tobytes(), random.getstate(), numbers, *rest
