"""What a hidden tile is painted with: a colour, the blurred image, or a linear imputation.

A fill is itself something that a network sees. Mean colour is an opacity in a lung and a hard
edge in a fundus; the edge alone can betray the shape of what is gone (Rong et al., A consistent
and efficient evaluation strategy for attribution methods, ICML 2022). A ranking of maps that
holds under several fills speaks of the maps (`fill_agreement`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, choose, digest, rng
from softcam.metrics.geometry import patch_grid
from softcam.metrics.masking import Hiding

__all__ = ["FILLS", "Fill", "blur", "fill_name", "impute", "painter"]

FILLS = ("mean-colour", "blur", "linear")
Fill = str | Sequence[float] | Tensor
# Writes an image at some points of its curve into (s, 3, H, W).
Paint = Callable[[int, slice, Tensor], None]

BLUR = 2  # standard deviation in tiles
NOISE = 0.01  # standard deviation of the noise on a linear imputation, of [0, 1]
STREAM = 0x46494C4C  # keeps these draws apart from others with the same seed
DIRECT, DIAGONAL = 1 / 6, 1 / 12  # weights of a pixel's neighbours


def fill_name(fill: Fill) -> str:
    """How a table calls a fill: its name, or the colour as `0.5/0.5/0.5`.

    Raises:
        SoftCAMError: an unknown name, or a colour that is not three numbers in [0, 1].
    """
    if isinstance(fill, str):
        return choose("fill", fill, FILLS)
    return "/".join(f"{value:.4g}" for value in _colour(fill).tolist())


def painter(
    fill: Fill,
    model: nn.Module,
    images: Tensor,
    hiding: Hiding,
    keys: Sequence[int | str] | None = None,
    seed: int = 0,
) -> Paint:
    """What draws one image at some points of its curve, tiles hidden under a fill.

    Args:
        fill: `mean-colour` (`model.mean_colour`), `blur`, `linear`, or a colour (3,) in [0, 1].
        images: (B, 3, H, W) in [0, 1], where the model is.
        hiding: what is hidden, on the same device.
        keys: one an image, for the noise of `linear`; None takes the place in the batch.
        seed: of that noise.
    """
    name = fill_name(fill)
    if name == "linear":
        return _impute_each(images, hiding, range(len(images)) if keys is None else keys, seed)
    if name == "blur":
        return _paint_over(images, blur(images), hiding)
    colour = _colour(model.mean_colour if isinstance(fill, str) else fill)  # type: ignore[arg-type]
    flat = _like(colour, images)[:, None, None]
    return _paint_over(images, flat.expand(len(images), 3, 1, 1), hiding)


def blur(images: Tensor) -> Tensor:
    """The images (B, 3, H, W) without what a tile can hold: a Gaussian of two tiles' sides.

    Its standard deviation sigma is 2 p for tiles of p px. Of a lone bright tile 4 % of the
    contrast is left, of a wave whose half-period is one tile less than 0.01 %, of one of four
    tiles 29 %: broad anatomy stays, and so does a shade of a finding of many tiles. At the
    border the weights inside the image are normalised to 1, so no darkness leaks in.
    """
    height, width = images.shape[2:]
    sigma = BLUR * patch_grid(height, width).size
    rows, columns = (_like(_gaussian(n, sigma), images) for n in (height, width))
    return rows @ images @ columns.T


def impute(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Linear imputation without noise: each hidden pixel is the weighted mean of its neighbours.

    Weights 1/6 for the four direct and 1/12 for the four diagonal neighbours, scaled to sum 1
    where some lie outside the image (Rong et al., ICML 2022): one sparse linear
    system. Where everything is hidden nothing is left to impute from; the image's own mean
    colour stands in.

    Args:
        image: (3, H, W) float.
        hidden: (H, W) bool.

    Returns:
        (3, H, W) float64; the pixels that are not hidden as they were.
    """
    out = image.astype(np.float64)
    if hidden.all():
        out[:] = out.mean((1, 2), keepdims=True)
    elif hidden.any():
        out[:, hidden] = _solve(out, hidden)
    return out


def _paint_over(images: Tensor, fills: Tensor, hiding: Hiding) -> Paint:
    """Static fills (B, 3, H, W), or (B, 3, 1, 1)."""

    def paint(image: int, points: slice, out: Tensor) -> None:
        torch.where(hiding.hidden(image, points), fills[image], images[image], out=out)

    return paint


def _impute_each(images: Tensor, hiding: Hiding, keys: Sequence[int | str], seed: int) -> Paint:
    """Noisy linear imputation; all points of an image at once, since they build on each other."""
    numbers = [key if isinstance(key, int) else int(digest(key, length=12), 16) for key in keys]
    held: dict[int, Tensor] = {}

    def paint(image: int, points: slice, out: Tensor) -> None:
        if image not in held:
            held.clear()
            ranks, counts = hiding.ranks[image].cpu().numpy(), hiding.counts.cpu().numpy()
            drawn = _imputed(images[image].cpu().numpy(), ranks, counts, (seed, numbers[image]))
            held[image] = torch.from_numpy(drawn)
        out.copy_(held[image][points])

    return paint


def _imputed(
    image: np.ndarray, ranks: np.ndarray, counts: np.ndarray, key: tuple[int, int]
) -> np.ndarray:
    """One image (3, H, W) at each point of its curve: (S, 3, H, W) float32.

    The hidden pixels only grow with the count, so a connected piece that took in no new pixel
    keeps its solution, and only the others are solved again.
    """
    from scipy.ndimage import label

    out = np.empty((len(counts), *image.shape), np.float32)
    now = image.astype(np.float64)
    before = np.zeros(ranks.shape, bool)
    for point in np.argsort(counts, kind="stable"):
        hidden = ranks < counts[point]
        new = hidden & ~before
        if hidden.all():
            now = impute(image, hidden)
        elif new.any():
            pieces, _ = label(hidden, np.ones((3, 3)))
            changed = np.isin(pieces, np.unique(pieces[new]))
            now[:, changed] = _solve(now, changed)
        before = hidden
        noise = rng(*key, int(point), STREAM).normal(0, NOISE, image.shape)
        out[point] = now + noise * hidden
    return out


def _solve(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The hidden pixels, (3, n), from those around them; `image` (3, H, W) float64.

    Multiplied by the sum of its weights, each row of (pixel - weighted mean = 0) is one of a
    symmetric matrix, which factorises with less fill-in and without pivoting.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    height, width = hidden.shape
    y, x = np.nonzero(hidden)
    number = np.full((height + 2, width + 2), -1)  # -1 known, -2 outside the image
    number[[0, -1]] = number[:, [0, -1]] = -2
    number[y + 1, x + 1] = np.arange(len(y))
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    total, known = np.zeros(len(y)), np.zeros((len(image), len(y)))
    entries = []
    for dy, dx in np.ndindex(3, 3):
        if (dy, dx) == (1, 1):
            continue
        weight = DIRECT if 1 in (dy, dx) else DIAGONAL
        other = number[y + dy, x + dx]
        total += weight * (other > -2)
        known += weight * (other == -1) * padded[:, y + dy, x + dx]
        rows = np.flatnonzero(other >= 0)
        entries.append((rows, other[rows], np.full(len(rows), -weight)))
    diagonal = np.arange(len(y))
    row, column, value = (np.concatenate(each) for each in
                          zip((diagonal, diagonal, total), *entries, strict=True))  # fmt: skip
    matrix = coo_matrix((value, (row, column))).tocsc()
    factors = splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(factors.solve(known.T)).T


def _like(values: Tensor, images: Tensor) -> Tensor:
    """float64 on the CPU to what the images are; first the type, as not every device has it."""
    return values.to(images.dtype).to(images.device)


def _gaussian(n: int, sigma: float) -> Tensor:
    """(n, n) weights of a Gaussian, each row summing to 1 inside the image."""
    place = torch.arange(n, dtype=torch.float64)
    weights = torch.exp(-(((place[:, None] - place) / sigma) ** 2) / 2)
    return weights / weights.sum(1, keepdim=True)


def _colour(fill: Sequence[float] | Tensor) -> Tensor:
    try:
        colour = torch.as_tensor(fill).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError) as error:  # what torch says of None, of words
        raise SoftCAMError(
            f"a fill is {fill!r}: expected one of {', '.join(FILLS)}, or a colour (r, g, b)."
        ) from error
    if colour.shape != (3,):
        raise SoftCAMError(
            f"expected a fill colour (3,), found shape {tuple(colour.shape)}. By name there are: "
            f"{', '.join(FILLS)}."
        )
    if not bool(((colour >= 0) & (colour <= 1)).all()):
        raise SoftCAMError(f"expected a fill colour in [0, 1], found {colour.tolist()}.")
    return colour
