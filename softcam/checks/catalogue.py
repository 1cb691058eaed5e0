"""The tasks of the six assignments, read from `tasks.toml` beside this file."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

from softcam.checks.records import Task

__all__ = ["task_list"]


@functools.cache
def task_list() -> tuple[Task, ...]:
    """Every task, in order; numbered `1.1`, `1.2`, ... as they stand in the file."""
    text = Path(__file__).with_name("tasks.toml").read_text(encoding="utf-8")
    found = []
    for assignment in tomllib.loads(text)["assignment"]:
        number = assignment["number"]
        masked = tuple(assignment["masked"])
        for place, task in enumerate(assignment["task"], 1):
            task["masked"] = (*masked, *task.get("masked", ()))
            task["rubric"] = tuple(task.get("rubric", ()))
            found.append(Task(assignment=number, number=f"{number}.{place}", **task))
    return tuple(found)
