"""Assignment 2: a ResNet whose pooling and classifier change places, and the proof.

Source: Djoumessi & Berens, "Soft-CAM", MIDL 2026; that the copied weights give the same logits
follows from the linearity of mean and 1x1 convolution.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from softcam.checks import conversion_mistakes as wrong
from softcam.checks.conversion_reading import read_conv, read_softcam
from softcam.checks.drawing import normal
from softcam.checks.nets import TinyResNet, ask, tiny_resnet
from softcam.checks.records import Case, Question, ValueQuestion

__all__ = ["QUESTIONS", "features_and_logits"]

SIZES = (
    ("a ResNet as in torchvision", "avgpool", (3, 32, 32)),
    ("a ResNet as in timm", "global_pool", (3, 32, 32)),
    ("images of another size", "avgpool", (2, 40, 56)),
    ("images of another size", "global_pool", (2, 56, 40)),
    ("a single image", "avgpool", (1, 32, 32)),
)


def conv_from_linear(linear: nn.Linear, features: np.ndarray) -> np.ndarray:
    """(B, C, h, w): the linear layer applied to each cell by itself."""
    weight = linear.weight.detach().double().numpy()
    maps = np.tensordot(features, weight, (1, 1)).transpose(0, 3, 1, 2)
    return (
        maps if linear.bias is None else maps + linear.bias.detach().double().numpy()[:, None, None]
    )


def features_and_logits(net: TinyResNet, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (B, D, h, w) and logits (B, C) in eval mode."""
    return ask(net, images, net.pooling), ask(net, images)


def features_of(net: TinyResNet, images: np.ndarray) -> np.ndarray:
    """(B, D, h, w)."""
    return features_and_logits(net, images)[0]


def softcam_outputs(net: TinyResNet, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (B, C) as the net gives them, and maps (B, C, h, w)."""
    features, logits = features_and_logits(net, images)
    return logits, conv_from_linear(net.fc, features)


class Answering(nn.Module):
    """What a `to_softcam` might have returned: the net's logits, off by a little in one image.

    It holds a batch norm of its own, so that it, too, answers otherwise in train mode.
    """

    def __init__(self, net: TinyResNet, off: Tensor) -> None:
        super().__init__()
        self.net, self.off = copy.deepcopy(net), nn.Parameter(off)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits: Tensor = self.net(x) + self.off
        return logits, logits[:, :, None, None].expand(-1, -1, 2, 2)


def logit_difference(net: nn.Module, softcam: nn.Module, images: np.ndarray) -> float:
    """The largest |difference| of the logits, of copies in eval mode."""
    return wrong.largest(wrong.difference(net, softcam, images))


def _conv_cases(generator: np.random.Generator) -> list[Case]:
    cases = []
    sizes = [("random layers", 5, 3), ("random layers", 4, 7), ("C = D", 4, 4), ("one class", 6, 1)]
    for kind, channels, classes in sizes:
        cases.append(_conv_case(generator, kind, nn.Linear(channels, classes)))
    cases.append(_conv_case(generator, "a layer without bias", nn.Linear(5, 2, bias=False)))
    return cases


def _conv_case(generator: np.random.Generator, kind: str, linear: nn.Linear) -> Case:
    with torch.no_grad():
        for value in linear.parameters():
            value.copy_(normal(generator, *value.shape))
    return Case(kind, {"linear": linear}, normal(generator, 2, linear.in_features, 3, 4))


def _images(generator: np.random.Generator, count: int, height: int, width: int) -> Tensor:
    return torch.from_numpy(generator.random((count, 3, height, width))).float()


def _net_cases(generator: np.random.Generator) -> list[Case]:
    """Nets of both layouts, images of several sizes; images as an argument."""
    cases = []
    for kind, pooling, (count, height, width) in SIZES:
        classes, channels = 2 + int(generator.integers(3)), 10 + int(generator.integers(4))
        net = tiny_resnet(generator, classes, channels, pooling)
        images = _images(generator, count, height, width)
        cases.append(Case(kind, {"net": net, "images": images}))
    return cases


def _softcam_cases(generator: np.random.Generator) -> list[Case]:
    """The same, with the images as the probe; and a net in train mode."""
    cases = []
    for case in _net_cases(generator):
        net, images = case.arguments["net"], case.arguments["images"]
        cases.append(Case(case.kind, {"net": net}, images))
    training = tiny_resnet(generator, 3, 11).train()
    return [*cases, Case("a net in train mode", {"net": training}, _images(generator, 4, 32, 32))]


def _difference_cases(generator: np.random.Generator) -> list[Case]:
    cases: list[Case] = []
    modes = [("two models in eval mode", False, False)] * 3
    modes += [("a net in train mode", True, False), ("a SoftCAM in train mode", False, True)]
    for kind, net_trains, other_trains in modes:
        net = tiny_resnet(generator, 3, 10)
        # The largest difference is now positive, now negative, and not in the first class.
        off = torch.tensor([0.2, -0.9, 0.4]) * (0.5 + float(generator.random()))
        off = off if len(cases) % 2 else -off
        arguments: dict[str, Any] = {
            "net": net.train(net_trains),
            "softcam": Answering(net.eval(), off).train(other_trains),
            "images": _images(generator, 4, 32, 32),
        }
        net.train(net_trains)
        cases.append(Case(kind, arguments))
    return cases


QUESTIONS: tuple[Question | ValueQuestion, ...] = (
    Question("conv_from_linear", conv_from_linear, _conv_cases, (), read=read_conv),
    Question("features_of", features_of, _net_cases, wrong.FEATURES),
    Question("to_softcam", softcam_outputs, _softcam_cases, wrong.SOFTCAM, read=read_softcam),
    Question("logit_difference", logit_difference, _difference_cases, wrong.DIFFERENCE),
)
