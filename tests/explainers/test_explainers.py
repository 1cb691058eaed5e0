"""Every explainer: names, checks on targets, and that the explained network is left as it was."""

from __future__ import annotations

import copy
import zlib

import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, UnknownNameError
from softcam.evidence import SoftCAM
from softcam.explainers import class_maps, explain_with, explainer, explainers, get_explainer
from softcam.wrappers import BlackBox


class TinyNet(nn.Module):
    """Conv, batch norm, ReLU, mean pool, linear: with timm's verbs, or without."""

    num_features = 4

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.body(x)).flatten(1))


class TinyTimm(TinyNet):
    def forward_features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward_head(self, z: Tensor) -> Tensor:
        return self.fc(z.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def randomised(net: nn.Module) -> nn.Module:
    """Batch-norm statistics that are not the identity, so that a mode that changed would show."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net


def by_hand(net: TinyNet) -> SoftCAM:
    """The same function with the sums swapped, weights carried over by hand."""
    conv = nn.Conv2d(4, net.fc.out_features, 1)
    conv.weight.data = net.fc.weight.data[:, :, None, None].clone()
    conv.bias.data = net.fc.bias.data.clone()
    return SoftCAM(copy.deepcopy(net.body), conv).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))


TARGETS = torch.tensor([2, 0])


HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
)


def checksum(values: Tensor) -> int:
    return zlib.crc32(values.detach().contiguous().numpy().tobytes())


def snapshot(model: nn.Module) -> list[object]:
    """Everything about a network that an explainer could leave changed."""
    return [
        [
            (n, id(m), m.training, *(len(getattr(m, hooks)) for hooks in HOOKS))
            for n, m in model.named_modules()
        ],
        [
            (n, id(p), p.requires_grad, None if p.grad is None else checksum(p.grad))
            for n, p in model.named_parameters()
        ],
        {n: checksum(v) for n, v in model.state_dict().items()},
        torch.is_grad_enabled(),
        checksum(torch.get_rng_state()),
    ]


def test_unknown_method_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="'grad-cam'"):
        get_explainer("gradcam")


def test_a_name_is_registered_once() -> None:
    fields = {"title": "", "paper": "", "cost": "", "gauges": ("-",), "needs": "images"}
    with pytest.raises(SoftCAMError, match="registered already"):
        explainer(name="random", **fields)(lambda model, images, targets: images[:, 0])


@pytest.mark.parametrize(
    "targets, message",
    [
        (torch.tensor([0]), r"shape \(2,\), found \(1,\)"),
        (torch.tensor([0, 3]), "classes 0 to 2"),
        (torch.tensor([-1, 0]), "classes 0 to 2"),
        (torch.tensor([0.0, 1.0]), "LongTensor"),
        ([0, 1], "found list"),
    ],
)
def test_wrong_targets_are_an_error(images: Tensor, targets: Tensor, message: str) -> None:
    with pytest.raises(SoftCAMError, match=message):
        explain_with("grad-cam", BlackBox(TinyTimm()), images, targets)


def test_softcam_needs_evidence_maps(images: Tensor) -> None:
    with pytest.raises(SoftCAMError, match="to_softcam"):
        explain_with("softcam", BlackBox(TinyTimm()), images, TARGETS)


def test_softcam_is_the_map_of_the_target(images: Tensor) -> None:
    model = by_hand(TinyNet())
    maps = explain_with("softcam", model, images, TARGETS)
    own = model.explain(images).maps
    assert torch.equal(maps, torch.stack([own[0, 2], own[1, 0]]))
    assert torch.allclose(maps.mean((1, 2)), model(images)[[0, 1], TARGETS], atol=1e-6)


# Those that explain any network; `b-cos` has its own, and its own tests.
METHODS = sorted(name for name, each in explainers().items() if each.needs != "b-cos")
SIZES = {
    "images": [(6, 8), (12, 16)],
    "features": [(6, 8)],
    "evidence": [(6, 8)],
    "nothing": [(6, 8)],
}


def model_for(name: str, net: nn.Module) -> nn.Module:
    """A black box around the net, or its conversion where the method reads evidence maps."""
    return by_hand(net) if name == "softcam" else BlackBox(net)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("net", [TinyNet, TinyTimm, "softcam"])
def test_the_network_is_left_as_it_was(name: str, net: object, images: Tensor) -> None:
    base = randomised(TinyNet() if net == "softcam" else net())  # type: ignore[operator]
    model = by_hand(base) if net == "softcam" else model_for(name, base)
    model.train()
    next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)).eval()  # mixed modes
    first, second, *_ = model.parameters()
    first.requires_grad_(False)
    second.grad = torch.ones_like(second)
    given, before = images.clone(), snapshot(model)
    maps = explain_with(name, model, images, TARGETS)
    assert tuple(maps.shape[1:]) in SIZES[get_explainer(name).needs]
    assert len(maps) == 2 and not maps.requires_grad and maps.isfinite().all()
    assert snapshot(model) == before
    assert torch.equal(images, given) and not images.requires_grad and images.grad is None


class Fuse(nn.Module):
    """Blows at the given call of the forward pass, or in the backward pass."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.left = [call]  # a list: a copy of the network that is traced counts on its own

    def forward(self, x: Tensor) -> Tensor:
        self.left[0] -= 1
        if not self.left[0]:
            raise RuntimeError("blown")
        if self.left[0] < 0 and x.requires_grad:
            x.register_hook(blow)
        return x


def blow(_gradient: Tensor) -> None:
    raise RuntimeError("blown")


class FusedLinear(nn.Linear):
    """A classifier with a fuse in front."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__(4, 3)
        self.fuse = fuse

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.fuse(x))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["first layer", "classifier"])
@pytest.mark.parametrize("net", [TinyNet, TinyTimm])
@pytest.mark.parametrize("name", METHODS)
def test_left_as_it_was_after_an_error(
    name: str, net: type[TinyNet], place: str, images: Tensor
) -> None:
    """The network fails in its first, second, ... run, or in the backward pass (call 0)."""
    if name == "softcam" and place == "classifier":
        pytest.skip("has none: its evidence layer stands in its place")
    blown = 0
    for call in (1, 2, 3, 4, 6, 0):
        base = randomised(net())
        if place == "classifier":
            base.fc = FusedLinear(Fuse(call))
        else:
            base.body.insert(0, Fuse(call))
        model = model_for(name, base).train()
        before = snapshot(model)
        try:
            explain_with(name, model, images, TARGETS)
        except RuntimeError as error:
            assert "blown" in f"{error} {error.__cause__}"
            blown += 1
        assert snapshot(model) == before, f"after call {call}"
    assert blown, "the fuse never blew: this test says nothing"


@pytest.mark.slow
@pytest.mark.parametrize(
    "around, frozen",
    [(torch.no_grad, False), (torch.inference_mode, True), (torch.enable_grad, True)],
)
@pytest.mark.parametrize("name", METHODS)
def test_whatever_is_around_the_call(name: str, around: type, frozen: bool, images: Tensor) -> None:
    model = model_for(name, randomised(TinyNet()))
    expected = explain_with(name, model, images, TARGETS)
    model.requires_grad_(not frozen)
    with around():
        maps = explain_with(name, model, images.clone(), TARGETS.clone())
    assert torch.allclose(maps, expected, atol=1e-6) and expected.abs().max() > 0


@pytest.mark.parametrize("name", METHODS)
def test_wrong_targets_are_an_error_for_every_method(name: str, images: Tensor) -> None:
    model = model_for(name, TinyNet())
    with pytest.raises(SoftCAMError, match=r"shape \(2,\), found \(3,\)"):
        explain_with(name, model, images, torch.tensor([0, 1, 2]))
    with pytest.raises(SoftCAMError, match="classes 0 to 2"):
        explain_with(name, model, images, torch.tensor([0, 3]))


LAYERED = ["eigen-cam", "fm-g-cam", "grad-cam", "hires-cam", "layer-cam", "score-cam"]


def test_which_methods_take_a_layer() -> None:
    assert [name for name in METHODS if get_explainer(name).takes_layer] == LAYERED


@pytest.mark.parametrize("name", LAYERED)
def test_another_layer(name: str, images: Tensor) -> None:
    torch.manual_seed(4)
    net = TinyNet()
    net.body.append(nn.Conv2d(4, 4, 3, 2, 1))  # 3 x 4 cells behind 6 x 8
    net.body.append(nn.ReLU())
    model = BlackBox(randomised(net))
    maps = explain_with(name, model, images, TARGETS, layer="net.body.2")
    assert maps.shape == (2, 6, 8) and maps.isfinite().all() and maps.abs().max() > 0
    last = explain_with(name, model, images, TARGETS, layer="net.body.4")
    assert torch.allclose(last, explain_with(name, model, images, TARGETS), atol=1e-6)
    with pytest.raises(UnknownNameError, match="unknown layer 'body.2'.*'net.body.2'"):
        explain_with(name, model, images, TARGETS, layer="body.2")


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(LAYERED)))
def test_no_layer_for_a_method_without_one(name: str, images: Tensor) -> None:
    able = ", ".join(map(repr, LAYERED))
    with pytest.raises(SoftCAMError, match=f"{name!r} takes no layer, .* use one of {able}"):
        explain_with(name, model_for(name, TinyNet()), images, TARGETS, layer="net.body.2")


class Named(TinyTimm):
    """With timm's verb for the classifier."""

    def get_classifier(self) -> nn.Module:
        return self.fc


class Unnamed(TinyTimm):
    """With the verb, but without an answer that says how many classes there are."""

    def get_classifier(self) -> nn.Module:
        return nn.Identity()


def runs(model: nn.Module, images: Tensor, targets: Tensor = TARGETS) -> list[int]:
    """How many images went through the first layer each time it ran."""
    seen: list[int] = []
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    name = "softcam" if isinstance(model, SoftCAM) else "grad-cam"
    try:
        explain_with(name, model, images, targets)
    except SoftCAMError as error:
        assert "classes 0 to 2" in str(error)
    handle.remove()
    return seen


def test_no_pass_for_what_the_classifier_says(images: Tensor) -> None:
    out_of_range = torch.tensor([0, 3])
    for model in (BlackBox(Named()), Named(), by_hand(TinyNet())):
        assert runs(model, images) == [2]
        assert runs(model, images, out_of_range) == []
    for model in (BlackBox(TinyTimm()), BlackBox(Unnamed())):
        assert runs(model, images) == [1, 2]
        assert runs(model, images, out_of_range) == [1]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", METHODS)
def test_half_precision_is_refused(name: str, kind: torch.dtype, images: Tensor) -> None:
    model = model_for(name, TinyNet()).to(kind)
    with pytest.raises(SoftCAMError, match="half precision"):
        explain_with(name, model, images.to(kind), TARGETS)


@pytest.mark.parametrize("name", METHODS)
def test_several_devices_are_refused(name: str, images: Tensor) -> None:
    net = TinyNet()
    net.fc.to("meta")
    with pytest.raises(SoftCAMError, match=r"several devices \(cpu, meta\)"):
        explain_with(name, model_for_devices(name, net), images, TARGETS)


def model_for_devices(name: str, net: TinyNet) -> nn.Module:
    if name != "softcam":
        return BlackBox(net)
    return SoftCAM(net.body, nn.Conv2d(4, 3, 1, device="meta"))


def test_a_parallel_copy_is_refused(images: Tensor) -> None:
    with pytest.raises(SoftCAMError, match=r"DataParallel .* `.module`"):
        explain_with("grad-cam", nn.DataParallel(BlackBox(TinyNet())), images, TARGETS)


@pytest.mark.parametrize("name", METHODS)
def test_maps_do_not_depend_on_the_batch(name: str, images: Tensor) -> None:
    model = by_hand(randomised(TinyNet()))
    together = explain_with(name, model, images, TARGETS)
    alone = explain_with(name, model, images[1:], TARGETS[1:])
    assert torch.allclose(together[1:], alone, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_class_maps_are_the_maps_of_each_class(name: str, images: Tensor) -> None:
    model = by_hand(randomised(TinyNet()))
    logits, maps = class_maps(name, model, images)
    assert torch.allclose(logits, model(images).detach(), atol=1e-6)
    for c in range(3):
        one = explain_with(name, model, images, torch.full((2,), c))
        assert torch.allclose(maps[:, c], one, atol=1e-6), f"class {c}"
