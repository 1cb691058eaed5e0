"""Costly methods explain a seeded sample, the dearest only the first networks; arms are chosen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from softcam import evaluate
from softcam.common import SoftCAMError
from softcam.evaluation import costs
from softcam.explainers import get_explainer, passes
from softcam.explainers.registry import _EXPLAINERS, explainer
from softcam.metrics import measures
from tests.evaluation.known import CELL, QUICK, FakeRun, bright_square, rows

LOCATED = "pointing-accuracy"


@pytest.fixture
def asked(monkeypatch) -> Iterator[dict[str, int]]:
    """Two methods, of 100 and of 300 passes, that count the images they are asked about."""
    counts = {"costly": 0, "dearest": 0}

    def register(name: str, forwards: int) -> None:
        @explainer(name=name, title="", paper="", cost="", gauges=("raw",), needs="images",
                   forwards=forwards)  # fmt: skip
        def method(model: Any, images: Any, targets: Any) -> Any:
            counts[name] += len(images)
            return images.mean(1)[:, ::CELL, ::CELL]

    register("costly", 100)
    register("dearest", 300)
    monkeypatch.setattr(costs, "FINDINGS", 5)
    yield counts
    for name in counts:
        _EXPLAINERS.pop(name)


def runs(*seeds: int, arms: tuple[str, ...] = ("black-box", "sparse")) -> list[FakeRun]:
    found = []
    for seed in seeds:
        for arm in arms:
            run = FakeRun(bright_square(32), arm, name=f"fake-{arm}-s{seed}")
            run.seed = seed
            found.append(run)
    return found


def test_a_costly_method_explains_a_sample_and_the_table_says_how_many(asked) -> None:
    table, images = evaluate(runs(0), methods=["costly", "softcam"], metrics=[LOCATED], **QUICK)
    own = rows(table, method="costly", metric=LOCATED)
    assert own["n"].tolist() == [5] and own["n_excluded"].tolist() == [0]
    assert asked["costly"] == 5, "images outside the sample were explained"
    assert set(rows(table, method="softcam", metric=LOCATED)["n"]) == {16}
    sample = set(rows(images, method="costly", metric=LOCATED)["image_id"])
    again, more = evaluate(runs(0), methods=["costly"], metrics=[LOCATED], **QUICK)
    assert sample == set(rows(more, method="costly", metric=LOCATED)["image_id"])


def test_all_asks_every_image_and_every_network(asked) -> None:
    table, _ = evaluate(
        runs(0, 1), methods=["costly", "dearest"], metrics=[LOCATED], costly="all",
        post_hoc=["black-box", "sparse"], **QUICK,
    )  # fmt: skip
    own = table[table["method"].isin(["costly", "dearest"])]
    assert own["n"].tolist() == [16] * 8


def test_the_dearest_explain_the_first_networks_alone(asked, caplog) -> None:
    arms = ("black-box", "ridge", "sparse")
    with caplog.at_level(logging.INFO):
        table, _ = evaluate(
            runs(1, 2, arms=arms), methods=["costly", "dearest"], metrics=[LOCATED],
            post_hoc=arms, **QUICK,
        )  # fmt: skip
    whose = lambda name: set(rows(table, method=name)["run_id"])  # noqa: E731
    assert whose("dearest") == {"fake-black-box-s1", "fake-sparse-s1"}
    assert len(whose("costly")) == 6
    assert "without dearest" in caplog.text


def test_without_black_box_and_sparse_the_first_seed_will_do(asked) -> None:
    some = runs(3, 4, arms=("ridge",))
    table, _ = evaluate(some, methods=["dearest"], metrics=[LOCATED], post_hoc=["ridge"], **QUICK)
    assert set(rows(table, method="dearest")["run_id"]) == {"fake-ridge-s3"}


def test_occlusion_compares_with_chance_on_the_sample(asked) -> None:
    options = {"methods": ["costly", "random", "grad-cam"], "metrics": ["audc"], **QUICK}
    table, _ = evaluate(runs(0), limit=4, **options)
    for metric in ("audc", "audc-over-random"):
        found = rows(table, method="costly", metric=metric)
        assert found["n"].tolist() == [4], metric
    table, _ = evaluate(runs(0), limit=8, **options)
    found = rows(table, method="costly", metric="audc-over-random")
    assert found["n"].tolist() == [5] and found["n_excluded"].tolist() == [3]
    assert set(rows(table, method="grad-cam", metric="audc-over-random")["n"]) == {8}


def test_no_measure_over_the_whole_split_of_a_sample(asked) -> None:
    labelled = [m.name for m in measures("labelled")]
    table, _ = evaluate(runs(0), methods=["costly", "grad-cam"], metrics=labelled, **QUICK)
    assert "costly" not in set(table["method"]) and "grad-cam" in set(table["method"])


def test_sanity_of_costly_methods_only_on_the_first_networks(asked) -> None:
    table, _ = evaluate(
        runs(0, 1), methods=["costly", "dearest", "grad-cam"], metrics=["cascade-correlation"],
        limit=6, **QUICK,
    )  # fmt: skip
    assert set(rows(table, method="costly")["run_id"]) == {"fake-black-box-s0"}
    assert set(rows(table, method="costly")["n"]) == {4}, "a few images, however many are asked"
    assert "dearest" not in set(table["method"])
    assert len(set(rows(table, method="grad-cam")["run_id"])) == 2


def test_post_hoc_names_the_arms(asked) -> None:
    options = {"methods": ["grad-cam", "random", "costly"], "metrics": [LOCATED], **QUICK}
    default, _ = evaluate(runs(0), **options)
    assert set(rows(default, arm="sparse")["method"]) - {"chance", "reference-ceiling"} == {
        "random"
    }, "controls apply to every arm, post-hoc methods to the black box"
    both, _ = evaluate(runs(0), post_hoc=["black-box", "sparse"], **options)
    assert {"grad-cam", "costly"} <= set(rows(both, arm="sparse")["method"])
    with pytest.raises(SoftCAMError, match="sparse"):
        evaluate(runs(0), post_hoc=["sparce"], **options)
    with pytest.raises(SoftCAMError, match="sample"):
        evaluate(runs(0), costly="smaple", **options)


def test_score_cam_counts_the_channels_of_the_model() -> None:
    run = FakeRun(bright_square(4))
    assert passes(get_explainer("score-cam"), run.model()) == 2  # one channel, and the image
    assert passes(get_explainer("grad-cam"), run.model()) == 1


def test_twins_may_have_a_limit_of_their_own() -> None:
    from softcam.evaluation.question import ask

    data = bright_square(32)
    same = ask(data, 3, 0)
    more = ask(data, 3, 0, twin_limit=7)
    assert len(same.twinned) == len(same.occluded) == len(more.occluded) == 3
    assert len(more.twinned) == 7 and set(same.twinned) <= set(more.twinned)
