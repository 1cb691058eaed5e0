"""What each map of a layer is worth to a class: generalised Grad-CAM weights by guided gradients.

    G = 1[A > 0] 1[dY/dA > 0] dY/dA        A (D, h, w) a layer's output, Y the class's logit
    w_k = mean of G_k over the cells, >= 0

The guidance is that of the layer itself; the gradient behind it is the plain one, so one backward
pass serves all layers. Of a SoftCAM the last layer needs none: the class-evidence layer weighs its
maps in the open, and w_k is max(its weight, 0). (With the formula above the same weight would be
multiplied by the share of cells in which the map is positive, over h * w.)

Source: Bianchi et al., "Interpretable Network Visualizations", IJCAI 2024; the guidance is
Springenberg et al., ICLR Workshops 2015, the weights Selvaraju et al., "Grad-CAM", ICCV 2017.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, UnknownNameError
from softcam.evidence import SoftCAM
from softcam.explainers.features import undisturbed
from softcam.layerwise.spatial import Output, last_of_each_size, read_output

__all__ = ["WeighedLayer", "default_layers", "weighed_layers"]


@dataclass(frozen=True)
class WeighedLayer:
    """One layer's maps for one image, and what each is worth to one class.

    Attributes:
        layer: its name in `model.named_modules()`.
        activations: (D, h, w) float32.
        weights: (D,) float64, >= 0, in logits a unit of activation.
    """

    layer: str
    activations: np.ndarray
    weights: np.ndarray


def default_layers(model: nn.Module, image: Tensor) -> tuple[str, ...]:
    """The last layer of each resolution, in the order in which they run.

    A layer counts if all of the image's way to the logits goes through it: not one inside a
    residual block or another branch. Of modules inside each other that give the same map, such as
    a stage and its last block, it is the outermost. Of a SoftCAM the last is the layer whose maps
    the evidence layer weighs. Only modules have names: a sum that a `forward` writes out is none,
    and a network that was converted by its graph (`to_softcam`) has lost the names of its stages.

    Args:
        model: as in `explain_layers`.
        image: likewise; the resolutions are those at its size.

    Raises:
        SoftCAMError: no layer gives a map of more than one cell.
    """
    x = _one_image(image, model)
    with torch.inference_mode(False), undisturbed(model):
        return _default_layers(model, x)


def weighed_layers(
    model: nn.Module, image: Tensor, target: int | None = None, layers: Sequence[str] | None = None
) -> list[WeighedLayer]:
    """Maps and weights of several layers; arguments and errors as in `explain_layers`."""
    x = _one_image(image, model)
    with torch.inference_mode(False), undisturbed(model):
        if isinstance(layers, str):
            raise SoftCAMError(f"layers is {layers!r}: expected a list of names, [{layers!r}].")
        names = _default_layers(model, x) if layers is None else _known(model, layers)
        last = evidence_input(model) if isinstance(model, SoftCAM) else None
        needs = [name for name in names if name != last]
        with torch.set_grad_enabled(bool(needs)):
            logits, outputs = _run(model, x, names)
        c = _class(logits, target)
        gradients = _gradients(logits[0, c], {name: outputs[name] for name in needs})
        found = []
        for name in names:
            maps = outputs[name].as_maps(outputs[name].tensor)
            if isinstance(model, SoftCAM) and name == last:
                weights = model.get_classifier().weight.detach()[c, :, 0, 0].clamp(min=0)
            else:
                weights = _guided(maps, outputs[name].as_maps(gradients[name]))
            found.append(WeighedLayer(name, _numpy(maps).astype(np.float32), _numpy(weights)))
        return found


def evidence_input(model: SoftCAM) -> str:
    """The module whose output the last 1x1 convolution weighs."""
    if isinstance(model.evidence, nn.Sequential) and len(model.evidence) > 1:
        # By itself and not by its place: one activation may stand in several places.
        before = list(model.evidence)[-2]
        return next(name for name, module in model.named_modules() if module is before)
    return "backbone"


def _one_image(image: Tensor, model: nn.Module) -> Tensor:
    """(1, 3, H, W), a copy in the model's precision."""
    if not isinstance(image, Tensor) or not image.is_floating_point():
        kind = f"a tensor of {image.dtype}" if isinstance(image, Tensor) else type(image).__name__
        raise SoftCAMError(f"the image is {kind}: expected a float tensor in [0, 1].")
    x = image[None] if image.ndim == 3 else image
    if x.ndim != 4 or len(x) != 1 or not x.numel():
        raise SoftCAMError(
            f"the image has shape {tuple(image.shape)}: expected one image, (3, H, W) or "
            "(1, 3, H, W); explain several one after the other."
        )
    if not bool(torch.isfinite(x).all()):
        raise SoftCAMError("the image has a value that is NaN or infinite: expected [0, 1].")
    kinds = (p.dtype for p in model.parameters() if p.is_floating_point())
    with torch.inference_mode(False):
        return x.detach().clone().to(next(kinds, x.dtype))


def _known(model: nn.Module, layers: Sequence[str]) -> tuple[str, ...]:
    """The names without repetition, all of which the model has."""
    names = [name for name, _ in model.named_modules() if name]
    layers = list(layers)
    for layer in layers:
        if layer not in names:
            # All names of a deep network would bury the close ones.
            close = difflib.get_close_matches(str(layer), names, n=8, cutoff=0.4)
            raise UnknownNameError("layer", layer, close or names[-8:])
    if not layers:
        raise SoftCAMError(
            "layers is empty: name one, or leave it out for the last layer of each resolution."
        )
    return tuple(dict.fromkeys(layers))


def _default_layers(model: nn.Module, x: Tensor) -> tuple[str, ...]:
    last = evidence_input(model) if isinstance(model, SoftCAM) else None
    return last_of_each_size(model, x, last)


def _run(model: nn.Module, x: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, Output]]:
    """Logits (1, C), and what the named layers gave when they last ran."""
    modules, seen = dict(model.named_modules()), dict[str, object]()

    def keep(name: str) -> Callable[..., object]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> object:
            seen[name] = output
            # The layer behind may write into what it is given, so it is given a copy.
            return output.clone() if isinstance(output, Tensor) else None

        return hook

    # So there is a graph even where all weights are frozen.
    x.requires_grad_(torch.is_grad_enabled())
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.callback(modules[name].register_forward_hook(keep(name)).remove)
        logits = model(x)
    logits = logits[0] if isinstance(logits, tuple | list) else logits  # auxiliary ones come second
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise SoftCAMError(f"the model gives {found}, expected logits (1, classes).")
    return logits, {name: read_output(model, x, name, seen) for name in names}


def _class(logits: Tensor, target: int | None) -> int:
    if not bool(torch.isfinite(logits).all()):
        raise SoftCAMError("the model gives a logit that is NaN or infinite for this image.")
    classes = logits.shape[1]
    if target is None:
        return int(logits[0].argmax())
    try:
        chosen = int(target)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        chosen = -1
    if not 0 <= chosen < classes or chosen != target:
        raise SoftCAMError(
            f"target is {target!r}: expected a class from 0 to {classes - 1}, or None for the one "
            "with the highest logit."
        )
    return chosen


def _gradients(logit: Tensor, outputs: dict[str, Output]) -> dict[str, Tensor]:
    """dY/dA of each layer; 0 where the logit does not depend on it."""
    asked = {name: out.tensor for name, out in outputs.items() if out.tensor.requires_grad}
    found: Sequence[Tensor | None] = ()
    if asked and logit.requires_grad:
        found = torch.autograd.grad(logit, list(asked.values()), allow_unused=True)
    gradients = {name: torch.zeros_like(out.tensor) for name, out in outputs.items()}
    for name, gradient in zip(asked, found, strict=False):
        if gradient is not None:
            gradients[name] = gradient
    return gradients


def _guided(maps: Tensor, gradient: Tensor) -> Tensor:
    """w_k (D,) of maps and gradients (D, h, w): the mean of the guided gradient."""
    maps, gradient = maps.detach().double(), gradient.double()
    return torch.where((maps > 0) & (gradient > 0), gradient, 0).mean((1, 2))


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
