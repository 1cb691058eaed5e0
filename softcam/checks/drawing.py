"""Inputs for students' functions: sizes that all differ, numbers that make mistakes visible."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["different", "finding", "normal", "tensor", "whole"]


def normal(generator: np.random.Generator, *shape: int, scale: float = 2.0) -> Tensor:
    """Normal numbers of both signs, float32."""
    return torch.from_numpy(generator.normal(0, scale, shape)).float()


def whole(generator: np.random.Generator, *shape: int, low: int = -3, high: int = 3) -> Tensor:
    """Small whole numbers from `low` to `high`, as float32: easy to follow on paper."""
    return torch.from_numpy(generator.integers(low, high + 1, shape)).float()


def different(generator: np.random.Generator, count: int, low: int = 2, high: int = 8) -> list[int]:
    """That many sizes, no two alike: a mean over the wrong axis then has another shape."""
    return [int(size) for size in generator.permutation(np.arange(low, high + 1))[:count]]


def tensor(values: object) -> Tensor:
    """Nested lists of numbers as float32."""
    return torch.tensor(values, dtype=torch.float32)


def finding(generator: np.random.Generator, height: int, width: int) -> Tensor:
    """(H, W) bool: a rectangle with at least one marked and one unmarked pixel."""
    rows = np.sort(generator.choice(height, 2, replace=False))
    columns = np.sort(generator.choice(width, 2, replace=False))
    marked = torch.zeros(height, width, dtype=torch.bool)
    marked[rows[0] : rows[1], columns[0] : columns[1]] = True
    return marked
