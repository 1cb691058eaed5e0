"""Points that mark drusen in OCT scans: a table of pixels, in one of two frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from softcam.data.catalogue import Mark
from softcam.data.geometry import Geometry
from softcam.data.images import image_size
from softcam.data.split_files import file_stem
from softcam.data.store import Store
from softcam.data.tables import Row, read_table

__all__ = ["FRAMES", "KIND", "read_points"]

KIND = "drusen"
FRAMES = ("stored", "paper")
DRAWN, PAPER = 512, 496  # sides of the square in which the points were set, and of the paper's


def read_points(
    store: Store, files: Mapping[str, str], path: Path, frame: str, on_error: str
) -> tuple[dict[str, tuple[Mark, ...]], list[str]]:
    """The marks of every image that the table names, and notes.

    Args:
        store: the scans.
        files: name in the store by id.
        path: CSV file with `filename, x, y`; blank x and y: looked at, nothing marked.
        frame: `stored` or `paper` (see `read_oct`); of `paper` each marked image is opened for
            its size.
        on_error: `stop` at an image that is not there or a point outside the frame, or `skip`
            and count.

    Raises:
        DataError: what is wrong, with file, row and column.
    """
    table = read_table(path)
    table.require(["filename", "x", "y"])
    found: dict[str, list[Mark]] = {}
    unknown: list[Row] = []
    shapes: dict[str, tuple[int, int]] = {}
    for row in table.rows:
        key = file_stem(row.get("filename"))
        if key not in files:
            unknown.append(row)
            continue
        marks = found.setdefault(key, [])
        point = _point(row, frame)
        if point is None:
            continue
        if frame == "paper":
            if key not in shapes:
                shapes[key] = image_size(store.read(files[key]), store.path / files[key])
            point = _stored(point, shapes[key])
        marks.append(Mark(KIND, (*point, 1.0, 1.0), f"{path}, row {row.line}"))
    if unknown and on_error == "stop":
        raise unknown[0].error(
            "filename",
            f"{unknown[0]['filename']!r} is no image of this task and its splits, and so it is in "
            f"{len(unknown)} rows; leave such rows out: --on-error skip.",
        )
    notes = [f"{len(unknown)} points of images that are not used are left out."] if unknown else []
    notes.append(
        f"{sum(map(len, found.values()))} points mark drusen in {len(found)} images; only these "
        "count as looked at."
    )
    return {key: tuple(marks) for key, marks in found.items()}, notes


def _point(row: Row, frame: str) -> tuple[float, float] | None:
    """The pixel of a row, or None where it marks nothing."""
    if not row.get("x") and not row.get("y"):
        return None
    values = []
    for column in ("x", "y"):
        value = row.number(column)
        if not math.isfinite(value) or value < 0 or (frame == "paper" and value >= DRAWN):
            limit = f" and below {DRAWN}" if frame == "paper" else ""
            raise row.error(column, f"{row[column]!r}, expected a number from 0{limit}.")
        values.append(float(math.floor(value)) if frame == "stored" else value)
    return values[0], values[1]


def _stored(point: tuple[float, float], shape: tuple[int, int]) -> tuple[float, float]:
    """From the drawn square to the file: the pixel whose centre lands in the paper's pixel."""
    geometry = Geometry(*shape, PAPER)
    (height, width), (top, left) = geometry.resized, geometry.offset
    x, y = (math.floor(value * PAPER / DRAWN) + 0.5 for value in point)
    return (x + left) * shape[1] / width - 0.5, (y + top) * shape[0] / height - 0.5
