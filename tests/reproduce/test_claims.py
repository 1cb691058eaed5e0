"""The verdicts of a folder as files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from softcam.claims import LEAST
from softcam.common import SoftCAMError
from softcam.reproduce import load_plan
from softcam.reproduce.claims import COLUMNS, write_claims
from softcam.results import write_results
from tests.claims.test_judging import tables
from tests.claims.test_reading import GOOD

NUMBERS = Path(__file__).parents[2] / "figures" / "paper_numbers.csv"
CLAIM = (
    GOOD.replace("patch-precision", "pixel-auprc")
    .replace('step = "10"\n', "")
    .replace('[[sides.b]]\narm = "dense"\nmethod = "softcam"\n', "")
)
QUICK = {"n_boot": 200, "n_draws": 500, "progress": False, "numbers": NUMBERS}


def test_claims_become_a_table_and_a_page(tmp_path: Path) -> None:
    write_results(*tables(), tmp_path)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mine.toml").write_text(CLAIM)
    found = pd.read_csv(write_claims(tmp_path, claims=tmp_path / "claims", **QUICK))
    assert list(found.columns) == list(COLUMNS) and len(found) == 1
    row = found.iloc[0]
    assert row["verdict"] == "does not hold" and row["deciding_rival"] == "layer-cam"
    assert row["stands_for"] == "replication on substitutes" and row["rivals"] == 2
    page = (tmp_path / "claims.md").read_text()
    assert "**does not hold**" in page and "replication on substitutes" in page


def test_a_handful_of_images_has_no_power(tmp_path: Path) -> None:
    write_results(*tables(9), tmp_path)
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mine.toml").write_text(CLAIM)
    row = pd.read_csv(write_claims(tmp_path, claims=tmp_path / "claims", **QUICK)).iloc[0]
    assert row["power"] == 0 and row["detectable"] == "-" and "no power" in row["reason"]
    page = (tmp_path / "claims.md").read_text()
    assert "fewer than 20 images" in page and "of the deciding rival alone" in page


def test_only_chosen_runs_are_judged(tmp_path: Path) -> None:
    write_results(*tables(), tmp_path)
    ids = ["sparse-0", "sparse-1"]
    pd.DataFrame({"run_id": ids, "chosen": [True, False]}).to_csv(tmp_path / "selection.csv")
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mine.toml").write_text(CLAIM)
    found = pd.read_csv(write_claims(tmp_path, claims=tmp_path / "claims", **QUICK))
    assert found["n"].tolist() == [60] and found["seeds"].astype(str).tolist() == ["0"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["laptop", "full"])
def test_the_phantoms_have_enough_images_for_claims_about_deletion(name: str) -> None:
    assert load_plan(name).evaluate["limit"] >= LEAST


def test_no_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="has no results.csv"):
        write_claims(tmp_path, claims=Path(__file__).parents[2] / "workflow" / "claims", **QUICK)
