"""Labels over layers, read back from the figure."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.layerwise import global_labels
from softcam.visualize import describe
from softcam.visualize.global_labels import _spread, plot_global

LAYERS = ["l1", "l2", "l3"]


def table(lines: dict[str, dict[str, list[float]]]) -> pd.DataFrame:
    """Class -> label -> scores, as `global_labels` would have it of one image a class."""
    rows = [
        ("image of " + name, name, layer, 0, label, score)
        for name, labels in lines.items()
        for label, scores in labels.items()
        for layer, score in zip(LAYERS, scores, strict=True)
    ]
    columns = ["image", "class_name", "layer", "cluster", "label", "score"]
    return global_labels(pd.DataFrame(rows, columns=columns))


TWO = {
    "opacity": {"rib": [0.6, 0.3, 0.1], "patch": [0.0, 0.2, 0.7], "lung": [0.2, 0.2, 0.2]},
    "normal": {"rib": [0.5, 0.5, 0.4]},
}


def names(ax) -> list[str]:
    """The labels written at the ends of lines, from the top."""
    return [t.get_text() for t in sorted(ax.texts, key=lambda t: -t.xyann[1])]


def test_lines_are_the_table_and_dashes_are_what_fades() -> None:
    normal, opacity = plot_global(table(TWO)).axes
    assert (normal.get_title(), opacity.get_title()) == ("normal", "opacity")
    lines = {line.get_label(): line for line in opacity.lines}
    assert list(lines) == ["patch", "lung", "rib"], "emerging first"
    for label, scores in TWO["opacity"].items():
        assert lines[label].get_xdata().tolist() == [0, 1, 2]
        assert lines[label].get_ydata().tolist() == pytest.approx(scores)
    dashes = {label: line.get_linestyle() for label, line in lines.items()}
    assert dashes == {"patch": "-", "lung": "-", "rib": "--"}
    assert [t.get_text() for t in opacity.get_xticklabels()] == LAYERS
    assert names(opacity) == ["patch", "lung", "rib"], "each name at the end of its line"


def test_a_label_looks_the_same_in_all_panels_and_unlike_all_others() -> None:
    normal, opacity = plot_global(table(TWO)).axes
    look = {line.get_label(): (line.get_color(), line.get_marker()) for line in opacity.lines}
    (rib,) = normal.lines
    assert (rib.get_color(), rib.get_marker()) == look["rib"]
    assert len({colour for colour, _ in look.values()}) == len({m for _, m in look.values()}) == 3


def test_labels_of_one_panel_differ_in_colour_however_many_there_are_in_all() -> None:
    classes = {f"c{p}": {f"w{p}{k}": [0.1, 0.2, 0.3] for k in range(5)} for p in range(3)}
    for labels in classes.values():
        labels["rib"] = [0.5, 0.2, 0.1]
    ribs = set()
    for ax in plot_global(table(classes)).axes:
        looks = {line.get_label(): line.get_color() for line in ax.lines}
        assert len(looks) == len(set(looks.values())) == 6
        ribs.add(looks["rib"])
    assert len(ribs) == 1


def test_of_many_labels_the_highest_peaks_are_shown_and_the_rest_is_counted() -> None:
    many = {f"w{k}": [0.1 * k, 0.0, 0.0] for k in range(1, 10)}
    (ax,) = plot_global(table({"c": many}), most=4).axes
    assert {line.get_label() for line in ax.lines} == {"w6", "w7", "w8", "w9"}
    assert any("5 lower labels not shown" in text.get_text() for text in ax.texts)
    (ax,) = plot_global(table({"c": many}), most=8).axes
    assert any("1 lower label not shown" in text.get_text() for text in ax.texts)
    assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == 8


def test_a_gap_in_the_layers_is_no_zero() -> None:
    gap = table(TWO)
    gap = gap[~((gap["class_name"] == "normal") & (gap["layer"] == "l2"))]
    (ax,) = plot_global(gap, classes=["normal"]).axes
    assert ax.lines[0].get_xdata().tolist() == [0, 2]
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.4]


def test_names_keep_their_distance_and_their_order() -> None:
    wanted = [0.5, 0.5, 0.0, 0.0, 0.9]
    found = _spread(wanted, 0.1)
    assert found == pytest.approx([0.55, 0.45, 0.1, 0.0, 0.9])
    crowded = np.array(_spread([0.02] * 8, 0.07))
    assert crowded.min() >= 0 and np.all(np.diff(np.sort(crowded)) > 0.07 - 1e-9)
    assert _spread([], 0.1) == []


def test_nasty_labels_are_drawn_as_they_are() -> None:
    nasty = {"$\\frac{1}{0}$": [0.1, 0.2, 0.3], "🔥": [0.3, 0.1, 0.1], "x" * 40: [0.1, 0.1, 0.1],
             "<b>": [0.2, 0.2, 0.2]}  # fmt: skip
    figure = plot_global(table({"c $": nasty}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        figure.canvas.draw()
    written = names(figure.axes[0])
    assert "fire" in written and "$\\frac{1}{0}$" in written and "<b>" in written
    assert max(map(len, written)) == 22


def test_panels_follow_the_classes_asked_for() -> None:
    five = table({f"c{k}": {"rib": [0.1, 0.2, 0.3]} for k in range(5)})
    figure = plot_global(five)
    assert [ax.get_title() for ax in figure.axes if ax.axison] == [f"c{k}" for k in range(5)]
    figure = plot_global(five, classes=["c3", "c1"], title="What the layers see")
    assert [ax.get_title() for ax in figure.axes] == ["c3", "c1"]
    assert "What the layers see" in describe(figure) and "rib" in describe(figure)


def test_one_layer_and_zero_scores_can_be_drawn() -> None:
    flat = table(TWO)
    plot_global(flat[flat["layer"] == "l1"]).canvas.draw()
    plot_global(flat.assign(score=0.0)).canvas.draw()


def test_what_cannot_be_drawn_is_an_error() -> None:
    with pytest.raises(SoftCAMError, match="has no labels"):
        plot_global(table({}))
    with pytest.raises(UnknownNameError, match="opacity"):
        plot_global(table(TWO), classes=["opacities"])
    with pytest.raises(SoftCAMError, match="most is 9"):
        plot_global(table(TWO), most=9)
