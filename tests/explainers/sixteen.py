"""A network of 16 channels whose gradient can be written down, for the methods on feature maps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from softcam.wrappers import BlackBox

NORMALIZE = ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])


class Sixteen(nn.Module):
    """Z (B, 16, h, w), and logits = W mean(tanh(Z)) + b: a head that is not linear."""

    num_features = 16

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.LeakyReLU())
        self.head = nn.Tanh()
        self.fc = nn.Linear(16, classes)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward_head(self, z: Tensor) -> Tensor:
        return self.fc(self.head(z).mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class Linear16(Sixteen):
    """The same with mean pooling and a linear layer alone."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__(classes)
        self.head = nn.Identity()


def black_box(kind: type[Sixteen] = Sixteen, classes: int = 4) -> BlackBox:
    torch.manual_seed(0)
    net = kind(classes)
    net.body[1].running_mean.normal_()
    net.body[1].running_var.uniform_(0.5, 2)
    return BlackBox(net, NORMALIZE).eval()


def pictures(n: int = 3, height: int = 20, width: int = 28) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(7))


def features(model: BlackBox, images: Tensor) -> np.ndarray:
    """Z in float64, (B, 16, h, w)."""
    with torch.no_grad():
        return model.forward_features(images).double().numpy()


def gradients(model: BlackBox, z: np.ndarray, targets: list[int]) -> np.ndarray:
    """dlogit / dZ = W_c / (h w) * (1 - tanh(Z)^2), or W_c / (h w), written down."""
    weight = model.net.fc.weight.detach().double().numpy()[targets]
    slope = 1.0 if isinstance(model.net, Linear16) else 1 - np.tanh(z) ** 2
    return weight[:, :, None, None] * slope * np.ones_like(z) / (z.shape[2] * z.shape[3])


def near(found: Tensor, expected: np.ndarray, bar: float = 1e-5) -> bool:
    """Equal to `bar` of the map's scale, and not because both are nothing."""
    scale = float(np.abs(expected).max())
    return scale > 0 and float(np.abs(found.double().numpy() - expected).max()) <= bar * scale
