"""`softcam course`: the instructor's bundle, the sources behind it, and the grading."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from softcam.cli.options import Progress
from softcam.common import SoftCAMError

__all__ = ["course"]


class Verb(StrEnum):
    """What is to be done."""

    build = "build"
    grade = "grade"
    feedback = "feedback"


def course(
    verb: Annotated[
        Verb,
        typer.Argument(
            help="build: the bundle (needs --secret); grade: what lies in submitted/; feedback: "
            "its pages once more, after a person has graded"
        ),
    ] = Verb.build,
    secret: Annotated[
        Path | None, typer.Option(help="file whose content opens the sealed solutions")
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(help="build: CSV with id,first_name,last_name,email")
    ] = None,
    edit: Annotated[
        Path | None, typer.Option(help="instead: unseal the sources into this folder")
    ] = None,
    seal: Annotated[
        Path | None, typer.Option(help="instead: seal the sources of this folder")
    ] = None,
    reseal: Annotated[
        Path | None, typer.Option(help="instead: seal with the secret in this file from now on")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the course; default runs/course")
    ] = None,
    assignment: Annotated[
        str | None, typer.Option(help="grade: only this one, such as 1_cam_by_hand")
    ] = None,
    student: Annotated[str | None, typer.Option(help="grade: only this one")] = None,
    resume: Annotated[bool, typer.Option(help="grade: leave alone what is graded")] = True,
    progress: Progress = True,
) -> None:
    """A course with nbgrader: build its folder, grade what was handed in.

    Solutions and the folder itself are for the instructor only. Students' code runs under limits,
    which are no sandbox.
    """
    if edit or seal or reseal:
        _sources(_needed(secret), edit, seal, reseal)
    elif verb is Verb.build:
        from softcam.course import build

        root = build(_needed(secret), roster=roster, out=out, progress=progress)
        typer.echo(f"{root}\nhand out: {root / 'release'}\nput in: {root / 'submitted'}/ID/NAME/")
    else:
        _grade(verb, out, assignment, student, resume, progress)


def _needed(secret: Path | None) -> Path:
    if secret is None:
        raise SoftCAMError("--secret is missing: name the file that the solutions open with.")
    return secret


def _sources(secret: Path, edit: Path | None, seal: Path | None, reseal: Path | None) -> None:
    from softcam.course import edit as unseal
    from softcam.course import read_secret, seal_folder
    from softcam.course import reseal as seal_anew

    if sum(map(bool, (edit, seal, reseal))) > 1:
        raise SoftCAMError("--edit, --seal and --reseal: one at a time.")
    key = read_secret(secret)
    if edit:
        written = unseal(edit, secret=key)
    elif seal:
        written = seal_folder(seal, secret=key)
    else:
        assert reseal is not None
        written = [seal_anew(secret=key, new=read_secret(reseal))]
    for path in written:
        typer.echo(str(path))


def _grade(
    verb: Verb,
    out: Path | None,
    assignment: str | None,
    student: str | None,
    resume: bool,
    progress: bool,
) -> None:
    from softcam.course import grade, renew_feedback
    from softcam.course.bundle import course_folder

    if verb is Verb.feedback:
        graded = renew_feedback(out=out, progress=progress)
    else:
        graded = grade(
            out=out, assignment=assignment, student=student, resume=resume, progress=progress
        )
    for each in graded:
        by_hand = sum(part.by_hand for part in each.parts)
        rest = f", {by_hand} to be graded by hand" if by_hand else ""
        points = f"{each.points:g} of {each.most:g}{rest}"
        typer.echo(f"{each.student}  {each.assignment}  {each.problem or points}")
    typer.echo(str(course_folder(out) / "grades.csv"))
    if any(each.problem for each in graded):
        raise typer.Exit(1)
