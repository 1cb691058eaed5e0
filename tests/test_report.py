"""One page from a folder of results: everything in it, nothing made up."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from softcam.common import SoftCAMError, write_json
from softcam.report import write_report
from softcam.results import COLUMNS, write_results
from softcam.visualize import save_figure
from tests.results_tables import Tables


def row(**values: object) -> dict[str, object]:
    """One line of results.csv."""
    plain = dict.fromkeys(COLUMNS, "-")
    plain |= {"run_id": "r", "dataset": "phantoms-cxr", "task": "binary", "split": "test"}
    plain |= {"model": "m", "arm": "sparse", "lambda1": 0.1, "lambda2": 0.0, "seed": 0}
    return {**plain, "direction": "higher", "n": 50, "n_excluded": 0, **values}


def results(folder: Path) -> None:
    """A table with two arms, one undefined value and a cell that must be escaped."""
    rows = [
        row(metric="auc", value=0.91, ci_low=0.85, ci_high=0.95),
        row(metric="auc", value=0.93, ci_low=0.9, ci_high=0.96, arm="black-box"),
        row(metric="quadratic-kappa", value=float("nan"), ci_low="-", ci_high="-"),
    ]
    for method, value in (("softcam", 0.4), ("random", 0.1), ("reference-ceiling", 1.0)):
        rows.append(
            row(metric="pointing-accuracy", method=method, gauge="contrast", value=value,
                ci_low=value, ci_high=value, run_id="<b>r</b>", n_excluded=3)
        )  # fmt: skip
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(folder / "results.csv", index=False)


def test_the_page_holds_tables_figures_and_the_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results(tmp_path)
    monkeypatch.setenv("SOFTCAM_OUT", str(tmp_path))
    save_figure(Figure(), "04-lambda", "Maps <and> lambda.")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    text = " ".join(re.sub(r"<(style|[^>]+)>", " ", page).split())
    for expected in (
        "not for clinical use",
        "0.910 [0.850, 0.950]",
        "0.930 [0.900, 0.960]",
        "undefined",
        "reference-ceiling",
        "at most 3 excluded",
        "Maps &lt;and&gt; lambda.",
    ):
        assert expected in text, f"the page lacks {expected!r}"
    assert page.count("<img") == page.count("alt=") == 1
    assert "http" not in page, "one file, nothing fetched"
    cells = re.findall(r"<td>(black-box|sparse)</td>", page)
    assert cells[:2] == ["black-box", "sparse"], "the black box comes first"


def text_of(page: Path) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")).split())


def write_table(folder: Path, *rows: dict[str, object]) -> None:
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(folder / "results.csv", index=False)


def auc(run_id: str, value: float, **values: object) -> dict[str, object]:
    return row(metric="auc", run_id=run_id, value=value, ci_low=0.5, ci_high=1.0,
               ci_kind="bootstrap over images", **values)  # fmt: skip


def test_seeds_are_combined_and_kept_apart(tmp_path: Path, project: Path) -> None:
    values = (0.9, 0.95, 0.97)
    rows = [auc(f"r{seed}", value, seed=seed) for seed, value in enumerate(values)]
    write_table(tmp_path, *rows, auc("d0", 0.91, arm="dense", lambda1=0.0))
    text = text_of(write_report(tmp_path))
    assert "sparse 0.1 0 0, 1, 2 0.940 (0.900 to 0.970)" in text, "mean and range over seeds"
    assert "dense 0 0 0 0.910" in text, "an arm with one seed says so"
    for seed, value in enumerate(values):
        assert f"sparse 0.1 {seed} {value:.3f} [0.500, 1.000]" in text, "each run is listed"
    assert "50 images a value; intervals: bootstrap over images." in text


def test_runs_that_differ_in_the_penalty_keep_their_rows(tmp_path: Path, project: Path) -> None:
    """A sweep: the same arm and seed, two weights."""
    write_table(tmp_path, auc("a", 0.8, lambda1=0.01), auc("b", 0.9, lambda1=0.03))
    text = text_of(write_report(tmp_path))
    assert "0.800 [0.500, 1.000]" in text and "0.900 [0.500, 1.000]" in text
    assert "All seeds together" not in text


@pytest.mark.slow
def test_real_images_are_not_called_phantoms(tmp_path: Path, project: Path) -> None:
    write_table(tmp_path, auc("a", 0.8, dataset="folder-codras"))
    text = text_of(write_report(tmp_path))
    assert "synthetic" not in text and "Measured on real images (folder-codras)" in text


def test_notes_on_the_data_are_passed_on(tmp_path: Path, project: Path) -> None:
    record = {
        "config": {"size": 64, "epochs": 3, "batch_size": 8, "select": "loss",
                   "data_options": {"difficulty": "hard", "seed": 1}},
        "counts": {"train": 30, "val": 10, "test": 10},
        "data_notes": ["2 boxes were clipped at the border"],
    }  # fmt: skip
    write_json(project / "runs" / "phantoms-cxr" / "a" / "config.json", record)
    write_table(tmp_path, auc("a", 0.8))
    text = text_of(write_report(tmp_path))
    assert "phantoms-cxr: 2 boxes were clipped at the border (1 run)." in text
    assert "64 px, 30 train, 10 val, 10 test images; 3 epochs" in text and "difficulty hard" in text


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="holds no results.csv"):
        write_report(tmp_path)


def pictured(tmp_path: Path, *rows: dict[str, object]) -> str:
    write_table(tmp_path, *rows)
    return text_of(write_report(tmp_path))


def measured(metric: str, value: float, **values: object) -> dict[str, object]:
    return row(metric=metric, value=value, ci_low=value, ci_high=value, protocol="corrected",
               gauge="contrast", **values)  # fmt: skip


def test_each_map_stands_between_floor_and_ceiling(tmp_path: Path, project: Path) -> None:
    def rows(metric: str, own: float, floor: float, ceiling: float) -> list[dict[str, object]]:
        maps = (("softcam", own), ("random", floor), ("reference-ceiling", ceiling))
        lower = {"direction": "lower"} if metric == "energy-outside" else {}
        return [measured(metric, v, method=m, **lower) for m, v in maps]

    text = pictured(
        tmp_path,
        *rows("pointing-accuracy", 0.7, 0.1, 0.9), *rows("iou-best", 0.6, 0.1, 0.5),
        *rows("energy-outside", 0.4, 0.8, 0.3), *rows("pixel-auprc", 0.4, 0.5, 0.5),
    )  # fmt: skip
    for expected in (
        "softcam 0.700 [0.700, 0.700] 75%",
        "softcam 0.600 [0.600, 0.600] 125%",
        "softcam 0.400 [0.400, 0.400] 80%",
        "0.400 [0.400, 0.400] ceiling not above floor",
    ):
        assert expected in text, f"the page lacks {expected!r}"


def test_faithfulness_is_crossed_by_fill(tmp_path: Path, project: Path) -> None:
    rows = [
        measured(f"audc{suffix}", value + (arm == "black-box"), fill=fill, run_id=f"r-{arm}",
                 arm=arm, method="softcam", occluded_run=f"r-{on}", direction="lower")
        for fill in ("mean-colour", "blur")
        for arm in ("black-box", "sparse")
        for on in ("black-box", "sparse")
        for suffix, value in (("", 0.3), ("-over-random", 0.2), ("-share-of-mask", 0.75))
    ]  # fmt: skip
    agree = measured("audc-fill-agreement", 0.5, fill="blur/mean-colour")
    text = pictured(tmp_path, *rows, agree)
    assert "on black-box ↓ on sparse ↓" in text
    assert "sparse softcam 0.300 (+0.200, 75%) 0.300 (+0.200, 75%)" in text
    assert "black-box softcam 1.300 (+1.200, 175%)" in text
    assert text.count("on black-box") == 2 and "(audc), blur" in text
    assert "occluded model blur/mean-colour audc sparse 0.50" in text


def test_the_first_table_has_one_row_an_arm_and_method(tmp_path: Path, project: Path) -> None:
    rows = [
        measured("pointing-accuracy", value, method=method, arm=arm, run_id=f"r-{arm}")
        for arm, own in (("black-box", "grad-cam"), ("sparse", "softcam"))
        for method, value in (("random", 0.1), ("reference-ceiling", 0.9), (own, 0.5))
    ]
    text = pictured(tmp_path, *rows, measured("gini", 0.25, method="softcam", arm="sparse"))
    start = text.index("At a glance")
    table = text[start : text.index("Measure by measure", start)]
    assert "sparse softcam 0.500 (50%) 0.250" in table
    assert "black-box grad-cam 0.500 (50%) -" in table
    assert table.count("any random 0.100 (0%)") == 1, "a control is listed once for all arms"


def test_sections_follow_the_kind_of_the_measure(tmp_path: Path, project: Path) -> None:
    text = pictured(
        tmp_path,
        measured("twin-r2", 0.8, method="softcam", finding="opacity", step="0"),
        measured("twin-r2", 0.9, method="softcam", finding="opacity", step="1"),
        measured("cascade-correlation", 1.0, method="softcam", step="0"),
        measured("cascade-correlation", 0.2, method="softcam", step="1"),
        measured("average-gain", 0.3, method="softcam", run_id="r", occluded_run="r"),
    )
    for expected in (
        "what a finding is worth? ",
        "opacity arm twin-r2",
        "opacity, widened by 1 cell arm twin-r2",
        "arm 0 ↑ 1 ↑ sparse 1.000 [1.000, 1.000] 0.200 [0.200, 0.200]",
        "average-gain",
    ):
        assert expected in text, f"the page lacks {expected!r}"
    assert "Is it faithful?" not in text and "Does it classify?" not in text


@pytest.mark.slow
def test_controls_and_pairs_with_corrected_p_values(tmp_path: Path, project: Path) -> None:
    tables = Tables()
    values = np.random.default_rng(0).random(60)
    for seed in (0, 1):
        for arm, method, gain in (("black-box", "grad-cam", 0.5), ("sparse", "softcam", 0.01)):
            own = {"run_id": f"{arm}-{seed}", "arm": arm, "seed": seed}
            own |= {"metric": "pointing-accuracy", "target": "class:1"}
            tables.add(values + gain, **own, method=method, gauge="contrast")
            tables.add(np.roll(values, 1), **own, method="random")
    write_results(tables.table(), tables.per_image(), tmp_path)
    text = text_of(write_report(tmp_path))
    assert "Does a control do as well?" in text
    assert "d black-box grad-cam pooled better than random" in text
    assert "d sparse softcam pooled not clearly better than random (p " in text
    assert "d sparse 0 -0.490 [-0.490, -0.490], p 0.000" in text
    assert "d sparse pooled -0.490 [-0.490, -0.490], p 0.000" in text


@pytest.mark.slow
def test_each_finding_of_a_multi_label_set_has_a_row_of_its_own() -> None:
    from softcam.report.tables import classification, over_seeds, paired

    tables = Tables()
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, (40, 2))
    for seed in range(2):
        for arm, sharp in (("dense", (9, 1)), ("black-box", (1, 1))):
            logits = labels * np.array(sharp) + draw.normal(size=(40, 2))
            who = {"run_id": f"{arm}-{seed}", "arm": arm, "seed": seed, "task": "multi-label"}
            tables.predict_findings(labels, logits, **who)
    table, images = tables.table(), tables.per_image()
    found = paired(table, images)
    assert found is not None and found["head"][:4] == ["dataset", "arm", "asked", "seed"]
    shown = {(asked, seed): cell for _, _, asked, seed, cell in found["body"]}
    assert len(shown) == 9 and {asked for asked, _ in shown} == {"mean", "class:0", "class:1"}
    value = {(r.arm, r.target): r.value for r in table[table["seed"] == 1].itertuples(index=False)}
    for asked, target in (("mean", "-"), ("class:0", "class:0"), ("class:1", "class:1")):
        difference = value["dense", target] - value["black-box", target]
        assert shown[asked, "1"].startswith(f"{difference:+.3f} [")
    (combined,) = over_seeds(table)
    means = {(line[0], line[-3]): line[-1] for line in combined["body"]}
    both = table[(table["arm"] == "dense") & (table["target"] == "class:1")]["value"].mean()
    assert means["dense", "class:1"].startswith(f"{both:.3f}"), combined
    predictions = classification(table)
    assert predictions is not None and len(predictions["body"]) == 12


def test_a_single_image_has_no_interval_and_no_p_value(tmp_path: Path, project: Path) -> None:
    tables = Tables()
    for arm, method in (("black-box", "grad-cam"), ("sparse", "softcam")):
        own = {"run_id": arm, "arm": arm, "metric": "pointing-accuracy", "target": "class:1"}
        tables.add(np.ones(1), **own, method=method, gauge="contrast")
        tables.add(np.zeros(1), **own, method="random")
    write_results(tables.table(), tables.per_image(), tmp_path)
    text = text_of(write_report(tmp_path))
    assert "d sparse 0 +0.000, no interval (1 image)" in text
    assert "d sparse softcam 0 no interval against random (1 image)" in text
    assert not re.search(r"\bnan\b", text) and "p 1.000" not in text
    assert "1 image a value" in text


def test_a_damaged_run_does_not_keep_its_results_from_being_read(
    tmp_path: Path, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_json(project / "runs" / "phantoms-cxr" / "a" / "config.json", {"config": None})
    write_table(tmp_path, auc("a", 0.8))
    assert "0.800" in text_of(write_report(tmp_path))
    assert "config.json cannot be used" in caplog.text


@pytest.mark.slow
def test_a_question_asked_beforehand_is_answered_first(tmp_path: Path, project: Path) -> None:
    import json

    from softcam.results import write_results
    from tests.claims.test_asking import study

    write_results(*study(), tmp_path)
    asked = {"metric": "pixel-auprc", "effect": 0.05, "n_boot": 100, "n_draws": 500}
    words = {"arm": "sparse", "against": "black-box"}
    (tmp_path / "question.json").write_text(json.dumps({**asked, **words}))
    text = text_of(write_report(tmp_path))
    assert text.index("asked beforehand") < text.index("What was found")
    worse, better = text.index("worse than layer-cam"), text.index("better than grad-cam")
    assert worse < better, "what speaks against SoftCAM comes first"
