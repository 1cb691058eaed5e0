"""The layers of a network in a few stages, from the output down, and how a stage is drawn anew.

Source: cascading randomisation, Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, digest, rng
from softcam.explainers.features import undisturbed
from softcam.metrics.agreement import STAGES

__all__ = ["Stage", "find_stages", "randomise"]

STREAM = 0x53414E45  # keeps these draws apart from others with the same seed
FEWEST = 4  # blocks a network is cut into at least, where its names allow it
# Of normalisation layers whose numbers are all buffers.
FROZEN = {"running_mean": 0.0, "running_var": 1.0, "weight": 1.0, "bias": 0.0}

Layers = dict[str, nn.Module]
Block = tuple[str, list[str]]  # title, names of layers


@dataclass(frozen=True)
class Stage:
    """Layers that are randomised together.

    Attributes:
        name: for people, `head`, `layer4` or `blocks.0..blocks.1`.
        layers: by their name within the network; the same in a black box and its conversion.
    """

    name: str
    layers: Layers


def find_stages(model: nn.Module, images: Tensor) -> tuple[Stage, ...]:
    """The layers of a model in at most eight parts, from the output down.

    The first is the head, the layer with parameters that runs last: the class-evidence layer of
    a SoftCAM, the linear layer of a black box. The others follow the network's own blocks as its
    names tell them, in the order in which they run. A block that holds most of the network is
    taken apart; neighbours are joined where there are too many; a normalisation layer by itself
    goes with the layer before it.

    Args:
        model: any network; it is run once, in evaluation mode.
        images: what it takes; the first image is run.

    Raises:
        SoftCAMError: the model has no parameters.
    """
    names, head = _by_run(model, images)
    parts = [Stage("head", {"head": model.get_submodule(head)})]
    if names:
        paths = [name.split(".") for name in names]
        outer = min(_shared(paths), min(map(len, paths)) - 1)
        layers = {".".join(p[outer:]): model.get_submodule(".".join(p)) for p in paths}
        for title, group in reversed(_blocks(layers)):
            parts.append(Stage(title, {name: layers[name] for name in group}))
    return tuple(parts)


def _by_run(model: nn.Module, images: Tensor) -> tuple[list[str], str]:
    """Names of the modules with weights or running statistics as they first run; the head apart.

    One that is never called, because another module reads its parameters, goes with the one that
    is registered before it.
    """
    owners = [name for name, module in model.named_modules() if _is_owner(module)]
    first: dict[str, int] = {}
    with contextlib.ExitStack() as stack, undisturbed(model), torch.no_grad():
        for name in owners:

            def note(_module: nn.Module, _inputs: object, name: str = name) -> None:
                first.setdefault(name, len(first))

            stack.callback(model.get_submodule(name).register_forward_pre_hook(note).remove)
        model(images[:1])
    if not first:
        raise SoftCAMError(
            f"{type(model).__name__} runs no layer with parameters: there is nothing to randomise."
        )
    place, places = -1, {}
    for name in owners:
        place = places[name] = first.get(name, place)
    head = max(first, key=first.__getitem__)
    return sorted((name for name in owners if name != head), key=places.__getitem__), head


def _is_owner(module: nn.Module) -> bool:
    own = next(module.parameters(recurse=False), None)
    return own is not None or isinstance(getattr(module, "running_var", None), Tensor)


def _blocks(layers: Layers) -> list[Block]:
    """The layers, in order, in at most `STAGES` - 1 blocks."""
    blocks, depth = [("", list(layers))], [0]
    while len(_joined(blocks, layers)) < FEWEST:
        largest = max(range(len(blocks)), key=lambda i: len(blocks[i][1]))
        if len(blocks[largest][1]) == 1:
            break
        deeper = depth[largest] + 1
        inner: dict[str, list[str]] = {}
        for name in blocks[largest][1]:
            inner.setdefault(".".join(name.split(".")[:deeper]), []).append(name)
        blocks[largest : largest + 1] = inner.items()
        depth[largest : largest + 1] = [deeper] * len(inner)
    blocks = _joined(blocks, layers)
    while len(blocks) >= STAGES:
        sizes = [len(names) for _, names in blocks]
        i = min(range(len(blocks) - 1), key=lambda i: sizes[i] + sizes[i + 1])
        title = f"{blocks[i][0].split('..')[0]}..{blocks[i + 1][0].split('..')[-1]}"
        blocks[i : i + 2] = [(title, blocks[i][1] + blocks[i + 1][1])]
    return blocks


def _joined(blocks: list[Block], layers: Layers) -> list[Block]:
    """Blocks of vectors only, such as normalisation layers, joined to the block before them."""
    out: list[Block] = []
    for title, names in blocks:
        tensors = [p for name in names for p in layers[name].parameters(recurse=False)]
        if out and all(p.ndim < 2 for p in tensors):
            out[-1] = out[-1][0], out[-1][1] + names
        else:
            out.append((title, names))
    return out


def _shared(paths: list[list[str]]) -> int:
    """How many parts all paths begin with."""
    alike = [len(set(parts)) == 1 for parts in zip(*paths, strict=False)]
    return alike.index(False) if False in alike else len(alike)


def randomise(stage: Stage, seed: int) -> None:
    """Draw the layers of a stage anew, in place.

    Weights of convolutions and linear layers are Gaussian with variance 2 / fan-in (He et al.,
    ICCV 2015), biases 0. Layers of another kind that can reset themselves do so: normalisation
    layers then have weight 1, bias 0, mean 0 and variance 1. What is left (layer scales) gets
    Gaussian values of the root mean square that it has. The numbers depend on the seed and
    the name of the layer alone.

    2 / fan-in keeps the signal at its scale. Smaller weights, torch's default among them, would
    leave the shortcut of a residual block alone, and a map would survive for the wrong reason.
    """
    for name, layer in stage.layers.items():
        generator = rng(seed, int(digest(name, length=12), 16), STREAM)
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset) and not isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(generator.integers(2**32)))
                reset()
        else:
            _draw(layer, generator)


@torch.no_grad()
def _draw(layer: nn.Module, generator: np.random.Generator) -> None:
    """New values for the parameters and running statistics that a layer holds itself."""
    for name, parameter in layer.named_parameters(recurse=False):
        variance = parameter.square().mean().item()
        if parameter.ndim > 1:
            variance = 2 * len(parameter) / parameter.numel()
        elif name.endswith("bias"):
            variance = 0.0
        values = math.sqrt(variance) * generator.standard_normal(parameter.numel())
        parameter.copy_(torch.from_numpy(values).view(parameter.shape))
    for name, buffer in layer.named_buffers(recurse=False):
        if name in FROZEN:
            buffer.fill_(FROZEN[name])
