"""How a conversion proves itself: original and converted network on the same probe.

A fresh network hides mistakes: biases of zero, batch norms that do nothing, residual branches
scaled by zero, square inputs. The probe is a copy in which all of these are given random values,
fed with a non-square input, in evaluation and in training mode. If the logits agree there, the two
are the same function and not only the same numbers at one lucky point.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from softcam.common import SoftCAMError

__all__ = [
    "Dropouts",
    "NotThisWay",
    "Proof",
    "first_output",
    "own_copy",
    "probe_copy",
    "probe_inputs",
    "prove",
    "quiet",
    "reduction_of",
]

TOLERANCE = 1e-5  # of the logit scale, max |logit - bias|
NON_SQUARE = (128, 96)
_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)


class NotThisWay(Exception):
    """One way of converting does not fit this network; the message says why."""


@dataclass(frozen=True)
class Proof:
    """What the probe showed.

    Attributes:
        difference: max |logit difference| / max |logit - bias|, over both modes.
        notes: what a reader should know, such as an input size that had to be used.
    """

    difference: float
    notes: tuple[str, ...] = ()


class Dropouts(TorchFunctionMode):
    """While active no activation is dropped; the rates that were asked for are kept in `rates`.

    Dropout is the one random thing that sits on different sides of the pooling in the two
    networks, so it is switched off to compare them in training mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _DROPOUTS:
            return func(*args, **kwargs)
        if kwargs.get("training", True) and kwargs.get("p", 0.5) > 0:
            self.rates.append(float(kwargs.get("p", 0.5)))
        return args[0] if args else kwargs["input"]


def own_copy(net: nn.Module) -> nn.Module:
    """A deep copy that shares nothing with the original, without the hooks someone hung on it.

    Hooks that belong to torch (weight norm, spectral norm) are part of the function and stay.
    """
    try:
        copied = copy.deepcopy(net)
    except (RuntimeError, TypeError) as error:
        raise SoftCAMError(
            f"{type(net).__name__} cannot be copied ({str(error).splitlines()[0]}): delete tensors "
            "of an earlier forward pass that are kept as attributes, then convert."
        ) from error
    for module in copied.modules():
        for hooks in _hook_tables(module):
            for key, hook in list(hooks.items()):
                if not type(hook).__module__.startswith("torch."):
                    del hooks[key]
    return copied


def probe_copy(net: nn.Module) -> nn.Module:
    """A copy on the CPU in float32 with nothing left at zero: see the module's docstring."""
    probe = own_copy(net).to("cpu", torch.float32)
    with torch.no_grad():
        for parameter in probe.parameters():
            if parameter.numel() and parameter.abs().max() < 1e-3:
                parameter.uniform_(0.1, 0.3)  # layer scales, residual gammas, biases of zero
        for module in probe.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                _shake(module)
            elif isinstance(module, (nn.Linear, nn.Conv2d)) and module.bias is not None:
                module.bias += 0.3 * torch.randn_like(module.bias)  # the head's among them
    return probe.eval()


def _shake(norm: nn.modules.batchnorm._BatchNorm) -> None:
    # Around the values it has, so that a trained network does not blow up over its depth.
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean.add_(0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean))
        norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(0.7, 1.4))
    if norm.affine:
        norm.weight.mul_(torch.empty_like(norm.weight).uniform_(0.7, 1.4))
        if norm.bias is not None:  # a norm may scale alone
            norm.bias.add_(0.1 * torch.randn_like(norm.bias))


def prove(net: nn.Module, convert: Callable[[nn.Module], nn.Module], bias: Tensor) -> Proof:
    """Compare `net` with `convert(its copy)` in evaluation and in training mode.

    Args:
        net: the probe copy; left in evaluation mode.
        convert: gives the converted network for a copy of the probe.
        bias: (C,) of the probe's classifier, taken off the logits to find their scale.

    Raises:
        NotThisWay: the logits differ, by how much, or one of the two fails.
    """
    worst, notes = 0.0, list[str]()
    for training in (False, True):
        mode = "training" if training else "evaluation"
        for precision in (torch.float32, torch.float64):
            original = copy.deepcopy(net).to(precision).train(training)
            converted = convert(copy.deepcopy(net)).to(precision).train(training)
            difference, size = _difference(original, converted, bias.to(precision), precision)
            if difference <= TOLERANCE:
                break  # float32 rounding alone can exceed the bar in a deep network
        if not difference <= TOLERANCE:
            raise NotThisWay(
                f"mean pooling and the linear layer alone do not give its logits: they differ by "
                f"{difference:.2g} of the logit scale in {mode} mode"
            )
        worst = max(worst, difference)
        if size != NON_SQUARE:
            notes.append(
                f"proved at {size[0]}x{size[1]} px in {mode} mode: {NON_SQUARE[0]}x"
                f"{NON_SQUARE[1]} px is a size it does not take"
            )
        if precision is torch.float64:
            notes.append(
                f"proved in float64 in {mode} mode: rounding alone exceeds the bar in float32"
            )
    return Proof(worst, tuple(notes))


def _difference(
    original: nn.Module, converted: nn.Module, bias: Tensor, precision: torch.dtype
) -> tuple[float, tuple[int, int]]:
    for x in probe_inputs(original, precision):
        expected = _run(original, x)
        if isinstance(expected, str):
            continue
        found = _run(converted, x)
        if isinstance(found, str):
            raise NotThisWay(f"the converted network fails where the original runs: {found}")
        if found.shape != expected.shape:
            raise NotThisWay(f"logits of shape {tuple(expected.shape)} became {tuple(found.shape)}")
        scale = (expected - bias).abs().max().item()
        if not 0 < scale < float("inf"):
            raise NotThisWay(f"its logits on the probe have the scale {scale}, nothing to compare")
        return (found - expected).abs().max().item() / scale, (x.shape[2], x.shape[3])
    raise NotThisWay(f"it does not run on a probe image: {expected}")


def _run(net: nn.Module, x: Tensor) -> Tensor | str:
    """Logits, or the first line of what went wrong."""
    torch.manual_seed(1)  # stochastic depth draws the same blocks in both networks
    try:
        with torch.no_grad(), Dropouts():
            out = net(x)
    except Exception as error:  # a network may raise anything at a size it does not take
        return f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"
    out = out[0] if isinstance(out, (tuple, list)) else out  # auxiliary logits come second
    return out if isinstance(out, Tensor) else f"it returns a {type(out).__name__}, not logits"


def probe_inputs(net: nn.Module, precision: torch.dtype = torch.float32) -> Iterator[Tensor]:
    """Noise images (2, 3, H, W): non-square first, then the sizes a network may insist on."""
    sizes = [NON_SQUARE]
    settings = getattr(net, "pretrained_cfg", None) or {}
    if settings.get("input_size"):
        sizes.append(tuple(settings["input_size"][-2:]))
    fixed = getattr(getattr(net, "patch_embed", None), "img_size", None)
    if fixed:
        sizes.insert(1, tuple(fixed))
    for height, width in dict.fromkeys([*sizes, (224, 224), (299, 299)]):
        generator = torch.Generator().manual_seed(0)
        yield torch.randn(2, 3, height, width, generator=generator).to(precision)


def first_output(net: nn.Module, function: Callable[[Tensor], Tensor]) -> Tensor:
    """What `function` gives for the first probe image that it takes; `net` says its sizes."""
    problem = ""
    for x in probe_inputs(net):
        try:
            with torch.no_grad():
                z = function(x)
        except Exception as error:  # a network may raise anything at a size it does not take
            problem = str(error).strip().split("\n")[0]
            continue
        if not isinstance(z, Tensor):
            raise NotThisWay(f"its features are a {type(z).__name__}, not one feature map")
        return z
    raise NotThisWay(f"it does not run on a probe image: {problem}")


def reduction_of(backbone: nn.Module, net: nn.Module) -> int:
    """Image pixels a cell of the map, rounded up; on a map of some cells, as borders blur it.

    `net` is the network that the backbone was cut from; it knows the sizes that it takes.
    """
    cell = 0
    for x in probe_inputs(net):
        try:
            with torch.no_grad():
                z = backbone(x)
        except Exception:  # a network may raise anything at a size it does not take  # noqa: S112
            continue
        cell = math.ceil(min(x.shape[2] / z.shape[2], x.shape[3] / z.shape[3]))
        if max(z.shape[2:]) >= 4:
            break
    return cell


def _hook_tables(module: nn.Module) -> Iterator[dict[int, Any]]:
    for name, value in vars(module).items():
        if name in (
            "_forward_hooks",
            "_forward_pre_hooks",
            "_backward_hooks",
            "_backward_pre_hooks",
        ):
            yield value


@contextmanager
def quiet() -> Iterator[None]:
    """A seeded probe that leaves the caller's random numbers as they were (CPU)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
