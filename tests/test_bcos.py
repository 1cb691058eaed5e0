"""B-cos networks: one layer by its formula, logits as sums of contributions, and our own loop."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.backbones import build_net, parse_model_name
from softcam.bcos import BCOS, BcosNet, build_bcos
from softcam.common import SoftCAMError, UnknownNameError
from softcam.convert import to_softcam
from softcam.wrappers import BlackBox, Normalize

NORMALIZE = ([0.4, 0.5, 0.6], [0.2, 0.3, 0.1])


def net(name: str = "bcos_resnet10-w4", classes: int = 3) -> BcosNet:
    """In eval mode, with norms that have seen images and are not the identity."""
    pytest.importorskip("bcos")
    torch.manual_seed(0)
    built = build_net(name, classes)
    assert isinstance(built, BcosNet)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.bias is None
            nn.init.uniform_(module.weight, 0.5, 2)
            module.momentum = 1.0
    with torch.no_grad():
        built.train()(torch.rand(8, 3, 64, 64))
    return built.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def test_names_and_options_do_not_need_the_package() -> None:
    name, keywords = parse_model_name("bcos_resnet10-w8")
    assert name in BCOS and keywords["channels"][0] == 8
    with pytest.raises(UnknownNameError, match="bcos_resnet18"):
        parse_model_name("bcos_resnet19")
    with pytest.raises(SoftCAMError, match="takes only a width and an output stride"):
        build_net("bcos_resnet18-same", 2)
    with pytest.raises(SoftCAMError, match="no pretrained weights for bcos_resnet18"):
        build_net("bcos_resnet18", 2, pretrained=True)


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("bcos", "bcos.models.resnet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SoftCAMError, match=r"pip install 'softcam\[bcos\]'"):
        build_bcos("bcos_resnet10", 2)


def test_one_layer_is_the_formula(images: Tensor) -> None:
    """|cos(x, w)| * (w . x) / |w| of every 3 x 3 patch, in NumPy."""
    layer = net().net.layer1[0].conv1
    z = torch.randn(1, layer.in_channels, 5, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = layer(z)[0].numpy()
    weight = layer.linear.weight.detach().double().numpy()
    padded = np.pad(z[0].double().numpy(), ((0, 0), (1, 1), (1, 1)))
    for row in range(5):
        for column in range(6):
            patch = padded[:, row : row + 3, column : column + 3]
            for unit, w in enumerate(weight):
                dot = (w * patch).sum() / np.linalg.norm(w)
                cosine = dot / np.linalg.norm(patch)
                assert found[unit, row, column] == pytest.approx(abs(cosine) * dot, abs=1e-5)


@pytest.mark.parametrize(
    "name, classes",
    [("bcos_resnet10-w4", 3), ("bcos_resnet50-w4", 1), ("bcos_resnet18-w4-os8", 2)],
)
def test_contributions_sum_to_the_logit(name: str, classes: int, images: Tensor) -> None:
    model = net(name, classes)
    with torch.no_grad():
        expected = model(images)
    every = torch.arange(classes).expand(2, -1)
    logits, maps = model.contributions(images, every)
    assert maps.shape == (2, classes, 64, 48) and not maps.requires_grad
    scale = float(maps.abs().sum((2, 3)).max())
    assert scale > 0.01 and float(expected.abs().max()) > 1e-3
    assert torch.allclose(logits, expected, atol=1e-6 * scale)
    assert float((maps.sum((2, 3)) - expected).abs().max()) <= 1e-4 * scale


@pytest.mark.parametrize("name", ["bcos_resnet10-w4", "bcos_resnet50-w4"])
def test_the_output_stride_is_the_cell_of_the_last_map(name: str, images: Tensor) -> None:
    whole = net(name)
    for stride, shape in {8: (8, 6), 16: (4, 3), 32: (2, 2)}.items():
        model = net(f"{name}-os{stride}")
        assert model.forward_features(images).shape == (2, model.num_features, *shape)
        model.load_state_dict(whole.state_dict())  # the same weights, more places
        assert torch.equal(model.eval()(images), whole(images)) == (stride == 32)


@pytest.mark.parametrize("name", ["bcos_resnet10-w4", "bcos_resnet10-w4-os8"])
def test_they_are_the_input_times_the_map_of_the_frozen_network(name: str, images: Tensor) -> None:
    """W(x) built layer by layer from what each layer scaled by, without the package's own mode."""
    model = net(name)
    scales: dict[nn.Module, Tensor] = {}
    layers = [m for m in model.modules() if type(m).__name__ == "BcosConv2d"]

    def record(layer: nn.Module, given: tuple[Tensor], out: Tensor) -> None:
        scales[layer] = (out / layer.linear(given[0])).detach()

    hooks = [layer.register_forward_hook(record) for layer in layers]
    with torch.no_grad():
        expected = model(images)
    for hook in hooks:
        hook.remove()

    def linear(layer: nn.Module, given: tuple[Tensor], out: Tensor) -> Tensor:
        return scales[layer] * layer.linear(given[0])

    hooks = [layer.register_forward_hook(linear) for layer in layers]

    def frozen(x6: Tensor) -> Tensor:
        return model.forward_head(model.net.forward_features(x6))

    x6 = torch.cat([images, 1 - images], 1).requires_grad_()
    assert torch.allclose(frozen(x6), expected, atol=1e-6)
    other = torch.randn(x6.shape, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(frozen(x6 + other), expected + frozen(other), atol=1e-4)  # linear
    (gradient,) = torch.autograd.grad(frozen(x6)[:, 2].sum(), x6)
    for hook in hooks:
        hook.remove()
    oracle = (x6 * gradient).sum(1).detach()
    _, maps = model.contributions(images, torch.tensor([[2], [2]]))
    assert float((maps[:, 0] - oracle).abs().max()) <= 1e-4 * float(oracle.abs().max())
    # Not the gradient of the network itself, whose weights move with the image. (That one sums to
    # the logit, too: the network is homogeneous of degree 1. The sum alone is no proof.)
    (plain,) = torch.autograd.grad(frozen(x6)[:, 2].sum(), x6)
    off = (x6 * plain).sum(1).detach() - oracle
    assert float(off.abs().max()) > 0.1 * float(oracle.abs().max())


def test_a_black_box_hands_over_its_normalisation(images: Tensor) -> None:
    bare = net()
    with torch.no_grad():
        expected = bare(images)
        box = BlackBox(bare, NORMALIZE).eval()
        assert torch.allclose(box(images), expected, atol=1e-5)
        assert torch.equal(box.mean_colour, torch.tensor(NORMALIZE[0]))
        assert torch.allclose(bare.encode(box.normalize(images)).sum(1), torch.tensor(3.0))
    assert torch.allclose(box.forward_features(images), bare.forward_features(box._checked(images)))
    assert "normalize" not in " ".join(box.state_dict())


def test_inverse_undoes_normalize(images: Tensor) -> None:
    for normalize in (Normalize(*NORMALIZE), Normalize()):
        assert torch.allclose(normalize.inverse(normalize(images)), images, atol=1e-6)


def test_a_batch_is_its_images_one_by_one_and_the_mode_is_left(images: Tensor) -> None:
    model = net().requires_grad_(False)
    classes = torch.tensor([[1, 0], [2, 2]])
    _, together = model.contributions(images, classes)
    for i in range(2):
        _, alone = model.contributions(images[i : i + 1], classes[i : i + 1])
        assert torch.allclose(together[i], alone[0], atol=1e-6 * float(alone.abs().sum()))
    with pytest.raises(RuntimeError):
        model.contributions(images, torch.tensor([[9], [9]]))
    assert not any(getattr(module, "detach", None) is True for module in model.modules())


def test_its_last_layer_in_each_cell_is_a_map_a_class_already(images: Tensor) -> None:
    """The logit is the mean of the last B-cos layer's map, so no other network is made of it."""
    box = BlackBox(net(), NORMALIZE).eval()
    model = to_softcam(box)
    assert model.conversion is not None and model.conversion.kind == "exact"
    with torch.no_grad():
        maps = box.net.net.fc(box.net.forward_features(box.normalize(images)))  # type: ignore[operator,union-attr]
        found, expected = model.evidence_maps(images), box(images)
    scale = float(maps.abs().max())
    torch.testing.assert_close(found, maps, rtol=1e-4, atol=1e-5 * scale)
    torch.testing.assert_close(found.mean((2, 3)), expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.slow
def test_trains_in_the_loop_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from softcam.profiles import load_profile
    from softcam.training import train

    pytest.importorskip("bcos")
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    few = {"n_train": 32, "n_val": 32, "n_test": 32}
    config = load_profile("quick").config(
        "black-box", model="bcos_resnet10-w4-os8", data_options=few, epochs=2, size=32
    )
    run = train(config, progress=False)
    model = run.model()
    assert run.id.startswith("bcos_resnet10-w4-os8-black-box-s0")
    assert isinstance(model, BlackBox) and isinstance(model.net, BcosNet)
    batch = run.data("test").batch(range(2))
    assert model.net.normalize is model.normalize and not model.normalize.is_identity
    assert torch.allclose(model.net.encode(model._checked(batch))[:, :3], batch, atol=1e-6)
    logits, maps = model.net.contributions(model._checked(batch), torch.tensor([[0, 1], [0, 1]]))
    scale = float(maps.abs().sum((2, 3)).max())
    assert float((maps.sum((2, 3)) - logits).abs().max()) <= 1e-4 * scale
