"""No picture gets into the site that may not be shown.

A picture of a page needs a record beside it, as everywhere in the checkout
(`softcam.visualize.publication`). A picture in an executed notebook is let in because of how the
notebook was run (`books`). After the build, each picture of the site must be one of these, byte for
byte; so whatever came in another way is found. One that is no phantom must have its credit on the
page that shows it.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from softcam.common import SoftCAMError, read_json
from softcam.visualize.publication import MANIFEST, PICTURES, SHOWN, TAG, unpublishable
from tools.site.books import DRAWN
from tools.site.links import Page
from tools.site.showing import pictures_of

__all__ = ["Allowed", "allowed_in_notebooks", "allowed_on_pages", "not_credited", "strangers"]

Allowed = dict[
    str, tuple[str, ...]
]  # SHA-256 of a picture: the credits that it must have beside it

HIDDEN = re.compile(rb"<img[^>]+src\s*=\s*[\"']?\s*data:image/", re.IGNORECASE)


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def allowed_on_pages(folder: Path) -> Allowed:
    """The pictures below a folder, each of which has a record that lets it be shown.

    Raises:
        SoftCAMError: the pictures that must not be shown, and why.
    """
    refused = unpublishable(folder)
    found: Allowed = {}
    for path in _pictures(folder):  # elsewhere a picture needs no record, so it may not lie there
        place = path.relative_to(folder).parts
        if len(place) > 1 and place[0] not in SHOWN:
            refused.setdefault(path, f"pictures of the site lie in {', '.join(SHOWN[1:])}")
        if path not in refused:
            credit = _credits(path)
            found[_digest(path.read_bytes())] = credit
            if not all(credit):
                refused[path] = "it is no phantom, and its record names nobody to credit"
    if refused:
        lines = [f"{path.relative_to(folder)}: {why}" for path, why in sorted(refused.items())]
        raise SoftCAMError("these pictures must not be published:\n" + "\n".join(lines))
    return found


def _credits(path: Path) -> tuple[str, ...]:
    """Whom a picture's record names for the images in it that are no phantoms."""
    record = path.with_suffix(".json")
    if record.is_file():
        said = read_json(record)
        shown = [(said.get("source", ""), said.get("credit"))]
    else:  # `unpublishable` has looked that the manifest has an entry
        images = read_json(path.with_name(MANIFEST))[path.stem].get("images", [])
        shown = [(each.get("data", "").partition(":")[0], each.get("credit")) for each in images]
    return tuple(dict.fromkeys(str(credit or "") for name, credit in shown if name != DRAWN))


def allowed_in_notebooks(notebooks: Iterable[Path]) -> Allowed:
    """The pictures in outputs of notebooks, which saw nothing but phantoms.

    Raises:
        SoftCAMError: a picture that says of itself that it may not be passed on, one that is
            hidden in other output, or a kind that cannot be checked.
    """
    from PIL import Image

    found: Allowed = {}
    for path in notebooks:
        for kind, raw in pictures_of(path):
            if kind != "image/png":
                raise SoftCAMError(f"{path.name}: a picture of kind {kind}, expected image/png.")
            with Image.open(io.BytesIO(raw)) as image:
                if image.info.get(TAG) == "no":
                    raise SoftCAMError(
                        f"{path.name}: a picture says that its images may not be passed on. "
                        "Execute the notebook without these data."
                    )
            found[_digest(raw)] = ()
    return found


def strangers(out: Path, allowed: Collection[str], themes: Iterable[Path] = ()) -> list[str]:
    """Pictures of a finished site that nobody let in.

    Args:
        out: the site.
        allowed: SHA-256 of those that may be there.
        themes: folders whose pictures, arrows and icons, belong to the theme.
    """
    known = set(allowed) | {
        _digest(path.read_bytes()) for each in themes for path in _pictures(each)
    }
    found = [path for path in _pictures(out) if _digest(path.read_bytes()) not in known]
    lines = [f"{path.relative_to(out)}: nothing says whose images it shows" for path in found]
    for path in sorted(out.rglob("*.html")):
        if HIDDEN.search(path.read_bytes()):
            lines.append(f"{path.relative_to(out)}: a picture inside the page, as a data address")
    return lines


def not_credited(pages: Iterable[Page], allowed: Allowed) -> list[str]:
    """`page: picture (credit)` where a page shows a picture and not whom it is owed to."""
    found = []
    for page in pages:
        for address, _ in page.pictures:
            path = page.path.parent / unquote(urlsplit(address).path)
            wanted = allowed.get(_digest(path.read_bytes()), ()) if path.is_file() else ()
            text = _words(page.path) if wanted else ""
            found += [f"{page.path.name}: {address} ({c})" for c in wanted if _plain(c) not in text]
    return sorted(set(found))


def _words(path: Path) -> str:
    return _plain(html.unescape(re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8"))))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
