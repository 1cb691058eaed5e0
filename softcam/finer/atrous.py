"""Is every r-th cell of a finer map a cell of the old one? Measured on a probe.

Everything that is no map (the descriptors of squeeze-and-excitation) can be taken over from the
old network, which tells two causes of a difference apart: a layer that sees all cells at once, and
one that dilation does not reproduce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.proof import first_line, probe_inputs

__all__ = ["MEND", "held"]

MEND = "Give it larger images instead, or take a convolutional network such as resnet50."
LONGEST = 160  # characters of what went wrong, in a message
SAME = 1e-4  # of the largest feature: rounding of float32 over many layers stays below


def held(old: nn.Module, new: nn.Module, ratio: int, name: str) -> str:
    """Whether every `ratio`-th cell of the new features is an old one, measured, as a note.

    Measured twice: as it is, and with everything that is no map (the descriptors of
    squeeze-and-excitation) taken over from the old network.

    Raises:
        SoftCAMError: the new network does not run, or its map has not the size it should have.
    """
    try:
        x = next(x for x in probe_inputs(getattr(old, "net", old)) if _runs(old, x))
        with torch.no_grad(), _outputs(old) as kept:
            before = old(x)
        with torch.no_grad():
            after = new(x)[:, :, ::ratio, ::ratio]
            with _replayed(new, kept):
                given = new(x)[:, :, ::ratio, ::ratio]
    except Exception as error:  # whatever a layer made for one size of map may raise
        raise SoftCAMError(
            f"{name} does not run ({first_line(error)[:LONGEST]}): a layer is made for one size of "
            "map, as position tables are, or skips positions in plain code, without a module. "
            f"{MEND}"
        ) from error
    if after.shape != before.shape:
        raise SoftCAMError(
            f"{name} has a map of another size than expected ({tuple(after.shape)}, "
            f"{tuple(before.shape)} in its every {ratio}th cell). {MEND}"
        )
    scale = before.abs().max().item()
    difference, rest = ((z - before).abs().max().item() / scale for z in (after, given))
    cells = f"every {ratio}{'nd' if ratio == 2 else 'th'} cell of the finer features"
    if difference <= SAME:
        return f"{cells} is a cell of the old ones (measured: {difference:.1g} of their scale)"
    why = (
        "because some layers look at all cells at once; given the same global descriptors it "
        f"would be the old cell to {rest:.1g}"
        if rest <= SAME
        else "so some layer looks farther than a window (a group norm, attention), or through one "
        "in plain code, which stays as it is"
    )
    return f"{cells} differs from the old cell by {difference:.2g} of their scale, {why}"


def _runs(features: nn.Module, x: Tensor) -> bool:
    try:
        with torch.no_grad():
            features(x)
    except Exception:  # a network may raise anything at a size it does not take
        return False
    return True


@contextmanager
def _outputs(net: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """While active, what every layer without children gives is kept, by its path."""
    kept: dict[str, list[Tensor]] = {}

    def listen(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                kept.setdefault(path, []).append(output.clone())  # the next may work in place

        return hook

    with _hooked(net, listen):
        yield kept


@contextmanager
def _replayed(net: nn.Module, kept: dict[str, list[Tensor]]) -> Iterator[None]:
    """While active, a layer whose output has the shape that was kept gives what was kept."""
    left = {path: list(outputs) for path, outputs in kept.items()}

    def listen(path: str) -> Callable[..., Tensor | None]:
        def hook(module: nn.Module, inputs: object, output: object) -> Tensor | None:
            old = left[path].pop(0) if left.get(path) else None
            same = isinstance(output, Tensor) and old is not None and old.shape == output.shape
            return old if same else None

        return hook

    with _hooked(net, listen):
        yield


@contextmanager
def _hooked(
    net: nn.Module, listen: Callable[[str], Callable[..., Tensor | None]]
) -> Iterator[None]:
    leaves = [(p, m) for p, m in net.named_modules() if next(m.children(), None) is None]
    hooks = [module.register_forward_hook(listen(path)) for path, module in leaves]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()
