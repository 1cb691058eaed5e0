"""What a training may ask of evidence maps beyond a right answer: one function an arm.

| arm | penalty on the maps of one image | what it does |
|---|---|---|
| sparse, ridge, elastic | `elastic_net` | the paper's: shrinks, and removes cancelling evidence |
| logit-control | `logit_control` | shrinks logits alone, whatever their maps look like |
| hoyer | `hoyer_penalty` | concentrates each map, whatever its size |

All act on raw maps, whose zero a softmax leaves open: adding one map to the maps of all classes
changes no prediction. So each penalty also chooses that zero, and can fall without any change in
what the network says: L2 centres each cell over the classes, L1 takes a median, and the Hoyer
ratio the zero at which the maps are most concentrated, which may be one that leaves the map of a
class empty. A sigmoid's zero is fixed, and there a penalty can only change evidence. Read maps
trained with a softmax by their contrast, which no zero changes.

All compute in float32, or float64 for maps in it: half precision overflows at 65,504, which a sum
over 2 x 16 x 16 cells reaches.

Source: Djoumessi & Berens, "Soft-CAM", MIDL 2026 (equation 5); Hoyer, "Non-negative matrix
factorization with sparseness constraints", JMLR 5, 2004 (the ratio; it has 1 for one cell).
"""

from __future__ import annotations

import torch
from torch import Tensor

from softcam.common import SoftCAMError

__all__ = [
    "elastic_net",
    "hoyer_penalty",
    "hoyer_spread",
    "logit_control",
    "paper_lambdas",
]


def elastic_net(maps: Tensor, lambda1: float, lambda2: float) -> Tensor:
    """The ElasticNet penalty on evidence maps (equation 5), averaged over the batch.

    For each image: lambda1 * sum |A| + lambda2 * ||A||_2 over all classes and cells. The second
    term is the norm itself, as in the authors' code, not the squared norm that textbooks call
    ridge. The mean runs over the images given; the public code gives the first of a batch, which
    has the same expectation and more noise (`TrainConfig.penalty_on`).

    Since a logit is the mean of its map, sum |A_c| >= h*w*|logit_c| with equality for every map
    of one sign: L1 here punishes cancellation and confidence, not spread as such.

    Args:
        maps: (B, C, h, w), in logits.
        lambda1, lambda2: >= 0, on the paper's scale (on the sums); see `paper_lambdas`.

    Returns:
        A scalar, float32 or float64. At A = 0 the gradient of both terms is 0.
    """
    flat = _checked(maps, lambda1, lambda2).flatten(1)  # (B, C*h*w)
    penalty = flat.new_zeros(())
    if lambda1:
        penalty = penalty + lambda1 * flat.abs().sum(1).mean()
    if lambda2:
        penalty = penalty + lambda2 * torch.linalg.vector_norm(flat, dim=1).mean()
    return penalty


def logit_control(maps: Tensor, lambda1: float) -> Tensor:
    """lambda1 * h*w * sum_c |logit_c|, averaged over the batch: L1 without its view of the map.

    The smallest L1 that maps with these logits can have. Trained beside the sparse arm it tells
    shrinking logits apart from cleaning maps.

    Args:
        maps: (B, C, h, w), in logits.
        lambda1: >= 0, on the paper's scale.

    Returns:
        A scalar, float32 or float64.
    """
    maps = _checked(maps, lambda1)
    cells = maps.shape[2] * maps.shape[3]
    return lambda1 * cells * maps.mean((2, 3)).abs().sum(1).mean()


def hoyer_spread(maps: Tensor) -> Tensor:
    """How evenly |A_c| lies over the n = h*w cells: (||A_c||_1 / ||A_c||_2 - 1) / (sqrt(n) - 1).

    One minus the sparseness of Hoyer (2004). It is 0 where one cell holds everything and 1 where
    all |A| are equal; k equal cells give (sqrt(k) - 1) / (sqrt(n) - 1). A factor, negative too,
    changes nothing: unlike L1 and L2 it cannot be lowered by a less confident network.

    Args:
        maps: (B, C, h, w), of any unit.

    Returns:
        (B, C) in [0, 1], float32 or float64. A map of zeros, where the ratio is undefined, and a
        map of one cell have 0, and gradient 0. Towards a map of zeros the gradient grows as
        1 / ||A_c||, for a factor changes nothing.
    """
    flat = _checked(maps).flatten(2)  # (B, C, n)
    cells = flat.shape[2]
    if cells == 1:
        return (flat * 0).sum(2)
    # A factor changes nothing, so the largest cell may be 1: no square can over- or underflow.
    largest = flat.detach().abs().amax(2, keepdim=True)
    flat = flat / largest.clamp(min=torch.finfo(flat.dtype).tiny)
    norm = torch.linalg.vector_norm(flat, dim=2)
    empty = norm == 0  # and not `norm > 0`, which would make a NaN pass for an empty map
    ratio = flat.abs().sum(2) / norm.masked_fill(empty, 1.0)
    return ((ratio - 1) / (cells**0.5 - 1)).masked_fill(empty, 0.0)


def hoyer_penalty(maps: Tensor, lambda1: float) -> Tensor:
    """lambda1 * h*w * sum_c `hoyer_spread`_c, averaged over the batch: sparsity without a scale.

    Its weight is written as that of `logit_control`: per cell it is the weight of the mean spread
    over images and classes (see `paper_lambdas`), which lies in [0, 1] at every map size.

    It acts on the raw maps, as the paper's penalties do. With a softmax it can therefore move the
    zero: of two classes' maps A and B, 0 and B - A say the same, and cost half the spread of
    B - A. With a sigmoid it cannot.

    Args:
        maps: (B, C, h, w), in logits.
        lambda1: >= 0, on the paper's scale.

    Returns:
        A scalar, float32 or float64.
    """
    cells = maps.shape[-2:].numel()
    return lambda1 * cells * hoyer_spread(_checked(maps, lambda1)).sum(1).mean()


def paper_lambdas(
    l1_per_cell: float, l2_per_cell: float, classes: int, height: int, width: int
) -> tuple[float, float]:
    """Weights per cell to the paper's lambda1 and lambda2 (on the sums).

    The weight of the mean |A| is lambda1 * C*h*w and that of the root mean square of A is
    lambda2 * sqrt(C*h*w); these carry over between map sizes, the paper's lambdas do not.
    Likewise lambda1 * C*h*w is the weight of the mean |logit| for `logit_control`, and of the
    mean spread for `hoyer_penalty`.
    """
    cells = classes * height * width
    return l1_per_cell / cells, l2_per_cell / cells**0.5


def _checked(maps: Tensor, *weights: float) -> Tensor:
    """Maps in float32, or as they are in float64."""
    if maps.ndim != 4:
        raise SoftCAMError(f"expected evidence maps (B, C, h, w), found shape {tuple(maps.shape)}.")
    if any(weight < 0 for weight in weights):
        names = "lambda1 and lambda2" if len(weights) > 1 else "lambda1"
        raise SoftCAMError(f"{names} must be >= 0, found {' and '.join(map(str, weights))}.")
    return maps if maps.dtype == torch.float64 else maps.float()
