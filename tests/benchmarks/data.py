"""What it costs to prepare real images: `python start.py bench data`.

Synthetic pictures of 1024 px, as noisy as photographs are, become 512 px: JPEG in colour, grey PNG
and grey DICOM of 12 bits. Each kind is prepared by this process alone and by two, the start of the
processes included. The floor beside them is what nobody can avoid: the same bytes are decoded and
resized, one after the other, and nothing is kept. Times by the clock say little on a busy machine;
those of the processor and their ratio do. The other number is by how many MB a process grows while
it reads the tables of a folder with 100,000 images, and with 1,000.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from softcam.data.catalogue import Catalogue, Item
from softcam.data.folder import read_folder
from softcam.data.prepare import prepared_splits
from softcam.data.store import FolderStore, Store
from tests.benchmarks.memory import growth

SIDE, SIZE, DISTINCT = 1024, 512, 40
SPLITS = ("train",) * 8 + ("val", "test")


def picture(seed: int) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: smooth shapes with the noise of a sensor."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
    noise = draw.normal(0, 3, (SIDE, SIDE, 1)).astype(np.float32)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    return file.getvalue()


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert("L").save(file, "PNG")
    return file.getvalue()


def dicom(pixels: np.ndarray) -> bytes:
    from tests.data.dicom_files import dicom as written

    return written(pixels[:, :, 0].astype(np.uint16) * 16, bits=12)


KINDS: dict[str, tuple[str, Callable[[np.ndarray], bytes]]] = {
    "JPEG": ("image", jpeg),
    "PNG": ("image", png),
    "DICOM": ("dicom", dicom),
}


class Few(FolderStore):
    """A few files that are read again and again under many names, `NUMBER/ANYTHING`."""

    def read(self, name: str) -> bytes:
        return super().read(name.partition("/")[0])

    def stamp(self, name: str) -> tuple[int, int]:
        return super().stamp(name.partition("/")[0])


def catalogue(images: int, view: str) -> Catalogue:
    items = [
        Item(f"i{i}", f"{i % DISTINCT}/{i}", i // 10 % 2, SPLITS[i % 10], f"p{i}")
        for i in range(images)
    ]
    return Catalogue("bench", items, ("no", "yes"), view=view)


@contextmanager
def root() -> Iterator[Path]:
    """A project folder that is gone afterwards."""
    before = os.environ.get("SOFTCAM_ROOT")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SOFTCAM_ROOT"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("SOFTCAM_ROOT")
            if before is not None:
                os.environ["SOFTCAM_ROOT"] = before


def bare(store: Store, names: list[str], view: str) -> None:
    """Decode and resize, nothing else."""
    for name in names:
        data = store.read(name)
        if view == "dicom":
            import pydicom

            pixels = pydicom.dcmread(io.BytesIO(data)).pixel_array
            image = Image.fromarray((pixels >> 4).astype(np.uint8))
        else:
            image = Image.open(io.BytesIO(data))
        np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def spent(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor that a call takes in this process."""
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - clock, time.process_time() - processor


def preparation(kind: str, images: int, folder: Path) -> str:
    """One line: what one image costs the processor, and images a second by the clock."""
    view, encode = KINDS[kind]
    files = folder / kind
    files.mkdir()
    sizes = []
    for i in range(DISTINCT):
        data = encode(picture(i))
        (files / str(i)).write_bytes(data)
        sizes.append(len(data))
    store, listed = Few(files), catalogue(images, view)
    few = [item.name for item in listed.items[: max(images // 5, 1)]]
    bare(store, few[:3], view)  # what is imported once

    def prepared(workers: int) -> tuple[float, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the few files lie in several splits
            out = spent(
                lambda: prepared_splits(store, listed, SIZE, workers=workers, progress=False)
            )
        shutil.rmtree(folder / "data" / "cache")
        return out

    clock, floor = (value / len(few) for value in spent(lambda: bare(store, few, view)))
    alone, cost = (value / images for value in prepared(0))
    two = prepared(2)[0] / images
    return (
        f"{kind:<6}{np.mean(sizes) / 1e3:5.0f} kB   processor: decode and resize "
        f"{1e3 * floor:5.1f} ms, prepare {1e3 * cost:5.1f} ms ({cost / floor:.2f}x)   images/s: "
        f"{1 / clock:5.1f}, {1 / alone:5.1f}, with two processes {1 / two:5.1f}"
    )


def table(folder: Path, images: int) -> Path:
    """A folder data set with a long table; its images are one empty file under many names."""
    path = folder / f"table-{images}"
    (path / "images").mkdir(parents=True)
    (path / "images" / "x").touch()
    rows = ["filename,label,split,patient_id,view,age"]
    for i in range(images):
        name = f"{i:08d}_000.png"
        (path / "images" / name).touch()
        view, age = ("PA", "AP")[i % 2], 20 + i % 60
        rows.append(f"{name},{i // 10 % 2},{SPLITS[i % 10]},p{i:08d},{view},{age}")
    (path / "labels.csv").write_text("\n".join(rows) + "\n")
    return path


def memory(folder: Path) -> str:
    """One line: MB by which the process grows while it reads 1,000 and 100,000 rows."""
    few, many = table(folder, 1_000), table(folder, 100_000)
    read_folder(few)  # what is imported once
    kept: list[object] = []
    grown = [growth(lambda p=path: kept.append(read_folder(p))) for path in (few, many)]  # type: ignore[misc]
    return f"a list of 1,000 images {grown[0]:.0f} MB, of 100,000 {grown[1]:.0f} MB"


def main(arguments: list[str]) -> None:
    """A line a kind of file, and one on memory."""
    parser = argparse.ArgumentParser(prog="bench data", description="Preparation of real images.")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    options = parser.parse_args(arguments)
    with root() as folder:
        sys.stdout.write(memory(folder) + "\n")
        for kind in options.kinds:
            if kind == "DICOM" and importlib.util.find_spec("pydicom") is None:
                sys.stdout.write("DICOM: pydicom is not installed\n")
                continue
            sys.stdout.write(preparation(kind, options.images, folder) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
