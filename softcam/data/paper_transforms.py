r"""The paper's training augmentation by modality, with findings that move along.

Ranges, probabilities and order are those of the authors' public code; geometry is torchvision v2's
and colour equals its. Each image has draws of its own, made in torchvision's order, so that one
image under a generator of seed s becomes what torchvision's classes make of it under
`torch.manual_seed(s)`. torch's global generator is neither asked nor changed.

| policy | one after the other |
|---|---|
| `paper-fundus`, `paper-oct` | each for half of the images: `_crop`, mirror, upside down, \
colour (20 %, hue 10 %), any rotation, shift by up to 20 % |
| `paper-cxr` | mirror and upside down for half of them; for all rotation by up to 30 degrees, \
brightness 0.8 to 1.1 and contrast 0.8 to 1.4 |

Rotation and shift take the nearest pixel and fill with black. The authors work on 8 bits, which
rounds after each step. For evaluation they resize the short side and crop the centre: `Geometry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from softcam.common import DataError, choose
from softcam.data.steps import Crop, Flip, Jitter, Rotate, Shift, Step

__all__ = [
    "PAPER_POLICIES",
    "PAPER_SIZES",
    "PAPER_STATISTICS",
    "augment_with_boxes",
    "augment_with_masks",
    "draw_steps",
]

Generator = torch.Generator
Draw = Callable[[Generator, int, int], Step | None]  # for height and width

# Mean and standard deviation of R, G and B that normalise each modality, on the scale [0, 1].
PAPER_STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "fundus": ((0.41327, 0.27236, 0.18591), (0.29345, 0.20034, 0.15475)),
    "cxr": ((0.488975,) * 3, (0.245849,) * 3),
    "oct": ((0.190756,) * 3, (0.221654,) * 3),
}
PAPER_SIZES = {"fundus": 512, "cxr": 512, "oct": 496}  # side of the square images, in pixels


def _between(generator: Generator, low: float, high: float) -> float:
    return float(torch.empty(1).uniform_(low, high, generator=generator))


def _half(draw: Draw) -> Draw:
    """The step for half of the images."""

    def drawn(generator: Generator, height: int, width: int) -> Step | None:
        chosen = float(torch.rand(1, generator=generator)) < 0.5
        return draw(generator, height, width) if chosen else None

    return drawn


def _crop(generator: Generator, height: int, width: int) -> Step:
    """A part of 0.87 to 1.15 of the area; the whole if ten draws do not fit into the image."""
    for _ in range(10):
        area = height * width * _between(generator, 0.87, 1.15)
        log_aspect = torch.empty(1).uniform_(math.log(0.7), math.log(1.3), generator=generator)
        aspect = float(torch.exp(log_aspect))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top = int(torch.randint(0, height - h + 1, (1,), generator=generator))
            left = int(torch.randint(0, width - w + 1, (1,), generator=generator))
            return Crop(top, left, h, w)
    h, w = min(height, round(width / 0.7)), min(width, round(height * 1.3))
    return Crop((height - h) // 2, (width - w) // 2, h, w)


def _flip(*, upside_down: bool) -> Draw:
    return lambda generator, height, width: Flip(upside_down)


def _rotate(degrees: float) -> Draw:
    return lambda generator, height, width: Rotate(_between(generator, -degrees, degrees))


def _shift(generator: Generator, height: int, width: int) -> Step:
    _between(generator, 0, 0)  # torchvision draws an angle here, of 0 degrees
    far_x, far_y = 0.2 * width, 0.2 * height
    right = round(_between(generator, -far_x, far_x))
    return Shift(right, round(_between(generator, -far_y, far_y)))


def _jitter(
    brightness: tuple[float, float], contrast: tuple[float, float], *, with_colour: bool
) -> Draw:
    def drawn(generator: Generator, height: int, width: int) -> Step:
        order = tuple(torch.randperm(4, generator=generator).tolist())
        light, stretch = _between(generator, *brightness), _between(generator, *contrast)
        if not with_colour:
            return Jitter(order, light, stretch, None, None)
        saturation = _between(generator, 0.8, 1.2)
        return Jitter(order, light, stretch, saturation, _between(generator, -0.1, 0.1))

    return drawn


_RETINA: tuple[Draw, ...] = (
    _half(_crop),
    _half(_flip(upside_down=False)),
    _half(_flip(upside_down=True)),
    _half(_jitter((0.8, 1.2), (0.8, 1.2), with_colour=True)),
    _half(_rotate(180)),
    _half(_shift),
)
_CHEST: tuple[Draw, ...] = (
    _half(_flip(upside_down=False)),
    _half(_flip(upside_down=True)),
    _rotate(30),
    _jitter((0.8, 1.1), (0.8, 1.4), with_colour=False),
)
_DRAWS = {"paper-fundus": _RETINA, "paper-oct": _RETINA, "paper-cxr": _CHEST}


def draw_steps(policy: str, generator: Generator, height: int, width: int) -> list[Step]:
    """The steps of one image; each takes it, (3, H, W), or a `tv_tensors` mask or boxes of it."""
    draws = _DRAWS[choose("augmentation of the paper", policy, _DRAWS)]
    return [step for draw in draws if (step := draw(generator, height, width))]


def _apply(steps: Sequence[Step], image: Tensor) -> Tensor:
    for step in steps:
        image = step(image)
    return image


def _along(
    batch: Tensor, policy: str, generator: Generator, follow: Callable[[int, list[Step]], None]
) -> Tensor:
    """The augmented batch; `follow` gets the number of each image and its steps."""
    out = torch.empty_like(batch, memory_format=torch.contiguous_format)
    for index, image in enumerate(batch):
        steps = draw_steps(policy, generator, *image.shape[-2:])
        out[index] = _apply(steps, image)
        follow(index, steps)
    return out


def _policy(name: str) -> Callable[[Tensor, Generator], Tensor]:
    return lambda batch, generator: _along(batch, name, generator, lambda index, steps: None)


PAPER_POLICIES = {name: _policy(name) for name in _DRAWS}


def augment_with_masks(
    batch: Tensor, masks: Tensor, policy: str, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Augment images and what is marked in them.

    Args:
        batch: (B, 3, H, W) float in [0, 1], on the CPU.
        masks: (B, H, W) or (B, K, H, W) bool.
        policy: `paper-fundus`, `paper-oct` or `paper-cxr`.
        generator: the only source of randomness.

    Returns:
        The batch that `augment` gives, and masks of the same shape, moved along.
    """
    from torchvision import tv_tensors

    if len(masks) != len(batch) or masks.shape[-2:] != batch.shape[-2:]:
        raise DataError(
            f"masks {tuple(masks.shape)} do not belong to images {tuple(batch.shape)}: expected "
            "one entry an image, of its height and width."
        )
    moved = masks.clone()

    def follow(index: int, steps: list[Step]) -> None:
        marks = masks[index].reshape(-1, *masks.shape[-2:]).to(torch.uint8)
        moved[index] = _apply(steps, tv_tensors.Mask(marks)).bool().reshape(moved[index].shape)

    return _along(batch, policy, generator, follow), moved


def augment_with_boxes(
    batch: Tensor, boxes: Sequence[Tensor], policy: str, generator: Generator
) -> tuple[Tensor, list[Tensor]]:
    """Augment images and their boxes: B times (n, 4) x, y, width, height in pixels.

    A rotated box becomes the upright box around it; each is cut off at the border, and one that
    left the image has no width or no height.
    """
    from torchvision import tv_tensors

    moved: list[Tensor] = []

    def follow(index: int, steps: list[Step]) -> None:
        found, (height, width) = boxes[index].float().reshape(-1, 4), batch.shape[-2:]
        marks = tv_tensors.BoundingBoxes(found, format="XYWH", canvas_size=(height, width))
        moved.append(_apply(steps, marks).as_subclass(Tensor))

    return _along(batch, policy, generator, follow), moved
