"""What several measures of a batch need is worked out once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from softcam.metrics.records import MapBatch

__all__ = ["once"]

T = TypeVar("T")

# Weak: what is kept goes with the batch.
_KEPT: WeakKeyDictionary[MapBatch, dict[Hashable, Any]] = WeakKeyDictionary()


def once(batch: MapBatch, key: Hashable, compute: Callable[[], T]) -> T:
    """`compute()` at the first call for a batch and a key, the same result after that."""
    kept = _KEPT.setdefault(batch, {})
    if key not in kept:
        kept[key] = compute()
    result: T = kept[key]
    return result
