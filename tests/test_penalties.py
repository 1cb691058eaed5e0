"""The penalties against hand-made numbers, NumPy and finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.penalties import (
    elastic_net,
    hoyer_penalty,
    hoyer_spread,
    logit_control,
    paper_lambdas,
)

PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse": lambda maps: elastic_net(maps, 0.3, 0.0),
    "ridge": lambda maps: elastic_net(maps, 0.0, 0.3),
    "elastic": lambda maps: elastic_net(maps, 0.2, 0.1),
    "logit-control": lambda maps: logit_control(maps, 0.3),
    "hoyer": lambda maps: hoyer_penalty(maps, 0.3),
}


def test_elastic_net_by_hand_averages_the_whole_batch() -> None:
    maps = torch.tensor([[3.0, -4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 12.0]]).view(2, 2, 1, 2)
    maps.requires_grad_()
    loss = elastic_net(maps, 0.5, 2.0)
    # images: L1 = 7 and 12, norm = 5 and 12
    assert loss.item() == pytest.approx(0.5 * (7 + 12) / 2 + 2.0 * (5 + 12) / 2)
    loss.backward()
    signs = torch.tensor([[1.0, -1, 0, 0], [0, 0, 0, 1]]) * 0.5 / 2
    unit = torch.tensor([[0.6, -0.8, 0, 0], [0, 0, 0, 1]]) * 2.0 / 2
    assert maps.grad is not None
    torch.testing.assert_close(maps.grad, (signs + unit).view(2, 2, 1, 2))


def test_elastic_net_has_gradient_zero_at_zero() -> None:
    maps = torch.zeros(2, 3, 2, 2, requires_grad=True)
    elastic_net(maps, 1.0, 1.0).backward()
    assert maps.grad is not None and maps.grad.abs().max().item() == 0


def test_elastic_net_sums_in_float32_under_autocast() -> None:
    maps = torch.full((2, 2, 64, 64), 16.0, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = elastic_net(maps + 0, 1.0, 0.0)
    assert loss.dtype == torch.float32 and loss.item() == 16 * 2 * 64 * 64  # above float16's end
    assert elastic_net(maps.half(), 1.0, 0.0).item() == 16 * 2 * 64 * 64


def test_elastic_net_refuses_what_is_no_penalty() -> None:
    with pytest.raises(SoftCAMError, match="B, C, h, w"):
        elastic_net(torch.zeros(2, 3), 1, 0)
    with pytest.raises(SoftCAMError, match=">= 0"):
        elastic_net(torch.zeros(1, 1, 2, 2), -1, 0)
    assert elastic_net(torch.ones(1, 1, 2, 2), 0, 0).item() == 0


def test_logit_control_is_the_least_l1_that_these_logits_allow() -> None:
    maps = torch.randn(3, 2, 4, 5)
    logits = maps.mean((2, 3))
    assert logit_control(maps, 0.3).item() == pytest.approx(
        (0.3 * 20 * logits.abs().sum(1)).mean().item()
    )
    assert elastic_net(maps, 0.3, 0).item() > logit_control(maps, 0.3).item()
    torch.testing.assert_close(elastic_net(maps.abs(), 0.3, 0), logit_control(maps.abs(), 0.3))


def test_paper_lambdas_weigh_the_mean_and_the_root_mean_square() -> None:
    maps = torch.randn(1, 2, 4, 5)
    lambda1, lambda2 = paper_lambdas(0.7, 0.9, 2, 4, 5)
    expected = 0.7 * maps.abs().mean() + 0.9 * maps.square().mean().sqrt()
    torch.testing.assert_close(elastic_net(maps, lambda1, lambda2), expected)


def flat_and_spike(logit: float = 2.0) -> tuple[Tensor, Tensor]:
    """Two maps of 16 x 16 cells with the same logit: all cells alike, and one cell only."""
    flat, spike = torch.full((1, 1, 16, 16), logit), torch.zeros(1, 1, 16, 16)
    spike[0, 0, 3, 5] = 256 * logit
    return flat, spike


def test_what_each_penalty_prefers_of_two_maps_with_one_logit() -> None:
    flat, spike = flat_and_spike()
    assert flat.mean().item() == spike.mean().item() == 2
    assert elastic_net(flat, 1, 0).item() == elastic_net(spike, 1, 0).item() == 512
    assert logit_control(flat, 1).item() == logit_control(spike, 1).item() == 512
    assert elastic_net(flat, 0, 1).item() == 32 and elastic_net(spike, 0, 1).item() == 512
    assert hoyer_spread(flat).item() == 1 and hoyer_spread(spike).item() == 0
    assert hoyer_penalty(flat, 1).item() == 256 and hoyer_penalty(spike, 1).item() == 0


@pytest.mark.parametrize("cells", [1, 4, 9, 20])
def test_some_equal_cells_have_the_spread_of_the_closed_form(cells: int) -> None:
    maps = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    maps.view(-1)[:cells] = -3.0
    expected = (cells**0.5 - 1) / (20**0.5 - 1)
    assert hoyer_spread(maps).item() == pytest.approx(expected, abs=1e-12)


def test_the_spread_by_the_definition_in_numpy_and_its_mean() -> None:
    maps = torch.randn(3, 2, 4, 5, dtype=torch.float64)
    expected = np.empty((3, 2))
    for b in range(3):
        for c in range(2):
            a = maps[b, c].numpy()
            ratio = np.abs(a).sum() / np.sqrt((a**2).sum())
            expected[b, c] = (ratio - 1) / (np.sqrt(20) - 1)
    np.testing.assert_allclose(hoyer_spread(maps).numpy(), expected, rtol=1e-12)
    lambda1, _ = paper_lambdas(0.7, 0.0, 2, 4, 5)
    assert hoyer_penalty(maps, lambda1).item() == pytest.approx(0.7 * expected.mean(), rel=1e-12)


@pytest.mark.parametrize("factor", [-1.0, 1e-3, -250.0, 1e-30, 1e30])
def test_no_factor_changes_the_spread(factor: float) -> None:
    maps = torch.randn(3, 2, 4, 5)
    torch.testing.assert_close(hoyer_spread(maps * factor), hoyer_spread(maps))
    assert elastic_net(maps * -2, 0.3, 0).item() == pytest.approx(
        2 * elastic_net(maps, 0.3, 0).item()
    ), "but those of the paper follow it"


def test_a_softmax_leaves_the_spread_a_zero_to_choose_and_a_sigmoid_does_not() -> None:
    maps = torch.randn(2, 2, 4, 5)
    other = maps - maps[:, :1]  # one map taken from both: the same softmax
    torch.testing.assert_close(other.mean((2, 3)).softmax(1), maps.mean((2, 3)).softmax(1))
    contrast = maps[:, 1:] - maps[:, :1]
    assert hoyer_spread(other)[:, 0].tolist() == [0, 0]
    half = hoyer_spread(contrast).mean() / 2
    torch.testing.assert_close(hoyer_spread(other).mean(), half)
    assert hoyer_spread(maps).mean() > 1.5 * half
    sigmoids = maps.mean((2, 3)).sigmoid()
    assert not torch.allclose(other.mean((2, 3)).sigmoid(), sigmoids, atol=1e-3)


@pytest.mark.parametrize("cells", [(2, 2), (1, 1)])
def test_an_empty_map_has_spread_and_gradient_zero(cells: tuple[int, int]) -> None:
    maps = torch.zeros(2, 3, *cells, requires_grad=True)
    penalty = hoyer_penalty(maps, 1.0)
    penalty.backward()
    assert penalty.item() == 0
    assert maps.grad is not None and maps.grad.abs().max().item() == 0
    beside = torch.zeros(1, 2, 4, 4)
    beside[0, 1] = torch.randn(4, 4)
    beside.requires_grad_()
    hoyer_penalty(beside, 1.0).backward()
    assert beside.grad is not None and torch.isfinite(beside.grad).all()
    assert beside.grad[0, 0].abs().max() == 0 < beside.grad[0, 1].abs().max()


@pytest.mark.parametrize("arm", PENALTIES)
def test_a_map_that_is_no_number_never_passes_for_an_empty_one(arm: str) -> None:
    for value in (torch.nan, torch.inf):
        maps = torch.zeros(1, 2, 3, 3)
        maps[0, 0, 1, 1] = value
        assert not torch.isfinite(PENALTIES[arm](maps))


@pytest.mark.parametrize("arm", PENALTIES)
def test_gradients_are_those_of_finite_differences(arm: str) -> None:
    maps = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert PENALTIES[arm](maps).dtype == torch.float64
    assert torch.autograd.gradcheck(PENALTIES[arm], maps)
    (found,) = torch.autograd.grad(PENALTIES[arm](maps), maps)
    for place in ((0, 0, 1, 2), (1, 1, 2, 3)):
        step = torch.zeros_like(maps)
        step[place] = 1e-6
        with torch.no_grad():
            slope = (PENALTIES[arm](maps + step) - PENALTIES[arm](maps - step)) / 2e-6
        assert found[place].item() == pytest.approx(slope.item(), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("arm", PENALTIES)
def test_half_precision_is_summed_in_float32(arm: str) -> None:
    maps = torch.randn(2, 2, 64, 64).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = PENALTIES[arm](maps)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, PENALTIES[arm](maps.double()).float(), rtol=1e-5, atol=0)


def test_steps_downhill_concentrate_a_map_and_keep_its_sign() -> None:
    maps = torch.linspace(0.5, 1.5, 16, dtype=torch.float64).view(1, 1, 4, 4)
    start = maps
    for _ in range(100):
        maps = maps.detach().requires_grad_()
        (slope,) = torch.autograd.grad(hoyer_penalty(maps, 1.0), maps)
        maps = (maps - 0.02 * slope).detach()
    assert hoyer_spread(maps) < 0.8 * hoyer_spread(start)
    top = maps.flatten().topk(4).values.sum() / maps.abs().sum()
    assert top > 1.3 * start.flatten().topk(4).values.sum() / start.sum()


def test_maps_of_another_shape_and_negative_weights_are_refused() -> None:
    for function in (logit_control, hoyer_penalty):
        with pytest.raises(SoftCAMError, match="B, C, h, w"):
            function(torch.zeros(2, 3), 1.0)
        with pytest.raises(SoftCAMError, match="lambda1 must be >= 0, found -1"):
            function(torch.zeros(1, 1, 2, 2), -1.0)
    with pytest.raises(SoftCAMError, match="B, C, h, w"):
        hoyer_spread(torch.zeros(2, 3, 4))
