"""Tab explorer and notebook explorer say the same of a cell, a sum and a region, in every gauge."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from softcam.evidence import Explanation
from softcam.visualize.explorer.reading import Reading, read_explanation
from softcam.visualize.explorer.region import Region
from tests.browser.test_tab_numbers import as_maps

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.slow
Call = Callable[..., Any]
SIZE, CLASSES = 40, 3
GAUGES = ("raw", "centred", "contrast")
HALF_A_CELL = Region(3, 5, 11, 7)  # it cuts cells of 8 x 10 pixels


@pytest.fixture
def explanation() -> Explanation:
    """Maps with a bias that is no rounding error: without it signs and sums are others."""
    maps = torch.randn(1, CLASSES, 4, 5, dtype=torch.float64) * 3
    bias = torch.tensor([2.0, -1.5, 0.25], dtype=torch.float64)
    return Explanation(maps + bias[:, None, None], bias)


def asked(explanation: Explanation, target: int, gauge: str, **given: Any) -> list[Any]:
    """What the page's functions take: answer, choices and model."""
    answer = {"maps": as_maps(explanation.maps[0]), "logits": explanation.logits[0].tolist()}
    state = {"target": target, "view": gauge, "shape": "flat", "g": 0, **given}
    names = [f"class {c}" for c in range(CLASSES)]
    model = {"bias": explanation.bias.tolist(), "classes": names, "size": SIZE, "limit": 0.1}
    return [answer, state, model]


def drawn(call: Call, explanation: Explanation, target: int, gauge: str) -> Any:
    return call("state.js", "seen", *asked(explanation, target, gauge))["drawn"]


@pytest.mark.parametrize("gauge", GAUGES)
@pytest.mark.parametrize("target", range(CLASSES))
def test_a_cell_and_the_sum(call: Call, explanation: Explanation, target: int, gauge: str) -> None:
    reading: Reading = read_explanation(explanation, target, gauge)
    line = drawn(call, explanation, target, gauge)
    cells = np.reshape(line["cells"]["values"], (4, 5)) / 20
    np.testing.assert_allclose(cells, reading.cells, atol=1e-12)
    for row, column in ((0, 0), (2, 3), (3, 4)):  # under the finger
        found = call("numbers.js", "imageShare", line["cells"], row, column)
        assert found == pytest.approx(reading.cells[row, column])
    assert line["bias"] == pytest.approx(reading.rest)
    assert line["bias"] + cells.sum() == pytest.approx(reading.value), "bias + sum is no logit"
    spelled = call("state.js", "spelled", line)
    found = [spelled[name] for name in ("positive", "negative", "bias", "logit")]
    expected = [reading.positive, reading.negative, reading.rest, reading.value]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert spelled["cellsFor"] == int((reading.cells > 0).sum())
    top = call("state.js", "strongest", line["cells"], 3)
    order = np.argsort(-np.abs(reading.cells), axis=None)[:3]
    assert [each["value"] for each in top] == pytest.approx(reading.cells.flat[order].tolist())


@pytest.mark.parametrize("how", ["erase", "keep"])
@pytest.mark.parametrize("gauge", GAUGES)
@pytest.mark.parametrize("region", [HALF_A_CELL, Region(0, 0, SIZE, SIZE)], ids=["part", "whole"])
def test_what_the_map_says_of_a_region(
    call: Call, explanation: Explanation, gauge: str, how: str, region: Region
) -> None:
    target = 1
    reading = read_explanation(explanation, target, gauge)
    rectangle = {n: getattr(region, n) for n in ("x", "y", "width", "height")}
    question = asked(explanation, target, gauge, rectangle=rectangle, how=how)
    rows = call("state.js", "regionRows", question[0], None, *question[1:])
    found = rows[-1] if gauge == "contrast" else rows[target]
    lost = reading.lost(region.shares((4, 5), (SIZE, SIZE)), how == "keep")
    assert found["now"] == pytest.approx(reading.value)
    assert found["map"] == pytest.approx(reading.value - lost)
    if region.width == SIZE:  # nothing is left but the bias; or everything is
        left = reading.rest if how == "erase" else reading.value
        assert found["map"] == pytest.approx(left)


def test_a_map_taken_away_from_all_leaves_its_class_the_bias(
    call: Call, explanation: Explanation
) -> None:
    question = asked(explanation, 2, "raw", shape="class-2", g=-1)
    line = call("state.js", "seen", *question)["drawn"]
    np.testing.assert_allclose(line["cells"]["values"], 0, atol=1e-12)
    assert call("state.js", "spelled", line)["logit"] == pytest.approx(0.25)
