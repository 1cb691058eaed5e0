"""The figure of cluster maps: what stands where, and words that want to be more than words."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from softcam.common import SoftCAMError
from softcam.layerwise import ClusterMap, LayerExplanation, match_concepts
from softcam.layerwise.concepts import LABEL_COLUMNS
from softcam.visualize import plot_layers

IMAGE = np.random.default_rng(0).integers(0, 255, (16, 20)).astype(np.uint8)


def layer(name: str, *shares: float, size: tuple[int, int] = (4, 5)) -> LayerExplanation:
    maps = np.random.default_rng(len(shares)).random((len(shares), *size)).astype(np.float32)
    clusters = tuple(
        ClusterMap(name, i, each, share, (i,))
        for i, (each, share) in enumerate(zip(maps, shares, strict=True))
    )
    notes = () if shares else ("no map of this layer raises the logit",)
    return LayerExplanation(name, size, 32, len(shares), clusters, None, notes)


def table(*rows: tuple[str, int, str, float], image: str = "7") -> pd.DataFrame:
    full = [(image, "c", name, i, 1.0, label, score, 1) for name, i, label, score in rows]
    return pd.DataFrame(full, columns=list(LABEL_COLUMNS))


def drawn(figure: Any) -> str:
    """Draw it, in memory; all that is written in it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # fonts do not have everything
        figure.savefig(io.BytesIO(), format="png", dpi=40)
    texts = [t.get_text() for ax in figure.axes for t in ax.texts]
    texts += [t for ax in figure.axes for t in (ax.get_title(), ax.get_xlabel())]
    return "\n".join(texts)


@pytest.mark.slow
def test_a_row_a_layer_and_a_picture_a_cluster_map() -> None:
    figure = plot_layers([layer("net.layer1", 60, 25.4), layer("net.layer2", 90)], IMAGE)
    axes = figure.axes[:6]  # two rows of image and two maps
    assert [len(ax.images) for ax in axes] == [1, 2, 2, 1, 2, 0]
    titles = [ax.get_title() for ax in axes]
    assert titles[1:3] == ["60 % of the weight", "25 % of the weight"]
    text = drawn(figure)
    assert "layer1" in text and "4 x 5 cells" in text and "2 of 32 maps" in text
    assert "no label" not in text


def test_the_map_is_shown_where_it_is() -> None:
    one = layer("a", 100.0)
    cells = np.zeros((4, 5), np.float32)
    cells[3, 0] = 1
    one = LayerExplanation("a", (4, 5), 1, 1, (ClusterMap("a", 0, cells, 100.0, (0,)),), None)
    colours = plot_layers(one, IMAGE).axes[1].images[1].get_array()
    assert colours.shape == (16, 20, 4)
    assert colours[15, 0, 3] == pytest.approx(0.75) and colours[0, 19, 3] == 0


def test_labels_stand_below_their_maps_with_their_scores() -> None:
    labels = table(("a", 1, "lesion", 0.61), ("a", 1, "lungs", 0.2))
    figure = plot_layers(layer("a", 50, 30), IMAGE, labels)
    assert figure.axes[1].get_xlabel() == "no label"
    assert figure.axes[2].get_xlabel() == "lesion  0.61\nlungs  0.20"


def test_merged_maps_are_drawn_merged() -> None:
    one = layer("a", 50, 30, 10)
    labels = table(("a", 0, "lesion", 0.5), ("a", 1, "bone", 0.4))
    labels.attrs["merged"] = [{"image": "7", "layer": "a", "cluster": 0, "members": [0, 2]}]
    figure = plot_layers(one, IMAGE, labels)
    titles = [ax.get_title() for ax in figure.axes[1:3]]
    assert titles == ["60 % of the weight\n2 maps merged", "30 % of the weight"]
    expected = (50 * one.clusters[0].map + 10 * one.clusters[2].map) / 60
    alpha = figure.axes[1].images[1].get_array()[..., 3]
    corner = 0.75 * np.sqrt(expected[0, 0])  # the outermost pixel lies within its cell
    assert alpha[0, 0] == pytest.approx(corner, abs=1e-3)


def test_a_table_of_match_concepts_fits() -> None:
    masks = {"left": np.zeros((16, 20), bool), "top": np.zeros((16, 20), bool)}
    masks["left"][3:14, 1:6], masks["top"][1:4, 4:17] = True, True
    left = np.zeros((16, 20), np.float32)
    left[masks["left"]] = 1
    clusters = tuple(ClusterMap("a", i, left, 40.0 - i, (i,)) for i in range(2))
    one = LayerExplanation("a", (16, 20), 9, 2, clusters, None)
    figure = plot_layers(one, IMAGE, match_concepts(one, masks, image="7"), masks=masks)
    assert "2 maps merged" in figure.axes[1].get_title() and "left  1.00" in drawn(figure)


def test_many_maps_are_counted_and_none_is_said() -> None:
    figure = plot_layers([layer("a", 30, 20, 10, 5, 1), layer("b")], IMAGE, most=2)
    text = drawn(figure)
    assert "3 more not shown" in text and "no map of this layer" in text.replace("\n", " ")
    assert "no map of this layer" in drawn(plot_layers(layer("b"), IMAGE)).replace("\n", " ")


@pytest.mark.parametrize(
    "word",
    ["$x_1", "$\\frac{", "<script>alert(1)</script>", "a\nb\tc\x00", "x" * 10_000, "\U0001f600"],
)
def test_words_are_drawn_as_words(word: str) -> None:
    figure = plot_layers(layer("a", 50), IMAGE, table(("a", 0, word, 0.5)), title="$5 {")
    written = figure.axes[1].get_xlabel()
    drawn(figure)
    assert written.endswith("  0.50") and "\n" not in written and len(written) < 40
    assert written.startswith(word.split("\n")[0][:10])


def test_bad_input() -> None:
    one = layer("a", 50)
    two = pd.concat([table(("a", 0, "x", 1.0)), table(("a", 0, "x", 1.0), image="8")])
    with pytest.raises(SoftCAMError, match="of 2 images"):
        plot_layers(one, IMAGE, two)
    with pytest.raises(SoftCAMError, match="cluster map 4 of 'a'"):
        plot_layers(one, IMAGE, table(("a", 4, "x", 1.0)))
    with pytest.raises(SoftCAMError, match="no layer to draw"):
        plot_layers([], IMAGE)
    with pytest.raises(SoftCAMError, match="most"):
        plot_layers(one, IMAGE, most=0)
    plot_layers(one, IMAGE, table(("elsewhere", 0, "x", 1.0)))  # of a layer that is not drawn
