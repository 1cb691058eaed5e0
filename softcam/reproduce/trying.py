"""Each method on each network of a plan, before any of them trains.

A method may refuse a network: Guided Backprop, say, one whose activations are no ReLUs. Without a
look beforehand, that is learned by the first evaluation, after hours of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from softcam.common import SoftCAMError
from softcam.reproduce.plan import Plan

if TYPE_CHECKING:
    from softcam.data.records import ImageSet

__all__ = ["try_methods"]

CHEAP = 3  # forward passes; methods of more need nothing of a network that cheap ones do not


def try_methods(plan: Plan, data: str, images: Mapping[int, ImageSet]) -> None:
    """Explain one image by every network of a plan, untrained, with each of its cheap methods.

    Args:
        plan: see `load_plan`.
        data: name of one of its data sets.
        images: some of that set in each of the sizes that the networks take.

    Raises:
        SoftCAMError: a method does not explain a network; the message names both.
    """
    import torch

    from softcam.backbones import parse_model_name
    from softcam.bcos import BCOS
    from softcam.explainers import explain_with
    from softcam.runs import build_model

    for model in plan.models:
        config = plan.config(data, model.name, "black-box", plan.first_seed)
        if parse_model_name(config.model)[0] in BCOS:
            continue  # it explains itself: no other method is put upon it
        known = images[config.size]
        config = replace(config, weights=None, pretrained=False)
        network = build_model(config, len(known.classes), None, known.multi_label).eval()
        image, target = known.batch([0]), torch.zeros(1, dtype=torch.long)
        for name in _cheap(plan, model.name):
            try:
                explain_with(name, network, image, target)
            except SoftCAMError as error:
                raise SoftCAMError(
                    f"{plan.name} asks for {name!r}, which does not explain {model.name}: {error} "
                    f"Put it under `without` of {model.name}."
                ) from error


def _cheap(plan: Plan, model: str) -> list[str]:
    """The post-hoc methods of few passes that a model is asked for with any seed or weight."""
    from softcam.evaluation import USUAL
    from softcam.explainers import explainers

    every = [plan.asked(model, seed) for seed in plan.seeds]
    every.append(plan.asked(model, plan.first_seed, path=True))
    asked = {name for options in every for name in options.get("methods") or USUAL}
    known = explainers()
    return [
        name for name in sorted(asked)
        if known[name].needs in ("features", "images") and known[name].forwards in range(CHEAP + 1)
    ]  # fmt: skip
