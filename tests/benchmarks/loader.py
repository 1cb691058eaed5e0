"""Training batches: prepared ahead from the cache, against one PNG at a time as in the public code.

Both give the same images under the same augmentation at the same size, with two workers. The
public way opens a PNG, augments and resizes it through Pillow, and leaves batching to torch's
`DataLoader` and its processes; its PNG files are measured at 512 pixels, as the authors keep them,
and at the size of training, which flatters it. Normalisation is left out of both. A turn of either
is a whole pass over the images.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from softcam import BlackBox, TrainConfig
from softcam.backbones import build_net
from softcam.common import seed_everything
from softcam.data.loader import batches
from softcam.data.records import ImageSet
from softcam.objective import Objective, build_optimizer
from tests.benchmarks.timing import paired, report, seconds

SIZE, BATCH, COUNT, WORKERS = 224, 16, 96, 2
POLICY = "paper-fundus"


class PngFiles(Dataset[torch.Tensor]):
    """PNG files, each opened, augmented and resized when it is asked for."""

    def __init__(self, paths: list[Path]) -> None:
        from torchvision import transforms

        def half(transform: Any) -> Any:
            return transforms.RandomApply([transform], p=0.5)

        self.paths = paths
        self.transform = transforms.Compose(
            [
                half(transforms.RandomResizedCrop((SIZE, SIZE), (0.87, 1.15), (0.7, 1.3))),
                transforms.RandomHorizontalFlip(0.5),
                transforms.RandomVerticalFlip(0.5),
                half(transforms.ColorJitter(0.2, 0.2, 0.2, 0.1)),
                half(transforms.RandomRotation((-180, 180), fill=0)),
                half(transforms.RandomAffine(0, (0.2, 0.2), fill=0)),
                transforms.Resize(SIZE),
                transforms.ToTensor(),
                transforms.CenterCrop(SIZE),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def photographs(n: int, size: int) -> Iterator[np.ndarray]:
    """Images with smooth structures and a little noise, so that a PNG packs as a photograph's."""
    draw = np.random.default_rng(0)
    for _ in range(n):
        coarse = Image.fromarray(draw.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)).astype(int)
        yield (smooth + draw.integers(-2, 3, smooth.shape)).clip(0, 255).astype(np.uint8)


def stored(folder: Path, size: int) -> tuple[list[Path], ImageSet]:
    """The same images as PNG files of `size`, and as a memory-mapped array of `SIZE`."""
    folder.mkdir()
    paths, small = [], []
    for index, pixels in enumerate(photographs(COUNT, size)):
        image = Image.fromarray(pixels)
        paths.append(folder / f"{index}.png")
        image.save(paths[-1])
        small.append(np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)))
    np.save(folder / "images.npy", np.stack(small))
    ids = tuple(map(str, range(COUNT)))
    data = ImageSet(
        "bench",
        "train",
        ("a", "b"),
        np.load(folder / "images.npy", mmap_mode="r"),
        np.zeros(COUNT, np.int64),
        ids,
        ids,
        np.zeros((COUNT, 0, SIZE, SIZE // 8), np.uint8),
        annotated=np.zeros(COUNT, bool),
    )
    return paths, data


def seeded(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def ahead(data: ImageSet, steps: int) -> Iterator[torch.Tensor]:
    """The product's loader over as many batches."""
    order = np.resize(np.random.default_rng(0).permutation(len(data)), (steps, BATCH))
    return batches(data, list(order), POLICY, seeded, workers=WORKERS)


def against_png(size: int, pairs: int = 5) -> list[float]:
    """Time of the public way over ours; above 1 ours is faster. Workers are started beforehand."""
    with tempfile.TemporaryDirectory() as folder:
        paths, data = stored(Path(folder) / "set", size)
        loader = DataLoader(
            PngFiles(paths), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
        )

        def public() -> int:
            return sum(len(batch) for batch in loader)

        def ours() -> int:
            return sum(len(batch) for batch in ahead(data, COUNT // BATCH))

        return paired(public, ours, pairs, warm=1)


def stepper(name: str) -> Callable[[torch.Tensor], None]:
    """A training step of a black box on a batch."""
    seed_everything(0)
    model = BlackBox(build_net(name, 2)).train()
    config = TrainConfig(arm="black-box")
    objective, optimizer = Objective(model, config, 0.0, 0.0), build_optimizer(config, model)
    labels = torch.arange(BATCH) % 2

    def step(images: torch.Tensor) -> None:
        cross_entropy, penalty = objective(images, labels)
        optimizer.zero_grad()
        (cross_entropy + penalty).backward()
        optimizer.step()

    return step


def waiting(name: str = "resnet18", steps: int = 12) -> tuple[list[float], list[float]]:
    """Per batch: seconds that training waits for it over those of its step; and the same for a
    batch that nobody prepared ahead."""
    with tempfile.TemporaryDirectory() as folder:
        _, data = stored(Path(folder) / "set", SIZE)
        step, shares = stepper(name), []
        found = ahead(data, steps + 4)
        for index in range(steps + 4):
            started = time.perf_counter()
            images = next(found)
            waited = time.perf_counter() - started
            worked = seconds(lambda images=images: step(images))
            if index >= 4:  # the first ones fill the queue
                shares.append(waited / worked)
        plain = batches(data, [range(BATCH)] * steps, POLICY, seeded, workers=0)
        one = paired(lambda: next(plain), lambda: step(images), steps - 2, warm=1)
        return sorted(shares), one


def main(_: list[str]) -> None:
    """Print the ratios."""
    line = f"{POLICY}, {SIZE} px, {WORKERS} workers"
    report(f"PNG of 512 px with Pillow / cache, {line}", against_png(512))
    report(f"PNG of {SIZE} px with Pillow / cache, {line}", against_png(SIZE))
    shares, one = waiting()
    report("waiting for a batch / training step, resnet18", shares)
    report("preparing a batch alone / training step, resnet18", one)
    sys.stdout.flush()
