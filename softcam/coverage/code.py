"""A digest of the code behind a result: what was computed by other code is computed again.

Only what decides a result counts: the module that computes it and everything of the package that
it imports. Comments, docstrings and layout are no part of it.
"""

from __future__ import annotations

import ast
from pathlib import Path

from softcam.common import digest

__all__ = ["digest_of_code", "sources"]


def digest_of_code(module: str) -> str:
    """16 hex digits for the code of a module, as in `softcam.convert`, and what it leads to."""
    return digest(*(_bare(path) for path in sources(module)), length=16)


def sources(module: str) -> list[Path]:
    """The files of the package that a module leads to by its imports, itself included."""
    root = Path(__file__).resolve().parents[2]
    found, waiting = dict[str, Path](), [module]
    while waiting:
        name = waiting.pop()
        base = root / name.replace(".", "/")
        path = next(
            (p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None
        )
        if name in found or name == "softcam" or path is None:
            continue
        found[name] = path
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("softcam."):
                waiting.append(str(node.module))
                waiting += [f"{node.module}.{each.name}" for each in node.names]
    return [found[name] for name in sorted(found)]


def _bare(path: Path) -> str:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [each for each in body if not _is_text(each)]
            node.body = kept  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
