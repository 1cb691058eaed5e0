"""Occlusion by superpixels: how much of the logit goes when one region of the image is hidden?

The image is cut into regions of like colour that follow its edges (SLIC without its clean-up step:
k-means over colour and place, begun on a regular grid). Each is hidden in turn behind the blurred
image, and all its pixels get the drop of the logit. A region that a person would call one thing is
then hidden as one thing, which a square tile does not do.

The idea is that of localized perturbations: Rajapaksa & Khalvati, "Localized perturbations for
weakly-supervised segmentation of glioma brain tumours", arXiv 2111.14953, who train a network to
find the perturbation; here every region is hidden once, as in Zeiler & Fergus, ECCV 2014, section
4.2. Regions: Achanta et al., "SLIC superpixels", TPAMI 2012.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, as_integer
from softcam.explainers.features import chunk_of, undisturbed
from softcam.explainers.registry import explainer
from softcam.metrics.fills import Fill, blur, fill_name
from softcam.wrappers import Wrapper

__all__ = ["occlude_regions", "segment", "superpixels"]

REGIONS = 64
COMPACTNESS = 0.1  # a colour distance of 0.1 of the range weighs as much as one region's side
ROUNDS = 10


def segment(images: Tensor, regions: int = REGIONS) -> Tensor:
    """Regions of like colour, LongTensor (B, H, W) with labels 0 to g * g - 1, g = root of regions.

    No random numbers: the k-means begins on a regular grid. A label may be left without pixels,
    and a region may have more than one part.

    Args:
        images: (B, 3, H, W) in [0, 1].
        regions: a number of which g * g, the next lower square, is used; never more than pixels.
    """
    as_integer("regions", regions, 1, 10**6)
    height, width = images.shape[2:]
    rows, columns = (min(int(regions**0.5), side) for side in (height, width))
    side = (height * width / (rows * columns)) ** 0.5
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = (y * rows // height * columns + x * columns // width).flatten()
    place = torch.stack([y, x], -1).reshape(-1, 2) / side
    # On the CPU, where the order of a sum, and so a tie, is the same every time.
    colours = images.detach().cpu().float().flatten(2).transpose(1, 2) / COMPACTNESS
    labels = [_k_means(torch.cat([each, place], 1), grid, rows * columns) for each in colours]
    all_labels = torch.stack(labels) if labels else grid[:0]
    return all_labels.reshape(len(images), height, width).to(images.device)


def _k_means(points: Tensor, labels: Tensor, k: int) -> Tensor:
    """Lloyd's rounds from given labels (P,); a centre that has lost its points stays lost."""
    for _ in range(ROUNDS):
        sums = points.new_zeros(k, points.shape[1]).index_add_(0, labels, points)
        counts = labels.bincount(minlength=k)[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), torch.inf)
        # |p|^2 is the same for all centres, so it takes no part in finding the nearest.
        distance = (centres**2).sum(1) - 2 * points @ centres.nan_to_num(posinf=0.0).T
        nearest = distance.argmin(1)
        if torch.equal(nearest, labels):
            break
        labels = nearest
    return labels


def occlude_regions(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    fill: Fill = "blur",
) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and the drop of every logit when a pixel's region is hidden, (B, C, H, W).

    Args:
        model: any classifier.
        images: (B, 3, H, W) in [0, 1].
        labels: LongTensor (B, H, W), the regions; see `segment`.
        fill: `blur`, `mean-colour` or a colour (3,) in [0, 1]. Mean colour needs a model that
            knows it.

    Raises:
        SoftCAMError: another fill, or `mean-colour` of a model without normalisation.
    """
    fills = _fills(fill, model, images)
    maps = []
    with undisturbed(model), torch.no_grad():
        logits = model(images)
        for image, paint, own, before in zip(images, fills, labels, logits, strict=True):
            present = own.unique()
            after = [
                model(torch.where((own == part[:, None, None])[:, None], paint, image))
                for part in present.split(chunk_of(images))
            ]
            drops = before - torch.cat(after)  # (regions, C)
            maps.append(drops[torch.searchsorted(present, own)].permute(2, 0, 1))
    empty = logits.new_zeros(0, logits.shape[1], *images.shape[2:])
    return logits, torch.stack(maps) if maps else empty


def _fills(fill: Fill, model: nn.Module, images: Tensor) -> Tensor:
    """What a hidden pixel shows, (B, 3, H, W) or (B, 3, 1, 1)."""
    name = fill_name(fill)
    if name == "blur":
        return blur(images)
    if name == "linear":
        raise SoftCAMError("regions are hidden behind blur, mean-colour or a colour (r, g, b).")
    if isinstance(fill, str) and not isinstance(model, Wrapper):
        raise SoftCAMError(
            f"a bare {type(model).__name__} has no mean colour: pass fill=(r, g, b), or wrap it "
            "as BlackBox(net, normalize=(mean, std))."
        )
    colour = torch.as_tensor(model.mean_colour if isinstance(fill, str) else fill)
    return colour.to(images).reshape(1, 3, 1, 1).expand(len(images), 3, 1, 1)


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    return occlude_regions(model, images, segment(images))


@explainer(
    name="superpixels",
    title="Superpixel occlusion",
    paper="after Rajapaksa & Khalvati, arXiv 2111.14953, 2021; Zeiler & Fergus, ECCV 2014",
    cost=f"{REGIONS} forward passes an image, for all classes together",
    gauges=("raw", "centred", "contrast"),
    needs="images",
    all_classes=_all_classes,
    forwards=REGIONS + 1,
)
def superpixels(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The drop of the class's logit when the region around a pixel is blurred away: (B, H, W).

    Signed, in logits: negative where the region speaks against the class.
    """
    _, maps = _all_classes(model, images)
    return maps[torch.arange(len(maps), device=maps.device), targets.to(maps.device)]
