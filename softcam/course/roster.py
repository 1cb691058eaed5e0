"""Who takes part: a CSV with the columns that nbgrader knows."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from softcam.common import SoftCAMError

__all__ = ["Student", "check_id", "read_roster"]

COLUMNS = ("id", "first_name", "last_name", "email")
# An id names a folder, and nbgrader looks for folders by patterns.
FITS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class Student:
    """One row of a roster."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""


def check_id(student: str, place: str) -> str:
    """The id, if it can name a folder.

    Raises:
        SoftCAMError: it cannot; says where it was found.
    """
    if not FITS.fullmatch(student):
        raise SoftCAMError(
            f"{place}: the id {student!r} does not fit: expected letters, digits and . _ @ -, "
            "beginning with a letter or digit, at most 64."
        )
    return student


def read_roster(path: str | Path) -> list[Student]:
    """The students of a CSV with the columns id, first_name, last_name, email.

    Only `id` has to be there; further columns are left alone.

    Raises:
        SoftCAMError: no such file, no column `id`, an id that is empty, odd or there twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SoftCAMError(f"the roster {path} cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise SoftCAMError(
            f"the roster {path} is not in UTF-8: save it once more as `CSV UTF-8`."
        ) from error
    table = csv.DictReader(text.splitlines(), strict=True)
    try:
        return _students(table, path)
    except csv.Error as error:
        raise SoftCAMError(f"{path}, line {table.line_num}: no CSV ({error}).") from error


def _students(table: csv.DictReader[str], path: str | Path) -> list[Student]:
    names = [str(name).strip() for name in table.fieldnames or []]
    if "id" not in names:
        raise SoftCAMError(
            f"the roster {path} has the columns {', '.join(names) or 'none'}: expected "
            f"{','.join(COLUMNS)} in its first line, with commas between them."
        )
    table.fieldnames = names
    found: dict[str, Student] = {}
    for row in table:
        place = f"{path}, line {table.line_num}"
        values = {name: (row.get(name) or "").strip() for name in COLUMNS}
        if not any(values.values()):
            continue  # an empty row, as spreadsheets leave them at the end
        folder = check_id(values["id"], place).lower()  # as Windows and macOS tell folders apart
        if folder in found:
            raise SoftCAMError(f"{place}: the id {values['id']!r} is there twice.")
        found[folder] = Student(**values)
    if not found:
        raise SoftCAMError(f"the roster {path} names nobody.")
    return list(found.values())
