"""Data sets by name: the right source, and the closest names for a wrong one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from softcam.common import DataError, UnknownNameError
from softcam.data import SOURCES, open_catalogue, open_data


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))


def test_phantoms_take_their_options() -> None:
    splits = open_data("phantoms:cxr", size=32, n_train=3, n_val=2, n_test=1)
    assert splits.name == "phantoms-cxr" and splits.train.size == (32, 32)
    assert [len(splits[s]) for s in ("train", "val", "test")] == [3, 2, 1]


@pytest.mark.parametrize(
    ("spec", "options", "closest"),
    [
        ("fantoms:cxr", {}, "'phantoms'"),
        ("phantoms:crx", {}, "'cxr'"),
        ("phantoms:cxr", {"n_tran": 3}, "'n_train'"),
        ("folder:x", {"label_colum": "y"}, "'label_column'"),
    ],
)
def test_wrong_names_get_the_closest(spec: str, options: dict[str, int], closest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean {closest}"):
        open_data(spec, size=32, **options)


@pytest.mark.parametrize("spec", ["phantoms", "folder:"])
def test_a_source_needs_something_to_open(spec: str) -> None:
    with pytest.raises(DataError, match="nothing in it"):
        open_data(spec)


def test_a_folder_that_does_not_exist_is_named() -> None:
    with pytest.raises(DataError, match="no folder 'nowhere'"):
        open_data("folder:nowhere")


@pytest.mark.parametrize("source", ["folder", "rsna"])
def test_a_place_that_was_looked_at_once_is_named_once(source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_data(f"{source}:{tmp_path / 'nowhere'}")
    looked = str(caught.value).partition("looked at ")[2]
    assert looked.count("nowhere") == 1, caught.value


def test_every_source_says_what_it_is_and_can_be_loaded() -> None:
    for name, source in SOURCES.items():
        assert source.name == name and source.title and source.get and source.licence
        assert source.credit and source.form and isinstance(source.share, bool)
        options = source.options()
        assert not {"path", "size", "progress"} & set(options)
        assert "seed" in options or name not in ("phantoms", "folder")


@pytest.mark.parametrize("spec", ["rsna:nowhere", "oct:nowhere", "kaggle-dr:nowhere"])
def test_a_set_that_is_not_there_says_how_to_get_it(spec: str) -> None:
    get = SOURCES[spec.partition(":")[0]].get
    with pytest.raises(DataError, match=re.escape(get)):
        open_data(spec)


def test_options_of_the_preparation_are_options_of_every_source_of_files(tmp_path: Path) -> None:
    from tests.data.test_folder import NAMES, ROWS, labels

    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    for i, name in enumerate(NAMES):
        Image.new("RGB", (16, 16), (i, 0, 0)).save(folder / "images" / name)
    labels(folder, ROWS)
    splits = open_data(f"folder:{folder}", 16, workers=0, on_error="skip", progress=False)
    assert splits.train.options["on_error"] == "skip"
    store, catalogue = open_catalogue(f"folder:{folder}")
    assert store.path == folder and [item.id for item in catalogue.items] == NAMES


@pytest.mark.parametrize("source", ["folder", "oct", "kaggle-dr"])
@pytest.mark.parametrize("path", ["x" * 5000, "~no-such-user/x", "a\0b"])
def test_a_path_that_no_system_takes(source: str, path: str) -> None:
    with pytest.raises(DataError, match="^the data set is "):
        open_data(f"{source}:{path}")
