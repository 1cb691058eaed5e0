"""The window through which a layer reads its input, widened without moving it.

A convolution or a pooling reads `kernel` values, `dilation` apart, every `stride` positions, from
an input with `padding` around it. On a grid that is `factor` times finer the same layer must read
values `factor` times as far apart, from borders `factor` times as wide, and every position. Where
that needs more room at one end than at the other (even kernels, TensorFlow's 'same' padding), the
room goes to the far end: so position `factor * stride * i` sees what position i has seen.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Window", "read_window", "with_window"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """How a layer reads its input, as it was made and as it is now.

    Attributes:
        kernel, dilation, stride: as the layer was made, (rows, columns).
        padding: likewise; None where the layer pads itself by TensorFlow's rule for 'same'.
        mode: what lies beyond the border: `zeros`, `reflect`, `replicate` or `circular`.
        ceil: a window that hangs over the far end counts.
        factor: how many times finer the grid of its input is now.
        step: the stride now.
    """

    kernel: Pair
    dilation: Pair
    stride: Pair
    padding: Pair | None
    mode: str
    ceil: bool
    factor: int
    step: Pair

    def cells(self, size: int, axis: int) -> int:
        """How many positions the layer, as it was made, had on an input of `size`."""
        stride = self.stride[axis]
        if self.padding is None:
            return math.ceil(size / stride)
        room = size + 2 * self.padding[axis] - self._reach(axis) - 1
        return (math.ceil(room / stride) if self.ceil else room // stride) + 1

    def edges(self, size: int, axis: int) -> Pair:
        """Border before and behind an input of `size`, now; a negative border is cut off."""
        reach, stride, step = self._reach(axis), self.stride[axis], self.step[axis]
        if self.padding is None:
            old = math.ceil(size / self.factor)
            first = max((math.ceil(old / stride) - 1) * stride + reach + 1 - old, 0) // 2
        else:
            first = self.padding[axis]
        before = self.factor * first
        if self.cells(64 * stride, axis) != 64:  # a layer that eats the border goes on to do so
            return before, before
        behind = (math.ceil(size / step) - 1) * step + self.factor * reach + 1 - size - before
        return before, behind

    @property
    def even(self) -> bool:
        """Whether both borders are alike whatever the size, and zero: a layer's own padding."""
        if self.padding is None or self.mode != "zeros" or self.step != (1, 1) or self.ceil:
            return False
        return all(before == behind for before, behind in map(self.edges, (64, 64), (0, 1)))

    @property
    def spread(self) -> Pair:
        """The dilation now."""
        return self.dilation[0] * self.factor, self.dilation[1] * self.factor

    def pad(self, x: Tensor, value: float = 0.0) -> Tensor:
        """The input with its borders, (B, C, H + borders, W + borders)."""
        rows, columns = self.edges(x.shape[2], 0), self.edges(x.shape[3], 1)
        if self.mode == "zeros":
            return F.pad(x, (*columns, *rows), value=value)
        x = x.index_select(2, self._beyond(x.shape[2], rows).to(x.device))
        return x.index_select(3, self._beyond(x.shape[3], columns).to(x.device))

    def _beyond(self, size: int, edges: Pair) -> Tensor:
        """Which position stands at each place of the padded axis, on each shifted grid alone."""
        place = torch.arange(-edges[0], size + edges[1])
        phase, old = place % self.factor, place.div(self.factor, rounding_mode="floor")
        last = (size - 1 - phase).div(self.factor, rounding_mode="floor")  # of that grid
        if self.mode == "reflect":
            old = last - (last - old.abs()).abs()
        elif self.mode == "circular":
            old = old % (last + 1)
        return old.clamp(min=0).minimum(last) * self.factor + phase

    def _reach(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernel[axis] - 1)


class FinerPool(nn.Module):
    """Max or mean over a window, in place of `nn.MaxPool2d`, `nn.AvgPool2d` and timm's 'same' ones.

    Args:
        window: how the input is read.
        pool: the layer in whose place this one stands; its rules for the mean are kept.
    """

    def __init__(self, window: Window, pool: nn.MaxPool2d | nn.AvgPool2d | FinerPool) -> None:
        super().__init__()
        self.window = window
        self.largest = isinstance(pool, nn.MaxPool2d) or getattr(pool, "largest", False)
        self.count_include_pad = bool(getattr(pool, "count_include_pad", True))
        self.divisor_override: int | None = getattr(pool, "divisor_override", None)

    def forward(self, x: Tensor) -> Tensor:
        window = self.window
        if self.largest:
            padded = window.pad(x, -math.inf)
            return F.max_pool2d(padded, window.kernel, window.step, 0, window.spread)
        channels = x.shape[1]
        ones = x.new_ones(channels, 1, *window.kernel)
        total = F.conv2d(window.pad(x), ones, None, window.step, 0, window.spread, channels)
        if self.divisor_override or window.padding is None:
            return total / (self.divisor_override or math.prod(window.kernel))
        inside = self._counted(x)
        return total / F.conv2d(inside, ones[:1], None, window.step, 0, window.spread)

    def _counted(self, x: Tensor) -> Tensor:
        """1 where a value counts in the mean: all values, and the padding the layer was given."""
        inside = x.new_ones(1, 1, *x.shape[2:])
        borders: list[int] = []
        for axis in (1, 0):  # F.pad takes the last axis first
            before, behind = self.window.edges(x.shape[2 + axis], axis)
            own = min(before, behind) if self.count_include_pad else 0
            inside = F.pad(inside, (own, own, 0, 0) if axis else (0, 0, own, own), value=1.0)
            borders += [before - own, behind - own]
        return F.pad(inside, borders)


class FinerBlur(nn.Module):
    """A fixed filter over a window, in place of timm's `BlurPool2d` (Zhang, ICML 2019)."""

    filt: Tensor

    def __init__(self, window: Window, filt: Tensor) -> None:
        super().__init__()
        self.window = window
        self.register_buffer("filt", filt, persistent=False)  # as in the layer it replaces

    def forward(self, x: Tensor) -> Tensor:
        filt = self.filt.expand(x.shape[1], 1, *self.window.kernel)
        step, spread = self.window.step, self.window.spread
        return F.conv2d(self.window.pad(x), filt, None, step, 0, spread, x.shape[1])


def read_window(module: nn.Module, before: Pair, after: Pair) -> Window | None:
    """The window of a layer that took a map of the size `before` and gave one of `after`.

    None for a layer that has none that could be widened. Whether a layer pads itself is seen from
    the sizes.
    """
    known = getattr(module, "window", None)
    if isinstance(known, Window):
        return known
    if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        kernel, stride = _pair(module.kernel_size), _pair(module.stride)
        dilation = _pair(getattr(module, "dilation", 1))
        padding = _padding(module.padding, kernel, dilation)
        mode = getattr(module, "padding_mode", "zeros")
        ceil = bool(getattr(module, "ceil_mode", False))
    elif isinstance(getattr(module, "filt", None), Tensor) and hasattr(module, "pad_mode"):
        kernel, stride = _pair(module.filt_size), _pair(module.stride)
        dilation, padding, ceil = (1, 1), _pair(module.padding[0]), False  # type: ignore[index]
        mode = {"constant": "zeros"}.get(str(module.pad_mode), str(module.pad_mode))
    else:
        return None
    window = Window(kernel, dilation, stride, padding, mode, ceil, 1, stride)
    for candidate in (window, replace(window, padding=None)):
        if after == tuple(map(candidate.cells, before, (0, 1))):
            return candidate
    return None


def with_window(module: nn.Module, window: Window) -> nn.Module:
    """The layer reading through `window`: itself, changed in place, or one that takes its place."""
    if isinstance(module, FinerPool | nn.MaxPool2d | nn.AvgPool2d):
        return FinerPool(window, module)
    if not isinstance(module, nn.Conv2d):
        return FinerBlur(window, module.filt)  # type: ignore[arg-type]
    module.stride, module.dilation = window.step, window.spread
    if window.even:
        module.padding = (window.edges(64, 0)[0], window.edges(64, 1)[0])
        return module
    module.padding, module.padding_mode = (0, 0), "zeros"
    module.window = window  # type: ignore[assignment]
    if hasattr(module, "same_pad"):
        module.same_pad = False  # type: ignore[assignment]
    # torch's parametrizations change the class of a module in the same way.
    if not getattr(type(module), "reads_through_window", False):
        own = nn.Conv2d if window.padding is None and not hasattr(module, "same_pad") else None
        module.__class__ = _windowed(own or type(module))
    return module


@functools.cache
def _windowed(base: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """A kind of convolution that gives its input the borders of its window first."""

    def forward(self: nn.Conv2d, x: Tensor) -> Tensor:
        padded = self.window.pad(x)  # type: ignore[operator, union-attr]
        return base.forward(self, padded)

    names = {"forward": forward, "reads_through_window": True, "__module__": __name__}
    return type(f"Finer{base.__name__}", (base,), names)


def _pair(value: object) -> Pair:
    return (int(value[0]), int(value[1])) if isinstance(value, (tuple, list)) else (value, value)  # type: ignore[return-value]


def _padding(value: object, kernel: Pair, dilation: Pair) -> Pair | None:
    if value == "same":
        return None
    return (0, 0) if value == "valid" else _pair(value)
