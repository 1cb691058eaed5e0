"""VGG and AlexNet as the paper converts them: a convolutional head, freshly initialised.

Their own head is fully connected over a grid of 7x7 or 6x6 cells, so there is no mean pooling that
could change places with it.

Source: Djoumessi & Berens, "Soft-CAM", MIDL 2026, section on architectures.
"""

from __future__ import annotations

from typing import cast

from torch import nn

from softcam.evidence import Conversion
from softcam.proof import NotThisWay, first_output, own_copy, probe_copy, quiet, reduction_of

__all__ = ["paper_head"]


def paper_head(
    net: nn.Module, num_classes: int | None, width: int
) -> tuple[nn.Module, nn.Sequential, Conversion]:
    """Features without the pooling to a fixed grid, and a head of three 1x1 convolutions.

    Args:
        net: stays as it is.
        num_classes: C; None takes the network's.
        width: of the two hidden layers; 4096 in the paper.

    Raises:
        NotThisWay: the network is not of this family.
    """
    copied = own_copy(net)
    fc = _fully_connected(copied)
    features = getattr(copied, "features", None)
    if not isinstance(features, nn.Module) or len(fc) < 2:
        raise NotThisWay("it is no VGG: it has no `features` with fully connected layers behind")
    with quiet():
        probe = cast(nn.Module, probe_copy(net).features)
        _, z = first_output(net, probe)
        reduction = reduction_of(probe, net)
    # A fully connected layer that reads a grid of cells is what sets this family apart.
    cells, rest = divmod(fc[0].weight[0].numel(), z.shape[1])
    if z.ndim != 4 or cells < 2 or rest:
        raise NotThisWay("it is no VGG: its first fully connected layer reads no grid of cells")
    like = next(features.parameters())
    head = nn.Sequential(
        nn.Conv2d(z.shape[1], width, 1), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Conv2d(width, width, 1), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Conv2d(width, num_classes or fc[-1].weight.shape[0], 1),
    ).to(like.device, like.dtype)  # fmt: skip
    notes = (
        "the paper's VGG head, freshly initialised: the old logits are lost, train before use",
        "its own head is fully connected over a grid of cells, not mean pooling and one layer",
    )
    return features, head, Conversion("paper", None, reduction, notes)


def _fully_connected(net: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The layers after `features`, in order; timm writes VGG's as convolutions."""
    features = getattr(net, "features", nn.Identity())
    inside = set(features.modules()) if isinstance(features, nn.Module) else set()
    layers = (module for module in net.modules() if module not in inside)
    return [module for module in layers if isinstance(module, (nn.Linear, nn.Conv2d))]
