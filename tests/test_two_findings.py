"""A set of several findings from its folder to trained maps, evaluated and explained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from softcam.checkpoints import checkpoint_command, export_checkpoint, load_checkpoint
from softcam.common import SoftCAMError
from softcam.evaluation import evaluate
from softcam.explain import explain_files
from softcam.runs import Run, TrainConfig, run_directory
from softcam.training import train
from tests.evaluation.known import one
from tests.two_findings import FINDINGS, OPTIONS, SIDE, two_findings

TINY = TrainConfig(
    size=SIDE, data_options=OPTIONS, model="resnet10t-w8-os8", epochs=5, batch_size=16, lr=4e-3,
    augment="none",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTCAM_ROOT", str(root))
        yield train(replace(TINY, data=f"folder:{two_findings(root / 'two')}"), progress=False)


@pytest.fixture(scope="module")
def table(run: Run) -> pd.DataFrame:
    metrics = ["auc", "pointing-accuracy", "activation-precision", "audc"]
    options = {"metrics": metrics, "limit": 4, "n_boot": 20, "progress": False}
    return evaluate(run, methods=["softcam"], **options)[0]


@pytest.mark.slow
def test_a_sigmoid_is_trained_for_each_finding(run: Run) -> None:
    assert run.config.link == "sigmoid" and run.classes == FINDINGS
    history = run.history()
    assert {"val_auc", "val_accuracy", "val_loss"} <= set(history)
    assert "val_quadratic-kappa" not in history
    assert history["val_auc"].iloc[-1] > 0.95
    model = run.model()
    assert model.link == "sigmoid" and run.record["multi_label"] is True
    data = run.data("test")
    explanation = model.explain(data.batch([0, 1, 2]))  # type: ignore[union-attr]
    assert explanation.probabilities.shape == (3, 2)
    assert torch.allclose(explanation.probabilities, explanation.logits.sigmoid())


@pytest.mark.slow
def test_its_directory_is_that_of_the_configuration_as_it_was_given(run: Run) -> None:
    from softcam.data import open_data

    given = replace(TINY, data=run.config.data)
    assert given.link == "auto"
    data = open_data(given.data, size=SIDE, progress=False, **OPTIONS)
    assert run_directory(given, data) == run_directory(run.config, data) == run.path


@pytest.mark.slow
def test_maps_point_at_their_own_finding(run: Run, table: pd.DataFrame) -> None:
    for c, name in enumerate(FINDINGS):
        own = {"method": "softcam", "gauge": "raw", "target": f"class:{c}"}
        found = one(table, **own, metric="activation-precision")
        floor = {**own, "method": "chance", "gauge": "-"}
        chance = one(table, **floor, metric="activation-precision")["value"]
        assert (found["finding"], found["n"]) == (name, 20)
        assert found["value"] > 1.5 * chance
        assert one(table, **own, metric="audc")["n"] > 0
        assert one(table, method="-", target=f"class:{c}", metric="auc")["value"] > 0.9
    data, model = run.data("test"), run.model()
    both = np.flatnonzero(np.asarray(data.labels).all(1))
    maps = model.explain(data.batch(both)).upsample(SIDE)  # type: ignore[union-attr]
    for c, name in enumerate(FINDINGS):
        marked = [torch.from_numpy(data.mask(i, name)) for i in both]
        other = [torch.from_numpy(data.mask(i, FINDINGS[1 - c])) for i in both]
        inside = [float(maps[k, c][m].mean()) for k, m in enumerate(marked)]
        outside = [float(maps[k, c][m].mean()) for k, m in enumerate(other)]
        assert np.mean(np.array(inside) > np.array(outside)) >= 0.9


@pytest.mark.slow
def test_a_picture_shows_the_most_probable_finding_or_those_asked_for(
    run: Run, tmp_path: Path
) -> None:
    data = run.data("test")
    index = int(np.flatnonzero((np.asarray(data.labels) == [0, 1]).all(1))[0])
    image = Path(run.config.data.removeprefix("folder:")) / "images" / data.ids[index]
    explain_files(run.path, [image], tmp_path)
    found = json.loads((tmp_path / f"{image.stem}.json").read_text())
    assert found["targets"] == [1] and np.argmax(found["probabilities"]) == 1
    assert len(found["maps"]) == 2, "the numbers of all findings"
    explain_files(run.path, [image], tmp_path, targets=[1, 0])
    assert json.loads((tmp_path / f"{image.stem}.json").read_text())["targets"] == [1, 0]


def test_a_checkpoint_knows_its_findings(run: Run, tmp_path: Path) -> None:
    loaded = load_checkpoint(export_checkpoint(run, tmp_path / "two.safetensors"))
    x = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert loaded.link == "sigmoid" and loaded(x).shape == (2, 2)
        assert torch.allclose(loaded(x), run.model()(x), atol=0.05)  # float16
    assert "--link sigmoid" in checkpoint_command(run.config)


def test_what_is_made_for_one_class_an_image_is_refused(run: Run) -> None:
    config = replace(TINY, data=run.config.data)
    with pytest.raises(SoftCAMError, match=r"exactly one class.*label_column=ONE"):
        train(replace(config, link="softmax"), progress=False)
    with pytest.raises(SoftCAMError, match="select auc, accuracy or loss"):
        train(replace(config, select="quadratic-kappa"), progress=False)
