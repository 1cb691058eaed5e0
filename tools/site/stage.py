"""Lay out the pages as Sphinx reads them, in the places they have in the checkout.

So links between them hold as they are. A page may take over sections of the README with a line
`<!-- README: Heading -->` or `<!-- README: Heading AS Another -->`. In a toctree, `?` before a page
says that it need not be there, and `* docs/` stands for every page there that no toctree lists.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from softcam.common import SoftCAMError, write_text
from tools.site import tables

__all__ = ["lay_out", "mend_links", "readme_sections", "settle_lists"]

TAKEN = re.compile(r"^<!-- README: (.+?)(?: AS (.+?))? -->$", re.MULTILINE)
OTHERS = ("CONTRIBUTING.md", "data/README.md", "workflow/README.md", "figures/README.md")
FENCE = re.compile(r"^(```|~~~|:::)")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
SCHEME = re.compile(r"^[a-z]+:", re.IGNORECASE)
PAGES = (".md", ".rst", ".ipynb")
ELSEWHERE = {"docs/coverage.csv": "docs/coverage.md"}  # shown as a page


def lay_out(root: Path, stage: Path) -> None:
    """Copy and write every page but the notebooks and the API.

    Args:
        root: the checkout.
        stage: an empty folder.

    Raises:
        SoftCAMError: a page asks for a section that the README does not have.
    """
    own = root / "docs" / "site"
    shutil.copytree(own, stage, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.toml"))
    pages = [root / name for name in OTHERS] + sorted((root / "docs").glob("*.md"))
    for path in filter(Path.is_file, pages):
        _copy(path, stage / path.relative_to(root))
    for path in sorted((root / "figures").glob("*")):
        if path.suffix in (".png", ".json", ".csv"):
            _copy(path, stage / "figures" / path.name)
    if (root / "docs" / "coverage.csv").is_file():
        table = tables.coverage_page(root / "docs" / "coverage.csv")
        write_text(stage / "docs" / "coverage.md", table)
    _lay_out_assignments(root / "notebooks" / "assignments", stage / "notebooks" / "assignments")
    _take_over(root / "README.md", stage)
    if (own / "messages.toml").is_file():
        place = stage / "troubleshooting.md"
        said = tables.message_sections(own / "messages.toml")
        text = tables.sort_rows(place.read_text(encoding="utf-8"))
        write_text(place, text.replace("<!-- MESSAGES -->", said))


def _lay_out_assignments(folder: Path, target: Path) -> None:
    """The page on the assignments, and the students' notebooks to download from it."""
    if not (folder / "README.md").is_file():
        return
    names = sorted(path.name for path in folder.glob("[0-9]*.ipynb"))
    for name in names:
        _copy(folder / name, target / name)
    lines = [f"- {_title(folder / name)}: {{download}}`{name} <{name}>`" for name in names]
    text = (folder / "README.md").read_text(encoding="utf-8")
    said, rule, rest = text.partition("\n## ")  # what students want stands first
    own = "\n".join(["", "## The notebooks", "", *lines, ""])
    write_text(target / "README.md", f"{said}{own}{rule}{rest}")


def _title(notebook: Path) -> str:
    """The first heading."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    lines = "".join(line for cell in cells for line in [*cell["source"], "\n"]).splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), notebook.stem)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def readme_sections(text: str) -> dict[str, str]:
    """Heading to text of the README's `##` sections, headings included; code may hold `#`."""
    found: dict[str, list[str]] = {}
    heading, fenced = "", False
    for line in text.splitlines():
        fenced ^= bool(FENCE.match(line))
        if line.startswith("## ") and not fenced:
            heading = line[3:].strip()
        if heading:
            found.setdefault(heading, []).append(line)
    return {heading: "\n".join(lines) + "\n" for heading, lines in found.items()}


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _take_over(readme: Path, stage: Path) -> None:
    """Put sections of the README where pages ask for them; links between them follow."""
    sections = readme_sections(readme.read_text(encoding="utf-8")) if readme.is_file() else {}
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(stage.glob("*.md"))}
    places: dict[str, str] = {}
    for path, text in pages.items():
        for heading, renamed in TAKEN.findall(text):
            if heading not in sections:
                raise SoftCAMError(
                    f"{path.name} takes over the section {heading!r}, which the README does not "
                    f"have. It has: {', '.join(sections) or 'none'}."
                )
            places[f"#{_slug(heading)}"] = f"{path.name}#{_slug(renamed or heading)}"
    for path, text in pages.items():
        taken = TAKEN.sub(lambda match: _section(match, sections, places), text)
        if taken != text:
            write_text(path, taken)


def _section(match: re.Match[str], sections: Mapping[str, str], places: Mapping[str, str]) -> str:
    text = sections[match.group(1)]
    if match.group(2):
        text = f"## {match.group(2)}\n" + text.partition("\n")[2]

    def relinked(link: re.Match[str]) -> str:
        mark, label, address = link.groups()
        return f"{mark}[{label}]({places.get(address, address)})"

    return LINK.sub(relinked, text)


def mend_links(root: Path, stage: Path) -> None:
    """Let every link of a page lead somewhere: to a page, to a file to download, or be plain text.

    A file of the checkout that is linked comes along as a download. A folder cannot, nor a page
    that is not part of the site: their names are left, without a link. What is nowhere stays, for
    Sphinx to find. Links of notebooks are left as they are.
    """
    for path in sorted(stage.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        mended = "".join(
            part if code else LINK.sub(partial(_mended, path, root, stage), part)
            for part, code in _code_apart(text)
        )
        if mended != text:
            write_text(path, mended)


def _code_apart(text: str) -> list[tuple[str, bool]]:
    """Pieces of a page, and whether each is code."""
    pieces: list[tuple[str, bool]] = []
    fenced = False
    for line in text.splitlines(keepends=True):
        fence = bool(FENCE.match(line)) and not line.startswith(":::")
        pieces.append((line, fenced or fence))
        fenced ^= fence
    # Links may be broken over lines: neighbours that are no code are one piece.
    joined: list[tuple[str, bool]] = []
    for piece, code in pieces:
        if joined and not code and not joined[-1][1]:
            joined[-1] = (joined[-1][0] + piece, False)
        else:
            joined.append((piece, code))
    return joined


def _mended(page: Path, root: Path, stage: Path, match: re.Match[str]) -> str:
    picture, label, address = match.groups()
    if picture or SCHEME.match(address) or address.startswith("#"):
        return match.group(0)
    name, _, place = address.partition("#")
    target = (page.parent / name).resolve()
    if stage.resolve() not in target.parents:
        return match.group(0)
    inside = target.relative_to(stage.resolve()).as_posix()
    if inside in ELSEWHERE:
        depth = len(page.relative_to(stage).parts) - 1
        return f"[{label}]({'../' * depth}{ELSEWHERE[inside]})"
    if target.is_file():
        return match.group(0)
    source = root / inside
    if source.is_file() and source.suffix not in PAGES:
        # Sphinx takes what has no ending for a page.
        _copy(source, target.with_name(f"{target.name}.txt") if not target.suffix else target)
        return match.group(0) if target.suffix else f"[{label}]({name}.txt)"
    return label if source.exists() else match.group(0)


def settle_lists(stage: Path) -> list[str]:
    """Put into toctrees what is there, and strike out what is not; returns what was struck out.

    Args:
        stage: with every page written.
    """
    gone: list[str] = []
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(stage.glob("*.md"))}
    listed = "\n".join(pages.values())

    def optional(match: re.Match[str]) -> str:
        name = match.group(1)
        if any((stage / f"{name}{ending}").is_file() for ending in PAGES):
            return f"{name}\n"
        gone.append(name)
        return ""

    def others(match: re.Match[str]) -> str:
        found = [f"{match.group(1)}{path.stem}" for path in (stage / match.group(1)).glob("*.md")]
        new = [name for name in sorted(found) if not re.search(rf"^(\? )?{name}$", listed, re.M)]
        return "".join(f"{name}\n" for name in new)

    for path, text in pages.items():
        kept = re.sub(r"^\? (.+)\n", optional, text, flags=re.MULTILINE)
        kept = re.sub(r"^\* (docs/)\n", others, kept, flags=re.MULTILINE)
        if kept != text:
            write_text(path, kept)
    return gone
