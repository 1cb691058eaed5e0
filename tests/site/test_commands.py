"""What the pages tell a reader to type is there: words, commands and their options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import start
from softcam.cli import app
from tools.site.stage import OTHERS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *(ROOT / name for name in OTHERS)]
PAGES += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs" / "site").glob("*.md"))
PAGES += [
    ROOT / "notebooks" / "assignments" / "README.md",
    ROOT / "docs" / "site" / "messages.toml",
]
CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`|^    (\S.*)$", re.DOTALL | re.MULTILINE)
TYPED = re.compile(
    r"(?:^|[\s(!/])(start\.py|softcam)(?:\.exe)? +([a-z][\w-]*)([^\n#]*)", re.MULTILINE
)
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
PROSE = {"needs", "import"}  # "softcam needs Python 3.11", `from softcam import`
# Of pip, Snakemake, and `python -m tools.tab`.
FOREIGN = {"--index-url", "--snakefile", "--cores", "--forcerun", "--fetch"}
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands


def code(path: Path) -> str:
    found = CODE.findall(path.read_text(encoding="utf-8"))
    return "\n".join("".join(parts) for parts in found)


def options(command: Any) -> set[str]:
    """Of a command and of those below it."""
    own = {name for each in command.params for name in [*each.opts, *each.secondary_opts]}
    return own.union(*map(options, getattr(command, "commands", {}).values())) | {"--help"}


def unknown(text: str) -> Iterator[str]:
    """What is typed in a piece of code, and nobody knows."""
    for program, word, rest in TYPED.findall(text):
        if program == "start.py":
            if word not in start.WORDS:
                yield f"start.py {word}"
        elif word not in COMMANDS and word not in PROSE:
            yield f"softcam {word}"
        elif word in COMMANDS:
            for name in OPTION.findall(rest.partition("`")[0]):
                if name not in options(COMMANDS[word]):
                    yield f"softcam {word} {name}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_is_there(path: Path) -> None:
    assert not list(unknown(code(path)))


def test_every_option_of_the_pages_belongs_to_some_command() -> None:
    known = FOREIGN.union(*map(options, COMMANDS.values()))
    found = {(path.name, name) for path in PAGES for name in OPTION.findall(code(path))}
    assert len(found) > 20
    assert not sorted(pair for pair in found if pair[1] not in known)


def test_what_nobody_knows_is_noticed() -> None:
    assert list(unknown("python start.py sitte --out x")) == ["start.py sitte"]
    assert list(unknown("softcam evaluat RUN")) == ["softcam evaluat"]
    assert list(unknown("softcam evaluate RUN --method cam")) == ["softcam evaluate --method"]
    assert list(unknown("softcam data info x --help; start.py lab")) == []
