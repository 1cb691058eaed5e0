"""Ordinary networks convert, whatever their layers, and what fails says what lies behind it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from tests.test_heads import CLASSES, D, Net
from tests.test_swap import Mean


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def some_cnn(seed: int) -> nn.Module:
    """Two to four convolutions of any kernel, stride and padding, and what may stand between."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    layers, before = list[nn.Module](), 3
    for _ in range(draw.randint(2, 4)):
        width, kernel = draw.choice([4, 8, 12, 16]), draw.randint(1, 7)
        stride, padding = draw.choice([1, 1, 2, 2, 3, 4]), draw.choice([0, kernel // 2, kernel])
        layers.append(nn.Conv2d(before, width, kernel, stride, padding))
        layers.append(
            draw.choice([nn.BatchNorm2d(width), nn.GroupNorm(2, width), nn.Identity()]),
        )
        layers.append(draw.choice([nn.ReLU(), nn.SiLU(), nn.Identity()]))
        if draw.random() < 0.4:
            layers.append(draw.choice([nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1)]))
        before = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, draw.choice([1, 2, 5]))
    )


# Seeds of networks with large kernels, wide paddings and maps of few cells.
@pytest.mark.parametrize("seed", [5, 11, 17, 23, 33, 45, 49, 52, 68, 106])
def test_small_networks_of_any_layers_are_exact(seed: int) -> None:
    net = some_cnn(seed).eval()
    model, x = to_softcam(net), torch.randn(2, 3, 160, 192)
    assert model.conversion is not None and model.conversion.kind == "exact"
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)


def test_one_row_of_cells_is_no_rearrangement() -> None:
    """A layer keeps the shape of a map of one row, as a mean of that row would."""
    net = nn.Sequential(
        nn.Conv2d(3, D, 64, 64), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(D, 2)
    )
    model, x = to_softcam(net.eval()), torch.randn(2, 3, 192, 128)
    assert model.conversion is not None and model.conversion.kind == "exact"
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bias", [-0.5, -100.0])
def test_silence_is_no_reason_to_refuse(bias: float) -> None:
    net = Mean().eval()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                layer.bias.fill_(bias)
    model, x = to_softcam(net), torch.randn(2, 3, 64, 48)
    assert model.conversion is not None and model.conversion.kind == "exact"
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)


class Verbs(Net):
    """A user's network whose verbs mean something else than timm's."""

    def forward_features(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.body(x) * mask

    def forward_head(self, z: Tensor) -> Tensor:
        return self.head(self.pool(z))


class Raises(Verbs):
    def forward_features(self, x: Tensor) -> Tensor:  # type: ignore[override]
        raise KeyError("z")


class GivesNothing(Verbs):
    def forward_features(self, x: Tensor) -> None:  # type: ignore[override]
        return None


class NoVerbs(Verbs):
    forward_features = forward_head = None  # type: ignore[assignment]


class NoClasses(Net):
    num_classes = 0


@pytest.mark.parametrize("kind", [Verbs, Raises, GivesNothing, NoVerbs, NoClasses])
def test_verbs_that_do_not_serve_are_passed_over(kind: type[Net]) -> None:
    net = kind(nn.Linear(D, CLASSES)).eval()
    model, x = to_softcam(net), torch.randn(2, 3, 64, 48)
    assert model.conversion is not None and model.conversion.kind == "exact"
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)


def test_a_norm_that_both_verbs_use_stays_in_both_places() -> None:
    class Shared(Net):
        def __init__(self) -> None:
            super().__init__(nn.Linear(D, CLASSES))
            self.norm = nn.BatchNorm2d(D)

        def forward_features(self, x: Tensor) -> Tensor:
            return self.norm(self.body(x))

        def forward_head(self, z: Tensor) -> Tensor:
            return self.head(self.pool(self.norm(z)))

        def forward(self, x: Tensor) -> Tensor:
            return self.forward_head(self.forward_features(x))

    net = Shared()
    net(torch.randn(8, 3, 32, 32))
    model, x = to_softcam(net), torch.randn(2, 3, 64, 48)
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)  # in training mode
    torch.testing.assert_close(model.eval()(x), net.eval()(x), rtol=1e-4, atol=1e-5)


def test_the_device_of_its_parameters_is_asked_for_when_it_runs() -> None:
    class Moves(Mean):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.to(next(self.parameters()).device))

    net = Moves().eval()
    model, x = to_softcam(net), torch.randn(2, 3, 64, 48)
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)
    assert set(model.state_dict()) == set(to_softcam(Mean()).state_dict())
    assert model.to("meta")(x.to("meta")).device.type == "meta"


def test_layers_may_be_sliced_on_the_way() -> None:
    class Sliced(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.pool(self.body[1:](self.body[:1](x))))

    net = Sliced(nn.Linear(D, CLASSES)).eval()
    x = torch.randn(2, 3, 64, 48)
    torch.testing.assert_close(to_softcam(net)(x), net(x), rtol=1e-4, atol=1e-5)


def test_the_parametrisation_of_a_head_is_said_to_be_lost() -> None:
    net = Net(nn.utils.parametrizations.weight_norm(nn.Linear(D, CLASSES))).eval()
    model, x = to_softcam(net), torch.randn(2, 3, 64, 48)
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)
    assert model.conversion is not None
    assert "head is parametrised" in " ".join(model.conversion.notes)


@pytest.mark.parametrize(
    "head", [nn.AlphaDropout(0.3), lambda v: F.alpha_dropout(v, 0.3)], ids=["layer", "function"]
)
def test_alpha_dropout_is_treated_as_dropout(head: Callable[[Tensor], Tensor]) -> None:
    class Alpha(Net):
        def __init__(self) -> None:
            super().__init__(nn.Linear(D, CLASSES))
            self.drop = head

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.drop(self.pool(self.body(x))))

    model = to_softcam(Alpha().eval())
    assert isinstance(model.evidence, nn.Sequential)
    assert [m.p for m in model.evidence if isinstance(m, nn.Dropout2d)] == [0.3]


class AlwaysDrops(Mean):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.dropout(self.body(x).mean((2, 3)), 0.3))  # type: ignore[operator]


class Halves(Mean):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.half())


def grey() -> nn.Module:
    net = Net(nn.Linear(D, CLASSES))
    net.body[0] = nn.Conv2d(1, D, 5, 8, 2)
    return net


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (AlwaysDrops, "random in evaluation mode.*only where self.training"),
        (lambda: Halves().half(), "asks for one precision.*float16"),
        (grey, r"takes 1 channels, and RGB.*x.mean\(1, keepdim=True\)"),
        (
            lambda: torch.ao.quantization.quantize_dynamic(Mean().eval(), {nn.Linear}),
            "fc is quantised.*as it was before",
        ),
    ],
    ids=["dropout that is always on", "precision", "grey", "quantised"],
)
def test_the_cause_is_named(build: Callable[[], nn.Module], reason: str) -> None:
    with pytest.raises(SoftCAMError, match=reason):
        to_softcam(build())
