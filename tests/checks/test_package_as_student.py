"""softcam's own functions, handed in as a student's, are right: two definitions, one result."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam import SoftCAM, elastic_net, hoyer_spread, logit_control, to_softcam
from softcam.checks import check
from softcam.evidence import Explanation
from softcam.metrics import MapBatch, get_measure, pointing_chance
from softcam.metrics.geometry import area_pool
from softcam.twins import TwinEffects

Function = Callable[..., Any]


def _model(weight: Tensor, bias: Tensor | None) -> SoftCAM:
    conv = nn.Conv2d(weight.shape[1], len(weight), 1, bias=bias is not None)
    conv.weight.data = weight.clone()[:, :, None, None]
    if bias is not None:
        assert conv.bias is not None
        conv.bias.data = bias.clone()
    return SoftCAM(nn.Identity(), conv)


def _cam(features: Tensor, weight: Tensor) -> Tensor:
    return _model(weight, None).evidence(features)


def _evidence_maps(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _model(weight, bias).evidence(features)


def _explanation(maps: Tensor) -> Explanation:
    return Explanation(maps, torch.zeros(maps.shape[1]))


class _TwoOutputs(nn.Module):
    """What `to_softcam` of the package makes, as the assignment wants it called."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.model = to_softcam(net)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.model.evidence_maps(images)
        return maps.mean((2, 3)), maps


def _autograd(maps: Tensor, lambda1: float, lambda2: float) -> Tensor:
    given = maps.clone().requires_grad_()
    elastic_net(given, lambda1, lambda2).backward()
    return given.grad if given.grad is not None else torch.zeros_like(maps)


def _smallest_l1(maps: Tensor) -> Tensor:
    return torch.stack([logit_control(image[None], 1.0) for image in maps])


def _pointing(maps: Tensor, findings: Tensor) -> float:
    return float(get_measure("pointing-accuracy")(MapBatch(maps, findings)).value[0])


def _precision(maps: Tensor, findings: Tensor) -> Tensor:
    ratios = get_measure("activation-precision")(MapBatch(maps, findings))
    return torch.from_numpy(ratios.per_image[:, 0])


def _chance(findings: Tensor) -> float:
    return float(pointing_chance(findings).value[0])


def _twin_effect(logits: Tensor, twin_logits: Tensor, targets: Tensor) -> Tensor:
    effects = TwinEffects(
        image=np.arange(len(logits)),
        part=("marker",) * len(logits),
        change=(logits - twin_logits).double().numpy(),
        masks=np.zeros((len(logits), 1, 1), np.uint8),
    )
    rest = logits.clone()
    rest[torch.arange(len(logits)), targets] = -math.inf
    found = effects.effect("contrast", targets.numpy(), rest.argmax(1).numpy())
    return torch.from_numpy(found)


def _evidence_inside(maps: Tensor, masks: Tensor) -> Tensor:
    shares = area_pool(masks, tuple(maps.shape[1:])).to(maps.dtype)
    return (maps * shares).mean((1, 2))


def _forge(maps: Tensor, wanted: Tensor, c: int) -> Tensor:
    """From contrasts, which no common map changes."""
    e = _explanation(maps)
    return torch.stack([wanted + e.contrast(k, c) for k in range(maps.shape[1])], 1)


AS_STUDENT: dict[str, Function] = {
    "cam": _cam,
    "evidence_maps": _evidence_maps,
    "logits_from_maps": lambda maps: _explanation(maps).logits,
    "upsample": lambda maps, size: _explanation(maps).upsample(size),
    "to_softcam": _TwoOutputs,
    "elastic_net": elastic_net,
    "penalty_gradient": _autograd,
    "smallest_l1": _smallest_l1,
    "hoyer_spread": hoyer_spread,
    "pointing_accuracy": _pointing,
    "activation_precision": _precision,
    "pointing_chance": _chance,
    "pooled_finding": lambda findings, shape: area_pool(findings, shape),
    "evidence_inside": _evidence_inside,
    "twin_effect": _twin_effect,
    "forge": _forge,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", AS_STUDENT)
def test_the_package_agrees_with_the_reference(name: str) -> None:
    for student in ("", "ada", "grace"):
        assert "right" in str(check(name, AS_STUDENT[name], student=student))
