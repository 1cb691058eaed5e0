"""The weights of the black box: into the converted model, and back bit for bit."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from softcam import BlackBox, SoftCAM, to_softcam
from softcam.backbones import build_net
from softcam.common import SoftCAMError
from softcam.proof import probe_copy
from softcam.travel import PooledNet, load_black_box_state, to_black_box
from tests.travel.test_folder import NORMALIZE, Own, same, trained

WHOLE = {  # networks that are put together again as they were
    "resnet": lambda: build_net("resnet10t-w8-os8", 3),
    "dropout": lambda: timm.create_model(
        "resnet10t", num_classes=3, channels=(8, 16, 32, 32), drop_rate=0.25
    ),
    "convolution": lambda: timm.create_model(
        "resnetv2_18", num_classes=3, channels=(8, 16, 32, 64)
    ),
    "bagnet": lambda: build_net("bagnet9t-w8", 3),
}
CUT = {  # networks that are cut out of their graph
    "own": Own,
    "torchvision": lambda: torchvision.models.DenseNet(4, (2, 2), 8, num_classes=3),
}
ALL = WHOLE | CUT


def shaken(net: nn.Module) -> nn.Module:
    """The network with nothing left at zero."""
    net.load_state_dict(probe_copy(net).state_dict())
    return net.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_a_conversion_is_undone_bit_for_bit(name: str) -> None:
    net = shaken(WHOLE[name]())
    model = to_softcam(BlackBox(net, NORMALIZE, "sigmoid").eval())
    box = to_black_box(model)
    state, found = net.state_dict(), box.net.state_dict()
    assert list(found) == list(state)
    assert all(torch.equal(found[key], state[key]) for key in state)
    assert type(box.net) is type(net) and not box.training
    assert box.normalize.values() == model.normalize.values() and box.link == "sigmoid"
    x = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        original = BlackBox(net, NORMALIZE).eval()(x)
        assert torch.equal(box(x), original)
        scale = (original - model.bias).abs().max()
        assert (model(x) - box(x)).abs().max() <= 1e-5 * scale
        net.train()  # dropout is where it was
        assert len([m for m in box.net.modules() if type(m) is nn.Dropout]) == len(
            [m for m in net.modules() if type(m) is nn.Dropout]
        )
        assert getattr(box.net, "drop_rate", 0) == getattr(net, "drop_rate", 0)


@pytest.mark.parametrize("name", CUT)
def test_a_network_that_was_cut_comes_back_as_pooling_and_a_layer(name: str) -> None:
    net = shaken(CUT[name]())
    model = to_softcam(net)
    box = to_black_box(model)
    assert isinstance(box.net, PooledNet)
    x = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        scale = net(x).abs().max()
        assert (box(x) - net(x)).abs().max() <= 1e-5 * scale
        again = to_softcam(box)
        assert (again.evidence_maps(x) - model.evidence_maps(x)).abs().max() <= 1e-5 * scale
    fresh = CUT[name]()
    before = copy.deepcopy(fresh.state_dict())
    filled = to_black_box(model, fresh).net
    assert type(filled) is type(net)
    for key, value in net.state_dict().items():
        assert torch.equal(filled.state_dict()[key], value), key
        assert torch.equal(fresh.state_dict()[key], before[key]), "the given network was changed"


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("given", [False, True], ids=["by name", "with net"])
def test_a_black_boxs_state_loads_as_if_it_had_been_converted(name: str, given: bool) -> None:
    net = shaken(ALL[name]())
    expected = to_softcam(net)
    model = to_softcam(ALL[name]().eval())
    assert not same(expected, model)
    other = ALL[name]() if given else None
    load_black_box_state(model, BlackBox(net).state_dict() if given else net.state_dict(), other)
    assert same(expected, model)
    assert all(torch.equal(v, expected.state_dict()[k]) for k, v in model.state_dict().items())


def test_an_auxiliary_head_needs_the_network() -> None:
    class Two(Own):
        def __init__(self) -> None:
            super().__init__()
            self.aux = nn.Linear(8, 3)

    net, fresh = shaken(Two()), Two()
    model = to_softcam(Two()).eval()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(SoftCAMError, match="net="):
        load_black_box_state(model, net.state_dict())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    load_black_box_state(model, net.state_dict(), fresh)
    assert same(model, to_softcam(net))
    back = to_black_box(model, fresh).net.state_dict()
    assert torch.equal(back["fc.weight"], net.fc.weight), "the head was mistaken"
    assert torch.equal(back["aux.weight"], fresh.aux.weight)


def test_a_state_of_another_network_is_refused() -> None:
    model = to_softcam(Own()).eval()
    before = copy.deepcopy(model.state_dict())
    for state, message in (
        (Own(4).state_dict(), "fc.weight is"),
        ({"fc.weight": torch.zeros(3, 8)}, "it lacks conv.weight"),
        ({}, "it lacks conv.weight"),
        (to_softcam(Own()).state_dict(), "it lacks conv.weight"),
    ):
        with pytest.raises(SoftCAMError, match=message):
            load_black_box_state(model, state)
    with pytest.raises(SoftCAMError, match="does not fit Own"):
        load_black_box_state(model, {}, Own())
    with pytest.raises(SoftCAMError, match="another network"):
        load_black_box_state(model, Own(4).state_dict(), Own(4))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_another_network_is_refused_as_the_black_box() -> None:
    class Halved(Own):
        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.conv(x).relu().mean((2, 3)) / 2)

    model = to_softcam(Own()).eval()
    for net, message in (
        (Halved(), "differ by 0.5 of their scale"),
        (Own(4), "no layer of it"),
        (nn.Linear(8, 3), "has no conv"),
    ):
        with pytest.raises(SoftCAMError, match=message):
            to_black_box(model, net)


@pytest.mark.slow
def test_what_is_not_exact_cannot_be_undone() -> None:
    vgg = timm.create_model("vgg11", num_classes=2, mlp_ratio=0.002)
    paper = to_softcam(vgg, head_width=8)
    with pytest.raises(SoftCAMError, match=r"'paper' cannot be undone.*fresh"):
        to_black_box(paper)
    with pytest.raises(SoftCAMError, match="fresh head"):
        load_black_box_state(paper, {}, vgg)
    model = to_softcam(Own())
    assert model.conversion is not None
    model.conversion = replace(model.conversion, kind="pointwise")
    with pytest.raises(SoftCAMError, match="'pointwise' cannot be undone"):
        to_black_box(model)
    head = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with pytest.raises(SoftCAMError, match="Conv2d, ReLU, Conv2d"):
        to_black_box(SoftCAM(nn.Conv2d(3, 3, 3), head))


def test_a_folded_layer_is_noticed() -> None:
    class Scaled(PooledNet):
        def forward_head(self, z: Tensor) -> Tensor:
            return self.fc(2 * z.mean((2, 3)))

    features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU())
    model = to_softcam(PooledNet(features, nn.Linear(4, 3))).eval()
    model.backbone.net.__class__ = Scaled  # as if the factor had gone into the convolution
    with pytest.raises(SoftCAMError, match="were folded"):
        to_black_box(model)
    with pytest.raises(SoftCAMError, match="were folded"):
        load_black_box_state(model, {})


def test_a_model_built_by_hand_and_one_in_training() -> None:
    model = SoftCAM(nn.Conv2d(3, 5, 3, stride=8), nn.Conv2d(5, 2, 1, bias=False))
    model.get_classifier().weight.requires_grad_(False)
    box = to_black_box(model.double())
    x = torch.rand(1, 3, 32, 40, dtype=torch.float64)
    torch.testing.assert_close(box(x), model(x))
    assert box.training and not box.net.fc.weight.requires_grad and box.net.fc.bias is None
    trained(Own())  # and the helper's own conversion is exact
    frozen = build_net("resnet10t-w8-os8", 3).train()
    frozen.bn1.eval()
    box = to_black_box(to_softcam(frozen))
    assert box.net.training and not box.net.bn1.training
