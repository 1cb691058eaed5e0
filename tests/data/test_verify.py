"""Verification names what differs from the expected counts and from the files of before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from softcam.common import DataError
from softcam.data import open_data
from softcam.data.catalogue import Catalogue
from softcam.data.prepare import prepared_splits
from softcam.data.registry import SOURCES, Source
from softcam.data.store import FolderStore, Store
from softcam.data.verify import verify
from tests.data.stores import draw


@pytest.fixture
def images(project: Path) -> tuple[FolderStore, Catalogue]:
    folder = project / "tiny"
    return FolderStore(folder), draw(folder)


def test_counts_are_compared_split_by_split(images: tuple[FolderStore, Catalogue]) -> None:
    store, catalogue = images
    assert verify(prepared_splits(store, catalogue, 8, workers=0)) == []
    wrong = replace(catalogue, expected={"train": (75, 75), "val": (4, 1006)})
    assert verify(prepared_splits(store, wrong, 8, workers=0)) == [
        "val: 5 images of 'no', expected 4 (+1).",
        "val: 5 images of 'yes', expected 1,006 (-1,001).",
    ]


def test_a_name_is_answered_from_the_tables(
    images: tuple[FolderStore, Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    from softcam.data.cache import cache_root

    wrong = replace(images[1], expected={"test": (0, 5)})
    source = SOURCES["folder"]
    monkeypatch.setitem(SOURCES, "folder", Given(*vars(source).values()))
    monkeypatch.setattr(Given, "load", lambda _: lambda path: (images[0], wrong))
    assert verify("folder:x") == ["test: 5 images of 'no', expected 0 (+5)."]
    assert not cache_root().exists(), "nothing is prepared for it"
    assert verify("folder:x", deep=True, size=8, workers=0) == verify("folder:x")


class Given(Source):
    pass


def test_deep_reads_every_file_again(images: tuple[FolderStore, Catalogue]) -> None:
    store, catalogue = images
    splits = prepared_splits(store, catalogue, 8, workers=0)
    assert verify(splits, deep=True) == []
    for i in range(7):
        (store.path / f"val00{i}.png").write_bytes(b"other")
    (store.path / "test003.png").unlink()
    changed, gone = verify(splits, deep=True)
    assert changed.startswith("7 of 170 files have changed since: val000.png, val001.png")
    assert changed.endswith("val004.png ...")
    assert gone == "1 of 170 files cannot be read any more: test003.png."


def test_what_is_drawn_has_no_files(project: Path) -> None:
    splits = open_data("phantoms:cxr", size=32, n_train=3, n_val=2, n_test=1, progress=False)
    assert verify(splits) == []
    with pytest.raises(DataError, match="was drawn"):
        verify(splits, deep=True)
    with pytest.raises(DataError, match="are drawn"):
        verify("phantoms:cxr")


def test_a_store_is_all_that_deep_needs(images: tuple[Store, Catalogue]) -> None:
    splits = prepared_splits(*images, 8, workers=0)
    assert verify(replace(splits, folder=splits.folder), deep=True, progress=False) == []
