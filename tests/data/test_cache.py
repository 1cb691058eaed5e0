"""The array cache: what is read back is what was written, and a damaged set is built again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from softcam.common import DataError
from softcam.data.cache import SplitsMeta, SplitWriter, cache_root, cached_splits
from softcam.data.records import SPLITS, unpack_mask

H, W, K = 5, 11, 2
COUNTS = {"train": 7, "val": 2, "test": 3}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    return tmp_path


def item(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng([SPLITS.index(split), index])
    return draw.integers(0, 256, (H, W), dtype=np.uint8), draw.random((K, H, W)) > 0.5


class Builder:
    """Writes the little set and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> SplitsMeta:
        self.calls += 1
        for split, count in COUNTS.items():
            with SplitWriter(folder, split, (H, W), K) as writer:
                for i in range(count):
                    image, masks = item(split, i)
                    writer.append(
                        image,
                        masks,
                        id=f'{split}, "{i}" é',
                        label=i % 2,
                        patient="p",
                        annotated=i > 0,
                    )
        return SplitsMeta(("no", "yes"), ("a", "b"), ("b",), "f00d", {"seed": 3}, ("a note",))


def the_folder() -> Path:
    (folder,) = cache_root().glob("[!.]*")
    return folder


def test_reads_back_what_was_written() -> None:
    build = Builder()
    splits = cached_splits("tiny", {"seed": 3}, build)
    again = cached_splits("tiny", {"seed": 3}, build)
    assert build.calls == 1, "the second read must come from the cache"
    assert again.notes == ("a note",) and again.fingerprint == "f00d"
    for split, count in COUNTS.items():
        for part in (splits[split], again[split]):
            assert len(part) == count and part.classes == ("no", "yes")
            assert part.mask_names == ("a", "b") and part.finding_names == ("b",)
            assert part.options == {"seed": 3}
            assert part.ids == tuple(f'{split}, "{i}" é' for i in range(count))
            assert part.labels.tolist() == [i % 2 for i in range(count)]
            assert part.annotated.tolist() == [i > 0 for i in range(count)]
            for i in range(count):
                image, masks = item(split, i)
                np.testing.assert_array_equal(part.images[i], image)
                np.testing.assert_array_equal(unpack_mask(part.masks[i], W), masks)


def test_arrays_are_read_only_maps_of_the_file() -> None:
    images = cached_splits("tiny", {}, Builder()).train.images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_another_key_is_another_folder() -> None:
    build = Builder()
    cached_splits("tiny", {"seed": 1}, build)
    cached_splits("tiny", {"seed": 2}, build)
    assert build.calls == 2 and len(list(cache_root().iterdir())) == 2


def truncate(folder: Path) -> None:
    path = folder / "val" / "images.npy"
    path.write_bytes(path.read_bytes()[:-1])


def drop_rows(folder: Path) -> None:
    path = folder / "test" / "table.csv"
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[:-1]) + "\n")
    meta = json.loads((folder / "meta.json").read_text())
    meta["files"]["test/table.csv"] = path.stat().st_size
    (folder / "meta.json").write_text(json.dumps(meta))


def cut_meta(folder: Path) -> None:
    path = folder / "meta.json"
    path.write_bytes(path.read_bytes()[:20])


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        drop_rows,
        cut_meta,
        lambda folder: (folder / "meta.json").unlink(),
        lambda folder: (folder / "train" / "masks.npy").unlink(),
        lambda folder: (folder / "train" / "table.csv").write_bytes(b""),
    ],
)
def test_a_damaged_set_is_built_again(damage: object) -> None:
    build = Builder()
    cached_splits("tiny", {}, build)
    damage(the_folder())  # type: ignore[operator]
    with pytest.warns(UserWarning, match="damaged"):
        splits = cached_splits("tiny", {}, build)
    assert build.calls == 2
    np.testing.assert_array_equal(splits.val.images[1], item("val", 1)[0])
    assert [p.name for p in cache_root().iterdir()] == [the_folder().name], "nothing is left behind"


def test_a_failed_build_leaves_nothing() -> None:
    def fail(folder: Path) -> SplitsMeta:
        with SplitWriter(folder, "train", (H, W), K) as writer:
            writer.append(*item("train", 0), id="0", label=0, patient="")
            raise DataError("the second image is broken")

    with pytest.raises(DataError, match="second image"):
        cached_splits("tiny", {}, fail)
    assert list(cache_root().iterdir()) == []


def test_the_slower_of_two_builders_uses_the_other_set() -> None:
    winner = Builder()

    def slow(folder: Path) -> SplitsMeta:
        cached_splits("tiny", {}, winner)  # the other process comes in between
        for split in SPLITS:
            with SplitWriter(folder, split, (H, W), K):
                pass
        return SplitsMeta(("loser",), ("a", "b"), (), "")

    splits = cached_splits("tiny", {}, slow)
    assert splits.classes == ("no", "yes") and len(splits.train) == COUNTS["train"]
    assert len(list(cache_root().iterdir())) == 1


def test_no_masks_and_rgb() -> None:
    def write(folder: Path) -> SplitsMeta:
        for split in SPLITS:
            with SplitWriter(folder, split, (H, W, 3), 0) as writer:
                writer.append(
                    np.full((H, W, 3), 9, np.uint8),
                    np.zeros((0, H, W), bool),
                    id=split,
                    label=0,
                    patient="",
                )
        return SplitsMeta(("a",), (), (), "")

    test = cached_splits("tiny", {}, write).test
    assert test.images.shape == (1, H, W, 3) and test.masks.shape == (1, 0, H, 2)
    assert not test.finding(0).any() and test.finding(0).shape == (H, W)


def test_a_wrong_item_is_refused(tmp_path: Path) -> None:
    with SplitWriter(tmp_path, "train", (H, W), K) as writer:
        image, masks = item("train", 0)
        with pytest.raises(DataError, match="uint8"):
            writer.append(image.astype(float), masks, id="0", label=0, patient="")
        with pytest.raises(DataError, match="masks are"):
            writer.append(image, masks[:1], id="0", label=0, patient="")


def test_a_place_that_cannot_hold_the_cache_is_named(project: Path) -> None:
    (project / "data").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="SOFTCAM_ROOT"):
        cached_splits("tiny", {}, Builder())
    shutil.rmtree(project, ignore_errors=True)


def test_a_set_of_an_earlier_version_is_read_as_it_is() -> None:
    """What meta.json did not hold then has its default; nothing is built again."""
    build = Builder()
    cached_splits("tiny", {}, build)
    path = the_folder() / "meta.json"
    meta = json.loads(path.read_text())
    path.write_text(
        json.dumps(
            {k: v for k, v in meta.items() if k not in ("multi_label", "source", "expected")}
        )
    )
    assert not cached_splits("tiny", {}, build).multi_label and build.calls == 1


def test_several_findings_come_back_as_rows() -> None:
    rows = {"train": [(1, 0), (1, 1)], "val": [(0, 0)], "test": [(0, 1)]}

    def write(folder: Path) -> SplitsMeta:
        for split in SPLITS:
            with SplitWriter(folder, split, (H, W), 0) as writer:
                for i, row in enumerate(rows[split]):
                    image, _ = item(split, i)
                    none = np.zeros((0, H, W), bool)
                    writer.append(image, none, id=f"{split}{i}", label=row, patient="")
        return SplitsMeta(("a", "b"), (), (), "", multi_label=True)

    splits = cached_splits("tiny", {}, write)
    assert splits.train.labels.tolist() == [[1, 0], [1, 1]] and splits.train.counts == (2, 1)
    assert "0|1" in (the_folder() / "test" / "table.csv").read_text()
