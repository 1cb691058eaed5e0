"""One page from a folder of results: everything in it, nothing made up."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from softcam.common import SoftCAMError
from softcam.report import write_report
from softcam.results import COLUMNS
from softcam.visualize import save_figure


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


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="holds no results.csv"):
        write_report(tmp_path)
