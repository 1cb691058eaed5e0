"""The deletion curve: by hand on a model that can be computed in the head, and by the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.metrics import Ratios, audc, deletion_curve, deletion_scores
from softcam.metrics.deletion import deletion_probability, tile_ranks
from softcam.wrappers import BlackBox
from tests.metrics import oracle

BLACK = (0.0, 0.0, 0.0)


class CountsBright(nn.Module):
    """Class 1 while more than `limit` pixels are bright."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.batches: list[int] = []
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        self.modes.append(self.training)
        bright = (x[:, 0] > 0.5).float().sum((1, 2)) - self.limit
        return torch.stack([torch.zeros_like(bright), bright], 1)


def small_net(link: str = "softmax", outputs: int = 3) -> BlackBox:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(3),
        nn.Flatten(), nn.Linear(54, outputs),
    )  # fmt: skip
    nn.init.normal_(net[-1].weight, std=2.0)  # type: ignore[arg-type]
    return BlackBox(net, ((0.4, 0.5, 0.6), (0.2, 0.2, 0.2)), link=link)  # type: ignore[arg-type]


def test_by_hand() -> None:
    """6x6 px, four 3x3 tiles, all bright: 36, 27, 18, 9, 0 bright pixels against a limit of 20."""
    images = torch.ones(1, 3, 6, 6)
    curve = deletion_curve(
        BlackBox(CountsBright(20)), images, torch.rand(1, 2, 2), torch.tensor([1]),
        fill=BLACK, steps=6,
    )  # fmt: skip
    assert curve.numerator.tolist() == [[1, 1, 0, 0, 0, 0]]
    assert curve.denominator.tolist() == [[1] * 6]
    assert audc(curve).value == pytest.approx(0.3)  # (1 + 1/2) / 5


def test_an_image_that_does_not_start_as_the_target_is_excluded() -> None:
    model = BlackBox(CountsBright(20))
    images = torch.stack([torch.ones(3, 6, 6), torch.zeros(3, 6, 6)])
    for score in ("prediction", "probability"):
        curve = deletion_curve(
            model, images, torch.rand(2, 2, 2), torch.tensor([1, 1]), fill=BLACK, steps=3,
            score=score,  # type: ignore[arg-type]
        )  # fmt: skip
        assert curve.n.tolist() == [1, 1, 1]
        assert curve.n_excluded.tolist() == [1, 1, 1]
        assert audc(curve).n_excluded == 1


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_equals_the_definition(link: str) -> None:
    model = small_net(link).eval()
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(8, 3, 20, 26, generator=draw)
    maps = torch.randn(8, 4, 5, generator=draw)
    with torch.no_grad():
        logits = model(images)
    targets = logits.argmax(1)
    targets[:2] = logits[:2].argmin(1)
    binary = deletion_curve(model, images, maps, targets, steps=9, chunk=5)
    relative = deletion_probability(model, images, maps, targets, steps=9)
    fill = np.array([0.4, 0.5, 0.6], np.float32)
    for i in range(8):
        versions = oracle.hidden(maps[i].double().numpy(), images[i].numpy(), fill, 9)
        with torch.no_grad():
            z = torch.cat([model(torch.from_numpy(x)[None]) for x in versions])
        c = int(targets[i])
        p = model.probabilities(z)[:, c].numpy()
        still = (z.argmax(1) == c).numpy() if link == "softmax" else p > 0.5
        assert binary.denominator[i].all() == still[0], f"image {i}"
        if still[0]:
            np.testing.assert_array_equal(binary.numerator[i], still)
            np.testing.assert_allclose(relative.per_image[i], p / p[0], atol=1e-6)
    assert 0 < binary.n[0] < 8, "the scene should hold images of both kinds"
    assert len(np.unique(binary.value)) > 1, "hiding tiles should change a prediction"


def test_one_sigmoid_logit() -> None:
    net = nn.Sequential(CountsBright(20))
    head = BlackBox(nn.Sequential(net, nn.Linear(2, 1, bias=False)), link="sigmoid")
    head.net[1].weight.data = torch.tensor([[0.0, 1.0]])  # type: ignore[index, union-attr]
    curve = deletion_curve(
        head, torch.ones(1, 3, 6, 6), torch.rand(1, 2, 2), torch.tensor([0]), fill=BLACK, steps=4
    )
    assert curve.numerator.tolist() == [[1, 1, 0, 0]]


def test_tiles_go_brightest_first_and_cover_the_border() -> None:
    maps = torch.tensor([[[1.0, 4.0], [3.0, 2.0]]])
    ranks = tile_ranks(maps, (6, 7))  # tiles of 3 px; the last column is 1 px wide
    up = oracle.upsample(maps[0].double().numpy(), (6, 7))
    best = {(y, x): up[y : y + 3, x : x + 3].max() for y in (0, 3) for x in (0, 3, 6)}
    order = sorted(best, key=lambda tile: (-best[tile], tile))
    for place, (y, x) in enumerate(order):
        assert (ranks[0, y : y + 3, x : x + 3] == place).all()


def test_every_pass_is_full_and_in_eval_mode_and_modes_come_back() -> None:
    counter = CountsBright(1)
    model = BlackBox(nn.Sequential(counter, nn.Dropout(0.5)))
    model.train()
    model.net[1].eval()  # type: ignore[index, operator]
    deletion_scores(
        model, torch.rand(5, 3, 9, 9), torch.rand(5, 3, 3), torch.zeros(5).long(),
        fill=BLACK, steps=4, chunk=8,
    )  # fmt: skip
    assert counter.batches == [8, 8, 4]
    assert not any(counter.modes)
    assert counter.training and not model.net[1].training  # type: ignore[index, union-attr]


def test_modes_come_back_after_an_error() -> None:
    model = small_net().train()
    with pytest.raises(SoftCAMError, match="target 3 is out of range"):
        deletion_curve(model, torch.rand(1, 3, 9, 9), torch.rand(1, 3, 3), torch.tensor([3]))
    assert all(module.training for module in model.modules())


def test_a_nan_map_is_excluded_and_the_others_stay() -> None:
    model = small_net()
    images = torch.rand(3, 3, 12, 12)
    with torch.no_grad():
        targets = model.eval()(images).argmax(1)
    maps = torch.rand(3, 3, 3)
    whole = deletion_curve(model, images, maps, targets, steps=4)
    maps[1, 0, 0] = torch.nan
    holed = deletion_curve(model, images, maps, targets, steps=4)
    assert holed.n_excluded.tolist() == [1] * 4
    np.testing.assert_array_equal(holed.numerator[[0, 2]], whole.numerator[[0, 2]])


def test_no_mean_colour_is_an_error_that_names_fill() -> None:
    with pytest.raises(SoftCAMError, match="fill="):
        deletion_curve(
            BlackBox(CountsBright(1)), torch.rand(1, 3, 6, 6), torch.rand(1, 2, 2),
            torch.tensor([1]),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("maps", "targets", "says"),
    [
        (torch.rand(1, 2, 2), torch.tensor([0, 0]), "2 images, 1 maps"),
        (torch.rand(2, 2, 2), torch.tensor([0]), "1 targets"),
        (torch.rand(2, 1, 2, 2), torch.tensor([0, 0]), "maps"),
        (torch.rand(2, 2, 2), torch.tensor([0, -1]), "smallest -1"),
        (torch.rand(2, 2, 2), torch.tensor([0.0, 1.0]), "integers"),
    ],
)
def test_wrong_shapes_are_named(maps: Tensor, targets: Tensor, says: str) -> None:
    with pytest.raises(SoftCAMError, match=says):
        deletion_curve(small_net(), torch.rand(2, 3, 9, 9), maps, targets)


def test_the_area_is_the_trapezoid_rule() -> None:
    values = np.random.default_rng(0).random((4, 7))
    area = audc(Ratios(values, np.ones((4, 7)))).per_image[:, 0]
    x = np.linspace(0, 1, 7)
    expected = [sum((v[i] + v[i + 1]) / 2 * (x[i + 1] - x[i]) for i in range(6)) for v in values]
    np.testing.assert_allclose(area, expected)
    with pytest.raises(SoftCAMError, match="at least 2 points"):
        audc(Ratios(np.ones((3, 1)), np.ones((3, 1))))
