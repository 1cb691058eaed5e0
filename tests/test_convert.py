"""`to_softcam` where the logits stay the same, and the paper's head for VGG."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.evidence import SoftCAM
from softcam.wrappers import BlackBox

TIMM = [
    ("resnet10t", {"channels": (8, 16, 32, 32), "output_stride": 8, "drop_rate": 0.2}),
    ("mobilenetv2_050", {"pad_type": "same"}),
    ("efficientnet_lite0", {"drop_rate": 0.3}),
    ("regnetx_002", {}),
    ("resnetv2_18", {"channels": (8, 16, 32, 64)}),  # 1x1 convolution as classifier
    ("densenet121", {"growth_rate": 4, "block_config": (2, 2, 2)}),
    (
        "swin_tiny_patch4_window7_224",  # channels last, and one size only
        {"embed_dim": 12, "depths": (1, 1), "num_heads": (1, 2), "img_size": 56},
    ),
    ("repvgg_a0", {}),
    ("MlpMixer", {"num_blocks": 1, "embed_dim": 16, "patch_size": 16, "img_size": 64}),  # tokens
    ("twins_svt_small", {"embed_dims": (8, 8, 8, 16), "depths": (1, 1, 1, 1)}),
]  # fmt: skip
TORCHVISION = ["resnet18", "mobilenet_v2", "shufflenet_v2_x0_5", "densenet"]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Own(nn.Module):
    """A user's network: plain functions, no verbs, a choice of pooling."""

    def __init__(self, pool: str = "mean", drop: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.pool, self.drop = pool, drop
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(F.relu(self.norm(self.conv(x))), 0.1, self.training)
        x = {
            "mean": lambda z: z.mean((2, 3)),
            "flat": lambda z: z.flatten(2).mean(-1),
            "adaptive": lambda z: F.adaptive_avg_pool2d(z, 1).view(z.size(0), -1),
            "last": lambda z: z.permute(0, 2, 3, 1).mean((1, 2)),
            "max": lambda z: F.adaptive_max_pool2d(z, 1).flatten(1),
            "both": lambda z: z.mean((2, 3)) + z.amax((2, 3)),
            "gem": lambda z: z.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3),
        }[self.pool](x)
        if self.drop:
            x = F.dropout(x, self.drop, self.training)
        return self.fc(x)


def torchvision_net(name: str) -> nn.Module:
    if name == "densenet":
        return torchvision.models.DenseNet(4, (2, 2, 2), 8, num_classes=4)
    return torchvision.models.get_model(name, num_classes=4)


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def assert_same_function(net: nn.Module, model: SoftCAM, size: tuple[int, int] = (96, 64)) -> None:
    assert model.conversion is not None and model.conversion.kind == "exact"
    assert model.conversion.max_logit_difference is not None
    assert model.conversion.max_logit_difference <= 1e-5
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected, found = net(x), model(x)
        maps = model.evidence_maps(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps.mean((2, 3)), expected, rtol=1e-4, atol=1e-5)
    cell = model.conversion.reduction
    assert maps.shape[2:] == (-(-size[0] // cell), -(-size[1] // cell))
    assert parameters(model) == parameters(net)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), TIMM, ids=[name for name, _ in TIMM])
def test_timm_networks_keep_their_logits(name: str, options: dict) -> None:
    if name == "MlpMixer":
        net = timm.models.mlp_mixer.MlpMixer(num_classes=4, **options).eval()
    else:
        net = timm.create_model(name, num_classes=4, **options).eval()
    size = {"swin_tiny_patch4_window7_224": (56, 56), "MlpMixer": (64, 64)}
    assert_same_function(net, to_softcam(net), size.get(name, (96, 64)))


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_networks_keep_their_logits(name: str) -> None:
    net = torchvision_net(name).eval()
    assert_same_function(net, to_softcam(net))


@pytest.mark.parametrize("pool", ["mean", "flat", "adaptive", "last"])
def test_own_networks_keep_their_logits_however_the_mean_is_written(pool: str) -> None:
    net = Own(pool).eval()
    x, model = torch.randn(2, 3, 40, 24), to_softcam(net)
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-6)


def test_training_mode_keeps_gradients_statistics_and_functional_dropout() -> None:
    net = Own("mean").train()
    model = to_softcam(net)
    x = torch.randn(4, 3, 32, 32)
    torch.manual_seed(3)
    expected = net(x)
    torch.manual_seed(3)
    found = model(x)  # the dropout inside the backbone draws the same numbers
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    torch.testing.assert_close(model.backbone.norm.running_mean, net.norm.running_mean)
    assert torch.equal(model.eval()(x), model(x)) and not torch.equal(model(x), found)


@pytest.mark.parametrize("own", [True, False])
def test_dropout_before_the_linear_layer_drops_whole_channels(own: bool) -> None:
    small = {"channels": (8, 8, 8, 8), "drop_rate": 0.25}
    net = Own("mean", 0.25) if own else timm.create_model("resnet10t", **small)
    model = to_softcam(net)
    assert isinstance(model.evidence, nn.Sequential)
    assert isinstance(model.evidence[0], nn.Dropout2d) and model.evidence[0].p == 0.25
    assert model.training and model.evidence[0].training
    assert model.conversion is not None and "dropout 0.25" in " ".join(model.conversion.notes)


def test_the_original_is_left_as_it_was() -> None:
    net, calls = Own("adaptive"), []
    net.norm.eval()
    net.fc.register_forward_hook(lambda *a: calls.append(1))
    before = copy.deepcopy(net.state_dict())
    state = torch.get_rng_state()
    model = to_softcam(net)
    assert torch.equal(torch.get_rng_state(), state)
    assert net.training and not net.norm.training and not calls
    assert len(net.fc._forward_hooks) == 1
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert model.training and not model.backbone.norm.training  # type: ignore[union-attr]
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert net.conv.weight.grad is None and not calls


def test_frozen_and_half_precision_networks() -> None:
    net = Own("mean").requires_grad_(False).to(torch.bfloat16).eval()
    net.fc.weight.requires_grad = True
    model = to_softcam(net)
    x = torch.randn(2, 3, 32, 32, dtype=torch.bfloat16)
    assert model(x).dtype == torch.bfloat16
    torch.testing.assert_close(model(x), net(x), rtol=0.05, atol=0.02)
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["evidence.weight"]


def test_normalisation_and_link_of_a_black_box_move_along() -> None:
    black_box = BlackBox(Own(), ((0.5,) * 3, (0.25,) * 3), "sigmoid").eval()
    model, x = to_softcam(black_box), torch.rand(2, 3, 32, 32)
    assert model.link == "sigmoid" and not model.training
    assert model.normalize is not black_box.normalize
    torch.testing.assert_close(model(x), black_box(x))
    other = to_softcam(black_box, normalize=((0.1,) * 3, (1.0,) * 3), link="softmax")
    assert other.link == "softmax" and other.mean_colour.tolist() == pytest.approx([0.1] * 3)


def test_another_number_of_classes_gives_a_fresh_layer_and_says_so() -> None:
    model = to_softcam(Own("mean", 0.5), num_classes=7)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    assert model.conversion is not None and model.conversion.kind == "exact"
    assert "7 classes in place of 3" in model.conversion.notes[-1]
    assert isinstance(model.evidence, nn.Sequential) and len(model.evidence) == 2
    with pytest.raises(SoftCAMError, match="num_classes must be at least 1"):
        to_softcam(Own(), num_classes=0)


def small_vgg(library: str) -> nn.Module:
    if library == "timm":
        net = timm.models.vgg.VGG([8, "M", 16, "M", 16, "M"], num_classes=5, mlp_ratio=1 / 256)
        net.pre_logits, net.head.fc = timm.models.vgg.ConvMlp(16, 12), nn.Linear(12, 5)
        return net
    net = torchvision.models.VGG(
        torchvision.models.vgg.make_layers([8, "M", 16, "M", 16, "M"]), num_classes=5
    )
    net.classifier = nn.Sequential(
        nn.Linear(16 * 49, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5)
    )
    return net


@pytest.mark.slow
@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_vgg_gets_the_papers_head(library: str) -> None:
    net = small_vgg(library).eval()
    model = to_softcam(net, head_width=6).eval()
    kinds = [type(layer).__name__ for layer in model.evidence]  # type: ignore[union-attr]
    assert kinds == ["Conv2d", "ReLU", "Dropout", "Conv2d", "ReLU", "Dropout", "Conv2d"]
    widths = [m.weight.shape for m in model.evidence if isinstance(m, nn.Conv2d)]  # type: ignore[union-attr]
    assert widths == [(6, 16, 1, 1), (6, 6, 1, 1), (5, 6, 1, 1)]
    assert model.conversion is not None and model.conversion.kind == "paper"
    assert model.conversion.max_logit_difference is None and model.conversion.reduction == 8
    assert "logits are lost" in model.conversion.notes[0]
    x = torch.randn(2, 3, 48, 32)
    assert model.evidence_maps(x).shape == (2, 5, 6, 4)  # no pooling to 7x7
    torch.testing.assert_close(model.forward_features(x), net.features(x))  # type: ignore[operator]
    assert to_softcam(net, num_classes=2, head_width=6)(x).shape == (2, 2)


def test_converted_networks_can_be_copied_and_their_names_are_the_originals() -> None:
    net = torchvision_net("resnet18").eval()
    model, x = to_softcam(net), torch.randn(1, 3, 64, 64)
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    names = {name for name in net.state_dict() if not name.startswith("fc.")}
    assert {f"backbone.{name}" for name in names} | {"evidence.weight", "evidence.bias"} == set(
        model.state_dict()
    )
