"""What each layer of a network sees, in words that people give to it.

A layer's feature maps are weighed, clustered and merged (`explain_layers`); people name what they
see in a game (`Game`), or masks of known parts do it (`match_concepts`); and the words of many
images become one picture of a class over the layers (`global_labels`).

Source: Bianchi, De Santis, Tocchetti, Brambilla, "Interpretable Network Visualizations", IJCAI
2024, pp. 3715-3723.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softcam.lazy import lazy_names

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
    from softcam.layerwise.page import make_items, show_game, write_game
    from softcam.layerwise.play import Item, Play
    from softcam.layerwise.records import Round
    from softcam.layerwise.reveal import STEPS, revealed
    from softcam.layerwise.rounds import RoundStore
    from softcam.layerwise.tables import read_rounds
    from softcam.layerwise.tutorial import tutorial_rounds
    from softcam.layerwise.weights import default_layers
    from softcam.layerwise.words import label_clusters, merge_maps, shares_of

# Loaded on first use, as in `softcam`.
_LAZY = {
    "ClusterMap": "softcam.layerwise.clusters",
    "Embedder": "softcam.layerwise.embedding",
    "Game": "softcam.layerwise.game",
    "Item": "softcam.layerwise.play",
    "LayerExplanation": "softcam.layerwise.clusters",
    "LesionRates": "softcam.layerwise.check",
    "Play": "softcam.layerwise.play",
    "Round": "softcam.layerwise.records",
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
    "make_items": "softcam.layerwise.page",
    "masks_of": "softcam.layerwise.concepts",
    "match_concepts": "softcam.layerwise.concepts",
    "merge_maps": "softcam.layerwise.words",
    "read_rounds": "softcam.layerwise.tables",
    "revealed": "softcam.layerwise.reveal",
    "shares_of": "softcam.layerwise.words",
    "show_game": "softcam.layerwise.page",
    "tutorial_rounds": "softcam.layerwise.tutorial",
    "write_game": "softcam.layerwise.page",
}

__all__ = [
    "STEPS",
    "ClusterMap",
    "Embedder",
    "Game",
    "Item",
    "LayerExplanation",
    "LesionRates",
    "Play",
    "Round",
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
    "make_items",
    "masks_of",
    "match_concepts",
    "merge_maps",
    "read_rounds",
    "revealed",
    "shares_of",
    "show_game",
    "tutorial_rounds",
    "write_game",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
