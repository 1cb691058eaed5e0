"""Random numbers: those that a network draws, held still or noticed, and those given to a probe."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["Dropouts", "drawn", "randomise", "reseed"]

_DROPOUTS = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
)  # fmt: skip


class Dropouts(TorchFunctionMode):
    """While active no activation is dropped.

    Dropout is the one random thing that sits on different sides of the pooling in the two
    networks, so it is switched off to compare them in training mode.
    """

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
        return args[0] if args else kwargs["input"]


def reseed(seed: int) -> None:
    """Seed what a network may draw from on the CPU; a GPU's generators stay as they are."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def drawn() -> tuple[Any, ...]:
    """The states of those generators; equal ones where nothing was drawn in between."""
    name, keys, *rest = np.random.get_state()
    numbers = np.asarray(keys).tobytes()
    return torch.default_generator.get_state().numpy().tobytes(), random.getstate(), numbers, *rest


@torch.no_grad()
def randomise(net: nn.Module, lively: bool = False) -> None:
    """Leave nothing at zero that a fresh network has there, in place, and shake norms and biases.

    Args:
        net: in float32.
        lively: change all weights and let biases be positive, for a network whose activations are
            silent as it is.
    """
    for parameter in net.parameters():
        if parameter.numel() and max(map(abs, torch.stack(parameter.aminmax()).tolist())) < 1e-3:
            parameter.uniform_(0.1, 0.3)  # layer scales, residual gammas, biases of zero
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            _shake(module)
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            if module.bias is not None:
                module.bias += 0.3 * torch.randn_like(module.bias)  # the head's among them
        else:
            _scale(module)
    for name, parameter in net.named_parameters() if lively else ():
        if parameter.ndim > 1:
            parameter.add_(parameter.square().mean().sqrt() * torch.randn_like(parameter))
        elif name.endswith("bias"):
            parameter.uniform_(0.1, 0.5)


def _shake(norm: nn.modules.batchnorm._BatchNorm) -> None:
    # Around the values it has, so that a trained network does not blow up over its depth.
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean.add_(0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean))
        norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(0.7, 1.4))
    _scale(norm)
    if norm.bias is not None:  # a norm may scale alone
        norm.bias.add_(0.1 * torch.randn_like(norm.bias))


def _scale(module: nn.Module) -> None:
    """Other norms, whatever their class: their weights are one number a channel."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, nn.Parameter) and weight.ndim == 1:
        weight.mul_(torch.empty_like(weight).uniform_(0.7, 1.4))
