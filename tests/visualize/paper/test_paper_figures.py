"""What is drawn is what stands in the numbers, holes are seen, and a method has one look."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from torch import nn

from softcam import to_softcam
from softcam.common import SoftCAMError
from softcam.evidence import Conversion
from softcam.results import COLUMNS
from softcam.visualize.paper import (
    LOOKS,
    MapRow,
    ShownImage,
    architecture_caption,
    architecture_numbers,
    draw_architecture,
    draw_maps,
    draw_panel,
    draw_path,
    draw_table,
    latex,
    map_numbers,
    markdown,
    panel_numbers,
    path_caption,
    path_numbers,
    stages,
    table_numbers,
)
from softcam.visualize.paper.rows import chosen_rows
from tests.results_tables import PLAIN

FAILED = pd.DataFrame({"dataset": ["d"], "task": ["binary"], "model": ["m"], "arm": ["ridge"]})


def row(metric: str, value: float, arm: str = "sparse", **keys: object) -> dict[str, object]:
    own = {"task": "binary", "run_id": f"{arm}-{keys.get('seed', 0)}", "backbone": "b"}
    numbers = {"value": value, "ci_low": value - 0.1, "ci_high": value + 0.1, "ci_kind": "-"}
    return {
        **PLAIN,
        **own,
        **numbers,
        "arm": arm,
        "metric": metric,
        "n": 9,
        "n_excluded": 0,
        **keys,
    }


def results() -> pd.DataFrame:
    rows = []
    for seed, shift in ((0, 0.0), (1, 0.2)):
        for arm, method in (
            ("black-box", "grad-cam"),
            ("sparse", "softcam"),
            ("black-box", "random"),
        ):
            base = {"grad-cam": 0.3, "softcam": 0.5, "random": 0.1}[method] + shift
            own = {"arm": arm, "method": method, "seed": seed}
            gauges = [("-", base)] if method == "random" else [("raw", 0.9), ("contrast", base)]
            for gauge, value in gauges:
                for k in (1, 2):
                    more = {"step": str(k), "gauge": gauge, "finding": "all"}
                    rows.append(row("patch-precision", value - k / 100, **own, **more))
                rows.append(row("activation-precision", value, gauge=gauge, finding="all", **own))
        for arm in ("black-box", "sparse"):
            rows.append(row("accuracy", 0.7 + shift, arm, seed=seed))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_panel_draws_its_numbers() -> None:
    numbers = panel_numbers(results(), failed=FAILED)
    own = numbers[(numbers["method"] == "softcam") & (numbers["arm"] == "sparse")]
    assert own["value"].tolist() == pytest.approx([0.59, 0.58]), "mean of both seeds, contrast"
    assert own["low"].tolist() == pytest.approx([0.39, 0.38]), "the lowest bound of both"
    assert own["seeds"].tolist() == [2, 2] and own["n"].tolist() == [9, 9]
    ax = draw_panel(numbers).axes[0]
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert lines["sparse SoftCAM"].get_ydata().tolist() == own["value"].tolist()
    assert lines["random map (floor)"].get_ydata() == pytest.approx([0.19, 0.18])
    assert "failed: ridge SoftCAM" in ax.get_xlabel() and "n = 9, 2 seeds" in ax.get_xlabel()
    assert "ridge SoftCAM" not in lines


def test_curves_without_any_image_are_counted_and_not_called_failed() -> None:
    none = results().assign(n=0, value=float("nan"))
    label = draw_panel(panel_numbers(none)).axes[0].get_xlabel()
    lines = len(panel_numbers(none).groupby(["arm", "method"]))
    assert lines > 2 and label.endswith(f"undefined: {lines} maps") and "failed" not in label


def test_a_table_without_curves_is_refused() -> None:
    table = results()
    with pytest.raises(SoftCAMError, match="no curve"):
        panel_numbers(table[table["metric"] == "accuracy"])


def test_every_look_is_told_apart_in_grey() -> None:
    looks = [(str(each.dash), each.marker) for each in LOOKS.values()]
    assert len(set(looks)) == len(looks), "two of them differ in nothing but colour"


def selection() -> pd.DataFrame:
    rows = [(1e-4, 0.9, "a", False, True), (1e-3, 0.89, "b", True, False),
            (1e-2, np.nan, "c", False, False)]  # fmt: skip
    return pd.DataFrame([
        {"dataset": "d", "task": "binary", "model": "m", "arm": "sparse", "parameter": "lambda1",
         "per_cell": w * 9, "lambda": w, "seed": 0, "val_auc": auc, "val_auc_se": 0.02,
         "val_accuracy": 0.8, "val_loss": 0.4, "mask_metric": "pointing-accuracy",
         "mask_value": auc / 2, "run_id": name, "chosen": chosen, "oracle": oracle}
        for w, auc, name, chosen, oracle in rows
    ])  # fmt: skip


def path_table() -> pd.DataFrame:
    rows = []
    for name, weight in (("a", 1e-4), ("b", 1e-3)):
        own = {"run_id": name, "lambda1": weight}
        rows += [row("accuracy", 0.8, **own), row("ece", 0.1, **own)]
        rows.append(row("pixel-auprc", weight * 100, method="softcam", gauge="contrast", **own))
    rows.append(row("accuracy", 0.85, "dense", run_id="z"))
    rows.append(row("accuracy", 0.6, "hoyer", run_id="h", lambda1=5e-4))
    rows.append(row("pixel-auprc", 0.3, "hoyer", run_id="h", lambda1=5e-4, method="softcam"))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_path_marks_what_was_chosen_and_what_failed() -> None:
    numbers = path_numbers(selection(), path_table(), "lambda1")
    assert set(numbers["metric"]) == {"auc", "pointing-accuracy", "accuracy", "ece", "pixel-auprc"}
    auc = numbers[numbers["metric"] == "auc"]
    assert auc["low"].tolist()[:2] == pytest.approx([0.88, 0.87])
    assert auc["status"].tolist() == ["measured", "measured", "failed"]
    figure = draw_path(numbers)
    line, chosen, oracle = figure.axes[0].get_lines()[:3]
    assert line.get_xdata().tolist() == [1e-4, 1e-3]
    assert line.get_ydata().tolist() == [0.9, 0.89]
    assert chosen.get_xdata().tolist() == [1e-3] and oracle.get_xdata().tolist() == [1e-4]
    assert oracle.get_markerfacecolor() == "none"
    assert [text.get_text() for text in figure.axes[0].texts] == ["failed"]
    accuracy = figure.axes[2].get_lines()
    assert any(list(each.get_ydata()) == [0.85, 0.85] for each in accuracy), "without a penalty"
    said = path_caption(numbers)
    assert "that of Hoyer SoftCAM is of the Hoyer spread" in said and "logit control" not in said
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "Hoyer SoftCAM*" in names and "sparse SoftCAM" in names
    alone = numbers[numbers["arm"] != "hoyer"]
    assert "another quantity" not in path_caption(alone)
    with pytest.raises(SoftCAMError, match="no weights of lambda2"):
        path_numbers(selection(), path_table(), "lambda2")


@pytest.mark.slow
@pytest.mark.parametrize("datasets", [1, 2, 4])
def test_the_legend_below_the_paths_is_not_cut(datasets: int) -> None:
    tried, tested = selection(), path_table()
    for arm in ("elastic", "logit-control"):
        more = row("accuracy", 0.7, arm, run_id=arm, lambda1=2e-4)
        tested = pd.concat([tested, pd.DataFrame([more], columns=list(COLUMNS))])
    names = [f"d{k}" for k in range(datasets)]
    tried, tested = (pd.concat([t.assign(dataset=n) for n in names]) for t in (tried, tested))
    figure = draw_path(path_numbers(tried, tested, "lambda1"))
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    boxes += [handle.get_window_extent() for handle in legend.legend_handles if handle]
    assert len(legend.get_texts()) == 8
    assert min(box.x0 for box in boxes) >= 0 and max(box.x1 for box in boxes) <= figure.bbox.width
    lowest = min(ax.get_tightbbox().y0 for ax in figure.axes)
    assert max(box.y1 for box in boxes) < lowest, "the legend meets the panels"


def test_a_table_says_seeds_holes_and_whose_data() -> None:
    numbers = table_numbers("classification", results(), failed=FAILED)
    by_arm = numbers.set_index("arm")
    assert by_arm.loc["sparse", "value"] == pytest.approx(0.8)
    found = by_arm.loc["sparse", ["smallest", "largest"]].tolist()
    assert found == pytest.approx([0.7, 0.9])
    assert by_arm.loc["ridge", "status"] == "failed"
    for text in (markdown(numbers, "T"), latex(numbers, "T")):
        assert "d, binary, m: not the paper's data" in text and "failed" in text and ".800" in text
    words = [text.get_text() for text in draw_table(numbers, "T").axes[0].texts]
    assert any(word.startswith(".800 [.600, 1.000] (.700") for word in words)


@pytest.mark.parametrize(
    ("dataset", "heading"),
    [
        ("phantoms-cxr", "replication on substitutes"),
        ("oct-drusen", "the paper's data"),
        ("kaggle-dr-grade", "the paper's data"),
        ("folder-mine", "not the paper's data"),
    ],
)
def test_a_heading_says_whose_data_with_or_without_published_numbers(
    dataset: str, heading: str
) -> None:
    numbers = table_numbers("classification", results().assign(dataset=dataset))
    assert f"binary, m: {heading}**" in markdown(numbers, "T")


def published(*rows: tuple[str, str, str], heading: str = "paper") -> pd.DataFrame:
    return pd.DataFrame([
        {"heading": heading, "dataset": "d", "task": "binary", "model": "m", "arm": "sparse",
         "method": "-", "metric": "accuracy", "k_or_lambda": weight, "paper_value": value,
         "kind": kind}
        for value, kind, weight in rows
    ])  # fmt: skip


def test_a_published_number_stands_below_ours() -> None:
    table = results().assign(lambda1=1e-3)
    same = published(("0.71", "notebook", "-"), ("0.72", "paper", "-"), ("0.5", "paper", "k=3"))
    text = markdown(table_numbers("classification", table, published=same), "T")
    assert ".72 (paper)" in text and ".71" not in text and ".5 (" not in text
    weights = published(("0.6", "paper", "lambda1=0"), ("0.7", "paper", "lambda1=2e-03..3e-03"))
    numbers = table_numbers("classification", table, published=weights)
    assert numbers.set_index("arm").loc["sparse", "published_at"] == "lambda1=2e-03..3e-03"
    assert ".7 (paper, lambda1=2e-03..3e-03)" in markdown(numbers, "T"), (
        "the weight nearest to ours"
    )
    other = published(("0.72", "paper", "-"), heading="replication on substitutes")
    numbers = table_numbers("classification", table, published=other)
    assert set(numbers["published"]) == {"-"}


def test_missing_seeds_are_said() -> None:
    keys = {"dataset": "d", "task": "binary", "model": "m", "arm": "sparse"}
    lost = pd.DataFrame([{**keys, "seed": seed} for seed in (1, 2)] + [
        {**keys, "dataset": "other", "seed": 3}, {**keys, "arm": "ridge", "seed": 4},
    ])  # fmt: skip
    numbers = table_numbers("classification", results(), failed=lost)
    by_arm = numbers[numbers["status"] == "measured"].set_index("arm")
    assert by_arm.loc["sparse", ["seeds", "seeds_asked"]].tolist() == [2, 3]
    assert by_arm.loc["black-box", ["seeds", "seeds_asked"]].tolist() == [2, 2]
    for text in (markdown(numbers, "T"), latex(numbers, "T")):
        assert text.count("2 of 3 seeds") == 1 and "2 of 2" not in text
    undefined = results().assign(value=lambda t: t["value"].where(t["seed"] == 0))
    assert "1 of 2 seeds" in markdown(table_numbers("classification", undefined), "T")
    label = draw_panel(panel_numbers(results(), failed=lost)).axes[0].get_xlabel()
    assert "2 of 3 seeds: sparse SoftCAM" in label


def test_tasks_of_one_data_set_do_not_hide_each_other() -> None:
    both = [
        row("activation-precision", 0.5, task=task, finding=finding, method="softcam")
        for task, finding in (("binary", "all"), ("multi-class", "drusen"))
    ]
    numbers = table_numbers("activation", pd.DataFrame(both, columns=list(COLUMNS)))
    assert numbers["task"].tolist() == ["binary", "multi-class"]


@pytest.mark.parametrize("words", [True, False])
def test_runs_that_were_not_chosen_are_left_out(words: bool) -> None:
    flags = pd.Series([True, False])
    choice = pd.DataFrame({"run_id": ["a", "b"], "chosen": flags.astype(str) if words else flags})
    assert set(chosen_rows(path_table(), choice)["run_id"]) == {"a", "z", "h"}
    assert len(chosen_rows(path_table(), None)) == len(path_table())


def test_tables_of_maps_keep_one_gauge_and_the_floors() -> None:
    numbers = table_numbers("activation", results())
    assert numbers["method"].tolist() == ["grad-cam", "softcam", "random"]
    assert numbers["value"].tolist() == pytest.approx([0.4, 0.6, 0.2])


def small() -> nn.Module:
    layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU()]
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)]
    torch.manual_seed(0)
    return to_softcam(nn.Sequential(*layers, *pool)).eval()


def test_the_architecture_has_the_sizes_of_the_model() -> None:
    model, image = small(), torch.rand(3, 16, 16)
    assert stages(model, image)[0] == (4, 8, 8) and stages(model, image)[-1] == (6, 4, 4)
    numbers = architecture_numbers(model, image).set_index("part")
    assert numbers.loc["evidence maps A", ["channels", "height", "width"]].tolist() == [3, 4, 4]
    assert numbers.loc["evidence maps A", "parameters"] == 6 * 3 + 3
    logits = model(image[None])[0].tolist()
    assert [numbers.loc[f"logit {c}", "value"] for c in range(3)] == pytest.approx(logits)
    words = " ".join(t.get_text() for t in draw_architecture(model, image).axes[0].texts)
    assert "3 x 4 x 4" in words and "GAP\n6x1x1" in words and "21 weights" in words
    assert "pools first" in architecture_caption(model)
    with pytest.raises(SoftCAMError, match="to_softcam"):
        architecture_numbers(nn.Linear(1, 1), image)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [32, 320])
def test_no_words_of_the_architecture_meet(side: int) -> None:
    channels = [3, 2, 2, 2, 2, 1280]
    layers = [nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(channels)]
    torch.manual_seed(0)
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 2))
    figure = draw_architecture(to_softcam(net).eval(), torch.rand(3, side, side), title="five")
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    assert any(f"{side // 2}" in text.get_text() for text in texts), "the stages have their sizes"
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    met = [(a, b) for (a, one), (b, two) in combinations(boxes, 2) if one.overlaps(two)]
    assert not met
    slabs = [each.get_window_extent() for each in figure.axes[0].patches]
    sizes = [(said, box) for said, box in boxes if said.split("\n")[0].isdigit()]
    assert len(sizes) == 5
    assert not [said for said, box in sizes for slab in slabs if box.overlaps(slab)]
    (gap,) = [box for said, box in boxes if said.startswith("GAP")]
    arrows = [each for each in figure.axes[0].texts if isinstance(each, Annotation)]
    starts = [each.get_transform().transform(each.get_position()) for each in arrows]
    inside = [x for x, y in starts if gap.x0 < x < gap.x1 and gap.y0 < y < gap.y1]
    assert len(starts) > 5 and not inside


def test_the_black_box_of_a_vgg_flattens_and_does_not_pool_to_one_cell() -> None:
    model, image = small(), torch.rand(3, 16, 16)
    model.conversion = Conversion("paper", None, 4)
    words = " ".join(t.get_text() for t in draw_architecture(model, image).axes[0].texts)
    assert "flatten" in words and "GAP" not in words
    said = architecture_caption(model)
    assert "flattens" in said and "pools first" not in said


def test_maps_show_their_limits_and_their_holes() -> None:
    finding = np.zeros((8, 8), bool)
    finding[2:4, 2:4] = True
    values = np.full((2, 2), -0.25)
    maps = {"Grad-CAM": values, "sparse SoftCAM": None}
    image = ShownImage("phantoms:cxr", "test", "7")
    gauges = {"Grad-CAM": "contrast", "sparse SoftCAM": "-"}
    rows = [MapRow(image, "a set", np.zeros((8, 8), np.uint8), finding, maps, gauges)]
    numbers = map_numbers(rows)
    assert numbers["status"].tolist() == ["measured", "failed"]
    assert numbers["limit"].iloc[0] == 0.25 and numbers["mean"].iloc[0] == -0.25
    texts = [[text.get_text() for text in ax.texts] for ax in draw_maps(rows).axes[:3]]
    assert texts == [["a set"], ["\N{PLUS-MINUS SIGN}0.25"], ["failed"]]


def test_maps_say_what_each_network_says() -> None:
    finding, image = np.zeros((8, 8), bool), ShownImage("phantoms:cxr", "test", "7")
    maps = {"Grad-CAM": np.ones((2, 2)), "sparse SoftCAM": np.ones((2, 2))}
    said = {"image": 0.207, "sparse SoftCAM": 0.9}
    row = MapRow(image, "a set", np.zeros((8, 8), np.uint8), finding, maps,
                 dict.fromkeys(maps, "raw"), said)  # fmt: skip
    assert map_numbers([row])["probability"].tolist() == [0.207, 0.9]
    hole = replace(row, maps={**maps, "sparse SoftCAM": None}, probabilities={"image": 0.207})
    (measured, failed) = map_numbers([hole])["probability"]
    assert measured == 0.207 and np.isnan(failed), "a hole has no probability of another network"
    texts = [[text.get_text() for text in ax.texts] for ax in draw_maps([row]).axes[:3]]
    limit = "\N{PLUS-MINUS SIGN}1"
    assert texts == [["P = 0.21", "a set"], [limit], [f"{limit}\nP = 0.90"]]
