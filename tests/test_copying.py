"""Copies share nothing with the original, whatever hangs on it, and say what cannot be copied."""

from __future__ import annotations

import copy
import threading
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune, spectral_norm, weight_norm

from softcam.common import SoftCAMError
from softcam.copying import computed_weights, hooked_copy, own_copy, untouched


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(x).mean((2, 3)))


class Watcher:
    """A hook with what cannot be copied."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __call__(self, module: nn.Module, args: Any, out: Tensor) -> None:
        self.held = out


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["weight norm", "spectral norm", "pruned"])
def test_computed_weights_are_those_of_the_next_forward_pass(kind: str) -> None:
    net, x = Small().eval(), torch.rand(2, 3, 4, 4)
    if kind == "weight norm":
        weight_norm(net.fc)
    elif kind == "spectral norm":
        spectral_norm(net.fc).eval()
    else:
        prune.random_unstructured(net.fc, "weight", 0.5)
    assert [name for _, name, _ in computed_weights(net)] == ["weight"]
    changed = {
        name: value * 3 if name.startswith("fc.weight_") and "mask" not in name else value
        for name, value in net.state_dict().items()
    }
    net.load_state_dict(changed)  # net.fc.weight is that of the old state
    copied = own_copy(net)
    weight = copied.fc.weight.clone()  # type: ignore[union-attr,operator]
    assert copied.fc.weight.requires_grad  # type: ignore[union-attr]
    torch.testing.assert_close(copied(x), net(x))
    torch.testing.assert_close(weight, net.fc.weight)
    copy.deepcopy(own_copy(net))  # a copy of its weights is no part of a graph


@pytest.mark.parametrize("held", [threading.Lock(), torch.ones(2, requires_grad=True) * 2])
def test_hooks_do_not_stand_in_the_way(held: Any) -> None:
    net = Small()
    net.fc.register_forward_hook(Watcher(held))
    net.norm.register_full_backward_hook(Watcher(held))
    copied = own_copy(net)
    assert not copied.fc._forward_hooks and not copied.norm._backward_hooks  # type: ignore[union-attr]
    assert len(net.fc._forward_hooks) == len(net.norm._backward_hooks) == 1
    _, hooked, lost = hooked_copy(net)
    assert hooked == lost == ("fc",)


def test_copied_hooks_do_what_the_originals_do_and_leave_no_trace() -> None:
    net, calls, x = Small().eval(), list[int](), torch.rand(2, 3, 4, 4)
    expected = net(x)

    def hook(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        calls.append(1)
        return out * 3

    net.fc.register_forward_hook(hook)
    net.register_forward_hook(partial(lambda by, module, args, out: out + by, 1))
    copied, hooked, lost = hooked_copy(net)
    torch.testing.assert_close(copied(x), expected * 3 + 1)
    assert hooked == ("", "fc") and not lost and not calls
    torch.testing.assert_close(own_copy(net)(x), expected)


@pytest.mark.parametrize("way", ["closure", "method", "partial", "list"])
def test_functions_that_lead_back_to_the_original_are_named(way: str) -> None:
    net, before = Small(), None
    fc: Any = net.fc
    if way == "closure":
        net.forward = lambda x: net.fc(net.norm(x).mean((2, 3)))  # type: ignore[method-assign]
    elif way == "method":
        old = fc.forward
        fc.forward = lambda x: old(x) * 2
    elif way == "partial":
        fc.forward = partial(lambda layer, x: nn.Linear.forward(layer, x), fc)
        assert own_copy(net)(torch.rand(2, 3, 4, 4)).shape == (2, 2)  # its arguments are copied
        return
    else:
        net.steps = [lambda x: net.norm(x)]  # type: ignore[assignment]
    before = copy.deepcopy(net.norm.state_dict())
    where = {"closure": "forward", "method": "fc.forward", "list": "steps"}[way]
    with pytest.raises(SoftCAMError, match=rf"still use the original: {where} is a function"):
        own_copy(net)
    assert all(torch.equal(value, before[name]) for name, value in net.norm.state_dict().items())


def test_a_call_of_the_original_is_caught_even_where_the_error_is_swallowed() -> None:
    net, x = Small(), torch.rand(2, 3, 4, 4)
    with pytest.raises(SoftCAMError, match="calls norm of the original"), untouched(net):
        with pytest.raises(SoftCAMError):
            net.norm(x)
    assert net.norm.num_batches_tracked == 0
    with untouched(net):
        own_copy(net)(x)
    net(x)


def test_what_cannot_be_copied_is_named() -> None:
    net = Small()
    net.fc.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(SoftCAMError, match=r"Small cannot be copied .*attribute fc\.lock"):
        own_copy(net)
