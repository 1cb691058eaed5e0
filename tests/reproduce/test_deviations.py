"""Deviations: each measurement against a case worked out by hand or by a plain loop."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from softcam.metrics import MapBatch, Ratios
from softcam.reproduce.deviations import Measured
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
from softcam.reproduce.deviations.spread import absolute, over_rows, paired

NOTHING = Material(Path("nowhere"), n_boot=200)


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
