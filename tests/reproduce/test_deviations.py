"""Deviations: each measurement against a case worked out by hand or by a plain loop."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from softcam.common import SoftCAMError, UnknownNameError
from softcam.metrics import MapBatch, Ratios
from softcam.reproduce.deviations import (
    BEGIN,
    COLUMNS,
    END,
    Effect,
    Measured,
    Trap,
    read_deviations,
    read_traps,
    refresh_deviations,
    write_deviations,
)
from softcam.reproduce.deviations.closed import CLOSED
from softcam.reproduce.deviations.material import Material, at_public_size
from softcam.reproduce.deviations.on_maps import (
    centres,
    gain_of_some,
    pooled_minus_mean,
    share,
    unsupported_cells,
)
from softcam.reproduce.deviations.on_networks import (
    BATCH,
    area,
    expected_along,
    noise_ratio,
    rise,
    score,
)
from softcam.reproduce.deviations.on_tables import difference, optimism, ratio, said
from softcam.reproduce.deviations.records import agreement
from softcam.reproduce.deviations.spread import absolute, over_rows, paired
from softcam.reproduce.deviations.writing import MEASURED, deviations_table

CHECKOUT = Path(__file__).parents[2]
TRAPS = CHECKOUT / "workflow" / "deviations.toml"
EFFECT = Effect("e", "q", "p", 0.0, 0.1, "r")
NOTHING = Material(Path("nowhere"), n_boot=200)


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


def test_closed_forms_are_those_worked_out_by_hand() -> None:
    wanted = {
        "l1-flat-spike": 1.0, "l2-flat-spike": 32 / 512, "root-nan": 1.0, "root-ours": 0.0,
        # Keys' kernel, a = -0.75. The cell 8 of 16 lies at 16.5 / 32 of the side; cells of the
        # 60-grid read it at distances d; the product of the best lobe (d > 1) and peak (d < 1).
        "ringing-lone": lone_cell(), "aliasing-read": 1 - (60 * 4 / 512) ** 2,
        "grid-first": 16.5 - 512 / 120, "grid-last": 59 * 8 + 16.5 - 59.5 * 512 / 60,
        "vgg-parameters": (512 - 25088) * 4096 / 1e6,
    }  # fmt: skip
    found = {k: v.value for f in CLOSED for k, v in f(NOTHING)}
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name
    assert found["densenet-kept"] < 1e-4 < 0.1 < found["densenet-lost"]


def lone_cell() -> float:
    def kernel(d: float) -> float:
        a = -0.75
        if d <= 1:
            return ((a + 2) * d - (a + 3)) * d * d + 1
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else 0.0

    at = [(r + 0.5) * 16 / 60 - 0.5 for r in range(60)]
    values = [kernel(abs(x - 8)) for x in at]
    return -262 * min(values) * max(values)


def test_pooling_and_choosing_images_by_hand() -> None:
    hits, taken = np.array([1.0, 3.0]), np.array([1.0, 9.0])
    assert pooled_minus_mean(hits, taken) == pytest.approx(0.4 - (1 + 1 / 3) / 2)
    assert gain_of_some(hits, taken, np.array([True, False])) == pytest.approx(1 - 0.4)
    assert share(np.array([1, 2]), np.array([4, 2])) == 0.5
    assert math.isnan(share(np.zeros(2), np.zeros(2)))


def test_the_centre_of_a_finding_is_one_of_its_pixels() -> None:
    findings = torch.zeros(3, 9, 9, dtype=torch.bool)
    findings[0, 2:5, 4:7] = True
    findings[1, 0, 0] = findings[1, 0, 7] = findings[1, 1, 7] = True  # middle: nowhere marked
    found = centres(findings)
    assert found[0].nonzero().tolist() == [[3, 5]]
    assert found[1].sum() == 1 and bool((found[1] & findings[1]).any())
    assert not found[2].any()


def test_unsupported_cells_against_a_slow_loop() -> None:
    maps = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 8, 8)) * 4)
    maps[0] = -6.0
    maps[0, 4, 4] = -60.0  # nothing positive anywhere, but for the ringing
    bright, invented = unsupported_cells(maps)
    from softcam.metrics.paper import cubic_resize

    for i, fine in enumerate(cubic_resize(maps, (60, 60))):
        count = lost = 0
        for r in range(60):
            for c in range(60):
                y, x = ((k + 0.5) * 8 / 60 - 0.5 for k in (r, c))
                ys, xs = ({min(max(f(v), 0), 7) for f in (math.floor, math.ceil)} for v in (y, x))
                held = any(maps[i, a, b] > 1 for a in ys for b in xs)
                count += fine[r, c] > 1
                lost += bool(fine[r, c] > 1) and not held
        assert (bright[i], invented[i]) == (count, lost)
    assert bright[0] == invented[0] >= 0


def test_gradient_noise_of_independent_images_is_the_batch_size() -> None:
    draw = np.random.default_rng(0)
    each = draw.normal(1.0, 1.0, size=(4000, BATCH, 3))  # batches, images, weights
    first, mean = each[:, 0], each.mean(1)
    assert noise_ratio(first, mean) == pytest.approx(1, rel=0.1)
    assert expected_along(first, mean) == pytest.approx(1, abs=0.05)
    assert expected_along(2 * mean, mean) == pytest.approx(2)
    assert noise_ratio(3 * mean, mean) == pytest.approx(9 / BATCH)


def test_areas_by_hand() -> None:
    values = np.array([[0.5, 1.0, 0.25], [1.0, 1.0, 1.0]])
    assert area(values) == pytest.approx([(1 + 2) / 4 + (2 + 0.5) / 4, 1])
    assert area(values, cut=True) == pytest.approx([(1 + 1) / 4 + (1 + 0.5) / 4, 1])


def test_the_game_is_a_ratio_of_totals() -> None:
    ill, none, half = np.array([0.5, 0.5]), np.zeros(2), np.array([0.5, 0.5])
    assert score(ill, none) == 1 and score(ill, half) == 0.25
    assert rise(ill, half, none) == 0.75
    assert math.isnan(score(none, none))


def test_arms_by_hand() -> None:
    a, b = np.array([1.0, 3.0]), np.array([1.0, 1.0])
    assert difference(a, b) == 1 and ratio(a, b) == 2
    assert math.isnan(ratio(a, np.zeros(2)))
    assert said(np.array([[0.1, 0.3], [2.0, 1.0]])).tolist() == [1, 0]
    assert said(np.array([[-0.1], [0.2]])).tolist() == [0, 1]


def test_choosing_by_test_looks_better_by_what_it_gains() -> None:
    common = {"dataset": "d", "task": "binary", "model": "m", "seed": 0}
    selection = pd.DataFrame([
        {**common, "arm": "sparse", "run_id": "a", "chosen": True},
        {**common, "arm": "sparse", "run_id": "b", "chosen": False},
        {**common, "arm": "ridge", "run_id": "c", "chosen": True},
        {**common, "arm": "ridge", "run_id": "d", "chosen": False},
    ])  # fmt: skip
    values = {"a": 0.8, "b": 0.9, "c": 0.7, "d": 0.6}
    results = pd.DataFrame(
        [{"run_id": k, "metric": "accuracy", "arm": "x", "value": v} for k, v in values.items()]
    )
    assert optimism(selection, results) == pytest.approx([0.1, 0.0])
    assert len(optimism(selection, results[results["run_id"] != "a"])) == 1


def test_intervals_hold_groups_together_and_sizes_begin_at_zero() -> None:
    rows = np.repeat(np.random.default_rng(0).normal(size=20), 5)
    images = np.repeat(np.arange(20), 5).astype(str)
    alone = over_rows(np.mean, (rows,), "d", NOTHING)
    together = over_rows(np.mean, (rows,), "d", NOTHING, groups=images)
    assert (alone.n, together.n) == (100, 20) and together.value == pytest.approx(rows.mean())
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    size = absolute(Measured(-0.2, -0.5, 0.1))
    assert (size.value, size.low, size.high) == (0.2, 0.0, 0.5)
    assert absolute(Measured(-0.2, -0.3, -0.1)).low == 0.1
    assert math.isnan(over_rows(np.mean, (np.zeros(0),), "d", NOTHING).value)


def test_a_paired_effect_reads_the_images_that_both_have() -> None:
    a = Ratios(np.array([[1.0], [1.0], [5.0]]), np.array([[2.0], [2.0], [5.0]]))
    b = Ratios(np.array([[0.0], [1.0], [0.0]]), np.array([[2.0], [2.0], [0.0]]))
    found = paired(a, b, 0, "d", NOTHING)
    assert found.value == pytest.approx(2 / 4 - 1 / 4) and found.n == 2


def test_findings_at_the_public_size_keep_their_place() -> None:
    findings = torch.zeros(1, 64, 128, dtype=torch.bool)
    findings[0, 8:16, 32:64] = True
    large = at_public_size(findings)[0]
    rows, columns = (each.unique() for each in torch.where(large))
    assert (rows.min(), rows.max()) == (64, 127) and (columns.min(), columns.max()) == (128, 255)
    assert MapBatch(torch.zeros(1, 2, 2), large[None]).size == (512, 512)


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
    page.write_text(f"before {BEGIN} stale {END} after", encoding="utf-8")
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
    page.write_text(f"{END} {BEGIN}", encoding="utf-8")
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
    from softcam.evaluate import evaluate_to
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
