"""What a reproduction leaves to measure on: its tables, runs, networks and maps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError, runs_root
from softcam.evidence import SoftCAM
from softcam.metrics import MapBatch
from softcam.reproduce.claims import read_images, read_selection
from softcam.reproduce.numbers import chosen_rows
from softcam.reproduce.specification.maps import KeptMaps, kept_maps
from softcam.results import read_table
from softcam.runs import Run
from softcam.wrappers import BlackBox

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PUBLIC_SIDE", "Material", "Place"]

log = logging.getLogger(__name__)
PUBLIC_SIDE = 512  # px, where the public definitions exist
IMAGES = ("gini", "logit-size", "pixel-auprc", "accuracy", "audc-probability")


@dataclass(frozen=True)
class Place:
    """A data set and a network, with its chosen runs of the first seed, by arm."""

    dataset: str
    task: str
    model: str
    seed: int
    runs: dict[str, Run]

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"

    @property
    def name(self) -> str:
        task = "" if self.task == "binary" else f" {self.task}"
        return f"{self.dataset}{task}, {self.model}"


@dataclass
class Material:
    """A folder of a reproduction.

    Attributes:
        folder: with results.csv, per_image.parquet and, where weights were chosen, selection.csv.
        limit: how many images with a finding are read a data set.
        occluded: how many of them are occluded.
        batches: for the noise of a gradient.
        n_boot, seed: of intervals and choices.
        cache: read the maps from the runs' caches, and keep there what is missing.
    """

    folder: Path
    limit: int = 120
    occluded: int = 12
    batches: int = 20
    n_boot: int = 500
    seed: int = 0
    cache: bool = True
    _maps: dict[tuple[Path, str], KeptMaps] = field(default_factory=dict)
    _models: dict[Path, BlackBox | SoftCAM] = field(default_factory=dict)

    @cached_property
    def everything(self) -> pd.DataFrame:
        """results.csv, the weights that were not chosen included."""
        file = self.folder / "results.csv"
        if not file.is_file():
            raise SoftCAMError(f"{self.folder} has no results.csv: measure the runs first.")
        return read_table(file)

    @cached_property
    def selection(self) -> pd.DataFrame | None:
        return read_selection(self.folder)

    @cached_property
    def table(self) -> pd.DataFrame:
        """results.csv of the chosen runs."""
        return chosen_rows(self.everything, self.selection)

    @cached_property
    def images(self) -> pd.DataFrame:
        """Single images of the chosen runs, for the measures of `IMAGES`, with label and logit."""
        return chosen_rows(read_images(self.folder / "per_image.parquet", set(IMAGES)),
                           self.selection)  # fmt: skip

    @cached_property
    def places(self) -> list[Place]:
        """Each data set and network that has a SoftCAM; sets with several findings are left out."""
        own = self.table[self.table["arm"] != "converted"]
        found = []
        for key, rows in own.groupby(["dataset", "task", "model"], sort=False):
            dataset, task, model = map(str, key)
            if task == "multi-label":
                log.warning("%s: deviations are not measured on a multi-label set", dataset)
                continue
            seed = int(rows["seed"].min())
            first = rows[rows["seed"] == seed].drop_duplicates(["arm", "run_id"])
            ids = dict(zip(first["arm"].astype(str), first["run_id"].astype(str), strict=True))
            runs = {arm: Run.open(runs_root() / dataset / name) for arm, name in ids.items()}
            found.append(Place(dataset, task, model, seed, runs))
        return found

    def all_runs(self) -> Iterator[Run]:
        """Every run in the results, those along the path of a weight included."""
        for dataset, name in self.everything[["dataset", "run_id"]].drop_duplicates().values:
            yield Run.open(runs_root() / str(dataset) / str(name))

    def model(self, run: Run) -> BlackBox | SoftCAM:
        """A trained network, in eval mode; put it back if you change its mode."""
        if run.path not in self._models:
            self._models[run.path] = run.model()
        return self._models[run.path]

    def maps(self, run: Run) -> KeptMaps:
        """Maps of every class for images with a finding: SoftCAM's own, or Grad-CAM."""
        method = "grad-cam" if run.arm == "black-box" else "softcam"
        key = (run.path, method)
        if key not in self._maps:
            self._maps[key] = kept_maps(
                run, method, limit=self.limit, seed=self.seed, cache=self.cache
            )
        return self._maps[key]

    def sparse(self, place: Place) -> KeptMaps | None:
        """The maps of the sparse SoftCAM of a place; None where there is none."""
        run = place.runs.get("sparse")
        return None if run is None else self.maps(run)

    def public_batch(self, maps: KeptMaps, lift: float = 0.0, gauge: str = "raw") -> MapBatch:
        """Maps of the target over findings at 512 px, as the public definitions need them.

        Args:
            maps: of n images.
            lift: added to the maps of all classes, in logits.
            gauge: see `softcam.explainers.gauges`.
        """
        rows = np.arange(len(maps.indices))
        lifted = KeptMaps(maps.data, maps.indices, maps.targets, maps.logits + lift,
                          maps.maps + lift, maps.link)  # fmt: skip
        values = lifted.read(gauge, maps.targets, rows.tolist())
        predicted = torch.from_numpy(maps.predicted == maps.targets)
        return MapBatch(values, at_public_size(maps.findings_of(rows)), predicted)


def at_public_size(findings: Tensor) -> Tensor:
    """(n, H, W) bool at 512 x 512 px: the pixel in which each new pixel's centre lies."""
    height, width = (
        ((torch.arange(PUBLIC_SIDE) + 0.5) * side / PUBLIC_SIDE).long()
        for side in findings.shape[1:]
    )
    return findings[:, height][:, :, width]
