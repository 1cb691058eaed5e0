"""Batch norm's running statistics, estimated again on given images.

A network whose function has changed gives its batch norms other inputs than those their running
statistics were taken from. Taking them again needs images and no labels (Li et al., "Adaptive
Batch Normalization", Pattern Recognition 2018; Izmailov et al., UAI 2018, for averaged weights).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError

__all__ = ["recalibrate_batch_norm"]


def recalibrate_batch_norm(
    model: nn.Module, images: Tensor | Iterable[Tensor], *, batch_size: int = 32
) -> None:
    """Re-estimate the running means and variances of batch norm on given images, in place.

    Every batch norm normalises with the batch at hand, as in training; everything else is in
    evaluation mode (no dropout, so nothing is random). The new mean is that over all images; the
    new variance is the mean of the batches' variances, weighted by their size. Weights, modes,
    momenta and counters stay as they are, and so does everything if it fails.

    Args:
        model: a network with batch norm, on any device.
        images: (N, 3, H, W) as the model takes them, split into batches of `batch_size`; or the
            batches themselves. Training images: statistics of test images would be a leak.
        batch_size: about what the network was trained with.

    Raises:
        SoftCAMError: no batch norm with running statistics, no image, a batch with a single value
            a channel, or images that are not finite.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        raise SoftCAMError(
            f"{type(model).__name__} has no batch norm with running statistics: there is nothing "
            "to recalibrate; use it as it is."
        )
    if batch_size < 2:
        raise SoftCAMError(f"batch_size is {batch_size}: a variance needs at least 2 images.")
    device = next(norms[0].buffers()).device
    batches = torch.split(images, batch_size) if isinstance(images, Tensor) else images
    with _recalibrating(model, norms), torch.no_grad():
        seen = 0
        for batch in batches:
            if not len(batch):
                continue
            seen += len(batch)
            for norm in norms:
                norm.momentum = len(batch) / seen  # a cumulative average over images
            _forward(model, batch.to(device))
        if not seen:
            raise SoftCAMError("there are no images to recalibrate on: give at least one batch.")
        if not all(buffer.isfinite().all() for norm in norms for buffer in norm.buffers()):
            raise SoftCAMError(
                "the new statistics are not finite: look for NaN in the images, or give the "
                "network in float32."
            )


def _forward(model: nn.Module, batch: Tensor) -> None:
    try:
        model(batch)
    except ValueError as error:  # torch's word for a variance of one number
        raise SoftCAMError(
            f"a batch of shape {tuple(batch.shape)} gives no variance ({error}): take larger "
            "batches or images."
        ) from error


@contextmanager
def _recalibrating(
    model: nn.Module, norms: list[nn.modules.batchnorm._BatchNorm]
) -> Iterator[None]:
    """Batch norms in training mode and all else in evaluation; afterwards as before."""
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    states = [{k: v.clone() for k, v in norm.named_buffers(recurse=False)} for norm in norms]
    model.eval()
    try:
        for norm in norms:
            norm.train()
        yield
    except BaseException:
        for norm, state in zip(norms, states, strict=True):
            norm.load_state_dict(state, strict=False)
        raise
    finally:
        for norm, momentum, state in zip(norms, momenta, states, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(state["num_batches_tracked"])
        for module, mode in modes:
            module.training = mode
