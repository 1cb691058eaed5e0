"""Sanity checks of explanations: destroy the model, and see whether its maps notice.

Cascading randomisation: the layers are drawn anew one stage after the other, from the output down.
Label randomisation: another model was trained on shuffled labels. In both, a map that stays as it
was does not explain the model. The controls `random`, `centre` and `edge` stay as they are by
construction and show how a failure looks.

Source: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, as_integer
from softcam.copying import own_copy
from softcam.explainers.features import undisturbed
from softcam.explainers.gauges import gauge_maps
from softcam.explainers.registry import check_needs, check_targets, get_explainer
from softcam.metrics.agreement import cascade_correlation, label_correlation
from softcam.metrics.records import Ratios
from softcam.runs import TrainConfig
from softcam.sanity.stages import find_stages, randomise

__all__ = ["Cascade", "cascade", "is_label_twin", "label_randomisation"]

CHUNK = 32  # images at a time

Key = tuple[str, str]  # method, gauge


@dataclass(frozen=True)
class Cascade:
    """What was left of the maps at each stage.

    Attributes:
        stages: L names, from the output down; after step s the first s are randomised.
        ratios: for each (method, gauge) `cascade-correlation`, (B, L + 1); step 0 is the trained
            model. The denominator counts the draws in which an image has a value.
    """

    stages: tuple[str, ...]
    ratios: dict[Key, Ratios]


def cascade(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    methods: Sequence[str],
    *,
    seed: int = 0,
    draws: int = 1,
) -> Cascade:
    """Randomise a copy of a model from the output down and compare its maps with the trained ones.

    Stages are those of `find_stages`, drawn anew by `randomise` as for a fresh network, so that
    nothing of the training is left in them. The scale of the logits is not kept; ranks do not
    read it.

    The same seed gives a black box and its conversion the same weights. `contrast` takes the
    class that the model at hand ranks next. The model itself is left as it is.

    Args:
        model: `BlackBox` or `SoftCAM`.
        images: (B, 3, H, W) float in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
        methods: names of explainers.
        seed: of the new weights.
        draws: how often the cascade is run, with seeds `seed`, `seed` + 1, ...; the value of an
            image is the mean over draws. One draw is noisy in the first stages: how much of
            a map a random head keeps hangs on its few weights.

    Raises:
        SoftCAMError: no images, or a model, method or targets that do not go together.
    """
    as_integer("draws", draws, 1, 1000)
    as_integer("seed", seed, 0, 2**32 - draws)
    names: tuple[str, ...] = ()
    parts = []
    for number in range(seed, seed + draws):
        names, ratios = _one_cascade(model, images, targets, methods, number)
        parts.append(ratios)
    return Cascade(names, {key: _added([each[key] for each in parts]) for key in parts[0]})


def _one_cascade(
    model: nn.Module, images: Tensor, targets: Tensor, methods: Sequence[str], seed: int
) -> tuple[tuple[str, ...], dict[Key, Ratios]]:
    copied = own_copy(model).eval()
    before = _maps(copied, images, targets, methods)
    after: dict[Key, list[Tensor]] = {key: [] for key in before}
    parts = find_stages(copied, images[:1])
    for part in parts:
        randomise(part, seed)
        for key, maps in _maps(copied, images, targets, methods).items():
            after[key].append(maps)
    ratios = {key: cascade_correlation(maps, after[key]) for key, maps in before.items()}
    return tuple(part.name for part in parts), ratios


def _added(draws: list[Ratios]) -> Ratios:
    """Several draws for the same images, pooled: an image counts once for each draw."""
    return Ratios(
        np.sum([each.numerator for each in draws], 0),
        np.sum([each.denominator for each in draws], 0),
    )


def label_randomisation(
    model: nn.Module, other: nn.Module, images: Tensor, targets: Tensor, methods: Sequence[str]
) -> dict[Key, Ratios]:
    """`label-correlation` (B, 1) of two models' maps, for each (method, gauge).

    A value says little by itself. Its yardstick is the same function with `other` trained on true
    labels from another seed: a method passes when its correlation with the model of shuffled
    labels is far below the correlation between seeds. Two models of one seed begin with the same
    weights, so compare over several seeds, or let `other` have another seed in both cases.

    Args:
        model: trained on true labels.
        other: a model of the same configuration, trained on shuffled labels.
        images: (B, 3, H, W) float in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
        methods: names of explainers.

    Raises:
        SoftCAMError: no images, models that differ in link or map size, or a method or targets
            that do not fit them.
    """
    first = _maps(model, images, targets, methods)
    second = _maps(other, images, targets, methods)
    if first.keys() != second.keys():
        raise SoftCAMError(
            f"the two models have maps in different gauges, {_listed(first)} and "
            f"{_listed(second)}: compare models of one link and number of classes."
        )
    return {key: label_correlation(maps, second[key]) for key, maps in first.items()}


def is_label_twin(a: TrainConfig, b: TrainConfig) -> bool:
    """Whether two configurations are the same but that one of them shuffles its labels."""
    plain, shuffled = [], []
    for config in (a, b):
        values = asdict(config)
        options = dict(config.data_options)
        shuffled.append(bool(options.pop("shuffle_labels", False)))
        plain.append({**values, "data_options": options})
    return plain[0] == plain[1] and shuffled[0] != shuffled[1]


def _listed(maps: dict[Key, Tensor]) -> str:
    return ", ".join(f"{method} {gauge}" for method, gauge in maps)


def _maps(
    model: nn.Module, images: Tensor, targets: Tensor, methods: Sequence[str]
) -> dict[Key, Tensor]:
    """The maps (B, h, w) of each method in each of its gauges, in evaluation mode."""
    if not len(images) or isinstance(methods, str) or not methods:
        raise SoftCAMError(
            f"expected images and a list of methods, found {len(images)} images and {methods!r}."
        )
    chosen = [get_explainer(name) for name in dict.fromkeys(methods)]
    parts: dict[Key, list[Tensor]] = {}
    with undisturbed(model):
        for method in chosen:
            check_needs(method, model)
        with torch.no_grad():
            check_targets(targets, len(images), model(images[:1]).shape[1])
        for start in range(0, len(images), CHUNK):
            some = slice(start, start + CHUNK)
            for method in chosen:
                _, found = gauge_maps(method, model, images[some], targets[some])
                for gauge, maps in found.items():
                    parts.setdefault((method.name, gauge), []).append(maps.cpu())
    return {key: torch.cat(each) for key, each in parts.items()}
