"""What is minimised, and with which steps: loss, penalty, optimizer and learning rate.

The arms differ in `Objective` and nowhere else.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.evidence import SoftCAM, elastic_net, logit_control
from softcam.runs import TrainConfig
from softcam.wrappers import BlackBox

__all__ = [
    "Objective",
    "build_optimizer",
    "class_weights",
    "cross_entropy",
    "divergence",
    "freezes_bn",
    "learning_rate",
]


class Objective(nn.Module):
    """A network with its loss, as one module: (images, labels) to two scalars.

    One module, because a wrapper for several processes synchronises what passes through its
    `forward`, and the penalty needs the maps, not the logits.

    Args:
        model: the network of the arm.
        config: of the arm.
        lambda1, lambda2: penalty weights on the paper's scale.
        class_weights: see the function of that name, or None.
    """

    def __init__(
        self,
        model: BlackBox | SoftCAM,
        config: TrainConfig,
        lambda1: float,
        lambda2: float,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.lambda1, self.lambda2 = lambda1, lambda2
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the logits, and the arm's penalty on the maps (equation 5)."""
        link, weights = self.model.link, cast(Tensor | None, self.class_weights)
        if isinstance(self.model, BlackBox) or self.config.arm == "dense":
            logits = self.model(images)
            return cross_entropy(logits, labels, link, weights), logits.new_zeros(())
        maps = self.model.evidence_maps(images)  # (B, C, h, w)
        ce = cross_entropy(maps.mean((2, 3)), labels, link, weights)
        if self.config.arm == "logit-control":
            return ce, logit_control(maps, self.lambda1)
        return ce, elastic_net(maps, self.lambda1, self.lambda2)


def cross_entropy(logits: Tensor, labels: Tensor, link: str, weights: Tensor | None) -> Tensor:
    """Mean cross-entropy in nats, a float32 scalar.

    Args:
        logits: (B, C), or (B, 1) for two classes and one sigmoid.
        labels: (B,) integers, the class of each image; or (B, C) of 0 and 1, each logit with a
            sigmoid of its own: the mean is then over images and classes.
        link: `softmax` or `sigmoid`.
        weights: what `class_weights` gives for these labels, or None.
    """
    logits = logits.float()
    if link == "softmax":
        return F.cross_entropy(logits, labels, weight=weights)
    single = labels.ndim == 1
    sample = None
    if weights is not None:
        sample = weights[labels] if single else torch.where(labels > 0, weights[1], weights[0])
    z = logits[:, 0] if single else logits
    loss = F.binary_cross_entropy_with_logits(z, labels.float(), weight=sample, reduction="sum")
    return loss / (labels.numel() if sample is None else sample.sum())


def class_weights(labels: np.ndarray, classes: int) -> Tensor:
    """Inverse class frequencies, scaled so that their mean over the images is 1.

    Args:
        labels: (N,) integers, or (N, C) of 0 and 1.
        classes: C.

    Returns:
        (C,); of several findings (2, C), the weights of the images without and with each.
    """
    if labels.ndim == 2:
        counts = np.stack([(labels == 0).sum(0), (labels == 1).sum(0)])
    else:
        counts = np.bincount(labels, minlength=classes)
    return torch.tensor(len(labels) / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """The rate of one step.

    `adamw`: linear warm-up over the first tenth, then a cosine to 0, a step at a time.
    `sgd-paper`: a cosine an epoch, frozen at a tenth of the start (1e-3 to 1e-4 in the paper).
    """
    if config.optimizer == "sgd-paper":
        cosine = 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
        return config.lr * max(cosine, 0.1)
    total = config.epochs * steps
    done = epoch * steps + step
    warm = max(1, total // 10)
    if done < warm:
        return config.lr * (done + 1) / warm
    return config.lr * 0.5 * (1 + math.cos(math.pi * (done - warm) / max(1, total - warm)))


def build_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW without decay on biases and norms, or the paper's SGD with Nesterov momentum 0.9."""
    if config.optimizer == "sgd-paper":
        return torch.optim.SGD(
            model.parameters(), config.lr, 0.9, weight_decay=config.weight_decay, nesterov=True
        )
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr)


def freezes_bn(config: TrainConfig) -> bool:
    """Whether batch-norm statistics stay as they came (see `TrainConfig.freeze_bn`)."""
    given = bool(config.weights or config.pretrained)
    return config.freeze_bn in ("yes", "force") or (
        config.freeze_bn == "auto" and given and config.batch_size < 16
    )


def divergence(
    config: TrainConfig, epoch: int, step: int, lr: float, ce: Tensor, penalty: Tensor
) -> str:
    """Where the loss stopped being a number, which part of it did, and what to try."""
    culprit = "penalty" if torch.isfinite(ce) else "cross-entropy"
    return (
        f"training of arm {config.arm} diverged in epoch {epoch}, batch {step}: the {culprit} is "
        f"not a number (cross-entropy {float(ce.detach()):g}, penalty "
        f"{float(penalty.detach()):g}). Try a lower lr (now {lr:g}), a smaller penalty weight, "
        "mixed_precision='no', or look at the images of the batch."
    )
