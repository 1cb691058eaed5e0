"""The whole build: gather, lay out, render, check; then the new site replaces the old one."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from softcam.common import SoftCAMError, __version__, project_root, runs_root, write_text
from tools.site import books, links, pictures, showing, stage
from tools.site.api import write_api
from tools.site.render import render

__all__ = ["Built", "build", "checked"]

log = logging.getLogger(__name__)
TAB = "tab"  # the explorer in a browser tab: a page of its own, not Sphinx's


@dataclass
class Built:
    """What was built, and what a reader should know of it.

    Attributes:
        out: the site.
        notes: what is missing or shown otherwise, in sentences.
        pages: HTML pages.
        names: public names described.
        seconds: without running notebooks.
    """

    out: Path
    notes: list[str] = field(default_factory=list)
    pages: int = 0
    names: int = 0
    seconds: float = 0.0


def build(
    out: str | Path | None = None, *, profile: str | None = None, execute: bool = True
) -> Built:
    """Build the site from this checkout.

    Args:
        out: default `runs/site`; an older site there is replaced when the new one is complete.
        profile: for notebooks that have to be executed; None as in `load_profile`.
        execute: run notebooks that no finished run holds; else they are shown without outputs.

    Raises:
        SoftCAMError: a picture that may not be shown or has no text, a link that leads nowhere,
            something loaded from another host, a notebook that fails, Sphinx missing.
    """
    root, runs = project_root(), runs_root()
    target = Path(out) if out else runs / "site"
    if target.exists() and any(target.iterdir()) and not (target / "searchindex.js").is_file():
        raise SoftCAMError(f"{target} holds something else than a site: give an empty folder.")
    work = runs / "site-work"
    shown = _gather(root, runs, profile, execute)
    started = time.perf_counter()
    shutil.rmtree(work, ignore_errors=True)
    laid, fresh = work / "pages", work / "site"
    laid.mkdir(parents=True)
    result = Built(target, notes=[note for _, note in shown if note])
    result.names = _lay_out(root, laid, [book for book, _ in shown])
    tab, note = _tab(work)
    result.notes += [note] if note else []
    _say_tab(laid, note)
    stage.mend_links(root, laid)
    stage.settle_lists(laid)
    # The assignments' notebooks are downloads, and looked at as well.
    allowed = pictures.allowed_in_notebooks((laid / "notebooks").rglob("*.ipynb"))
    allowed |= pictures.allowed_on_pages(laid)
    if tab:
        allowed |= pictures.allowed_on_pages(tab.parents[1])
    _say_images(laid, allowed)
    render(laid, fresh, work / "sphinx")
    if tab:
        shutil.copytree(tab, fresh / TAB)
        _lead_back(fresh / TAB / "index.html")
    result.pages = checked(fresh, allowed)
    _replace(target, fresh)
    shutil.rmtree(work)  # after a failure it stays, to be looked at
    result.seconds = time.perf_counter() - started
    return result


def _gather(
    root: Path, runs: Path, profile: str | None, execute: bool
) -> list[tuple[books.Book, str]]:
    """Every notebook, executed where that is possible or asked for; and a note."""
    shielded = runs / "site-notebooks"
    found = []
    for source in sorted((root / "notebooks").glob("*.ipynb")):
        book, reason = books.find_book(source, runs, shielded)
        if book is None and execute:
            log.warning("%s is executed now: %s", source.stem, reason)
            books.execute_shielded(source.stem, profile, shielded, runs)
            book, reason = books.find_book(source, runs, shielded)
        note = "" if book else f"{source.stem} is shown without outputs: {reason}."
        found.append((book or books.Book(source.stem, source, False), note))
    return found


def _lay_out(root: Path, laid: Path, shown: list[books.Book]) -> int:
    """Every page as Sphinx reads it; returns how many public names they describe."""
    stage.lay_out(root, laid)
    write_text(laid / "project.toml", f'version = "{__version__}"\n')
    missing: list[str] = []
    for book in shown:
        missing += showing.show(book, laid / "notebooks" / f"{book.name}.ipynb")
    if missing:
        raise SoftCAMError(
            "these cells draw a picture without a text for those who cannot see it. Draw it with "
            "softcam.visualize.new_figure and save_figure(figure, name, caption, alt=...); a "
            "notebook that does so was run before they kept the text, so run it again:\n"
            + "\n".join(missing)
        )
    return write_api(root, laid)


def _tab(work: Path) -> tuple[Path | None, str]:
    """The explorer in a browser tab, built; or None and why not."""
    from tools.tab import NoRuntime
    from tools.tab import build as build_tab

    try:
        return build_tab(work / "tab" / "docs" / TAB), ""
    except NoRuntime as error:
        return None, f"the site is built without the explorer in a browser tab: {error}"


def _say_tab(laid: Path, note: str) -> None:
    """Offer the explorer on its page, or say there why it is not here."""
    page = laid / "tab.md"
    said = (
        f":::{{note}}\n{note[0].upper()}{note[1:]}\n:::"
        if note
        else f'<p><a class="open" href="{TAB}/index.html">Open the explorer</a></p>'
    )
    write_text(page, page.read_text(encoding="utf-8").replace("<!-- TAB -->", said))


def _say_images(laid: Path, allowed: pictures.Allowed) -> None:
    """Say on the first page whose images the site shows: only the build knows."""
    page = laid / "index.md"
    owed = sorted({credit for credits in allowed.values() for credit in credits})
    drawn = "drawn by the package, so that every lesion is known to the pixel"
    said = f"*Every image on this site is a phantom: {drawn}.*"
    if owed:
        lines = "\n".join(f"- {credit}" for credit in owed)
        said = f"*The images on this site are phantoms, {drawn}; but for those of*\n\n{lines}"
    write_text(page, page.read_text(encoding="utf-8").replace("<!-- IMAGES -->", said))


def _lead_back(page: Path) -> None:
    """The explorer knows no site around it: put a link to ours above everything."""
    text = page.read_text(encoding="utf-8")
    if text.count("<body>") != 1:
        raise SoftCAMError(f"{page}: expected one <body> to put the way back behind.")
    link = f'<nav aria-label="Site"><a href="../{TAB}.html">Back to the pages of softcam</a></nav>'
    write_text(page, text.replace("<body>", f"<body>\n{link}"))


def checked(out: Path, allowed: pictures.Allowed) -> int:
    """Look at every finished page; returns how many there are.

    Args:
        out: the site.
        allowed: the pictures that may be in it.

    Raises:
        SoftCAMError: all that is wrong, as a list.
    """
    pages = links.read_pages(out)
    wrong = {
        "links that lead nowhere": links.broken_links(pages, out),
        "loaded from another host": links.loaded_from_elsewhere(pages, out, _own_scripts(out)),
        "pictures without a text for those who cannot see them": links.missing_alt(pages, out),
        "pictures that nobody let in": pictures.strangers(out, allowed, _themes()),
        "pictures without their credit on the page": pictures.not_credited(pages, allowed),
    }
    lines = [f"{what}:\n  " + "\n  ".join(found) for what, found in wrong.items() if found]
    if lines:
        raise SoftCAMError("the site is not right:\n" + "\n".join(lines))
    return len(pages)


def _own_scripts(out: Path) -> list[Path]:
    """The scripts of a finished site that this project wrote, not its theme or the runtime."""
    ours = (project_root() / "docs" / "site" / "_static").glob("*.js")
    found = [out / "_static" / path.name for path in ours]
    return [*filter(Path.is_file, found), *(out / TAB).glob("*.js")]


def _themes() -> list[Path]:
    import furo
    import sphinx

    return [Path(sphinx.__file__).parent / "themes", Path(furo.__file__).parent]


def _replace(target: Path, fresh: Path) -> None:
    """Put the finished site where the old one was; a site is there at almost any moment."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    shutil.move(fresh, target)
    shutil.rmtree(old, ignore_errors=True)
