"""Whether a network has a spatial map, asked of the network and not of its conversion.

The share of networks that convert would mean little if failing to convert were the reason to count
a network as one without a map. So this looks at what timm's `forward_features` gives, and at
nothing that `to_softcam` does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.layouts import is_grid
from softcam.proof import probe_copy

__all__ = ["has_spatial_map"]

PREFIXES = 2  # tokens in front of the patches, at most, where the network does not say


@torch.no_grad()
def has_spatial_map(net: nn.Module, size: tuple[int, int]) -> bool | None:
    """`forward_features` gives a map of several cells, or tokens whose mean the head takes.

    Args:
        net: in evaluation mode.
        size: (H, W) of an image that it takes.

    Returns:
        None where this cannot be asked: the network has not got timm's verbs, or they fail.
    """
    if not (hasattr(net, "forward_features") and hasattr(net, "forward_head")):
        return None
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    try:
        z = net.forward_features(x)  # type: ignore[operator]
        if not isinstance(z, Tensor):
            return False  # a list of features, or of tokens and their class token
        if z.ndim == 3:
            return _pools_tokens(net, x)
        return is_grid(z.shape)
    except Exception:  # a network may raise anything
        return None


def _pools_tokens(net: nn.Module, x: Tensor) -> bool:
    """The logits depend on the mean of the patches' tokens, and on nothing else of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        probe = probe_copy(net)  # a fresh head may be all zeros, and then depends on nothing
        z = probe.forward_features(x)  # type: ignore[operator]
        noise = torch.randn_like(z)
        cases = [(z + noise - noise.mean(2, keepdim=True), noise)]  # tokens (B, D, N)
        for prefix in range(int(getattr(net, "num_prefix_tokens", PREFIXES)) + 1):
            front, patches = z[:, :prefix], z[:, prefix:]  # tokens (B, N, D)
            other = torch.randn_like(patches)
            same = patches + other - other.mean(1, keepdim=True)
            cases.append((torch.cat([front, same], 1), torch.cat([front, other], 1)))
    expected = _logits(probe, z)
    return any(
        torch.allclose(_logits(probe, same), expected, rtol=1e-3, atol=1e-4)
        and not torch.allclose(_logits(probe, other), expected, rtol=1e-2, atol=1e-3)
        for same, other in cases
    )


def _logits(net: nn.Module, z: Tensor) -> Tensor:
    logits = net.forward_head(z)  # type: ignore[operator]
    return logits[0] if isinstance(logits, tuple) else logits
