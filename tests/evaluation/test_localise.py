"""Values on maps against a plain recomputation, one image at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from softcam.evaluation import evaluate
from softcam.evaluation import localise as module
from softcam.outside import write_maps
from tests.evaluation.known import CELL, NORMALIZE, QUICK, FakeRun, image_set, one, rows, same
from tests.metrics import oracle

PLAIN = {
    "pointing-accuracy": oracle.pointing,
    "activation-sensitivity": oracle.sensitivity,
    "relevance-rank-accuracy": oracle.rank_accuracy,
    "iou-best": oracle.best_iou,
    "pixel-auprc": oracle.auprc,
}


def uneven(n: int = 8, classes: int = 2, **more):
    """Cells of any brightness, and a rectangle of any place in all images but two."""
    draw = np.random.default_rng(5)
    images = np.kron(draw.integers(0, 256, (n, 4, 4)), np.ones((CELL, CELL))).astype(np.uint8)
    masks = np.zeros((n, 1, 32, 32), bool)
    for mask in masks[2:]:
        y, x = draw.integers(0, 24, 2)
        mask[0, y : y + 9, x : x + 7] = True
    return image_set(images, 1 + np.arange(n) % (classes - 1), masks, classes, **more)


def by_hand(data, c: int, other: int | None = None) -> np.ndarray:
    """(N, 4, 4): the evidence for a class, or how much it exceeds that of another."""
    cells = data.images.reshape(-1, 4, CELL, 4, CELL).mean((2, 4)) / 255 - NORMALIZE[0][0]
    maps = [(cells * 40 + 1.4) * k**2 for k in (c, other or 0)]
    return maps[0] if other is None else maps[0] - maps[1]


@pytest.mark.slow
def test_each_value_is_the_mean_of_the_plain_one() -> None:
    data = uneven()
    table, per_image = evaluate([FakeRun(data, "dense")], methods=["softcam"], **QUICK)
    maps = by_hand(data, 1)
    for name, function in PLAIN.items():
        for gauge in ("raw", "contrast"):  # the map of class 0 is 0 everywhere
            row = one(table, method="softcam", gauge=gauge, metric=name)
            values = [function(maps[i], data.finding(i)) for i in range(2, 8)]
            assert row["value"] == pytest.approx(np.mean(values), abs=1e-5), name
            assert (row["n"], row["n_excluded"]) == (6, 0)
            images = rows(per_image, method="softcam", gauge=gauge, metric=name)
            assert images["image_id"].tolist() == [f"i{k}" for k in range(2, 8)]
            assert images["value"].to_numpy() == pytest.approx(np.array(values), abs=1e-5)


def test_three_classes_in_three_gauges() -> None:
    data = uneven(classes=3)
    run = FakeRun(data, "dense", classes=3)
    table, per_image = evaluate([run], methods=["softcam"], metrics=["iou-best"], **QUICK)
    logits = run.model()(data.batch(range(8))).detach().numpy()
    every = [by_hand(data, c) for c in range(3)]
    for gauge in ("raw", "centred", "contrast"):
        values = []
        for i in range(2, 8):
            own = data.labels[i]
            rest = [c for c in np.argsort(-logits[i]) if c != own]
            zero = {"raw": 0, "centred": np.mean([e[i] for e in every], 0),
                    "contrast": every[rest[0]][i]}[gauge]  # fmt: skip
            values.append(oracle.best_iou(every[own][i] - zero, data.finding(i)))
        found = rows(per_image, method="softcam", gauge=gauge)["value"].to_numpy()
        assert found == pytest.approx(np.array(values), abs=1e-6), gauge
    assert set(rows(table, method="softcam")["target"]) == {"label"}


@pytest.mark.slow
def test_a_few_images_at_a_time_are_the_same_as_all(monkeypatch) -> None:
    run = FakeRun(uneven(), "dense")
    whole, _ = evaluate([run], limit=2, **QUICK)
    monkeypatch.setattr(module, "PIXELS", 3 * 32 * 32)
    parts, _ = evaluate([run], limit=2, **QUICK)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-12)


def test_yardsticks_stand_beside_runs_and_files(tmp_path) -> None:
    data = uneven()
    run = FakeRun(data, "dense")
    maps = run.converted().explain(data.batch(range(8)))
    file = tmp_path / "theirs.npz"
    write_maps(
        file, np.repeat(data.ids, 2), np.tile([0, 1], 8), maps.maps.flatten(0, 1).detach(),
        maps.logits.repeat_interleave(2, 0).detach(),
    )  # fmt: skip
    metrics = ["pointing-accuracy", "patch-precision"]
    own, _ = evaluate([run], metrics=metrics, **QUICK)
    theirs, _ = evaluate([], maps=[file], data=data, metrics=metrics, **QUICK)
    for method in ("chance", "reference-ceiling"):
        columns = ["metric", "step", "value", "ci_low", "ci_high", "n"]
        same(rows(own, method=method)[columns], rows(theirs, method=method)[columns])
    share = torch.tensor([data.finding(i).mean() for i in range(2, 8)]).mean()
    assert one(own, method="chance")["value"] == pytest.approx(float(share))


def test_the_ceiling_is_computed_once_for_all_runs(monkeypatch) -> None:
    data, calls = uneven(), []
    real = module.reference_ceiling
    monkeypatch.setattr(
        module, "reference_ceiling", lambda *a, **k: calls.append(1) or real(*a, **k)
    )
    runs = [FakeRun(data), FakeRun(data, "dense"), FakeRun(data, "sparse")]
    table, _ = evaluate(runs, metrics=["gini", "iou-best"], **QUICK)
    assert len(calls) == 2
    assert len(rows(table, method="reference-ceiling")) == 6
