"""What the site adds to Sphinx: formulas as MathML, docstrings as this package writes them, speed.

The docstrings are plain text with `names` in backticks. To Sphinx they are reStructuredText, where
single backticks are a title and a bar or a star begins something else. So they are escaped before
napoleon reads their sections.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from tools.site import mathml

__all__ = ["as_restructured", "setup"]

CODE_PAGES = "_modules/"
CODE = re.compile(r"(`+)([^`]+)\1")
EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]*[^\s*])\*(?![\w*])")  # *one* or *two words*
SPECIAL = re.compile(r"([*|\\])|(?<=\w)_(?!\w)")
ITEM = re.compile(r"\s{4}\*{0,2}\w+(, \*{0,2}\w+)*( \([^)]*\))?:")  # `name:` in a section


def as_restructured(lines: list[str]) -> list[str]:
    """Lines of a docstring with code in double backticks and nothing else marked up but *stress*.

    Lines of a doctest stay as they are. Indented drawings, of folders or arrays, become literal
    blocks.
    """
    found: list[str] = []
    paragraph: list[str] = []
    drawing = False
    for i, line in enumerate(lines):
        begins = not drawing and _is_drawing(line) and not (lines[i - 1].strip() if i else "")
        drawing = (drawing and (not line.strip() or line.startswith("    "))) or begins
        if begins:
            found += [*_escaped(paragraph), "::", ""]
            paragraph = []
        if drawing or not line.strip() or line.lstrip().startswith(">>>"):
            found += [*_escaped(paragraph), line]
            paragraph = []
        else:
            paragraph.append(line)
    return [*found, *_escaped(paragraph)]


def _is_drawing(line: str) -> bool:
    return line.startswith("    ") and not ITEM.match(line)


def _escaped(lines: list[str]) -> list[str]:
    """A paragraph, whose code may be broken over lines."""
    text = "\n".join(lines)
    parts, end = [], 0
    for code in CODE.finditer(text):
        before, after = text[: code.start()][-1:], text[code.end() :][:1]
        # Code that touches a letter needs a mark between them: `run`s.
        left = "" if not before or before in " \n'\"([{<-/:" else "\\ "
        right = "" if not after or after in " \n'\")]}>-/\\:.,;!?" else "\\ "
        inside = re.sub(r"\s+", " ", code.group(2))
        parts += [_plain(text[end : code.start()]), f"{left}``{inside}``{right}"]
        end = code.end()
    return "".join([*parts, _plain(text[end:])]).split("\n") if lines else []


def _plain(text: str) -> str:
    parts, end = [], 0
    for stress in EMPHASIS.finditer(text):
        parts += [_escape(text[end : stress.start()]), f"*{_escape(stress.group(1))}*"]
        end = stress.end()
    return "".join([*parts, _escape(text[end:])])


def _escape(text: str) -> str:
    return SPECIAL.sub(lambda match: "\\" + match.group(0), text)


def _rewrite(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what == "property" and lines:
        # "(B, C): ..." is a shape and not, as napoleon takes it, a type.
        lines[0] = re.sub(r"^(\([^)]*\)[^:`]*): ", r"\1, ", lines[0])
    lines[:] = as_restructured(lines)


def _share_navigation(
    drawn: dict[Any, Any], app: Any, name: str, template: str, context: dict[str, Any], tree: Any
) -> None:
    """Draw the list of all pages once for the pages of code of one depth: it is the same in them.

    No list holds these pages, so nothing in it is marked as the current one. Drawing it anew for
    each takes a quarter of the build.
    """
    if not name.startswith(CODE_PAGES):
        return
    draw = context["toctree"]

    def shared(**options: Any) -> Any:
        key = (name.count("/"), *sorted(options.items()))
        if key not in drawn:
            drawn[key] = draw(**options)
        return drawn[key]

    context["toctree"] = shared


def setup(app: Any) -> dict[str, Any]:
    """Register them with Sphinx."""

    def done(translator: Any, node: Any) -> None:
        """Nothing is left to close."""

    app.add_html_math_renderer("mathml", (mathml.inline, done), (mathml.block, done))
    # Before napoleon, which turns the sections into fields.
    app.connect("autodoc-process-docstring", _rewrite, priority=400)
    share = functools.partial(_share_navigation, {})
    app.connect("html-page-context", share, priority=400)  # before furo asks for it
    return {"parallel_read_safe": True, "parallel_write_safe": True}
