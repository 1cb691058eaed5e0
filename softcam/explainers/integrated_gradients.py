"""Integrated Gradients: the gradient along a straight line from a baseline to the image.

    attribution = (x - x0) * mean of d logit / d x over the line from x0 to x

over 50 points (Gauss-Legendre), with x0 = 0 *after* the model's normalisation, which is the mean
colour of the training data. Attributions of a pixel's three colours are summed; over the image they
sum to logit(x) - logit(x0), up to the error of the 50 points.

Source: Sundararajan et al., "Axiomatic attribution for deep networks", ICML 2017; captum's
`IntegratedGradients` with its defaults, as the authors of Soft-CAM used it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.explainers.features import chunk_of, normalised, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["integrated_gradients"]

STEPS = 50  # points on the line, captum's default


@explainer(
    name="integrated-gradients",
    title="Integrated Gradients",
    paper="Sundararajan et al., ICML 2017",
    cost=f"{STEPS} forward and backward passes for each class",
    gauges=("raw", "centred", "contrast"),
    needs="images",
    forwards=3 * STEPS,  # a backward pass costs about two forward passes
)
def integrated_gradients(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """What each pixel adds to the logit of the class, beside an image of the mean colour.

    Memory does not grow with the batch or the steps: some points are run at a time.

    Returns:
        (B, H, W), signed, in logits, at the image's resolution.
    """
    from captum.attr import IntegratedGradients

    with torch.inference_mode(False), undisturbed(model), torch.enable_grad():
        x, net = normalised(model, images.detach().clone())
        method, chunk = IntegratedGradients(net), chunk_of(images, gradients=True)
        maps = [
            method.attribute(
                part, target=target.clone(), n_steps=STEPS, internal_batch_size=chunk
            ).sum(1)
            for part, target in zip(
                torch.split(x, chunk), torch.split(targets.to(x.device), chunk), strict=True
            )
        ]
    return torch.cat(maps).detach()
