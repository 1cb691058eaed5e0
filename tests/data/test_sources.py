"""Data sets by name: the right source, and the closest names for a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import DataError, UnknownNameError
from softcam.data import open_data


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
