"""Guided Backprop: the gradient of the image, with only positive gradients let through a ReLU.

The rule is defined for ReLU alone. captum applies it to modules, each used once and not in place;
here every ReLU that runs is sent through one module that captum watches: functions, shared and
in-place ones too. No hook touches the explained network. Gates (sigmoid) keep their gradient, and
so does an activation that is written out, x * sigmoid(x): it cannot be told from a gate.

Source: Springenberg et al., "Striving for simplicity", ICLR Workshops 2015; captum's
`GuidedBackprop`. It is known to look at edges more than at the model (Adebayo et al., "Sanity
checks for saliency maps", NeurIPS 2018).
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from softcam.common import SoftCAMError
from softcam.explainers.features import Head, chunk_of, normalised, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["guided_backprop"]

RELU = {F.relu, torch.relu, Tensor.relu}
RELU_IN_PLACE = {F.relu_, torch.relu_, Tensor.relu_}
OTHERS = {
    "silu", "gelu", "mish", "elu", "elu_", "celu", "selu", "leaky_relu", "leaky_relu_", "prelu",
    "rrelu", "hardswish", "hardtanh", "hardtanh_", "relu6", "softplus", "threshold", "threshold_",
}  # fmt: skip


class _EveryReLU(TorchFunctionMode):
    """While active, a ReLU on the way from the image is computed by one module.

    `found` counts them.
    """

    def __init__(self, relu: nn.ReLU) -> None:
        super().__init__()
        self.relu = relu
        self.found = 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in OTHERS:
            raise _refusal(f"a {name.strip('_')}")
        if func not in RELU and func not in RELU_IN_PLACE:
            return func(*args, **kwargs)
        x, *rest = args or (kwargs["input"],)
        in_place = func in RELU_IN_PLACE or any(rest) or bool(kwargs.get("inplace", False))
        if not x.requires_grad:
            return func(*args, **kwargs)
        self.found += 1
        y = self.relu(x.clone())  # a copy: captum changes the gradient of what it is given
        # Whoever holds x sees the ReLU of it, as with the function that was called.
        return x.copy_(y) if in_place else y


class _Guided(nn.Module):
    """The network with the only ReLU module that captum finds."""

    def __init__(self, net: Head) -> None:
        super().__init__()
        self.net = (net,)  # in a tuple it is no submodule: no hook reaches it
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        with _EveryReLU(self.relu) as mode:
            logits = self.net[0](x)
        if not mode.found:
            raise _refusal("no ReLU at all")
        return logits


def _refusal(found: str) -> SoftCAMError:
    return SoftCAMError(
        f"Guided Backprop is defined for networks whose activations are ReLUs; this one has "
        f"{found}. Its gradients would be plain ones under another name: use "
        "'integrated-gradients' or 'grad-cam'."
    )


@explainer(
    name="guided-backprop",
    title="Guided Backprop",
    paper="Springenberg et al., ICLR Workshops 2015",
    cost="one forward and backward pass for each class",
    gauges=("raw",),
    needs="images",
    forwards=3,
)
def guided_backprop(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The guided gradient of the class's logit, summed over the colours of each pixel.

    The gradient is that of the normalised image, as the network takes it.

    Returns:
        (B, H, W), signed, in logits a unit of normalised colour, at the image's resolution.

    Raises:
        SoftCAMError: another activation than ReLU, or TorchScript, whose inside cannot be seen.
    """
    from captum.attr import GuidedBackprop

    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise _refusal("TorchScript modules, in which they cannot be seen")
    with (
        torch.inference_mode(False),
        undisturbed(model),
        torch.enable_grad(),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Setting backward hooks on ReLU")
        x, net = normalised(model, images.detach().clone())
        method, chunk = GuidedBackprop(_Guided(net)), chunk_of(images, gradients=True)
        pairs = zip(torch.split(x, chunk), torch.split(targets.to(x.device), chunk), strict=True)
        maps = [
            method.attribute(part.detach().clone().requires_grad_(True), target=target.clone()).sum(
                1
            )
            for part, target in pairs
        ]
    return torch.cat(maps).detach()
