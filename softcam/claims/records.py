"""What a claim is: endpoint, sides, smallest effect of interest, and how it is tested."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from softcam.common import SoftCAMError, choose

__all__ = ["ALTERNATIVES", "POST_HOC", "TESTS", "Alternative", "Claim", "Endpoint", "Side",
           "study_claim"]  # fmt: skip

Alternative = Literal["better", "not worse", "equal"]
ALTERNATIVES: tuple[Alternative, ...] = ("better", "not worse", "equal")
POST_HOC = "post-hoc"  # every method of the results that explains a finished network
# How each is shown: by swapping images, or by where the interval lies.
TESTS: dict[str, str] = {
    "better": "paired permutation", "not worse": "interval", "equal": "interval",
}  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    """One number an image, or a statistic of all images.

    Attributes:
        metric: name of a measure with a direction.
        protocol: `corrected` or `paper`.
        gauge: `contrast` where the method has it, else as it is; or `raw`.
        fill: what hides a tile, for measures under occlusion; `-` for all others.
        step: of measures with steps, `10`; `-` for all others.
        occluded: `own`: each map hides tiles from its own network; or the arm whose network of
            the same seed is occluded for both sides.
    """

    metric: str
    protocol: str = "corrected"
    gauge: str = "contrast"
    fill: str = "-"
    step: str = "-"
    occluded: str = "own"


@dataclass(frozen=True)
class Side:
    """Whose maps, or whose predictions: an arm, and methods (`-` for the model itself).

    Or a number of `figures/paper_numbers.csv`, by its id.
    """

    arm: str = "-"
    methods: tuple[str, ...] = ("-",)
    number: str = ""

    def __str__(self) -> str:
        if self.number:
            return f"the number {self.number}"
        return " / ".join(f"{self.arm}: {m}" if m != "-" else self.arm for m in self.methods)


@dataclass(frozen=True)
class Claim:
    """A hypothesis that a table of results can decide.

    Attributes:
        id: its file is `ID.toml`.
        hypothesis: one sentence, about side a.
        paper_says: what the paper says of it and where that is known from; `-` for our own.
        datasets: names of data sets, `*` allowed; `-` in a study's question takes all.
        endpoint: what is compared.
        a: whose map, or model, the claim is about.
        b: the rivals; the claim must be true of each.
        smallest_effect: the smallest difference of interest, > 0, in the endpoint's unit.
        alternative: `better`, `not worse` or `equal`, of a.
        alpha: the chance of a false answer, over all rivals.
        committed: when it was written down.
        model: the architecture on both sides; `-` takes each.
        task: `binary`, `multi-class`, `multi-label`, or `-` for each.
    """

    id: str
    hypothesis: str
    paper_says: str
    datasets: tuple[str, ...]
    endpoint: Endpoint
    a: Side
    b: Sequence[Side]
    smallest_effect: float
    alternative: Alternative = "better"
    alpha: float = 0.05
    committed: datetime.date = field(default_factory=datetime.date.today)
    model: str = "-"
    task: str = "-"

    def __post_init__(self) -> None:
        if not self.smallest_effect > 0:
            raise SoftCAMError(
                f"the smallest effect of interest must be > 0, found {self.smallest_effect}."
            )
        choose("alternative", self.alternative, ALTERNATIVES)

    @property
    def test(self) -> str:
        """How the alternative is shown."""
        return TESTS[self.alternative]

    def asks(self, dataset: str) -> bool:
        """Whether it is about this data set."""
        return any(pattern == "-" or fnmatchcase(dataset, pattern) for pattern in self.datasets)


def study_claim(
    metric: str,
    effect: float,
    arm: str = "sparse",
    against: str = "black-box",
    model: str | None = None,
) -> Claim:
    """The one question of a study: does an arm's own map beat each post-hoc map?

    Args:
        metric: primary endpoint, a measure on maps with a value an image and a direction.
        effect: the smallest difference of interest, > 0, in the endpoint's unit.
        arm: whose own map (`softcam`) is a.
        against: the arm whose network the post-hoc methods explain.
        model: the architecture on both sides; None allows one only.

    Raises:
        SoftCAMError: no positive effect.
    """
    return Claim(
        id="study",
        hypothesis=f"The map of the arm {arm} beats each post-hoc map of the {against}.",
        paper_says="-",
        datasets=("-",),
        endpoint=Endpoint(metric),
        a=Side(arm, ("softcam",)),
        b=(Side(against, (POST_HOC,)),),
        smallest_effect=effect,
        model=model or "-",
    )
