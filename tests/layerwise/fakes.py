"""Embeddings that can be computed by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def by_angle(degrees: Mapping[str, float]):
    """Texts to points on the unit circle: the cosine of two is that of the angle between them.

    A text that has no angle of its own lies at the mean angle of its words.
    """

    def embed(texts: list[str]) -> np.ndarray:
        angles = [
            degrees[text] if text in degrees else np.mean([degrees[w] for w in text.split()])
            for text in texts
        ]
        turned = np.deg2rad(np.array(angles, float))
        return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)

    return embed


def by_group(*groups: str):
    """Texts to an axis a group of words: cosine 1 within a group, 0 between groups.

    A text of several words lies between their axes.
    """
    axis = {word: k for k, words in enumerate(groups) for word in words.split()}

    def embed(texts: list[str]) -> np.ndarray:
        rows = np.zeros((len(texts), len(groups)), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[axis[word]] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return embed
