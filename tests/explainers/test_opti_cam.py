"""Opti-CAM against a plain loop over one image in NumPy, alone and in batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, UnknownNameError
from softcam.explainers import OptimisedMasks, explain_with, optimise_masks
from softcam.wrappers import BlackBox
from tests.explainers.test_explainers import (
    TARGETS,
    TinyNet,
    TinyTimm,
    randomised,
    snapshot,
)

COLOURS = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def many() -> Tensor:
    return torch.rand(8, 3, 12, 16, generator=torch.Generator().manual_seed(7))


def two_layers() -> TinyTimm:
    """Deep enough that some searches overshoot, so that images stop at different steps."""
    torch.manual_seed(3)
    net = TinyTimm()
    first, second = nn.BatchNorm2d(16), nn.BatchNorm2d(4)
    net.body = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 2, 1), first, nn.ReLU()),
        *(nn.Conv2d(16, 4, 3, 1, 1), second, nn.ReLU()),
    )
    for layer in (first, second):
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.5, 2)
    return net


def enlarged(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear with half-pixel centres and held edges, written out."""

    def axis(n: int, side: int) -> np.ndarray:
        at = np.clip((np.arange(side) + 0.5) * n / side - 0.5, 0, n - 1)
        return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(n)))

    return axis(cells.shape[0], size[0]) @ cells @ axis(cells.shape[1], size[1]).T


def normalised(large: np.ndarray, how: str) -> np.ndarray:
    if how == "sigmoid":
        return 1 / (1 + np.exp(-large))
    return (large - large.min()) / np.ptp(large) if how == "max_min" else large / large.max()


def reference(
    net: TinyNet, image: Tensor, target: int, steps: int, objective: str, how: str, lr: float = 0.1
) -> tuple[np.ndarray, list[float]]:
    """One image, one weight at a time: finite differences, Adam and the stop by hand.

    Float64 throughout; nothing here is differentiated by torch. Returns S and the objectives.
    """
    model = BlackBox(net, COLOURS).double().eval()
    x = image.double()
    with torch.no_grad():
        features = net.body(model.normalize(x[None]))[0].relu().numpy()

    def logit(x: Tensor) -> float:
        with torch.no_grad():
            return float(model(x[None])[0, target])

    def mixed(w: np.ndarray) -> np.ndarray:
        share = np.exp(w - w.max())
        return np.tensordot(share / share.sum(), features, 1)

    def score(w: np.ndarray) -> float:
        mask = normalised(enlarged(mixed(w), tuple(x.shape[1:])), how)
        masked = logit(x * torch.from_numpy(mask))
        return masked if objective == "plain" else -abs(masked - logit(x))

    w, m, v, before, scores = np.full(len(features), 0.5), 0.0, 0.0, -np.inf, []
    for step in range(steps):
        scores.append(score(w))
        if step % max(1, steps // 10) == 0:
            if scores[-1] < before:
                return mixed(w), scores
            before = scores[-1]
        nudges = 1e-4 * np.eye(len(w))
        g = -np.array([score(w + d) - score(w - d) for d in nudges]) / 2e-4
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        ahead, spread = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
        w = w - lr * ahead / (np.sqrt(spread) + 1e-8)
    return mixed(w), [*scores, score(w)]


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["plain", "diff"])
@pytest.mark.parametrize("how", ["max_min", "max", "sigmoid"])
def test_equals_a_plain_loop_over_one_image(objective: str, how: str, many: Tensor) -> None:
    net, few, targets = two_layers(), many[:3], torch.tensor([0, 1, 2])
    model = BlackBox(net, COLOURS).double()
    options = {"steps": 40, "objective": objective, "normalisation": how}
    found = optimise_masks(model, few.double(), targets, **options)
    assert how != "max_min" or int(found.steps.min()) < 40, "no image stopped: the stop is untested"
    for i, target in enumerate(targets.tolist()):
        own, scores = reference(net, few[i], target, 40, objective, how)
        assert int(found.steps[i]) == len(scores) - 1, f"image {i} stopped elsewhere"
        assert np.allclose(found.maps[i].numpy(), own, atol=1e-4 * own.max())
        assert np.allclose(found.objective[i, : len(scores)].numpy(), scores, atol=1e-4)
        assert found.objective[i, len(scores) :].isnan().all()


def alone(
    search: Callable[..., OptimisedMasks], images: Tensor, targets: Tensor
) -> list[OptimisedMasks]:
    return [search(images[i : i + 1], targets[i : i + 1]) for i in range(len(images))]


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["plain", "diff"])
def test_a_batch_equals_one_at_a_time_also_where_images_stop(objective: str, many: Tensor) -> None:
    model, targets = BlackBox(two_layers(), COLOURS), torch.arange(8) % 3

    def search(x: Tensor, t: Tensor) -> OptimisedMasks:
        return optimise_masks(model, x, t, steps=40, objective=objective)

    together, each = search(many, targets), alone(search, many, targets)
    assert len(set(together.steps.tolist())) > 2, "no image stopped before another"
    for i, one in enumerate(each):
        assert one.steps[0] == together.steps[i]
        for name in ("maps", "masks", "weights"):
            a, b = getattr(together, name)[i], getattr(one, name)[0]
            assert torch.allclose(a, b, atol=1e-4), f"{name} of image {i}"
        assert torch.allclose(together.objective[i], one.objective[0], atol=1e-4, equal_nan=True)


@pytest.mark.slow
def test_a_batch_equals_one_at_a_time_on_a_residual_network() -> None:
    """In double precision: in single, rounding grows along the search (see the docstring)."""
    from softcam.backbones import build_net

    torch.manual_seed(0)
    model = BlackBox(randomised(build_net("resnet10t-w8-os8", 3)), COLOURS).double()
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    targets = torch.tensor([0, 1, 2])
    together = optimise_masks(model, x, targets)
    for i, one in enumerate(alone(lambda x, t: optimise_masks(model, x, t), x, targets)):
        scale = float(one.maps.max())
        assert scale > 0 and float((together.maps[i] - one.maps[0]).abs().max()) < 1e-4 * scale
        assert torch.allclose(together.masks[i], one.masks[0], atol=1e-4)


def test_what_it_returns_fits_together(images: Tensor) -> None:
    net = randomised(TinyNet())
    model = BlackBox(net, COLOURS).eval()
    found = optimise_masks(model, images, TARGETS, steps=20)
    assert torch.allclose(found.weights.sum(1), torch.ones(2), atol=1e-6)
    features = net.body(model.normalize(images))
    mixed = (found.weights[:, :, None, None] * features).sum(1)
    assert torch.allclose(found.maps, mixed, atol=1e-5) and (found.maps >= 0).all()
    assert found.masks.amin((1, 2)).tolist() == [0, 0] and found.masks.amax((1, 2)).tolist() == [
        1,
        1,
    ]
    logits = model(images * found.masks[:, None])[[0, 1], TARGETS]
    last = found.objective[[0, 1], found.steps]
    assert torch.allclose(last, logits, atol=1e-5), "objective[steps] is not that of the masks"
    start = optimise_masks(model, images, TARGETS, steps=1).objective[:, 0]
    assert torch.allclose(found.objective[:, 0], start), (
        "the first value is not that of equal shares"
    )
    assert torch.equal(found.maps, optimise_masks(model, images, TARGETS, steps=20).maps)


class RedLessGreen(nn.Module):
    """Features are the red and the green channel; the logit is their difference."""

    num_features = 2

    def forward_features(self, x: Tensor) -> Tensor:
        return x[:, :2]

    def forward_head(self, z: Tensor) -> Tensor:
        return 50 * (z[:, :1] - z[:, 1:]).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def test_the_search_finds_the_channel_that_matters() -> None:
    """A red and a green square: what keeps the logit is to show the red one alone."""
    x = torch.zeros(1, 3, 8, 8)
    x[0, 0, 1:4, 1:4] = 1
    x[0, 1, 5:7, 5:7] = 1
    found = optimise_masks(
        BlackBox(RedLessGreen(), link="sigmoid"), x, torch.tensor([0]), steps=100
    )
    assert found.weights[0, 0] > 0.9
    assert found.masks[0, 5:7, 5:7].max() < 0.1 and found.masks[0, 2, 2] > 0.9


@pytest.mark.parametrize("how", ["max_min", "max"])
def test_a_map_without_contrast_hides_everything(how: str, images: Tensor) -> None:
    net = TinyTimm()
    net.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU())
    nn.init.zeros_(net.body[0].weight)
    nn.init.constant_(net.body[0].bias, -1.0)  # every feature is 0
    found = optimise_masks(BlackBox(net), images, TARGETS, steps=5, normalisation=how)
    assert found.maps.abs().max() == 0 and found.masks.abs().max() == 0
    assert torch.allclose(found.weights, torch.full((2, 4), 0.25)), "no direction, so no step"


class Viewing(TinyNet):
    """Flattens with .view(), which channels-last features do not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4 * 6 * 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.body(x)
        return self.fc(z.view(len(z), 4 * 6 * 8))


@pytest.mark.slow
@pytest.mark.parametrize("net", [TinyNet, TinyTimm, Viewing])
def test_bare_networks(net: type[TinyNet], images: Tensor) -> None:
    bare = randomised(net())
    maps = explain_with("opti-cam", bare, images, TARGETS)
    assert torch.allclose(maps, explain_with("opti-cam", BlackBox(bare), images, TARGETS))
    assert maps.shape == (2, 6, 8) and maps.max() > 0


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("frozen", [False, True])
def test_whatever_is_around_the_call(around: type, frozen: bool, images: Tensor) -> None:
    model = BlackBox(randomised(TinyTimm())).requires_grad_(not frozen)
    expected = optimise_masks(model, images, TARGETS, steps=8)
    with around():
        inside = optimise_masks(model, images.clone(), TARGETS.clone(), steps=8)
    assert torch.allclose(inside.maps, expected.maps, atol=1e-6)
    assert not inside.maps.requires_grad and not inside.maps.is_inference()


class FailsLate(TinyNet):
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            self.body(x)
            raise ValueError("late")
        return super().forward(x)


def test_left_as_it_was_after_an_error(images: Tensor) -> None:
    model = BlackBox(FailsLate()).train()
    before = snapshot(model)
    with pytest.raises(ValueError, match="late"):
        explain_with("opti-cam", model, images, TARGETS)
    assert snapshot(model) == before


@pytest.mark.parametrize(
    "options, message",
    [
        ({"objective": "norm"}, "unknown objective"),
        ({"normalisation": "minmax"}, "or 'max_min'"),
        ({"steps": 0}, "steps=0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": float("nan")}, "lr=nan"),
    ],
)
def test_bad_options(options: dict, message: str, images: Tensor) -> None:
    with pytest.raises((SoftCAMError, UnknownNameError), match=message):
        optimise_masks(BlackBox(TinyTimm()), images, TARGETS, **options)


@pytest.mark.parametrize("targets", [torch.tensor([0]), torch.tensor([0, 3]), [0, 1]])
def test_targets_that_do_not_fit(targets: Tensor, images: Tensor) -> None:
    with pytest.raises(SoftCAMError, match="target"):
        optimise_masks(BlackBox(TinyTimm()), images, targets)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(kind: torch.dtype, images: Tensor) -> None:
    with pytest.raises(SoftCAMError, match="single precision"):
        optimise_masks(BlackBox(TinyTimm()).to(kind), images.to(kind), TARGETS)


def test_several_devices_are_refused(images: Tensor) -> None:
    model = BlackBox(TinyTimm())
    model.net.fc.to("meta")
    with pytest.raises(SoftCAMError, match="one device"):
        optimise_masks(model, images, TARGETS)
