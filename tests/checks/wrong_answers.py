"""The wrong answers of `wrong/assignment_N.py`, found by their names.

`evidence_maps__bias_forgotten` answers the task `evidence_maps`, and the check must call the
mistake `bias-forgotten`; a further `__2` only keeps names apart. For a task that asks numbers the
function takes the student's numbers and returns the answers.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from softcam.checks import tasks

HERE = Path(__file__).parent


class WrongAnswer(NamedTuple):
    task: str
    mistake: str
    function: Callable[..., Any]

    @property
    def source(self) -> str:
        """The code, under the name that the student has to give it."""
        name = self.function.__name__
        return inspect.getsource(self.function).replace(f"def {name}(", f"def {self.task}(", 1)


def wrong_answers(assignment: int) -> list[WrongAnswer]:
    """All wrong answers of an assignment."""
    file = HERE / "wrong" / f"assignment_{assignment}.py"
    spec = importlib.util.spec_from_file_location(f"wrong_answers_{assignment}", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = {task.name for task in tasks(assignment)}
    found = []
    for name, function in vars(module).items():
        if inspect.isfunction(function) and "__" in name.strip("_"):
            task, mistake, *_ = name.split("__")
            assert task in known, f"{file.name}: {name} answers no task of this assignment"
            found.append(WrongAnswer(task, mistake.replace("_", "-"), function))
    return found
