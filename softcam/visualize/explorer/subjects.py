"""The networks that an explorer compares: what each is called, its classes and its lambda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError
from softcam.data import ImageSet
from softcam.evidence import SoftCAM
from softcam.runs import Run, TrainConfig
from softcam.wrappers import BlackBox

__all__ = ["Source", "Subject", "data_of", "has_slider", "open_source", "open_subjects"]

Model = SoftCAM | BlackBox


@dataclass(frozen=True)
class Subject:
    """A network in eval mode.

    Attributes:
        model: `SoftCAM`, or `BlackBox`, which has no evidence maps.
        name: how the explorer calls it.
        classes: the C class names; empty where they are not known.
        size: side of the images it was trained with, in pixels; None where it is not known.
        l1, l2: lambda1 and lambda2 per cell; None where they are not known.
    """

    model: Model
    name: str
    classes: tuple[str, ...] = ()
    size: int | None = None
    l1: float | None = None
    l2: float | None = None

    @property
    def label(self) -> str:
        """Its name, with its lambdas where they are known."""
        known = [(name, each) for name, each in (("lambda1", self.l1), ("lambda2", self.l2))]
        words = [f"{name} {each:g}" for name, each in known if each is not None]
        if self.l1 is not None and self.l2 == 0:
            words.pop()
        return f"{self.name} ({', '.join(words)})" if words else self.name

    @classmethod
    def of(cls, source: Source) -> Subject:
        """A run or a shipped checkpoint."""
        config = source.config
        lambdas = config.l1_per_cell, config.l2_per_cell
        return cls(source.model, source.name, source.classes, config.size, *lambdas)


@dataclass(frozen=True)
class Source:
    """A run directory or a shipped checkpoint: its configuration, classes and network."""

    name: str
    config: TrainConfig
    classes: tuple[str, ...]
    model: Model


def open_source(name: str | Path | Run) -> Source:
    """A run (its directory, also below `runs/`) or a shipped checkpoint; a black box stays one.

    Raises:
        SoftCAMError: there is neither, or it cannot be used.
    """
    from softcam.checkpoints import load_checkpoint, read_record
    from softcam.common import runs_root

    if isinstance(name, Run) or Path(name).is_dir() or (runs_root() / name).is_dir():
        run = name if isinstance(name, Run) else Run.open(name)
        return Source(run.id, run.config, run.classes, run.model())
    record, model = read_record(name), load_checkpoint(name)
    config = TrainConfig.from_dict({**record["config"], "weights": None})
    return Source(Path(name).stem, config, tuple(record["classes"]), model)


def open_subjects(models: Any) -> list[Subject]:
    """The subjects that `explore` is given, in the order of the slider.

    Args:
        models: a network, a `Run`, the name of a run or of a shipped checkpoint, a `Subject`; a
            list of such; or a mapping from a name, or from lambda1 per cell, to each.

    Raises:
        SoftCAMError: something else, no network, or networks for other classes or other sizes.
    """
    if isinstance(models, Mapping):
        found = [_named(key, each) for key, each in models.items()]
    else:
        several = isinstance(models, Sequence) and not isinstance(models, str)
        found = [_subject(each) for each in (models if several else [models])]
    if not found:
        raise SoftCAMError("no network to explore: expected one or more.")
    first = found[0]
    for each in found:
        if (each.classes, each.size) != (first.classes, first.size):
            raise SoftCAMError(
                f"{each.name} has classes {each.classes} at {each.size} px, {first.name} "
                f"{first.classes} at {first.size} px: one explorer shows networks for the same "
                "images and classes."
            )
    if has_slider(found):
        found.sort(key=lambda each: (each.l1, each.l2))
    return found


def has_slider(subjects: Sequence[Subject]) -> bool:
    """Whether the subjects differ in their known lambdas, and so have an order."""
    lambdas = {(each.l1, each.l2) for each in subjects}
    known = all(each.l1 is not None and each.l2 is not None for each in subjects)
    return known and len(subjects) > 1 and len(lambdas) == len(subjects)


def data_of(
    config: TrainConfig,
    split: str,
    *,
    data: str | None = None,
    options: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> ImageSet:
    """The data that a network was trained for, at its size.

    Args:
        config: of the training.
        split: `train`, `val` or `test`.
        data: other data, as in `open_data`.
        options: keywords of the data source, over those of the training.
        progress: show a bar while the data are prepared.
    """
    from softcam.data import open_data

    spec = data or config.data
    own = config.data_options if spec == config.data else {}
    return open_data(spec, config.size, progress=progress, **{**own, **(options or {})})[split]


def _named(key: Any, given: Any) -> Subject:
    from dataclasses import replace

    subject = _subject(given)
    if isinstance(key, (int, float)) and not isinstance(key, bool):
        return replace(subject, name=type(subject.model).__name__, l1=float(key), l2=0.0)
    return replace(subject, name=str(key))


def _subject(given: Any) -> Subject:
    if isinstance(given, Subject):
        return given
    if isinstance(given, (SoftCAM, BlackBox)):
        return Subject(given.eval(), type(given).__name__)
    if isinstance(given, (str, Path, Run)):
        return Subject.of(open_source(given))
    raise SoftCAMError(
        f"a {type(given).__name__} cannot be explored: expected a SoftCAM or BlackBox (wrap a bare "
        "network with to_softcam), a run, or the name of a shipped checkpoint."
    )
