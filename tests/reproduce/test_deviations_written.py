"""Deviations: reading the predictions, the verdict on each, and what is written."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from softcam.blocks import marks
from softcam.common import SoftCAMError, UnknownNameError
from softcam.reproduce.deviations import (
    BLOCK,
    COLUMNS,
    Effect,
    Measured,
    Trap,
    read_deviations,
    read_traps,
    refresh_deviations,
    write_deviations,
)
from softcam.reproduce.deviations.records import agreement
from softcam.reproduce.deviations.writing import MEASURED, deviations_table

CHECKOUT = Path(__file__).parents[2]
TRAPS = CHECKOUT / "workflow" / "deviations.toml"
EFFECT = Effect("e", "q", "p", 0.0, 0.1, "r")


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.05, 0.01, 0.09, "yes"), (0.1, math.nan, math.nan, "yes"),
        (0.05, -0.01, 0.09, "undecided"), (0.2, 0.05, 0.3, "undecided"),
        (0.2, 0.11, 0.3, "no"), (-0.1, math.nan, math.nan, "no"),
        (math.nan, math.nan, math.nan, "not measured here"),
    ],
)  # fmt: skip
def test_a_prediction_can_be_wrong(value: float, low: float, high: float, expected: str) -> None:
    assert agreement(EFFECT, Measured(value, low, high)) == expected


def test_every_prediction_of_the_project_is_measured_and_can_be_missed() -> None:
    traps = read_traps(TRAPS)
    effects = [effect for trap in traps for effect in trap.effects]
    assert sorted(effect.id for effect in effects) == sorted(MEASURED)
    assert all(effect.least <= effect.most for effect in effects)
    assert len({trap.id for trap in traps}) == len(traps) > 25


def test_the_table_keeps_what_was_wrong_and_what_was_not_measured() -> None:
    other = replace(EFFECT, id="f")
    day = datetime.date(2026, 1, 1)
    traps = [
        Trap("t", "loss", "a|b", "c", "o", (EFFECT, other), "", day),
        Trap("u", "data", "a", "b", "c", (), "needs data", day),
    ]
    found = {"e": [Measured(0.05), Measured(0.5, 0.4, 0.6, 7, "images", "d")]}
    table = deviations_table(traps, found)
    assert list(table.columns) == list(COLUMNS)
    assert table["id"].tolist() == ["e", "e", "f", "u"]
    assert table["agrees"].tolist() == ["yes", "no", "not measured here", "not measured here"]
    assert table["data"].tolist()[3] == "needs data"


def test_a_page_is_refreshed_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = marks(BLOCK)
    page.write_text(f"before {begin} stale {end} after", encoding="utf-8")
    traps = read_traps(TRAPS)
    table = deviations_table(traps, {"wrap-patches": [Measured(0.5, 0.4, 0.6, 7, "images", "d")]})
    csv = tmp_path / "deviations.csv"
    table.to_csv(csv, index=False, na_rep="-")
    refresh_deviations(page, csv, TRAPS)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before ") and text.endswith(" after") and " stale " not in text
    assert "| 0.5 [0.4, 0.6] | d, 7 images | **no** |" in text
    pd.testing.assert_frame_equal(
        read_deviations(tmp_path)[["id", "measured", "agrees"]],
        table[["id", "measured", "agrees"]],
    )
    page.write_text(f"{end} {begin}", encoding="utf-8")
    with pytest.raises(SoftCAMError, match="markers"):
        refresh_deviations(page, csv, TRAPS)


def test_the_readers_page_has_every_trap() -> None:
    text = (CHECKOUT / "docs" / "deviations.md").read_text(encoding="utf-8")
    for trap in read_traps(TRAPS):
        for said_there in (trap.paper, trap.code, trap.ours, *(e.quantity for e in trap.effects)):
            assert said_there.replace("|", "\\|") in text or said_there in text, trap.id


GOOD = """
committed = 2026-01-01
[[trap]]
id = "a"
topic = "loss"
paper = "p"
code = "c"
ours = "o"
[[trap.effect]]
id = "l2-printed"
quantity = "q"
predicted = "more"
least = 0
most = inf
reason = "r"
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("committed = 2026-01-01", ""), "committed"), (("least = 0", "least = 'x'"), "least"),
        (("most = inf", "most = -1"), "nothing can lie"), (("least = 0", "least = -inf"), "missed"),
        (('reason = "r"', ""), "reason"), (("[[trap.effect]]", "[[trap.other]]"), "other"),
        (('id = "l2-printed"', 'id = "a"'), "twice"), (("= 2026", "= = 2026"), "TOML"),
        (('ours = "o"', 'ours = "o"\nnot_measured = "x"'), "either"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    file = tmp_path / "d.toml"
    file.write_text(GOOD, encoding="utf-8")
    assert read_traps(file)[0].effects[0].most == math.inf
    file.write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises((SoftCAMError, UnknownNameError), match=message):
        read_traps(file)


def test_what_cannot_be_measured_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "d.toml"
    file.write_text(GOOD.replace("l2-printed", "l3-printed"), encoding="utf-8")
    with pytest.raises(SoftCAMError, match="nothing measures l3-printed"):
        write_deviations(tmp_path, file=file)
    with pytest.raises(SoftCAMError, match="results.csv"):
        write_deviations(tmp_path, file=TRAPS)


@pytest.mark.slow
def test_a_small_reproduction_from_end_to_end(project: Path) -> None:
    from softcam.evaluation import evaluate_to
    from softcam.profiles import load_profile
    from softcam.training import train

    size = load_profile("quick")
    small = {"n_train": 16, "n_val": 16, "n_test": 24}
    runs = [
        train(
            size.config(arm, data_options=small, model="resnet10t-w8-os8", size=32, epochs=1,
                        batch_size=8), progress=False,
        )
        for arm in ("black-box", "dense", "sparse", "logit-control")
    ]  # fmt: skip
    folder = project / "runs" / "reproduce" / "small"
    evaluate_to(folder, runs, methods=["softcam", "grad-cam"], limit=2, n_boot=10, progress=False,
                metrics=["accuracy", "gini", "pixel-auprc"])  # fmt: skip
    before = torch.random.get_rng_state()
    write_deviations(folder, file=TRAPS, limit=8, occluded=2, batches=3, n_boot=20, progress=False)
    assert torch.equal(before, torch.random.get_rng_state()), "nobody else's draws are moved"
    table = read_deviations(folder)
    assert set(table["id"]) == {
        name for t in read_traps(TRAPS) for name in ([e.id for e in t.effects] or [t.id])
    }
    agrees = table.drop_duplicates("id").set_index("id")["agrees"]
    for identity in ("dense-start", "cam-is-map", "gauge-probability", "gauge-contrast",
                     "fill-zero", "root-ours"):  # fmt: skip
        assert agrees[identity] == "yes", identity
    measured = table[table["agrees"] != "not measured here"].set_index("id")
    assert {"l1-control-gini", "dense-trained", "first-noise", "epoch-loss"} <= set(measured.index)
    assert (measured["n"][measured["unit"] == "images"] > 0).all()
    assert (measured["ci_low"] <= measured["ci_high"] + 1e-12)[measured["ci_low"].notna()].all()
    first = (folder / "deviations.csv").read_bytes()
    write_deviations(folder, file=TRAPS, limit=8, occluded=2, batches=3, n_boot=20, progress=False)
    assert (folder / "deviations.csv").read_bytes() == first
