"""What is drawn, read back from the figure: colours, limits, outlines, lines."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from softcam.common import SoftCAMError, UnknownNameError
from softcam.data.records import ImageSet, pack_masks
from softcam.evidence import Explanation
from softcam.visualize import (
    common_limit,
    deletion_curves,
    describe,
    gallery,
    insertion_curves,
    lambda_plot,
    method_gallery,
    montage,
    new_figure,
    outline,
    patch_curves,
    prediction_panel,
    reliability_diagram,
    show_evidence,
    training_history,
)

IMAGE = torch.full((3, 16, 16), 0.5)


def ax():
    return new_figure()[1][0, 0]


def colours(drawn_on) -> np.ndarray:
    """RGBA of the evidence, the second picture on the axes."""
    return np.asarray(drawn_on.images[1].get_array())


def test_common_limit_is_one_symmetric_number_for_all() -> None:
    maps = [torch.tensor([[1.0, -4.0]]), np.array([[2.0]])]
    assert common_limit(maps, 100) == 4
    many = np.r_[np.ones(99), 1000.0]
    assert common_limit([many], 90) == 1
    assert common_limit([np.zeros(3)]) == 1, "a zero map still needs a scale"
    assert common_limit([np.r_[np.zeros(999), 5]]) == 5, "a percentile of 0 is no scale"
    with pytest.raises(SoftCAMError, match="1 of them not finite"):
        common_limit([np.array([1, np.nan])])
    with pytest.raises(SoftCAMError, match="found 0 values"):
        common_limit([])


def test_red_is_for_blue_is_against_and_zero_shows_the_image() -> None:
    a = ax()
    show_evidence(IMAGE, torch.tensor([[2.0, -2.0], [0.0, 1.0]]), a, limit=2, smooth=False)
    rgba = colours(a)
    plus, minus, zero, half = rgba[2, 2], rgba[2, 13], rgba[13, 2], rgba[13, 13]
    assert plus[0] > plus[2] and minus[2] > minus[0]
    assert zero[3] == 0 < half[3] < plus[3] == minus[3]


def test_the_scale_is_symmetric_and_what_is_beyond_it_is_clipped() -> None:
    a = ax()
    scale = show_evidence(IMAGE, torch.tensor([[9.0, -1.0]]), a, limit=3, smooth=False)
    assert (scale.norm.vmin, scale.norm.vmax) == (-3, 3)
    b = ax()
    show_evidence(IMAGE, torch.tensor([[3.0, -1.0]]), b, limit=3, smooth=False)
    assert np.allclose(colours(a), colours(b))


def test_a_scale_of_its_own_is_labelled() -> None:
    a, b = ax(), ax()
    show_evidence(IMAGE, torch.eye(2), a, title="sparse")
    show_evidence(IMAGE, torch.eye(2), b, title="sparse", limit=1)
    assert a.get_title() == "sparse (own scale)" and b.get_title() == "sparse"


def test_the_map_lies_where_its_cells_are() -> None:
    a = ax()
    evidence = torch.zeros(4, 4)
    evidence[1, 2] = 1
    show_evidence(IMAGE, evidence, a, limit=1)
    y, x = np.unravel_index(colours(a)[..., 3].argmax(), (16, 16))
    assert y in (5, 6) and x in (9, 10)  # the middle of the cell: rows 4 to 7, columns 8 to 11


@pytest.mark.parametrize("image", [torch.zeros(1, 16, 16), np.zeros((4, 4, 4, 4), np.uint8)])
def test_what_is_no_image_is_an_error(image) -> None:
    with pytest.raises(SoftCAMError, match="expected an image"):
        show_evidence(image, torch.eye(2), ax())


def test_greys_bytes_and_floats_look_the_same() -> None:
    grey = np.full((16, 16), 51, np.uint8)
    pictures = [grey, np.repeat(grey[..., None], 3, 2), torch.full((3, 16, 16), 0.2)]
    shown = []
    for image in pictures:
        a = ax()
        show_evidence(image, torch.eye(2), a)
        shown.append(np.asarray(a.images[0].get_array()))
    assert np.allclose(shown[0], shown[1]) and np.allclose(shown[0], shown[2])


def test_outline_follows_the_mask_also_at_the_border() -> None:
    mask = np.zeros((16, 16), bool)
    mask[:4, 6:10] = True
    a = ax()
    outline(mask, a)
    (path,) = a.collections[0].get_paths()
    x, y = path.vertices.T
    assert (x.min(), x.max()) == (5.5, 9.5) and (y.min(), y.max()) == (-0.5, 3.5)
    b = ax()
    outline(np.zeros((4, 4), bool), b)
    assert not b.collections


def test_gallery_has_one_scale_unless_told_otherwise() -> None:
    images = IMAGE[None].expand(2, -1, -1, -1)
    maps = {"SoftCAM": torch.rand(2, 4, 4), "random": 50 * torch.rand(2, 8, 8)}
    shared, own = gallery(images, maps), gallery(images, maps, scale="column")
    assert len(shared.axes) == 2 * 3 + 1 and len(own.axes) == 2 * 3 + 2
    assert "contribution" in shared.axes[-1].get_ylabel()
    assert "own scale" in own.axes[-1].get_xlabel()
    with pytest.raises(SoftCAMError, match="3 maps for 2 images"):
        gallery(images, {"SoftCAM": torch.rand(3, 4, 4)})
    with pytest.raises(UnknownNameError, match="'shared'"):
        gallery(images, maps, scale="share")


def test_a_limit_given_to_the_gallery_is_the_value_at_full_colour() -> None:
    images, maps = IMAGE[None], torch.tensor([[[4.0, -1.0], [0.0, 2.0]]])
    figure = gallery(images, {"a": maps}, limit=8)
    drawn = ax()
    show_evidence(IMAGE, maps[0], drawn, limit=8)
    assert np.allclose(colours(figure.axes[1]), colours(drawn))


TWO = IMAGE[None].expand(2, -1, -1, -1)


def test_method_gallery_divides_each_method_by_one_number_over_all_images() -> None:
    base = torch.tensor([[[1.0, -4.0], [0.0, 2.0]], [[0.5, 0.0], [0.0, 1.0]]])
    maps = {"small": 1e-6 * base, "large": 1e6 * base, "half": base.abs()}
    figure = method_gallery(TWO, maps, percentile=100)
    grid = np.array(figure.axes[:8]).reshape(2, 4)
    for row in range(2):
        drawn = ax()
        show_evidence(IMAGE, base[row], drawn, limit=4)
        for column in (1, 2):
            assert np.allclose(colours(grid[row, column]), colours(drawn), atol=1e-5)
    rgba = colours(grid[0, 3])[colours(grid[0, 3])[..., 3] > 0.5]
    assert (rgba[:, 0] > rgba[:, 2]).all(), "what is never negative has no blue"
    bar = figure.axes[-1]
    assert len(figure.axes) == 9 and bar.get_ylim() == (-1, 1), "one bar for all"
    assert bar.get_ylabel() == "share of the method's largest value"


def test_method_gallery_does_not_let_one_hot_pixel_pale_the_rest() -> None:
    speckled = torch.ones(2, 16, 16)
    speckled[0, 3, 3] = 1000
    figure = method_gallery(TWO, {"m": speckled})
    assert "99th percentile" in figure.axes[-1].get_ylabel()
    assert np.allclose(colours(figure.axes[1])[..., 3].min(), 0.85)


@pytest.mark.slow
def test_method_gallery_writes_the_cost_under_each_column_and_outlines_each_panel() -> None:
    maps = {"SoftCAM": torch.rand(2, 4, 4), "Integrated Gradients": torch.rand(2, 16, 16)}
    maps["random"] = torch.zeros(2, 4, 4)
    finding = np.zeros((16, 16), bool)
    finding[4:8, 4:8] = True
    figure = method_gallery(
        TWO,
        maps,
        findings=[finding] * 2,
        row_titles=["black box", "sparse"],
        costs={"SoftCAM": 1, "Integrated Gradients": 150},
        times={"SoftCAM": 1.04, "Integrated Gradients": 93.4},
    )
    grid = np.array(figure.axes[:8]).reshape(2, 4)
    titles = ["image", "SoftCAM", "Integrated\nGradients", "random"]
    assert [a.get_title() for a in grid[0]] == titles
    texts = [[t.get_text() for t in a.texts if t.get_text()] for a in grid[1]]
    assert texts[1:] == [["1 pass\n1.0x the time"], ["150 passes\n93x the time"], []]
    assert all(not a.texts for a in grid[0, 1:]), "once a column, under the last image"
    assert all(len(a.collections) == 2 for a in grid.flat)


def test_method_gallery_refuses_what_has_no_column() -> None:
    maps = {"SoftCAM": torch.rand(2, 4, 4)}
    with pytest.raises(UnknownNameError, match="'SoftCAM'"):
        method_gallery(TWO, maps, costs={"softcam": 1})
    with pytest.raises(UnknownNameError, match="'SoftCAM'"):
        method_gallery(TWO, maps, times={"softcam": 1})
    with pytest.raises(SoftCAMError, match="1 maps for 2 images"):
        method_gallery(TWO, {"SoftCAM": torch.rand(1, 4, 4)})
    with pytest.raises(SoftCAMError, match="not finite"):
        method_gallery(TWO, {"SoftCAM": torch.full((2, 4, 4), torch.nan)})


@pytest.mark.slow
def test_prediction_panel_shows_the_contrast_first_and_the_bias_by_itself() -> None:
    maps = torch.arange(8.0).reshape(1, 2, 2, 2)
    explanation = Explanation(maps, torch.tensor([0.5, -1.0]))
    figure = prediction_panel(IMAGE, explanation, ("healthy", "ill"))
    titles = [a.get_title() for a in figure.axes]
    assert titles[1:4] == ["ill rather than\nhealthy", "for healthy", "for ill"]
    widths = next([b.get_width() for b in a.patches] for a in figure.axes if a.patches)
    assert widths == pytest.approx([1.0, 6.5, 0.5, -1.0])  # image, image, bias, bias
    assert widths[0] + widths[2] == pytest.approx(float(explanation.logits[0, 0]))


def test_prediction_panel_of_one_logit_and_of_four() -> None:
    one = Explanation(torch.ones(1, 1, 2, 2), torch.zeros(1), "sigmoid")
    titles = [a.get_title() for a in prediction_panel(IMAGE, one, ("healthy", "ill")).axes]
    assert "for ill" in titles and not any("rather" in t for t in titles)
    four = Explanation(torch.ones(1, 4, 2, 2), torch.zeros(4))
    titles = [a.get_title() for a in prediction_panel(IMAGE, four, tuple("abcd")).axes]
    assert [t for t in titles if t.startswith("for")] == ["for a", "for b", "for c", "for d"]
    with pytest.raises(SoftCAMError, match="4 evidence maps but 2"):
        prediction_panel(IMAGE, four, ("a", "b"))


def test_prediction_panel_of_some_findings_of_many() -> None:
    maps = torch.arange(4.0)[None, :, None, None].expand(1, 4, 2, 2)
    explanation = Explanation(maps, torch.zeros(4), "sigmoid")
    figure = prediction_panel(IMAGE, explanation, tuple("abcd"), targets=[2, 0])
    assert [a.get_title() for a in figure.axes][1:3] == ["for c", "for a"]
    bars = next(a for a in figure.axes if a.patches)
    assert len(bars.get_yticks()) == 4, "the logits of all of them"


def curve(method: str, metric: str, values: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"arm": "sparse", "seed": 0, "method": method, "gauge": "-", "fill": "-", "metric": metric,
         "step": [str(k) for k in range(1, len(values) + 1)], "value": values,
         "ci_low": values, "ci_high": values}
    )  # fmt: skip


@pytest.mark.parametrize(
    "draw, metric",
    [
        (patch_curves, "patch-precision"),
        (deletion_curves, "deletion-prediction"),
        (insertion_curves, "insertion-prediction"),
    ],
)
def test_curves_are_the_rows_of_the_table_in_order_of_their_steps(draw, metric) -> None:
    values = list(np.linspace(0, 1, 12))  # "10" sorts before "2" as a word
    table = pd.concat([curve("softcam", metric, values), curve("random", metric, values[::-1])])
    figure = draw(table.sample(frac=1, random_state=0))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"softcam", "random"}
    assert np.allclose(lines["softcam"].get_ydata(), values)
    assert lines["random"].get_color() != lines["softcam"].get_color()
    assert lines["random"].get_linestyle() == "--"
    with pytest.raises(SoftCAMError, match="it has other"):
        draw(table.assign(metric="other"))


def test_floors_of_several_runs_are_one_line_where_they_hang_on_the_images() -> None:
    both = [
        curve(method, metric, [0.2, 0.4]).assign(arm=arm)
        for arm in ("black-box", "sparse")
        for method in ("softcam", "random")
        for metric in ("patch-precision", "deletion-prediction")
    ]
    table = pd.concat(both)
    patches = [line.get_label() for line in patch_curves(table).axes[0].lines]
    deletion = [line.get_label() for line in deletion_curves(table).axes[0].lines]
    assert sorted(patches) == ["black-box, softcam", "random", "sparse, softcam"]
    assert len(deletion) == 4, "each model has a random order of its own"


def test_every_reference_is_grey_and_has_a_dash_of_its_own() -> None:
    names = ["softcam", "random", "centre", "edge", "true-mask", "reference-ceiling"]
    metric = "insertion-prediction"
    table = pd.concat([curve(name, metric, [0.2, 0.4]) for name in names])
    lines = {line.get_label(): line for line in insertion_curves(table).axes[0].lines}
    grey = {lines[name].get_color() for name in names[1:]}
    assert len(grey) == 1 and lines["softcam"].get_color() not in grey
    dashes = {str(lines[name]._unscaled_dash_pattern) for name in names}
    assert len(dashes) == len(names)


def test_a_crossed_table_names_the_occluded_run_only_where_maps_met_several() -> None:
    def rows(run: str, on: str) -> pd.DataFrame:
        values = curve("softcam", "deletion-prediction", [0.2, 0.4])
        return values.assign(arm=run, run_id=run, occluded_run=on, protocol="corrected")

    own = pd.concat([rows("a", "a"), rows("b", "b")])
    assert [line.get_label() for line in deletion_curves(own).axes[0].lines] == ["a", "b"]
    crossed = pd.concat([own, rows("b", "a")])
    named = [line.get_label() for line in deletion_curves(crossed).axes[0].lines]
    assert sorted(named) == ["a, on a", "b, on a", "b, on b"]
    twice = pd.concat([own, own.assign(fill="blur", protocol="paper")])
    named = [line.get_label() for line in deletion_curves(twice).axes[0].lines]
    assert len(named) == 4 and "a, blur, paper" in named
    with pytest.raises(UnknownNameError, match="deletion-prediction"):
        deletion_curves(own, metric="insertion-prediction")


def test_training_history_leaves_out_what_is_missing() -> None:
    history = pd.DataFrame({"epoch": [0, 1], "loss": [2.0, 1.0]})
    figure = training_history({"a": history, "b": history}, ("loss", "val_kappa"))
    assert len(figure.axes) == 1
    assert list(figure.axes[0].lines[0].get_xdata()) == [1, 2]
    with pytest.raises(SoftCAMError, match="val_kappa"):
        training_history(history, ("val_kappa",))


def test_lambda_plot_draws_means_over_seeds_and_a_place_for_zero() -> None:
    table = pd.DataFrame(
        {"metric": "auc", "step": "-", "lambda1": [0, 0, 1e-4], "value": [0.8, 0.9, 0.7]}
    )
    figure = lambda_plot(table, ["auc"])
    mean, dots = figure.axes[0].lines
    assert np.allclose(mean.get_ydata(), [0.85, 0.7]) and len(dots.get_xdata()) == 3
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["0", "0.0001"]
    with pytest.raises(UnknownNameError, match="'auc'"):
        lambda_plot(table, ["auk"])


def test_reliability_diagram_bins_by_hand() -> None:
    figure = reliability_diagram({"m": ([0.62, 0.68, 0.95, 1.0], [1, 0, 1, 1])}, bins=10)
    line = next(line for line in figure.axes[0].lines if line.get_label() == "m")
    assert np.allclose(line.get_xdata(), [0.65, 0.975]) and np.allclose(line.get_ydata(), [0.5, 1])


def test_montage_outlines_findings() -> None:
    masks = np.zeros((4, 2, 16, 16), bool)
    masks[1, 0, 2:5, 2:5] = masks[1, 1, 8:12, 8:12] = True
    data = ImageSet(
        "fake", "test", ("healthy", "ill"), np.zeros((4, 16, 16), np.uint8), np.array([0, 1, 0, 1]),
        tuple("abcd"), tuple("abcd"), pack_masks(masks), ("opacity", "heart"), ("opacity",),
        np.ones(4, bool),
    )  # fmt: skip
    figure = montage(data, columns=2)
    assert [a.get_title() for a in figure.axes] == ["healthy", "healthy", "ill", "ill"]
    assert [len(a.collections) for a in figure.axes] == [0, 0, 2, 0]
    several = replace(data, labels=np.array([[0, 0], [1, 1], [0, 1], [0, 0]]))
    assert [a.get_title() for a in montage(several, columns=2).axes] == ["healthy, ill", "ill"]
    assert montage(several, [0]).axes[0].get_title() == "none"
    both = montage(data, [1], columns=1, masks=("opacity", "heart"))
    assert len(both.axes[0].collections) == 4
    assert [t.get_text() for t in both.legends[0].get_texts()] == ["opacity", "heart"]


def test_describe_names_panels_axes_and_lines() -> None:
    figure = patch_curves(curve("softcam", "patch-precision", [0.5, 0.4]), title="Top-k")
    text = describe(figure)
    assert "Top-k" in text and "against k" in text and "softcam" in text


def test_a_notebook_can_show_it_without_pyplot() -> None:
    figure, _ = new_figure()
    data, _ = figure._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
