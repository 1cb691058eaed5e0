"""What is refused, before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.evaluate import evaluate
from tests.evaluate.known import QUICK, FakeRun, bright_square, rows, same


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
    with pytest.raises(SoftCAMError, match=f"{option}={value}"):
        evaluate([FakeRun(bright_square())], **{**QUICK, option: value})


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
