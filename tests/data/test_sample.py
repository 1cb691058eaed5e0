"""A sample opens the chosen images only, and they are those of the prepared data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import SoftCAMError, UnknownNameError
from softcam.data import SOURCES, open_data, open_sample, sample_of
from softcam.data.cache import cache_root
from softcam.data.found import found_sets


@pytest.fixture
def folder(project: Path) -> Path:
    folder = project / "data" / "films"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, boxes = ["filename,label,split"], ["filename,x,y,width,height,class"]
    for i in range(60):
        name = f"{i:03d}.png"
        pixels = rng.integers(0, 256, (24, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
        rows.append(f"{name},{'sick' if i % 3 else 'fine'},{('train', 'val', 'test')[i // 20]}")
        if i % 3:
            boxes.append(f"{name},{6 + i % 5},4,8,9,spot")
    (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    (folder / "boxes.csv").write_text("\n".join(boxes), encoding="utf-8")
    return folder


def test_a_sample_is_the_same_as_from_the_prepared_set(folder: Path) -> None:
    few = open_sample("folder:films", "val", 4, seed=3, size=20)
    assert not cache_root().exists(), "nothing is prepared for it"
    whole = sample_of(open_data("folder:films", 20, workers=0).val, 4, seed=3)
    assert (few.total, few.seed) == (whole.total, whole.seed) == (20, 3)
    assert len(few.data) == 8 < len(whole.data)
    for row, other in zip(few.rows, whole.rows, strict=True):
        assert (row.name, row.total) == (other.name, other.total)
        assert len(row.places) == 4
        for a, b in zip(row.places, other.places, strict=True):
            assert few.data.ids[a] == whole.data.ids[b]
            assert few.data.labels[a] == whole.data.labels[b]
            assert few.data.annotated[a] == whole.data.annotated[b]
            np.testing.assert_array_equal(few.data.images[a], whole.data.images[b])
            np.testing.assert_array_equal(few.data.finding(a), whole.data.finding(b))


def test_a_broken_image_that_is_not_chosen_is_not_opened(folder: Path) -> None:
    chosen = set(open_sample("folder:films", "test", 2, size=20).data.ids)
    for path in (folder / "images").iterdir():
        if path.name not in chosen:
            path.write_bytes(b"")
    assert set(open_sample("folder:films", "test", 2, size=20).data.ids) == chosen


def test_a_small_class_is_shown_whole(folder: Path) -> None:
    rows = open_sample("folder:films", "test", 100, size=16).rows
    assert [(len(row.places), row.total) for row in rows] == [(6, 6), (14, 14)]


def test_slips_are_refused(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'test'"):
        open_sample("folder:films", "tst")
    with pytest.raises(SoftCAMError, match="n is 0"):
        open_sample("folder:films", "test", 0)


def test_what_is_there_is_found_by_its_name(folder: Path) -> None:
    data = folder.parent
    (data / "rsna.zip").write_bytes(b"")
    (data / "oct").mkdir()
    (data / "medmnist").mkdir()
    for name in ("bloodmnist.npz", "bloodmnist_224.npz"):
        (data / "medmnist" / name).write_bytes(b"")
    found = {name: found_sets(source) for name, source in SOURCES.items()}
    assert found["folder"] == ["folder:films"]
    assert found["rsna"] == ["rsna:rsna.zip"] and found["oct"] == ["oct:oct"]
    assert found["medmnist"] == ["medmnist:bloodmnist"]
    assert found["kaggle-dr"] == [] and found["idrid"] == []
    assert "phantoms:cxr" in found["phantoms"]
