"""Cascading weight and label randomisation: against SciPy, one image at a time."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from softcam.backbones import build_net
from softcam.common import SoftCAMError, UnknownNameError
from softcam.convert import to_softcam
from softcam.explainers import explain_with
from softcam.sanity import cascade, is_label_twin, label_randomisation, randomisation
from softcam.sanity.stages import find_stages, randomise
from softcam.wrappers import BlackBox
from tests.tiny import TINY

TARGETS = torch.tensor([1, 0, 2, 1, 1])


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def network(seed: int = 0, classes: int = 3, link: str = "softmax") -> BlackBox:
    torch.manual_seed(seed)
    return BlackBox(build_net("resnet10t-w8-os8", classes), link=link).eval()  # type: ignore[arg-type]


def test_equals_the_definition_image_by_image(images: Tensor) -> None:
    model = to_softcam(network())
    found = cascade(model, images, TARGETS, ["softcam"], seed=4)
    broken = copy.deepcopy(model).eval()
    before = explain_with("softcam", broken, images, TARGETS)
    for step, stage in enumerate(find_stages(broken, images), 1):
        assert found.stages[step - 1] == stage.name
        randomise(stage, seed=4)
        after = explain_with("softcam", broken, images, TARGETS)
        expected = [
            spearmanr(a.flatten(), b.flatten())[0] for a, b in zip(before, after, strict=True)
        ]
        values = found.ratios["softcam", "raw"].per_image[:, step]
        assert np.allclose(values, expected, atol=1e-9), stage.name


def test_there_is_a_curve_for_each_gauge_and_it_begins_at_one(images: Tensor) -> None:
    found = cascade(network(), images, TARGETS, ["grad-cam", "random", "grad-cam"])
    assert list(found.ratios) == [
        ("grad-cam", "raw"), ("grad-cam", "centred"), ("grad-cam", "contrast"), ("random", "-"),
    ]  # fmt: skip
    for each in found.ratios.values():
        assert each.per_image.shape == (5, len(found.stages) + 1)
        assert each.per_image[:, 0].tolist() == [1.0] * 5
    assert found.ratios["grad-cam", "contrast"].value[-1] < 0.8


def test_a_control_stays_as_it_was_at_every_stage(images: Tensor) -> None:
    found = cascade(network(), images, TARGETS, ["random", "centre", "edge"])
    for each in found.ratios.values():
        assert np.all(each.per_image == 1)


def test_a_black_box_and_its_conversion_agree(images: Tensor) -> None:
    model = network()
    a = cascade(model, images, TARGETS, ["grad-cam"], seed=2)
    b = cascade(to_softcam(model), images, TARGETS, ["grad-cam", "softcam"], seed=2)
    assert a.stages == b.stages
    for gauge in ("raw", "centred", "contrast"):
        expected = a.ratios["grad-cam", gauge].per_image
        assert np.allclose(b.ratios["grad-cam", gauge].per_image, expected, atol=0.02)
        assert np.allclose(b.ratios["softcam", gauge].per_image, expected, atol=0.02)


def test_the_model_is_left_as_it_was(images: Tensor) -> None:
    model, other = network().train(), network(1)
    model.net.layer1.eval()
    next(model.parameters()).requires_grad_(False)
    state = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    frozen = [p.requires_grad for p in model.parameters()]
    random = torch.get_rng_state()
    cascade(model, images, TARGETS, ["grad-cam"])
    label_randomisation(model, other, images, TARGETS, ["grad-cam"])
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == frozen
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(torch.get_rng_state(), random)


def test_several_draws_are_pooled(images: Tensor) -> None:
    one, two = (cascade(network(), images, TARGETS, ["grad-cam"], seed=s) for s in (7, 8))
    both = cascade(network(), images, TARGETS, ["grad-cam"], seed=7, draws=2)
    for key, each in both.ratios.items():
        assert np.array_equal(each.numerator, one.ratios[key].numerator + two.ratios[key].numerator)
        assert np.all(each.denominator == 2)
        mean = (one.ratios[key].per_image + two.ratios[key].per_image) / 2
        assert np.allclose(each.per_image, mean)
    assert not np.array_equal(*(each.ratios["grad-cam", "raw"].value for each in (one, two)))


def test_images_may_come_in_several_batches(
    images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cascade(network(), images, TARGETS, ["grad-cam"])
    monkeypatch.setattr(randomisation, "CHUNK", 2)
    parts = cascade(network(), images, TARGETS, ["grad-cam"])
    for key, each in whole.ratios.items():
        assert np.allclose(each.per_image, parts.ratios[key].per_image, atol=0.02)


class Blind(nn.Module):
    """Its features are the same everywhere, whatever the image and the weights."""

    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward_features(self, x: Tensor) -> Tensor:
        return torch.ones(len(x), 3, 4, 4)

    def forward_head(self, z: Tensor) -> Tensor:
        return self.fc(z.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def test_constant_maps_are_excluded_and_counted(images: Tensor) -> None:
    found = cascade(BlackBox(Blind()), images, TARGETS, ["grad-cam"])
    assert found.stages == ("head",)
    assert found.ratios["grad-cam", "raw"].n_excluded.tolist() == [5, 5]


@pytest.mark.parametrize(
    ("methods", "targets", "options", "message"),
    [
        ("grad-cam", TARGETS, {}, "list of methods"),
        ([], TARGETS, {}, "list of methods"),
        (["gradcam"], TARGETS, {}, "'grad-cam'"),
        (["softcam"], TARGETS, {}, "to_softcam"),
        (["grad-cam"], TARGETS + 1, {}, "classes 0 to 2"),
        (["grad-cam"], TARGETS[:2], {}, "one target an image"),
        (["grad-cam"], TARGETS, {"draws": 0}, "draws is 0"),
        (["grad-cam"], TARGETS, {"seed": -1}, "seed is -1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    images: Tensor, methods: list[str], targets: Tensor, options: dict[str, int], message: str
) -> None:
    with pytest.raises(SoftCAMError, match=message):
        cascade(network(), images, targets, methods, **options)


def test_no_images_are_an_error(images: Tensor) -> None:
    with pytest.raises(SoftCAMError, match="found 0 images"):
        label_randomisation(network(), network(), images[:0], TARGETS[:0], ["grad-cam"])


def test_two_models_are_compared_image_by_image(images: Tensor) -> None:
    a, b = network(0), network(1)
    found = label_randomisation(a, b, images, TARGETS, ["grad-cam", "edge"])
    maps = [explain_with("grad-cam", each, images, TARGETS) for each in (a, b)]
    expected = [spearmanr(x.flatten(), y.flatten())[0] for x, y in zip(*maps, strict=True)]
    assert np.allclose(found["grad-cam", "raw"].per_image[:, 0], expected, atol=1e-9)
    assert np.all(found["edge", "-"].per_image == 1)
    same = label_randomisation(a, a, images, TARGETS, ["grad-cam"])
    assert np.all(same["grad-cam", "contrast"].per_image == 1)


def test_models_of_another_link_are_not_compared(images: Tensor) -> None:
    with pytest.raises(SoftCAMError, match="different gauges"):
        label_randomisation(network(), network(link="sigmoid"), images, TARGETS, ["grad-cam"])


def test_a_label_twin_differs_in_its_labels_alone() -> None:
    shuffled = replace(TINY, data_options={**TINY.data_options, "shuffle_labels": True})
    plain = replace(TINY, data_options={**TINY.data_options, "shuffle_labels": False})
    assert is_label_twin(TINY, shuffled) and is_label_twin(shuffled, plain)
    assert not is_label_twin(TINY, plain) and not is_label_twin(shuffled, shuffled)
    assert not is_label_twin(TINY, replace(shuffled, seed=1))
    assert not is_label_twin(TINY, replace(shuffled, data_options={"shuffle_labels": True}))


@pytest.mark.slow
def test_shuffled_labels_reach_the_training_and_the_run(project: Path) -> None:
    from softcam.data import open_data
    from softcam.runs import Run, run_directory
    from softcam.training import train

    config = replace(TINY, data_options={**TINY.data_options, "shuffle_labels": True}, epochs=1)
    run = train(config, progress=False)
    opened = Run.open(run.path)
    assert opened.dataset == "phantoms-cxr-shuffled"
    assert opened.config.link == "softmax"  # decided by the data: the run says what was taken
    assert is_label_twin(opened.config, replace(TINY, epochs=1, link="softmax"))
    true = open_data(TINY.data, size=TINY.size, **TINY.data_options)
    shuffled = open_data(TINY.data, size=TINY.size, **config.data_options)
    assert np.array_equal(opened.data("train").labels, shuffled.train.labels)
    assert (shuffled.train.labels != true.train.labels).any()
    assert run.path == run_directory(config, shuffled)
    assert run.path.name != run_directory(replace(TINY, epochs=1), true).name


def test_an_unknown_method_names_the_closest(images: Tensor) -> None:
    with pytest.raises(UnknownNameError, match="'edge'"):
        cascade(network(), images, TARGETS, ["edges"])
