"""Effects that need no trained network: closed forms, and small constructions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from softcam.convert import to_softcam
from softcam.metrics import MapBatch
from softcam.metrics.paper import PUBLIC, cubic_resize, patch_precision
from softcam.metrics.paper.patches import public_grid
from softcam.penalties import elastic_net
from softcam.reproduce.deviations.material import PUBLIC_SIDE, Material, Place, at_public_size
from softcam.reproduce.deviations.records import Measured
from softcam.reproduce.deviations.spread import paired
from softcam.vgg import paper_head

__all__ = ["ATTRIBUTED", "CLOSED"]

CELLS = 16  # of a map at 512 px
LONE = -262.0  # the most negative cell that the public notebooks print
ATTRIBUTIONS = 16  # images with a made-up pixel attribution
NOISE = 2.0  # its noise, over its signal


def norms_of_flat_and_spike(material: Material) -> Iterable[tuple[str, Measured]]:
    """Two maps with the same logit: one evenly spread, one in a single cell."""
    flat = torch.full((1, 1, CELLS, CELLS), 2.0)
    spike = torch.zeros_like(flat)
    spike[..., 5, 10] = flat.sum()
    for name, weights in (("l1-flat-spike", (1.0, 0.0)), ("l2-flat-spike", (0.0, 1.0))):
        ratio = elastic_net(flat, *weights) / elastic_net(spike, *weights)
        yield name, Measured(float(ratio))


def gradient_at_zero(material: Material) -> Iterable[tuple[str, Measured]]:
    """A root written by hand, and ours, at maps of zeros."""
    penalties: dict[str, Callable[[Tensor], Tensor]] = {
        "root-nan": lambda maps: maps.square().sum().sqrt(),
        "root-ours": lambda maps: elastic_net(maps, 1.0, 1.0),
    }
    for name, penalty in penalties.items():
        maps = torch.zeros(1, 2, 4, 4, requires_grad=True)
        (gradient,) = torch.autograd.grad(penalty(maps), maps)
        yield name, Measured(float(gradient.isnan().double().mean()))


def ringing_of_a_lone_cell(material: Material) -> Iterable[tuple[str, Measured]]:
    """What the cubic kernel makes around one strong cell."""
    lone = torch.zeros(1, CELLS, CELLS)
    lone[0, CELLS // 2, CELLS // 2] = LONE
    grid = public_grid(PUBLIC_SIDE)
    yield "ringing-lone", Measured(float(cubic_resize(lone, (grid.rows, grid.columns)).max()))


def pixels_never_read(material: Material) -> Iterable[tuple[str, Measured]]:
    """How many pixels have no weight in any cell of the public grid."""
    rows = public_grid(PUBLIC_SIDE).rows
    weights = cubic_resize(torch.eye(PUBLIC_SIDE)[:, None, :], (1, rows))[:, 0]  # pixels x cells
    read = (weights != 0).any(1).double().mean()
    yield "aliasing-read", Measured(float(1 - read**2))


def grid_offsets(material: Material) -> Iterable[tuple[str, Measured]]:
    """How far the first and the last patch lie from where the map was read."""
    grid = public_grid(PUBLIC_SIDE)
    at = torch.arange(grid.rows)
    patch = at * grid.stride + grid.size / 2
    offset = patch - (at + 0.5) * PUBLIC_SIDE / grid.rows
    yield "grid-first", Measured(float(offset[0]))
    yield "grid-last", Measured(float(offset[-1]))


def noisy_attributions(material: Material, place: Place) -> Iterable[tuple[str, Measured]]:
    """A pixel attribution that knows the finding but for noise, sampled and averaged."""
    maps = material.sparse(place)
    if maps is None:
        return
    rows = np.arange(min(ATTRIBUTIONS, len(maps.indices)))
    findings = at_public_size(maps.findings_of(rows))
    generator = torch.Generator().manual_seed(material.seed)
    noise = torch.randn(findings.shape, generator=generator)
    batch = MapBatch(findings + NOISE * noise, findings)
    averaged = PUBLIC.at(0.0).without("cubic")
    cubic, mean = (patch_precision(batch, quirks=each) for each in (PUBLIC.at(0.0), averaged))
    data = f"made-up attributions on the findings of {place}"
    yield "aliasing-precision", paired(cubic, mean, 0, data, material)


def densenet(material: Material) -> Iterable[tuple[str, Measured]]:
    """A small random DenseNet with batch statistics of noise, with and without its last ReLU."""
    from torchvision.models import DenseNet

    with torch.no_grad():
        torch.manual_seed(0)
        net = DenseNet(8, (2, 2), 16, num_classes=4).train()
        images = torch.randn(16, 3, 64, 64)
        for _ in range(20):  # running statistics settle
            net(images)
        net.eval()
        logits, bias = net(images), net.classifier.bias
        scale = float((logits - bias).abs().max())
        lost = net.classifier(net.features(images).mean((2, 3)))
        kept = to_softcam(net).eval()(images)
    data = "torchvision DenseNet of two small blocks, noise"
    for name, other in (("densenet-lost", lost), ("densenet-kept", kept)):
        difference = float((other - logits).abs().max()) / scale
        yield name, Measured(difference, n=len(images), unit="images", data=data)


def vgg_parameters(material: Material) -> Iterable[tuple[str, Measured]]:
    """torchvision's VGG-16, counted without memory, against its features and the paper's head."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        black_box = vgg16(num_classes=2)
    head = paper_head(_NarrowVGG().eval(), 2, 4096)[1]  # as wide as VGG-16's: 512 channels
    softcam = _count(black_box.features) + _count(head)
    difference = (softcam - _count(black_box)) / 1e6
    yield "vgg-parameters", Measured(difference, data="torchvision VGG-16, two classes")


class _NarrowVGG(nn.Module):
    """The end of a VGG-16: 512 channels, a grid of cells, linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 512, 3, stride=8, padding=1), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(nn.Linear(2048, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


CLOSED = {
    norms_of_flat_and_spike: ("l1-flat-spike", "l2-flat-spike"),
    gradient_at_zero: ("root-nan", "root-ours"),
    ringing_of_a_lone_cell: ("ringing-lone",),
    pixels_never_read: ("aliasing-read",),
    grid_offsets: ("grid-first", "grid-last"),
    densenet: ("densenet-lost", "densenet-kept"),
    vgg_parameters: ("vgg-parameters",),
}
ATTRIBUTED = {noisy_attributions: ("aliasing-precision",)}
