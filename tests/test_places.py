"""Maps are taken where the image is, however the mean behind them is written, at every size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.evidence import SoftCAM
from softcam.places import layout_of, sides
from softcam.proof import CellsLeftOut, quiet
from softcam.trial import proved

PATCH = 32
Pool = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(3)


class Patches(nn.Module):
    """Patches of 32 px without overlap, so that a cell sees its own pixels and no others."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 16, PATCH, PATCH), nn.Linear(16, 5)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.stem(x)))


class Unpadded(nn.Module):
    """Loses borders, then averages one axis after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 7, 2), nn.Conv2d(8, 8, 3, 2)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.two(F.relu(self.one(x))).mean(3).mean(2))


def misplaced(model: SoftCAM, height: int = 64, width: int = 160) -> int:
    """The number of cells that a change of their own patch does not change most."""
    x, count = torch.rand(1, 3, height, width), 0
    with torch.no_grad():
        maps = model.evidence_maps(x)
        assert maps.shape[2:] == (height // PATCH, width // PATCH)
        for i in range(height // PATCH):
            for j in range(width // PATCH):
                other = x.clone()
                other[:, :, PATCH * i : PATCH * (i + 1), PATCH * j : PATCH * (j + 1)] = 0
                change = (model.evidence_maps(other) - maps).abs().sum(1)[0]
                count += divmod(int(change.argmax()), maps.shape[3]) != (i, j)
    return count


MEANS: dict[str, Pool] = {
    "one axis, then the other": lambda z: z.mean(3).mean(2),
    "the other, then the one": lambda z: z.mean(2).mean(2),
    "rows": lambda z: z.flatten(2).mean(2),
    "columns": lambda z: z.mT.flatten(2).mean(2),
    "tokens": lambda z: z.permute(0, 2, 3, 1).reshape(z.shape[0], -1, z.shape[1]).mean(1),
    "turned": lambda z: z.mT.mean((2, 3)),
    "turned tokens": lambda z: z.permute(0, 3, 2, 1).reshape(z.shape[0], -1, 16).mean(1),
    "mirrored": lambda z: z.flip(3).mean((2, 3)),
    "rolled": lambda z: z.flatten(2).roll(3, -1).mean(2),
    "sorted": lambda z: z.flatten(2).sort(-1)[0].mean(2),
    "sum over cells": lambda z: z.sum((2, 3)) / (z.shape[2] * z.shape[3]),
}


@pytest.mark.slow
@pytest.mark.parametrize("pool", MEANS.values(), ids=MEANS)
def test_a_mean_is_exact_and_its_cells_lie_in_the_image(pool: Pool) -> None:
    net = Patches(pool).eval()
    model = to_softcam(net)
    assert model.conversion is not None and model.conversion.kind == "exact"
    assert model.conversion.reduction == PATCH
    assert misplaced(model) == 0
    for size in ((32, 96), (96, 32), (160, 64)):
        x = torch.randn(2, 3, *size)
        torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)


def weighted(z: Tensor) -> Tensor:
    weights = z.mean(1, keepdim=True)
    return (z * weights.flatten(2).softmax(-1).view_as(weights)).sum((2, 3))


OTHERS: dict[str, Pool] = {
    "sum": lambda z: z.sum((2, 3)),
    "sum / 49": lambda z: z.sum((2, 3)) / 49,
    "attention": weighted,
    "the eight largest": lambda z: z.flatten(2).topk(8)[0].mean(2),
}


@pytest.mark.parametrize("pool", OTHERS.values(), ids=OTHERS)
def test_what_is_no_mean_at_every_size_is_not_exact(pool: Pool) -> None:
    model = to_softcam(Patches(pool).eval())
    assert model.conversion is not None and model.conversion.kind == "pointwise"
    assert "not by the mean" in " ".join(model.conversion.notes)
    assert misplaced(model) == 0


def test_unpadded_convolutions_keep_their_own_grid() -> None:
    net = Unpadded().eval()
    model, x = to_softcam(net), torch.randn(2, 3, 75, 50)
    assert model.evidence_maps(x).shape == (2, 3, 17, 10)
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)


def test_a_map_that_is_turned_before_the_last_layer_is_refused() -> None:
    class Turned(Patches):
        def __init__(self) -> None:
            super().__init__(lambda z: z.mean((2, 3)))
            self.last = nn.Conv2d(16, 16, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(F.relu(self.last(self.stem(x).mT)).mean((2, 3)))

    with pytest.raises(SoftCAMError, match="not lie as they do|taller where"):
        to_softcam(Turned())


@pytest.mark.parametrize(
    ("turn", "low", "high"),
    [
        (lambda z: z, 0.3, 1),
        (lambda z: z.flip(2), -1, -0.3),
        (lambda z: z.flip(3), -1, -0.3),
        (lambda z: z.mT, -1, -0.3),
        (lambda z: z.mean((2, 3), keepdim=True).expand_as(z) + 1e-9 * z, -0.05, 0.05),
    ],
    ids=["as it is", "upside down", "mirrored", "turned", "everywhere"],
)
def test_the_side_of_a_change(turn: Pool, low: float, high: float) -> None:
    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return turn(self.conv(x))

    assert low <= sides(Body().eval(), torch.randn(2, 3, 64, 64)) <= high


@pytest.mark.slow
@pytest.mark.parametrize("cells", [4, 5, 6, 7, 10, 14])
def test_a_pool_of_one_size_is_tried_at_its_own_image_size(cells: int) -> None:
    """At a larger one it runs as well, and leaves the last rows of cells out."""
    with quiet():
        cut, head, conversion = proved(Patches(lambda z: F.avg_pool2d(z, cells).flatten(1)))
    assert cut.shape == (1, 16, cells, cells) and head.mean
    assert conversion.kind == "exact"
    assert conversion.max_logit_difference is not None
    assert conversion.max_logit_difference <= 1e-5


def test_cells_that_a_head_does_not_read_are_told() -> None:
    class Part(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return F.avg_pool2d(z, 4)[:, :, 0, 0]

    assert layout_of(Part(), (1, 3, 4, 4)) == "BDhw"
    with pytest.raises(CellsLeftOut):
        layout_of(Part(), (1, 3, 7, 7))


class Windows(nn.Module):
    """Attention windows as MaxViT has them: cells are regrouped, treated, and put back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix = nn.Conv2d(3, 6, 8, 8), nn.Linear(6, 6)
        self.pool, self.norm, self.fc = nn.AdaptiveAvgPool2d(1), nn.LayerNorm(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        z = self.stem(x)
        b, d = z.shape[:2]
        one = self.mix(z.flatten(2).mT.reshape(b, 16, 1, d)).relu()  # one window, as in the last
        one = one.swapaxes(1, 2)
        one = one.reshape(one.shape[0], 4, 4, one.shape[3]).permute(0, 3, 1, 2)
        return self.fc(self.norm(self.pool(one).flatten(1)))


def test_the_map_is_not_taken_inside_attention_windows() -> None:
    torch.manual_seed(0)
    model = to_softcam(Windows().eval())
    assert model.conversion is not None and model.conversion.kind == "pointwise", model.conversion
    assert model.explain(torch.rand(1, 3, 32, 32)).maps.shape == (1, 2, 4, 4)
