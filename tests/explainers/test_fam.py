"""FAM against NumPy, against itself, and against references that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.explainers.fam import fam, similarity_maps
from tests.explainers.sixteen import black_box, features, near, pictures

TARGETS = torch.tensor([1, 0, 1])


def by_definition(z: np.ndarray, other: np.ndarray) -> np.ndarray:
    """sum_k a_k b_k / (|a| |b|) A_k of one image, (h, w)."""
    a, b = z.mean((1, 2)), other.mean((1, 2))
    weights = a * b / np.sqrt((a**2).sum() * (b**2).sum())
    return np.tensordot(weights, z, 1)


def test_equals_numpy_and_its_weights_add_up_to_the_cosine() -> None:
    model, images, others = black_box(), pictures(3), pictures(6, 12, 12)[3:]
    maps = similarity_maps(model, images, others)
    z, b = features(model, images), features(model, others)
    for found, own, other in zip(maps, z, b, strict=True):
        assert near(found, by_definition(own, other))
        one = np.ones_like(own) * own.mean((1, 2), keepdims=True)
        assert np.allclose(float(found.mean()), by_definition(one, other).mean(), rtol=1e-4)


def test_the_size_of_the_reference_features_does_not_count() -> None:
    z = torch.rand(2, 5, 3, 4, generator=torch.Generator().manual_seed(1))
    other = torch.rand(2, 5, 2, 2, generator=torch.Generator().manual_seed(2))

    class Same(torch.nn.Module):
        """An embedding without any classifier: the input is the features."""

        num_features = 5

        def forward_features(self, x: torch.Tensor) -> torch.Tensor:
            return x

        forward_head = forward = forward_features

    maps = similarity_maps(Same(), z, other)
    assert torch.allclose(maps, similarity_maps(Same(), z, 3 * other), atol=1e-6)
    assert near(maps[0], by_definition(z[0].double().numpy(), other[0].double().numpy()))
    assert torch.equal(similarity_maps(Same(), z, 0 * other), torch.zeros(2, 3, 4))


def test_one_reference_for_all_or_one_a_class() -> None:
    model, images, others = black_box(), pictures(3), pictures(5)[3:]
    single, each = fam(others[0]), fam(others)
    assert single.experimental and single.gauges == ("-",) and each.gauges == ("raw",)
    expected = similarity_maps(model, images, others[:1].expand(3, -1, -1, -1))
    assert torch.equal(single(model, images, TARGETS), expected)
    assert torch.equal(
        each(model, images, TARGETS), similarity_maps(model, images, others[TARGETS])
    )


def test_references_that_do_not_fit() -> None:
    model, images = black_box(), pictures(3)
    with pytest.raises(SoftCAMError, match="one reference an image"):
        similarity_maps(model, images, images[:2])
    with pytest.raises(SoftCAMError, match=r"\(3, H, W\)"):
        fam(images[0, 0])
    with pytest.raises(SoftCAMError, match="class 3 has no reference"):
        fam(images)(model, images, torch.tensor([0, 3, 1]))
