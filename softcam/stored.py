"""The folder of a run read back: fields that are what they should be, and why it is no run.

config.json can be whole JSON and still not be what training wrote: edited by hand, or by a
version with other fields. What cannot be used is named where it is read, not deep inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from softcam.common import SoftCAMError, as_number, damaged

__all__ = [
    "changed_data", "config_values", "no_finished_run", "normalisation", "put_weights",
    "read_field", "text", "unfinished_runs", "weight", "words",
]  # fmt: skip

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
_WORDS = ("data", "model", "arm")  # without these the defaults would speak for another run
_NUMBERS = ("size", "seed")


def read_field(folder: Path, record: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> T:
    """One field of config.json, as what it stands for.

    Args:
        folder: of the run.
        record: what its config.json holds.
        name: of the field.
        read: makes of the JSON value what it stands for; it may raise what it likes.

    Raises:
        SoftCAMError: the field is not there, or `read` cannot use it.
    """
    file = folder / "config.json"
    if name not in record:
        raise damaged(file, f"it has no {name!r}")
    try:
        return read(record[name])
    except (SoftCAMError, TypeError, ValueError, KeyError) as error:
        raise damaged(file, f"{name!r}: {error}") from error


def text(value: Any) -> str:
    """A word that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"expected a word, found {value!r}")
    return value


def words(value: Any) -> tuple[str, ...]:
    """A list of words, such as the names of the classes."""
    if not isinstance(value, list) or not value:
        raise TypeError(f"expected a list of words, found {value!r}")
    return tuple(text(each) for each in value)


def weight(value: Any) -> float:
    """A penalty weight: a finite number, 0 or more."""
    return as_number("the weight", value)


def normalisation(value: Any) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """(means, stds) of the three colours, or None for the identity."""
    if value is None:
        return None
    mean, std = (tuple(float(each) for each in part) for part in value)
    if len(mean) != 3 or len(std) != 3:
        raise ValueError(f"expected three means and three stds, found {value!r}")
    return mean, std


def config_values(value: Any) -> dict[str, Any]:
    """The options of a training, with all that says which run it is."""
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {value!r}")
    missing = [name for name in (*_WORDS, *_NUMBERS) if name not in value]
    if missing:
        raise ValueError(f"it has no {', '.join(missing)}")
    for name in _WORDS:
        text(value[name])
    if not isinstance(value.get("data_options", {}), dict):
        raise TypeError(f"expected an object as data_options, found {value['data_options']!r}")
    return value


def put_weights(model: nn.Module, file: Path) -> None:
    """Load a weights file of a run into the network that its configuration describes.

    Raises:
        SoftCAMError: the file cannot be read, or is that of another network.
    """
    from softcam.backbones import read_weights

    try:
        model.load_state_dict(read_weights(file))
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise SoftCAMError(
            f"{file} does not fit the configuration beside it ({last}): "
            "one of the two was changed; delete the run and train it again."
        ) from error


def changed_data(data: str, run: str, found: str, expected: str) -> SoftCAMError:
    """The error about data whose fingerprint is no longer that of the run."""
    return SoftCAMError(
        f"the data of {data} are not those of run {run}: fingerprint {found[:12]}, expected "
        f"{expected[:12]}. Restore the data, or train again."
    )


def unfinished_runs(folder: Path) -> list[str]:
    """The names of the runs in the folder of a data set that have begun and not ended."""
    begun = [path.parent for path in sorted(folder.glob("*/config.json"))]
    return [path.name for path in begun if not (path / "done.json").is_file()]


def no_finished_run(folder: Path) -> SoftCAMError:
    """The error about a folder without done.json: what it is instead, and what to do."""
    again = "run the same `softcam train` command again, it goes on where it stopped."
    if (folder / "config.json").is_file():
        return SoftCAMError(f"{folder} is not a finished run (no done.json): {again}")
    name = folder.resolve().name
    if any(folder.glob("*/done.json")):
        return SoftCAMError(
            f"{folder} is the folder of a data set, not of a run: name one of its runs. All of "
            f"them are `softcam evaluate {name}` as a command, find_runs({name!r}) in Python."
        )
    half = unfinished_runs(folder)
    if half:
        return SoftCAMError(f"{folder} has no finished run, only {', '.join(half)}: {again}")
    return SoftCAMError(
        f"{folder} is not a run (no config.json): expected a folder that `softcam train` made, "
        "DATASET/MODEL-ARM-sSEED-HASH8. Leave it out; `softcam evaluate DATASET` takes all "
        "finished runs of a data set."
    )
