"""What is refused, before anything is computed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.data.records import Splits
from softcam.evaluation import evaluate
from tests.evaluation.known import QUICK, FakeRun, bright_square, rows, same


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"methods": ["grad_cam"]}, "'grad-cam'"),
        ({"methods": "grad_cam"}, "'grad-cam'"),
        ({"metrics": ["pointing"]}, "'pointing-accuracy'"),
        ({"protocol": "papers"}, "'paper'"),
        ({"fills": ["blurr"]}, "'blur'"),
        ({"fills": [(0.1, 0.2)]}, "colour"),
        ({"occlude": "fake-black-box-s1"}, "'fake-black-box-s0'"),
        ({"only": "right"}, "Known: all, correct"),
    ],
)
def test_unknown_names_are_an_error_with_the_closest(wrong: dict, said: str) -> None:
    with pytest.raises(SoftCAMError, match=said):
        evaluate([FakeRun(bright_square())], **QUICK, **wrong)


@pytest.mark.parametrize("option", ["methods", "metrics", "fills", "occlude"])
def test_naming_nothing_is_no_way_to_say_all(option: str) -> None:
    with pytest.raises(SoftCAMError, match="at least one"):
        evaluate([FakeRun(bright_square())], **QUICK, **{option: []})


@pytest.mark.parametrize("option", ["limit", "linear_limit", "n_boot"])
def test_limits_that_make_no_sense(option: str) -> None:
    value = -1 if option == "n_boot" else 0
    with pytest.raises(SoftCAMError, match=f"{option} is {value}"):
        evaluate([FakeRun(bright_square())], **{**QUICK, option: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1}, {"seed": None}, {"seed": 0.5}, {"limit": 1.5}, {"limit": "8"},
        {"limit": True}, {"n_boot": 1.5}, {"n_boot": None}, {"linear_limit": None},
    ],
)  # fmt: skip
def test_numbers_that_are_no_whole_ones(wrong: dict) -> None:
    ((name, value),) = wrong.items()
    said = re.escape(f"{name} is {value!r}: expected a whole number")
    with pytest.raises(SoftCAMError, match=said):
        evaluate([FakeRun(bright_square())], **{**QUICK, **wrong})


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"runs": None}, "runs is None: expected a list of runs"),
        ({"runs": [1]}, "runs holds 1: expected a run"),
        ({"fills": None}, "fills is None: expected a list of names"),
        ({"fills": 3}, "fills is 3"),
        ({"fills": [None]}, "a fill is None: expected one of mean-colour, blur, linear"),
        ({"fills": [["a", "b", "c"]]}, "a fill is"),
        ({"methods": 3}, "the choice of a method is 3: expected a list of names"),
        ({"methods": [None]}, "unknown method None"),
        ({"metrics": [["auc"]]}, "unknown metric"),
        ({"occlude": 3}, "the choice of a run to occlude is 3"),
        ({"maps": 3}, "maps is 3: expected a list of paths"),
        ({"maps": [None]}, "maps holds None: expected the path of a file"),
        ({"data": "phantoms:cxr"}, r"expected one split .*open_data\('phantoms:cxr', size=...\)"),
        ({"data": 3}, "data is 3, expected one split"),
    ],
)
def test_options_of_a_wrong_kind(wrong: dict, said: str) -> None:
    with pytest.raises(SoftCAMError, match=said):
        evaluate(**{"runs": [FakeRun(bright_square())], **QUICK, **wrong})


def test_all_splits_at_once_are_refused_with_the_way_to_one() -> None:
    data = Splits(*(bright_square(split=split) for split in ("train", "val", "test")))
    with pytest.raises(SoftCAMError, match=r"all the splits of fake.*open_data\(...\)\[\"test"):
        evaluate([], maps=["theirs.npz"], data=data, **QUICK)


def test_one_thing_is_as_good_as_a_list_of_it(tmp_path) -> None:
    run = FakeRun(bright_square(6), "dense")
    options = {"metrics": "auc", "methods": "softcam", **QUICK}
    same(evaluate(run, **options)[0], evaluate([run], **options)[0])
    for path in ("theirs.npz", tmp_path / "theirs.npz"):
        with pytest.raises(SoftCAMError, match=r"theirs\.npz cannot be read"):
            evaluate(run, maps=path, **options)
    with pytest.raises(UnknownNameError, match="unknown run"):
        evaluate("runs/nowhere/at-all")
    same(*(evaluate(run, limit=n, seed=n, **options)[0] for n in (np.int64(2), 2)))


def test_no_run_and_no_such_run() -> None:
    with pytest.raises(SoftCAMError, match="nothing to evaluate"):
        evaluate([])
    with pytest.raises(UnknownNameError, match="unknown run"):
        evaluate(["runs/nowhere/at-all"])


def test_what_is_named_twice_counts_once(tmp_path) -> None:
    data = bright_square(6)
    run = FakeRun(data)
    options = {"metrics": ["audc"], "methods": ["grad-cam"], **QUICK}
    table, _ = evaluate([run], fills=["mean-colour", (0, 0, 0)], **options)
    twice = {"metrics": ["audc"] * 2, "methods": ["grad-cam"] * 2}
    again, _ = evaluate(
        [run, run], fills=["mean-colour", (0, 0, 0), "mean-colour", [0.0] * 3],
        **{**options, **twice},
    )  # fmt: skip
    same(table, again)
    assert set(table["fill"]) >= {"mean-colour", "0/0/0"}
    with pytest.raises(SoftCAMError, match="two runs are called"):
        evaluate([run, FakeRun(data)], **QUICK)


def test_no_mean_colour_is_an_error_before_the_pass() -> None:
    run = FakeRun(bright_square(), normalize=None)
    with pytest.raises(SoftCAMError, match="fill"):
        evaluate([run], **QUICK)
    table, _ = evaluate([run], methods=["random"], fills=[np.zeros(3)], **QUICK)
    assert "0/0/0" in set(table["fill"])
    table, _ = evaluate([run], metrics=["average-drop"], **QUICK)
    assert rows(table, metric="average-drop")["value"].notna().all()


def test_the_papers_protocol_at_another_size_is_an_error_before_anything_is_computed() -> None:
    run = FakeRun(bright_square())
    run.model = None  # type: ignore[assignment, method-assign]
    for protocol in ("paper", "both"):
        with pytest.raises(SoftCAMError, match="512 or 496 px, found 32x32"):
            evaluate([run], protocol=protocol, **QUICK)
