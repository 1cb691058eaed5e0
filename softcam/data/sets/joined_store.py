"""Several folders or archives as one store: each under a prefix of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from softcam.common import DataError
from softcam.data.store import Store

__all__ = ["JoinedStore"]


class JoinedStore:
    """The files of several stores.

    Args:
        path: what stands for all of them in messages.
        parts: stores by prefix; the files of `train` are called `train/NAME`, those of the prefix
            '' keep their names.
    """

    def __init__(self, path: Path, parts: Mapping[str, Store]) -> None:
        self.path, self.parts = path, dict(parts)

    def names(self) -> list[str]:
        return sorted(
            f"{prefix}/{name}" if prefix else name
            for prefix, store in self.parts.items()
            for name in store.names()
        )

    def read(self, name: str) -> bytes:
        store, inner = self._find(name)
        return store.read(inner)

    def stamp(self, name: str) -> tuple[int, int]:
        store, inner = self._find(name)
        return store.stamp(inner)

    def _find(self, name: str) -> tuple[Store, str]:
        prefix, slash, inner = name.partition("/")
        if slash and prefix in self.parts:
            return self.parts[prefix], inner
        if "" in self.parts:
            return self.parts[""], name
        raise DataError(f"{self.path}: holds no file {name!r}.")
