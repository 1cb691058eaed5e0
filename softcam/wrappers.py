"""The black box, and what it shares with SoftCAM: normalisation, link, checks on what comes in.

Public functions take RGB in [0, 1]; the network's own normalisation is a part of the model, so
that nobody normalises twice or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, choose

__all__ = ["BlackBox", "Link", "Normalize", "Wrapper"]

Link = Literal["softmax", "sigmoid"]


class Normalize(nn.Module):
    """(x - mean) / std per colour channel, or the identity when no mean is given.

    Args:
        mean: three numbers on the scale of the image, [0, 1].
        std: three positive numbers on the same scale.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise SoftCAMError("normalize needs both a mean and a std, found only one of them.")
        if mean is not None and std is not None and (len(mean) != 3 or len(std) != 3):
            raise SoftCAMError(
                f"normalize needs three means and three stds (RGB), "
                f"found {len(mean)} and {len(std)}."
            )
        if std is not None and not all(value > 0 for value in std):
            raise SoftCAMError(f"normalize needs positive stds, found {list(std)}.")
        shape = (1, 3, 1, 1)  # against (B, 3, H, W)
        for name, value in (("mean", mean), ("std", std)):
            buffer = None if value is None else torch.tensor(list(value)).float().view(shape)
            self.register_buffer(name, buffer, persistent=False)  # stored in config.json instead

    def forward(self, x: Tensor) -> Tensor:
        if self.mean is None or self.std is None:
            return x
        return (x - self.mean.to(x.dtype)) / self.std.to(x.dtype)

    def inverse(self, x: Tensor) -> Tensor:
        """Normalised images back on the scale of the image, [0, 1]."""
        if self.mean is None or self.std is None:
            return x
        return x * self.std.to(x.dtype) + self.mean.to(x.dtype)

    @property
    def is_identity(self) -> bool:
        return self.mean is None

    def values(self) -> tuple[list[float], list[float]] | None:
        """(mean, std) as plain numbers for config.json, or None for the identity."""
        if self.mean is None or self.std is None:
            return None
        return self.mean.flatten().tolist(), self.std.flatten().tolist()


class Wrapper(nn.Module):
    """What BlackBox and SoftCAM share: normalisation, link, and the checks on what comes in."""

    def __init__(
        self, normalize: Normalize | tuple[Sequence[float], Sequence[float]] | None, link: Link
    ) -> None:
        super().__init__()
        choose("link", link, ("softmax", "sigmoid"))
        if not isinstance(normalize, Normalize):
            normalize = Normalize(*normalize) if normalize else Normalize()
        self.normalize = normalize
        self.link: Link = link

    def _checked(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point():
            raise SoftCAMError(
                f"expected RGB images as floats of shape (B, 3, H, W) in [0, 1], found shape "
                f"{tuple(x.shape)} of {x.dtype}: add the batch axis, or repeat a grey "
                "channel three times."
            )
        return self.normalize(x)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over classes, or one sigmoid a class: (B, C) to (B, C) in [0, 1]."""
        return logits.softmax(1) if self.link == "softmax" else logits.sigmoid()

    @property
    def mean_colour(self) -> Tensor:
        """The mean colour of the training data, (3,) in [0, 1]; a zero after normalisation."""
        if self.normalize.mean is None:
            raise SoftCAMError(
                "this model's normalisation is the identity, so it has no mean colour: "
                "pass fill=(r, g, b), or wrap the net with normalize=(mean, std)."
            )
        return self.normalize.mean.flatten()


class BlackBox(Wrapper):
    """A GAP + FC classifier that takes RGB in [0, 1]: the network SoftCAM is compared with.

    Args:
        net: any module from normalised images (B, 3, H, W) to logits (B, C). One with a method
            `undo_normalization` is told of the normalisation, and belongs to this box.
        normalize: `(mean, std)` on [0, 1], a `Normalize`, or None for the identity.
        link: `softmax`, or `sigmoid` for one logit or several independent findings.
    """

    def __init__(
        self,
        net: nn.Module,
        normalize: Normalize | tuple[Sequence[float], Sequence[float]] | None = None,
        link: Link = "softmax",
    ) -> None:
        super().__init__(normalize, link)
        self.net = net
        undo = getattr(net, "undo_normalization", None)
        if callable(undo):
            undo(self.normalize)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self._checked(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """The last feature map, (B, D, h, w), where the net has timm's verb for it."""
        return self.net.forward_features(self._checked(x))  # type: ignore[operator]

    def get_classifier(self) -> nn.Module:
        """The fully connected layer, where the net has timm's verb for it."""
        return self.net.get_classifier()  # type: ignore[operator]

    @property
    def num_features(self) -> int:
        """D, the number of channels that enter the classifier."""
        return int(self.net.num_features)  # type: ignore[arg-type]
