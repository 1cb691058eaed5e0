"""What a student's function is checked against: six assignments, each task with its mistakes.

    check("evidence_maps", evidence_maps, student="ada")   # Passed, or CheckFailed in words
    numbers("map_by_hand", "ada")                          # the data of a task that ada sees
    tasks(1)                                               # purpose, minutes, points, hint ...

A check runs the function on random inputs, on inputs worked out by hand and on degenerate ones,
and compares with a reference that follows the definition. On disagreement it tries the mistakes
that are often made, and names the one that gives the student's result. The references are NumPy
of its own and import nothing that a student is asked to write, so the checks also work while
those names are hidden.
"""

from __future__ import annotations

from softcam.checks.asking import check, numbers, tasks
from softcam.checks.records import CheckFailed, Passed, Task

__all__ = ["CheckFailed", "Passed", "Task", "check", "numbers", "tasks"]
