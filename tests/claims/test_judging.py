"""Verdicts: an intersection over rivals, each alternative, and what cannot be tested here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from softcam.claims import Claim, Endpoint, Side, judge
from tests.results_tables import Tables

N = 60
QUICK = {"n_boot": 300, "n_draws": 1000}
# What side a has more than each rival's, and how much that differs between images.
RIVALS = {"grad-cam": (0.3, 0.1), "layer-cam": (-0.3, 0.1), "hires-cam": (0.0, 0.01),
          "score-cam": (0.05, 0.5), "cam": (0.2, 0.1)}  # fmt: skip


def tables(n: int = N, dataset: str = "phantoms-cxr") -> tuple[pd.DataFrame, pd.DataFrame]:
    found = Tables()
    plain = {"metric": "pixel-auprc", "target": "class:1", "gauge": "contrast", "task": "binary"}
    for seed in range(2):
        draw = np.random.default_rng(seed)
        base = draw.random(n)
        own = {**plain, "dataset": dataset, "seed": seed}
        found.add(base, **own, run_id=f"sparse-{seed}", arm="sparse", method="softcam")
        for name, (lead, spread) in RIVALS.items():
            values = base - lead - spread * draw.normal(size=n)
            found.add(values, **own, run_id=f"box-{seed}", arm="black-box", method=name)
    return found.table(), found.per_image()


def ask(alternative: str, *rivals: str, datasets=("phantoms-cxr",), n: int = N, **more):
    claim = Claim(
        "c", "h", "-", datasets, Endpoint("pixel-auprc"), Side("sparse", ("softcam",)),
        (Side("black-box", rivals),), 0.05, alternative, **more,
    )  # fmt: skip
    return judge(claim, *tables(n), **QUICK)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alternative", "rivals", "expected"),
    [
        ("better", ("grad-cam",), "holds"),
        ("better", ("grad-cam", "cam"), "holds"),
        ("better", ("grad-cam", "layer-cam"), "does not hold"),  # worse than one
        ("better", ("grad-cam", "hires-cam"), "does not hold"),  # no advantage over one
        ("better", ("grad-cam", "score-cam"), "undecided"),
        ("better", ("score-cam", "layer-cam"), "does not hold"),
        ("better", ("grad-cam", "rise"), "not testable here"),  # one of two was not measured
        ("better", ("layer-cam", "rise"), "does not hold"),  # and need not be
        ("not worse", ("grad-cam", "hires-cam"), "holds"),
        ("not worse", ("layer-cam",), "does not hold"),
        ("not worse", ("score-cam",), "undecided"),
        ("equal", ("hires-cam",), "holds"),
        ("equal", ("hires-cam", "grad-cam"), "does not hold"),
        ("equal", ("score-cam",), "undecided"),
    ],
)
def test_each_verdict_where_it_belongs(alternative, rivals, expected) -> None:
    (found,) = ask(alternative, *rivals)
    assert found.verdict == expected, found.reason


def test_post_hoc_means_every_method_that_was_measured() -> None:
    (found,) = ask("better", "post-hoc")
    assert len(found.answers) == len(RIVALS) and found.verdict == "does not hold"
    assert found.deciding is not None and found.deciding.rival == "layer-cam"


def test_effect_interval_and_power_are_those_of_the_deciding_rival() -> None:
    (sure,), (open_,) = ask("better", "grad-cam", "cam"), ask("better", "score-cam")
    assert sure.deciding is not None and sure.deciding.rival == "cam"
    assert sure.deciding.difference == pytest.approx(0.2, abs=0.05)
    assert sure.power > 0.95 and open_.power < 0.3
    assert open_.detectable > 0.05 > sure.detectable
    expected = 0.5 / np.sqrt(2 * N)
    assert open_.deciding is not None and open_.deciding.error == pytest.approx(expected, rel=0.3)


def test_from_a_handful_of_images_nothing_follows() -> None:
    (found,) = ask("better", "grad-cam", n=9)
    assert found.verdict == "undecided" and "fewer than 20 images" in found.reason
    assert found.power == 0 and np.isnan(found.detectable)
    (enough,) = ask("better", "grad-cam", n=10)  # in each of two seeds
    assert enough.power > 0.5


def test_a_claim_about_one_network_says_why_it_cannot_be_tested() -> None:
    found = Tables()
    plain = {"metric": "audc", "fill": "mean-colour", "target": "class:1", "gauge": "contrast",
             "dataset": "phantoms-cxr", "task": "binary", "seed": 0}  # fmt: skip
    values = np.random.default_rng(0).random(N)
    for run, arm, method in (("s", "sparse", "softcam"), ("b", "black-box", "grad-cam")):
        found.add(values, **plain, run_id=run, occluded_run=run, arm=arm, method=method)
    claim = Claim(
        "c", "h", "-", ("*",), Endpoint("audc", fill="mean-colour", occluded="black-box"),
        Side("sparse", ("softcam",)), (Side("black-box", ("grad-cam",)),), 0.05, "equal",
    )  # fmt: skip
    (said,) = judge(claim, found.table(), found.per_image(), **QUICK)
    assert said.verdict == "not testable here" and "`occlude: all`" in said.reason


def test_data_that_are_not_there_and_substitutes_are_named_so() -> None:
    found = ask("better", "grad-cam", datasets=("rsna", "phantoms-*", "folder-*"))
    said = {each.dataset: (each.verdict, each.stands_for) for each in found}
    assert said == {
        "rsna": ("not testable here", "paper"),
        "folder-*": ("not testable here", "folder"),
        "phantoms-cxr": ("holds", "replication on substitutes"),
    }


def test_a_missing_side_a_and_another_task_are_not_testable() -> None:
    claim = Claim(
        "c", "h", "-", ("*",), Endpoint("pixel-auprc"), Side("hoyer", ("softcam",)),
        (Side("black-box", ("grad-cam",)),), 0.05,
    )  # fmt: skip
    (found,) = judge(claim, *tables(), **QUICK)
    assert found.verdict == "not testable here" and "hoyer" in found.reason
    (other,) = ask("better", "grad-cam", task="multi-class")
    assert other.verdict == "not testable here"


@pytest.mark.parametrize(
    ("kind", "dataset", "value", "expected"),
    [
        ("paper", "rsna", 0.5, "holds"),
        ("paper", "rsna", 0.9, "does not hold"),
        ("reading-note", "rsna", 0.5, "not testable here"),
        ("paper", "phantoms-cxr", 0.5, "not testable here"),
    ],
)
def test_only_numbers_read_in_the_paper_decide_and_only_on_its_data(
    kind, dataset, value, expected
) -> None:
    claim = Claim(
        "c", "h", "-", ("*",), Endpoint("pixel-auprc"), Side("sparse", ("softcam",)),
        (Side(number="it"),), 0.2, "equal",
    )  # fmt: skip
    (found,) = judge(claim, *tables(dataset=dataset), numbers={"it": (value, kind)}, **QUICK)
    assert found.verdict == expected, found.reason
