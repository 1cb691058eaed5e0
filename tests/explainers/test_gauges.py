"""One class's map read from one of three zeros."""

from __future__ import annotations

import pytest
import torch

from softcam.common import SoftCAMError, UnknownNameError
from softcam.explainers import get_explainer
from softcam.explainers.gauges import GAUGES, gauge_maps, in_gauge, read_gauges
from tests.evaluation.known import FakeRun, bright_square


def test_gauges_by_hand() -> None:
    maps = torch.tensor([[[[1.0]], [[5.0]], [[3.0]]]])
    logits = torch.tensor([[9.0, 0.0, 1.0]])  # the highest other is class 0, not the largest map
    target = torch.tensor([2])
    values = [float(in_gauge(g, maps, logits, target)) for g in ("raw", "centred", "contrast")]
    assert values == [3, 0, 2]
    with pytest.raises(SoftCAMError, match="no other class"):
        in_gauge("contrast", maps[:, :1], logits[:, :1], target * 0)
    with pytest.raises(UnknownNameError, match="'centred'"):
        in_gauge("centered", maps, logits, target)


def test_with_two_classes_centred_is_half_the_contrast() -> None:
    maps, logits = torch.randn(4, 2, 3, 3), torch.randn(4, 2)
    target = torch.tensor([0, 1, 1, 0])
    centred, contrast = (in_gauge(g, maps, logits, target) for g in ("centred", "contrast"))
    assert torch.allclose(2 * centred, contrast, atol=1e-6)


def test_one_map_added_to_all_classes_moves_the_raw_gauge_alone() -> None:
    maps, logits, extra = torch.randn(5, 3, 2, 2), torch.randn(5, 3), torch.randn(5, 1, 2, 2)
    target = torch.tensor([0, 1, 2, 1, 0])
    shifted = logits + extra.mean((2, 3))
    for gauge in GAUGES:
        before = in_gauge(gauge, maps, logits, target)
        after = in_gauge(gauge, maps + extra, shifted, target)
        assert torch.allclose(before, after, atol=1e-5) == (gauge != "raw")


def test_which_gauges_there_are() -> None:
    maps, logits = torch.randn(2, 3, 2, 2), torch.randn(2, 3)
    target = torch.tensor([0, 1])
    found = read_gauges(maps, logits, target)
    assert list(found) == list(GAUGES)
    for name, each in found.items():
        assert torch.equal(each, in_gauge(name, maps, logits, target))
    assert list(read_gauges(maps, logits, target, "sigmoid")) == ["raw"]
    assert list(read_gauges(maps[:, :1], logits[:, :1], target * 0)) == ["raw"]


@pytest.mark.parametrize("method, names", [("softcam", GAUGES), ("edge", ("-",))])
def test_maps_of_a_method_in_its_gauges(method: str, names: tuple[str, ...]) -> None:
    data = bright_square(4)
    model, images = FakeRun(data, "dense").model(), data.batch(range(4))
    targets = torch.tensor([1, 1, 0, 1])
    logits, found = gauge_maps(get_explainer(method), model, images, targets)
    assert tuple(found) == names
    assert torch.allclose(logits, model(images))
    own = get_explainer(method)(model, images, targets)
    assert torch.allclose(found[names[0]], own) and not found[names[0]].requires_grad
