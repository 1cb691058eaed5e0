"""What each layer of a network sees, in words that people give to it.

A layer's feature maps are weighed, clustered and merged (`explain_layers`); people name what they
see in a game (`Game`), or masks of known parts do it (`match_concepts`); and the words of many
images become one picture of a class over the layers (`global_labels`).

Source: Bianchi, De Santis, Tocchetti, Brambilla, "Interpretable Network Visualizations", IJCAI
2024, pp. 3715-3723.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softcam.layerwise.check import LesionRates, layer_label, lesion_rate
    from softcam.layerwise.clusters import (
        ClusterMap,
        LayerExplanation,
        cluster_maps,
        explain_layers,
    )
    from softcam.layerwise.concepts import concept_scores, masks_of, match_concepts
    from softcam.layerwise.embedding import Embedder, get_embedder
    from softcam.layerwise.game import Game
    from softcam.layerwise.overall import global_labels
    from softcam.layerwise.play import Item
    from softcam.layerwise.reveal import STEPS, revealed
    from softcam.layerwise.rounds import RoundStore
    from softcam.layerwise.weights import default_layers
    from softcam.layerwise.words import label_clusters, merge_maps

# Loaded on first use, as in `softcam`.
_LAZY = {
    "ClusterMap": "softcam.layerwise.clusters",
    "Embedder": "softcam.layerwise.embedding",
    "Game": "softcam.layerwise.game",
    "Item": "softcam.layerwise.play",
    "LayerExplanation": "softcam.layerwise.clusters",
    "LesionRates": "softcam.layerwise.check",
    "RoundStore": "softcam.layerwise.rounds",
    "STEPS": "softcam.layerwise.reveal",
    "cluster_maps": "softcam.layerwise.clusters",
    "concept_scores": "softcam.layerwise.concepts",
    "default_layers": "softcam.layerwise.weights",
    "explain_layers": "softcam.layerwise.clusters",
    "get_embedder": "softcam.layerwise.embedding",
    "global_labels": "softcam.layerwise.overall",
    "label_clusters": "softcam.layerwise.words",
    "layer_label": "softcam.layerwise.check",
    "lesion_rate": "softcam.layerwise.check",
    "masks_of": "softcam.layerwise.concepts",
    "match_concepts": "softcam.layerwise.concepts",
    "merge_maps": "softcam.layerwise.words",
    "revealed": "softcam.layerwise.reveal",
}

__all__ = [
    "STEPS",
    "ClusterMap",
    "Embedder",
    "Game",
    "Item",
    "LayerExplanation",
    "LesionRates",
    "RoundStore",
    "cluster_maps",
    "concept_scores",
    "default_layers",
    "explain_layers",
    "get_embedder",
    "global_labels",
    "label_clusters",
    "layer_label",
    "lesion_rate",
    "masks_of",
    "match_concepts",
    "merge_maps",
    "revealed",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'softcam.layerwise' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
