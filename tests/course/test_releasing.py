"""The student versions are what the sealed sources make, with the secret and without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
pytest.importorskip("cryptography")

from softcam.checks import tasks  # noqa: E402
from softcam.common import SoftCAMError  # noqa: E402
from softcam.course import drift, edit, read_secret, reseal, seal_folder, solutions  # noqa: E402
from softcam.course.releasing import (  # noqa: E402
    assignments_folder,
    open_sources,
    prove,
    sealed_text,
    write_sources,
)
from softcam.course.sources import assignment_number  # noqa: E402

NAME = "1_cam_by_hand"


def test_no_drift_without_the_secret() -> None:
    assert drift() == []


@pytest.mark.slow
def test_no_drift_with_the_secret(secret: bytes) -> None:
    assert drift(secret=secret) == []


@pytest.mark.slow
def test_the_solutions_pass_their_checks(sources: dict[str, str]) -> None:
    for name, script in sources.items():
        prove(name, script)


def test_every_task_of_a_source_has_its_solution(sources: dict[str, str]) -> None:
    for name, script in sources.items():
        number = assignment_number(name)
        asked = {task.name for task in tasks(number) if not task.rubric}
        assert solutions(name, script, student="ada").keys() >= asked


def test_student_versions_hold_no_solution_and_no_hidden_test() -> None:
    for path in assignments_folder().glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert "SOLUTION" not in text and "HIDDEN" not in text and "hidden=True" not in text
        assert "NotImplementedError" in text


def test_student_versions_tell_what_every_task_must(sources: dict[str, str]) -> None:
    for name in sources:
        book = json.loads((assignments_folder() / f"{name}.ipynb").read_text(encoding="utf-8"))
        text = "\n".join("".join(cell["source"]) for cell in book["cells"])
        for word in ("**Goal.**", "**Minutes.**", "**Prerequisites.**", "not for clinical use"):
            assert word in text, f"{name} lacks {word}"
        for task in tasks(assignment_number(name)):
            for word in (task.purpose, task.hint, f"difficulty {task.difficulty} of 3"):
                assert word in text, f"{name} lacks {word!r} of {task.name}"


def copy_of_course(folder: Path) -> Path:
    """`notebooks/assignments` in a folder of its own."""
    for path in assignments_folder().glob("*"):
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_changed_student_version_is_seen_without_the_secret(tmp_path: Path) -> None:
    folder = copy_of_course(tmp_path)
    path = folder / f"{NAME}.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("Goal", "Gaol"), encoding="utf-8")
    assert drift(folder=folder) == [f"{NAME}.ipynb was changed after it was made"]
    path.unlink()
    (folder / "9_more.ipynb").write_text("{}", encoding="utf-8")
    assert set(drift(folder=folder)) == {
        f"{NAME}.ipynb is missing",
        "9_more.ipynb has no sealed source",
    }


@pytest.mark.slow
def test_edit_and_seal_go_round(tmp_path: Path, secret: bytes, sources: dict[str, str]) -> None:
    folder, work = copy_of_course(tmp_path), tmp_path / "work"
    written = edit(work, secret=secret, folder=folder)
    assert {path.stem: path.read_text(encoding="utf-8") for path in written} == sources
    with pytest.raises(SoftCAMError, match="is there already"):
        edit(work, secret=secret, folder=folder)
    path = work / f"{NAME}.py"
    changed = path.read_text(encoding="utf-8").replace("**Goal.**", "**Goal.** New:", 1)
    made = tmp_path / "made"
    write_sources({NAME: changed}, secret=secret, folder=made)
    assert "New:" in (made / f"{NAME}.ipynb").read_text(encoding="utf-8")
    assert drift(folder=made) == [] and open_sources(secret, folder=made) == {NAME: changed}


def test_a_wrong_solution_is_not_sealed(
    tmp_path: Path, secret: bytes, sources: dict[str, str]
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    wrong = sources[NAME].replace("maps.mean((2, 3))", "maps.sum((2, 3))", 1)
    assert wrong != sources[NAME]
    (work / f"{NAME}.py").write_text(wrong, encoding="utf-8")
    with pytest.raises(SoftCAMError, match="logits_from_maps does not pass its own check"):
        seal_folder(work, secret=secret, folder=tmp_path)
    assert not list(tmp_path.glob("*.ipynb")) and not list(tmp_path.glob("*.sealed"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"# %% parameters\nstudent = 'x'\n# %% answer=cam\n\xff", "cannot be read"),
        (b"# %% parameters\n", "has the cells"),
    ],
)
def test_a_source_that_is_not_in_order_is_not_sealed(
    tmp_path: Path, text: bytes, words: str
) -> None:
    (tmp_path / f"{NAME}.py").write_bytes(text)
    with pytest.raises(SoftCAMError, match=words):
        seal_folder(tmp_path, secret=b"0123456789abcdef", folder=tmp_path)


@pytest.mark.parametrize("line", ["1 / 0", "def cam(:"])
def test_a_solution_that_does_not_run_is_named_with_its_line(
    sources: dict[str, str], line: str
) -> None:
    wrong = sources[NAME].replace("# %% answer=cam\n", f"# %% answer=cam\n{line}\n", 1)
    with pytest.raises(SoftCAMError, match=f"{NAME} does not run: .*(line \\d+: Zero|SyntaxError)"):
        prove(NAME, wrong)


def test_a_damaged_sealed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "solutions.sealed").write_bytes(b'{"format": "\xff"}')
    with pytest.raises(SoftCAMError, match="is damaged"):
        sealed_text(tmp_path)


def test_sources_are_not_unsealed_into_a_file(tmp_path: Path, secret: bytes) -> None:
    (tmp_path / "work").write_text("", encoding="utf-8")
    with pytest.raises(SoftCAMError, match="is a file"):
        edit(tmp_path / "work", secret=secret)


def test_what_has_drifted_is_not_sealed_again(tmp_path: Path, secret: bytes) -> None:
    folder = copy_of_course(tmp_path)
    (folder / f"{NAME}.ipynb").unlink()
    with pytest.raises(SoftCAMError, match=f"not sealed again: {NAME}.ipynb is missing"):
        reseal(secret=secret, new=b"0123456789abcdef", folder=folder)


def test_a_secret_of_ones_own(tmp_path: Path, secret: bytes, sources: dict[str, str]) -> None:
    folder = copy_of_course(tmp_path)
    own = tmp_path / "own.secret"
    own.write_text("a secret that nobody else knows\n", encoding="utf-8")
    before = sealed_text(folder)
    reseal(secret=secret, new=read_secret(own), folder=folder)
    assert open_sources(read_secret(own), folder=folder) == sources
    with pytest.raises(SoftCAMError, match="another secret"):
        open_sources(secret, folder=folder)
    assert drift(folder=folder) == [] and sealed_text(folder) != before


def test_an_empty_folder_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="holds no source"):
        seal_folder(tmp_path, secret=b"0123456789abcdef", folder=tmp_path)


def test_without_sealed_solutions_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="cannot be read"):
        sealed_text(tmp_path)
