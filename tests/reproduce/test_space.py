"""Records and the files they stand for: two configurations of one name never mix."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from softcam.common import SoftCAMError, runs_root, write_text
from softcam.reproduce import Space, collect, load_plan, run_cell, stages
from softcam.results import COLUMNS
from tests.reproduce.small import MODEL, SMALL, write_plan


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim and a figure that say which table they are from."""

    def judge(folder: Path, **_: object) -> None:
        write_text(folder / "claims.csv", f"claim\n{(folder / 'results.csv').read_text()}")

    def draw(folder: Path, out: Path) -> list[Path]:
        write_text(out / "one.png", (folder / "results.csv").read_text())
        write_text(out / "one.csv", (folder / "results.csv").read_text())
        return [out / "one.png"]

    monkeypatch.setattr(collect, "judge", judge)
    monkeypatch.setattr(collect, "draw", draw)


def pretended(path: str, word: str) -> Space:
    """A sweep whose evaluations are done, as far as the records say: each measured `word`."""
    space = Space.of(load_plan(path))
    for cell in space.cells.values():
        if cell.stage == "select":
            space.keep(cell, {"rows": [{"dataset": word}]})
        elif cell.stage == "evaluate":
            folder = space.folder / "evaluated" / f"{cell.id}-{cell.hash}"
            line = ",".join([word] * len(COLUMNS))
            write_text(folder / "results.csv", ",".join(COLUMNS) + f"\n{line}\n")
            pd.DataFrame({"image": [word]}).to_parquet(folder / "per_image.parquet")
            place = folder.relative_to(runs_root()).as_posix()
            files = [f"{place}/results.csv", f"{place}/per_image.parquet"]
            space.keep(cell, {"folder": place, "results": word, "files": files})
        elif cell.stage in ("prepare", "train"):
            space.keep(cell, {})
    return space


def finish(space: Space) -> dict[str, bytes]:
    """Collect and draw; returns the content of every file in the folder and its figures."""
    for id in ("collect", "figures"):
        run_cell(space, id, progress=False)
    found = [*space.folder.glob("*.*"), *space.folder.glob("figures/*")]
    return {path.name: path.read_bytes() for path in found}


def test_back_to_the_first_configuration_gives_its_tables_and_figures(
    project: Path, tmp_path: Path
) -> None:
    first = finish(pretended(write_plan(tmp_path), "first"))
    changed = write_plan(tmp_path, train={**SMALL["train"], "lr": 1e-4})
    second = finish(pretended(changed, "second"))
    names = {"results.csv", "per_image.parquet", "selection.csv", "claims.csv", "one.png"}
    assert names <= set(first)
    assert all(first[name] != second[name] for name in names)
    again = Space.of(load_plan(write_plan(tmp_path)))
    assert finish(again) == first
    drawn = again.record(again.cell("figures"))
    assert drawn is not None and len(drawn.result["files"]) == 2


@pytest.mark.parametrize("name", ["results.csv", "per_image.parquet", "claims.csv"])
def test_a_table_that_was_changed_or_taken_away_is_made_anew(
    project: Path, tmp_path: Path, name: str
) -> None:
    space = pretended(write_plan(tmp_path), "first")
    before = finish(space)
    cell = space.cell("collect")
    (space.folder / name).write_text("another")
    assert space.record(cell) is None
    assert space.record(space.cell("figures")) is None, "what needs it does not hold either"
    assert finish(space) == before
    (space.folder / name).unlink()
    assert space.record(cell) is None
    assert finish(space) == before
    (space.folder / "times.csv").write_text("cell,stage,seconds\n")
    assert space.record(cell) is not None


def test_a_record_of_before_sums_were_kept_holds_while_its_files_are_there(
    project: Path, tmp_path: Path
) -> None:
    space = pretended(write_plan(tmp_path), "first")
    cell = next(each for each in space.cells.values() if each.stage == "evaluate")
    values = json.loads(space.path(cell).read_text())
    values["result"]["files"] = list(values["result"]["files"])
    space.path(cell).write_text(json.dumps(values))
    assert space.record(cell) is not None
    (runs_root() / values["result"]["files"][0]).unlink()
    assert space.record(cell) is None


def test_other_weights_or_data_give_an_evaluation_another_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluated(folder: Path, *_: object, **__: object) -> None:
        for name in ("results.csv", "per_image.parquet"):
            write_text(folder / name, "measured")

    monkeypatch.setattr("softcam.evaluation.evaluate_to", evaluated)
    monkeypatch.setattr(stages, "_runs_of", lambda *_: [None])
    space = pretended(write_plan(tmp_path), "first")
    cell = space.cell(f"evaluate-cxr-{MODEL}-s1")
    space.path(cell).unlink()
    first = run_cell(space, cell.id, progress=False).result["folder"]
    space.keep(space.cell(cell.needs[0]), {"run_id": "trained on other data"})
    assert space.record(cell) is None
    second = run_cell(space, cell.id, progress=False).result["folder"]
    assert first != second
    assert (runs_root() / first / "results.csv").is_file()


def test_any_error_names_its_cell_and_its_log(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setitem(stages._STAGES, "prepare", odd)
    space = Space.of(load_plan(write_plan(tmp_path)))
    with pytest.raises(SoftCAMError, match="prepare-cxr stopped with ZeroDivisionError: odd") as at:
        run_cell(space, "prepare-cxr", progress=False)
    path = space.log_path(space.cell("prepare-cxr"))
    assert str(path) in str(at.value)
    assert "Traceback" in path.read_text()
