"""What `explain_layers` takes for an image, a class and a list of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from softcam import SoftCAM
from softcam.common import SoftCAMError
from softcam.layerwise import default_layers, explain_layers
from softcam.layerwise.weights import weighed_layers
from tests.layerwise.test_weights import Headed, Small, image, numbers


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_an_image_of_another_precision_is_brought_to_that_of_the_model(kind: torch.dtype) -> None:
    net, x = Small(), image().half()
    own = weighed_layers(net, x.float(), 0, ["two"])[0]
    other = weighed_layers(net, x.to(kind), 0, ["two"])[0]
    np.testing.assert_array_equal(own.weights, other.weights)
    assert default_layers(net, x.to(kind)) == default_layers(net, x.float())


@pytest.mark.parametrize("target", [float("inf"), torch.tensor([0, 1])])
def test_a_target_that_is_no_class(target: Any) -> None:
    with pytest.raises(SoftCAMError, match="from 0 to 2"):
        explain_layers(Small(), image(), target)


def test_layers_that_can_be_read_only_once() -> None:
    names: Any = (name for name in ("act", "two"))
    assert [each.layer for each in explain_layers(Small(), image(), 0, layers=names)] == [
        "act",
        "two",
    ]


def test_an_activation_that_stands_twice_in_the_evidence_layer() -> None:
    act = nn.ReLU()
    layers = [nn.Conv2d(4, 6, 1), act, nn.Conv2d(6, 5, 1), act, nn.Conv2d(5, 2, 1)]
    model = SoftCAM(Headed(), nn.Sequential(*layers))
    last = weighed_layers(model, image(), 0)[-1]
    row = numbers(model.get_classifier().weight)[0, :, 0, 0]
    logit = row @ last.activations.mean((1, 2)) + float(model.bias[0])
    assert logit == pytest.approx(float(model(image()[None])[0, 0].detach()), abs=1e-5)
    np.testing.assert_allclose(last.weights, np.maximum(row, 0))
