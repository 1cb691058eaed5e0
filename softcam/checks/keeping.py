"""Whether something is still what it was: tensors, dictionaries of them, networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

__all__ = ["changes"]

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def changes(name: str, before: Any, after: Any) -> str:
    """What has changed, in words; empty where nothing has."""
    if isinstance(before, nn.Module):
        found = list(dict.fromkeys(_network(before, after)))
        return f"{name} ({', '.join(found)})" if found else ""
    return "" if _alike(before, after) else f"{name} (other values)"


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.shape == b.shape and _equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    return bool(a == b)


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    return torch.equal(torch.nan_to_num(a.detach()), torch.nan_to_num(b.detach()))


def _network(before: nn.Module, after: nn.Module) -> Iterator[str]:
    """Layers, mode, weights, statistics, gradients and hooks."""
    old, new = dict(before.named_modules()), dict(after.named_modules())
    for path, module in old.items():
        if path not in new or type(new[path]) is not type(module):
            now = type(new[path]).__name__ if path in new else "gone"
            yield f"its layer {path} was {type(module).__name__}, now it is {now}"
    if list(new) != list(old) and not old.keys() - new.keys():
        yield "it has layers that it did not have"
    shared = [(old[path], new[path]) for path in old if path in new]
    if any(a.training != b.training for a, b in shared if type(a) is type(b)):
        yield "it is in another mode, train or eval, than before"
    if any(len(getattr(a, h)) != len(getattr(b, h)) for a, b in shared for h in HOOKS):
        yield "hooks are left on it"
    yield from _tensors(before, after)


def _tensors(before: nn.Module, after: nn.Module) -> Iterator[str]:
    parameters = dict(after.named_parameters())
    for path, value in before.named_parameters():
        if path not in parameters:
            continue
        now = parameters[path]
        if now.shape != value.shape or not _equal(value, now):
            yield f"its weights have changed ({path})"
        if now.requires_grad != value.requires_grad:
            yield "its weights no longer ask for the same gradients"
        if now.grad is not None and value.grad is None:
            yield "gradients are left in it"
    buffers = dict(after.named_buffers())
    for path, statistic in before.named_buffers():
        if path in buffers and not _equal(statistic, buffers[path]):
            yield "its batch norms have taken other statistics: it ran in train mode"
