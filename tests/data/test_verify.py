"""Verification names what differs from the expected counts and from the files of before."""

from __future__ import annotations

from collections.abc import Mapping
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


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"all": (85, 85)}, []),
        (
            {"all": (85, 84), "patients": (150, 10, 11)},
            [
                "all splits together: 85 images of 'yes', expected 84 (+1).",
                "test: 10 patients, expected 11 (-1).",
            ],
        ),
        ({"train": (75, 74)}, ["train: 75 images of 'yes', expected 74 (+1)."]),
    ],
)
def test_counts_of_all_splits_and_of_patients(
    images: tuple[FolderStore, Catalogue],
    monkeypatch: pytest.MonkeyPatch,
    expected: dict[str, tuple[int, ...]],
    said: list[str],
) -> None:
    wrong = replace(images[1], expected=expected)
    monkeypatch.setitem(SOURCES, "folder", Given(*vars(SOURCES["folder"]).values()))
    monkeypatch.setattr(Given, "load", lambda _: lambda path: (images[0], wrong))
    assert verify("folder:x") == said
    assert verify(prepared_splits(images[0], wrong, 8, workers=0)) == said


@pytest.mark.parametrize("expected", [{"trian": (75, 75)}, {"all": (170,)}, {"patients": (1, 2)}])
def test_expected_counts_that_fit_nothing_are_refused(
    images: tuple[FolderStore, Catalogue], expected: dict[str, tuple[int, ...]]
) -> None:
    splits = prepared_splits(images[0], replace(images[1], expected=expected), 8, workers=0)
    with pytest.raises(DataError, match=f"'{next(iter(expected))}'.*fit nothing"):
        verify(splits)


def test_the_counts_of_the_paper() -> None:
    """As they stand in the authors' split files; the totals were counted apart from the parts."""
    from softcam.data.sets import grades, oct, rsna

    def totals(counts: Mapping[str, tuple[int, ...]]) -> list[int]:
        return [sum(counts[split]) for split in ("train", "val", "test")]

    assert dict(rsna.SPLIT_COUNTS) == {
        "train": (6770, 4599),
        "val": (753, 511),
        "test": (1328, 902),
    }
    assert totals(rsna.SPLIT_COUNTS) == [11369, 1264, 2230]
    assert sum(rsna.ALL_COUNTS["all"]) == 14863 == sum(totals(rsna.SPLIT_COUNTS))
    parts = zip(*rsna.SPLIT_COUNTS.values(), strict=True)
    assert rsna.ALL_COUNTS["all"] == tuple(sum(each) for each in parts)
    assert totals(oct.COUNTS["drusen"]) == [27430, 7532, 498]
    assert oct.COUNTS["drusen"]["train"] == (20794, 6636)
    assert oct.COUNTS["drusen"]["val"] == (5552, 1980) and oct.COUNTS["drusen"]["test"][1] == 248
    assert oct.COUNTS["drusen"]["patients"] == (1853, 464, 334)
    assert totals(oct.COUNTS["four"]) == [14894, 2306, 998]
    assert oct.COUNTS["four"]["train"] == (6800, 1228, 1618, 5248)
    assert oct.COUNTS["four"]["val"] == (1200, 172, 182, 752)
    full, reduced = (
        {task: grades.expected_counts(task, ["train"] * n) for task in grades.TASKS}
        for n in (34350, 15105)
    )
    assert totals(full["grade"]) == [34350, 4617, 6956] == totals(full["onset1"])
    assert totals(reduced["onset2"]) == [15105, 4617, 6956]
    assert full["onset1"]["train"] == (25245, 9105) and full["onset2"]["train"] == (27946, 6404)
    assert full["onset1"]["val"][1] == 1197 and full["onset1"]["test"][1] == 1838
    assert reduced["onset1"]["train"] == (6000, 9105)
    assert full["grade"]["val"] == (3420, 360, 654, 125, 58)
    assert full["grade"]["test"] == (5118, 537, 1051, 173, 77)


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
