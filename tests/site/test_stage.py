"""Pages are laid out so that links hold: sections of the README, downloads, lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import SoftCAMError
from tests.browser import pages as chromium
from tests.site.books_for_tests import notebook
from tools.site import stage, tables

README = """# Project

Intro, see [Citation](#citation).

## First steps

Look at [the end](#citation), [the table](docs/coverage.csv), [rules](rules/) and
[licence](LICENSE).

```
## no heading
[no](link.md)
```

## Citation

By [us](https://example.org), data in [figures](figures/numbers.csv).

## Left out

Nothing.
"""


LISTED = "start\n? docs/laptop\n? docs/rules\n* docs/\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    files = {
        "README.md": README,
        "LICENSE": "MIT",
        "docs/coverage.csv": "library,architecture\ntimm,a<b\ntimm,resnet18\n",
        "docs/site/index.md": "# Site\n\n```{toctree}\n\n" + LISTED + "```\n",
        "docs/site/start.md": "# Start\n\n<!-- README: First steps -->\n",
        "docs/site/use.md": "# Use\n\n<!-- README: Citation AS How to cite -->\n",
        "docs/new.md": "# New\n",
        "docs/rules.md": "# Rules\n\nSee [start](../start.md) and [code](../softcam/a.py).\n",
        "figures/numbers.csv": "a\n1\n",
        "softcam/a.py": "pass\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    (root / "rules").mkdir()
    return root


@pytest.fixture
def laid(root: Path, tmp_path: Path) -> Path:
    stage.lay_out(root, tmp_path / "laid")
    stage.mend_links(root, tmp_path / "laid")
    return tmp_path / "laid"


def test_sections_of_the_readme_are_taken_over_with_links_between_them(laid: Path) -> None:
    start = (laid / "start.md").read_text(encoding="utf-8")
    assert "## First steps" in start and "[the end](use.md#how-to-cite)" in start
    assert "## no heading" in start and "[no](link.md)" in start, "code is left as it is"
    use = (laid / "use.md").read_text(encoding="utf-8")
    assert "## How to cite\n\nBy [us]" in use and "## Citation" not in use
    assert "Left out" not in start + use


def test_files_come_along_folders_lose_their_link(laid: Path) -> None:
    start = (laid / "start.md").read_text(encoding="utf-8")
    assert "[the table](docs/coverage.md), rules and\n[licence](LICENSE.txt)" in start
    assert (laid / "LICENSE.txt").read_text(encoding="utf-8") == "MIT"
    rules = (laid / "docs" / "rules.md").read_text(encoding="utf-8")
    assert "[start](../start.md) and [code](../softcam/a.py)" in rules
    assert (laid / "softcam" / "a.py").is_file() and (laid / "figures" / "numbers.csv").is_file()


def test_a_link_to_what_is_nowhere_stays_for_sphinx_to_find(root: Path, tmp_path: Path) -> None:
    page = root / "docs" / "rules.md"
    page.write_text("[gone](gone.csv), [up](../../up.md), [tests](../softcam)\n", encoding="utf-8")
    stage.lay_out(root, tmp_path / "again")
    stage.mend_links(root, tmp_path / "again")
    text = (tmp_path / "again" / "docs" / "rules.md").read_text(encoding="utf-8")
    assert text == "[gone](gone.csv), [up](../../up.md), tests\n"


def test_assignments_are_there_to_download(root: Path, tmp_path: Path) -> None:
    folder = root / "notebooks" / "assignments"
    folder.mkdir(parents=True)
    notebook(folder / "1_by_hand.ipynb", run=False)
    (folder / "solutions.sealed").write_text("secret", encoding="utf-8")
    said = "# Assignments\n\nWhat students get.\n\n## For teachers\n\nMore.\n"
    (folder / "README.md").write_text(said, encoding="utf-8")
    stage.lay_out(root, tmp_path / "again")
    laid = tmp_path / "again" / "notebooks" / "assignments"
    assert sorted(path.name for path in laid.iterdir()) == ["1_by_hand.ipynb", "README.md"]
    page = (laid / "README.md").read_text(encoding="utf-8")
    listed = "- A small notebook: {download}`1_by_hand.ipynb <1_by_hand.ipynb>`\n"
    assert page.index("students get.") < page.index(listed) < page.index("\n## For teachers\n")


def test_a_section_that_is_gone_is_an_error(root: Path, tmp_path: Path) -> None:
    page = root / "docs" / "site" / "start.md"
    page.write_text("<!-- README: Second steps -->\n", encoding="utf-8")
    with pytest.raises(SoftCAMError, match="'Second steps', which the README does not have"):
        stage.lay_out(root, tmp_path / "again")


def test_pages_that_need_not_be_there_are_struck_out(laid: Path) -> None:
    assert stage.settle_lists(laid) == ["docs/laptop"]
    assert (
        (laid / "index.md")
        .read_text(encoding="utf-8")
        .endswith("\nstart\ndocs/rules\ndocs/coverage\ndocs/new\n```\n")
    )


def test_the_table_holds_every_row_as_text(laid: Path) -> None:
    page = (laid / "docs" / "coverage.md").read_text(encoding="utf-8")
    assert page.count("<tr>") == 3 and "<td>a&lt;b</td>" in page and "2 architectures" in page


def test_what_is_looked_for_comes_first_and_long_notes_are_folded(tmp_path: Path) -> None:
    path, note = tmp_path / "coverage.csv", "no layer with a map, " * 8
    path.write_text(f"library,notes,kind,architecture\ntimm,{note!r},none,vit\n".replace("'", '"'))
    page = tables.coverage_page(path)
    heads = [page.index(f">{name}<") for name in ("architecture", "kind", "notes", "library")]
    assert heads == sorted(heads)
    assert "<td>vit</td><td>none</td><td><details><summary>no layer" in page
    assert f"</summary>{note}</details></td><td>timm</td></tr>" in page


def test_the_whole_table_of_the_checkout_is_there() -> None:
    path = Path(__file__).resolve().parents[2] / "docs" / "coverage.csv"
    rows = len(path.read_text(encoding="utf-8").splitlines()) - 1
    assert tables.coverage_page(path).count("<tr>") == rows + 1


@pytest.mark.slow
def test_the_table_can_be_searched(root: Path, tmp_path: Path) -> None:
    executable = chromium.needs()
    own = Path(__file__).resolve().parents[2] / "docs" / "site" / "_static" / "finder.js"
    place = tmp_path / "site" / "docs" / "coverage.html"
    place.parent.mkdir(parents=True)
    place.write_text(tables.coverage_page(root / "docs" / "coverage.csv"), encoding="utf-8")
    (tmp_path / "site" / "_static").mkdir()
    (tmp_path / "site" / "_static" / "finder.js").write_bytes(own.read_bytes())
    with chromium.browser(executable) as browser:
        page = browser.new_page()
        page.goto(place.as_uri(), timeout=chromium.LONG)
        page.get_by_label("Show rows that contain").fill("RESNET  tim")
        assert page.get_by_role("status").inner_text() == "1 of 2 rows"
        assert page.locator("tbody tr:visible").all_inner_texts() == ["resnet18\ttimm"]
        page.get_by_label("Show rows that contain").fill("nothing")
        assert page.get_by_role("status").inner_text() == "0 of 2 rows"
