"""What a set of phantoms is made of: modality, task, difficulty, shortcut and counter-cases.

The names of classes, lesions and anatomy live here; nothing here draws.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from softcam.common import DataError, choose

__all__ = [
    "ANATOMY",
    "CLASSES",
    "GENERATOR_VERSION",
    "LESIONS",
    "MODALITIES",
    "SIGNS",
    "Level",
    "PhantomOptions",
    "mask_names",
]

GENERATOR_VERSION = 1  # raised whenever a pixel or a mask of any scene changes

MODALITIES = ("cxr", "oct", "fundus")
TASKS = ("binary", "multi")
SIGNS = ("local", "diffuse", "relational")

CLASSES: dict[tuple[str, str], tuple[str, ...]] = {
    ("cxr", "binary"): ("normal", "opacity"),
    ("cxr", "multi"): ("normal", "opacity", "effusion"),
    ("oct", "binary"): ("normal", "drusen"),
    ("oct", "multi"): ("normal", "drusen", "dme", "cnv"),
    ("fundus", "binary"): ("healthy", "retinopathy"),
    ("fundus", "multi"): ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
}
SIGN_LESION: dict[tuple[str, str], str] = {
    ("cxr", "diffuse"): "interstitial",
    ("cxr", "relational"): "cardiomegaly",
    ("oct", "diffuse"): "granularity",
    ("oct", "relational"): "thinning",
    ("fundus", "diffuse"): "mottling",
    ("fundus", "relational"): "cupping",
}
LESIONS: dict[str, tuple[str, ...]] = {
    "cxr": ("opacity", "effusion", "interstitial", "cardiomegaly"),
    "oct": ("drusen", "cyst", "cnv", "granularity", "thinning"),
    "fundus": (
        "microaneurysm",
        "haemorrhage",
        "hard_exudate",
        "soft_exudate",
        "new_vessel",
        "mottling",
        "cupping",
    ),
}
ANATOMY: dict[str, tuple[str, ...]] = {
    "cxr": ("lungs", "heart", "ribs", "clavicles", "spine", "diaphragm"),
    "oct": ("vitreous", "inner_retina", "outer_retina", "rpe", "choroid", "fovea"),
    "fundus": ("field", "disc", "cup", "vessels", "macula"),
}


def mask_names(modality: str) -> tuple[str, ...]:
    """The masks of a modality, always in this order: lesions, anatomy, `lookalike`, `marker`."""
    choose("modality", modality, MODALITIES)
    return (*LESIONS[modality], *ANATOMY[modality], "lookalike", "marker")


@dataclass(frozen=True)
class Level:
    """A difficulty: factors on lesion contrast, lesion size and image noise."""

    contrast: float
    size: float
    noise: float


LEVELS: dict[str, dict[str, Level]] = {
    "cxr": {
        "easy": Level(1.1, 1.05, 0.8),
        "default": Level(0.7, 0.9, 1.1),
        "hard": Level(0.4, 0.8, 1.4),
    },
    "oct": {
        "easy": Level(1.5, 1.15, 0.7),
        "default": Level(1.0, 1.0, 1.0),
        "hard": Level(0.5, 0.8, 1.4),
    },
    "fundus": {
        "easy": Level(1.5, 1.15, 0.7),
        "default": Level(1.0, 1.0, 1.0),
        "hard": Level(0.5, 0.8, 1.4),
    },
}


def _fraction(name: str, value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0.0 <= float(value) <= 1.0:  # type: ignore[arg-type]
        raise DataError(f"{name} is {value!r}: expected a number from 0 to 1.")


def _count(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DataError(f"{name} is {value!r}: expected a whole number from {least} to {most}.")


@dataclass(frozen=True)
class PhantomOptions:
    """A set of phantoms, completely: the same options give the same pixels.

    Attributes:
        modality: `cxr` (chest X-ray), `oct` (retinal B-scan) or `fundus`.
        task: `binary` or `multi`; the class names are in `classes`.
        size: side of the square image in pixels, 32 to 1024.
        difficulty: `easy`, `default` or `hard`; the scenes are the same, the lesions are fainter
            and smaller and the noise is stronger.
        shortcut: strength s in [0, 1] of the tie between marker and label,
            P(marker) = (1 - s) * rate + s * [label > 0]. 0: independent; 1: exactly the diseased.
        marker: rate of the marker where the shortcut does not speak; True is 0.5, False never.
        sign: `local` lesions, or a counter-case: `diffuse` (everywhere, no place) or `relational`
            (a ratio of two structures). The counter-cases are binary.
        lookalikes: draw harmless look-alikes, equally in all classes.
        label_noise: P(the recorded label is another one than the true one).
        n_train, n_val, n_test: items per split.
        seed: the seed of the whole set.
    """

    modality: str
    task: str = "binary"
    size: int = 128
    difficulty: str = "default"
    shortcut: float = 0.0
    marker: bool | float = True
    sign: str = "local"
    lookalikes: bool = True
    label_noise: float = 0.0
    n_train: int = 1600
    n_val: int = 400
    n_test: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        choose("modality", self.modality, MODALITIES)
        choose("task", self.task, TASKS)
        choose("difficulty", self.difficulty, LEVELS[self.modality])
        choose("sign", self.sign, SIGNS)
        _fraction("shortcut", self.shortcut)
        _fraction("label_noise", self.label_noise)
        if not isinstance(self.marker, bool):
            _fraction("marker", self.marker)
        if not isinstance(self.lookalikes, bool):
            raise DataError(f"lookalikes is {self.lookalikes!r}: expected True or False.")
        _count("size", self.size, 32, 1024)
        for name in ("n_train", "n_val", "n_test"):
            _count(name, getattr(self, name), 1, 1_000_000)
        _count("seed", self.seed, 0, 2**32 - 1)
        if self.marker is False and self.shortcut > 0:
            raise DataError(
                f"shortcut is {self.shortcut} but marker is False: a shortcut needs a marker; "
                "use marker=True or shortcut=0."
            )
        if self.sign != "local" and self.task != "binary":
            raise DataError(
                f"sign is {self.sign!r} and task is {self.task!r}: the counter-cases are binary; "
                "use task='binary' or sign='local'."
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in label order."""
        if self.sign != "local":
            healthy = CLASSES[self.modality, "binary"][0]
            return healthy, SIGN_LESION[self.modality, self.sign]
        return CLASSES[self.modality, self.task]

    @property
    def level(self) -> Level:
        """The factors of the difficulty."""
        return LEVELS[self.modality][self.difficulty]

    @property
    def marker_rate(self) -> float:
        """P(marker) where the shortcut does not speak."""
        return (0.5 if self.marker else 0.0) if isinstance(self.marker, bool) else self.marker

    def key(self) -> dict[str, Any]:
        """Everything the pixels and labels follow from, as JSON-able values."""
        values = asdict(self)
        values["marker"] = False if self.marker is False else float(self.marker_rate)
        return {"generator": GENERATOR_VERSION, **values}

    def marker_probability(self, label: int) -> float:
        """P(marker | recorded label)."""
        if self.marker is False:
            return 0.0
        tied = (1.0 - self.shortcut) * self.marker_rate + self.shortcut * float(label > 0)
        return min(1.0, max(0.0, tied)) if math.isfinite(tied) else 0.0
