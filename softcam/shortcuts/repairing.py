"""Train a finished model on: with other data, or with a penalty on the evidence in a marked part.

The penalty is "right for the right reasons" on evidence maps instead of input gradients: a cell
in the marker shall speak for no class. It acts on cells, and a cell sees more than it covers, so
the marker's influence may move to a neighbour instead of ending. Ask the twin, not the map.

Source of the idea: Ross, Hughes & Doshi-Velez, "Right for the right reasons: training
differentiable models by constraining their explanations", IJCAI 2017.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from softcam.common import SoftCAMError, hides_bar, rng, seed_everything
from softcam.data.records import ImageSet
from softcam.data.transforms import augment
from softcam.evidence import SoftCAM
from softcam.metrics.geometry import area_pool
from softcam.objective import TrainingDiverged, build_optimizer, cross_entropy, learning_rate
from softcam.runs import TrainConfig
from softcam.shortcuts.parts import widen
from softcam.training import epoch_batches

__all__ = ["evidence_inside", "repair"]

STREAM = 0x52455041  # keeps these draws apart from others with the same seed
FLIP = "flip"  # the one augmentation that moves a mask as it moves an image, and blurs neither


def evidence_inside(maps: Tensor, masks: Tensor, link: str = "softmax") -> Tensor:
    """How strongly the cells of a part speak: the mean of |evidence| over its pixels, (B,) logits.

    Each pixel reads the cell it lies in, so a cell counts by the share that the part covers. The
    evidence is centred over the classes for a softmax, whose zero is open, and raw for a sigmoid;
    the mean runs over the classes, too. For two classes it is half the mean |contrast|.

    Args:
        maps: (B, C, h, w), in logits.
        masks: (B, H, W) bool.
        link: `softmax` or `sigmoid`.

    Returns:
        (B,) >= 0, with gradient; 0 for an image in which the part is absent.
    """
    if maps.ndim != 4 or masks.ndim != 3 or len(maps) != len(masks):
        raise SoftCAMError(
            f"expected maps (B, C, h, w) and masks (B, H, W), found {tuple(maps.shape)} and "
            f"{tuple(masks.shape)}."
        )
    if link == "softmax":
        maps = maps - maps.mean(1, keepdim=True)
    shares = area_pool(masks, (int(maps.shape[2]), int(maps.shape[3]))).to(maps)
    total = shares.sum((1, 2))
    strength = (maps.abs().mean(1) * shares).sum((1, 2))
    return strength / total.masked_fill(total == 0, 1.0)


def repair(
    model: SoftCAM,
    data: ImageSet,
    *,
    avoid: Sequence[str] = (),
    weight: float = 0.0,
    margin: int = 0,
    epochs: int = 2,
    lr: float = 1e-3,
    batch_size: int = 32,
    seed: int = 0,
    progress: bool = True,
) -> SoftCAM:
    """Train a copy of a model on: cross-entropy, plus weight * the mean `evidence_inside`.

    With `weight=0` only the data can repair it; on the data of its first training that is a
    placebo. AdamW with warm-up and cosine, images flipped left to right at random, all in float32
    on the device of the model. The penalty of the first training is not kept up.

    Args:
        model: a trained SoftCAM; it stays as it is.
        data: the split to train on.
        avoid: names of masks in which evidence is punished.
        weight: >= 0, of the mean |evidence| in them; > 0 exactly if `avoid` names a mask.
        margin: pixels by which these masks are widened.
        epochs, lr, batch_size: as in `TrainConfig`; the last partial batch is dropped.
        seed: of the order of the images, the flips and dropout.
        progress: show a bar.

    Returns:
        The copy, in eval mode.

    Raises:
        TrainingDiverged: the loss became NaN or infinite.
        SoftCAMError: options that do not fit together.
        UnknownNameError: a mask that the data do not have.
    """
    config = TrainConfig(epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, augment=FLIP)
    steps = _steps(data, config, avoid, weight)
    mended = copy.deepcopy(model).train()
    optimizer = build_optimizer(config, mended)
    with tqdm(total=epochs * steps, desc="repair", leave=False, disable=hides_bar(progress)) as bar:
        for epoch in range(epochs):
            seed_everything(int(rng(seed, epoch, STREAM).integers(2**31)))
            for step, rows in enumerate(epoch_batches(len(data), config, epoch)):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(config, epoch, step, steps)
                images, masks = _batch(data, rows, avoid, margin, (seed, epoch, step, STREAM))
                labels = torch.from_numpy(data.labels[rows])
                loss = _loss(mended, images, labels, masks, weight)
                _check_finite(loss, f"epoch {epoch}, batch {step}", lr, weight)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                bar.update()
    return mended.eval()


def _steps(data: ImageSet, config: TrainConfig, avoid: Sequence[str], weight: float) -> int:
    """Batches in an epoch, once the options are found to fit together."""
    if (weight > 0) != bool(avoid) or not 0 <= weight < float("inf"):
        raise SoftCAMError(
            f"weight is {weight} and avoid names {list(avoid)}: expected a weight > 0 and the "
            "masks to avoid, or neither."
        )
    steps = len(data) // config.batch_size
    if not steps:
        raise SoftCAMError(
            f"{len(data)} images do not fill one batch of {config.batch_size}: lower it."
        )
    return steps


def _check_finite(loss: Tensor, where: str, lr: float, weight: float) -> None:
    if not torch.isfinite(loss):
        raise TrainingDiverged(
            f"the repair diverged in {where}: the loss is not a number. Try a lower lr (now "
            f"{lr:g}) or weight (now {weight:g})."
        )


def _batch(
    data: ImageSet, rows: np.ndarray, avoid: Sequence[str], margin: int, key: tuple[int, ...]
) -> tuple[Tensor, Tensor | None]:
    """Images (B, 3, H, W) and the masks to avoid (B, H, W), flipped alike; None without any."""
    flips = int(rng(*key).integers(2**62))
    images = augment(data.batch(rows), FLIP, torch.Generator().manual_seed(flips))
    if not avoid:
        return images, None
    masks = torch.from_numpy(np.stack([data.mask(int(row), *avoid) for row in rows]))
    moved = augment(widen(masks, margin)[:, None], FLIP, torch.Generator().manual_seed(flips))
    return images, moved[:, 0]


def _loss(
    model: SoftCAM, images: Tensor, labels: Tensor, masks: Tensor | None, weight: float
) -> Tensor:
    device = next(model.parameters()).device
    maps = model.evidence_maps(images.to(device))
    loss = cross_entropy(maps.mean((2, 3)), labels.to(device), model.link, None)
    if masks is None:
        return loss
    return loss + weight * evidence_inside(maps, masks.to(device), model.link).mean()
