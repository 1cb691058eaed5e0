"""A submission is run: in a guarded kernel, for a limited time, whatever a cell does to it.

A cell that never ends is interrupted. Where a kernel does not come back, or a cell ends it, the
notebook is run again from the start without that cell: it is lost, the rest is graded.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.common import SoftCAMError, read_json
from softcam.course.session import CHECK_SECONDS, RECEIPT, receipt
from softcam.course.settings import CELL_SECONDS, COURSE_FILE, NOTEBOOK_SECONDS, SCRATCH

if TYPE_CHECKING:
    from nbgrader.preprocessors import Execute as _Execute
else:
    _Execute = object  # nbgrader is an extra; `guarded_execute` puts both together

__all__ = ["clean_environment", "guarded_execute"]

PRIVATE = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH", re.I)
MOST_OUTPUT = 2_000_000  # characters of output of a cell that are kept
START = """from softcam.course.guard import enter
enter(**__import__("json").loads({text!r}))
del enter"""


class _Lost(Exception):
    """A cell that took its kernel with it: its index, and why."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index, self.why = index, why


@functools.cache
def guarded_execute() -> type:
    """nbgrader's preprocessor `Execute` under the guard of `softcam.course.guard`."""
    from nbgrader.preprocessors import Execute
    from traitlets import Integer

    class GuardedExecute(_Guarded, Execute):
        """Options: the longest, in seconds, that a cell, a notebook and a check may run."""

        cell_seconds = Integer(CELL_SECONDS).tag(config=True)
        notebook_seconds = Integer(NOTEBOOK_SECONDS).tag(config=True)
        check_seconds = Integer(CHECK_SECONDS).tag(config=True)

    return GuardedExecute


class _Guarded(_Execute):
    """What differs from nbgrader's own execution."""

    cell_seconds: int
    notebook_seconds: int
    check_seconds: int

    def preprocess(self, nb: Any, resources: Any, km: Any = None) -> tuple[Any, Any]:
        """Run all cells; those that end or hang the kernel are left out of a further run."""
        self._named = resources["nbgrader"]
        self._lost: dict[int, str] = {}
        self._until = time.monotonic() + self.notebook_seconds
        # Its words on its transport are left out, and so are modules beside the notebook.
        self.extra_arguments = ["--log-level=CRITICAL", "--ignore-cwd"]
        self.startup_timeout = 120  # a laptop that grades may do something else as well
        self.shutdown_kernel = "immediate"
        self.timeout_func = lambda cell: max(1, min(self.cell_seconds, int(self._left())))
        while True:
            try:
                return super().preprocess(nb, resources, km)
            except _Lost as lost:
                self.log.warning("cell %d is lost: %s", lost.index, lost.why)
                self._lost[lost.index] = lost.why

    def _left(self) -> float:
        return self._until - time.monotonic()

    @contextlib.contextmanager
    def setup_kernel(self, **kwargs: Any) -> Iterator[None]:
        """A kernel that has entered the guard before the first cell of the student.

        Its project folder is a copy that goes with it: what one submission writes, no other reads.
        """
        with tempfile.TemporaryDirectory(prefix="softcam-graded-") as temporary:
            project = Path(temporary) / "project"
            shutil.copytree(self._course() / SCRATCH, project)
            with super().setup_kernel(env=clean_environment(project), **kwargs):
                self._enter(temporary)
                yield

    def _course(self) -> Path:
        return Path(self.parent.parent.coursedir.root).resolve()

    def _enter(self, temporary: str) -> None:
        folder = self._course()
        course = read_json(folder / COURSE_FILE)
        self._seal = secrets.token_hex(16)
        number = int(self._named["assignment"].partition("_")[0])
        words = {
            "assignment": number,
            "student": self._named["student"],
            "variant": course["variants"][self._named["assignment"]],
            "closed": [str(folder), *course["closed"]],
            "temporary": temporary,
            "check_seconds": self.check_seconds,
            "seal": self._seal,
        }
        code = START.format(text=json.dumps(words))
        message = self.kc.execute(code, silent=True, store_history=False)
        reply = self.wait_for_reply(message)
        if reply is None or reply["content"]["status"] != "ok":
            why = reply["content"].get("evalue", "") if reply else "no answer"
            raise SoftCAMError(f"the guard could not be set up, so nothing was run: {why}")

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Run a cell, unless it is known to be lost, or the time is over."""
        from nbclient.exceptions import CellTimeoutError, DeadKernelError

        self._kept = 0
        if cell.cell_type != "code":
            return cell, resources
        why = self._lost.get(index, "")
        if not why and self._left() <= 0:
            why = f"The notebook had run for {self.notebook_seconds} seconds: not run any more."
        if why:
            cell.outputs = [_not_run(why)]
            return cell, resources
        try:
            made = super().preprocess_cell(cell, resources, index)
            cell.outputs = settled(cell, self._seal)
            return made
        except DeadKernelError:
            why = "This cell ended Python, or took more memory than there is: it is left out."
            raise _Lost(index, why) from None
        except CellTimeoutError:
            why = "This cell did not stop when its time was over: it is left out."
            raise _Lost(index, why) from None

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Keep no more output of a cell than anybody reads."""
        if msg["msg_type"] in ("stream", "display_data", "execute_result"):
            self._kept += len(str(msg["content"]))
            if self._kept > MOST_OUTPUT:
                return None
        return super().process_message(msg, cell, cell_index)

    async def _async_handle_timeout(self, timeout: int, cell: Any = None) -> Any:
        reply = await super()._async_handle_timeout(timeout, cell)
        words = f"This cell ran for {timeout} seconds and was stopped: look for a loop without end."
        content = {"ename": "TimeIsUp", "evalue": words, "traceback": [words], "status": "error"}
        return {"content": content} if reply else reply


def settled(cell: Any, seal: str) -> list[Any]:
    """The outputs of a cell that has run, so that nbgrader draws the right points from them.

    For nbgrader a cell without an error has all its points, a number that it shows is the points,
    and any word on stderr is an error. Here a check has its points if it has handed out its
    receipts, and otherwise an error: whatever was put in its place does not count.
    """
    receipts = {each.data[RECEIPT] for each in cell.outputs if RECEIPT in each.get("data", {})}
    kept = [each for each in cell.outputs if RECEIPT not in each.get("data", {})]
    graded = cell.metadata.get("nbgrader", {})
    name = graded.get("grade_id", "").removeprefix("check-")
    if not graded.get("grade") or f"check-{name}" != graded["grade_id"]:
        return kept
    for output in kept:
        if output.output_type == "execute_result":
            output.output_type = "display_data"
            del output["execution_count"]
        elif output.output_type == "stream":
            output.name = "stdout"
    failed = any(output.output_type == "error" for output in kept)
    if not failed and not {receipt(seal, name, hidden) for hidden in (False, True)} <= receipts:
        why = (
            f"The check of {name} has not said that it passed: something in this notebook was put "
            "in its place, or keeps it from speaking."
        )
        kept.append(_not_run(why, "NoReceipt"))
    return kept


def _not_run(why: str, kind: str = "NotRun") -> Any:
    """An output that says why there are no points; for nbgrader it is an error."""
    import nbformat

    as_nodes: Any = nbformat.from_dict
    return as_nodes({"output_type": "error", "ename": kind, "evalue": why, "traceback": [why]})


def clean_environment(root: Path) -> dict[str, str]:
    """The environment of a student's process: its own project folder, no passwords, no keys."""
    kept = {name: value for name, value in os.environ.items() if not PRIVATE.search(name)}
    # A submission's folder may hold a `torch.py`: nothing is imported from where Python starts.
    paths = [os.path.abspath(each) for each in kept.get("PYTHONPATH", "").split(os.pathsep) if each]
    own = {"SOFTCAM_ROOT": str(root), "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(paths)}
    return {**kept, **own}
