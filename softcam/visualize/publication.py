"""May this picture be published? Each says whose images it shows, in a record beside it.

`NAME.json` beside `NAME.png` names the source, its credit and licence, whether its images may be
shown (`share`), and the SHA-256 of the picture, so that another one of the same name is noticed.
The figures of the paper have one record together, `manifest.json`, with an entry a figure.
`unpublishable` looks through a checkout and gives a reason for each picture that must not be in it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.common import (
    SoftCAMError,
    data_root,
    project_root,
    read_json,
    runs_root,
    write_json,
)

if TYPE_CHECKING:
    from softcam.data.registry import Source

__all__ = ["MANIFEST", "TAG", "is_private", "unpublishable", "write_record"]

MANIFEST = "manifest.json"  # the records of a folder's figures, by name
TAG = "softcam-share"  # in the PNG, so that it stays with the picture
PICTURES = (
    ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".svg", ".pdf", ".dcm",
)  # fmt: skip
SHOWN = (".", "docs", "figures", "notebooks")  # folders whose pictures need a record
NOT_KEPT = ("runs", ".venv", ".git")  # what git does not keep, as `data` but for its checkpoints


def write_record(path: str | Path, source: Source, name: str = "", **more: Any) -> Path:
    """Write down, beside a picture that exists, whose images it shows.

    Args:
        path: the picture; the record is the same name with `.json`.
        source: of the images.
        name: of the set in the source (what stands after the colon).
        more: further entries.
    """
    path = Path(path)
    said = {
        "source": source.name, "share": source.shares(name), "credit": source.credit,
        "licence": source.licence, "sha256": _digest(path), **more,
    }  # fmt: skip
    return write_json(path.with_suffix(".json"), said)


def unpublishable(folder: str | Path) -> dict[Path, str]:
    """The pictures of a checkout that must not be published, and why.

    Every picture is refused that says so itself, or whose record does. Those in `SHOWN` and below
    are also refused without a record of their own. What git ignores is left out.

    Args:
        folder: the checkout.
    """
    root = Path(folder).resolve()
    found = {}
    for place, folders, files in os.walk(root):
        here = Path(place).relative_to(root)
        folders[:] = sorted(name for name in folders if _is_kept(here / name))
        shown = here.parts[0] in SHOWN if here.parts else True
        for name in sorted(files):
            path = Path(place) / name
            if path.suffix.lower() in PICTURES and (reason := _reason(path, shown)):
                found[path] = reason
    return found


def _is_kept(folder: Path) -> bool:
    if folder.parts[0] == "data":
        return len(folder.parts) == 1 or folder.parts[1] == "checkpoints"
    return folder.parts[0] not in NOT_KEPT


def _reason(path: Path, shown: bool) -> str:
    """Why a picture must not be published; nothing if it may."""
    if _says_no(path):
        return "the picture itself says that its images may not be passed on"
    record = path.with_suffix(".json")
    if not record.is_file() and (entry := _entry(path)):
        return _reason_of_entry(path, entry)
    if not record.is_file():
        return f"no {record.name} beside it says whose images it shows" if shown else ""
    try:
        said = read_json(record)
    except SoftCAMError:
        said = {}
    if "share" not in said:
        return f"{record.name} does not say whether its images may be passed on" if shown else ""
    if said["share"] is not True:
        return f"the images of {said.get('source', 'its source')} may not be passed on"
    if said.get("sha256") != _digest(path):
        return f"it is not the picture that {record.name} is about"
    return ""


def _entry(path: Path) -> dict[str, Any]:
    """What `manifest.json` beside a picture says of it; empty if nothing."""
    try:
        said = read_json(path.with_name(MANIFEST)).get(path.stem, {})
    except SoftCAMError:
        return {}
    return said if isinstance(said, dict) else {}


def _reason_of_entry(path: Path, said: dict[str, Any]) -> str:
    if said.get("share") is not True:
        return f"{MANIFEST} says that its images may not be passed on"
    files = said.get("files")
    if not isinstance(files, dict) or files.get(path.name) != _digest(path):
        return f"it is not the picture that {MANIFEST} is about"
    return ""


def is_private(path: str | Path) -> bool:
    """Whether git does not look there: ignored folders of the project, or no checkout at all."""
    path = Path(path)
    real = path.parent.resolve() / path.name
    kept = project_root() / "data" / "checkpoints"
    ignored = (runs_root(), project_root() / "data", data_root())
    if kept.resolve() in real.parents:
        return False
    if any(folder.resolve() in real.parents for folder in ignored):
        return True
    return not any((parent / ".git").exists() for parent in real.parents)


def _says_no(path: Path) -> bool:
    from PIL import Image, UnidentifiedImageError

    if path.suffix.lower() != ".png":
        return False
    try:
        with Image.open(path) as image:
            return image.info.get(TAG) == "no"
    except (OSError, UnidentifiedImageError):  # no picture, so it shows nobody
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
