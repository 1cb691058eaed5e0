"""Pages of the public names: one a room, in the order of rooms, from the docstrings.

A name that several rooms offer is described in the lowest of them; the others link there. Shapes,
units and errors stand in the docstrings; the sources of measures and methods in their registries,
which become tables.
"""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from softcam.common import SoftCAMError, write_text
from tools.site.extension import as_restructured

__all__ = ["Room", "Section", "public_rooms", "write_api"]

SHORT, LONG = 60, 400  # characters of a constant's value, in a table and by itself


@dataclass(frozen=True)
class Section:
    """A module with public names: a room, or a part of one that it hands on whole."""

    module: ModuleType
    names: tuple[str, ...]

    @property
    def path(self) -> str:
        return self.module.__name__


@dataclass(frozen=True)
class Room:
    """A room of the package: its own names first, then parts with names of their own."""

    name: str
    sections: tuple[Section, ...]


def public_rooms(root: Path, package: str = "softcam") -> list[Room]:
    """Every room with public names, from the lowest to the highest.

    Args:
        root: the checkout; its `pyproject.toml` has the order.
        package: the package itself comes last.

    Raises:
        SoftCAMError: a room cannot be imported, or offers a name that it does not have.
    """
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    layers = [name.strip("() ") for layer in contract["layers"] for name in layer.split("|")]
    rooms = []
    for name in [*reversed(layers), ""]:
        path = f"{package}.{name}".rstrip(".")
        runs = name == "__main__"  # importing it would start the command
        if not runs and (not name or _is_there(root / package / name)):
            rooms.append(Room(name or package, _sections(path)))
    return [room for room in rooms if any(section.names for section in room.sections)]


def _is_there(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _sections(path: str) -> tuple[Section, ...]:
    try:
        module = importlib.import_module(path)
        found = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    except (ImportError, AttributeError) as error:
        raise SoftCAMError(f"the public names of {path} cannot be read: {error}") from error
    parts = [each for each in found.values() if inspect.ismodule(each)]
    own = tuple(name for name, each in found.items() if not inspect.ismodule(each))
    inner = [section for part in parts for section in _sections(part.__name__)]
    return (Section(module, tuple(sorted(own, key=str.lower))), *inner)


def write_api(root: Path, stage: Path) -> int:
    """Write `api/index.rst` and a page for each room below `stage`; returns how many names."""
    rooms = public_rooms(root)
    homes = _homes(rooms)
    for room in rooms:
        write_text(stage / "api" / f"{room.name}.rst", _page(room, homes))
    write_text(stage / "api" / "index.rst", _index(rooms))
    return len(set(homes.values()))


def _homes(rooms: Sequence[Room]) -> dict[tuple[str, str], str]:
    """Where each name of each section is described, as a dotted path."""
    first: dict[Any, str] = {}
    homes = {}
    for room in rooms:
        for section in room.sections:
            for name in section.names:
                value = getattr(section.module, name)
                # Constants may be one object by chance: only the name tells them apart.
                key = id(value) if _is_code(value) else (name, id(value))
                homes[section.path, name] = first.setdefault(key, f"{section.path}.{name}")
    return homes


def _is_code(value: Any) -> bool:
    """A function or a class; a type alias or an object that can be called is a constant."""
    return inspect.isclass(value) or inspect.isroutine(value)


def _page(room: Room, homes: dict[tuple[str, str], str]) -> str:
    lines: list[str] = []
    for level, section in zip("=" + "-" * 99, room.sections, strict=False):
        title = section.path
        # "[docs]" beside the code of a part leads to its place here.
        place = [".. raw:: html", "", f'   <span id="{title}"></span>', ""]
        lines += [title, level * len(title), "", *place, *_docstring(section.module), ""]
        lines += _table(
            ("name", "what it is"),
            [(f":py:obj:`{name} <{homes[section.path, name]}>`", _summary(section, name))
             for name in section.names],
            widths=(30, 70),
        )  # fmt: skip
        lines += _registered(section.path)
        for name in section.names:
            if homes[section.path, name] == f"{section.path}.{name}":
                lines += _entry(section, name)
    return "\n".join(lines) + "\n"


def _docstring(module: ModuleType) -> list[str]:
    text = inspect.getdoc(module) or ""
    return as_restructured(text.splitlines())


def _summary(section: Section, name: str) -> str:
    """The first sentence of a docstring, or the value of a constant."""
    value = getattr(section.module, name)
    if not _is_code(value):
        shown = repr(value)
        return f"``{shown}``" if len(shown) <= SHORT else f"a constant, {type(value).__name__}"
    first = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
    sentence = re.split(r"(?<=[.!?])\s", first)[0]
    return _plain(sentence)


def _docline(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").split("\n")[0]


def _plain(text: str) -> str:
    """One line of plain text as reStructuredText."""
    return " ".join(as_restructured([text]))


def _entry(section: Section, name: str) -> list[str]:
    value = getattr(section.module, name)
    path = f"{section.path}::{name}"  # with one dot it could be a file of the same name
    if inspect.isclass(value):
        bases = [] if value.__bases__ == (object,) else ["   :show-inheritance:"]
        return [f".. autoclass:: {path}", "   :members:", *bases, ""]
    if inspect.isroutine(value):
        return [f".. autofunction:: {path}", ""]
    head = [f".. py:data:: {section.path}.{name}", f"   :type: {type(value).__name__}", ""]
    return [*head, f"   {_shown(value)}", ""]


def _shown(value: Any) -> str:
    """A constant's value if it is short, or its keys."""
    if isinstance(value, dict):
        return "Keys: " + ", ".join(f"``{key!r}``" for key in value) + "."
    shown = repr(value)
    return f"``{shown}``" if len(shown) <= LONG else f"A {type(value).__name__}."


def _registered(path: str) -> list[str]:
    """The tables that belong to a room: its measures, or its methods."""
    if path == "softcam.metrics":
        from softcam.metrics import measures

        head = ("measure", "title", "unit", "better", "gauge", "source")
        rows = [
            (each.name, each.title, each.unit, each.direction, each.gauge, each.source)
            for each in measures()
        ]
        return ["**Every measure** of the protocol ``corrected``:", "", *_named(head, rows)]
    if path == "softcam.explainers":
        from softcam.explainers import explainers

        others = ("method", "title", "needs", "cost beside the prediction", "source")
        methods = [
            (each.name, each.title, each.needs, each.cost, each.paper)
            for each in explainers().values()
        ]
        return ["**Every method:**", "", *_named(others, methods)]
    return []


def _named(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of plain texts by the name in the first column."""
    return _table(
        head, [(f"``{name}``", *map(_plain, rest)) for name, *rest in sorted(map(tuple, rows))]
    )


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int] = ()
) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", "   :class: wide"]
    if widths:
        lines.append(f"   :widths: {' '.join(map(str, widths))}")
    lines.append("")
    for row in [head, *rows]:
        for i, cell in enumerate(row):
            lines.append(f"   {'*' if not i else ' '} - {cell}")
    return [*lines, ""]


def _index(rooms: Sequence[Room]) -> str:
    *others, whole = rooms
    rooms = [whole, *sorted(others, key=lambda room: room.name)]
    title = "Every public name"
    lines = [
        title, "=" * len(title), "",
        "One page a room. ``softcam``, the first, gathers what most people need; the others stand "
        "in the order of the alphabet, and :ref:`each name by itself <genindex>` does too. Which "
        "room uses which is said in :doc:`/CONTRIBUTING`. Shapes stand in brackets: B images, C "
        "classes, a map of h x w cells, an image of H x W pixels. Maps are raw, signed, in "
        "logits.", "",
        "`[source]` beside a name shows its code. Where a measure or a method comes from is in "
        "the tables of :doc:`metrics` and :doc:`explainers`.", "",
    ]  # fmt: skip
    rows = [(f":doc:`{room.name}`", _plain(_docline(room.sections[0].module))) for room in rooms]
    lines += _table(("room", "what it does"), rows, widths=(20, 80))
    lines += [".. toctree::", "   :hidden:", "", *[f"   {room.name}" for room in rooms]]
    return "\n".join(lines) + "\n"
