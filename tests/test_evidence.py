"""The class-evidence layer and the explanation, against hand-made numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError, UnknownNameError
from softcam.convert import to_softcam
from softcam.evidence import Explanation, SoftCAM
from softcam.wrappers import BlackBox, Normalize

NORMALIZE = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))


class TinyNet(nn.Module):
    """Conv, batch norm, ReLU twice, mean pool, linear."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5), nn.ReLU(),
        )  # fmt: skip
        self.fc = nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def black_box() -> BlackBox:
    return BlackBox(TinyNet().double(), NORMALIZE).eval()


def images(n: int = 4) -> Tensor:
    return torch.rand(n, 3, 24, 16, dtype=torch.float64)


def explanation(classes: int = 3, link: str = "softmax") -> Explanation:
    return Explanation(torch.randn(2, classes, 4, 3), torch.randn(classes), link)  # type: ignore[arg-type]


def test_the_mean_of_the_maps_is_the_logit_and_contributions_add_up(black_box: BlackBox) -> None:
    model, x = to_softcam(black_box), images()
    e = model.explain(x)
    assert e.maps.shape == (4, 3, 6, 4)
    torch.testing.assert_close(e.maps.mean((2, 3)), model(x))
    torch.testing.assert_close(e.contributions.sum((2, 3)), model(x))
    assert not e.maps.requires_grad


def test_dense_softcam_is_the_black_box_logits_and_gradients(black_box: BlackBox) -> None:
    model, x, y = to_softcam(black_box), images(), torch.tensor([0, 1, 2, 1])
    F.cross_entropy(black_box(x), y).backward()
    F.cross_entropy(model(x), y).backward()
    torch.testing.assert_close(model(x), black_box(x), rtol=0, atol=1e-10)
    ours = {n: p.grad for n, p in model.named_parameters()}
    for name, p in black_box.net.named_parameters():
        key = name.replace("fc.", "evidence.") if "fc" in name else f"backbone.{name}"
        assert p.grad is not None and ours[key] is not None
        torch.testing.assert_close(ours[key].view_as(p), p.grad, rtol=0, atol=1e-10)


def test_five_steps_of_sgd_follow_the_same_trajectory(black_box: BlackBox) -> None:
    model = to_softcam(black_box).train()
    black_box.train()
    y = torch.tensor([0, 1, 2, 1])
    for net in (black_box, model):
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(net(images()), y).backward()
            optimizer.step()
    ours = [value.flatten() for value in model.state_dict().values()]
    theirs = [value.flatten() for value in black_box.state_dict().values()]
    assert len(ours) == len(theirs) == 16
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_signed_last_layer_grad_cam_is_the_map_minus_its_bias(black_box: BlackBox) -> None:
    x, net = images(), black_box.net
    assert isinstance(net, TinyNet)
    z = net.body(black_box.normalize(x)).detach().requires_grad_()
    logits = net.fc(z.mean((2, 3)))
    e = to_softcam(black_box).explain(x)
    for c in range(3):
        (gradient,) = torch.autograd.grad(logits[:, c].sum(), z, retain_graph=True)
        grad_cam = (gradient.mean((2, 3), keepdim=True) * z).sum(1)  # no ReLU
        h, w = grad_cam.shape[1:]
        found = grad_cam * (h * w) + e.bias[c]
        torch.testing.assert_close(found, e.maps[:, c], rtol=0, atol=1e-10)


def test_normalisation_runs_inside_the_wrappers(black_box: BlackBox) -> None:
    x = images(1)
    mean, std = (torch.tensor(v).double().view(1, 3, 1, 1) for v in NORMALIZE)
    expected = black_box.net((x - mean) / std)
    torch.testing.assert_close(black_box(x), expected, rtol=1e-6, atol=1e-6)
    assert torch.allclose(black_box.mean_colour, mean.flatten().to(black_box.mean_colour.dtype))
    with pytest.raises(SoftCAMError, match="fill="):
        _ = BlackBox(TinyNet()).mean_colour
    with pytest.raises(SoftCAMError, match="positive stds"):
        Normalize((0, 0, 0), (1, 0, 1))


def test_centring_keeps_the_prediction_and_every_contrast() -> None:
    e = explanation()
    centred = e.gauge("centred")
    torch.testing.assert_close(centred.maps.sum(1), torch.zeros(2, 4, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(centred.probabilities, e.probabilities)
    torch.testing.assert_close(centred.contrast(2, 0), e.contrast(2, 0))
    assert not torch.allclose(centred.maps, e.maps)
    assert e.gauge("raw") is e and centred.gauge("centred") is centred
    with pytest.raises(SoftCAMError, match="lost their raw zero"):
        centred.gauge("raw")
    with pytest.raises(UnknownNameError, match="centred"):
        e.gauge("centered")  # type: ignore[arg-type]


def test_contrast_is_against_the_highest_other_logit() -> None:
    maps = torch.tensor([[1.0, 5.0, 3.0], [4.0, 0.0, 2.0]]).view(2, 3, 1, 1).expand(2, 3, 2, 2)
    e = Explanation(maps, torch.zeros(3))
    assert e.contrast(1).mean((1, 2)).tolist() == [2.0, -4.0]  # 5 - 3, 0 - 4
    assert e.contrast(torch.tensor([0, 0])).mean((1, 2)).tolist() == [-4.0, 2.0]
    assert e.contrast(0, torch.tensor([2, 1])).mean((1, 2)).tolist() == [-2.0, 4.0]


def test_contrast_refuses_what_has_no_meaning() -> None:
    with pytest.raises(SoftCAMError, match="classes 0 to 2"):
        explanation().contrast(3)
    with pytest.raises(SoftCAMError, match="2 integers"):
        explanation().contrast(torch.tensor([0, 1, 2]))
    with pytest.raises(SoftCAMError, match="sigmoid"):
        explanation(1).contrast(0)
    with pytest.raises(SoftCAMError, match="no other class"):
        explanation(2, "sigmoid").contrast(0, 1)
    with pytest.raises(SoftCAMError, match="zero is fixed"):
        explanation(2, "sigmoid").gauge("centred")


def test_a_one_logit_head_has_the_contrast_of_the_two_class_head() -> None:
    backbone, x = TinyNet().body, torch.rand(2, 3, 16, 16)
    two = SoftCAM(backbone, nn.Conv2d(5, 2, 1)).eval()
    one = SoftCAM(backbone, nn.Conv2d(5, 1, 1), link="sigmoid").eval()
    w, b = two.get_classifier().weight, two.get_classifier().bias
    assert b is not None and one.get_classifier().bias is not None
    with torch.no_grad():
        one.get_classifier().weight.copy_(w[1:] - w[:1])
        one.get_classifier().bias.copy_(b[1:] - b[:1])  # type: ignore[union-attr]
    a, c = one.explain(x), two.explain(x)
    torch.testing.assert_close(a.contrast(0), c.contrast(1, 0), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(a.probabilities[:, 0], c.probabilities[:, 1])


def test_images_of_another_kind_are_refused(black_box: BlackBox) -> None:
    with pytest.raises(SoftCAMError, match="RGB images"):
        black_box(torch.rand(1, 1, 8, 8))
    with pytest.raises(SoftCAMError, match="RGB images"):
        black_box((torch.rand(1, 3, 8, 8) * 255).byte())
    with pytest.raises(SoftCAMError, match="at least 4x4"):
        to_softcam(black_box)(images(1)[..., :3])


def test_upsampling_keeps_a_flat_map_flat() -> None:
    e = Explanation(torch.full((1, 2, 3, 3), 1.5), torch.zeros(2))
    assert e.upsample(12).shape == (1, 2, 12, 12)
    assert e.upsample((6, 9)).unique().tolist() == [1.5]
