"""The pages of this checkout, whole: whatever breaks a link or a docstring is found before a build.

Notebooks are shown without outputs, and the explorer in a browser tab is left out; so it needs
neither a run nor npm.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import tools.tab
from tools.site import build

ROOT = Path(__file__).resolve().parents[2]
GONE = [each for each in ("sphinx", "myst_nb", "furo") if importlib.util.find_spec(each) is None]
PARTS = ("README.md", "CONTRIBUTING.md", "LICENSE", "CITATION.cff", "pyproject.toml", "start.py",
         "data", "docs", "figures", "notebooks", "softcam", "tools", "workflow")  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(bool(GONE), reason=f"not installed (extra docs): {GONE}")
def test_every_page_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PARTS:
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))

    def no_npm(out: Path) -> Path:
        raise tools.tab.NoRuntime("npm is not here.")

    monkeypatch.setattr(tools.tab, "build", no_npm)
    made = build.build(execute=False)  # stops at a broken link, a picture, a warning
    notebooks = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert [note.split(" is shown without outputs")[0] for note in made.notes[:-1]] == notebooks
    start = (made.out / "index.html").read_text(encoding="utf-8")
    for name in [f"notebooks/{name}" for name in notebooks] + [
        "docs/instructors", "docs/laptop", "docs/deviations", "docs/coverage", "workflow/README",
        "notebooks/assignments/README", "troubleshooting", "glossary", "extend", "CONTRIBUTING",
    ]:  # fmt: skip
        assert f'href="{name}.html"' in start, f"{name} is in no list"
    convert = (made.out / "api" / "convert.html").read_text(encoding="utf-8")
    assert 'id="softcam.convert.to_softcam"' in convert and made.names > 400
    assert len(list((made.out / "_downloads").rglob("[1-6]_*.ipynb"))) == 6
