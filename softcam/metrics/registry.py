"""What a measure is: a name, a direction, a unit, a source, a gauge, and one function.

A measure on maps takes a `MapBatch` and returns `Ratios`: one numerator and one denominator an
image and step. The value over images is sum(numerator) / sum(denominator), so means over images
(denominator 1) and pooled shares (patches of all images together) are treated alike, and
intervals come from one place. A denominator of 0 says: undefined for this image, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import Tensor

from softcam.common import SoftCAMError, choose
from softcam.metrics.records import MapBatch, Ratios

__all__ = ["MapBatch", "Measure", "Ratios", "get_measure", "measure", "measure_maps", "measures"]

Kind = Literal["map", "labelled", "occlusion", "classification", "twin", "sanity"]
Gauge = Literal["invariant", "order", "shift", "zero"]
Reads = Literal["-", "deletion", "insertion", "masked", "disease"]
Joint = Literal["-", "opponents", "classes"]
Protocol = Literal["corrected", "paper"]
Direction = Literal["higher", "lower", "one", "none"]


PIXELS = 2**22  # image pixels measured at a time


@dataclass(frozen=True)
class Measure:
    """One measure and what a table must say about it.

    Attributes:
        name: as in `results.csv`, `pointing-accuracy`.
        title: for people.
        direction: which way is better; `one` where the value should be 1, `none` where it
            has no merit of its own.
        unit: `share`, `logit`, ...
        source: where the definition comes from.
        kind: what `function` takes: `map` a `MapBatch`; `labelled` a `LabelledMaps`, the maps of
            a whole split; `occlusion` an `OcclusionScores`, what a model said of occluded
            images; `twin` the evidence on each part and the true change of the logit without
            it; `sanity` the agreement of two maps; `classification` labels, logits and the link.
        gauge: `invariant`: one map added to the maps of all classes changes nothing. `order`:
            only the order of the values at image size counts, so one constant added to every
            map changes nothing. `shift`: a constant added changes nothing, the distances between
            the values count. `zero`: where the zero lies counts too. On the contrast of two
            classes every measure is invariant.
        steps: the values of k or the curve positions; None for a single number.
        threshold: for tables, `-` where there is none.
        interpolation: how the map is brought to the image; `-` where it is not.
        protocol: `corrected`, or `paper` with the quirks of the public code.
        joint: why images cannot be drawn or swapped one by one: `opponents` where those of
            several values are the same images, `classes` where the value is a mean of class
            means; `-` where they can. Such a measure is not tested pairwise.
        weighted: whether `function` also takes the keyword `weights` (R, n), how often each row is
            in each of R draws, and then returns (R,): see `bootstrap_statistic`.
        reads: for kind `occlusion` which images the model was shown; for kind `labelled`
            `disease` where all maps are of one diseased class, the keyword `target`; else `-`.
        function: the measure itself.
    """

    name: str
    title: str
    direction: Direction
    unit: str
    source: str
    kind: Kind
    gauge: Gauge
    steps: tuple[int, ...] | None
    threshold: str
    interpolation: str
    protocol: Protocol
    reads: Reads
    joint: Joint
    weighted: bool
    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


F = TypeVar("F", bound=Callable[..., Any])

_MEASURES: dict[tuple[str, Protocol], Measure] = {}


def measure(
    *,
    name: str,
    title: str,
    direction: Direction,
    source: str,
    unit: str = "share",
    kind: Kind = "map",
    gauge: Gauge = "zero",
    steps: Iterable[int] | None = None,
    threshold: str = "-",
    interpolation: str = "-",
    protocol: Protocol = "corrected",
    reads: Reads = "-",
    joint: Joint = "-",
    weighted: bool = False,
) -> Callable[[F], F]:
    """Enter a function into the list of measures; the function itself is left as it is.

    Raises:
        SoftCAMError: the name is taken in this protocol.
    """

    def enter(function: F) -> F:
        if (name, protocol) in _MEASURES:
            raise SoftCAMError(f"there is a measure {name!r} ({protocol}) already: choose a name.")
        _MEASURES[name, protocol] = Measure(
            name, title, direction, unit, source, kind, gauge,
            None if steps is None else tuple(steps), threshold, interpolation, protocol, reads,
            joint, weighted, function,
        )  # fmt: skip
        return function

    return enter


def get_measure(name: str, protocol: Protocol = "corrected") -> Measure:
    """The measure of that name; an unknown one is an error with the closest names."""
    choose("protocol", protocol, ("corrected", "paper"))
    known = [each for each, itself in _MEASURES if itself == protocol]
    return _MEASURES[choose("measure", name, known), protocol]


def measures(kind: Kind | None = None, protocol: Protocol = "corrected") -> tuple[Measure, ...]:
    """All measures of a protocol, or those of one kind, in the order they were entered."""
    return tuple(
        each
        for each in _MEASURES.values()
        if each.protocol == protocol and kind in (None, each.kind)
    )


def measure_maps(
    maps: Tensor,
    findings: Tensor,
    names: Iterable[str] | None = None,
    *,
    protocol: Protocol = "corrected",
    predicted: Tensor | None = None,
    chunk: int | None = None,
) -> dict[str, Ratios]:
    """Several measures on many maps, each map brought to image size once.

    Args:
        maps: (N, h, w), raw and signed.
        findings: (N, H, W) bool.
        names: which measures on maps; None takes all of them.
        protocol: `corrected` or `paper`.
        predicted: (N,) bool, whether the explained class is the prediction; None leaves the
            measures out that are over such images alone.
        chunk: images at a time; None takes about four million pixels, which bounds the memory.
    """
    if chunk is None:
        chunk = max(1, PIXELS // max(1, findings[:1].numel()))
    if names is None:
        known = measures("map", protocol)
        names = [m.name for m in known if predicted is not None or not m.name.endswith("-tp")]
    chosen = [get_measure(name, protocol) for name in names]
    for each in chosen:
        if each.kind != "map":
            raise SoftCAMError(
                f"{each.name!r} is no measure on maps alone, its kind is {each.kind!r}: evaluate() "
                "gives it what it takes."
            )
    if predicted is None and any(each.name.endswith("-tp") for each in chosen):
        raise SoftCAMError(
            "a measure over correctly predicted images needs to know them: give `predicted`."
        )
    parts: dict[str, list[Ratios]] = {each.name: [] for each in chosen}
    for start in range(0, max(len(maps), len(findings)), chunk):
        rows = slice(start, start + chunk)
        batch = MapBatch(maps[rows], findings[rows], None if predicted is None else predicted[rows])
        for each in chosen:
            parts[each.name].append(each(batch))
    return {name: Ratios.concatenate(each) for name, each in parts.items()}
