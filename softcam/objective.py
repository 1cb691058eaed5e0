"""What is minimised, and with which steps: loss, penalty, optimizer and learning rate.

The arms differ in `Objective` and nowhere else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.evidence import SoftCAM
from softcam.penalties import elastic_net, hoyer_penalty, logit_control
from softcam.runs import TrainConfig
from softcam.wrappers import BlackBox

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = [
    "Objective",
    "Share",
    "TrainingDiverged",
    "build_optimizer",
    "class_weights",
    "cross_entropy",
    "divergence",
    "freezes_bn",
    "learning_rate",
    "loss_of_part",
    "share_of_batch",
]


class TrainingDiverged(SoftCAMError):
    """The loss is no longer a number; says where, and what to try."""


class Share(NamedTuple):
    """What the means of one process over its part count for in those over the whole batch.

    Times the number of processes, because the gradients of all processes are averaged.
    """

    cross_entropy: float = 1.0
    penalty: float = 1.0


WHOLE = Share()


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

    def forward(
        self, images: Tensor, labels: Tensor, share: Share = WHOLE
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the logits, and the arm's penalty on the maps (equation 5).

        Args:
            images: (B, 3, H, W) in [0, 1], a batch or one process's part of it.
            labels: of these images, as in `cross_entropy`.
            share: of a part, what `share_of_batch` says.
        """
        link, weights = self.model.link, cast(Tensor | None, self.class_weights)
        if isinstance(self.model, BlackBox) or self.config.arm == "dense":
            logits = self.model(images)
            ce = cross_entropy(logits, labels, link, weights)
            return ce * share.cross_entropy, logits.new_zeros(())
        maps = self.model.evidence_maps(images)  # (B, C, h, w)
        ce = cross_entropy(maps.mean((2, 3)), labels, link, weights)
        return ce * share.cross_entropy, self._penalty(maps) * share.penalty

    def _penalty(self, maps: Tensor) -> Tensor:
        if self.config.penalty_on == "first":
            maps = maps[:1]
        if self.config.arm == "logit-control":
            return logit_control(maps, self.lambda1)
        if self.config.arm == "hoyer":
            return hoyer_penalty(maps, self.lambda1)
        return elastic_net(maps, self.lambda1, self.lambda2)


def share_of_batch(
    config: TrainConfig, labels: Tensor, process: int, processes: int, weights: Tensor | None
) -> Share:
    """The share of the part `labels[process::processes]` of a batch; (1, 1) for one process.

    A mean over a part knows its own denominator only. That of the loss is a sum of class weights,
    which differs between parts, and parts differ by an image where the number of processes does
    not divide the batch. With its share, the mean over processes of the gradients is the gradient
    of the whole batch, exactly.

    Args:
        config: says which images the penalty reads.
        labels: of the whole batch, (B,) or (B, C).
        process: 0 to `processes` - 1; the first holds the first image of the batch.
        processes: among which the batch is divided, at most B.
        weights: what `class_weights` gives for these labels, or None.
    """
    counts = torch.ones(labels.shape) if weights is None else _label_weights(labels, weights)
    each = counts.double().flatten(1).sum(1) if counts.ndim > 1 else counts.double()
    ce = float(each[process::processes].sum() / each.sum()) * processes
    if config.penalty_on == "first":
        return Share(ce, processes if process == 0 else 0.0)
    return Share(ce, len(labels[process::processes]) / len(labels) * processes)


def loss_of_part(
    accelerator: Accelerator,
    objective: nn.Module,
    config: TrainConfig,
    images: Tensor,
    labels: Tensor,
    weights: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """What this process lets flow back, so that the mean over processes is that of one process.

    Args:
        accelerator: of the training.
        objective: an `Objective`, prepared by it.
        config: of the arm.
        images: this process's part of the batch, (b, 3, H, W) in [0, 1].
        labels: of the whole batch, (B,) or (B, C), on the CPU.
        weights: class weights of the objective, on the CPU, or None.

    Returns:
        The loss of the part, and loss, cross-entropy and penalty of the whole batch, (3,).
    """
    process, processes = accelerator.process_index, accelerator.num_processes
    share = share_of_batch(config, labels, process, processes, weights)
    own = labels[process::processes].to(accelerator.device)
    with accelerator.autocast():
        ce, penalty = objective(images.to(accelerator.device), own, share)
    loss = ce + penalty
    means = torch.stack([loss, ce, penalty]).detach()
    return loss, accelerator.reduce(means, "mean")


def _label_weights(labels: Tensor, weights: Tensor) -> Tensor:
    """What each label counts for: as many numbers as labels."""
    if labels.ndim == 1:
        return weights[labels]
    return torch.where(labels > 0, weights[1], weights[0])


def cross_entropy(logits: Tensor, labels: Tensor, link: str, weights: Tensor | None) -> Tensor:
    """Mean cross-entropy in nats, a scalar in float32, or in float64 for logits in it.

    Args:
        logits: (B, C), or (B, 1) for two classes and one sigmoid.
        labels: (B,) integers, the class of each image; or (B, C) of 0 and 1, each logit with a
            sigmoid of its own: the mean is then over images and classes.
        link: `softmax` or `sigmoid`.
        weights: what `class_weights` gives for these labels, or None.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if link == "softmax":
        return F.cross_entropy(logits, labels, weight=weights)
    single = labels.ndim == 1
    sample = None if weights is None else _label_weights(labels, weights)
    z = logits[:, 0] if single else logits
    loss = F.binary_cross_entropy_with_logits(z, labels.to(z), weight=sample, reduction="sum")
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
    `sgd-paper`: a cosine an epoch, frozen at a tenth of the start (1e-3 to 1e-4 in the paper). Its
    half period is `cosine_epochs`, or the whole training.
    """
    if config.optimizer == "sgd-paper":
        done = min(1.0, epoch / (config.cosine_epochs or config.epochs))
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return config.lr * max(cosine, 0.1)
    total = config.epochs * steps
    now = epoch * steps + step
    warm = max(1, total // 10)
    if now < warm:
        return config.lr * (now + 1) / warm
    return config.lr * 0.5 * (1 + math.cos(math.pi * (now - warm) / max(1, total - warm)))


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
