"""No picture gets into the site that may not be shown.

A picture of a page needs a record beside it, as everywhere in the checkout
(`softcam.visualize.publication`). A picture in an executed notebook is let in because of how the
notebook was run (`books`). After the build, each picture of the site must be one of these, byte for
byte; so whatever came in another way is found.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from pathlib import Path

from softcam.common import SoftCAMError
from softcam.visualize.publication import PICTURES, SHOWN, TAG, unpublishable
from tools.site.showing import pictures_of

__all__ = ["allowed_in_notebooks", "allowed_on_pages", "strangers"]

HIDDEN = re.compile(rb"<img[^>]+src\s*=\s*[\"']?\s*data:image/", re.IGNORECASE)


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def allowed_on_pages(folder: Path) -> set[str]:
    """SHA-256 of the pictures below a folder, each of which has a record that lets it be shown.

    Raises:
        SoftCAMError: the pictures that must not be shown, and why.
    """
    refused = unpublishable(folder)
    for path in _pictures(folder):  # elsewhere a picture needs no record, so it may not lie there
        if (
            len(path.relative_to(folder).parts) > 1
            and path.relative_to(folder).parts[0] not in SHOWN
        ):
            refused.setdefault(path, f"pictures of the site lie in {', '.join(SHOWN[1:])}")
    if refused:
        lines = [f"{path.relative_to(folder)}: {why}" for path, why in sorted(refused.items())]
        raise SoftCAMError("these pictures must not be published:\n" + "\n".join(lines))
    return {_digest(path.read_bytes()) for path in _pictures(folder)}


def allowed_in_notebooks(notebooks: Iterable[Path]) -> set[str]:
    """SHA-256 of the pictures in outputs of notebooks that may be shown.

    Raises:
        SoftCAMError: a picture that says of itself that it may not be passed on, one that is
            hidden in other output, or a kind that cannot be checked.
    """
    from PIL import Image

    found = set()
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
            found.add(_digest(raw))
    return found


def strangers(out: Path, allowed: set[str], themes: Iterable[Path] = ()) -> list[str]:
    """Pictures of a finished site that nobody let in.

    Args:
        out: the site.
        allowed: SHA-256 of those that may be there.
        themes: folders whose pictures, arrows and icons, belong to the theme.
    """
    known = allowed | {_digest(path.read_bytes()) for each in themes for path in _pictures(each)}
    found = [path for path in _pictures(out) if _digest(path.read_bytes()) not in known]
    lines = [f"{path.relative_to(out)}: nothing says whose images it shows" for path in found]
    for path in sorted(out.rglob("*.html")):
        if HIDDEN.search(path.read_bytes()):
            lines.append(f"{path.relative_to(out)}: a picture inside the page, as a data address")
    return lines


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
