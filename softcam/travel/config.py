"""config.json of a saved model: what it holds, and how each field is checked when it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from softcam import stored
from softcam.common import SoftCAMError, __version__, as_integer, as_number, choose, read_json
from softcam.evidence import Conversion, SoftCAM
from softcam.travel.recipe import Architecture, head_width_of, parse_architecture
from softcam.travel.sample import Sample, sample_of
from softcam.travel.weights import refuse_pickles
from softcam.wrappers import Link, Normalize

__all__ = ["CONFIG", "Config", "config_of", "read_config"]

CONFIG = "config.json"
FORMAT = 1
T = TypeVar("T")


@dataclass(frozen=True)
class Config:
    """What config.json says, field by field of the same name.

    Attributes:
        num_classes: C.
        head_width: of the paper's VGG head; None for another head.
        architecture: how the network is built; None for one of the user's own.
        normalize: on RGB in [0, 1].
        link: `softmax` or `sigmoid`.
        conversion: what `to_softcam` did, or None.
        class_names: what the logits stand for, or None.
        image_size: (height, width) in pixels that the model is meant for, or None for any.
        sample: what the model said of one image, or None.
        sha256: of the weights.
    """

    num_classes: int
    head_width: int | None
    architecture: Architecture | None
    normalize: Normalize
    link: Link
    conversion: Conversion | None
    class_names: tuple[str, ...] | None
    image_size: tuple[int, int] | None
    sample: Sample | None
    sha256: str


def read_config(folder: Path) -> Config:
    """Read config.json, every field checked.

    Raises:
        SoftCAMError: it is missing, of another origin or version, or a field is not what it
            should be.
    """
    record = _record(folder)

    def read(name: str, how: Callable[[Any], T]) -> T:
        return stored.read_field(folder, record, name, how)

    classes = read("num_classes", lambda v: as_integer("num_classes", v, 1, 10**7))
    link = cast(Link, read("link", lambda v: choose("link", v, ("softmax", "sigmoid"))))
    return Config(
        classes,
        read("head_width", _optional(lambda v: as_integer("head_width", v, 1, 10**7))),
        read("architecture", _optional(parse_architecture)),
        read("normalize", _normalize),
        link,
        read("conversion", _optional(_conversion)),
        read("class_names", _optional(lambda v: _named_classes(v, classes, link))),
        read("image_size", _optional(_size)),
        read("sample", Sample.parse),
        read("sha256", stored.text),
    )


def config_of(
    model: SoftCAM, names: Sequence[str] | None, size: int | tuple[int, int] | None
) -> dict[str, Any]:
    """What config.json holds of a model, but for its architecture and its weights' digest.

    Args:
        model: a SoftCAM.
        names: of the classes; None takes the model's.
        size: of its images in pixels; None takes the model's.

    Raises:
        SoftCAMError: names or a size that cannot be.
    """
    classes = model.get_classifier().out_channels
    names = model.class_names if names is None else names
    if names is not None:
        spelled = names if isinstance(names, str) else list(map(str, names))
        names = _named_classes(spelled, classes, model.link)
    size = (size, size) if isinstance(size, int) else size or model.image_size
    sample = sample_of(model)
    return {
        "softcam_format": FORMAT,
        "softcam_version": __version__,
        "library_name": "softcam",
        "num_classes": classes,
        "class_names": None if names is None else list(names),
        "image_size": None if size is None else list(_size(size)),
        "normalize": model.normalize.values(),
        "link": model.link,
        "conversion": asdict(model.conversion) if model.conversion else None,
        "head_width": head_width_of(model),
        "sample": sample.plain() if sample else None,
    }


def _record(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    if not file.is_file():
        for other in sorted(folder.iterdir()):
            refuse_pickles(other)
        raise SoftCAMError(f"{folder} has no {CONFIG}: it is no folder of save_pretrained.")
    record = read_json(file)
    version = record.get("softcam_format")
    if version is None:
        raise SoftCAMError(f"{file} says no 'softcam_format': it is not of save_pretrained.")
    if version != FORMAT:
        raise SoftCAMError(
            f"{file} has format {version!r} (softcam {record.get('softcam_version')}), this "
            f"softcam {__version__} reads format {FORMAT}: install the version that wrote it."
        )
    return record


def _optional(read: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None else read(value)


def _normalize(value: Any) -> Normalize:
    mean, std = stored.normalisation(value) or ((), ())
    if not all(map(math.isfinite, (*mean, *std))):
        raise ValueError(f"expected finite numbers, found {value!r}")
    return Normalize(mean, std) if mean else Normalize()


def _conversion(value: Any) -> Conversion:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, found {value!r}")
    known = {each.name for each in fields(Conversion)}
    values: dict[str, Any] = {key: each for key, each in value.items() if key in known}
    choose("kind", values["kind"], ("exact", "pointwise", "paper"))
    as_integer("reduction", values["reduction"], 0, 10**5)
    far = values["max_logit_difference"]
    values["max_logit_difference"] = None if far is None else as_number("the difference", far)
    values["notes"] = stored.words(values["notes"]) if values["notes"] else ()
    return Conversion(**values)


def _named_classes(value: Any, classes: int, link: str) -> tuple[str, ...]:
    """One word a logit; one sigmoid logit may have two, for no and yes."""
    expected = {classes, 2} if classes == 1 and link == "sigmoid" else {classes}
    if not isinstance(value, list) or len(value) not in expected:
        raise SoftCAMError(f"the model has {classes} logits, found the class names {value!r}.")
    return stored.words(value)


def _size(value: Any) -> tuple[int, int]:
    height, width = (as_integer("the image size", each, 1, 10**6) for each in value)
    return height, width
