"""Make every notebook open anywhere: badges, and a first cell that fetches softcam on Colab.

    python tools/anywhere.py            writes both into the numbered notebooks
    python tools/anywhere.py --check    ends with 1 if a notebook differs from what it would write

Both need the address of the repository. It comes from one place, `Repository` under
`[project.urls]` in pyproject.toml, or from the environment variable SOFTCAM_REPOSITORY, which wins.
While there is none, no badge is written, and the first cell asks for the variable instead.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat

from softcam.common import write_text

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = "SOFTCAM_REPOSITORY"
BRANCH = "main"
BADGES, FETCH = "open-anywhere", "fetch-softcam"  # ids of the two cells
COLAB = "https://colab.research.google.com"
BINDER = "https://mybinder.org"
# Only standard library: softcam is not there yet. The constraints keep pip from touching torch;
# if softcam cannot live with the torch that is there, pip says so and changes nothing.
CELL = """\
import importlib.util
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

if "google.colab" in sys.modules and importlib.util.find_spec("softcam") is None:
    address = os.environ.get("{variable}", "{address}")
    assert address, "softcam is missing: set {variable} to its address"
    root, keep = Path.cwd() / "softcam-checkout", Path.cwd() / "keep.txt"
    keep.write_text("".join(f"{{name}}=={{version(name)}}\\n" for name in ("torch", "torchvision")))
    if not root.is_dir():
        subprocess.run(["git", "clone", "--quiet", "--depth=1", address, str(root)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-qc", keep, str(root)], check=True)
    os.environ["SOFTCAM_ROOT"] = str(root)"""


def address() -> str:
    """The repository's address without a trailing slash; empty while it is not known."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = os.environ.get(VARIABLE) or project.get("urls", {}).get("Repository", "")
    return str(found).rstrip("/").removesuffix(".git")


def badges(where: str, name: str) -> str:
    """The badges of a notebook as Markdown.

    Args:
        where: the repository's address.
        name: the notebook's file name.

    Raises:
        ValueError: an address that Colab and Binder cannot open.
    """
    match = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", where)
    if not match:
        raise ValueError(
            f"the repository's address is {where!r}: Colab and Binder open notebooks from an "
            "address such as https://github.com/OWNER/NAME. Mend it, or leave it empty."
        )
    place, file = "/".join(match.groups()), f"notebooks/{name}"
    colab = f"{COLAB}/github/{place}/blob/{BRANCH}/{quote(file)}"
    binder = f"{BINDER}/v2/gh/{place}/{BRANCH}?labpath={quote(file, safe='')}"
    return (
        f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({colab})\n"
        f"[![Open on Binder]({BINDER}/badge_logo.svg)]({binder})"
    )


def opened_anywhere(book: Any, name: str, where: str) -> Any:
    """The notebook with its two cells, written anew; all other cells stay as they are.

    Raises:
        ValueError: no cell is tagged `parameters`.
    """
    cells = [cell for cell in book.cells if cell.get("id") not in (BADGES, FETCH)]
    tagged = [n for n, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])]
    if not tagged:
        raise ValueError(f"{name} has no cell tagged `parameters`.")
    source = CELL.format(variable=VARIABLE, address=where)
    fetch = nbformat.v4.new_code_cell(source, id=FETCH)  # type: ignore[no-untyped-call]
    cells.insert(tagged[0] + 1, fetch)
    if where:
        text = badges(where, name)
        cells.insert(0, nbformat.v4.new_markdown_cell(text, id=BADGES))  # type: ignore[no-untyped-call]
    return nbformat.from_dict({**book, "cells": cells})  # type: ignore[no-untyped-call]


def text_of(book: Any) -> str:
    """The notebook's file as this project keeps it: one space of indent, UTF-8."""
    text = nbformat.writes(book, ensure_ascii=False)  # type: ignore[no-untyped-call]
    return f"{text}\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the cells, or say which notebooks differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all numbered ones")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(arguments)
    paths = asked.notebooks or sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    where, stale = address(), []
    for path in paths:
        old = nbformat.read(path, 4)  # type: ignore[no-untyped-call]
        new = opened_anywhere(old, path.name, where)
        if new == old:
            continue
        stale.append(path)
        if not asked.check:
            write_text(path, text_of(new))
    for path in stale:
        print("differs:" if asked.check else "written:", path)
    if not where:
        print(f"no address yet ([project.urls] Repository, or {VARIABLE}): no badges")
    return int(asked.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
