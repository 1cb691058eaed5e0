"""What a model said of one image when it was saved, so that a copy can show that it says the same.

Tensors that fit by name and shape do not make the same network: strides, dilation, paddings and
activations hold no weights. So a folder keeps the logits and the size of the map of one image,
which is computed and not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from softcam.common import as_integer
from softcam.copying import own_copy
from softcam.evidence import SoftCAM
from softcam.proof import probe_inputs

__all__ = ["Sample", "difference", "sample_of"]

TOLERANCE = 1e-3  # of the largest evidence; other machines round otherwise, by some 1e-5
KEPT = 8  # logits; more would only make the file longer
GOLDEN = 0.6180339887498949  # the multiples' fractions are spread evenly over [0, 1]


@dataclass(frozen=True)
class Sample:
    """One image and what the model made of it, in eval mode and float32.

    Attributes:
        image: (height, width) in pixels.
        map: (h, w) of the evidence maps.
        logits: of the first classes.
        scale: the largest |evidence| of any class in any cell.
    """

    image: tuple[int, int]
    map: tuple[int, int]
    logits: tuple[float, ...]
    scale: float

    def plain(self) -> dict[str, Any]:
        """What config.json holds."""
        return asdict(self)

    @classmethod
    def parse(cls, value: Mapping[str, Any] | None) -> Sample | None:
        """Read what `plain` gave; None for a model that took no image."""
        if value is None:
            return None
        sizes = [
            tuple(as_integer(name, each, 1, 10**5) for each in value[name])
            for name in ("image", "map")
        ]
        (height, width), (rows, columns) = sizes
        logits = tuple(float(each) for each in value["logits"])
        return cls((height, width), (rows, columns), logits, float(value["scale"]))


@torch.no_grad()
def sample_of(model: SoftCAM, image: tuple[int, int] | None = None) -> Sample | None:
    """Run a copy of the model on the image.

    Args:
        model: stays as it is.
        image: (height, width); None takes the first size of the probe that the model takes.

    Returns:
        The sample; None where it runs on no size, or gives numbers that are not finite.
    """
    copied = own_copy(model).to("cpu", torch.float32).eval()
    assert isinstance(copied, SoftCAM)
    sizes = [image] if image else _sizes(model)
    for height, width in sizes:
        try:
            maps = copied.evidence_maps(_image(height, width))
        except Exception:  # a network may raise anything at a size it does not take  # noqa: S112
            continue
        if not bool(maps.isfinite().all()):
            return None
        logits = maps.mean((2, 3))[0, :KEPT].tolist()
        size = int(maps.shape[2]), int(maps.shape[3])
        return Sample((height, width), size, tuple(logits), float(maps.abs().max()))
    return None


def difference(model: SoftCAM, sample: Sample) -> str:
    """In what `model` differs from the one whose sample this is; empty where it does not."""
    found = sample_of(model, sample.image)
    height, width = sample.image
    if found is None:
        return f"it does not run on the image of {height}x{width} px it was saved with"
    if found.map != sample.map:
        shapes = [f"{rows}x{columns}" for rows, columns in (found.map, sample.map)]
        return f"its map is {shapes[0]} for {height}x{width} px, expected {shapes[1]}"
    far = max(abs(a - b) for a, b in zip(found.logits, sample.logits, strict=True))
    if far <= TOLERANCE * sample.scale:
        return ""
    return f"its logits differ by {far / max(sample.scale, 1e-12):.2g} of the largest evidence"


def _sizes(model: SoftCAM) -> list[tuple[int, int]]:
    net = getattr(model.backbone, "net", model.backbone)  # the net inside knows its sizes
    return [(x.shape[2], x.shape[3]) for x in probe_inputs(net)]


def _image(height: int, width: int) -> Tensor:
    """(1, 3, H, W) in [0, 1], the same on every machine."""
    pixels = torch.arange(1, 3 * height * width + 1, dtype=torch.float64)
    return (pixels * GOLDEN).frac().float().view(1, 3, height, width)
