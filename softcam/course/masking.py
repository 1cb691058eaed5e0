"""While an assignment is graded, the names of softcam that solve it cannot be imported.

Whoever imports a masked name from outside softcam gets an `ImportError` that says so, whichever
way it is reached: `from softcam import to_softcam`, `softcam.convert.to_softcam`, `importlib`, or
another module that holds the same function. softcam itself goes on using it, so that models are
still loaded and checks still run. The modules of `softcam.checks` and `softcam.course` show no
more than their public names.

It keeps honest people honest. It is not a lock: Python can always look behind a module.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

from softcam.checks import tasks
from softcam.common import SoftCAMError

__all__ = ["Masked", "loaded_before", "mask", "masked_names"]

HOUSE = "softcam"
CLOSED = ("softcam.checks", "softcam.course")
OPEN = {  # what of the closed packages may be seen from outside
    "softcam.checks": {"CheckFailed", "Passed", "Task", "check", "numbers", "tasks"},
    "softcam.course": {"check", "mask", "numbers"},
}

_objects: dict[int, str] = {}  # id of a masked object to its name; the objects live in modules
_names: dict[str, set[str]] = {}  # module to the names masked in it
_modules: set[str] = set()  # modules masked as a whole
_asked: set[str] = set()  # what the assignment asks for


class Masked(ImportError):
    """A name that solves the assignment that is being graded."""


def masked_names(assignment: int) -> tuple[str, ...]:
    """The full names that are masked for an assignment, as `softcam.convert.to_softcam`."""
    return tuple(dict.fromkeys(name for task in tasks(assignment) for name in task.masked))


def mask(assignment: int) -> tuple[str, ...]:
    """Mask the names that solve an assignment, in this process, until it ends.

    Grading does so by itself. In a notebook of one's own it shows beforehand that nothing leans
    on what will be masked.

    Args:
        assignment: 1 to 6.

    Returns:
        The names.

    Raises:
        SoftCAMError: no such assignment.
    """
    names = masked_names(assignment)
    _asked.update(task.name for task in tasks(assignment))
    for full in names:
        module, _, name = full.rpartition(".")
        value = _resolve(full)
        _names.setdefault(module, set()).add(name)
        if isinstance(value, ModuleType):
            _modules.add(value.__name__)
            _objects.update({id(each): key for key, each in _made_in(value)})
        elif callable(value):
            _objects[id(value)] = name
    for loaded in [name for name in sys.modules if _ours(name)]:
        _shield(sys.modules[loaded])
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    return names


def loaded_before(code: Any) -> bool:
    """Whether code is the text of a module of softcam that has been loaded before.

    A file of softcam can be run once more, under another name that the masks do not know.
    """
    if not isinstance(code, CodeType) or code.co_name != "<module>":
        return False
    for name, module in list(sys.modules.items()):
        if _ours(name) and getattr(module, "__file__", None) == code.co_filename:
            return not getattr(module.__spec__, "_initializing", False)
    return False


def _resolve(full: str) -> Any:
    """The object behind a full name; its module is imported on the way."""
    module, _, name = full.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SoftCAMError(f"a task wants {full} masked, which does not exist.") from error


def _made_in(module: ModuleType) -> list[tuple[str, Any]]:
    """The functions and classes that a module defines, which other modules may show as well."""
    return [
        (key, each)
        for key, each in vars(module).items()
        if callable(each) and getattr(each, "__module__", "") == module.__name__
    ]


def _ours(name: str) -> bool:
    return name == HOUSE or name.startswith(HOUSE + ".")


def _closed(name: str) -> str:
    """The closed package that a module belongs to, or nothing."""
    return next((each for each in CLOSED if name == each or name.startswith(each + ".")), "")


class _Shielded(ModuleType):
    """A module of softcam that shows its masked names to softcam only."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("__") and name != "__dict__":
            return value
        if _from_inside(sys._getframe(1).f_code, sys._getframe(1).f_globals):
            return value
        module = super().__getattribute__("__name__")
        if name == "__dict__":
            return {key: each for key, each in value.items() if not _hidden(module, key, each)}
        if _hidden(module, name, value):
            raise Masked(_words(module, name, value), name=module)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a submodule in its package; nobody else has a reason to.
        if not isinstance(value, ModuleType) and not _from_inside(
            sys._getframe(1).f_code, sys._getframe(1).f_globals
        ):
            module = super().__getattribute__("__name__")
            raise Masked(f"{module}.{name} cannot be replaced while an assignment is graded.")
        super().__setattr__(name, value)


def _from_inside(code: CodeType, space: dict[str, Any]) -> bool:
    """Whether code is softcam's own, or the import system's."""
    name = space.get("__name__", "")
    if not isinstance(name, str) or not (_ours(name) or name.startswith("importlib._bootstrap")):
        return False
    # A student may write `__name__ = "softcam"`; the file that code came from is harder to claim.
    home = getattr(sys.modules.get(name), "__file__", None) or "<frozen importlib"
    return code.co_filename == home or code.co_filename.startswith("<frozen importlib")


def _hidden(module: str, name: str, value: Any) -> bool:
    if name.startswith("__"):
        return False
    closed = _closed(module)
    if closed and not isinstance(value, ModuleType):
        return name not in OPEN.get(module, set())
    if module in _modules and not isinstance(value, ModuleType):
        return True
    return name in _names.get(module, ()) or id(value) in _objects


def _words(module: str, name: str, value: Any) -> str:
    name = _objects.get(id(value), name)
    if _closed(module) and id(value) not in _objects:
        return f"{module}.{name} belongs to the checks; it is masked while grading."
    if name in _asked:
        return f"this assignment asks you to write {name} yourself; it is masked while grading."
    return f"{name} would solve a part of this assignment; it is masked while grading."


def _shield(module: ModuleType) -> None:
    if not isinstance(module, _Shielded):
        module.__class__ = _Shielded


class _Finder(importlib.abc.MetaPathFinder):
    """Shields modules of softcam that are loaded later, and loads none a second time."""

    def __init__(self) -> None:
        self.seen = {name for name in sys.modules if _ours(name)}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not _ours(name):
            return None
        if name in self.seen and target is None:
            raise Masked(f"{name} was loaded before and is not loaded afresh while grading.")
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        self.seen.add(name)
        spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Another loader, whose module is shielded once it is there."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self.inner.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        self.inner.exec_module(module)
        _shield(module)

    def __getattr__(self, name: str) -> Any:  # get_source and the like, for tracebacks
        return getattr(self.inner, name)
