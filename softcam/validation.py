"""What a network says of a split, and how well: in the middle of a training, or after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from softcam.evidence import SoftCAM
from softcam.objective import TrainingDiverged, cross_entropy
from softcam.processes import filled_together, share_buffers
from softcam.runs import SELECT, TrainConfig
from softcam.wrappers import BlackBox

if TYPE_CHECKING:
    from accelerate import Accelerator

    from softcam.data.records import ImageSet

__all__ = ["predict", "validate"]


@torch.no_grad()
def predict(
    model: BlackBox | SoftCAM,
    data: ImageSet,
    *,
    batch_size: int = 64,
    device: Any = None,
    indices: Sequence[int] | None = None,
) -> Tensor:
    """Logits (N, C) of a split's images, on the CPU; the model's mode is restored.

    `indices` names some of the images, in their order; None takes all.
    """
    chosen = range(len(data)) if indices is None else indices
    was_training = model.training
    model.eval()
    try:
        parts = [
            model(data.batch(chosen[start : start + batch_size]).to(device)).float()
            for start in range(0, len(chosen), batch_size)
        ]
    finally:
        model.train(was_training)
    return torch.cat(parts).cpu()


def validate(
    model: BlackBox | SoftCAM,
    data: ImageSet,
    config: TrainConfig,
    accelerator: Accelerator,
    epoch: int,
) -> dict[str, float]:
    """Cross-entropy (without the penalty) and the metrics of `SELECT`; of findings their means.

    Several processes classify a part of the split each; all return the same numbers.
    """
    from softcam.metrics import classification_measures, multi_label_measures

    share_buffers(model, accelerator)
    with accelerator.autocast():
        logits = filled_together(
            accelerator,
            len(data),
            lambda rows: predict(model, data, device=accelerator.device, indices=rows),
        )
    if not torch.isfinite(logits).all():
        raise TrainingDiverged(
            f"training of arm {config.arm} diverged in epoch {epoch}: logits of the validation "
            f"split are NaN or infinite. Try a lower lr (now {config.lr:g}), a lower weight_decay "
            f"(now {config.weight_decay:g}), or mixed_precision='no'."
        )
    labels = torch.from_numpy(data.labels)
    if data.multi_label:
        found = multi_label_measures(data.labels, logits.numpy())
    else:
        found = classification_measures(data.labels, logits.numpy(), model.link)
    values = {"loss": float(cross_entropy(logits, labels, model.link, None)), **found}
    return {f"val_{name}": values[name] for name in SELECT if name in values}
