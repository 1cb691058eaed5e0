"""Stores for tests, in a module of their own, so that other processes can import them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from softcam.data.catalogue import Catalogue, Item
from softcam.data.store import FolderStore

COUNTS = {"train": 150, "val": 10, "test": 10}


def draw(folder: Path, side: int = 16) -> Catalogue:
    """Small noisy PNGs in `folder`, which must not exist, and their list; labels alternate."""
    folder.mkdir(parents=True)
    items = []
    for split, count in COUNTS.items():
        for i in range(count):
            name = f"{split}{i:03d}.png"
            pixels = np.random.default_rng([len(items)]).integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name)
            items.append(Item(name, name, i % 2, split, f"p{len(items)}"))
    return Catalogue("tiny", items, ("no", "yes"), expected={"train": (75, 75), "val": (5, 5)})


class Counting(FolderStore):
    """Counts what is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads: Counter[str] = Counter()

    def read(self, name: str) -> bytes:
        self.reads[name] += 1
        return super().read(name)


class Dying(FolderStore):
    """Kills the process that began it all when one file is read, from a worker or from itself."""

    def __init__(self, path: Path, last: str) -> None:
        super().__init__(path)
        self.last = last

    def read(self, name: str) -> bytes:
        if name == self.last:
            parent = multiprocessing.parent_process()
            (self.path.parent / "pid").write_text(str(os.getpid()))
            os.kill(os.getpid() if parent is None else parent.pid or 0, signal.SIGKILL)
            threading.Event().wait()  # for ever, if nobody ends this process
        return super().read(name)
