"""Maps from files: measured like any other, and ranked on the runs' models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import SoftCAMError
from softcam.data.records import ImageSet
from softcam.evaluation.classify import add_classification, predicted_targets
from softcam.evaluation.localise import add_localisation
from softcam.evaluation.maps import Source, outside_sources
from softcam.evaluation.question import Question
from softcam.evaluation.recorder import Recorder
from softcam.evaluation.subjects import task_of
from softcam.explainers import explainers
from softcam.metrics import Measure
from softcam.outside import OutsideMaps, read_maps

__all__ = ["examine_outside", "open_outside", "outside_keys"]

REFERENCES = ("true-mask", "chance", "reference-ceiling")  # rows of ours that are no explainers


def open_outside(
    files: Sequence[Path], sets: Iterable[ImageSet], runs: Iterable[str]
) -> tuple[ImageSet | None, list[OutsideMaps]]:
    """Read and check every file before anything is computed.

    Args:
        files: `maps.npz`.
        sets: the data of the runs, and those named for the maps.
        runs: names that are taken.

    Returns:
        The data that the maps belong to, None without files; and the maps.

    Raises:
        SoftCAMError: data that are not one set, a file that cannot be used, or a name that
            stands for something else in the table.
    """
    if not files:
        return None, []
    by_content = {(each.fingerprint, each.split): each for each in sets}
    if len(by_content) != 1:
        raise SoftCAMError(
            f"maps belong to one set of images, but the runs and data are of {len(by_content)} "
            f"({_told_apart(list(by_content.values()))}): make them alike, or evaluate them one "
            "at a time."
        )
    data = next(iter(by_content.values()))
    taken, found = {*explainers(), *REFERENCES, *runs}, list[OutsideMaps]()
    for file in files:
        maps = read_maps(file, data)
        if maps.name in taken:
            raise SoftCAMError(
                f"{file} would be called {maps.name!r}, which is the name of something else in "
                "the table: rename the file."
            )
        taken.add(maps.name)
        found.append(maps)
    return data, found


def _told_apart(sets: Sequence[ImageSet]) -> str:
    """Each set with what differs: name, size and number of images, or only what they show."""
    facts = [
        (f"{each.name}/{each.split}", f"{each.size[1]} x {each.size[0]} px", f"{len(each)} images",
         f"fingerprint {each.fingerprint[:12]}")
        for each in sets
    ]  # fmt: skip
    differ = [i for i in (1, 2) if len({each[i] for each in facts}) > 1]
    if len({(each[0], *(each[i] for i in differ)) for each in facts}) < len(facts):
        differ.append(3)
    return "; ".join(", ".join((each[0], *(each[i] for i in differ))) for each in facts)


def outside_keys(maps: OutsideMaps, data: ImageSet, profile: str) -> dict[str, Any]:
    """The columns that are the same in all rows of one file."""
    return {
        "run_id": maps.name, "dataset": data.name, "arm": "outside", "split": data.split,
        "task": task_of(data), "lambda1": 0.0, "lambda2": 0.0,
        "profile": profile, "finding": "+".join(data.finding_names) or "-",
    }  # fmt: skip


def examine_outside(
    recorder: Recorder,
    maps: OutsideMaps,
    keys: Mapping[str, Any],
    data: ImageSet,
    question: Question,
    measures: Sequence[Measure],
) -> list[Source]:
    """The rows of one file; returns its maps for the questions about occluded images."""
    own = np.flatnonzero(maps.has)
    classifying = [each for each in measures if each.kind == "classification"]
    add_classification(recorder, keys, data, own, maps.logits[own], maps.link, classifying)
    predicted = predicted_targets(np.nan_to_num(maps.logits), question.targets) & maps.has
    about_maps = [each for each in measures if each.kind in ("map", "labelled")]
    sources = outside_sources(maps, keys)
    for source in sources:
        add_localisation(recorder, source, data, question, about_maps, predicted)
    return sources
