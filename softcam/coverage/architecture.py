"""One architecture, one row: is it converted, how, and what is its map like?"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.coverage.field import receptive_field
from softcam.coverage.spatial import has_spatial_map
from softcam.evidence import SoftCAM

__all__ = [
    "CONVERTED",
    "LIBRARIES",
    "SIDES",
    "MapFacts",
    "Row",
    "build",
    "forward_ratio",
    "look",
    "measure",
    "names",
    "own_size",
    "two_classes",
    "version",
]

LIBRARIES = ("timm", "torchvision")
CONVERTED = ("exact", "pointwise", "paper")
SIDES = (224, 512)  # px
PAIRS, SECONDS, CLASSES = 7, 1.0, 2  # of the forward ratio; at least so many, and so long


@dataclass(frozen=True)
class Row:
    """What is known about one architecture, as a line of the table.

    Attributes:
        library: `timm` or `torchvision`.
        version: of the library.
        architecture: the name that the library builds it by.
        kind: `exact`, `pointwise`, `paper`; `none` where `to_softcam` refuses it; `failed` where
            something broke, ran out of time or out of memory; `larger` where timm's has more
            parameters than asked for, which no table shows.
        spatial_map: timm's `forward_features` gives one; None where that is not known, as for
            torchvision, whose networks have no such verb. See `softcam.coverage.spatial`.
        logit_difference: of the conversion, as a share of the logit scale; None where there is
            none.
        stride: image pixels a cell of the map, rounded up.
        map_224, map_512: rows x columns of the map of a square image; `-` for a size that the
            network does not take.
        receptive_field: see `softcam.coverage.field`.
        parameters: of the original, with the library's own number of classes.
        forward_ratio: least time of the converted forward pass over the original's, with two
            classes at the network's own image size; None where it was not timed. Few pairs, and
            other architectures may run beside: good to a few percent.
        notes: the conversion's notes, or the reason why there is none.
    """

    library: str
    version: str
    architecture: str
    kind: str
    spatial_map: bool | None = None
    logit_difference: float | None = None
    stride: int | None = None
    map_224: str = "-"
    map_512: str = "-"
    receptive_field: str = "-"
    parameters: int | None = None
    forward_ratio: float | None = None
    notes: str = ""

    def within(self, max_parameters: float) -> bool:
        """It has no more parameters than that, as far as they could be counted.

        The limit is for timm, whose list goes up to networks of billions; torchvision's is whole.
        """
        if self.library != "timm" or self.parameters is None:
            return True
        return self.parameters <= max_parameters


@dataclass(frozen=True)
class MapFacts:
    """The map of one converted network: `sizes`, side in px to `7x7` or `-`, and what it sees."""

    sizes: dict[int, str]
    receptive_field: str
    notes: tuple[str, ...] = ()


def names(library: str) -> list[str]:
    """Every architecture that a library builds for classification, sorted."""
    if library == "timm":
        import timm

        return sorted(timm.list_models())
    import torchvision

    return sorted(torchvision.models.list_models(module=torchvision.models))


def version(library: str) -> str:
    """The installed version of a library, without its build tag."""
    from importlib.metadata import version as installed

    return installed(library).partition("+")[0]


def build(library: str, name: str, num_classes: int | None = None) -> nn.Module:
    """A network with random weights, in evaluation mode; None keeps its own number of classes."""
    keywords: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if library == "timm":
        import timm

        net: nn.Module = timm.create_model(name, pretrained=False, **keywords)
    else:
        import torchvision

        net = torchvision.models.get_model(name, weights=None, **keywords)
    return net.eval()


def measure(library: str, name: str, max_parameters: float, timed: bool = False) -> Row:
    """Build, convert and describe one architecture, with random weights.

    Args:
        library: one of `LIBRARIES`.
        name: one of its `names`.
        max_parameters: a larger network of timm is counted and nothing else.
        timed: time the forward pass as well.

    Raises:
        Exception: whatever the library, or the conversion of a network that it should have
            refused, may raise; only a refusal becomes a row here.
    """
    row = Row(library, version(library), name, "larger", parameters=_count(library, name))
    if not row.within(max_parameters):
        return row
    torch.manual_seed(0)
    net = build(library, name)
    row = replace(row, parameters=sum(parameter.numel() for parameter in net.parameters()))
    if not row.within(max_parameters):
        return row
    row = replace(row, spatial_map=has_spatial_map(net, own_size(net)))
    try:
        model = to_softcam(net).eval()
    except SoftCAMError as refusal:
        return replace(row, kind="none", notes=str(refusal))
    conversion = model.conversion
    assert conversion is not None
    facts = look(model, own_size(net))
    row = replace(
        row,
        kind=conversion.kind,
        logit_difference=conversion.max_logit_difference,
        stride=conversion.reduction,
        map_224=facts.sizes[224],
        map_512=facts.sizes[512],
        receptive_field=facts.receptive_field,
        notes="; ".join((*conversion.notes, *facts.notes)),
    )
    if not timed:
        return row
    ratio = forward_ratio(*two_classes(library, name, net, model))
    return replace(row, forward_ratio=ratio)


def look(model: SoftCAM, own: tuple[int, int], sides: tuple[int, ...] = SIDES) -> MapFacts:
    """Map sizes and receptive field of a converted network on the CPU.

    Args:
        model: in evaluation mode.
        own: (H, W) of the images that the original was made for.
        sides: of the square images to try, in px.
    """

    def maps(x: Tensor) -> Tensor:
        return model.evidence(model.backbone(x))

    sizes = {side: _map_size(model, side, side) for side in sides}
    notes: tuple[str, ...] = ()
    if "-" in sizes.values() and own not in [(side, side) for side in sides]:
        found = _map_size(model, *own)
        if found != "-":
            notes = (f"a map of {found} cells at its own size, {own[0]}x{own[1]} px",)
    return MapFacts(sizes, receptive_field(maps, own), notes)


def own_size(net: nn.Module) -> tuple[int, int]:
    """(H, W) of the images that a network was made for: timm's setting, else 224 px."""
    settings = getattr(net, "pretrained_cfg", None) or {}
    size = settings.get("input_size") or (3, 224, 224)
    return int(size[1]), int(size[2])


def two_classes(
    library: str, name: str, net: nn.Module, model: SoftCAM
) -> tuple[nn.Module, SoftCAM]:
    """A network and its conversion with the last layer of both for two classes; uses them up.

    timm's networks swap it, which spares a second conversion.
    """
    if not hasattr(net, "reset_classifier"):
        net = build(library, name, CLASSES)
        return net, to_softcam(net).eval()
    net.reset_classifier(CLASSES)  # type: ignore[operator]
    layers = list(model.evidence) if isinstance(model.evidence, nn.Sequential) else [model.evidence]
    last = nn.Conv2d(layers[-1].in_channels, CLASSES, 1)  # type: ignore[arg-type]
    evidence = nn.Sequential(*layers[:-1], last) if layers[:-1] else last
    return net.eval(), SoftCAM(model.backbone, evidence).eval()


def forward_ratio(net: nn.Module, model: SoftCAM) -> float:
    """Least time of the converted forward pass over the original's; the two take turns.

    The least, as whatever else the machine does can only add to a time.
    """
    x = torch.rand(1, 3, *own_size(net))
    seconds: dict[nn.Module, list[float]] = {net: [], model: []}
    turn, end = 0, time.perf_counter() + SECONDS
    with torch.no_grad():
        while turn <= PAIRS or time.perf_counter() < end:
            for each in (net, model) if turn % 2 else (model, net):
                started = time.perf_counter()
                each(x)
                seconds[each].append(time.perf_counter() - started)
            turn += 1
    return min(seconds[model][1:]) / min(seconds[net][1:])  # the first turn warms up


def _map_size(model: SoftCAM, height: int, width: int) -> str:
    try:
        with torch.no_grad():
            found = model.backbone(torch.zeros(1, 3, height, width))
    except Exception:  # a network may raise anything at a size it does not take
        return "-"
    return f"{found.shape[2]}x{found.shape[3]}"


def _count(library: str, name: str) -> int | None:
    """Parameters, counted without memory for them; None where a network must be built for that."""
    try:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in build(library, name).parameters())
    except Exception:  # a network that reads its own weights while it is built
        return None
