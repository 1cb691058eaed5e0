"""Preparation: the arrays are those of one image at a time, however many processes make them."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, SoftCAMError, UnknownNameError
from softcam.data import parts
from softcam.data.cache import cache_root
from softcam.data.catalogue import Catalogue, Item, Mark, MaskFile
from softcam.data.geometry import Geometry
from softcam.data.prepare import prepared_splits
from softcam.data.records import SPLITS, Splits
from softcam.data.store import FolderStore
from softcam.data.views import Picture
from tests.data.stores import COUNTS, Counting, draw

SIZE = 8


@pytest.fixture
def images(project: Path) -> tuple[Path, Catalogue]:
    folder = project / "tiny"
    return folder, draw(folder)


def prepared(images: tuple[Path, Catalogue], **options: object) -> Splits:
    return prepared_splits(FolderStore(images[0]), images[1], SIZE, **options)  # type: ignore[arg-type]


def files_of(splits: Splits) -> dict[str, bytes]:
    assert splits.folder is not None
    paths = sorted(path for path in splits.folder.rglob("*") if path.is_file())
    return {path.relative_to(splits.folder).as_posix(): path.read_bytes() for path in paths}


def test_each_image_is_what_the_geometry_makes_of_it(images: tuple[Path, Catalogue]) -> None:
    splits = prepared(images, workers=0)
    for split, count in COUNTS.items():
        assert len(splits[split]) == count
        for i in (0, count - 1):
            pixels = np.asarray(Image.open(images[0] / splits[split].ids[i]))
            np.testing.assert_array_equal(
                splits[split].images[i], Geometry(16, 16, SIZE).image(pixels)
            )
    assert splits.val.labels.tolist() == [0, 1] * 5 and splits.val.patients[0] == "p150"


def test_the_manifest_says_where_each_row_is_from(images: tuple[Path, Catalogue]) -> None:
    splits = prepared(images, workers=0)
    rows = list(csv.DictReader(files_of(splits)["manifest.csv"].decode().splitlines()))
    assert [row["id"] for row in rows] == [i for split in SPLITS for i in splits[split].ids]
    first = rows[0]
    content = (images[0] / first["source"]).read_bytes()
    assert first["sha256"] == hashlib.sha256(content).hexdigest()
    assert (first["width"], first["height"], first["crop"]) == ("16", "16", "")
    assert first["transform"] == f"image, short side to {SIZE} bilinear, central square"


def test_a_second_call_reads_no_image(images: tuple[Path, Catalogue]) -> None:
    first = prepared(images, workers=0)
    store = Counting(images[0])
    again = prepared_splits(store, images[1], SIZE)
    assert not store.reads and again.folder == first.folder
    assert [path.name for path in cache_root().iterdir()] == [first.folder.name]  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_processes(
    images: tuple[Path, Catalogue],
) -> None:
    alone = files_of(prepared(images, workers=0))
    shutil.rmtree(cache_root())
    assert files_of(prepared(images, workers=2)) == alone

    for name in ("train020.png", "train140.png"):  # in the first and the third chunk
        (images[0] / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"train020\.png: the file is empty"):
        prepared(images, workers=2)


def test_one_mended_image_costs_one_chunk(images: tuple[Path, Catalogue]) -> None:
    whole = (images[0] / "train149.png").read_bytes()
    (images[0] / "train149.png").write_bytes(b"")
    with pytest.raises(DataError, match="train149.*Mend it, or leave it out"):
        prepared(images, workers=0)
    (images[0] / "train149.png").write_bytes(whole)
    store = Counting(images[0])
    prepared_splits(store, images[1], SIZE, workers=0)
    assert sorted(name for name in store.reads if name.startswith("train")) == [
        f"train{i}.png" for i in range(128, 150)
    ]


def test_what_stop_has_done_serves_skip_but_not_the_other_way(
    images: tuple[Path, Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    (images[0] / "train070.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="train070"):
        prepared(images, workers=0)
    store = Counting(images[0])
    with pytest.warns(UserWarning, match=r"1 images cannot be used.*train070\.png"):
        splits = prepared_splits(store, images[1], SIZE, on_error="skip", workers=0)
    assert "train000.png" not in store.reads and "train064.png" in store.reads
    assert len(splits.train) == 149 and "train070.png" not in splits.train.ids
    pixels = np.asarray(Image.open(images[0] / "train071.png"))
    at = splits.train.ids.index("train071.png")
    np.testing.assert_array_equal(splits.train.images[at], Geometry(16, 16, SIZE).image(pixels))

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    shutil.rmtree(cache_root())
    with monkeypatch.context() as patch:
        patch.setattr("softcam.data.prepare.assemble", stopped)
        with pytest.raises(KeyboardInterrupt):
            prepared(images, on_error="skip", workers=0)
    with pytest.raises(DataError, match="train070"):
        prepared(images, workers=0)


def test_boxes_masks_and_a_crop_go_through_one_geometry(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crop of whole cells at the same scale only shifts: checked pixel by pixel."""
    folder = project / "marked"
    catalogue = draw(folder, side=40)
    mask = np.zeros((40, 40), bool)
    mask[12:15, 20:22] = True
    Image.fromarray(mask).save(folder / "mask.png")
    first, *rest = catalogue.items
    marked = replace(
        first,
        boxes=(Mark("box", (14.0, 16.0, 3.0, 5.0)), Mark("far", (0.0, 0.0, 2.0, 2.0))),
        masks=(MaskFile("drawn", "mask.png"),),
    )
    catalogue = replace(
        catalogue, items=[marked, *rest], mask_names=("box", "drawn", "far"), finding_names=("box",)
    )
    original = parts.make.__globals__["view_of"]

    class Cropped:
        def read(self, data: bytes, name: str) -> Picture:
            return replace(original("image").read(data, name), crop=(10.0, 8.0, 30.0, 34.0))

    monkeypatch.setitem(parts.make.__globals__, "view_of", lambda _: Cropped())
    with pytest.warns(UserWarning, match="'far' lie outside the central square"):
        train = prepared_splits(FolderStore(folder), catalogue, 30, workers=0).train
    # 30 x 34 becomes 30 x 34, of which rows 2 to 32 are kept: x - 10, y - 8 - 2
    pixels = np.asarray(Image.open(folder / first.name))
    np.testing.assert_array_equal(train.images[0], pixels[10:40, 10:40])
    assert np.argwhere(train.mask(0, "box")).min(0).tolist() == [6, 4]
    assert train.mask(0, "box").sum() == 15 and not train.mask(0, "far").any()
    np.testing.assert_array_equal(train.mask(0, "drawn"), mask[10:40, 10:40])
    assert train.annotated.tolist() == [True] + [False] * 149


def test_grey_sets_keep_one_channel(images: tuple[Path, Catalogue]) -> None:
    catalogue = replace(images[1], grey=True)
    with pytest.raises(DataError, match=r"train000\.png: has colours"):
        prepared((images[0], catalogue), workers=0)
    for item in catalogue.items:
        Image.open(images[0] / item.name).convert("L").save(images[0] / item.name)
    train = prepared((images[0], catalogue), workers=0).train
    assert train.images.shape == (150, SIZE, SIZE)
    grey = np.asarray(Image.open(images[0] / "train003.png").resize((SIZE, SIZE), 2))
    np.testing.assert_array_equal(train.images[3], grey)


def relabelled(catalogue: Catalogue, number: int, **changes: object) -> Catalogue:
    items = list(catalogue.items)
    items[number] = replace(items[number], **changes)  # type: ignore[arg-type]
    return replace(catalogue, items=items)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "train001.png"}, "'train001.png' is listed twice"),
        ({"label": 2}, "label of 'train000.png' is 2"),
        ({"label": (1, 0)}, "label of 'train000.png' is"),
        ({"patient": "p155"}, "1 patients are in several splits .'p155' in train and val"),
        ({"boxes": (Mark("x", (0.0, 0.0, 1.0, 1.0)),)}, "unknown mark 'x'"),
        ({"split": "dev"}, "unknown split 'dev'"),
    ],
)
def test_a_catalogue_that_is_no_data_set_is_refused(
    images: tuple[Path, Catalogue], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SoftCAMError, match=message):
        prepared((images[0], relabelled(images[1], 0, **changes)), workers=0)
    assert not cache_root().exists(), "found before anything is written"


def test_shared_patients_are_counted_where_they_are_allowed(
    images: tuple[Path, Catalogue],
) -> None:
    shared = replace(relabelled(images[1], 0, patient="p155"), shared_patients=True)
    notes = prepared((images[0], shared), workers=0).notes
    assert any("1 patients are in several splits" in note for note in notes)


def test_several_findings_an_image(images: tuple[Path, Catalogue]) -> None:
    items = [
        replace(item, label=(i % 2, int(i % 3 == 0))) for i, item in enumerate(images[1].items)
    ]
    catalogue = replace(images[1], items=items, multi_label=True, expected={})
    splits = prepared((images[0], catalogue), workers=0)
    assert splits.multi_label and splits.train.labels.tolist()[:4] == [
        [0, 1],
        [1, 0],
        [0, 0],
        [1, 1],
    ]
    assert splits.train.counts == (75, 50)
    image, label = splits.train[3]
    assert image.shape == (3, SIZE, SIZE) and label.tolist() == [1.0, 1.0]  # type: ignore[union-attr]
    assert prepared((images[0], images[1]), workers=0).fingerprint != splits.fingerprint


def test_the_fingerprint_knows_the_view(
    images: tuple[Path, Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    from softcam.data import views

    monkeypatch.setitem(views.VIEWS, "other", views.View("softcam.data.views:read_plain", 3))
    plain = prepared(images, workers=0)
    other = prepared((images[0], replace(images[1], view="other")), workers=0)
    assert plain.fingerprint != other.fingerprint
    with pytest.raises(UnknownNameError, match="unknown view 'imgae'"):
        prepared((images[0], replace(images[1], view="imgae")), workers=0)


Usage = namedtuple("Usage", "total used free")


def test_too_small_a_disk_is_foreseen(
    images: tuple[Path, Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 170 * SIZE * SIZE * 3
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, needed - 1))
    with pytest.raises(DataError, match=rf"{needed:,} bytes more are needed, {needed - 1:,} are"):
        prepared(images, workers=0)
    assert list(cache_root().iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, needed))
    prepared(images, workers=0)


def test_a_disk_that_fills_up_stops_cleanly_and_goes_on(
    images: tuple[Path, Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    left = (170 - 2 * 64) * SIZE * SIZE * 3
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=rf"too full: {left:,} bytes more.*is kept"):
            prepared(images, workers=0)
    assert not [p for p in cache_root().iterdir() if not p.name.startswith(".parts-tiny")]
    assert len(prepared(images, workers=0)["train"]) == COUNTS["train"]


def test_an_image_listed_but_missing_is_named(images: tuple[Path, Catalogue]) -> None:
    lost = Item("gone", "gone.png", 0, "train", "p")
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        prepared((images[0], replace(images[1], items=[lost, *images[1].items])), workers=0)
