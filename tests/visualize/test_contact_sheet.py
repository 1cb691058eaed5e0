"""The contact sheet shows what it says, and images under a closed licence stay where they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from softcam.common import SoftCAMError
from softcam.data import SOURCES, ImageSet, Sample, sample_of
from softcam.visualize import contact_sheet, write_contact_sheet


@pytest.fixture
def sample() -> Sample:
    rng = np.random.default_rng(0)
    masks = np.zeros((8, 2, 16, 2), np.uint8)
    masks[4:, 0, 4:10, 0] = 0b00111100
    data = ImageSet(
        "folder-x", "test", ("healthy", "ill"), rng.integers(0, 256, (8, 16, 16), np.uint8),
        np.repeat([0, 1], 4), tuple(f"a-very-long-file-name-indeed-{i}.png" for i in range(8)),
        tuple("abcdefgh"), masks, ("lesion", "disc"), ("lesion",), np.ones(8, bool),
    )  # fmt: skip
    return sample_of(data, n=3, seed=1)


def test_every_class_has_its_row_with_ids_labels_and_findings(sample: Sample) -> None:
    figure = contact_sheet(sample, SOURCES["phantoms"])
    axes = [ax for ax in figure.axes if ax.images]
    assert len(axes) == 6, "three of each class"
    titles = [ax.get_title(loc="left") for ax in axes]
    assert titles[0] == "healthy (3 of 4)" and titles[3] == "ill (3 of 4)"
    assert [bool(ax.collections) for ax in axes] == [False] * 3 + [True] * 3, "outlines"
    below = [ax.get_xlabel() for ax in axes]
    for row in sample.rows:
        for place in row.places:
            assert any(f"{place}.png\n{row.name}" in text for text in below)
    assert all(len(text.split("\n")[0]) <= 24 for text in below)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_heading_stands_clear_of_the_captions_above_it(sample: Sample, n: int) -> None:
    figure = contact_sheet(sample_of(sample.data, n), SOURCES["phantoms"])
    FigureCanvasAgg(figure).draw()
    axes = [ax for ax in figure.axes if ax.images]
    lowest = min(ax.xaxis.label.get_window_extent().y0 for ax in axes[:n])
    heading = next(t for t in axes[n].findobj(Text) if t.get_text().startswith("ill"))
    gap = (lowest - heading.get_window_extent().y1) / figure.dpi
    assert gap > 0.03, f"{gap:.2f} inches between a row's captions and the next heading"


def test_the_same_seed_chooses_the_same_images(sample: Sample) -> None:
    again, other = sample_of(sample.data, 3, seed=1), [sample_of(sample.data, 3, s) for s in (2, 3)]
    assert again.rows == sample.rows and any(each.rows != sample.rows for each in other)


def test_a_multi_label_image_names_all_its_findings(sample: Sample) -> None:
    labels = np.array([[0, 0], [1, 0], [1, 1], [0, 1]] * 2)
    both = sample_of(replace(sample.data, labels=labels), n=8)
    assert [(row.name, row.total) for row in both.rows] == [
        ("healthy", 4), ("ill", 4), ("none of them", 2),
    ]  # fmt: skip
    figure = contact_sheet(both, SOURCES["phantoms"])
    below = [ax.get_xlabel().split("\n")[1] for ax in figure.axes if ax.images]
    assert below.count("healthy, ill") == 4 and below.count("none of them") == 2


@pytest.mark.slow
def test_a_closed_licence_is_said_in_the_picture_and_in_the_file(
    sample: Sample, project: Path
) -> None:
    path = write_contact_sheet(project / "runs" / "x.png", sample, SOURCES["rsna"])
    with Image.open(path) as image:
        assert image.info["softcam-share"] == "no"
        assert "RSNA" in image.info["Copyright"]
        red = np.asarray(image.convert("RGB")).astype(int)
    note = (red[..., 0] - red[..., 1] > 100) & (red[..., 2] < 60)
    assert note.sum() > 200, "the note is red and in the picture"
    said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert said["share"] is False and len(said["images"]) == 6
    assert said["credit"] == SOURCES["rsna"].credit
    open_path = write_contact_sheet(project / "y.png", sample, SOURCES["idrid"])
    said = json.loads(open_path.with_suffix(".json").read_text(encoding="utf-8"))
    assert said["share"] is True and "CC BY 4.0" in said["licence"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "private"),
    [
        ("runs/a/x.png", True),
        ("data/x.png", True),
        ("data/checkpoints/x.png", False),
        ("figures/x.png", False),
        ("../outside/x.png", True),
        ("runs/../figures/x.png", False),
    ],
)
def test_a_closed_licence_never_reaches_what_git_keeps(
    sample: Sample, project: Path, place: str, private: bool
) -> None:
    (project / ".git").mkdir()
    path = project / place
    if private:
        assert write_contact_sheet(path, sample, SOURCES["kaggle-dr"]).is_file()
        return
    with pytest.raises(SoftCAMError, match="may not be passed on"):
        write_contact_sheet(path, sample, SOURCES["kaggle-dr"])
    assert not path.exists()
    assert write_contact_sheet(path, sample, SOURCES["idrid"]).is_file()


def test_one_set_of_an_open_source_may_be_closed(sample: Sample, project: Path) -> None:
    (project / ".git").mkdir()
    source = SOURCES["medmnist"]
    assert write_contact_sheet(project / "a.png", sample, source, "bloodmnist").is_file()
    with pytest.raises(SoftCAMError, match="CC BY-NC"):
        write_contact_sheet(project / "b.png", sample, source, "DermaMNIST")
    with pytest.raises(SoftCAMError, match="ends in .png"):
        write_contact_sheet(project / "c.pdf", sample, source)
