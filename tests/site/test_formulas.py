"""Formulas of the notebooks and pages as MathML; docstrings as reStructuredText."""

from __future__ import annotations

import html
import re
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest

from softcam.common import SoftCAMError

pytest.importorskip("docutils", reason="docutils, of the extra docs, is not installed")
from tools.site.extension import as_restructured
from tools.site.mathml import mathml

ROOT = Path(__file__).resolve().parents[2]
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<!\$)\$([^$]+?)\$", re.DOTALL)
NAME = "{http://www.w3.org/1998/Math/MathML}"


def parsed(formula: str, **options: bool) -> ElementTree.Element:
    named = re.compile(r"&(?!lt;|gt;|amp;)\w+;")  # HTML knows more names than XML
    drawn = named.sub(lambda match: html.unescape(match.group()), mathml(formula, **options))
    return ElementTree.fromstring(drawn)


def test_every_formula_of_notebooks_and_pages_is_drawn() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "site").glob("*.md")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        texts += [cell.source for cell in cells if cell.cell_type == "markdown"]
    drawn = 0
    for text in texts:
        for block, line in FORMULA.findall(re.sub(r"`[^`]*`", "", text)):
            drawn += len(parsed(block or line, as_block=bool(block)).findall(".//")) > 0
    assert drawn > 100


def test_a_mean_of_a_map() -> None:
    found = parsed(r"\ell_c = \frac{1}{hw} \sum_{ij} A_c^{ij}", as_block=True)
    assert found.get("display") == "block" and found.tag == f"{NAME}math"
    assert "".join(found.find(f".//{NAME}mfrac").itertext()).split() == ["1", "h", "w"]
    assert found.find(f".//{NAME}msubsup") is not None


def test_what_is_under_a_brace_stands_below() -> None:
    found = parsed(r"\underbrace{a_{b} + c}_{\text{pool, then weigh}} = \underbrace{d}_{A_{ij}}")
    under = found.findall(f"{NAME}munder")
    assert ["".join(each[1].itertext()).strip() for each in under][0] == "pool, then weigh"
    assert len(under) == 2 and "".join(under[1][0].itertext()).strip() == "d"


@pytest.mark.parametrize("short, long", [
    (r"\tfrac14", r"\tfrac{1}{4}"), (r"A_1, \dots, A_K", r"A_1, \ldots, A_K"),
    (r"\Big(x\Big)", "(x)"), (r"\big| x \big|", "| x |"),
])  # fmt: skip
def test_commands_that_docutils_misses(short: str, long: str) -> None:
    assert mathml(short) == mathml(long)


@pytest.mark.parametrize("wrong", [r"\nosuchcommand{x}", r"\underbrace{x_{\text{a}"])
def test_a_formula_that_cannot_be_drawn_is_an_error(wrong: str) -> None:
    with pytest.raises(SoftCAMError, match="the formula"):
        mathml(wrong)


def test_docstrings_are_escaped_but_for_code_and_stress() -> None:
    text = "Sum |A_c| * h*w of `maps`, *all* of them, `run`s and x_ or `a b`."
    assert as_restructured([text]) == [
        r"Sum \|A_c\| \* h\*w of ``maps``, *all* of them, ``run``\ s and x\_ or ``a b``."
    ]
    broken = ["Uses `softcam data", "info` twice."]
    assert as_restructured(broken) == ["Uses ``softcam data info`` twice."]


def test_drawings_become_literal_blocks_and_sections_do_not() -> None:
    drawing = ["A folder:", "", "    images/*.png", "    |x|", "", "Then text."]
    assert as_restructured(drawing) == [
        "A folder:", "", "::", "", "    images/*.png", "    |x|", "", "Then text."
    ]  # fmt: skip
    section = ["Args:", "    maps: (B, C, h, w), |A|.", "    more: of `x`.", "", ">>> f(*a)"]
    assert as_restructured(section) == [
        "Args:", r"    maps: (B, C, h, w), \|A\|.", "    more: of ``x``.", "", ">>> f(*a)"
    ]  # fmt: skip
