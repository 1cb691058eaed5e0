"""The same methods in pytorch-grad-cam and torchcam, called as their documentation says.

Both build their extractor in each call, as ours does all of its work in each call. pytorch-grad-cam
enlarges its maps to the image and scales them to [0, 1], torchcam scales them; neither can be
turned off in the former.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import torch
from torch import Tensor, nn

Call = Callable[[], object]


def pytorch_grad_cam(
    model: nn.Module, layer: nn.Module, images: Tensor, targets: Tensor
) -> dict[str, Call]:
    """Its calls by our names."""
    from pytorch_grad_cam import EigenCAM, GradCAM, HiResCAM, LayerCAM, ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def of(kind: type) -> Call:
        def run() -> object:
            own = [ClassifierOutputTarget(target) for target in targets.tolist()]
            with (
                contextlib.redirect_stderr(io.StringIO()),  # its progress bars
                kind(model=model, target_layers=[layer]) as method,
            ):
                return method(input_tensor=images, targets=own)

        return run

    return {
        "grad-cam": of(GradCAM),
        "hires-cam": of(HiResCAM),
        "layer-cam": of(LayerCAM),
        "eigen-cam": of(EigenCAM),
        "score-cam": of(ScoreCAM),
    }


def torchcam(
    model: nn.Module, layer: nn.Module, images: Tensor, targets: Tensor
) -> dict[str, Call]:
    """Its calls by our names; it has neither HiResCAM nor Eigen-CAM."""
    from torchcam.methods import GradCAM, LayerCAM, ScoreCAM

    def of(kind: type, gradients: bool) -> Call:
        def run() -> object:
            with torch.set_grad_enabled(gradients), kind(model, layer) as method:
                return method(targets.tolist(), scores=model(images))

        return run

    return {
        "grad-cam": of(GradCAM, True),
        "layer-cam": of(LayerCAM, True),
        "score-cam": of(ScoreCAM, False),
    }
