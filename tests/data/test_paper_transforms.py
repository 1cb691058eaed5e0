"""The paper's augmentation is torchvision's, image by image, and findings move along."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from softcam.common import DataError, UnknownNameError
from softcam.data import colour
from softcam.data.geometry import Geometry
from softcam.data.paper_transforms import (
    PAPER_POLICIES,
    PAPER_SIZES,
    PAPER_STATISTICS,
    augment_with_boxes,
    augment_with_masks,
    draw_steps,
)
from softcam.data.steps import Crop, Flip, Jitter, Rotate, Shift
from softcam.data.transforms import AUGMENTATIONS, augment

POLICIES = sorted(PAPER_POLICIES)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def half(transform: v2.Transform) -> v2.Transform:
    return v2.RandomApply([transform], p=0.5)


def by_torchvision(policy: str, size: tuple[int, int]) -> v2.Transform:
    """The authors' list, in torchvision's own classes."""
    flips = [v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)]
    if policy == "paper-cxr":
        jitter = v2.ColorJitter(contrast=(0.8, 1.4), brightness=(0.8, 1.1))
        return v2.Compose([*flips, v2.RandomRotation(30), jitter])
    crop = v2.RandomResizedCrop(size, scale=(0.87, 1.15), ratio=(0.7, 1.3), antialias=True)
    moved = [half(v2.RandomRotation((-180, 180))), half(v2.RandomAffine(0, translate=(0.2, 0.2)))]
    return v2.Compose([half(crop), *flips, half(v2.ColorJitter(0.2, 0.2, 0.2, 0.1)), *moved])


@pytest.mark.slow
@pytest.mark.parametrize("size", [(32, 32), (30, 44)])
@pytest.mark.parametrize("policy", POLICIES)
def test_same_seed_same_image_as_torchvision(policy: str, size: tuple[int, int]) -> None:
    image = torch.rand((3, *size), generator=seeded(9))
    mask = tv_tensors.Mask(torch.rand(size, generator=seeded(8)) > 0.5)
    boxes = tv_tensors.BoundingBoxes(
        torch.tensor([[3.0, 4, 10, 12]]), format="XYWH", canvas_size=size
    )
    transform = by_torchvision(policy, size)
    for seed in range(25):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            wanted = transform(
                tv_tensors.Image(image), tv_tensors.Mask(mask.to(torch.uint8)), boxes
            )
        ours = augment(image[None], policy, seeded(seed))[0]
        torch.testing.assert_close(ours, wanted[0].as_subclass(Tensor), atol=5e-6, rtol=0)
        again, marked = augment_with_masks(image[None], mask[None], policy, seeded(seed))
        assert torch.equal(again[0], ours)
        cropped = any(isinstance(step, Crop) for step in draw_steps(policy, seeded(seed), *size))
        if not cropped:  # there torchvision moves masks by up to half a pixel
            assert torch.equal(marked[0], wanted[1].as_subclass(Tensor).bool())
        again, moved = augment_with_boxes(image[None], [boxes], policy, seeded(seed))
        assert torch.equal(again[0], ours)
        torch.testing.assert_close(moved[0], wanted[2].as_subclass(Tensor).float())


@pytest.mark.parametrize("policy", POLICIES)
def test_images_have_draws_of_their_own_and_the_global_ones_stay(policy: str) -> None:
    batch = torch.rand((1, 3, 24, 24), generator=seeded(0)).repeat(6, 1, 1, 1)
    before, state = batch.clone(), torch.random.get_rng_state()
    generator = seeded(3)
    first = augment(batch, policy, generator)
    assert torch.equal(state, torch.random.get_rng_state()) and torch.equal(batch, before)
    assert not torch.equal(generator.get_state(), seeded(3).get_state())
    assert len({image.numpy().tobytes() for image in first}) > 3, "one image, several results"
    assert torch.equal(first, augment(batch, policy, seeded(3)))
    one_by_one = seeded(3)
    for image, wanted in zip(batch, first, strict=True):
        assert torch.equal(augment(image[None], policy, one_by_one)[0], wanted)
    assert AUGMENTATIONS[policy] is PAPER_POLICIES[policy]


def draws(policy: str, n: int = 1500) -> list[list[object]]:
    generator = seeded(1)
    return [list(draw_steps(policy, generator, 100, 100)) for _ in range(n)]


@pytest.mark.parametrize("policy", ["paper-fundus", "paper-oct"])
def test_each_step_for_half_of_the_images_and_within_its_range(policy: str) -> None:
    drawn = draws(policy)
    steps = [step for image in drawn for step in image]
    count = Counter((type(step), getattr(step, "upside_down", None)) for step in steps)
    assert len(count) == 6
    for times in count.values():  # five standard deviations of a fair coin
        assert abs(times - 750) < 5 * math.sqrt(1500) / 2
    turns = [step.degrees for step in steps if isinstance(step, Rotate)]
    assert -180 <= min(turns) < -170 and 170 < max(turns) <= 180
    shifts = [side for step in steps if isinstance(step, Shift) for side in (step.right, step.down)]
    assert min(shifts) == -20 and max(shifts) == 20
    for crop in (step for step in steps if isinstance(step, Crop)):
        assert 0 <= crop.top <= 100 - crop.height and 0 <= crop.left <= 100 - crop.width
        assert 8600 <= crop.height * crop.width <= 10000, "0.87 of the area, or the whole"
        assert 0.69 < crop.width / crop.height < 1.31
    jitters = [step for step in steps if isinstance(step, Jitter)]
    for name, low, high in (
        ("brightness", 0.8, 1.2),
        ("contrast", 0.8, 1.2),
        ("saturation", 0.8, 1.2),
        ("hue", -0.1, 0.1),
    ):
        values = np.array([getattr(jitter, name) for jitter in jitters])
        edge = 0.02 * (high - low)
        assert low <= values.min() < low + edge and high - edge < values.max() <= high
    assert len({jitter.order for jitter in jitters}) == 24, "in every order"


def test_chest_images_are_always_turned_and_never_coloured() -> None:
    for image in draws("paper-cxr", 300):
        *flips, turn, jitter = image
        assert all(isinstance(flip, Flip) for flip in flips)
        assert isinstance(turn, Rotate) and abs(turn.degrees) <= 30
        assert isinstance(jitter, Jitter) and jitter.hue is jitter.saturation is None
        assert 0.8 <= jitter.brightness <= 1.1 and 0.8 <= jitter.contrast <= 1.4
    grey = torch.rand(4, 1, 20, 20).expand(-1, 3, -1, -1)
    out = augment(grey, "paper-cxr", seeded(0))
    assert torch.equal(out[:, 0], out[:, 1]) and torch.equal(out[:, 0], out[:, 2])


@pytest.mark.parametrize("policy", POLICIES)
def test_findings_stay_on_what_they_mark(policy: str) -> None:
    """A bright disc and its mask still cover each other, and a box still holds the disc."""
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    disc = (rows - 50) ** 2 + (columns - 80) ** 2 < 20**2
    batch = disc.float().expand(40, 3, -1, -1)
    masks = torch.stack([disc, ~disc], 0).expand(40, -1, -1, -1)
    moved, marked = augment_with_masks(batch, masks, policy, seeded(2))
    _, boxes = augment_with_boxes(batch, [torch.tensor([[61, 31, 39, 39]])] * 40, policy, seeded(2))
    for image, (on, off), box in zip(moved, marked, boxes, strict=True):
        bright = image.amax(0) > 0.5 * image.max()
        both, either = (bright & on).sum(), (bright | on).sum()
        assert both >= 0.98 * either
        assert not (on & off).any(), "what came in from outside is neither"
        x, y, w, h = box[0].tolist()
        inside = (columns >= x - 1.5) & (columns <= x + w + 0.5)
        inside &= (rows >= y - 1.5) & (rows <= y + h + 0.5)
        assert (on & ~inside).sum() == 0


def test_a_box_that_leaves_has_no_area_and_none_stay_none() -> None:
    batch = torch.zeros(30, 3, 50, 50)
    corner = [torch.tensor([[0.0, 0, 3, 3]])] * 29 + [torch.zeros(0, 4)]
    _, boxes = augment_with_boxes(batch, corner, "paper-fundus", seeded(0))
    areas = [float(box[0, 2] * box[0, 3]) for box in boxes[:29]]
    assert min(areas) == 0 and max(areas) > 5 and boxes[29].shape == (0, 4)
    for box in boxes[:29]:
        assert box.min() >= 0 and (box[0, :2] + box[0, 2:]).max() <= 50


def test_masks_of_other_images_and_other_policies_are_refused() -> None:
    batch = torch.rand(2, 3, 20, 20)
    for shape in ((3, 20, 20), (2, 20, 21)):
        with pytest.raises(DataError, match="do not belong"):
            augment_with_masks(batch, torch.zeros(shape).bool(), "paper-cxr", seeded(0))
    with pytest.raises(UnknownNameError, match="paper-cxr"):
        augment_with_masks(batch, torch.zeros(2, 20, 20).bool(), "light", seeded(0))


@pytest.mark.parametrize("amount", [-0.5, -0.1, 0.0, 0.07, 0.5])
def test_colour_against_torchvision(amount: float) -> None:
    """Also at greys, primaries and ties of two channels, where the hue has its corners."""
    steps = torch.tensor([0.0, 0.25, 0.5, 1.0])
    lattice = torch.cartesian_prod(steps, steps, steps).T.reshape(3, 8, 8)
    image = torch.cat([lattice, torch.rand((3, 8, 8), generator=seeded(4))], 2)
    factor = 1 + amount
    for ours, theirs in (
        (colour.brighten(image, factor), F.adjust_brightness(image, factor)),
        (colour.stretch_contrast(image, factor), F.adjust_contrast(image, factor)),
        (colour.saturate(image, factor), F.adjust_saturation(image, factor)),
        (colour.shift_hue(image, amount), F.adjust_hue(image, amount)),
    ):
        torch.testing.assert_close(ours, theirs, atol=3e-6, rtol=0)
    torch.testing.assert_close(colour.grey(image), F.rgb_to_grayscale(image)[0])


def test_statistics() -> None:
    """As the reference has them; they normalise as torchvision does."""
    assert set(PAPER_STATISTICS) == set(PAPER_SIZES) == {"fundus", "cxr", "oct"}
    assert PAPER_SIZES == {"fundus": 512, "cxr": 512, "oct": 496}
    for name, (mean, std) in PAPER_STATISTICS.items():
        assert len(mean) == len(std) == 3 and all(0 < value < 1 for value in (*mean, *std))
        assert (len(set(mean)) == 1) == (name != "fundus"), "grey images, colour images"
        image = torch.rand(3, 5, 5)
        by_hand = (image - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        torch.testing.assert_close(v2.Normalize(mean, std)(image), by_hand)


@pytest.mark.parametrize(("height", "width"), [(75, 75), (90, 131), (160, 97), (40, 55)])
def test_evaluation_is_the_geometry(height: int, width: int) -> None:
    """Resize of the short side and CenterCrop, within one grey level: rounding differs."""
    coarse = np.random.default_rng(0).integers(0, 256, (3, 9, 9), dtype=np.uint8)
    pixels = F.resize(torch.from_numpy(coarse), [height, width])
    theirs = v2.Compose([v2.Resize(64, antialias=True), v2.CenterCrop(64)])(pixels)
    ours = Geometry(height, width, 64).image(pixels.permute(1, 2, 0).contiguous().numpy())
    difference = theirs.permute(1, 2, 0).numpy().astype(int) - ours
    assert ours.shape == (64, 64, 3) and abs(difference).max() <= 1
