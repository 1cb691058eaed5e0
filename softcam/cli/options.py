"""From words on the command line to the keywords behind them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softcam.common import SoftCAMError

if TYPE_CHECKING:
    from softcam.runs import TrainConfig

__all__ = [
    "Data",
    "DataOption",
    "FindingClasses",
    "LabelColumn",
    "OnError",
    "Progress",
    "Resume",
    "data_options",
    "parse_normalize",
    "parse_options",
    "parse_targets",
    "train_config",
]

Data = Annotated[
    str,
    typer.Argument(
        help="phantoms:cxr|oct|fundus, folder:PATH, rsna:PATH ...; "
        "'softcam data list' explains them all"
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data-option",
        help="KEY=VALUE, a keyword of the data source, such as n_train=200 or task=four; "
        "may be repeated",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="folder: the column of labels.csv to learn (default label); or several, comma "
        "separated, each a finding that an image shows or not"
    ),
]
FindingClasses = Annotated[
    str | None,
    typer.Option(
        help="folder: which classes of boxes or masks count as a finding, comma separated; "
        "needed where there are several"
    ),
]
OnError = Annotated[
    str | None,
    typer.Option(
        help="an image or row that cannot be used: stop with a message, or skip and count it "
        "(default stop)"
    ),
]

Progress = Annotated[bool, typer.Option(help="bars on the terminal")]
Resume = Annotated[bool, typer.Option(help="go on where an earlier call was stopped")]

# Options of `softcam train` that are no fields of TrainConfig, or need reading first.
_NOT_TRAINING = (
    "profile", "data", "arm", "label_column", "finding_classes", "on_error", "data_option",
    "resume", "progress", "export", "normalize",
)  # fmt: skip


def parse_options(words: list[str] | None) -> dict[str, Any]:
    """`KEY=VALUE` words as keywords; a value is read as JSON where it is JSON, else as text."""
    options: dict[str, Any] = {}
    for word in words or []:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise SoftCAMError(f"expected KEY=VALUE, found {word!r}.")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def data_options(
    words: list[str] | None,
    label_column: str | None,
    finding_classes: str | None,
    on_error: str | None,
) -> dict[str, Any]:
    """Keywords of a data source: `KEY=VALUE` words, then the options with a name of their own."""
    options = parse_options(words)
    named = {
        "label_column": _several(label_column),
        "finding_classes": finding_classes.split(",") if finding_classes else None,
        "on_error": on_error,
    }
    return {**options, **{key: value for key, value in named.items() if value is not None}}


def parse_targets(text: str) -> list[int] | None:
    """`1` or `0,2` as class numbers; `auto` is None."""
    if text.strip() == "auto":
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise SoftCAMError(
            f"--target wants numbers of classes such as 1 or 0,2, or auto; found {text!r}."
        ) from None


def _several(word: str | None) -> str | list[str] | None:
    """`a` as it is, `a,b` as a list."""
    return word.split(",") if word and "," in word else word


def train_config(given: dict[str, Any]) -> TrainConfig:
    """TrainConfig from the command line: a profile's values first, then what was said."""
    from softcam.profiles import load_profile
    from softcam.runs import TrainConfig

    said = {k: v for k, v in given.items() if k not in _NOT_TRAINING and v is not None}
    if given["normalize"]:
        said["normalize"] = parse_normalize(given["normalize"])
    options = data_options(
        given["data_option"], given["label_column"], given["finding_classes"], given["on_error"]
    )
    if given["profile"] is None:
        return TrainConfig.from_dict(
            {"data": given["data"], "arm": given["arm"], "data_options": options, **said}
        )
    profile = load_profile(given["profile"])
    return profile.config(given["arm"], data=given["data"], data_options=options, **said)


def parse_normalize(text: str) -> list[list[float]]:
    """'0.5,0.5,0.5/0.5,0.5,0.5' as [means, stds] on [0, 1]."""
    try:
        parts = [[float(number) for number in part.split(",")] for part in text.split("/")]
        if [len(part) for part in parts] != [3, 3]:
            raise ValueError
    except ValueError:
        raise SoftCAMError(
            "--normalize wants three means and three stds, "
            f"'0.5,0.5,0.5/0.5,0.5,0.5', found {text!r}."
        ) from None
    return parts
