"""Where a classifier's last spatial map is, and the part of the network behind it.

Methods such as Grad-CAM need the last feature map Z and the function from Z to the logits.
timm's networks name both (`forward_features`, `forward_head`), a SoftCAM has them by
construction, and for any other network `layers` finds them in a forward pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.evidence import SoftCAM
from softcam.explainers.layers import Head, cut_last, cut_named
from softcam.wrappers import BlackBox

__all__ = [
    "FromFeatures",
    "Head",
    "chunk_of",
    "each_class",
    "feature_size",
    "normalised",
    "split_at",
    "split_at_features",
    "undisturbed",
]

CHUNK_PIXELS = 8 * 224 * 224  # image pixels a forward pass, for methods that need many
_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a block in eval mode; every module's own mode is back afterwards, also on an error.

    Raises:
        SoftCAMError: the model is spread over several devices, or in half precision.
    """
    modules = list(model.modules())
    _check_modules(model, modules)
    trained = [module for module in modules if module.training]
    try:
        if trained:
            model.eval()
        yield
    finally:
        for module in modules:
            if module.training:
                module.training = False
        for module in trained:
            module.training = True


def _check_modules(model: nn.Module, modules: list[nn.Module]) -> None:
    # Each module's own tables: to list all tensors by name would take longer than a small network.
    tables = [table for m in modules for table in (m._parameters, m._buffers) if table]
    kinds = {(t.device, t.dtype) for table in tables for t in table.values() if t is not None}
    devices = sorted({str(device) for device, _ in kinds})
    if len(devices) > 1:
        raise SoftCAMError(
            f"{type(model).__name__} is spread over several devices ({', '.join(devices)}): "
            "explanations need it on one, as by model.to('cpu')."
        )
    parallel = next((module for module in modules if isinstance(module, _PARALLEL)), None)
    if parallel is not None:
        raise SoftCAMError(
            f"{type(parallel).__name__} copies a network to several devices, expected one network "
            "on one device: explain its `.module`."
        )
    half = sorted(str(kind) for _, kind in kinds if kind in (torch.float16, torch.bfloat16))
    if half:
        raise SoftCAMError(
            f"{type(model).__name__} is in half precision ({', '.join(half)}), in which "
            "gradients and small differences of logits are lost: explain model.float()."
        )


@torch.no_grad()
def split_at_features(model: nn.Module, images: Tensor) -> tuple[Tensor, Head]:
    """The last feature map and the rest of the network.

    For a model that `to_softcam` converts exactly this is the map that its evidence layer weighs.

    Args:
        model: a classifier; call this inside `undisturbed(model)`.
        images: (B, 3, H, W) in [0, 1], or what a bare network expects.

    Returns:
        features Z (B, D, h, w), detached, and `head` with head(Z) == model(images), which
        leaves Z as it is.

    Raises:
        SoftCAMError: the network has no spatial map.
    """
    if isinstance(model, SoftCAM):
        z = _as_map(model, model.forward_features(images))
        return z, lambda each: model.evidence(each.clone()).mean((2, 3))
    if isinstance(model, BlackBox):
        return _split_net(model.net, model._checked(images))
    return _split_net(model, images)


def split_at(model: nn.Module, images: Tensor, layer: str | None = None) -> tuple[Tensor, Head]:
    """The feature map of a named layer and the rest of the network; as `split_at_features`.

    Args:
        model: as there.
        images: as there.
        layer: a name of `model.named_modules()`, for instance `net.layer3`; None takes the last
            feature map.

    Raises:
        UnknownNameError: no such layer; the message carries the closest names.
        SoftCAMError: the layer gives no map (B, D, h, w).
    """
    return split_at_features(model, images) if layer is None else cut_named(model, images, layer)


def feature_size(model: nn.Module, images: Tensor) -> tuple[int, int]:
    """(h, w) of the last feature map for images of this size."""
    with undisturbed(model):
        z, _ = split_at_features(model, images[:1])
    return int(z.shape[2]), int(z.shape[3])


def normalised(model: nn.Module, images: Tensor) -> tuple[Tensor, Head]:
    """What the network behind the model's normalisation takes, and that network.

    Args:
        model: as in `split_at_features`.
        images: (B, 3, H, W) in [0, 1], or what a bare network expects.

    Returns:
        x (B, 3, H, W), and `net` with net(x) == model(images), which leaves x as it is.
    """
    if isinstance(model, SoftCAM):
        x = model._checked(images)
        return x, lambda each: model.evidence(model.backbone(each.clone())).mean((2, 3))
    if isinstance(model, BlackBox):
        return model._checked(images), lambda each: model.net(each.clone())
    return images, lambda each: model(each.clone())


def chunk_of(images: Tensor, gradients: bool = False) -> int:
    """How many images of this size go through a network at a time, 1 or more.

    Half as many with gradients, for which a forward pass keeps what it computes.
    """
    pixels = images.shape[2] * images.shape[3] * (2 if gradients else 1)
    return max(1, CHUNK_PIXELS // pixels)


def each_class(
    model: nn.Module, images: Tensor, explained: Callable[[Tensor, Head, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and maps of all classes (B, C, h, w): features once, `explained` once a class.

    Args:
        model: as in `split_at_features`.
        images: likewise.
        explained: (features, head, targets) to maps (B, h, w).
    """
    with torch.inference_mode(False), undisturbed(model):
        z, head = split_at_features(model, images.clone())
        with torch.no_grad():
            logits = head(z)
        target = torch.zeros(len(images), dtype=torch.long, device=images.device)
        maps = [explained(z, head, target + c) for c in range(logits.shape[1])]
    return logits, torch.stack(maps, 1)


class FromFeatures(nn.Module):
    """The part of a network behind its features, with a layer that a library can hold on to.

    The head is a function, not a module: nothing of the explained network is registered here, so
    that no hook and no mode reaches it.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.features = nn.Identity()
        self.head = (head,)

    def forward(self, z: Tensor) -> Tensor:
        return self.head[0](self.features(z))


def _split_net(net: nn.Module, x: Tensor) -> tuple[Tensor, Head]:
    """The same for a network whose input is normalised already."""
    features, head = getattr(net, "forward_features", None), getattr(net, "forward_head", None)
    if not callable(features) or not callable(head):
        return cut_last(net, x)
    z = features(x)
    channels = getattr(net, "num_features", None)
    if z.ndim == 4 and z.shape[1] != channels and z.shape[3] == channels:  # (B, h, w, D), as Swin
        z = z.permute(0, 3, 1, 2)
        return z, lambda each: head(each.permute(0, 2, 3, 1).clone())
    return _as_map(net, z), lambda each: head(each.clone())


def _as_map(net: nn.Module, z: Tensor) -> Tensor:
    """Z as it is, or an error where its axes are not (B, D, h, w)."""
    if z.ndim != 4:
        raise SoftCAMError(
            f"{type(net).__name__} gives features of shape {tuple(z.shape)}, not a spatial map "
            "(B, channels, h, w), so there is no last convolutional layer to explain: use a CNN."
        )
    return z
