"""Back to the black box: `to_black_box`, the inverse of an exact conversion.

A conversion that carries one linear layer over moves weights and changes none, so it can be undone.
Whether a model is of that kind is read off its layers and proved by running both, not believed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.copying import own_copy
from softcam.evidence import SoftCAM
from softcam.proof import probe_copy, probe_inputs, quiet
from softcam.wrappers import BlackBox

__all__ = ["PooledNet", "backbone_names", "to_black_box"]

TOLERANCE = 1e-5  # of the logit scale, max |logit - bias|, as for the conversion itself


class PooledNet(nn.Module):
    """Features, their mean over the map, one linear layer: (B, 3, H, W) to logits (B, C).

    What a SoftCAM becomes whose backbone was cut out of a network that is no longer at hand. It has
    timm's verbs, so `to_softcam` takes it.

    Args:
        features: images to Z (B, D, h, w).
        fc: the linear layer.
        rate: dropout between the two.
    """

    def __init__(self, features: nn.Module, fc: nn.Linear, rate: float = 0.0) -> None:
        super().__init__()
        self.features = features
        self.drop = nn.Dropout(rate)
        self.fc = fc
        self.num_features = fc.in_features
        self.num_classes = fc.out_features

    def forward_features(self, x: Tensor) -> Tensor:
        """The last feature map, (B, D, h, w)."""
        return self.features(x)

    def forward_head(self, z: Tensor) -> Tensor:
        """Mean, dropout, linear layer: (B, D, h, w) to (B, C)."""
        return self.fc(self.drop(z.mean((2, 3))))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Linear:
        """The linear layer."""
        return self.fc


def to_black_box(model: SoftCAM, net: nn.Module | None = None) -> BlackBox:
    """Undo a conversion: the mean-pool + linear network that is the same function.

    Weights are copied bit for bit. A timm network is put together again as it was. A network that
    was cut out of its graph (torchvision, your own) comes back as a `PooledNet`, or as a copy of
    `net` with these weights.

    Args:
        model: of kind `exact`, or built by hand around one 1x1 convolution; it stays as it is.
        net: a network of the class that was converted, with any weights; it stays as it is.

    Raises:
        SoftCAMError: more than one layer, or not the black box's own, stands behind the maps; or
            `net` is another network.
    """
    _check_invertible(model)
    with quiet():
        probe = cast(SoftCAM, probe_copy(model))
        if net is not None:
            return _filled(model, probe, net)
        far = _difference(probe, _assembled(cast(SoftCAM, own_copy(probe))))
        if not far <= TOLERANCE:
            raise SoftCAMError(
                "this conversion cannot be undone: its 1x1 convolution, put back into the network "
                f"as its last layer, gives other logits ({far:.2g} of their scale), so other "
                "layers were folded into it. Keep the network it was made from."
            )
        return _assembled(cast(SoftCAM, own_copy(model)))


def backbone_names(model: SoftCAM) -> dict[str, str]:
    """The backbone's tensors: name in `model`, name in the black box.

    Layers that a backbone uses in a second place have two names in it.
    """
    inside = ("net.", "after.") if _network(model) is not None else ("",)
    keys = [key for key in model.state_dict() if key.startswith("backbone.")]
    return {
        key: key.removeprefix(f"backbone.{part}")
        for key in keys
        for part in inside
        if key.startswith(f"backbone.{part}")
    }


def _network(model: SoftCAM) -> nn.Module | None:
    """The timm network inside the backbone, whose classifier was taken out; None without one."""
    net = getattr(model.backbone, "net", None)
    verbs = ("forward_features", "forward_head", "get_classifier")
    return net if isinstance(net, nn.Module) and all(hasattr(net, verb) for verb in verbs) else None


def _check_invertible(model: SoftCAM) -> None:
    if not isinstance(model, SoftCAM):
        raise SoftCAMError(f"expected a SoftCAM, found a {type(model).__name__}.")
    done = model.conversion
    if done is not None and done.kind != "exact":
        why = {
            "paper": "its head is fresh, the fully connected layers of the black box are gone",
            "pointwise": "its head acts in each cell, which is not the function of the black box",
        }.get(done.kind, "only exact conversions keep the function")
        raise SoftCAMError(
            f"a conversion of kind {done.kind!r} cannot be undone: {why}. "
            "Keep the network it was made from."
        )
    layers = [m for m in model.evidence.modules() if next(m.children(), None) is None]
    harmless = (nn.Identity, nn.modules.dropout._DropoutNd)
    others = [m for m in layers if m is not model.get_classifier()]
    if model.get_classifier().kernel_size != (1, 1) or not all(
        isinstance(m, harmless) for m in others
    ):
        raise SoftCAMError(
            f"the evidence layer is {', '.join(type(m).__name__ for m in layers)}: only one 1x1 "
            "convolution, after dropout at most, can move behind the pooling."
        )


def _assembled(model: SoftCAM) -> BlackBox:
    """Put the parts of `model` together as a black box; they become its own."""
    net = _network(model)
    if net is not None:
        _put_back(net, model)
    else:
        drops = [
            m for m in model.evidence.modules() if isinstance(m, nn.modules.dropout._DropoutNd)
        ]
        rate = round(1 - math.prod(1 - drop.p for drop in drops), 12)
        net = PooledNet(model.backbone, _linear(model), rate)
        net.training = net.drop.training = model.training
    box = BlackBox(net, model.normalize, model.link)
    box.training = model.training  # the layers keep their own modes, frozen batch norms included
    return box


def _put_back(net: nn.Module, model: SoftCAM) -> None:
    """Give `net` its classifier again, where the conversion left an Identity."""
    gone = net.get_classifier()  # type: ignore[operator]
    path = next((name for name, module in net.named_modules() if module is gone), "")
    if not path or not isinstance(gone, nn.Identity):
        raise SoftCAMError(
            f"this conversion cannot be undone: {type(net).__name__} does not say where its last "
            "layer was. Give a network of its class with net=."
        )
    for layer in (_linear(model), model.get_classifier()):  # a few classifiers take (B, D, 1, 1)
        _set(net, path, layer)
        if _runs(copy.deepcopy(net).to("cpu", torch.float32).eval()):
            break
    if hasattr(net, "num_classes"):
        net.num_classes = model.get_classifier().out_channels  # type: ignore[assignment]


def _runs(net: nn.Module) -> bool:
    for x in probe_inputs(net):
        try:
            with torch.no_grad():
                return bool(net(x).ndim == 2)
        except Exception:  # the wrong layer, or another size  # noqa: S112
            continue
    return False


def _set(net: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, layer)


def _linear(model: SoftCAM) -> nn.Linear:
    conv = model.get_classifier()
    shape, bias = conv.weight.shape[:2], conv.bias is not None
    linear: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, shape[1], shape[0], bias=bias, device=conv.weight.device
    ).to(conv.weight.dtype)
    linear.training = model.training
    with torch.no_grad():
        linear.weight.copy_(conv.weight.flatten(1))
        linear.weight.requires_grad = conv.weight.requires_grad
        if conv.bias is not None:
            linear.bias.copy_(conv.bias)
            linear.bias.requires_grad = conv.bias.requires_grad
    return linear


def _filled(model: SoftCAM, probe: SoftCAM, net: nn.Module) -> BlackBox:
    """A copy of `net` with the weights of `model`; `probe` shows that it is the same function."""
    net = own_copy(net.net if isinstance(net, BlackBox) else net)
    reason = "no layer of it has the shape of the evidence layer"
    missing = [name for name in backbone_names(model).values() if name not in net.state_dict()]
    if missing:
        reason = f"it has no {missing[0]}"
    for path in _classifiers(net, model) if not missing else ():
        trial = copy.deepcopy(net).to("cpu", torch.float32)
        far = _difference(probe, _with_weights(trial, probe, path))
        if far <= TOLERANCE:
            weight = model.get_classifier().weight
            net.to(weight.device, weight.dtype)
            return _with_weights(net, model, path).train(model.training)
        reason = f"with these weights its logits differ by {far:.2g} of their scale"
    raise SoftCAMError(f"{type(net).__name__} is not the network of this model: {reason}.")


def _classifiers(net: nn.Module, model: SoftCAM) -> Iterator[str]:
    """Paths of the layers of `net` that the evidence layer could be, the last first."""
    conv, taken = model.get_classifier(), set(backbone_names(model).values())
    for path, layer in reversed(list(net.named_modules())):
        if (
            isinstance(layer, (nn.Linear, nn.Conv2d))
            and f"{path}.weight" not in taken
            and layer.weight.flatten(1).shape == conv.weight.flatten(1).shape
            and (layer.bias is None) == (conv.bias is None)
        ):
            yield path


def _with_weights(net: nn.Module, model: SoftCAM, path: str) -> BlackBox:
    conv, own = model.get_classifier(), net.state_dict()
    state = model.state_dict()
    values = {name: state[key] for key, name in backbone_names(model).items()}
    values[f"{path}.weight"] = conv.weight.detach().reshape(own[f"{path}.weight"].shape)
    if conv.bias is not None:
        values[f"{path}.bias"] = conv.bias.detach()
    for name, value in values.items():
        if own[name].shape != value.shape:
            raise SoftCAMError(
                f"{type(net).__name__} is not the network of this model: its {name} is "
                f"{tuple(own[name].shape)}, expected {tuple(value.shape)}."
            )
    net.load_state_dict(values, strict=False)  # an auxiliary head keeps what it has
    return BlackBox(net, copy.deepcopy(model.normalize), model.link)


def _difference(model: SoftCAM, box: BlackBox) -> float:
    """max |logit difference| / max |logit - bias| on the first probe image that `model` takes."""
    model, box = model.eval(), box.eval()
    for x in probe_inputs(box.net):
        try:
            with torch.no_grad():
                expected = model(x)
        except Exception:  # a network may raise anything at a size it does not take  # noqa: S112
            continue
        try:
            with torch.no_grad():
                found = box(x)
        except Exception:  # the wrong network raises on what comes in
            return math.inf
        scale = (expected - model.bias).abs().max().clamp(min=1e-12)
        return float((expected - found).abs().max() / scale)
    return math.inf
