"""How many forward passes an evaluation asks of a network: the counting behind a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from softcam.metrics import Measure

__all__ = ["Asked", "Timing", "evaluation_seconds"]

CURVE = 31  # points of a deletion or insertion curve
DISEASED = 0.5  # share of the test images that has a finding
PARTS = 6  # of a phantom that a twin lacks: lesions, look-alikes, the marker
TWIN = 0.008  # seconds to draw a twin of 96 px
STAGES_REDRAWN = 10  # of a cascade, from the head to the first convolution
GRADIENT = 3  # forward passes that one forward and backward pass cost
ROWS = 3.0  # seconds of intervals and tables an evaluated network


@dataclass(frozen=True)
class Timing:
    """Seconds: of a training image, of a forward pass an image, of all measures on a map.

    `features` is the number of channels of the last feature map, for methods that try each.
    """

    step: float
    forward: float
    measured: float
    features: float


@dataclass(frozen=True)
class Asked:
    """A network of an arm, the keywords of `evaluate`, and how many networks it is asked of."""

    arm: str
    options: Mapping[str, Any]
    networks: int = 1


def evaluation_seconds(asked: Asked, counts: Mapping[str, int], timing: Timing) -> float:
    """Processor seconds of all questions about one network.

    Args:
        asked: arm and questions.
        counts: images of each split.
        timing: of the network.
    """
    from softcam.evaluation import measure_catalogue
    from softcam.evaluation.costs import COSTLY, DESTROYED, FINDINGS, RARE
    from softcam.evaluation.truth import DRAWS

    options = asked.options
    catalogue = measure_catalogue(options.get("protocol", "corrected"))
    names = options.get("metrics") or list(catalogue)
    measures = [each for name in names for each in catalogue[name]]
    kinds = {each.kind for each in measures}
    test = counts["test"]
    located = DISEASED * test
    shown = test if "labelled" in kinds else located if "map" in kinds else 0
    occluded, twinned = _limits(options, located)
    asked_sources = _sources(asked, int(timing.features))
    passes = float(test)
    sources = 0
    for forwards, gauges in asked_sources:
        costly = forwards > COSTLY
        passes += forwards * (min(shown, FINDINGS) if costly else shown)
        sources += gauges
        if "sanity" in kinds and forwards <= RARE:
            images = min(DESTROYED, occluded) if costly else occluded
            passes += forwards * images * DRAWS * STAGES_REDRAWN
    crossed = sources * (asked.networks if options.get("occlude") == "all" else 1)
    passes += _occlusion(measures, options, occluded, crossed + 2)
    drawing = 0.0
    if "twin" in kinds and asked_sources:
        passes += twinned * (PARTS + 1)
        drawing = twinned * PARTS * TWIN
    maps = sources * located if "map" in kinds else 0
    return passes * timing.forward + maps * timing.measured + drawing + ROWS


def _limits(options: Mapping[str, Any], located: float) -> tuple[float, float]:
    """Images that are occluded, and images with twins."""
    limit = options.get("limit") or located
    return min(limit, located), min(options.get("twin_limit") or limit, located)


def _occlusion(
    measures: list[Measure], options: Mapping[str, Any], occluded: float, sources: int
) -> float:
    reads = {each.reads for each in measures if each.kind == "occlusion"}
    points = CURVE * len(reads & {"deletion", "insertion"}) + ("masked" in reads)
    return occluded * sources * points * len(options.get("fills", ("mean-colour",)))


def _sources(asked: Asked, features: int) -> list[tuple[int, int]]:
    """For each method of a network its passes an image, and its maps (one a gauge)."""
    from softcam.evaluation import USUAL
    from softcam.explainers import get_explainer

    allowed = {"nothing", "evidence"}  # of a black box: of its converted twin
    if asked.arm in asked.options.get("post_hoc", ("black-box",)):
        allowed |= {"features", "images"}
    found = []
    for name in asked.options.get("methods") or USUAL:
        method = get_explainer(name)
        if method.needs in allowed:
            forwards = features + 1 if method.forwards == "channels" else int(method.forwards)
            free = method.gauges in (("-",), ("raw",))
            gradient = GRADIENT if method.needs == "features" and forwards == 1 else 1
            found.append((forwards * gradient, 1 if free else 2))
    return found
