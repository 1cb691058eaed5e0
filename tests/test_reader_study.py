"""The reader study: a plan that is balanced, and simulated readers whose behaviour is found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from softcam.common import SoftCAMError
from softcam.predictions import UNATTENDED
from softcam.reader_study import (
    CONDITIONS,
    compare_conditions,
    read_sheets,
    reader_measures,
    simulated_answers,
    study_plan,
    write_sheets,
)
from tools import anywhere

TRUTH = np.tile([0, 1], 15)
WRONG = np.arange(30) % 3 == 0
ADVICE = np.where(WRONG, 1 - TRUTH, TRUTH)
READERS = [f"r{number}" for number in range(24)]


def plan(readers: list[str] = READERS, seed: int = 4) -> pd.DataFrame:
    return study_plan(readers, WRONG, seed=seed)


def test_every_reader_reads_every_case_once_and_every_condition_equally() -> None:
    for _, rows in plan().groupby("reader"):
        assert sorted(rows.case) == list(range(30)) and list(rows.position) == list(range(1, 31))
        assert set(Counter(rows.condition).values()) == {10}
        mistaken = Counter(rows.condition[WRONG[rows.case.to_numpy()]])
        assert max(mistaken.values()) - min(mistaken.values()) <= 1


def test_the_square_is_balanced() -> None:
    table = plan(READERS[:6])
    orders = {tuple(dict.fromkeys(rows.condition)) for _, rows in table.groupby("reader")}
    assert len(orders) == 6, "six readers, six orders: place and neighbour are balanced"
    for _, rows in plan(READERS[:3]).groupby("case"):
        assert sorted(rows.condition) == sorted(CONDITIONS)


def test_the_seed_draws_the_plan() -> None:
    pd.testing.assert_frame_equal(plan(seed=1), plan(seed=1))
    assert not plan(seed=1).equals(plan(seed=2))


def answers(**follows: float) -> pd.DataFrame:
    found = simulated_answers(plan(), TRUTH, ADVICE, skill=0.75, follows=follows, seed=7)
    assert found.simulated.all()
    return found


def test_readers_who_always_follow_and_readers_who_never_do() -> None:
    always = reader_measures(answers(none=1, own=1, other=1), TRUTH, ADVICE)
    assert (always["over-reliance"] == 1).all(axis=None)
    assert always["accuracy"].mean(axis=None) == pytest.approx(1 - WRONG.mean())
    never = reader_measures(answers(none=0, own=0, other=0), TRUTH, ADVICE)
    # 720 answers: a standard error of 0.016; 240 of them on wrong advice: 0.028
    assert never["accuracy"].mean(axis=None) == pytest.approx(0.75, abs=0.06)
    assert never["over-reliance"].mean(axis=None) == pytest.approx(0.25, abs=0.1)


def test_a_known_effect_is_recovered_and_the_placebo_is_seen() -> None:
    # following with p, else wrong with 0.25: over-reliance p + (1 - p) / 4
    found = compare_conditions(answers(none=0.2, own=0.8, other=0.8), TRUTH, ADVICE)
    relied = found[found.measure == "over-reliance"].set_index(["a", "b"])
    for pair, true in {("own", "none"): 0.45, ("other", "none"): 0.45, ("own", "other"): 0}.items():
        row = relied.loc[pair]
        assert row.low <= true <= row.high and row.difference == pytest.approx(true, abs=0.15)
    assert relied.loc[("own", "none")].low > 0


@pytest.mark.slow
def test_the_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = []
    for seed in range(60):
        follows = {"none": 0.2, "own": 0.8, "other": 0.5}
        found = simulated_answers(plan(), TRUTH, ADVICE, skill=0.75, follows=follows, seed=seed)
        row = compare_conditions(found, TRUTH, ADVICE, n_boot=300).iloc[6]
        assert (row.measure, row.a, row.b) == ("over-reliance", "own", "none")
        held.append(row.low <= 0.45 <= row.high)
    assert 0.83 <= np.mean(held) <= 1


def test_sheets_go_round_and_hide_the_condition(tmp_path: Path) -> None:
    table = plan(READERS[:3])
    paths = write_sheets(table, tmp_path)
    assert "condition" not in paths[0].read_text(encoding="utf-8")
    with pytest.raises(SoftCAMError, match="may hold answers"):
        write_sheets(table, tmp_path)
    follows = dict.fromkeys(CONDITIONS, 0.5)
    made = simulated_answers(table, TRUTH, ADVICE, skill=0.7, follows=follows, seed=1)
    for path, (_, rows) in zip(paths, made.groupby("reader", sort=False), strict=True):
        kept = rows.drop(columns=["condition", "simulated"]).astype({"answer": object})
        kept.iloc[0, kept.columns.get_loc("answer")] = None
        kept = kept.astype({"confidence": object})
        kept.iloc[0, kept.columns.get_loc("confidence")] = None
        kept.to_csv(path, index=False, sep=";")
    read = read_sheets(table, paths)
    assert len(read) == len(table) - 3, "an empty line is no answer"
    both = read.merge(made, on=["reader", "case"])
    assert (both.answer_x == both.answer_y).all() and (both.condition_x == both.condition_y).all()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("r0,1,{case},2,3", "an answer 0 or 1"),
        ("r0,1,{case},yes,3", "an answer 0 or 1"),
        ("r0,1,{case},1,", "confidence from 1 to 5"),
        ("r0,1,{case},1,3\nr0,1,{case},1,3", "twice"),
        ("nobody,1,{case},1,3", "not of this plan"),
    ],
)
def test_a_wrong_sheet_is_named(tmp_path: Path, line: str, words: str) -> None:
    table = plan(READERS[:1])
    path = tmp_path / "sheet.csv"
    text = line.format(case=table.case.iloc[0])
    path.write_text(f"reader,position,case,answer,confidence\n{text}\n", encoding="utf-8")
    with pytest.raises(SoftCAMError, match=words):
        read_sheets(table, [path])


def test_what_cannot_be_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="each once"):
        study_plan(["a", "a"], WRONG, seed=0)
    with pytest.raises(SoftCAMError, match="three"):
        study_plan(["a"], [True, True, False, False, False], seed=0)
    with pytest.raises(SoftCAMError, match="no answer sheets"):
        read_sheets(plan(), [])
    with pytest.raises(SoftCAMError, match="cannot be read"):
        read_sheets(plan(), [tmp_path / "nothing.csv"])
    with pytest.raises(SoftCAMError, match="lacks the columns"):
        (tmp_path / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
        read_sheets(plan(), [tmp_path / "x.csv"])
    with pytest.raises(SoftCAMError, match="follows"):
        answers(none=0.5)


WRONG_FIGURE = "wrong-on-purpose"
NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "reader_study.ipynb"
FILLED = """
from softcam.reader_study import simulated_answers, write_sheets
follows = {{"none": 0.1, "own": 0.9, "other": 0.5}}
made = simulated_answers(plan, truth, advice, skill=0.8, follows=follows, seed=1)
for path, (_, rows) in zip(write_sheets(plan, {0!r}), made.groupby("reader"), strict=True):
    rows.drop(columns=["condition", "simulated"]).to_csv(path, index=False)
sheets = {0!r}
"""


def hand_out(book: nbformat.NotebookNode) -> int:
    """Switch the hand-out on, as a reader does; the number of its cell."""
    (place,) = [n for n, cell in enumerate(book.cells) if "hand_out = False" in cell.source]
    cell = book.cells[place]
    cell.source = cell.source.replace("hand_out = False", "hand_out = True")
    return place


@pytest.mark.notebook
def test_the_notebook_hands_out_sheets_and_never_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTCAM_OUT", str(tmp_path))
    monkeypatch.setenv(UNATTENDED, "1")
    book = nbformat.read(NOTEBOOK, as_version=4)
    place = hand_out(book)
    book.cells = book.cells[: place + 1]
    parameters = next(cell for cell in book.cells if "readers = 12" in cell.source)
    parameters.source = parameters.source.replace("readers = 12", "readers = 1")
    book.cells.append(nbformat.v4.new_code_cell(book.cells[place].source))
    with pytest.raises(CellExecutionError, match="may hold answers"):
        NotebookClient(book, timeout=300).execute()
    assert book.cells[place].outputs and not book.cells[place + 1].outputs[0].get("text")
    (sheet,) = (tmp_path / "reader-study").glob("*.csv")
    rows = pd.read_csv(sheet)
    assert len(rows) == 24 and rows.answer.isna().all(), "every case once, to be filled in"
    assert (tmp_path / "figures" / f"reader-study-{sheet.stem}.png").is_file()


@pytest.mark.notebook
@pytest.mark.parametrize("filled", [False, True])
def test_the_notebook_runs_with_sheets_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: bool
) -> None:
    """It has no number, so nbval does not run it. A second run may still say `hand_out = True`."""
    monkeypatch.setenv("SOFTCAM_OUT", str(tmp_path))
    monkeypatch.setenv("SOFTCAM_PROFILE", "quick")
    monkeypatch.setenv(UNATTENDED, "1")
    book = nbformat.read(NOTEBOOK, as_version=4)
    (place,) = [n for n, cell in enumerate(book.cells) if "plan = study_plan" in cell.source]
    if filled:
        code = FILLED.format(str(tmp_path / "reader-study"))  # where the hand-out writes its own
        hand_out(book)
        book.cells.insert(place + 1, nbformat.v4.new_code_cell(code))
    book.cells.append(nbformat.v4.new_code_cell("print(who, len(answers))"))
    NotebookClient(book, timeout=300).execute()
    said = [out for cell in book.cells for out in cell.get("outputs", [])]
    alts = [out.metadata["image/png"]["alt"] for out in said if "image/png" in out.get("data", {})]
    assert len(alts) == 4 and all(len(alt.split()) >= 10 for alt in alts)
    assert "intervals over readers" in alts[1]
    saved = sorted(path.stem for path in (tmp_path / "figures").glob("*.png"))
    assert saved == [f"reader-study-{n}" for n in ("differences", "mended", "pages", WRONG_FIGURE)]
    expected = "real readers" if filled else "SIMULATED readers"
    assert book.cells[-1].outputs[0]["text"].startswith(expected)


def test_the_notebook_asks_before_it_shows_and_has_a_figure_to_debug() -> None:
    sources = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
    for name in ("study-placebo", "study-own-or-other"):
        asked, compared = (
            [n for n, text in enumerate(sources) if f'{call}("{name}"' in text]
            for call in ("predict_first", "compare_prediction")
        )
        assert len(asked) == len(compared) == 1 and asked[0] + 1 < compared[0], name
        assert "mine=None)" in sources[asked[0]], "the reader chooses"
    wrong, mended = (
        next(n for n, text in enumerate(sources) if f'"reader-study-{name}"' in text)
        for name in (WRONG_FIGURE, "mended")
    )
    assert wrong < mended and 'caption = "Wrong on purpose' in sources[wrong]


def test_the_notebook_opens_anywhere() -> None:
    found = nbformat.read(NOTEBOOK, 4)
    expected = anywhere.opened_anywhere(found, NOTEBOOK.name, anywhere.address())
    assert found == expected, f"run `python tools/anywhere.py notebooks/{NOTEBOOK.name}`"
