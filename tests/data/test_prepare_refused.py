"""What a preparation cannot finish: said before the work where it can be, in one sentence."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from softcam.common import DataError
from softcam.data.cache import cache_root
from softcam.data.catalogue import Item, MaskFile
from softcam.data.prepare import prepared_splits
from softcam.data.store import FolderStore
from tests.data.stores import Counting, draw

SIZE = 16


@pytest.mark.parametrize("as_mask", [False, True])
def test_a_file_name_that_cannot_be_written_down_is_named_first(
    project: Path, as_mask: bool
) -> None:
    catalogue = draw(project / "tiny")
    name = os.fsdecode(b"a\xff.png")
    first = catalogue.items[0]
    odd = (
        replace(first, masks=(MaskFile("m", name),))
        if as_mask
        else Item(name, name, 0, "train", "p")
    )
    items = [odd, *catalogue.items[1:]]
    store = Counting(project / "tiny")
    with pytest.raises(DataError, match=r"the file name 'a\\udcff\.png' is not UTF-8; rename"):
        prepared_splits(store, replace(catalogue, items=items, mask_names=("m",)), SIZE)
    assert not store.reads


def test_a_disk_that_takes_no_large_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(os, "fsync", refuse)
    catalogue = draw(project / "tiny")
    with pytest.raises(DataError, match=rf"no file as large as these \({150 * SIZE * SIZE * 3:,}"):
        prepared_splits(FolderStore(project / "tiny"), catalogue, SIZE, workers=0)
    assert not [p for p in cache_root().iterdir() if not p.name.startswith(".parts-tiny")]


def test_of_many_equal_files_a_few_are_named(project: Path) -> None:
    catalogue = draw(project / "tiny")
    for item in catalogue.items[1:]:
        shutil.copy(project / "tiny" / catalogue.items[0].name, project / "tiny" / item.name)
    with pytest.warns(UserWarning, match="several splits under other names"):
        splits = prepared_splits(FolderStore(project / "tiny"), catalogue, SIZE, workers=0)
    (note,) = (note for note in splits.notes if "other names" in note)
    assert note.count(" = ") == 4 and "train004.png ...)" in note
