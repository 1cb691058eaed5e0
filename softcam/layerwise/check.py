"""Is the word that masks give to a layer the lesion? On images whose truth is known.

In diseased images that the network classifies correctly, each layer's cluster maps for that
class are labelled by the masks they lie on (`match_concepts`). What a layer is called is the label
with the highest score, averaged over its cluster maps by share; this is what `global_labels`
plots. Beside it stand what has not learned anything: the same network before training, maps of
noise, and the same network's maps of another image, which know where lesions lie on the whole but
not where this one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from softcam.common import SoftCAMError, as_integer, hides_bar, rng
from softcam.explainers.features import undisturbed
from softcam.layerwise.clusters import LayerExplanation, explain_layers
from softcam.layerwise.concepts import masks_of, match_concepts
from softcam.layerwise.weights import default_layers
from softcam.metrics.intervals import bootstrap_ratio
from softcam.metrics.records import Ratios

if TYPE_CHECKING:
    import pandas as pd

    from softcam.data.records import ImageSet

__all__ = ["LesionRates", "layer_label", "lesion_rate", "noise_like"]

STREAM = 0x4C41594C  # keeps the maps of noise apart from other draws with the same seed
BATCH = 32
TRAINED, UNTRAINED = "trained", "untrained"
NOISE, ANOTHER = "maps of noise", "maps of another image"
COLUMNS = (
    "layer", "maps", "question", "value", "ci_low", "ci_high", "ci_kind", "n", "unlabelled",
)  # fmt: skip
LABEL_OF = {
    "layer": "the layer's label is the lesion",
    "map": "a cluster map's label is the lesion",
}


@dataclass(frozen=True)
class LesionRates:
    """What `lesion_rate` found.

    Attributes:
        table: two rows a layer and kind of maps, see `lesion_rate`.
        labels: of the trained network's cluster maps in all images asked, for `global_labels`.
        layers: their names, in the order in which they run.
    """

    table: pd.DataFrame
    labels: pd.DataFrame
    layers: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """One image: its masks, its class, and the cluster maps of each layer."""

    index: int
    target: int
    masks: dict[str, np.ndarray]
    explained: tuple[LayerExplanation, ...]


def lesion_rate(
    model: nn.Module,
    data: ImageSet,
    *,
    untrained: nn.Module | None = None,
    indices: Iterable[int] | None = None,
    layers: Sequence[str] | None = None,
    limit: int | None = 100,
    seed: int = 0,
    n_boot: int = 1000,
    progress: bool = True,
) -> LesionRates:
    """How often a layer is called the lesion, in correctly classified diseased images.

    A class counts as diseased if its images show a marked finding; asked are images that do.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, C), trained on `data.classes`.
        data: a split with masks, such as phantoms.
        untrained: the same network before training; explained for the same images and classes.
        indices: which images may be asked; None all.
        layers: as in `explain_layers`; None takes the default layers of the first image.
        limit: the largest number of images, the first ones; None for all.
        seed: of t-SNE, the maps of noise and the bootstrap.
        n_boot: draws of images for the interval.
        progress: show a bar.

    Returns:
        The labels, and a table of two rows a layer and kind of maps (`trained`, `untrained`,
        `maps of noise`, `maps of another image`). `question`: whether the label of the layer is a
        finding, or that of any of its cluster maps; `value` in [0, 1] with a 95 % interval; `n`
        images; `unlabelled`, the share of images in which nothing of this layer matched any mask,
        which counts as no lesion.

    Raises:
        SoftCAMError: labels of several findings an image, or no image to ask.
    """
    import pandas as pd

    asked = list(_ask(model, data, _chosen(model, data, indices, limit), layers, seed, progress))
    kinds = {TRAINED: asked, NOISE: [_noise(each, seed) for each in asked]}
    if len(asked) > 1:
        kinds[ANOTHER] = _exchanged(asked)
    names = tuple(each.layer for each in asked[0].explained)
    if untrained is not None:
        chosen = [each.index for each in asked]
        kinds[UNTRAINED] = list(_ask(untrained, data, chosen, names, seed, progress))
    labels = {kind: [_labels(each, data) for each in images] for kind, images in kinds.items()}
    rows = [
        row
        for layer in names
        for kind, tables in labels.items()
        for row in _rows(layer, kind, tables, data.finding_names, n_boot, seed)
    ]
    return LesionRates(
        pd.DataFrame(rows, columns=list(COLUMNS)),
        pd.concat(labels[TRAINED], ignore_index=True),
        names,
    )


def layer_label(labels: pd.DataFrame) -> str | None:
    """What a layer is called: the label with the highest score, averaged by share.

    Args:
        labels: of one layer of one image, from `match_concepts`; a label that a cluster map lacks
            counts as 0 there. Of equal ones it is the first.

    Returns:
        None where there is no label.
    """
    if labels.empty:
        return None
    weighed = (labels["share"] * labels["score"]).groupby(labels["label"], sort=False).sum()
    return str(weighed.idxmax())


def noise_like(explanation: LayerExplanation, generator: np.random.Generator) -> LayerExplanation:
    """The same shares with maps that know nothing: each cell uniform in [0, 1)."""
    clusters = tuple(
        replace(each, map=generator.random(each.map.shape).astype(np.float32))
        for each in explanation.clusters
    )
    return replace(explanation, clusters=clusters)


@torch.no_grad()
def _chosen(
    model: nn.Module, data: ImageSet, indices: Iterable[int] | None, limit: int | None
) -> list[int]:
    """Images with a finding that the model puts into their class."""
    if data.multi_label:
        raise SoftCAMError(
            "these images may show several findings at once: expected one class an image."
        )
    if limit is not None:
        as_integer("limit", limit, 1, 10**9)
    allowed = None if indices is None else {int(i) for i in indices}
    marked = [int(i) for i in data.with_findings() if allowed is None or int(i) in allowed]
    found: list[int] = []
    for start in range(0, len(marked), BATCH):
        batch = marked[start : start + BATCH]
        found += [i for i, right in zip(batch, _right(model, data, batch), strict=True) if right]
        if limit is not None and len(found) >= limit:
            return found[:limit]
    if not found:
        raise SoftCAMError(
            f"{data.name}/{data.split} has {len(marked)} images with a finding, and the model "
            "classifies none of them correctly: give a trained model and data with masks."
        )
    return found


def _right(model: nn.Module, data: ImageSet, batch: list[int]) -> list[bool]:
    with undisturbed(model):
        logits = model(data.batch(batch))
    if logits.shape[1] != len(data.classes):
        raise SoftCAMError(
            f"the model has {logits.shape[1]} logits for {len(data.classes)} classes: expected one "
            "a class."
        )
    own = torch.as_tensor(np.asarray(data.labels[batch]))
    return [bool(each) for each in logits.argmax(1).cpu() == own]


def _ask(
    model: nn.Module,
    data: ImageSet,
    indices: list[int],
    layers: Sequence[str] | None,
    seed: int,
    progress: bool,
) -> Iterator[_Asked]:
    for index in tqdm(indices, "layers", leave=False, disable=hides_bar(progress)):
        image, label = data.batch([index])[0], int(data.labels[index])
        layers = layers or default_layers(model, image)
        explained = explain_layers(model, image, label, layers=layers, seed=seed)
        yield _Asked(index, label, masks_of(data, index), explained)


def _noise(asked: _Asked, seed: int) -> _Asked:
    generator = rng(seed, asked.index, STREAM)
    return replace(asked, explained=tuple(noise_like(e, generator) for e in asked.explained))


def _exchanged(asked: list[_Asked]) -> list[_Asked]:
    """Each image with the cluster maps of the next one of its class, so that none has its own."""
    found = list(asked)
    for target in {each.target for each in asked}:
        own = [i for i, each in enumerate(asked) if each.target == target]
        for here, there in zip(own, [*own[1:], own[0]], strict=True):
            found[here] = replace(asked[here], explained=asked[there].explained)
    return found


def _labels(asked: _Asked, data: ImageSet) -> pd.DataFrame:
    table = match_concepts(
        asked.explained,
        asked.masks,
        image=data.ids[asked.index],
        class_name=data.classes[asked.target],
    )
    table.attrs.clear()  # which maps were merged means nothing once tables are joined
    return table


def _rows(
    layer: str,
    kind: str,
    tables: list[pd.DataFrame],
    findings: Sequence[str],
    n_boot: int,
    seed: int,
) -> Iterator[tuple[Any, ...]]:
    """Both questions to one layer."""
    own = [table[table["layer"] == layer] for table in tables]
    silent = sum(labels.empty for labels in own) / len(own)
    best = [labels.groupby("cluster")["label"].first() for labels in own]
    answers = {
        LABEL_OF["layer"]: [layer_label(labels) in findings for labels in own],
        LABEL_OF["map"]: [bool(labels.isin(list(findings)).any()) for labels in best],
    }
    for question, given in answers.items():
        yes = np.array(given, np.float64)[:, None]
        interval = bootstrap_ratio(Ratios(yes, np.ones_like(yes)), n_boot, seed)
        value, low, high = (float(each[0]) for each in interval)
        yield layer, kind, question, value, low, high, interval.kind, len(own), silent
