"""Shuffled labels: the same images, other labels, and nothing that could be mixed up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, UnknownNameError
from softcam.data import Splits, open_data
from softcam.data.cache import cache_root
from softcam.data.relabel import shuffle_labels

OPTIONS = {"size": 32, "n_train": 40, "n_val": 24, "n_test": 20}


@pytest.fixture
def true(project: Path) -> Splits:
    return open_data("phantoms:cxr", **OPTIONS)


@pytest.fixture
def shuffled(true: Splits) -> Splits:
    return open_data("phantoms:cxr", shuffle_labels=True, **OPTIONS)


def test_train_and_val_are_permuted_and_test_is_not(true: Splits, shuffled: Splits) -> None:
    for split in ("train", "val"):
        before, after = true[split].labels, shuffled[split].labels
        assert sorted(before) == sorted(after) and (before != after).any()
        assert abs(np.corrcoef(before, after)[0, 1]) < 0.5
    assert np.array_equal(true.test.labels, shuffled.test.labels)


def test_everything_but_labels_and_names_is_the_same(true: Splits, shuffled: Splits) -> None:
    for split in ("train", "val", "test"):
        a, b = true[split], shuffled[split]
        assert np.array_equal(a.images, b.images) and np.array_equal(a.masks, b.masks)
        assert (a.ids, a.patients, a.classes) == (b.ids, b.patients, b.classes)
        assert a.finding_names == b.finding_names and np.array_equal(a.annotated, b.annotated)
        assert isinstance(b.images, np.memmap), "images are not copied"


def test_it_is_another_data_set_by_name_options_and_fingerprint(
    true: Splits, shuffled: Splits
) -> None:
    assert shuffled.name == "phantoms-cxr-shuffled"
    assert len({shuffled[s].fingerprint for s in ("train", "val", "test")}) == 1
    assert shuffled.fingerprint != true.fingerprint
    assert shuffled.test.options == {**true.test.options, "shuffle_labels": True}
    again = open_data("phantoms:cxr", shuffle_labels=True, **OPTIONS)
    assert again.fingerprint == shuffled.fingerprint
    assert np.array_equal(again.train.labels, shuffled.train.labels)


def test_the_notes_count_the_labels_that_stayed(true: Splits, shuffled: Splits) -> None:
    kept = int((true.train.labels == shuffled.train.labels).sum())
    assert any(
        note.startswith("train: labels are shuffled") and f"{kept} of 40" in note
        for note in shuffled.notes
    )


def test_nothing_more_is_kept_on_disk(shuffled: Splits) -> None:
    assert len(list(cache_root().iterdir())) == 1


def test_false_changes_nothing(true: Splits) -> None:
    same = open_data("phantoms:cxr", shuffle_labels=False, **OPTIONS)
    assert (same.name, same.fingerprint) == (true.name, true.fingerprint)
    assert np.array_equal(same.train.labels, true.train.labels)


def test_twice_is_refused(shuffled: Splits) -> None:
    with pytest.raises(DataError, match="already"):
        shuffle_labels(shuffled)


@pytest.mark.parametrize("value", ["True", 1, None])
def test_other_values_are_refused(project: Path, value: object) -> None:
    with pytest.raises(DataError, match="expected true or false"):
        open_data("phantoms:cxr", shuffle_labels=value, **OPTIONS)  # type: ignore[arg-type]


def test_a_slip_of_the_finger_gets_the_name(project: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'shuffle_labels'"):
        open_data("phantoms:cxr", shufle_labels=True, **OPTIONS)


def test_a_folder_of_images_takes_it_too(project: Path) -> None:
    folder = project / "data" / "mine"
    (folder / "images").mkdir(parents=True)
    rows = ["filename,label,split"]
    draw = np.random.default_rng(0)
    for i in range(36):
        split = ("train", "val", "test")[i % 3]
        Image.fromarray(draw.integers(0, 256, (16, 16), np.uint8)).save(
            folder / "images" / f"{i}.png"
        )
        rows.append(f"{i}.png,{i // 3 % 2},{split}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    true = open_data("folder:mine", size=16, progress=False)
    shuffled = open_data("folder:mine", size=16, progress=False, shuffle_labels=True)
    assert shuffled.name == "folder-mine-shuffled"
    assert sorted(true.train.labels) == sorted(shuffled.train.labels)
    assert (true.train.labels != shuffled.train.labels).any()
    assert np.array_equal(true.test.labels, shuffled.test.labels)


def test_rows_of_several_findings_change_places_whole(true: Splits) -> None:
    sets = {}
    for split in ("train", "val", "test"):
        rows = np.stack([np.arange(len(true[split])) % 3 == 0, true[split].labels == 1], 1)
        sets[split] = replace(true[split], labels=rows.astype(np.int64))
    several = Splits(**sets)
    shuffled = shuffle_labels(several)
    before, after = several.train.labels.tolist(), shuffled.train.labels.tolist()
    assert sorted(before) == sorted(after) and before != after
    kept = sum(a == b for a, b in zip(before, after, strict=True))
    assert any(f"patients ignored; {kept} of 40 images" in note for note in shuffled.notes)
