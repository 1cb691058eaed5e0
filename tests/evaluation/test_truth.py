"""Twins and sanity in the table, against the functions they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from softcam.data import open_data
from softcam.evaluation import evaluate
from softcam.metrics import evidence_on, get_measure, registry
from softcam.metrics.causal import twin_r2
from softcam.runs import TrainConfig
from softcam.sanity import cascade, label_randomisation
from softcam.twins import twin_effects
from tests.evaluation.known import QUICK, FakeRun, bright_square, one, rows

TWINS = ["twin-slope", "twin-slope-error", "twin-concordance", "twin-r2", "twin-rank"]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTCAM_ROOT", str(tmp_path_factory.mktemp("project")))
        options = {"n_train": 4, "n_val": 4, "n_test": 16}
        yield open_data("phantoms:cxr", 32, progress=False, **options)["test"]


def test_evidence_on_each_part_against_its_true_worth(phantoms) -> None:
    run = FakeRun(phantoms, "dense")
    table, _ = evaluate([run], methods=["softcam"], metrics=TWINS, **QUICK)
    model = run.model()
    located = phantoms.with_findings()
    effects = twin_effects(model, phantoms, located)
    maps = model.explain(phantoms.batch(located)).maps.detach()
    place = np.searchsorted(located, effects.image)
    for gauge, own in (("raw", maps[:, 1]), ("contrast", maps[:, 1] - maps[:, 0])):
        effect = effects.change[:, 1] - (effects.change[:, 0] if gauge == "contrast" else 0)
        for margin in (0, 1):
            evidence = evidence_on(own, place, effects.masks, margin=8 * margin)
            for part in set(effects.part):
                kept = np.array(effects.part) == part
                for name in TWINS:
                    row = one(table, metric=name, finding=part, gauge=gauge, step=str(margin))
                    value = get_measure(name)(evidence[kept], effect[kept])
                    assert row["value"] == pytest.approx(value, nan_ok=True, abs=1e-5)
                    assert (row["n"], row["n_excluded"]) == (kept.sum(), 0)
    # What the network adds up is what the map says: the slope is 1 wherever a part is bright.
    assert set(table["finding"]) >= set(effects.part)


def test_a_measure_of_ones_own_needs_no_weights(phantoms, monkeypatch) -> None:
    monkeypatch.setattr(registry, "_MEASURES", dict(registry._MEASURES))

    @registry.measure(name="own", title="own", direction="higher", source="-", kind="twin")
    def own(evidence: np.ndarray, effect: np.ndarray) -> float:
        return twin_r2(evidence, effect)

    run, metrics = FakeRun(phantoms, "dense"), ["twin-r2", "own"]
    table, _ = evaluate([run], methods=["softcam"], metrics=metrics, **QUICK)
    columns = ["finding", "gauge", "step", "value", "ci_low", "ci_high", "ci_kind"]
    ours, mine = (rows(table, metric=name)[columns].to_dict("list") for name in metrics)
    assert np.isfinite(ours["ci_low"]).any()
    for column in columns[:3] + columns[6:]:
        assert mine[column] == ours[column]
    for column in columns[3:6]:
        np.testing.assert_allclose(mine[column], ours[column], rtol=0, atol=1e-12)


def test_a_part_that_others_back_up_has_a_row_without_them(phantoms) -> None:
    table, _ = evaluate([FakeRun(phantoms, "dense")], methods=["softcam"], metrics=TWINS, **QUICK)
    effects = twin_effects(FakeRun(phantoms).model(), phantoms, phantoms.with_findings())
    for part in set(effects.part):
        kept = np.array(effects.part) == part
        alone = rows(table, finding=f"{part}, the only one")
        assert len(alone) > 0 if (effects.n_alike[kept] > 1).any() else len(alone) == 0
        if len(alone):
            assert set(alone["n"]) == {(kept & (effects.n_alike == 1)).sum()}


def test_images_that_are_no_phantoms_have_no_twins(caplog) -> None:
    run = FakeRun(bright_square(), "dense")
    table, _ = evaluate([run], methods=["softcam"], metrics=["twin-r2"], **QUICK)
    assert len(table) == 0 and "only phantoms" in caplog.text


def test_maps_of_a_network_drawn_anew(monkeypatch) -> None:
    from softcam.evaluation import truth as module

    monkeypatch.setattr(module, "PIECE", 4)  # two pieces
    data = bright_square(14)
    run = FakeRun(data, "dense")
    options = {"metrics": ["cascade-correlation"], "seed": 5, **QUICK}
    table, _ = evaluate([run], methods=["softcam", "edge"], **options)
    sick = np.flatnonzero(data.labels)
    ones = torch.ones(len(sick)).long()
    found = cascade(run.model(), data.batch(sick), ones, ["softcam", "edge"], seed=5, draws=3)
    for (method, gauge), ratios in found.ratios.items():
        for step, value in enumerate(ratios.value):
            row = one(table, method=method, gauge=gauge, step=str(step))
            assert row["value"] == pytest.approx(value, nan_ok=True, abs=1e-6)
            assert row["n"] == ratios.n[step]
    assert (rows(table, method="edge")["value"] == 1).all(), "a control does not notice"


def test_a_network_trained_on_shuffled_labels() -> None:
    data = bright_square(8)
    config = TrainConfig(data="phantoms:cxr", size=32, model="resnet10t-w8-os8", arm="dense")
    shuffled = replace(config, data_options={"shuffle_labels": True})
    plain = FakeRun(data, "sparse", name="plain")
    other = FakeRun(data, "sparse", name="other", gain=torch.rand(4, 4))
    plain.config, other.config = config, shuffled
    options = {"methods": ["softcam"], "metrics": ["label-correlation"], **QUICK}
    table, _ = evaluate([plain, other], **options)
    sick = np.flatnonzero(data.labels)
    both = label_randomisation(
        plain.model(), other.model(), data.batch(sick), torch.ones(4).long(), ["softcam"]
    )
    for gauge in ("raw", "contrast"):
        row = one(table, run_id="plain", gauge=gauge)
        assert row["value"] == pytest.approx(float(both["softcam", gauge].value[0]), abs=1e-6)
        assert row["n"] == 4
    assert len(evaluate([plain], **options)[0]) == 0
