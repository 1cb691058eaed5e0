"""A picture that may not be published is named, with the reason; the checkout holds none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from softcam.data import SOURCES
from softcam.visualize import unpublishable, write_record

ROOT = Path(__file__).resolve().parents[2]


def picture(path: Path, tag: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngImagePlugin.PngInfo()
    if tag:
        info.add_text("softcam-share", tag)
    kind = "PNG" if path.suffix == ".png" else "JPEG"
    Image.new("L", (4, 4), 7).save(path, kind, **({"pnginfo": info} if kind == "PNG" else {}))
    return path


def test_this_checkout_holds_none() -> None:
    found = unpublishable(ROOT)
    assert not found, "\n".join(f"{path}: {reason}" for path, reason in found.items())


@pytest.mark.parametrize(
    ("source", "name", "free"),
    [
        ("phantoms", "cxr", True), ("idrid", "x", True), ("medmnist", "bloodmnist", True),
        ("medmnist", "dermamnist", False), ("rsna", "x", False), ("kaggle-dr", "x", False),
        ("folder", "x", False),
    ],
)  # fmt: skip
def test_a_record_says_whose_images_are_shown(
    tmp_path: Path, source: str, name: str, free: bool
) -> None:
    path = picture(tmp_path / "figures" / "a.png")
    record = write_record(path, SOURCES[source], name, split="test")
    said = json.loads(record.read_text(encoding="utf-8"))
    assert said["source"] == source and said["credit"] and said["split"] == "test"
    expected = {} if free else {path: f"the images of {source} may not be passed on"}
    assert unpublishable(tmp_path) == expected


def test_pictures_are_named_with_the_reason(tmp_path: Path) -> None:
    good, other, closed, silent, damaged = (
        picture(tmp_path / "docs" / f"{name}.jpg")
        for name in ("good", "other", "closed", "silent", "damaged")
    )
    for path in (good, other):
        write_record(path, SOURCES["phantoms"])
    Image.new("L", (5, 5)).save(other)
    write_record(closed, SOURCES["rsna"])
    damaged.with_suffix(".json").write_text("{", encoding="utf-8")
    tagged = picture(tmp_path / "tests" / "tagged.png", "no")
    picture(tmp_path / "tests" / "reference.png", "yes")
    bare = picture(tmp_path / "bare.png")
    (tmp_path / "tests" / "broken.png").write_bytes(b"no picture")
    assert unpublishable(tmp_path) == {
        bare: "no bare.json beside it says whose images it shows",
        closed: "the images of rsna may not be passed on",
        damaged: "damaged.json does not say whether its images may be passed on",
        other: "it is not the picture that other.json is about",
        silent: "no silent.json beside it says whose images it shows",
        tagged: "the picture itself says that its images may not be passed on",
    }


def test_what_git_ignores_is_left_out(tmp_path: Path) -> None:
    for place in ("runs/x", "data/nih-cxr/images", "data/cache", ".venv/lib"):
        picture(tmp_path / place / "a.png", "no")
    kept = picture(tmp_path / "data" / "checkpoints" / "a.png", "no")
    assert list(unpublishable(tmp_path)) == [kept]


def test_a_record_of_a_picture_that_is_not_there_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_record(tmp_path / "figures" / "a.png", SOURCES["phantoms"])
    assert not list(tmp_path.rglob("*.json"))
