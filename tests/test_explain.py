"""Image files to pictures and numbers; the numbers are those of the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from softcam.common import SoftCAMError
from softcam.explain import explain_files, open_model
from softcam.runs import TrainConfig
from softcam.training import train

TINY = TrainConfig(
    size=32,
    data_options={"n_train": 32, "n_val": 24, "n_test": 24},
    model="resnet10t-w8-os8",
    epochs=1,
    batch_size=16,
)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["black-box", "dense"])
def test_the_numbers_add_up_to_the_prediction(arm: str, project: Path) -> None:
    run = train(TINY.with_arm(arm), progress=False)
    grey = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    Image.fromarray(grey).save(project / "film.png")
    picture = explain_files(run.path, [project / "film.png"], project / "out")[0]
    assert Image.open(picture).size[0] > 300
    numbers = json.loads((project / "out" / "film.json").read_text())
    x = torch.from_numpy(grey).float().div(255).expand(1, 3, 32, 32)
    with torch.no_grad():
        logits = run.model()(x)[0]
    np.testing.assert_allclose(numbers["logits"], logits, atol=1e-5)
    np.testing.assert_allclose(np.mean(numbers["maps"], (1, 2)), logits, atol=1e-5)
    assert open_model(run.path).classes == ("normal", "opacity")
    assert numbers["targets"] == [0, 1]
    explain_files(run.path, [project / "film.png"], project / "one", targets=[1])
    assert json.loads((project / "one" / "film.json").read_text())["targets"] == [1]
    with pytest.raises(SoftCAMError, match=r"targets are \[2\], expected some of 0 = normal, 1 ="):
        explain_files(run.path, [project / "film.png"], project / "one", targets=[2])


@pytest.mark.slow
def test_bad_images_are_named(project: Path) -> None:
    run = train(TINY, progress=False)
    (project / "broken.png").write_bytes(b"no image")
    with pytest.raises(SoftCAMError, match="broken.png"):
        explain_files(run.path, [project / "broken.png"], project / "out")
    with pytest.raises(SoftCAMError, match="one or more images"):
        explain_files(run.path, [], project / "out")
