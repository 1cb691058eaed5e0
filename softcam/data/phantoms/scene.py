"""A scene is a phantom before its pixels: label, anatomy, lesions, look-alikes, marker.

Every part is drawn from a generator of its own, so taking one part out (`Scene.without`) leaves
the others, noise included, exactly as they were: the twin of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from softcam.common import DataError, choose, rng
from softcam.data.phantoms.options import LESIONS, MODALITIES, PhantomOptions

__all__ = ["Marker", "Phantom", "Scene", "Thing", "stream", "uniform"]

# One number a stream: new streams are appended, never inserted.
STREAMS = (
    "label",
    "label noise",
    "anatomy",
    "lesions",
    "lookalikes",
    "marker",
    "tissue",
    "vessels",
    "grain",
    "thing",
)


@dataclass(frozen=True)
class Thing:
    """A lesion or a look-alike: what it is, its parameters (lengths in image sides), its number.

    The number seeds its texture, so it looks the same whichever other things are there.
    """

    kind: str
    number: int
    parameters: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        return self.parameters[name]


@dataclass(frozen=True)
class Marker:
    """A burnt-in token: letters, the top-left corner and the height in image sides, brightness."""

    text: str
    x: float
    y: float
    height: float
    value: float


@dataclass(frozen=True)
class Phantom:
    """Pixels and truth: `image` (H, W) or (H, W, 3) uint8, `masks` name -> (H, W) bool."""

    image: np.ndarray
    masks: dict[str, np.ndarray]


@dataclass(frozen=True)
class Scene:
    """Everything item `index` of a set shows; `render` makes the pixels.

    Attributes:
        label: the recorded label. A twin keeps the label of its original.
        true_label: the label before label noise.
        anatomy: shape parameters by name, lengths in image sides.
        lesions: what makes the class; for a counter-case the one sign.
        lookalikes: harmless things, drawn in the same way in all classes.
        marker: the burnt-in token, or None.
    """

    options: PhantomOptions
    index: int
    label: int
    true_label: int
    anatomy: Mapping[str, float]
    lesions: tuple[Thing, ...]
    lookalikes: tuple[Thing, ...]
    marker: Marker | None

    def without(self, what: str | int) -> Scene:
        """The twin: this scene with one part taken out and all else identical to the pixel.

        Args:
            what: `marker`, `lesions` (all of them), a lesion type, or the index of one lesion.

        Raises:
            UnknownNameError: no such part or lesion type in this modality.
            DataError: no lesion of that index.
        """
        if isinstance(what, (int, np.integer)):
            if not 0 <= what < len(self.lesions):
                raise DataError(
                    f"no lesion {what}: scene {self.index} has {len(self.lesions)} lesions, "
                    "counted from 0."
                )
            kept = tuple(lesion for i, lesion in enumerate(self.lesions) if i != what)
            return replace(self, lesions=kept)
        choose("part", what, ("marker", "lesions", *LESIONS[self.options.modality]))
        if what == "marker":
            return replace(self, marker=None)
        kept = tuple(item for item in self.lesions if what not in ("lesions", item.kind))
        return replace(self, lesions=kept)

    def stream(self, name: str, number: int = 0) -> np.random.Generator:
        """The generator of one part of this scene (see `STREAMS`)."""
        return stream(self.options, self.index, name, number)

    def lesions_of(self, kind: str) -> tuple[Thing, ...]:
        """The lesions of one type."""
        return tuple(lesion for lesion in self.lesions if lesion.kind == kind)


def stream(options: PhantomOptions, index: int, name: str, number: int = 0) -> np.random.Generator:
    """The generator of one part of item `index`: it depends on nothing else that is drawn."""
    return rng(options.seed, index, STREAMS.index(name), number, MODALITIES.index(options.modality))


def uniform(
    generator: np.random.Generator, ranges: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """One uniform draw for each named range, in order."""
    draws = generator.random(len(ranges))
    return {
        name: low + (high - low) * float(u)
        for (name, (low, high)), u in zip(ranges.items(), draws, strict=True)
    }
