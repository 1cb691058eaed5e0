"""Answers: each one where it belongs, Holm over the rivals, the worst news first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from softcam.claims import answers, answers_in_words, study_claim
from softcam.common import SoftCAMError
from softcam.metrics import holm
from softcam.significance import significance
from tests.results_tables import Tables

N = 60
QUICK = {"n_boot": 300, "n_draws": 2000}
ENDPOINT = {"metric": "pixel-auprc", "target": "class:1", "gauge": "contrast"}
# What SoftCAM's map has more than each rival's, and how much that differs between images.
RIVALS = {
    "grad-cam": (0.3, 0.1),
    "layer-cam": (-0.3, 0.1),
    "hires-cam": (0.0, 0.01),
    "score-cam": (0.05, 0.5),
}


def study(direction: str = "higher", seeds: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables = Tables()
    sign = 1 if direction == "higher" else -1
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        base = draw.random(N)
        own = {"run_id": f"sparse-{seed}", "arm": "sparse", "seed": seed, "direction": direction}
        box = {**own, "run_id": f"black-box-{seed}", "arm": "black-box"}
        tables.add(base, **own, **ENDPOINT, method="softcam")
        tables.add(base, **own, **ENDPOINT, method="grad-cam")  # on its own network: no claim
        for name, (lead, spread) in RIVALS.items():
            tables.add(
                base - sign * (lead + spread * draw.normal(size=N)), **box, **ENDPOINT, method=name
            )
        tables.add(base - 1, **box, **ENDPOINT, method="random")
        tables.add(base - 1, **box, **ENDPOINT, method="broad-cam")  # experimental
    return tables.table(), tables.per_image()


def ask(direction: str = "higher", **more):
    return answers(study_claim("pixel-auprc", 0.05, **more), *study(direction), **QUICK)


def test_each_answer_where_it_belongs() -> None:
    found = ask()
    assert {each.rival: each.answer for each in found} == {
        "grad-cam": "better", "layer-cam": "worse", "hires-cam": "draw", "score-cam": "open",
    }  # fmt: skip
    assert [each.answer for each in found] == ["worse", "draw", "open", "better"]
    for each in found:
        assert each.n == 2 * N and each.low < each.difference < each.high


@pytest.mark.slow
def test_the_numbers_are_those_of_the_paired_table_with_holm_over_the_rivals() -> None:
    table, images = study()
    found = {each.rival: each for each in ask()}
    raw = {}
    for name in RIVALS:
        rows = significance(
            table, images, reference={"arm": "black-box", "method": name},
            metrics=["pixel-auprc"], seeds="pooled", **QUICK,
        )  # fmt: skip
        own = rows[(rows["arm"] == "sparse") & (rows["method"] == "softcam")].iloc[0]
        assert found[name].difference == pytest.approx(own["difference"])
        raw[name] = own["p"]
    expected = dict(zip(raw, holm(np.array(list(raw.values()))), strict=True))
    assert {name: found[name].p for name in raw} == pytest.approx(expected)


def test_lower_is_better_turns_the_sign() -> None:
    answers = {each.rival: each.answer for each in ask("lower")}
    assert answers["grad-cam"] == "better" and answers["layer-cam"] == "worse"


def test_the_words_say_the_worst_first() -> None:
    words = answers_in_words(ask(), 0.05)
    assert len(words) == 4
    assert "worse than layer-cam (-0.3" in words[0] and "120 images" in words[0]
    assert "differs by less than 0.05" in words[1] and "better than grad-cam" in words[3]


def test_what_cannot_be_claimed_is_refused() -> None:
    table, images = study()
    with pytest.raises(SoftCAMError, match="smallest effect"):
        study_claim("pixel-auprc", 0)
    with pytest.raises(SoftCAMError, match="arm 'ridge'"):
        answers(study_claim("pixel-auprc", 0.1, arm="ridge"), table, images)
    two = pd.concat([table, table.assign(target="class:0")]).assign(task="multi-label")
    with pytest.raises(SoftCAMError, match="one for each of the findings class:0, class:1"):
        answers(study_claim("pixel-auprc", 0.1), two, images)
    other = table.assign(model=np.where(table["seed"].astype(str) == "1", "bagnet33t", "resnet10t"))
    with pytest.raises(SoftCAMError, match="name `model`"):
        answers(study_claim("pixel-auprc", 0.1), other, images)
