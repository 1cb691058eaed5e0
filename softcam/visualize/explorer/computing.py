"""What networks have been asked, kept so that going back costs nothing; how much is bounded."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.evidence import Explanation, SoftCAM
from softcam.explainers import explainers
from softcam.explainers.features import split_at_features, undisturbed
from softcam.explainers.gauges import gauge_maps
from softcam.visualize.explorer.asking import Part, logits_of, paint, parts_of
from softcam.visualize.explorer.pictures import Picture
from softcam.visualize.explorer.reading import read_explanation
from softcam.visualize.explorer.region import Region
from softcam.visualize.explorer.subjects import Model
from softcam.visualize.overlay import common_limit

__all__ = ["Computing"]

_KEPT = 256  # results
_SHARED = 8  # images that the shared colour scale is taken from


class Computing:
    """Answers of some networks, each asked once.

    Attributes:
        seconds_a_pass: what the last forward pass of one image took; 0 before the first.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self.seconds_a_pass = 0.0

    def explanation(self, model: SoftCAM, picture: Picture) -> Explanation:
        """All maps of a picture, on the CPU."""

        def ask() -> Explanation:
            started = time.perf_counter()
            found = model.explain(picture.image[None].to(_device(model)))
            self.seconds_a_pass = time.perf_counter() - started
            return Explanation(found.maps.cpu(), found.bias.cpu(), found.link)

        return self._once((id(model), picture.name, "maps"), ask)

    def logits(self, model: Model, picture: Picture) -> Tensor:
        """(C,) of a picture."""

        def ask() -> Tensor:
            started = time.perf_counter()
            logits = logits_of(model, picture.image)
            self.seconds_a_pass = time.perf_counter() - started
            return logits

        if isinstance(model, SoftCAM):
            return self.explanation(model, picture).logits[0]
        return self._once((id(model), picture.name, "logits"), ask)

    def channels(self, model: Model, picture: Picture) -> int | None:
        """D, the channels of the last feature map; None of a network without one."""

        def ask() -> int | None:
            try:
                with undisturbed(model):
                    z, _ = split_at_features(model, picture.image[None].to(_device(model)))
            except SoftCAMError:
                return None
            return int(z.shape[1])

        return self._once((id(model), "", "channels"), ask)

    def has_map(self, model: Model, picture: Picture, method: str, target: int) -> bool:
        """Whether the map of a method is there already."""
        return (id(model), picture.name, method, target) in self._kept

    def maps(self, model: Model, picture: Picture, method: str, target: int) -> dict[str, Tensor]:
        """The map (h, w) of a method in each gauge that it has."""

        def ask() -> dict[str, Tensor]:
            images = picture.image[None].to(_device(model))
            targets = torch.tensor([target], device=images.device)
            _, maps = gauge_maps(explainers()[method], model, images, targets)
            return {gauge: each[0].cpu() for gauge, each in maps.items()}

        return self._once((id(model), picture.name, method, target), ask)

    def painted(
        self, model: Model, picture: Picture, region: Region, keep: bool, fill: str
    ) -> tuple[Tensor, Tensor]:
        """The image (3, H, W) with a region painted over, and its logits (C,)."""

        def ask() -> tuple[Tensor, Tensor]:
            painted = paint(model, picture.image, region, keep, fill)
            return painted, logits_of(model, painted)

        return self._once((id(model), picture.name, region, keep, fill), ask)

    def parts(self, model: Model, picture: Picture) -> list[Part]:
        """The parts of a phantom with their effects; none of another image."""
        return self._once((id(model), picture.name, "parts"), lambda: parts_of(model, picture))

    def limit(
        self,
        models: Sequence[Model],
        pictures: Sequence[Picture],
        progress: Callable[[Sequence[Any]], Iterable[Any]],
    ) -> float:
        """The value at full colour that all images and networks share, in logits a cell.

        The 99th percentile of |image share| over the first images, all classes and networks; and
        of their contrasts, so that going from one gauge to another keeps the scale.

        Args:
            models: those without evidence maps are left out.
            pictures: the first few of them are read.
            progress: wraps the list of what has to be computed, as tqdm does.
        """
        able = [each for each in models if isinstance(each, SoftCAM)]
        found = []
        for model, picture in progress([(m, p) for p in pictures[:_SHARED] for m in able]):
            explanation = self.explanation(model, picture)
            classes = explanation.maps.shape[1]
            contrasts = explanation.link == "softmax" and classes > 1
            for gauge in ("raw", "contrast") if contrasts else ("raw",):
                found += [read_explanation(explanation, c, gauge).cells for c in range(classes)]
        return common_limit(found) if found else 1.0

    def forget(self, picture: Picture) -> None:
        """Drop all that is known of a picture."""
        for key in [key for key in self._kept if key[1] == picture.name]:  # type: ignore[index]
            del self._kept[key]

    def _once(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        if key not in self._kept:
            try:
                self._kept[key] = ask()
            except (RuntimeError, MemoryError) as error:  # what torch says of an odd image
                raise SoftCAMError(f"the network cannot be asked about this: {error}") from error
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _device(model: Model) -> torch.device:
    return next((each.device for each in model.parameters()), torch.device("cpu"))
