"""How a conversion proves itself: original and converted network on the same probe.

A fresh network hides mistakes: biases of zero, batch norms that do nothing, residual branches
scaled by zero, square inputs. The probe is a copy in which all of these are given random values,
fed with a non-square input, in evaluation and in training mode. If the logits agree there, the two
are the same function and not only the same numbers at one lucky point.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from softcam.chance import Dropouts, randomise, reseed
from softcam.copying import own_copy

__all__ = [
    "TOLERANCE",
    "Answers",
    "NotThisWay",
    "CellsLeftOut",
    "Silent",
    "Untraceable",
    "answers",
    "cell_size",
    "every_answer",
    "first_line",
    "first_output",
    "is_even",
    "logit_difference",
    "probe_copy",
    "probe_image",
    "probe_inputs",
    "quiet",
    "reduction_of",
    "run",
]

TOLERANCE = 1e-5  # of the logit scale, max |logit - bias|
NON_SQUARE = ((64, 128), (128, 96))  # small ones are quick
OBLONG = (128, 384)
SQUARE = (224, 299, 256, 384, 512, 64, 32, 128, 160, 192, 320, 448)
FINE = 4  # cells along a side of a square map, from which on the borders count little


class NotThisWay(Exception):
    """One way of converting does not fit this network; the message says why."""


class Untraceable(NotThisWay):
    """The network cannot be traced, which says nothing of what it is."""


class Silent(NotThisWay):
    """The logits are the same whatever the image, on this probe; they may not be on another."""


class CellsLeftOut(NotThisWay):
    """At this image size the head does not read all cells; it may at another."""


def probe_copy(
    net: nn.Module, precision: torch.dtype = torch.float32, lively: bool = False
) -> nn.Module:
    """A copy on the CPU with nothing left at zero, in evaluation mode: see the module's docstring.

    The same weights for the same seed in every precision.

    Args:
        net: stays as it is.
        precision: of the copy.
        lively: change all weights and let biases be positive, for a network whose activations are
            silent as it is.
    """
    probe = own_copy(net).to("cpu", torch.float32)
    randomise(probe, lively)
    return probe.to(precision).eval()


Answers = list[tuple[Tensor, Tensor]]  # images, logits


def answers(net: nn.Module, precision: torch.dtype, size: tuple[int, int]) -> Answers:
    """Probe images of this size (H, W) and of another, where the network takes it, with its logits.

    Raises:
        NotThisWay: it does not run on the first, or does not give logits.
    """
    return next(_answers(net, [probe_image(*size).to(precision)]))


def every_answer(net: nn.Module, precision: torch.dtype) -> Iterator[Answers]:
    """The same for each size that the network takes.

    Raises:
        NotThisWay: it takes none (more), or does not give logits.
    """
    return _answers(net, probe_inputs(net, precision))


def _answers(net: nn.Module, images: Iterable[Tensor]) -> Iterator[Answers]:
    problem = "no size fits"
    for x in images:
        logits = run(net, x)
        if isinstance(logits, str):
            problem = logits
            continue
        more = ((other, run(net, other)) for other in _other_sizes(x))
        second = next(((other, y) for other, y in more if isinstance(y, Tensor)), None)
        yield [(x, logits), *([second] if second else [])]
    raise NotThisWay(f"a probe image does not give logits: {problem}")


def _other_sizes(x: Tensor) -> Iterator[Tensor]:
    """One image of another area, and of the other aspect where `x` is no square."""
    height, width = x.shape[2:]
    if height != width:
        turned = x[:1].mT.contiguous()  # (1, 3, W, H)
        if 3 * width > 4 * height:
            yield turned[:, :, : 3 * width // 4]  # still higher than wide
        yield torch.cat([turned, turned[:, :, : width // 2]], 2)
        yield turned
    else:
        yield torch.cat([x[:1]] * 2, 3)


def logit_difference(found: Tensor | str, expected: Tensor, bias: Tensor) -> float:
    """max |found - expected| as a share of max |expected - bias|.

    Args:
        found: logits, or what `run` says went wrong.
        expected: (B, C) logits.
        bias: (C,) or a scalar; what the logits hold whatever the image.

    Raises:
        NotThisWay: the two cannot be compared.
    """
    if isinstance(found, str):
        raise NotThisWay(f"the converted network fails where the original runs: {found}")
    if found.shape != expected.shape:
        raise NotThisWay(f"logits of shape {tuple(expected.shape)} became {tuple(found.shape)}")
    scale = (expected - bias).abs().max().item()
    if scale == 0:
        raise Silent("its logits on the probe are the same whatever the image: nothing to compare")
    if not scale < float("inf"):
        raise NotThisWay(f"its logits on the probe have the scale {scale}, nothing to compare")
    return (found - expected).abs().max().item() / scale


def run(net: nn.Module, x: Tensor) -> Tensor | str:
    """Logits, or the first line of what went wrong."""
    reseed(1)  # stochastic depth draws the same blocks in both networks
    try:
        with torch.no_grad(), Dropouts():
            out = net(x)
    except Exception as error:  # a network may raise anything at a size it does not take
        return f"{type(error).__name__}: {first_line(error)}"
    several = isinstance(out, (tuple, list)) and len(out) > 0
    tables = [y for y in out if isinstance(y, Tensor) and y.ndim == 2] if several else []
    if len(tables) > 1 and not net.training:  # in training auxiliary logits may follow
        shapes = " and ".join(str(tuple(y.shape)) for y in tables)
        return f"it gives {len(tables)} tables, {shapes}: wrap it to return only the logits"
    first = out[0] if several else out
    if isinstance(first, Tensor) and first.ndim == 2:
        return first
    if isinstance(out, Tensor):
        mend = ": give it one column, (B, 1)" if out.shape == x.shape[:1] else ""
        return f"it gives a tensor of shape {tuple(out.shape)}, expected logits (B, C){mend}"
    if isinstance(out, dict):
        keys = ", ".join(map(str, out))
        return f"it gives a dict ({keys}): wrap it so that it returns the logits (B, C)"
    return f"it gives a {type(out).__name__}, and a list of features has no classifier"


def probe_inputs(net: nn.Module, precision: torch.dtype = torch.float32) -> Iterator[Tensor]:
    """Noise images (2, 3, H, W): non-square first, then the sizes a network may insist on."""
    sizes = [*NON_SQUARE]
    settings = getattr(net, "pretrained_cfg", None) or {}
    fixed = getattr(getattr(net, "patch_embed", None), "img_size", None)
    if fixed:
        sizes.append(tuple(fixed))
    if settings.get("input_size"):
        sizes.append(tuple(settings["input_size"][-2:]))
    for height, width in dict.fromkeys([*sizes, *((side, side) for side in SQUARE)]):
        yield probe_image(height, width).to(precision)


def probe_image(height: int, width: int) -> Tensor:
    """Two images of noise, (2, 3, H, W), the same each time."""
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def first_output(net: nn.Module, function: Callable[[Tensor], Any]) -> tuple[Tensor, Any]:
    """The first probe image that `function` takes, and what it gives; `net` says its sizes.

    Raises:
        NotThisWay: it takes none of them.
    """
    problem = ""
    for x in probe_inputs(net):
        try:
            with torch.no_grad():
                return x, function(x)
        except Exception as error:  # a network may raise anything at a size it does not take
            problem = first_line(error)
    raise NotThisWay(f"it does not run on a probe image: {problem}")


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def reduction_of(backbone: nn.Module, net: nn.Module) -> int:
    """Image pixels from one cell of the map to the next, where it runs on several cells.

    `net` is the network that the backbone was cut from; it knows the sizes that it takes.
    """
    cell = 0
    for x in (probe_image(*OBLONG), *probe_inputs(net)):
        try:
            with torch.no_grad():
                z = backbone(x[:1])
        except Exception:  # a network may raise anything at a size it does not take  # noqa: S112
            continue
        cell = cell_size(x, z)
        if x.shape[3] == OBLONG[1] or max(z.shape[2:]) >= FINE:
            break
    return cell


def is_even(x: Tensor, z: Tensor) -> bool:
    """Whether maps (B, D, h, w) of images (B, 3, H, W) show the stride beyond doubt."""
    cell, (rows, columns) = cell_size(x, z), z.shape[2:]
    enough = rows != columns or rows >= FINE
    return enough and (cell * rows, cell * columns) == tuple(x.shape[2:])


def cell_size(x: Tensor, z: Tensor) -> int:
    """Image pixels from one cell to the next, of images (B, 3, H, W) and their maps (B, D, h, w).

    Two sides tell the stride from what is lost at the borders; equal ones do not: then it is the
    pixels a cell, rounded up.
    """
    height, width, rows, columns = *x.shape[2:], *z.shape[2:]
    if rows != columns:
        cell = round((height - width) / (rows - columns))
        if cell < 0:
            raise NotThisWay("its map is taller where the image is wider, which is no map of it")
        return cell
    return math.ceil(min(height / rows, width / columns))


@contextmanager
def quiet() -> Iterator[None]:
    """A seeded probe that leaves the caller's random numbers as they were."""
    state, plain, numbers = (
        torch.default_generator.get_state(), random.getstate(), np.random.get_state(),
    )  # fmt: skip
    try:
        reseed(0)
        yield
    finally:
        torch.default_generator.set_state(state)
        random.setstate(plain)
        np.random.set_state(numbers)
