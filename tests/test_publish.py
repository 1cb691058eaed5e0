"""What the README and the pages say of a reproduction is what its committed tables say."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from softcam.common import SoftCAMError, write_text
from softcam.reproduce.deviations import refresh_deviations
from tools import publish as tool

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "figures" / "laptop"


def test_the_readme_shows_the_committed_tables(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    copy = write_text(tmp_path / "README.md", readme)
    tool.refresh_readme(copy, TABLES, "laptop")
    assert copy.read_text("utf-8") == readme, "run tools/publish.py laptop"


def test_the_page_of_deviations_shows_the_committed_table(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deviations.md").read_text("utf-8")
    copy = write_text(tmp_path / "deviations.md", page)
    refresh_deviations(copy, TABLES / "deviations.csv")
    assert copy.read_text("utf-8") == page, "run tools/publish.py laptop"


@pytest.mark.slow
def test_every_verdict_of_the_readme_is_in_the_results() -> None:
    results = pd.read_csv(TABLES / "results.csv.gz", usecols=["dataset"])
    claims = pd.read_csv(TABLES / "claims.csv")
    tested = claims[claims["verdict"].isin(tool.VERDICTS)]
    assert set(tested["dataset"]) <= set(results["dataset"])
    block = tool.readme_block(TABLES, "laptop")
    for claim in tested["claim"].unique():
        assert f"`{claim}`" in block


def test_the_page_counts_each_cell_once() -> None:
    cells = set(pd.read_csv(TABLES / "times.csv")["cell"])
    assert f" {len(cells)} cells, " in (ROOT / "docs" / "laptop.md").read_text("utf-8")


def test_an_unfinished_reproduction_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "runs_root", lambda: tmp_path)
    with pytest.raises(SoftCAMError, match="has no .*claims.csv.*--profile mine"):
        tool.publish("mine", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = write_text(tmp_path / "README.md", "no markers")
    with pytest.raises(SoftCAMError, match="needs the markers"):
        tool.refresh_readme(page, TABLES, "laptop")
    assert page.read_text("utf-8") == "no markers"


def test_a_compressed_table_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    table = write_text(tmp_path / "a.csv", "x,y\n1,2\n")
    first, second = (tool._compressed(table, tmp_path / name) for name in ("1.gz", "2.gz"))
    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()) == table.read_bytes()
