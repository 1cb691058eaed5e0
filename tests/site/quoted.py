"""The texts in the package's own code, so that a quoted message can be looked up in them.

A message is quoted with a dot-dot-dot character for what is filled in: `unknown … '…'`. It stands
in the source if one text of the code holds it, its own gaps written the same way.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

GAP = "…"


def texts_of(paths: Iterable[Path]) -> list[str]:
    """Every text of these Python files, with a gap for each value that is filled in."""
    found = []
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [_told(node) for node in ast.walk(tree) if isinstance(node, ast.expr)]
    return [text for text in found if text]


def _told(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
        return _single("".join(map(str, parts)))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _single(node.value)
    return ""


def _single(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(rf"['\"]?{GAP}+['\"]?", GAP, text))


def stands_in(message: str, texts: Iterable[str]) -> bool:
    """Whether one of the texts holds the message; quotes around a gap do not count."""
    wanted = _single(message)
    return any(wanted in text for text in texts)
