"""What cannot be converted says why and what can; what is wrapped is taken out of its wrappers."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.refusal import RELATIVES
from softcam.wrappers import BlackBox, Normalize
from tests.test_heads import CLASSES, D, Net, Tokens
from tests.test_swap import Mean

VIT = {"depth": 1, "embed_dim": 24, "num_heads": 1, "num_classes": 4}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Flattened(Net):
    """Reads every cell with weights of its own, at one size."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.adaptive_avg_pool2d(self.body(x), 2).flatten(1))


def test_a_class_token_is_named_with_the_same_network_that_pools_the_mean() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", **VIT)
    with pytest.raises(SoftCAMError, match=r"vit_tiny_patch16_224 .*class token.*\(exact\)") as e:
        to_softcam(vit)
    assert "net.reset_classifier(num_classes, 'avg')" in str(e.value)
    vit.reset_classifier(4, "avg")
    conversion = to_softcam(vit).conversion
    assert conversion is not None and conversion.kind == "exact"
    with pytest.raises(
        SoftCAMError, match=r"Tokens cannot.*class token.*nearest that does is timm"
    ):
        to_softcam(Tokens("class"))


def test_heads_that_know_their_place_are_refused() -> None:
    with pytest.raises(SoftCAMError, match=r"does not treat all cells alike.*head \(Linear\)"):
        to_softcam(Flattened(nn.Linear(4 * D, CLASSES)))
    mlp = nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 2))
    mlp(torch.rand(1, 3, 128, 96))
    with pytest.raises(SoftCAMError, match="Sequential cannot become a SoftCAM"):
        to_softcam(mlp)


@pytest.mark.slow
def test_networks_that_give_no_logits_are_refused() -> None:
    small = {"channels": (8, 8, 8, 8)}
    with pytest.raises(SoftCAMError, match="a list of features has no classifier"):
        to_softcam(timm.create_model("resnet10t", features_only=True, **small))
    with pytest.raises(SoftCAMError, match="no classifier: build it with num_classes"):
        to_softcam(timm.create_model("resnet10t", num_classes=0, **small))
    with pytest.raises(SoftCAMError, match="SoftCAM already"):
        to_softcam(to_softcam(Net(nn.Linear(D, CLASSES))))


def test_a_class_token_beside_the_map_is_named() -> None:
    class Beside(Tokens):
        def forward_head(self, tokens: Tensor) -> Tensor:
            return self.fc(tokens[:, 0]) + self.fc(tokens.mean(1))

    with pytest.raises(SoftCAMError, match="class token beside the map"):
        to_softcam(Beside("class"))


def test_two_callers_share_neither_weights_nor_training() -> None:
    net = Net(nn.Linear(D, CLASSES)).eval()
    one, other = to_softcam(net), to_softcam(net)
    x = torch.rand(2, 3, 64, 48)
    expected = net(x)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1)
    assert torch.equal(other(x), to_softcam(net)(x)) and torch.equal(net(x), expected)
    torch.testing.assert_close(other(x), expected)
    places = [{p.data_ptr() for p in model.parameters()} for model in (net, one, other)]
    assert not any(a & b for a, b in ((places[0], places[1]), (places[1], places[2])))


@pytest.mark.parametrize("precision", [torch.float16, torch.float64])
@pytest.mark.parametrize("head", [(), (nn.LayerNorm(D),)], ids=["exact", "pointwise"])
def test_the_precision_and_what_is_frozen_stay(
    precision: torch.dtype, head: tuple[nn.Module, ...]
) -> None:
    net = Net(nn.Sequential(*head, nn.Linear(D, CLASSES))).to(precision).eval()
    net.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    model = to_softcam(net)
    assert {p.dtype for p in (*net.parameters(), *model.parameters())} == {precision}
    assert not any(p.requires_grad for p in (*net.parameters(), *model.parameters()))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert to_softcam(net, num_classes=7).get_classifier().weight.dtype == precision


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs another device")
def test_the_device_stays() -> None:
    net = Net(nn.Sequential(nn.LayerNorm(D), nn.Linear(D, CLASSES))).cuda()
    model = to_softcam(BlackBox(net, ((0.5,) * 3, (0.25,) * 3)), num_classes=5)
    assert {t.device.type for t in (*net.state_dict().values(), *model.state_dict().values())} == {
        "cuda"
    }
    assert model(torch.rand(2, 3, 64, 48, device="cuda")).shape == (2, 5)


def test_the_relatives_are_networks_of_timm() -> None:
    assert all(timm.is_model(name) for name in RELATIVES)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", ["DataParallel", "compiled", "compiled in place", "both"])
def test_wrappers_are_taken_off_with_a_note(wrap: str) -> None:
    net = Net(nn.Linear(D, CLASSES)).eval()
    box = BlackBox(net, ((0.5,) * 3, (0.25,) * 3)).eval()
    x, expected = torch.rand(2, 3, 64, 48), box(torch.rand(2, 3, 64, 48) * 0)
    if wrap == "DataParallel":
        model: nn.Module = nn.DataParallel(box)
    elif wrap == "compiled":
        model = torch.compile(box)  # type: ignore[assignment]
    elif wrap == "compiled in place":
        model = copy.deepcopy(box)
        model.compile()
    else:
        model = BlackBox(nn.DataParallel(torch.compile(net)), box.normalize).eval()  # type: ignore[arg-type]
    found = to_softcam(model)
    torch.testing.assert_close(found(x * 0), expected)
    torch.testing.assert_close(found(x), box(x))
    assert found.mean_colour.tolist() == pytest.approx([0.5] * 3)
    assert found.conversion is not None and found.conversion.kind == "exact"
    notes = " ".join(found.conversion.notes)
    assert ("DataParallel" in notes) == (wrap in ("DataParallel", "both"))
    assert ("compile" in notes) == (wrap in ("compiled", "both"))


def test_an_image_smaller_than_a_cell_is_refused_with_the_smallest_size() -> None:
    model = to_softcam(timm.create_model("resnet10t", channels=(8, 8, 8, 8)).eval())
    with pytest.raises(SoftCAMError, match="at least 32x32 px"):
        model(torch.rand(1, 3, 31, 64))
    with pytest.raises(SoftCAMError, match="at least 32x32 px"):
        model.explain(torch.rand(1, 3, 64, 16))
    assert model.explain(torch.rand(1, 3, 32, 32)).maps.shape[2:] == (1, 1)


def test_a_pointwise_conversion_leaves_the_original_as_it_was() -> None:
    net, calls = Net(nn.Sequential(nn.LayerNorm(D), nn.Linear(D, CLASSES))).to(torch.bfloat16), []
    net.head[0].requires_grad_(False)  # type: ignore[index,union-attr]
    net.register_forward_hook(lambda *a: calls.append(1))
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    model = to_softcam(net)
    assert torch.equal(torch.get_rng_state(), state) and not calls
    assert net.training and model.training and len(net._forward_hooks) == 1
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    x = torch.rand(2, 3, 64, 48, dtype=torch.bfloat16)
    model(x).sum().backward()
    assert all(p.grad is None for p in net.parameters())
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["evidence.0.layers.head.0.weight", "evidence.0.layers.head.0.bias"]
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_wrappers_that_compute_are_not_taken_off() -> None:
    class Scaled(BlackBox):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 2

    class Parallel(nn.DataParallel):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            return self.module(x) * 2

    class Prepared(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self._orig_mod = net

        def forward(self, x: Tensor) -> Tensor:
            return self._orig_mod(x / 255)

    x = torch.rand(2, 3, 64, 48)
    for wrap in (Scaled, Parallel, Prepared):
        net = wrap(Mean().eval()).eval()
        try:
            found = to_softcam(net)(x)
        except SoftCAMError:
            continue  # not converted is well; another function is not
        torch.testing.assert_close(found, net(x), rtol=1e-4, atol=1e-6)


def test_two_black_boxes_normalise_one_after_the_other() -> None:
    inner = BlackBox(Mean().eval(), ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3)), "sigmoid")
    outer = BlackBox(inner, ((0.1, 0.2, 0.3), (0.9, 0.8, 0.7))).eval()
    x = torch.rand(2, 3, 64, 48)
    model = to_softcam(outer)
    torch.testing.assert_close(model(x), outer(x), rtol=1e-4, atol=1e-5)
    assert model.link == "softmax" and not model.training
    single = to_softcam(BlackBox(inner).eval())
    torch.testing.assert_close(single(x), inner.eval()(x), rtol=1e-4, atol=1e-5)


def test_a_normalisation_that_is_passed_is_not_shared() -> None:
    given = Normalize((0.5,) * 3, (0.2,) * 3).eval()
    model = to_softcam(Mean().train(), normalize=given)
    assert model.normalize is not given and not given.training and model.normalize.training
    assert model.normalize.values() == given.values()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (None, "not a network"),
        ("resnet50", "timm.create_model"),
        ({}, "load_state_dict"),
        (Mean().state_dict(), "load_state_dict"),
        (Mean, "the class Mean: pass an instance"),
        (torch.jit.script(nn.Linear(2, 2)), "TorchScript"),
        (nn.Sequential(nn.LazyLinear(2)), "0.weight of this Sequential has no size yet"),
        (BlackBox(Mean().to("meta")), "meta device"),
    ],
)
def test_what_is_no_network_or_has_no_weights_is_refused(model: object, reason: str) -> None:
    with pytest.raises(SoftCAMError, match=reason):
        to_softcam(model)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_parameters_that_cannot_be_trained_are_named(dtype: torch.dtype) -> None:
    net = Mean()
    net.count = nn.Parameter(torch.zeros(2, dtype=dtype), requires_grad=False)
    with pytest.raises(SoftCAMError, match="count is a parameter of torch"):
        to_softcam(net)


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": "2"},
        {"num_classes": 2.5},
        {"num_classes": True},
        {"head_width": 2.5},
        {"normalize": 0.5},
        {"normalize": "imagenet"},
        {"normalize": ()},
        {"link": "relu"},
    ],
)
def test_options_of_another_type_are_refused(options: dict) -> None:
    with pytest.raises(SoftCAMError, match=next(iter(options))):
        to_softcam(Mean(), **options)


def test_code_of_its_own_that_raises_ends_in_a_refusal() -> None:
    class Raises(Mean):
        def reset_classifier(self, classes: int, pool: str = "") -> None:
            raise KeyError(pool)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).softmax(1)

    with pytest.raises(SoftCAMError, match="Raises cannot become a SoftCAM"):
        to_softcam(Raises())


def test_what_was_converted_in_inference_mode_can_be_trained() -> None:
    with torch.inference_mode():
        model = to_softcam(Mean(), num_classes=4)
    model.train()(torch.rand(2, 3, 64, 48)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
