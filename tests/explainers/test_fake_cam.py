"""Fake-CAM: the map that says nothing."""

from __future__ import annotations

import torch

from softcam.explainers import explain_with
from softcam.wrappers import BlackBox
from tests.explainers.test_explainers import TARGETS, TinyTimm


def test_fake_cam_is_one_but_for_a_corner() -> None:
    images = torch.rand(2, 3, 12, 16)
    maps = explain_with("fake-cam", BlackBox(TinyTimm()), images, TARGETS)
    expected = torch.ones(6, 8)
    expected[0, 0] = 0
    assert torch.equal(maps, expected.expand(2, 6, 8))
