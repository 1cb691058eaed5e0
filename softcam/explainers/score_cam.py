"""Score-CAM: a channel weighs as much as it leaves of the class's logit when it masks the image.

    mask_k = min-max(Z_k), enlarged to the image (bilinear)
    weight_k = softmax over k of  logit(image * mask_k) - logit(baseline)
    map = ReLU( sum_k weight_k * Z_k )

The softmax does not change when one number is added to all channels, so the baseline drops out;
the mask multiplies what the model takes, RGB in [0, 1], so that nothing is left of it but black.
One forward pass a channel, in chunks: memory does not grow with channels or batch. All classes
share these passes.

Three things on which implementations differ. Here, as in torchcam, a map is scaled to [0, 1] before
it is enlarged (the paper and pytorch-grad-cam: afterwards, and the latter with corners aligned),
and the logit is read before the softmax over classes (the authors' code: after it, with no softmax
over channels). Code that works on normalised input fills with the mean colour, not with black.

Source: Wang et al., "Score-CAM", CVPR Workshops 2020 (equations 3-7, algorithm 1); torchcam's
`ScoreCAM`, not normalised.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.explainers.features import chunk_of, split_at, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["score_cam"]


class _Masked(nn.Module):
    """The model as torchcam sees it: a layer that gives Z, and logits in chunks.

    The logits are kept, in the order in which they were asked for: after `rewind` the same
    questions, for another class, are answered without running the model again.
    """

    def __init__(self, model: nn.Module, z: Tensor, images: Tensor) -> None:
        super().__init__()
        self.features = nn.Identity()
        self.model = (model,)  # in a tuple it is no submodule: no hook and no mode reaches it
        self.z = z
        self.chunk = chunk_of(images)
        self.answers: list[Tensor] = []
        self.turn = 0

    def rewind(self) -> None:
        self.turn = 0

    def forward(self, images: Tensor) -> Tensor:
        self.features(self.z)
        if self.turn == len(self.answers):
            parts = [self.model[0](part) for part in torch.split(images, self.chunk)]
            self.answers.append(torch.cat(parts))
        self.turn += 1
        return self.answers[self.turn - 1]

    def unknown(self) -> Tensor:
        """(B, 1, 1): zero, or NaN where the model gave a logit that is not finite."""
        every = torch.cat(self.answers[2:]).reshape(len(self.z), -1)
        return 0 * every.sum(1)[:, None, None]


def _explained(masked: _Masked, images: Tensor, targets: list[int]) -> Tensor:
    """Score-CAM (B, h, w) of one class an image."""
    from torchcam.methods import ScoreCAM

    masked.rewind()
    with ScoreCAM(masked, masked.features, batch_size=masked.chunk) as extractor:
        masked(images)
        maps: Tensor = extractor(targets, normalized=False)[0]
    # The library leaves NaN out of its sum, which would make zeros of it.
    return maps + masked.unknown()


@torch.no_grad()
def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The masked images once; each class reads its own logit."""
    with undisturbed(model):
        z, head = split_at(model, images)
        logits = head(z)
        masked = _Masked(model, z, images)
        classes = range(logits.shape[1])
        maps = [_explained(masked, images, [c] * len(images)) for c in classes]
    return logits, torch.stack(maps, 1)


@explainer(
    name="score-cam",
    title="Score-CAM",
    paper="Wang et al., CVPR Workshops 2020",
    cost="one forward pass for each channel of the last feature map, shared by all classes",
    gauges=("raw",),
    needs="features",
    all_classes=_all_classes,
    forwards="channels",
)
@torch.no_grad()
def score_cam(
    model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None
) -> Tensor:
    """Feature maps, weighted by the softmax of the logits that each leaves as a mask.

    A channel that is the same everywhere masks everything.

    Args:
        model: a classifier.
        images: (B, 3, H, W) in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
        layer: a name of `model.named_modules()`; None takes the last feature map.

    Returns:
        (B, h, w), 0 or more where the features are, in units of the features.
    """
    with undisturbed(model):
        z, _ = split_at(model, images, layer)
        return _explained(_Masked(model, z, images), images, targets.tolist())
