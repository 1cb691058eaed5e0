"""Heads that are more than one linear layer: folded, applied at each cell, pooled in other ways."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.evidence import Conversion, SoftCAM
from softcam.proof import probe_inputs

D, CLASSES = 8, 3


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Net(nn.Module):
    """A strided convolution, a mean, and a head that the test gives."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, D, 5, stride=8, padding=2), nn.ReLU())
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.body(x)))

    def pool(self, z: Tensor) -> Tensor:
        return z.mean((2, 3))


class MaxPooled(Net):
    def pool(self, z: Tensor) -> Tensor:
        return z.amax((2, 3))


class AverageAndMax(Net):
    def pool(self, z: Tensor) -> Tensor:
        return (z.mean((2, 3)) + z.amax((2, 3))) / 2


class GeneralisedMean(Net):
    def pool(self, z: Tensor) -> Tensor:
        return z.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)


class Twins(nn.Module):
    """Two classifiers, each with its batch norm, that are averaged, as in LeViT."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (
            nn.Sequential(nn.BatchNorm1d(D), nn.Linear(D, CLASSES)) for _ in range(2)
        )

    def forward(self, v: Tensor) -> Tensor:
        return (self.one(v) + self.two(v)) / 2


class Tokens(nn.Module):
    """Patches as tokens behind one class token; pools what it is told to."""

    def __init__(self, pool: str) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, D, 16, 16)
        self.cls = nn.Parameter(torch.randn(1, 1, D))
        self.mix = nn.Linear(D, D)
        self.pool, self.norm, self.fc = pool, nn.LayerNorm(D), nn.Linear(D, CLASSES)

    def forward_features(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)  # (B, N, D)
        tokens = torch.cat([self.cls.expand(len(x), -1, -1), tokens], 1)
        return tokens + self.mix(tokens.mean(1, keepdim=True))

    def forward_head(self, tokens: Tensor) -> Tensor:
        if self.pool == "class":
            return self.fc(tokens[:, 0])
        pooled = tokens[:, 1:].mean(1)
        return self.fc(self.norm(pooled) if self.pool == "norm" else pooled)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def converted(net: nn.Module) -> tuple[SoftCAM, Conversion, Tensor]:
    model = to_softcam(net)
    assert model.conversion is not None
    assert isinstance(model.get_classifier(), nn.Conv2d)
    return model, model.conversion, torch.randn(2, 3, 64, 48)


def randomised(net: nn.Module) -> nn.Module:
    """Norms that do something, in evaluation mode."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return net.eval()


def test_a_layer_norm_after_the_pooling_is_applied_at_each_cell() -> None:
    head = nn.Sequential(nn.LayerNorm(D, eps=1e-3), nn.Dropout(0.25), nn.Linear(D, CLASSES))
    net = randomised(Net(head))
    model, conversion, x = converted(net)
    assert conversion.kind == "pointwise"
    with torch.no_grad():
        z, maps = net.body(x).numpy(), model.evidence_maps(x).numpy()  # type: ignore[operator]
    gain, shift, weight, bias = (
        p.detach().numpy() for p in (head[0].weight, head[0].bias, head[2].weight, head[2].bias)
    )
    for b, i, j in np.ndindex(2, *z.shape[2:]):
        v = z[b, :, i, j]
        v = (v - v.mean()) / np.sqrt(v.var() + 1e-3) * gain + shift
        np.testing.assert_allclose(maps[b, :, i, j], weight @ v + bias, rtol=1e-4, atol=1e-5)


def test_a_pointwise_conversion_says_by_how_much_the_logits_differ() -> None:
    net = randomised(Net(nn.Sequential(nn.LayerNorm(D), nn.Linear(D, CLASSES))))
    model, conversion, _ = converted(net)
    differences = []
    first = next(probe_inputs(net))
    turned = first[:1].mT  # and a quarter lower
    for x in (first, turned[:, :, : 3 * turned.shape[2] // 4]):
        with torch.no_grad():
            logits = net(x)
            scale = (logits - net.head[1].bias).abs().max()  # type: ignore[index,union-attr]
            differences.append(float((model(x) - logits).abs().max() / scale))
    assert conversion.max_logit_difference == pytest.approx(max(differences), rel=1e-3)
    assert max(differences) > 1e-3
    assert f"{max(differences):.2g} of their scale" in conversion.notes[-1]
    assert "fine-tune" in conversion.notes[-1]


def test_a_pointwise_evidence_layer_is_small_trainable_and_can_be_copied() -> None:
    net = Net(nn.Sequential(nn.Linear(D, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, CLASSES)))
    model, _, x = converted(net.train())
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(p.numel() for p in net.parameters())
    assert len(model.state_dict()) == len(net.state_dict())
    assert isinstance(model.evidence, nn.Sequential)
    assert isinstance(model.evidence[1], nn.Dropout2d) and model.evidence[1].p == 0.5
    assert not any(isinstance(m, nn.Dropout) for m in model.evidence[0].modules())
    model(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    twin = copy.deepcopy(model).eval()
    twin.load_state_dict({name: value * 2 for name, value in model.state_dict().items()})
    assert not torch.equal(twin(x), model.eval()(x))
    assert to_softcam(net, num_classes=7)(x).shape == (2, 7)


@pytest.mark.parametrize("fresh", [True, False])
def test_weights_that_hooks_make_are_read_as_evaluation_makes_them(fresh: bool) -> None:
    net = Net(nn.utils.spectral_norm(nn.Linear(D, CLASSES))).train()  # type: ignore[no-untyped-call]
    net(torch.randn(2, 3, 32, 32))
    if not fresh:  # the attribute `weight` is made in a forward pass, and is stale now
        with torch.no_grad():
            net.head.weight_orig.mul_(-3)  # type: ignore[operator,union-attr]
    model, x = to_softcam(net), torch.randn(2, 3, 64, 48)
    torch.testing.assert_close(model.eval()(x), net.eval()(x), rtol=1e-4, atol=1e-5)
    assert model.get_classifier().weight.requires_grad


def test_dropout_on_the_logits_is_said_to_be_lost() -> None:
    head = nn.Sequential(nn.Dropout(0.2), nn.Linear(D, CLASSES), nn.Dropout(0.3))
    model, conversion, _ = converted(Net(head))
    notes = " ".join(conversion.notes)
    assert "dropout 0.2 before" in notes and "not carried over: head.2 (Dropout) of 0.3" in notes
    assert isinstance(model.evidence, nn.Sequential)
    assert [m.p for m in model.evidence if isinstance(m, nn.Dropout2d)] == [0.2]


def test_a_head_that_differs_in_training_is_refused() -> None:
    class Verbs(Net):
        def forward_features(self, x: Tensor) -> Tensor:
            return self.body(x)

        def forward_head(self, z: Tensor) -> Tensor:
            logits = self.head(self.pool(z))
            return 2 * logits if self.training else logits

        def forward(self, x: Tensor) -> Tensor:
            return self.forward_head(self.forward_features(x))

    with pytest.raises(SoftCAMError, match="other logits in training than in evaluation"):
        to_softcam(Verbs(nn.Linear(D, CLASSES)))


@pytest.mark.slow
def test_a_max_pooled_network_says_so() -> None:
    for pool in ("max", "avgmax"):
        net = timm.create_model("resnet10t", channels=(8, 8, 8, 8), global_pool=pool)
        _, conversion, _ = converted(net)
        notes = " ".join(conversion.notes)
        assert conversion.kind == "pointwise" and "not by the mean" in notes and "Max" in notes


def test_rectified_class_maps_that_are_averaged_stay_the_same_function() -> None:
    class Squeeze(Net):  # as SqueezeNet: the classifier is a convolution, then ReLU, then the mean
        def forward(self, x: Tensor) -> Tensor:
            return self.pool(torch.relu(self.head(self.body(x))))

    net = Squeeze(nn.Conv2d(D, CLASSES, 1)).eval()
    model, conversion, x = converted(net)
    assert conversion.kind == "exact" and "one map a class already" in conversion.notes[-1]
    torch.testing.assert_close(model(x), net(x))
    torch.testing.assert_close(model.evidence_maps(x), torch.relu(net.head(net.body(x))))  # type: ignore[operator]


@pytest.mark.parametrize(("pool", "kind"), [("mean", "exact"), ("norm", "pointwise")])
def test_tokens_become_the_map_that_their_patches_came_from(pool: str, kind: str) -> None:
    net = randomised(Tokens(pool))
    model, conversion, x = converted(net)
    assert conversion.kind == kind and conversion.reduction == 16
    with torch.no_grad():
        z, tokens = model.forward_features(x), net.forward_features(x)  # type: ignore[operator]
    assert z.shape == (2, D, 4, 3)
    for i in range(4):
        for j in range(3):
            torch.testing.assert_close(z[:, :, i, j], tokens[:, 1 + 3 * i + j])
    if kind == "exact":
        torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)


SMALL = [
    ("convnext_atto", "pointwise", {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)}),
    ("mobilenetv3_small_050", "pointwise", {}),
    ("lcnet_035", "pointwise", {}),
    ("metaformer", "pointwise", {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)}),
    ("repvit_m0_9", "exact", {"embed_dim": (8, 8, 8, 8), "depth": (1, 1, 1, 1)}),
    ("levit_128s", "exact", {"embed_dim": (16, 16, 16), "depth": (1, 1, 1)}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "options"), SMALL, ids=[name for name, *_ in SMALL])
def test_timm_networks_of_both_kinds(name: str, kind: str, options: dict) -> None:
    build = {"metaformer": timm.models.metaformer.MetaFormer}.get(name, timm.create_model)
    named = () if name == "metaformer" else (name,)
    net = build(*named, num_classes=4, **options).eval()
    model, conversion, _ = converted(net)
    assert conversion.kind == kind
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        maps, logits = model.evidence_maps(x), net(x)
    if kind == "exact":
        torch.testing.assert_close(maps.mean((2, 3)), logits, rtol=1e-4, atol=1e-4)
    else:  # on a map that is the same everywhere a head at each cell is the head itself
        z = model.forward_features(x).mean((2, 3), keepdim=True)
        flat = z.expand(-1, -1, 4, 3)
        expected = net.forward_head(z)
        found = model.evidence(flat).mean((2, 3))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
