"""A course: assignments that students hand in, graded by nbgrader, with words for every mistake.

In an assignment:

    from softcam.course import check, mask, numbers

For the instructor (`softcam course`): `build`, `grade`, `edit`, `seal_folder`, `reseal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softcam.course.checking import check, numbers
from softcam.course.masking import mask
from softcam.lazy import lazy_names

if TYPE_CHECKING:
    from softcam.course.bundle import build
    from softcam.course.grading import grade, renew_feedback
    from softcam.course.releasing import drift, edit, open_sources, reseal, seal_folder
    from softcam.course.sealed import read_secret
    from softcam.course.sources import solutions

_LAZY = {
    "build": "softcam.course.bundle",
    "drift": "softcam.course.releasing",
    "edit": "softcam.course.releasing",
    "grade": "softcam.course.grading",
    "open_sources": "softcam.course.releasing",
    "read_secret": "softcam.course.sealed",
    "renew_feedback": "softcam.course.grading",
    "reseal": "softcam.course.releasing",
    "seal_folder": "softcam.course.releasing",
    "solutions": "softcam.course.sources",
}

__all__ = [
    "build",
    "check",
    "drift",
    "edit",
    "grade",
    "mask",
    "numbers",
    "open_sources",
    "read_secret",
    "renew_feedback",
    "reseal",
    "seal_folder",
    "solutions",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
