"""What is planted in a data set is found, and clean phantoms are called clean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, SoftCAMError
from softcam.data import Audit, Splits, audit, open_catalogue, open_data
from softcam.data.auditing import Shortcut
from softcam.data.trivial_features import look, table_columns

COUNTS = {"n_train": 200, "n_val": 8, "n_test": 140}


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One project folder for this file, so that its phantoms are drawn once."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTCAM_ROOT", str(root))
        yield root


def phantoms(**options: object) -> Splits:
    given = {"size": 48, "progress": False, **COUNTS, **options}
    return open_data("phantoms:cxr", **given)  # type: ignore[arg-type]


def one(found: Audit, kind: str, name: str) -> Shortcut:
    (only,) = [each for each in found.of_kind(kind) if each.name == name]
    return only


def replaced(splits: Splits, split: str, **values: object) -> Splits:
    return replace(splits, **{split: replace(splits[split], **values)})


@pytest.mark.slow
def test_clean_phantoms_are_clean() -> None:
    found = audit(phantoms(marker=False), progress=False)
    assert found.duplicates.pairs == () and found.duplicates.complete
    assert found.patients.crossing == found.patients.mixed == ()
    for name in ("brightness of the corners", "sharpness of the corners"):
        corners = one(found, "pixels", name).auc
        assert corners.low < 0.5 < corners.high
    assert found.blanks == () and not found.of_kind("file") and not found.of_kind("table")
    assert found.sentences()[0] == "No two of 348 images are the same or nearly so."


@pytest.mark.slow
def test_a_marker_tied_to_the_label_shows_in_the_corners() -> None:
    """A bright letter in one of the upper corners, on all of the diseased and on none else."""
    tied, free = (
        one(audit(phantoms(shortcut=s), progress=False), "pixels", "sharpness of the corners").auc
        for s in (1.0, 0.0)
    )
    assert tied.value > 0.95
    assert free.low < 0.5 < free.high


@pytest.mark.slow
def test_a_planted_brightness_is_found() -> None:
    splits = phantoms(marker=False)
    for split in ("train", "test"):
        part = splits[split]
        lift = (20 * part.labels).astype(np.uint8)[:, None, None]
        splits = replaced(splits, split, images=np.minimum(part.images, 235) + lift)
    found = audit(splits, progress=False)
    best = found.of_kind("pixels")[0]
    assert best.name == "mean brightness" or best.auc.value >= 0.9
    assert one(found, "pixels", "mean brightness").auc.value > 0.9
    assert found.of_kind("seen")[0].auc.tells
    assert any("mean brightness" in line for line in found.sentences())


@pytest.mark.slow
def test_planted_duplicates_are_counted_by_split_and_label() -> None:
    splits = phantoms()
    test = splits.test
    images, labels = np.array(test.images), np.array(test.labels)
    images[0] = splits.train.images[5]
    labels[0] = 1 - splits.train.labels[5]
    images[1] = np.clip(splits.val.images[2].astype(int) + 12, 0, 255)
    labels[1] = splits.val.labels[2]
    images[3], labels[3] = images[2], labels[2]
    images[7] = images[9] = 0  # flat images have no hash, but they are the same
    labels[7] = labels[9] = 0
    found = audit(replaced(splits, "test", images=images, labels=labels), progress=False)
    pairs = {frozenset(pair.ids): pair for pair in found.duplicates.pairs}
    test_ids = splits.test.ids
    assert set(pairs) == {
        frozenset((splits.train.ids[5], test_ids[0])),
        frozenset((splits.val.ids[2], test_ids[1])),
        frozenset((test_ids[2], test_ids[3])),
        frozenset((test_ids[7], test_ids[9])),
    }
    assert found.duplicates.count() == 4
    assert found.duplicates.count(across=True) == 2
    assert found.duplicates.count(same_label=False) == 1
    first = found.duplicates.pairs[0]
    assert first.exact and first.splits == ("train", "test") and not first.same_label
    assert not pairs[frozenset((splits.val.ids[2], test_ids[1]))].exact
    assert "4 pairs" in found.sentences()[0] and "2 across splits" in found.sentences()[0]


def test_patients_across_splits_and_labels_are_named() -> None:
    splits = phantoms()
    patients = ("p1", "p1", "unknown:x", *splits.test.patients[3:])
    changed = replaced(splits, "test", patients=patients, labels=np.arange(140) % 2)
    changed = replaced(changed, "train", patients=("p1", *splits.train.patients[1:]))
    found = audit(changed, progress=False).patients
    assert found.crossing == ("p1",) and found.mixed == ("p1",)
    assert found.unknown == 1 and found.known == 348 - 3


@pytest.fixture(scope="module")
def folder(project: Path) -> Path:
    """Random images; `view` is blank for every negative, `age` says nothing, `report` all."""
    folder = project / "films"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["filename,label,split,patient_id,view,age,report,scanner"]
    for i in range(120):
        label, split = i % 2, ("train", "train", "val", "test", "test")[i // 2 % 5]
        pixels = rng.integers(0, 256, (40 + 8 * label, 40), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i:03d}.png")
        view, age = ("PA" if rng.random() < 0.5 else "AP") * label, rng.integers(20, 90)
        report = "opacity" if label else "clear"
        scanner = "" if rng.random() < 0.3 else "AB"[rng.integers(2)]
        rows.append(f"{i:03d}.png,{label},{split},p{i},{view},{age},{report},{scanner}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_a_column_that_is_blank_where_the_label_is_0_is_told_apart(folder: Path) -> None:
    spec = f"folder:{folder}"
    splits = open_data(spec, 32, progress=False, workers=0)
    store, catalogue = open_catalogue(spec)
    found = audit(splits, catalogue, store, progress=False)

    assert one(found, "blank", "view").auc.value == 1.0
    assert "one class only" in one(found, "table", "view").auc.reason, "its values say nothing"
    view, scanner = found.blanks
    assert (view.column, view.blank, view.images) == ("view", (60, 0), (60, 60))
    assert view.filled_for == (1,) and scanner.filled_for == (0, 1)
    assert view.exact and not scanner.exact
    (said,) = [line for line in found.sentences() if "view" in line and "Blank" in line]
    assert "60 of 60 images of '0', 0 of 60 images of '1'" in said
    assert "That is exactly when the label is '0'. Filled for '1' alone" in said
    assert "describes the table, not the pixels" in said and "neither shown nor excluded" in said
    (other,) = [line for line in found.sentences() if "Blank" in line and "scanner" in line]
    assert "neither shown" not in other and "exactly" not in other

    assert one(found, "table", "report").auc.value == 1.0
    age = one(found, "table", "age").auc
    assert age.low < 0.5 < age.high
    assert one(found, "file", "height of the stored image").auc.value == 1.0
    assert one(found, "file", "bytes of the file").auc.tells
    assert "same" in one(found, "file", "type of the file").auc.reason
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_catalogue_of_another_set_is_refused(folder: Path) -> None:
    _, catalogue = open_catalogue(f"folder:{folder}")
    with pytest.raises(DataError, match="lists no image '0'"):
        audit(phantoms(), catalogue, progress=False)
    with pytest.raises(SoftCAMError, match="n_boot is -1"):
        audit(phantoms(), n_boot=-1)


def test_metadata_are_matched_by_id_not_by_order(folder: Path) -> None:
    spec = f"folder:{folder}"
    splits = open_data(spec, 32, progress=False, workers=0)
    _, catalogue = open_catalogue(spec)
    report = next(c for c in table_columns(splits, catalogue) if c.name == "report")
    labels = np.concatenate([splits[s].labels for s in ("train", "val", "test")])
    assert report.words == tuple("opacity" if y else "clear" for y in labels)


def test_the_measures_of_pixels_by_hand() -> None:
    splits = phantoms(n_train=3, n_val=2, n_test=2)
    values = {column.name: column.numbers for column in look(splits, progress=False).columns}
    image = splits.test.images[1].astype(float)  # the last of seven
    border = np.ones_like(image, bool)
    border[3:-3, 3:-3] = False
    expected = {
        "mean brightness": [image.mean()],
        "contrast": [image.std()],
        "brightness of the border": [image[border].mean()],
        "brightness of the corners": [
            image[:8, :8].mean(), image[:8, -8:].mean(), image[-8:, :8].mean(),
            image[-8:, -8:].mean(),
        ],
    }  # fmt: skip
    corners = (image[:8, :8], image[:8, -8:], image[-8:, :8], image[-8:, -8:])
    steps = [[np.abs(np.diff(c, axis=axis)).ravel() for axis in (0, 1)] for c in corners]
    expected["sharpness of the corners"] = [np.concatenate(each).mean() for each in steps]
    edges = [
        4 * image[y, x] - image[y - 1, x] - image[y + 1, x] - image[y, x - 1] - image[y, x + 1]
        for y in range(1, 47)
        for x in range(1, 47)
    ]
    expected["sharpness"] = [np.log1p(np.var(edges))]
    assert set(values) == set(expected)
    for name, wanted in expected.items():
        np.testing.assert_allclose(values[name][-1], wanted, rtol=1e-4, err_msg=name)


def test_a_multi_label_set_is_asked_finding_by_finding() -> None:
    splits = phantoms(marker=False)
    for split in ("train", "val", "test"):
        part = splits[split]
        bright = part.images.mean((1, 2)) > np.median(splits.train.images.mean((1, 2)))
        wide = np.stack([part.labels, bright], 1).astype(np.int64)
        splits = replaced(splits, split, labels=wide)
    found = audit(splits, progress=False)
    alone, first = (audit(of_one(splits, k), n_boot=0, progress=False) for k in (1, 0))
    both, bright, ill = (
        one(each, "pixels", "mean brightness").auc.value for each in (found, alone, first)
    )
    assert bright > 0.95
    assert both == pytest.approx((bright + ill) / 2)


def of_one(splits: Splits, finding: int) -> Splits:
    """The same images with one finding as their label."""
    parts = {split: splits[split] for split in ("train", "val", "test")}
    return Splits(
        **{split: replace(part, labels=part.labels[:, finding]) for split, part in parts.items()}
    )
