"""How nbgrader runs in a course of softcam, for `softcam course` and for nbgrader's own commands.

The `nbgrader_config.py` of a bundle calls `configure`, so that `nbgrader autograde` and the
formgrader read, run and guard a submission the same way as `softcam course grade`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError

__all__ = [
    "CELL_SECONDS",
    "COURSE",
    "COURSE_FILE",
    "NOTEBOOK_SECONDS",
    "SCRATCH",
    "STUB",
    "configure",
    "needs_extra",
]

COURSE = "softcam"
COURSE_FILE = "course.json"  # of a bundle: keys of the hidden inputs, and what is not to be read
SCRATCH = "scratch"  # of a bundle: what the project folder of each student's process begins with
STUB = '# Your answer here, instead of the next line.\nraise NotImplementedError("to be written")'
CELL_SECONDS, NOTEBOOK_SECONDS = 60, 300


def needs_extra() -> None:
    """Refuse in words where the packages of the extra `course` are missing.

    Raises:
        SoftCAMError: names them, and what to install.
    """
    missing = [name for name in ("nbgrader", "cryptography") if not importlib.util.find_spec(name)]
    if missing:
        raise SoftCAMError(
            f"a course needs {' and '.join(missing)}, of the extra `course`: "
            "pip install 'softcam[course]'."
        )


def configure(config: Any, root: str | Path) -> Any:
    """Set nbgrader's options (a traitlets `Config`) for the course in the folder `root`."""
    from nbgrader import preprocessors as of_nbgrader

    from softcam.course.executing import guarded_execute
    from softcam.course.receiving import submission_exporter

    config.CourseDirectory.root = str(root)
    config.CourseDirectory.course_id = COURSE
    config.ClearSolutions.code_stub = {"python": STUB}
    config.ClearSolutions.text_stub = "Your answer here."
    config.Autograde.exporter_class = submission_exporter()
    config.Autograde.autograde_preprocessors = [
        guarded_execute(),
        of_nbgrader.LimitOutput,
        of_nbgrader.SaveAutoGrades,
        of_nbgrader.AssignLatePenalties,
        of_nbgrader.CheckCellMetadata,
    ]
    config.LimitOutput.max_lines = 100
    return config
