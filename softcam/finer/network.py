"""Finer maps from a trained network, without new weights: stride traded for dilation.

A layer that skips every second position is told to skip none, and every layer after it reads its
input at twice the distance (the *à trous* algorithm, Holschneider et al. 1989; in networks Yu &
Koltun, ICLR 2016; Chen et al., "DeepLab", TPAMI 2018). What then holds, with r = old stride / new
stride and Z the feature maps:

    Z_new[:, :, ::r, ::r] = Z_old      on images whose sides are multiples of the old stride,

borders included, as long as every layer looks at a window. Each of the r^2 shifted grids is the
old network's answer on its own grid. The identity fails where a layer looks at all cells at once
(squeeze-and-excitation, attention): it now sees r^2 times as many. What is measured on a probe
stands in the notes of the conversion. The *logits* are means over all r^2 grids and so differ in
any case: no new weights is not the same function.

Which layers change is decided by what they do to the size of a probe image, not by names.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.copying import own_copy
from softcam.evidence import SoftCAM
from softcam.finer.atrous import LONGEST, MEND, held
from softcam.finer.windows import Window, read_window, with_window
from softcam.proof import first_line, probe_copy, probe_inputs, quiet, reduction_of
from softcam.wrappers import BlackBox

__all__ = ["finer_maps"]

MEASURED = (256, 192)  # px; large enough that unpadded layers do not blur which stride is meant

Model = TypeVar("Model", bound=nn.Module)
Sizes = tuple[int, int]


@dataclass(frozen=True)
class _Site:
    """A module that turns one map (B, C, H, W) into another, seen on the probe."""

    path: str
    module: nn.Module
    before: Sizes
    after: Sizes
    stride: int  # image pixels a cell of its input, as a power of two

    @property
    def shrinks(self) -> bool:
        return self.after[0] <= self.before[0] * 0.6 and max(self.after) > 1


def finer_maps(model: Model, output_stride: int) -> Model:
    """A copy of a trained network whose map has a cell every `output_stride` pixels.

    Same weights, same names in the state dict; modes, device and precision are kept, hooks are
    not. Time and memory of the layers concerned grow with the number of cells. Batch norm keeps
    its statistics: see `recalibrate_batch_norm`.

    Args:
        model: a `SoftCAM`, a `BlackBox`, or a bare network that `to_softcam` converts.
        output_stride: pixels a cell; a power of two, at most the present one. The present one
            gives a plain copy.

    Returns:
        The same kind of model. A SoftCAM's `conversion` has the new reduction, and notes on what
        was done and whether every r-th cell of the new map is a cell of the old one.

    Raises:
        SoftCAMError: another output stride, or a network whose map shrinks in a layer that has
            no stride to give up, or that is made for one size of map (position tables).
    """
    with quiet():
        features, name = probe_copy(_features(model)), _name(model)
        sites, present = _sites(features, name)
        known = [2**k for k in range(present.bit_length())]
        if output_stride not in known:
            raise SoftCAMError(
                f"output_stride is {output_stride!r}: {name} has a cell every {present} px, so "
                f"expected one of {', '.join(map(str, known))}. For a coarser map, pool this one."
            )
        if output_stride == present:
            return own_copy(model)  # type: ignore[return-value]
        windows = _plan(sites, output_stride, name)
        finer = copy.deepcopy(features)
        _rework(finer, windows)
        grids = held(features, finer, present // output_stride, f"{name} at {output_stride} px")
    copied = own_copy(model)
    if not isinstance(copied, SoftCAM):
        own = _own(windows, features, copied)
        _rework(copied.net if isinstance(copied, BlackBox) else copied, own)
    else:
        _rework(copied.backbone, windows)
        if copied.conversion:
            note = _note(windows, present, output_stride)
            cell = reduction_of(finer, getattr(finer, "net", finer))
            notes = (*copied.conversion.notes, note, grids)
            copied.conversion = replace(copied.conversion, reduction=cell, notes=notes)
    return copied  # type: ignore[return-value]


def _features(model: nn.Module) -> nn.Module:
    """The part from images to Z; that of a network is found as `to_softcam` finds it."""
    return model.backbone if isinstance(model, SoftCAM) else to_softcam(model).backbone


def _own(windows: dict[str, Window], features: nn.Module, model: nn.Module) -> dict[str, Window]:
    """The paths of the features as paths of the network they were cut from.

    That may be wrapped (`DataParallel`), or have had its features in a part of their own (VGG).
    """
    net = model.net if isinstance(model, BlackBox) else model
    kinds = {path: type(module) for path, module in net.named_modules()}
    asked = {path: type(features.get_submodule(path)) for path in windows}
    for root in sorted(kinds, key=len):  # the network itself first
        for cut in ("", "net."):
            own = {path: f"{root}.{path.removeprefix(cut)}".strip(".") for path in windows}
            if all(kinds.get(own[path]) is asked[path] for path in windows):
                return {own[path]: window for path, window in windows.items()}
    raise SoftCAMError(
        f"the layers that give {_name(model)} its map are not found in it again by name: give "
        "finer_maps the converted network, to_softcam(model)."
    )


def _sites(features: nn.Module, name: str) -> tuple[list[_Site], int]:
    """Every module that took and gave a map, in the order they ran; pixels a cell at the end."""
    found: list[_Site] = []
    height = 0

    def listen(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            x = inputs[0] if inputs else None
            if isinstance(x, Tensor) and isinstance(output, Tensor) and x.ndim == output.ndim == 4:
                sizes = (x.shape[2], x.shape[3]), (output.shape[2], output.shape[3])
                found.append(_Site(path, module, *sizes, _power(height, x.shape[2])))

        return hook

    hooks = [m.register_forward_hook(listen(path)) for path, m in features.named_modules() if path]
    try:
        problem: Exception | None = None
        for x in (torch.randn(1, 3, *MEASURED), *probe_inputs(getattr(features, "net", features))):
            found.clear()
            height = x.shape[2]
            try:
                with torch.no_grad():
                    return found, _power(height, features(x).shape[2])
            except Exception as error:  # a network may raise anything at a size it does not take
                problem = error
        why = first_line(problem)[:LONGEST] if problem else "no size fits"
        raise SoftCAMError(f"{name} does not run on a probe image: {why}.")
    finally:
        for each in hooks:
            each.remove()


def _plan(sites: list[_Site], output_stride: int, name: str) -> dict[str, Window]:
    """The new window of every layer that needs one, by its path.

    Raises:
        SoftCAMError: the map shrinks where there is no stride to give up.
    """
    windows: dict[str, Window] = {}
    shrinking: list[_Site] = []
    able: set[str] = set()
    for site in sites:
        if max(site.before) == 1:  # a global descriptor has no grid
            continue
        old = read_window(site.module, site.before, site.after)
        if site.shrinks and 2 * site.stride > output_stride:
            shrinking.append(site)
        if old is None:
            continue
        able.add(site.path)
        factor = max(1, site.stride // output_stride)
        own = min(site.stride, output_stride)
        step = tuple(max(1, min(site.stride * s, output_stride) // own) for s in old.step)
        new = replace(old, factor=old.factor * factor, step=(step[0], step[1]))
        if step != old.step or (factor > 1 and max(old.kernel) > 1):
            if windows.setdefault(site.path, new) != new:
                raise SoftCAMError(
                    f"{name} uses {site.path} on maps of several sizes, so it cannot be dilated "
                    f"for one of them. {MEND}"
                )
    for site in shrinking:
        inside = [path for path in able if path == site.path or path.startswith(f"{site.path}.")]
        if not any(path in windows for path in inside):
            raise SoftCAMError(
                f"the map of {name} shrinks in {site.path} ({type(site.module).__name__}), which "
                f"has no stride that could be traded for dilation. {MEND}"
            )
    return windows


def _rework(root: nn.Module, windows: dict[str, Window]) -> None:
    for path, window in windows.items():
        parent, _, child = path.rpartition(".")
        old = root.get_submodule(path)
        new = with_window(old, window)
        if new is not old:
            new.training = old.training
            setattr(root.get_submodule(parent), child, new)


def _note(windows: dict[str, Window], present: int, output_stride: int) -> str:
    dilated = sum(window.factor > 1 and max(window.kernel) > 1 for window in windows.values())
    given_up = sum(window.step != window.stride for window in windows.values())
    return (
        f"a cell every {output_stride} px instead of {present}, with the same weights: {given_up} "
        f"layers gave up their stride and {dilated} are dilated. The logits are other than those "
        f"of the network it was made from, and a map drawn over the image lies "
        f"{(present - output_stride) / 2:g} px up and left of the old one, nearer to what it shows "
        "or farther from it: see map_offset"
    )


def _power(pixels: int, cells: int) -> int:
    """Pixels a cell as the nearest power of two: borders blur it."""
    return int(2 ** round(math.log2(max(1.0, pixels / cells))))


def _name(model: nn.Module) -> str:
    net = model.net if isinstance(model, BlackBox) else model
    net = getattr(net.backbone, "net", net.backbone) if isinstance(net, SoftCAM) else net
    return type(net).__name__
