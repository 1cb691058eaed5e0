"""The methods of a plan are tried on its networks before anything trains."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.data.records import ImageSet
from softcam.evaluation import USUAL
from softcam.reproduce import load_plan, plan_names
from softcam.reproduce.trying import try_methods
from tests.evaluation.known import bright_square
from tests.reproduce.small import write_plan

ASKED = {"methods": ["softcam", "grad-cam", "guided-backprop", "rise", "random"]}


def small_images() -> defaultdict[int, ImageSet]:
    """Images of 64 px whatever size a plan asks for."""
    data = bright_square(4)
    data = dataclasses.replace(data, images=np.kron(data.images, np.ones((2, 2), np.uint8)))
    return defaultdict(lambda: data)


@pytest.mark.slow
def test_a_method_that_refuses_a_network_is_named_with_it(tmp_path: Path) -> None:
    plan = load_plan(write_plan(tmp_path, evaluate=ASKED, models={"mobilenetv2_035": {}}))
    found = "small asks for 'guided-backprop', which does not explain mobilenetv2_035: .* hardtanh"
    with pytest.raises(SoftCAMError, match=found):
        try_methods(plan, "cxr", small_images())
    try_methods(load_plan(write_plan(tmp_path, evaluate=ASKED)), "cxr", small_images())


def test_methods_asked_of_later_seeds_or_of_the_path_are_tried_too(tmp_path: Path) -> None:
    models = {"mobilenetv2_035": {}}
    for place in ("later", "path"):
        options = {"methods": ["softcam"]}
        plan = {"evaluate": options, "models": models, place: {**ASKED, "metrics": ["auc"]}}
        with pytest.raises(SoftCAMError, match="'guided-backprop', which does not explain"):
            try_methods(load_plan(write_plan(tmp_path, **plan)), "cxr", small_images())


def test_a_network_that_explains_itself_is_asked_nothing_else(tmp_path: Path) -> None:
    plan = load_plan(write_plan(tmp_path, evaluate=ASKED, models={"bcos_resnet10-w8-os8": {}}))
    try_methods(plan, "cxr", small_images())


@pytest.mark.slow
@pytest.mark.parametrize("name", plan_names())
def test_no_configuration_of_the_project_asks_in_vain(name: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"any")
    plan = load_plan(name, weights if name in {"nih-cxr", "codras"} else None)
    try_methods(plan, plan.data[0].name, small_images())


def test_a_model_may_be_left_without_a_method(tmp_path: Path) -> None:
    models = {"mobilenetv2_035": {"without": ["guided-backprop"]}, "resnet10t-w8-os8": {}}
    plan = load_plan(write_plan(tmp_path, evaluate=ASKED, models=models))
    try_methods(plan, "cxr", small_images())
    whole = ASKED["methods"]
    assert plan.asked("resnet10t-w8-os8", 0)["methods"] == whole
    assert plan.asked("mobilenetv2_035", 0)["methods"] == [
        name for name in whole if name != "guided-backprop"
    ]
    assert plan.asked("mobilenetv2_035", 0, path=True)["methods"] == ["softcam"]


def test_a_model_without_a_method_among_the_usual_ones(tmp_path: Path) -> None:
    models = {"resnet10t-w8-os8": {"without": ["edge"]}}
    plan = load_plan(write_plan(tmp_path, evaluate={"metrics": ["auc"]}, models=models))
    assert plan.asked("resnet10t-w8-os8", 0)["methods"] == [n for n in USUAL if n != "edge"]
    wrong = write_plan(tmp_path, models={"resnet10t-w8-os8": {"without": ["grad-camm"]}})
    with pytest.raises(UnknownNameError, match="grad-cam"):
        load_plan(wrong)
