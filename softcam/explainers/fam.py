"""FAM: where is this image like a reference image? Feature activation map, without a classifier.

With pooled features a of the image and b of the reference, their cosine similarity is a sum over
channels of a_k b_k / (|a| |b|). Each channel's share weighs its feature map, and the map shows
where the similarity comes from. The head takes no part, so it also explains retrieval, few-shot
and contrastive networks.

The formula is the natural reading of the idea and could not be checked against the paper, so the
method is experimental. Source of the idea: Liao et al., "Feature Activation Map", arXiv 2307.05017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.explainers.features import split_at_features, undisturbed
from softcam.explainers.registry import Explainer

__all__ = ["fam", "similarity_maps"]


def similarity_maps(model: nn.Module, images: Tensor, references: Tensor) -> Tensor:
    """sum_k w_k A_k with w_k = a_k b_k / (|a| |b|), image by image: (B, h, w), signed.

    Args:
        model: a network with a last feature map.
        images: (B, 3, H, W) in [0, 1]; A are their features, a the means of these.
        references: (B, 3, H', W'), one an image; b are the means of their features.

    Returns:
        (B, h, w): its mean is sum_k w_k a_k. 0 where one of the two has no features at all.
    """
    if references.ndim != 4 or len(references) != len(images):
        raise SoftCAMError(
            f"expected one reference an image, ({len(images)}, 3, H, W), found "
            f"{tuple(references.shape)}."
        )
    with torch.inference_mode(False), undisturbed(model):
        z, _ = split_at_features(model, images.clone())
        other, _ = split_at_features(model, references.to(images).clone())
        a, b = z.mean((2, 3)), other.mean((2, 3))
        lengths = a.norm(dim=1, keepdim=True) * b.norm(dim=1, keepdim=True)
        weights = a * b / torch.where(lengths == 0, torch.ones_like(lengths), lengths)
        return (weights[:, :, None, None] * z).sum(1)


def fam(references: Tensor) -> Explainer:
    """The explainer "like this image", or "like the example of its class".

    It is no entry of the registry, since it is nothing without a reference.

    Args:
        references: (3, H, W) in [0, 1], one for all images whatever the target; or
            (C, 3, H, W), an example of each class, of which the target's is taken.
    """
    if references.ndim not in (3, 4) or references.shape[-3] != 3:
        raise SoftCAMError(
            "expected a reference image (3, H, W) or one a class (C, 3, H, W), found "
            f"{tuple(references.shape)}."
        )
    single = references.ndim == 3

    def function(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        if single:
            return similarity_maps(model, images, references.expand(len(images), -1, -1, -1))
        if len(targets) and int(targets.max()) >= len(references):
            raise SoftCAMError(
                f"class {int(targets.max())} has no reference: there are {len(references)}."
            )
        return similarity_maps(model, images, references[targets.to(references.device)])

    return Explainer(
        name="fam",
        title="FAM",
        paper="Liao et al., arXiv 2307.05017, 2023",
        cost="one forward pass of the reference",
        gauges=("-",) if single else ("raw",),
        needs="features",
        function=function,
        forwards=1,
        experimental=True,
    )
