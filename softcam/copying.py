"""Copies of a network that share nothing with the original.

Hooks that someone hung on a network watch it; they are no part of it, and may hold what cannot be
copied. Hooks of torch's own (weight norm, spectral norm, pruning) compute the weights, and stay.
"""

from __future__ import annotations

import copy
import functools
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from softcam.common import SoftCAMError

__all__ = ["computed_weights", "has_hooks", "hooked_copy", "own_copy", "reading_copy", "untouched"]

_TABLES = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")
_WEIGHT_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)
DEPTH = 4  # steps from a function to what it holds: a wrapped method in a closure takes two


def own_copy(net: nn.Module) -> nn.Module:
    """A deep copy that shares nothing with the original, without the hooks someone hung on it.

    Weights that a hook of torch computes before each forward pass are computed anew.

    Raises:
        SoftCAMError: it holds what cannot be copied, or a function that leads back to the original.
    """
    copied, _ = _copied(net)
    return copied


def reading_copy(net: nn.Module, precision: torch.dtype) -> nn.Module:
    """A copy on the CPU in evaluation mode, to compare outputs with.

    It has modules of its own, but shares the tensors with `net` where all are on the CPU in
    `precision`: so nothing may change its weights.
    """
    tensors = [*net.parameters(), *net.buffers()]
    floating = {(t.device.type, t.dtype) for t in tensors if t.is_floating_point()}
    if floating <= {("cpu", precision)} and not any(True for _ in computed_weights(net)):
        return copy.deepcopy(net, {id(tensor): tensor for tensor in tensors}).eval()
    return own_copy(net).to("cpu", precision).eval()


def has_hooks(net: nn.Module) -> bool:
    """Whether someone hung forward hooks on it."""
    tables = (vars(module).get(name) or {} for module in net.modules() for name in _TABLES[:2])
    return any(not _is_torchs(hook) for table in tables for hook in table.values())


def hooked_copy(net: nn.Module) -> tuple[nn.Module, tuple[str, ...], tuple[str, ...]]:
    """A deep copy with copies of the forward hooks as well, and of what their closures hold.

    Returns:
        The copy, the paths of the modules with hooks, and the paths of those hooks that cannot be
        copied, which it lacks ("" is the network itself).

    Raises:
        SoftCAMError: as `own_copy`.
    """
    copied, memo = _copied(net)
    hooked, lost = dict[str, None](), dict[str, None]()
    for path, module in net.named_modules():
        twin = memo[id(module)]
        for table in _TABLES[:2]:
            hooks = dict[int, Any]()
            for key, hook in vars(module).get(table, {}).items():
                if _is_torchs(hook):
                    hooks[key] = vars(twin)[table][key]
                    continue
                hooked[path] = None
                try:
                    hooks[key] = _copied_hook(hook, memo)
                except Exception:  # it may hold anything: a lock, a file, activations
                    lost[path] = None
            if hooks:
                vars(twin)[table].update(hooks)
                for key in hooks:  # in their order, torch's among the others
                    vars(twin)[table].move_to_end(key)
    return copied, tuple(hooked), tuple(lost)


def computed_weights(net: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """Each module whose weight a hook of torch computes, the weight's name, and the hook."""
    for module in net.modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, _WEIGHT_HOOKS):
                yield module, getattr(hook, "_tensor_name", None) or cast(Any, hook).name, hook


@contextmanager
def untouched(net: nn.Module) -> Iterator[None]:
    """No layer of `net` may be called in here by this thread: copies of it are.

    Raises:
        SoftCAMError: one was called, by a copy that leads back to it.
    """
    paths = {id(module): path for path, module in net.named_modules()}
    called, thread = list[str](), threading.get_ident()

    def refuse(module: nn.Module, args: Any) -> None:
        if id(module) in paths and threading.get_ident() == thread:
            called.append(paths[id(module)] or "the network itself")
            raise SoftCAMError(_leads_back(net, f"its forward pass calls {called[0]}"))

    handle = nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        yield
    finally:
        handle.remove()
    if called:  # and it was taken for a probe that does not run
        raise SoftCAMError(_leads_back(net, f"its forward pass calls {called[0]}"))


def _copied(net: nn.Module) -> tuple[nn.Module, dict[int, Any]]:
    memo: dict[int, Any] = {}
    tables = [table for module in net.modules() for table in _hook_tables(module)]
    for table in tables:
        memo[id(table)] = type(table)()
    for module, name, _ in computed_weights(net):
        weight = vars(module).get(name)
        if isinstance(weight, Tensor):  # the hook makes it anew
            memo[id(weight)] = weight.detach().clone()
    try:
        for table in tables:
            kept = {key: hook for key, hook in table.items() if _is_torchs(hook)}
            memo[id(table)].update(copy.deepcopy(kept, memo))
        copied = copy.deepcopy(net, memo)
    except Exception as error:  # a network may hold anything
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SoftCAMError(
            f"{type(net).__name__} cannot be copied ({line}){_culprit(net)}: delete what it holds "
            "beside its layers, such as tensors of an earlier forward pass, locks or open files, "
            "then convert."
        ) from error
    _refuse_ways_back(net, copied)
    _compute_weights(copied)
    return copied, memo


def _compute_weights(copied: nn.Module) -> None:
    """Run the hooks that compute weights, which a new state dict leaves stale."""
    with torch.enable_grad():  # whether they are trained goes along
        for module, name, hook in list(computed_weights(copied)):
            training, module.training = module.training, False  # no step of spectral norm
            hook(module, None)
            module.training = training
            weight = getattr(module, name)
            setattr(module, name, weight.detach().requires_grad_(weight.requires_grad))


def _culprit(net: nn.Module) -> str:
    """The first attribute that cannot be copied by itself, in words; "" where there is none."""
    for path, module in net.named_modules():
        for name, value in vars(module).items():
            if name in ("_modules", *_TABLES):
                continue
            try:
                copy.deepcopy(value, {id(other): other for other in net.modules()})
            except Exception:
                return f", for its attribute {f'{path}.{name}'.lstrip('.')}"
    return ""


def _hook_tables(module: nn.Module) -> Iterator[dict[int, Any]]:
    yield from (vars(module)[name] for name in _TABLES if vars(module).get(name) is not None)


def _is_torchs(hook: object) -> bool:
    return type(hook).__module__.startswith("torch.")


def _copied_hook(hook: Any, memo: dict[int, Any]) -> Any:
    """A hook that changes nothing outside when it runs, as far as its closure goes."""
    if not isinstance(hook, types.FunctionType) or hook.__closure__ is None:
        return copy.deepcopy(hook, memo)
    cells = tuple(
        types.CellType(copy.deepcopy(cell.cell_contents, memo)) for cell in hook.__closure__
    )
    copied = types.FunctionType(
        hook.__code__, hook.__globals__, hook.__name__, hook.__defaults__, cells
    )
    copied.__kwdefaults__ = hook.__kwdefaults__
    return copied


def _refuse_ways_back(net: nn.Module, copied: nn.Module) -> None:
    """Functions are not copied with what they hold: one kept on a layer may hold the original."""
    originals = {id(module) for module in net.modules()}
    for path, module in copied.named_modules():
        for name, value in vars(module).items():
            if name not in ("_modules", "_parameters", "_buffers") and any(
                id(held) in originals for held in _held(value, DEPTH)
            ):
                where = f"{path}.{name}".lstrip(".")
                raise SoftCAMError(_leads_back(net, f"{where} is a function that holds a layer"))


def _held(value: object, depth: int) -> Iterator[object]:
    """What a function reaches: its owner, its closure, the globals it names, its arguments."""
    if isinstance(value, nn.Module):
        yield value
    elif depth == 0:
        return
    elif isinstance(value, types.MethodType):
        yield from _held(value.__self__, depth - 1)
        yield from _held(value.__func__, depth - 1)
    elif isinstance(value, functools.partial):
        for part in (value.func, *value.args, *value.keywords.values()):
            yield from _held(part, depth - 1)
    elif isinstance(value, types.FunctionType):
        named = (value.__globals__.get(name) for name in value.__code__.co_names)
        yield from (part for part in named if isinstance(part, nn.Module))
        cells = (_content(cell) for cell in value.__closure__ or ())
        for part in (*cells, *(value.__defaults__ or ())):
            yield from _held(part, depth - 1)
    elif type(value) in (list, tuple):
        for part in cast(list[object], value):
            yield from _held(part, depth - 1)
    elif type(value) is dict:
        for part in value.values():
            yield from _held(part, depth - 1)


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing in it yet
        return None


def _leads_back(net: nn.Module, how: str) -> str:
    return (
        f"a copy of this {type(net).__name__} would still use the original: {how} of the original. "
        "Write it as a method of a class, then convert."
    )
