"""VGG and AlexNet as the paper converts them: a convolutional head, freshly initialised.

Their own head is fully connected over a grid of 7x7 or 6x6 cells, so there is no mean pooling that
could change places with it. That, and not a name, is what sets them apart: the first layer behind
`features` reads each cell of the pooled map with weights of its own.

Source: Djoumessi & Berens, "Soft-CAM", MIDL 2026, section on architectures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.copying import own_copy
from softcam.evidence import Conversion
from softcam.proof import NotThisWay, probe_copy, probe_inputs, quiet, reduction_of, run

__all__ = ["paper_head"]

SMALL = ((32, 32), (32, 48))  # maps of these are smaller than the grid that a VGG pools to


@dataclass
class _Pass:
    """One forward pass: what entered and left `features`, and what entered each layer behind."""

    entered: list[Any] = field(default_factory=list)
    left: list[Any] = field(default_factory=list)
    layers: list[tuple[nn.Module, Tensor]] = field(default_factory=list)


def paper_head(
    net: nn.Module, num_classes: int | None, width: int
) -> tuple[nn.Module, nn.Sequential, Conversion]:
    """Features without the pooling to a fixed grid, and a head of three 1x1 convolutions.

    Args:
        net: stays as it is.
        num_classes: C; None takes the network's.
        width: of the two hidden layers; 4096 in the paper.

    Raises:
        NotThisWay: the network is not of this family.
    """
    if not isinstance(getattr(net, "features", None), nn.Module):
        raise NotThisWay("it is no VGG: it has no `features`")
    with quiet():
        probe = probe_copy(net)
        channels, classes = _read(probe, net)
        features = probe.get_submodule("features")
        reduction = reduction_of(features, net)
    copied = own_copy(net)
    like = next(copied.parameters())
    head = nn.Sequential(
        nn.Conv2d(channels, width, 1), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Conv2d(width, width, 1), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Conv2d(width, num_classes or classes, 1),
    ).to(like.device, like.dtype)  # fmt: skip
    notes = (
        "the paper's VGG head, freshly initialised: the old logits are lost, train before use",
        "its own head is fully connected over a grid of cells, not mean pooling and one layer",
    )
    conversion = Conversion("paper", None, reduction, notes)
    return copied.get_submodule("features"), head, conversion


def _read(probe: nn.Module, net: nn.Module) -> tuple[int, int]:
    """D of the map that `features` gives, and C, if `probe` is of this family.

    Raises:
        NotThisWay: it is not.
    """
    found = None
    for x in _images(net):
        seen, logits = _watched(probe, x)
        if not isinstance(logits, Tensor):
            continue
        z = _map_of(seen, x)
        first, given = seen.layers[0] if len(seen.layers) > 1 else (None, x)
        if first is None or not _reads_a_grid(first, given, z):
            raise NotThisWay("it is no VGG: its first layer behind `features` reads no grid")
        found = z.shape[1], logits.shape[1]
        if tuple(x.shape[2:]) != SMALL[0]:
            break
    if found is None:
        raise NotThisWay("it is no VGG: it does not run on a probe image")
    return found


def _images(net: nn.Module) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for height, width in SMALL:
        yield torch.randn(2, 3, height, width, generator=generator)
    yield from probe_inputs(net)


def _watched(probe: nn.Module, x: Tensor) -> tuple[_Pass, Tensor | str]:
    """Run `probe` and see what passes its `features` and the layers behind."""
    seen, features = _Pass(), probe.get_submodule("features")
    inside = set(features.modules())

    def enters(module: nn.Module, args: tuple[Any, ...]) -> None:
        seen.entered.append(args[0] if args else None)

    def leaves(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        seen.left.append(out.clone() if isinstance(out, Tensor) else out)  # next is in place

    def behind(module: nn.Module, args: tuple[Any, ...]) -> None:
        seen.layers.append((module, args[0]))

    handles = [features.register_forward_pre_hook(enters), features.register_forward_hook(leaves)]
    handles += [
        module.register_forward_pre_hook(behind)
        for module in probe.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module not in inside
    ]
    logits = run(probe, x)
    for handle in handles:
        handle.remove()
    return seen, logits


def _map_of(seen: _Pass, x: Tensor) -> Tensor:
    """The map that `features` gives, if it takes the image itself, once.

    Raises:
        NotThisWay: it does not.
    """
    z = seen.left[0] if len(seen.left) == 1 else None
    if not isinstance(z, Tensor) or z.ndim != 4:
        raise NotThisWay("it is no VGG: its `features` give no map (B, D, h, w)")
    if not isinstance(seen.entered[0], Tensor) or not torch.equal(seen.entered[0], x):
        raise NotThisWay("it is no VGG: its `features` do not take the image itself")
    return z


def _reads_a_grid(layer: nn.Module, given: Tensor, z: Tensor) -> bool:
    """Whether a layer takes all cells of `z`, pooled to a grid of at least two, at once."""
    if isinstance(layer, nn.Conv2d):
        sides = (given.shape[2], given.shape[3])
        grids = [sides] if sides == layer.kernel_size and layer.padding == (0, 0) else []
    else:
        cells, rest = divmod(given.shape[-1], z.shape[1])
        rows = [n for n in range(1, cells + 1) if cells % n == 0]
        grids = [] if rest or given.ndim != 2 else [(n, cells // n) for n in rows]
    pooled = (
        pool(z, grid).flatten(1)
        for grid in grids
        if grid != (1, 1)
        for pool in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d)
    )
    return any(_equal(grid, given.flatten(1)) for grid in pooled)


def _equal(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, 1e-4, 1e-6)
