"""A network that can be calculated by hand: a cell sees its own square and nothing else."""

from __future__ import annotations

import torch
from torch import nn

from softcam.evidence import SoftCAM
from softcam.visualize.explorer.pictures import Picture
from softcam.visualize.explorer.state import State
from softcam.visualize.explorer.subjects import Subject
from softcam.wrappers import BlackBox, Link

CELL, SIDE = 8, 32  # pixels; the map has 4 x 4 cells
MEAN = (0.5, 0.25, 0.75)
CLASSES = ("healthy", "ill", "unsure")


def local_softcam(classes: int = 3, link: Link = "softmax", seed: int = 0) -> SoftCAM:
    """The mean of each square of 8 px, weighed: linear and local."""
    torch.manual_seed(seed)
    evidence = nn.Conv2d(3, classes, 1)
    with torch.no_grad():
        evidence.weight.mul_(5)
        evidence.bias.copy_(torch.linspace(-0.4, 0.7, classes))  # type: ignore[union-attr]
    normalize = (MEAN, (0.2, 0.25, 0.5))
    return SoftCAM(nn.AvgPool2d(CELL), evidence, normalize, link).eval()


def gelu_softcam() -> SoftCAM:
    """The same with a GELU, which Guided Backprop refuses once it meets it."""
    net = local_softcam()
    features = nn.Sequential(nn.AvgPool2d(CELL), nn.GELU())
    return SoftCAM(features, net.evidence, (MEAN, (0.2, 0.25, 0.5))).eval()


def black_box(classes: int = 3) -> BlackBox:
    """A network without maps, but with features."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=4, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(5, classes),
    )  # fmt: skip
    return BlackBox(net, (MEAN, (0.2, 0.25, 0.5))).eval()


def pictures(count: int = 2) -> list[Picture]:
    """Images that are constant within each cell, so that half a cell is half its evidence."""
    torch.manual_seed(2)
    small = torch.rand(count, 3, SIDE // CELL, SIDE // CELL)
    large = small.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
    return [Picture(f"image {n}", each) for n, each in enumerate(large)]


def state(**given: object) -> State:
    """Two pictures under one network; `given` goes to `State.choose`."""
    made = State([Subject(local_softcam(), "local", CLASSES, SIDE, 0.0, 0.0)], pictures())
    made.choose(**given)
    return made
