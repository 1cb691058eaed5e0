"""Where a classifier's last spatial map is, and the part of the network behind it.

Methods such as Grad-CAM need the last feature map Z and the function from Z to the logits.
timm's networks name both (`forward_features`, `forward_head`), a SoftCAM has them by
construction, and for any other network the last spatial map of a forward pass is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.evidence import SoftCAM
from softcam.wrappers import BlackBox

__all__ = ["feature_size", "split_at_features", "undisturbed"]

Head = Callable[[Tensor], Tensor]


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a block in eval mode; every module's own mode is back afterwards, also on an error."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def split_at_features(model: nn.Module, images: Tensor) -> tuple[Tensor, Head]:
    """The last feature map and the rest of the network.

    Args:
        model: a classifier; call this inside `undisturbed(model)`.
        images: (B, 3, H, W) in [0, 1], or what a bare network expects.

    Returns:
        features Z (B, D, h, w), detached, and `head` with head(Z) == model(images).

    Raises:
        SoftCAMError: the network has no spatial map.
    """
    if isinstance(model, SoftCAM):
        return _checked(model, model.forward_features(images)), _evidence_head(model)
    if isinstance(model, BlackBox):
        return _split_net(model.net, model._checked(images))
    return _split_net(model, images)


def feature_size(model: nn.Module, images: Tensor) -> tuple[int, int]:
    """(h, w) of the last feature map for images of this size."""
    with undisturbed(model):
        z, _ = split_at_features(model, images[:1])
    return int(z.shape[2]), int(z.shape[3])


def _evidence_head(model: SoftCAM) -> Head:
    return lambda z: model.evidence(z).mean((2, 3))


def _split_net(net: nn.Module, x: Tensor) -> tuple[Tensor, Head]:
    """The same for a network whose input is normalised already."""
    features, head = getattr(net, "forward_features", None), getattr(net, "forward_head", None)
    if callable(features) and callable(head):
        return _checked(net, features(x)), head
    layer = _last_spatial_layer(net, x)
    kept: list[Tensor] = []
    with _hooked(layer, lambda _m, _i, out: kept.append(out.clone())):
        net(x)
    return kept[-1], _head_behind(net, layer, x)


def _checked(net: nn.Module, z: Tensor) -> Tensor:
    """Z as it is, or an error where its axes are not (B, D, h, w)."""
    channels = getattr(net, "num_features", None)
    last_is_channels = z.ndim == 4 and z.shape[1] != channels and z.shape[-1] == channels
    if z.ndim != 4 or last_is_channels:
        raise SoftCAMError(
            f"{type(net).__name__} gives features of shape {tuple(z.shape)}, not a spatial map "
            "(B, channels, h, w), so there is no last convolutional layer to explain: use a CNN."
        )
    return z


@contextlib.contextmanager
def _hooked(layer: nn.Module, hook: Callable[..., object]) -> Iterator[None]:
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _last_spatial_layer(net: nn.Module, x: Tensor) -> nn.Module:
    """The layer that runs last of those whose output is larger than 1 x 1, pooling aside."""
    seen: list[nn.Module] = []

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        pooled = isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d)
        if pooled or not isinstance(output, Tensor) or output.ndim != 4:
            return
        if output.shape[2] * output.shape[3] > 1:
            seen.append(module)

    with contextlib.ExitStack() as stack:
        for module in net.modules():
            if not list(module.children()):
                stack.enter_context(_hooked(module, note))
        net(x)
    if not seen:
        raise SoftCAMError(
            f"{type(net).__name__} has no layer with a spatial map larger than 1x1 for an image of "
            f"{x.shape[2]}x{x.shape[3]} px: use a CNN, or a larger image."
        )
    return seen[-1]


def _head_behind(net: nn.Module, layer: nn.Module, x: Tensor) -> Head:
    """Z to logits for a network without a name for it: run it, with Z put in the layer's place.

    A layer that runs several times (one ReLU module in every block) is replaced in its last run.
    """
    runs: list[int] = []
    with _hooked(layer, lambda *_: runs.append(1)):
        net(x)

    def head(z: Tensor) -> Tensor:
        left = len(runs)

        def swap(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            nonlocal left
            left -= 1
            return z if left == 0 else output

        with _hooked(layer, swap):
            return net(x)

    return head
