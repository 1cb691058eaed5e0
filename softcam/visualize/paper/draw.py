"""Every figure and table of the paper, from the folder that a sweep left."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.common import SoftCAMError, runs_root
from softcam.results import PER_IMAGE, read_table
from softcam.runs import Run
from softcam.visualize.paper import maps as pictures
from softcam.visualize.paper.architecture import architecture_caption, draw_architecture
from softcam.visualize.paper.looks import POST_HOC, in_order, look_of, named
from softcam.visualize.paper.panel import draw_panel, panel_numbers
from softcam.visualize.paper.path import draw_path, path_caption, path_numbers
from softcam.visualize.paper.printed import draw_table, latex, markdown
from softcam.visualize.paper.rows import Holes, chosen_rows
from softcam.visualize.paper.save import ShownImage, save_paper_figure
from softcam.visualize.paper.shapes import architecture_numbers
from softcam.visualize.paper.tables import TABLES, table_numbers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Sweep", "draw_all"]

log = logging.getLogger(__name__)
PUBLISHED = "paper-against-ours.csv"
OWN = ("dense", "sparse", "ridge")  # shown beside the post-hoc methods


@dataclass(frozen=True)
class Drawing:
    """One figure, ready to be saved."""

    name: str
    figure: Figure
    numbers: pd.DataFrame
    caption: str
    parameters: dict[str, Any] = field(default_factory=dict)
    images: tuple[ShownImage, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """What a sweep left: `results.csv`, and beside it what there is of the other tables."""

    folder: Path

    @cached_property
    def everything(self) -> pd.DataFrame:
        """`results.csv` with the path of weights."""
        path = self.folder / "results.csv"
        if not path.is_file():
            raise SoftCAMError(f"{self.folder} has no results.csv: let the sweep end first.")
        return read_table(path)

    @cached_property
    def table(self) -> pd.DataFrame:
        """`results.csv` without the weights that were tried and not chosen."""
        return chosen_rows(self.everything, self.selection)

    @cached_property
    def selection(self) -> pd.DataFrame | None:
        return self._read("selection.csv")

    @cached_property
    def failed(self) -> pd.DataFrame | None:
        return self._read("failed.csv")

    @cached_property
    def published(self) -> pd.DataFrame | None:
        """`paper-against-ours.csv`: what was published, beside ours."""
        import pandas as pd

        path = self.folder / PUBLISHED
        return pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else None

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(self.table["model"]))

    def inputs(self) -> list[Path]:
        names = ("results.csv", "per_image.parquet", "selection.csv", "failed.csv", PUBLISHED)
        return [path for name in names if (path := self.folder / name).is_file()]

    def images(self, metrics: tuple[str, ...]) -> pd.DataFrame | None:
        """The rows of single images of some measures, for there are very many."""
        path = self.folder / "per_image.parquet"
        if not path.is_file():
            return None
        import pyarrow.parquet

        words = [name for name in PER_IMAGE if name not in ("value", "weight")]
        wanted = [("metric", "in", [*metrics, "label", "logit"])]
        return pyarrow.parquet.read_table(
            path, read_dictionary=words, filters=wanted
        ).to_pandas()  # fmt: skip

    def runs(self, dataset: str, task: str, model: str) -> dict[str, Run | None]:
        """Arm to its run of the first seed; None where it failed, nothing where it is gone."""
        rows = self.table
        rows = rows[(rows["dataset"] == dataset) & (rows["task"] == task)]
        rows = rows[(rows["model"] == model) & (rows["split"] == "test")]
        rows = rows[rows["seed"] == rows["seed"].min()]
        found: dict[str, Run | None] = {}
        holes = Holes.of(self.failed)
        for arm in ("black-box", *OWN):
            ids = rows.loc[rows["arm"] == arm, "run_id"]
            path = runs_root() / dataset / str(ids.iloc[0]) if len(ids) else None
            if path is not None and (path / "done.json").is_file():
                found[arm] = Run.open(path)
            elif (dataset, task, model, arm) in holes:
                found[arm] = None
        return found

    def places(self, model: str) -> list[tuple[str, str]]:
        """(data set, task) of one model, in the paper's order."""
        rows = self.table[self.table["model"] == model]
        pairs = rows[["dataset", "task"]].drop_duplicates().to_numpy().tolist()
        return [(d, t) for name in in_order(d for d, _ in pairs) for d, t in pairs if d == name]

    def _read(self, name: str) -> pd.DataFrame | None:
        import pandas as pd

        path = self.folder / name
        if not path.is_file():
            return None
        return pd.read_csv(path, keep_default_na=False, na_values=["", "nan"])


def draw_all(folder: str | Path, out: str | Path) -> list[Path]:
    """Draw every figure and table that the folder of a sweep has the numbers for.

    What cannot be drawn is logged with its reason, and the others go on.

    Args:
        folder: `runs/reproduce/NAME` with results.csv; selection.csv, failed.csv,
            per_image.parquet and paper-against-ours.csv are read where they are. Maps are
            drawn of the runs that it names.
        out: gets each figure (see `save_paper_figure`), tables also as `.md` and `.tex`.

    Returns:
        The paths of the PNGs.

    Raises:
        SoftCAMError: no results.csv; or git keeps `out`, and an image may not be published.
    """
    sweep, made = Sweep(Path(folder)), []
    several = len(sweep.models) > 1
    for model in sweep.models:
        slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
        ending = f"-{slug}" if several else ""
        for what in (_architecture, _maps, _classes, _panel, _paths):
            for each in _tried(what, sweep, model):
                made.append(_save(each, sweep, out, f"{each.name}{ending}", {"model": model}))
    for each in _tried(_tables, sweep, ""):
        made.append(_save(each, sweep, out, each.name, {}))
    return made


def _tried(
    what: Callable[[Sweep, str], Iterator[Drawing]], sweep: Sweep, model: str
) -> Iterator[Drawing]:
    try:
        yield from list(what(sweep, model))
    except SoftCAMError as error:
        log.warning("not drawn (%s): %s", what.__name__.strip("_"), error)


def _save(each: Drawing, sweep: Sweep, out: str | Path, name: str, more: dict[str, Any]) -> Path:
    return save_paper_figure(
        each.figure, name, each.numbers, out, inputs=sweep.inputs(), caption=each.caption,
        parameters={**more, **each.parameters}, images=each.images, texts=each.texts,
    )  # fmt: skip


def _trained(sweep: Sweep, model: str) -> Iterator[tuple[str, str, dict[str, Run | None]]]:
    for dataset, task in sweep.places(model):
        runs = sweep.runs(dataset, task, model)
        if any(runs.values()):
            yield dataset, task, runs


def _architecture(sweep: Sweep, model: str) -> Iterator[Drawing]:
    """The first data set's sparse SoftCAM, or what there is of SoftCAMs."""
    for dataset, _, runs in _trained(sweep, model):
        run = next((runs[arm] for arm in ("sparse", "dense", "ridge") if runs.get(arm)), None)
        if run is None:
            continue
        data, network = run.data("test"), run.model()
        index = pictures.chosen_image(data)
        pixels = data.batch([index])[0]
        title = f"{look_of(run.arm).title}, {model}, {named(dataset)}"
        yield Drawing(
            "architecture",
            draw_architecture(network, pixels, data.classes, title),  # type: ignore[arg-type]
            architecture_numbers(network, pixels),  # type: ignore[arg-type]
            architecture_caption(network),  # type: ignore[arg-type]
            {"run": run.id, "image": pictures.RULE, "seed": 0},
            (ShownImage(run.config.data, "test", data.ids[index]),),
        )
        return


def _maps(sweep: Sweep, model: str) -> Iterator[Drawing]:
    measured = set(sweep.table["method"])
    methods = [name for name in POST_HOC if name in measured]
    rows = []
    for _, task, runs in _trained(sweep, model):
        if task == "binary" or not any(t == "binary" for _, t in sweep.places(model)):
            rows.append(pictures.map_row(runs, methods=methods))
    if rows:
        yield Drawing(
            "maps", pictures.draw_maps(rows), pictures.map_numbers(rows),
            f"The image is {pictures.RULE}. Findings are outlined. Full colour is the number below "
            "a map, the 99th percentile of its |value|; red speaks for the disease, blue against. "
            "P: the disease's probability; below the image it is that of the black box, which the "
            "post-hoc methods explain.",
            {"image": pictures.RULE, "seed": 0}, tuple(row.image for row in rows),
        )  # fmt: skip


def _classes(sweep: Sweep, model: str) -> Iterator[Drawing]:
    """The set with the most classes; with two there is no more to see, and the title says so."""
    found = list(_trained(sweep, model))
    known = [(d, t, {a: r for a, r in runs.items() if r and a in OWN}) for d, t, runs in found]
    known = [each for each in known if each[2] and each[1] != "multi-label"]
    if not known:
        return
    dataset, _, runs = max(known, key=lambda each: len(next(iter(each[2].values())).classes))
    rows = {look_of(arm).title: pictures.class_row(run) for arm, run in runs.items()}
    flat = [row for each in rows.values() for _, row in each]
    count = len(next(iter(rows.values())))
    few = "" if count > 2 else " (no set with more classes was trained)"
    yield Drawing(
        "class-maps", pictures.draw_classes(rows, f"{named(dataset)}: {count} classes{few}"),
        pictures.map_numbers(flat),
        "An image of each class, and the map of this class against the highest other one.",
        {"image": "one test image a class, drawn with a seed", "seed": 0, "dataset": dataset},
        tuple(dict.fromkeys(row.image for row in flat)),
    )  # fmt: skip


def _panel(sweep: Sweep, model: str) -> Iterator[Drawing]:
    tasks = [task for _, task in sweep.places(model)]
    task = "binary" if "binary" in tasks else tasks[0]
    numbers = panel_numbers(sweep.table, model=model, task=task, failed=sweep.failed)
    yield Drawing(
        "localisation-and-deletion", draw_panel(numbers), numbers,
        "Above: share of the first k patches that hold a finding. Below: share of images still "
        "called diseased after the brightest tiles are hidden, each map on its own network. "
        "Bands: from the lowest to the highest bound of the seeds' 95 % intervals.",
        {"task": task},
    )  # fmt: skip


def _paths(sweep: Sweep, model: str) -> Iterator[Drawing]:
    tried = sweep.selection
    own = None if tried is None else tried[tried["model"] == model]
    for parameter in ("lambda1", "lambda2"):
        if own is not None and (own["parameter"] == parameter).any():
            numbers = path_numbers(own, sweep.everything, parameter, model=model)
            yield Drawing(
                f"{parameter}-path", draw_path(numbers), numbers,
                path_caption(numbers), {"parameter": parameter},
            )  # fmt: skip


def _tables(sweep: Sweep, _: str) -> Iterator[Drawing]:
    for kind, spec in TABLES.items():
        if not sweep.table["metric"].isin(spec.metrics).any():
            log.warning("not drawn (table %s): nothing of it was measured", kind)
            continue
        numbers = table_numbers(
            kind, sweep.table, sweep.images(spec.metrics), failed=sweep.failed,
            published=sweep.published,
        )  # fmt: skip
        yield Drawing(
            f"table-{kind}", draw_table(numbers, spec.title), numbers, f"Table: {spec.title}.",
            texts={"md": markdown(numbers, spec.title), "tex": latex(numbers, spec.title)},
        )  # fmt: skip
