"""Several findings an image, on a network whose maps are known by construction."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.compare import compare
from softcam.data.records import ImageSet
from softcam.evaluation import evaluate
from softcam.evaluation.classify import predicted_targets
from softcam.evaluation.findings import finding_set
from softcam.results import KEYS
from tests.evaluation.known import CELL, QUICK, SIZE, FakeRun, bright_square, image_set, one, rows

N = 24
MAPS = ["auc", "auprc", "accuracy", "pointing-accuracy", "activation-precision", "audc"]


class Colours(nn.Module):
    """Two features a cell, how red and how green it is, and a logit of each."""

    num_features = 2

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.fc.weight.data = 40 * torch.eye(2)
        self.fc.bias.data = 3 * torch.ones(2)  # a dark image is worth -4, one bright cell 2.2

    def forward_features(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x[:, :2], SIZE // CELL)

    def forward_head(self, z: Tensor) -> Tensor:
        return self.fc(z.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class ColourRun(FakeRun):
    """A run of it, with a sigmoid a finding."""

    def __init__(self, data: ImageSet, arm: str = "dense", **more: Any) -> None:
        super().__init__(data, arm, **more)
        self.net, self._link = Colours(), "sigmoid"  # type: ignore[assignment]

    def converted(self) -> Any:
        model = super().converted()
        weight = self.net.fc.weight.data
        model.evidence = nn.Conv2d(2, 2, 1)
        model.evidence.weight.data = weight[:, :, None, None].clone()
        model.evidence.bias.data = self.net.fc.bias.data.clone()
        return model.eval()


def coloured(mask_names: tuple[str, ...] = ("red", "green"), **more: Any) -> ImageSet:
    """Images with a red cell, a green one, both or neither; each marked by itself.

    The first image with a red cell is not labelled with it, though it is marked.
    """
    images = np.zeros((N, SIZE, SIZE, 3), np.uint8)
    labels = np.stack([np.arange(N) % 2, np.arange(N) // 2 % 2], 1)
    masks = np.zeros((N, 2, SIZE, SIZE), bool)
    for i, c in np.argwhere(labels):
        row, column = (i + 3 * c) % 4, 2 * c + i % 2
        cell = slice(row * CELL, (row + 1) * CELL), slice(column * CELL, (column + 1) * CELL)
        images[i][(*cell, c)] = 220
        masks[i, c][cell] = True
    labels[1, 0] = 0
    plain = image_set(images, labels, masks, 2, mask_names=mask_names, finding_names=mask_names)
    return replace(plain, classes=("red", "green"), **more)


@pytest.fixture(scope="module")
def results() -> tuple[pd.DataFrame, pd.DataFrame]:
    data = coloured()
    runs = [ColourRun(data), ColourRun(data, "black-box")]
    return evaluate(runs, methods=["softcam", "grad-cam"], metrics=MAPS, limit=4, **QUICK)


@pytest.mark.parametrize("c", [0, 1])
def test_each_finding_is_a_question_of_its_own(
    results: tuple[pd.DataFrame, pd.DataFrame], c: int
) -> None:
    table, _ = results
    data = coloured()
    own = {"arm": "dense", "method": "softcam", "gauge": "raw", "target": f"class:{c}"}
    pointing = one(table, **own, metric="pointing-accuracy")
    assert pointing["value"] == 1, "each map points at its own finding, not at the other"
    assert pointing["n"] == data.labels[:, c].sum() == (11, 12)[c]
    assert pointing["finding"] == ("red", "green")[c]
    chance = one(table, **{**own, "method": "chance", "gauge": "-"}, metric="pointing-accuracy")
    assert chance["value"] == pytest.approx(1 / 16)
    assert chance["finding"] == ("red", "green")[c]
    audc = rows(table, **own, metric="audc")
    assert set(audc["n"] + audc["n_excluded"]) == {4}
    assert one(table, **{**own, "method": "true-mask", "gauge": "-"}, metric="audc")["n"] > 0


def test_maps_of_a_post_hoc_method_and_of_the_converted_network(
    results: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    table, _ = results
    for arm, method in (("black-box", "grad-cam"), ("converted", "softcam")):
        for c in "01":
            found = one(table, arm=arm, method=method, metric="audc", target=f"class:{c}")
            same = one(table, arm="dense", method="softcam", metric="audc", target=f"class:{c}")
            assert found["value"] == pytest.approx(same["value"])
    assert set(table["gauge"]) == {"raw", "-"}, "a sigmoid has no other zero"
    assert set(table["task"]) == {"multi-label"}
    assert not table.duplicated(list(KEYS)).any(), "two rows say the same thing"


def test_predictions_by_finding_and_their_mean(
    results: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    table, images = results
    data = coloured()
    z = np.stack([
        rows(images, arm="dense", metric="logit", target=f"class:{c}")["value"] for c in (0, 1)
    ], 1)  # fmt: skip
    for c in (0, 1):
        labels = rows(images, arm="dense", metric="label", target=f"class:{c}")["value"]
        assert labels.tolist() == data.labels[:, c].tolist()
        own = {"arm": "dense", "target": f"class:{c}"}
        auc = roc_auc_score(data.labels[:, c], z[:, c])
        assert one(table, **own, metric="auc")["value"] == pytest.approx(auc)
        area = average_precision_score(data.labels[:, c], z[:, c])
        assert one(table, **own, metric="auprc")["value"] == pytest.approx(area)
        accuracy = ((z[:, c] > 0) == data.labels[:, c]).mean()
        assert one(table, **own, metric="accuracy")["value"] == pytest.approx(accuracy)
    mean = one(table, arm="dense", target="-", metric="auc")
    assert mean["value"] == pytest.approx(roc_auc_score(data.labels, z)) and mean["n"] == N


def test_two_runs_are_compared_on_the_mean_or_on_one_finding(
    results: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    _, images = results
    data = coloured()
    worse = rows(images, arm="dense").assign(run_id="worse")
    logit = (worse["metric"] == "logit") & (worse["target"] == "class:1")
    values = np.where(logit, np.sin(np.arange(len(worse))), worse["value"])
    both = pd.concat([rows(images, arm="dense"), worse.assign(value=values)], ignore_index=True)
    z = values[logit]
    lost = roc_auc_score(data.labels[:, 1], z) - 1
    found = {
        name: compare(both, {"run_id": "fake-dense-s0", "target": name}, "worse", "auc", n_boot=20)
        for name in ("-", "class:0", "class:1")
    }
    assert found["class:0"].value == 0 and found["class:1"].value == pytest.approx(-lost)
    assert found["-"].value == pytest.approx(-lost / 2) and found["-"].n == N
    assert compare(both, "fake-dense-s0", "worse", "auc", n_boot=20) == found["-"]
    assert compare(both, "fake-dense-s0", "worse", "accuracy", n_boot=20).value == 0


def test_a_finding_that_nobody_marked_is_held_against_all_findings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = coloured(("red", "other"))
    with caplog.at_level(logging.WARNING):
        table, _ = evaluate(
            [ColourRun(data)], methods=["softcam"], metrics=["pointing-accuracy"], **QUICK
        )
    assert "nothing is marked as green" in caplog.text and "(red, other)" in caplog.text
    found = {c: one(table, method="softcam", target=f"class:{c}") for c in (0, 1)}
    assert [found[c]["finding"] for c in (0, 1)] == ["red", "red+other"]
    chance = one(table, method="chance", target="class:1", metric="pointing-accuracy")
    assert 1 / 16 < chance["value"] <= 2 / 16, "the marks of both"


def test_everything_that_can_be_asked_and_one_word_about_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        table, images = evaluate([ColourRun(coloured())], methods=["softcam"], limit=2, **QUICK)
    said = [each.getMessage() for each in caplog.records if "without" in each.getMessage()]
    assert len(said) == 1
    left = {"consistency-positive", "pointing-game", "twin-r2", "quadratic-kappa"}
    assert all(name in said[0] for name in left) and not left & set(table["metric"])
    assert {"auprc", "ece", "brier", "audc", "average-drop", "cascade-correlation"} <= set(
        table["metric"]
    )
    undefined = table[table["value"].isna()]
    assert (undefined["ci_kind"].str.len() > len("none: ")).all()
    assert np.isfinite(images["value"]).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"only": "correct"}, "one answer an image.*label_column=ONE"),
        ({"maps": ["theirs.npz"]}, "each with a sigmoid: leave maps out.*label_column=ONE"),
    ],
)
def test_what_takes_one_class_an_image_is_refused(options: dict, says: str) -> None:
    with pytest.raises(SoftCAMError, match=says):
        evaluate([ColourRun(coloured())], **QUICK, **options)


def test_the_papers_protocol_is_refused_at_its_own_size_as_well() -> None:
    large = coloured(images=np.zeros((N, 512, 512), np.uint8))
    with pytest.raises(SoftCAMError, match="paper's protocol is defined for one class an image"):
        evaluate([ColourRun(large)], protocol="paper", **QUICK)


def test_both_kinds_of_sets_at_once_are_refused() -> None:
    runs = [ColourRun(coloured()), FakeRun(bright_square(), name="other")]
    with pytest.raises(SoftCAMError, match="one class an image: evaluate them one at a time"):
        evaluate(runs, metrics="auc", **QUICK)


def test_a_finding_as_a_set_of_two_classes() -> None:
    data = coloured()
    green = finding_set(data, 1)
    assert green.classes == ("no green", "green") and not green.multi_label
    assert green.labels.tolist() == data.labels[:, 1].tolist()
    assert (green.finding(3) == data.mask(3, "green")).all() and green.finding(1).sum() == 0


def test_a_sigmoid_predicts_each_class_by_itself() -> None:
    logits = np.array([[2.0, 1.0], [-2.0, -1.0], [0.0, 3.0]])
    found = predicted_targets(logits, np.array([1, 1, 0]), "sigmoid")
    assert found.tolist() == [True, False, False]
