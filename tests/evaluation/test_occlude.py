"""The crossed table against a plain recomputation: whose map, on whose network, under what fill."""

from __future__ import annotations

import logging
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from softcam.evaluation import evaluate
from softcam.evaluation.question import findings_of, some_of
from softcam.explainers import class_maps, explain_with
from softcam.metrics import true_mask_map
from tests.evaluation.known import NORMALIZE, QUICK, FakeRun, one, rows
from tests.evaluation.test_localise import uneven
from tests.metrics import oracle_occlusion as oracle

SICK = np.arange(8)
FILLS = ("mean-colour", "blur")


def data_and_runs():
    """A black box, and a SoftCAM that looks at the lower right more than at the upper left."""
    data = uneven()
    gain = torch.linspace(-0.5, 2.2, 16).reshape(4, 4)
    return data, FakeRun(data), FakeRun(data, "sparse", gain=gain)


@pytest.fixture(scope="module")
def crossed() -> tuple[pd.DataFrame, dict]:
    data, a, b = data_and_runs()
    table, per_image = evaluate(
        [a, b], occlude="all", fills=FILLS, methods=["grad-cam", "softcam", "random", "edge"],
        metrics=["audc", "audc-probability", "auic-probability", "deletion-probability",
                 "average-drop"],
        **QUICK,
    )  # fmt: skip
    return table, plain(data, a, b)


def contrast(run: FakeRun, method: str, images: torch.Tensor) -> np.ndarray:
    model = run.converted() if method == "softcam" else run.model()
    _, maps = class_maps(method, model, images)
    return (maps[:, 1] - maps[:, 0]).detach().double().numpy()


def plain(data, a: FakeRun, b: FakeRun) -> dict:
    """(occluded run, whose map, fill, question) to relative probabilities (image, point), by hand.

    NaN where the model does not predict class 1 with nothing hidden.
    """
    images = data.batch(SICK)
    ones = torch.ones(8).long()
    maps = {
        (a.id, "black-box", "grad-cam"): contrast(a, "grad-cam", images),
        (a.id, "converted", "softcam"): contrast(a, "softcam", images),
        (b.id, "sparse", "softcam"): contrast(b, "softcam", images),
        (b.id, "sparse", "random"): explain_with("random", b.model(), images, ones).numpy(),
        (b.id, "sparse", "true-mask"): true_mask_map(findings_of(data, SICK)).numpy(),
    }
    found = {}
    for run in (a, b):
        for source, each in maps.items():
            for fill in FILLS:
                for question in ("deletion", "insertion"):
                    curves = [
                        curve(run, images[i].double().numpy(), each[i], fill, question)
                        for i in SICK
                    ]
                    found[run.id, source, fill, question] = np.array(curves)
    return found


def curve(run: FakeRun, image: np.ndarray, cells: np.ndarray, fill: str, question: str):
    points = 30 if question == "deletion" else 21
    if not np.isfinite(cells).all():
        return np.full(points, np.nan)
    colour = np.broadcast_to(np.array(NORMALIZE[0])[:, None, None], image.shape)
    paint = colour if fill == "mean-colour" else oracle.blurred(image)
    shown = oracle.painted(image, oracle.hidden(cells, (32, 32), question), paint)
    with torch.no_grad():
        logits = run.model()(torch.from_numpy(shown).float()).double().numpy()
    said = oracle.answers(logits, 1, "softmax")
    whole = 0 if question == "deletion" else -1
    if not said["predicted"][whole]:
        return np.full(points, np.nan)
    return said["probability"] / said["probability"][whole]


def area(curves: np.ndarray) -> np.ndarray:
    """By trapezoids, one image each."""
    return np.array([np.mean([(x + y) / 2 for x, y in pairwise(each)]) for each in curves])


@pytest.mark.slow
def test_source_a_ranks_the_tiles_of_model_b(crossed) -> None:
    table, curves = crossed
    checked = 0
    for (occluded, (run, arm, method), fill, question), values in curves.items():
        if method == "true-mask" and run != occluded:
            continue  # a model's own reference
        metric = "audc-probability" if question == "deletion" else "auic-probability"
        where = {"occluded_run": occluded, "run_id": run, "arm": arm, "method": method,
                 "fill": fill, "gauge": "contrast" if "-" in method + "-" and
                 method in ("softcam", "grad-cam") else "-"}  # fmt: skip
        row = one(table, metric=metric, **where)
        assert row["value"] == pytest.approx(np.nanmean(area(values)), abs=1e-5), where
        assert row["n"] == np.isfinite(values[:, 0]).sum()
        assert row["n"] + row["n_excluded"] == 8
        if question == "deletion":
            steps = rows(table, metric="deletion-probability", **where)
            found = steps["value"].to_numpy(float)
            assert found == pytest.approx(np.nanmean(values, 0), abs=1e-5)
        checked += 1
    assert checked == 36


@pytest.mark.slow
def test_maps_of_one_network_differ_on_another(crossed) -> None:
    table, _ = crossed
    audc = rows(table, metric="audc-probability", method="softcam", gauge="contrast",
                fill="mean-colour", run_id="fake-sparse-s0")  # fmt: skip
    assert len(audc) == 2 and audc["value"].nunique() == 2


def test_over_random_and_share_of_the_mask(crossed) -> None:
    table, curves = crossed
    where = {"occluded_run": "fake-sparse-s0", "method": "softcam", "arm": "sparse",
             "gauge": "contrast", "fill": "blur"}  # fmt: skip
    key = "fake-sparse-s0"
    for question, metric, sign in (("deletion", "audc-probability", -1),
                                   ("insertion", "auic-probability", 1)):  # fmt: skip
        own, chance, truth = (
            area(curves[key, (key, "sparse", name), "blur", question])
            for name in ("softcam", "random", "true-mask")
        )
        gained = one(table, metric=f"{metric}-over-random", **where)
        assert gained["value"] == pytest.approx(np.nanmean(sign * (own - chance)), abs=1e-5)
        both = np.isfinite(own + chance + truth)
        best = (sign * (truth - chance))[both].mean()
        share = one(table, metric=f"{metric}-share-of-mask", **where)
        assert (share["n"], share["n_excluded"]) == (both.sum(), 8 - both.sum())
        assert share["n"] < gained["n"], "two images have no finding"
        if best > 0:
            ratio = (sign * (own - chance))[both].mean() / best
            assert share["value"] == pytest.approx(ratio, abs=1e-4)
        else:
            assert "no better than chance" in share["ci_kind"]


def test_agreement_of_two_fills_is_kendalls_tau(crossed) -> None:
    from scipy.stats import kendalltau

    data, a, b = data_and_runs()
    table, _ = crossed
    _, per_image = evaluate(
        [a, b], occlude="all", fills=FILLS, methods=["grad-cam", "softcam", "random", "edge"],
        metrics=["audc-probability"], **QUICK,
    )  # fmt: skip
    row = one(table, metric="audc-probability-fill-agreement", occluded_run=b.id)
    assert row["fill"] == "mean-colour/blur"
    areas = rows(per_image, metric="audc-probability", occluded_run=b.id)
    areas = areas[areas["method"].isin(["grad-cam", "softcam", "edge"])]
    areas = areas[areas["gauge"].isin(["raw", "contrast", "-"])]
    taus = []
    for _, image in areas.groupby("image_id", observed=True):
        wide = image.astype({"fill": str}).pivot_table(
            index=["run_id", "arm", "method", "gauge"], columns="fill", values="value",
            observed=True,
        )  # fmt: skip
        taus.append(kendalltau(wide["mean-colour"], wide["blur"]).statistic)
    assert len(taus) == row["n"]
    assert row["value"] == pytest.approx(np.nanmean(taus))


def test_too_few_sources_to_agree_is_said_and_no_error(caplog) -> None:
    _, _, b = data_and_runs()
    with caplog.at_level(logging.WARNING):
        table, _ = evaluate([b], methods=["softcam"], metrics=["audc"], fills=FILLS, **QUICK)
    assert "three sources" in caplog.text
    assert not table["metric"].str.contains("agreement").any()


def test_own_and_named_runs_alone() -> None:
    _, a, b = data_and_runs()
    options = {"metrics": ["audc"], "methods": ["softcam"], "limit": 3, **QUICK}

    def pairs(occlude) -> set[tuple[str, str]]:
        table, _ = evaluate([a, b], occlude=occlude, **options)
        kept = rows(table, method="softcam", metric="audc")
        return set(map(tuple, kept[["run_id", "occluded_run"]].to_numpy()))

    assert pairs("own") == {(a.id, a.id), (b.id, b.id)}
    assert pairs("all") == {(x.id, y.id) for x in (a, b) for y in (a, b)}
    assert pairs([b.id]) == pairs(b.id) == {(a.id, b.id), (b.id, b.id)}


def test_the_linear_fill_takes_a_part_of_the_same_images() -> None:
    _, _, b = data_and_runs()
    table, per_image = evaluate(
        [b], fills=["mean-colour", "linear"], linear_limit=2, limit=5, metrics=["audc"], **QUICK
    )
    own = {"method": "softcam", "gauge": "raw", "metric": "audc"}
    assert one(table, fill="linear", **own)[["n", "n_excluded"]].sum() == 2
    assert one(table, fill="mean-colour", **own)[["n", "n_excluded"]].sum() == 5
    five = some_of(SICK, 5, 0)
    assert set(some_of(five, 2, 0)) <= set(five)
    agreed = rows(table, metric="audc-fill-agreement").iloc[0]
    assert agreed["n"] + agreed["n_excluded"] == 2


def test_what_hides_the_same_is_asked_once(monkeypatch) -> None:
    """Grad-CAM of a black box and the evidence map of its conversion rank the tiles alike."""
    from softcam.evaluation import occlude as module

    _, a, _ = data_and_runs()
    asked = []
    real = module.occlusion_scores
    monkeypatch.setattr(
        module, "occlusion_scores",
        lambda model, images, *rest, **more: asked.append(len(images)) or real(
            model, images, *rest, **more
        ),
    )  # fmt: skip
    table, _ = evaluate([a], methods=["grad-cam", "softcam"], metrics=["audc"], **QUICK)
    # Raw and contrast of either method are one ranking, besides the true mask and chance; the
    # first two images have no mask.
    assert sum(asked) == 3 * 8
    values = rows(table, metric="audc")[lambda t: t["method"].isin(["grad-cam", "softcam"])]
    assert len(values) == 6 and values["value"].nunique() == 1
