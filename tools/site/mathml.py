"""Formulas as MathML, which every browser draws by itself: no script and no fonts to load.

docutils brings the translation from LaTeX. It misses a few commands that the notebooks use; these
are rewritten first. What it still does not know fails the build, with the formula.
"""

from __future__ import annotations

import re
from typing import Any

from softcam.common import SoftCAMError

__all__ = ["block", "inline", "mathml"]

SPACE = "http://www.w3.org/1998/Math/MathML"
UNDER = r"\underbrace"
DOTS = re.compile(r"\\dots(?![a-zA-Z])")
BIG = re.compile(r"\\[bB]ig{1,2}(?![a-zA-Z])\s*")  # the size of a bracket; it is drawn as it is
SHORT = re.compile(r"\\([td]?frac)\s*(\d)\s*(\d)")  # \tfrac14


def mathml(formula: str, *, as_block: bool = False) -> str:
    """A LaTeX formula as a `<math>` element.

    Raises:
        SoftCAMError: a command that docutils does not know.
    """
    from docutils.utils.math import MathError

    text = SHORT.sub(r"\\\1{\2}{\3}", BIG.sub("", formula))
    text = DOTS.sub(lambda _: r"\ldots", text)
    if as_block and (r"\\" in text or "&" in text) and r"\begin" not in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    display = ' display="block"' if as_block else ""
    try:
        return f'<math xmlns="{SPACE}"{display}>{_pieces(text)}</math>'
    except MathError as error:
        raise SoftCAMError(
            f"the formula {formula.strip()!r} cannot be drawn: {error} Write it with commands that "
            "docutils' latex2mathml knows, or add a rewriting to tools/site/mathml.py."
        ) from error


def _pieces(text: str) -> str:
    """A formula in which what is under a brace is drawn by itself.

    docutils sets `\\underbrace` with its words beside the brace, not below.
    """
    start = text.find(UNDER)
    if start < 0 or r"\begin" in text[:start]:
        return _drawn(text)
    above, end = _group(text, start + len(UNDER))
    below, end = _group(text, end + 1) if text[end : end + 1] == "_" else ("", end)
    braced = f'<mrow class="braced">{_drawn(above)}</mrow>'
    under = f"<munder>{braced}<mrow>{_drawn(below)}</mrow></munder>" if below else braced
    return f"{_drawn(text[:start])}{under}{_pieces(text[end:])}"


def _group(text: str, start: int) -> tuple[str, int]:
    """What stands between the braces that open at `start`, and the place behind them."""
    depth = 0
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[start + 1 : end], end + 1
    raise SoftCAMError(f"the formula {text.strip()!r} opens a brace and does not close it.")


def _drawn(text: str) -> str:
    """Elements for a piece of a formula, without the `<math>` around them."""
    from docutils.utils.math.latex2mathml import tex2mathml

    if not text.strip():
        return ""
    made = str(tex2mathml(text, as_block=True))
    return f"<mrow>{made[made.index('>') + 1 : made.rindex('</math>')]}</mrow>"


def inline(translator: Any, node: Any) -> None:
    """Write a formula in a line into Sphinx's HTML, and go on behind it."""
    from docutils.nodes import SkipNode

    translator.body.append(mathml(node.astext()))
    raise SkipNode


def block(translator: Any, node: Any) -> None:
    """Write a formula that stands by itself; wide ones scroll in a box of their own."""
    from docutils.nodes import SkipNode

    drawn = mathml(node.astext(), as_block=True)
    translator.body.append(f'<div class="formula" tabindex="0" role="group">{drawn}</div>\n')
    raise SkipNode
