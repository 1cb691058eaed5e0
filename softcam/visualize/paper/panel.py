"""Where maps point and what deletion says: a column a data set, a row a question.

Above, the share of the first k patches that hold a finding; below, the share of images still
called diseased after the brightest tiles are hidden, each map on its own network (reference:
the paper's figure of both, inferred from its plotting code).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError
from softcam.visualize.paper.looks import (
    POST_HOC,
    in_order,
    look_of,
    named,
    paper_figure,
    paper_style,
)
from softcam.visualize.paper.rows import FAILED, Holes, map_rows, over_seeds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["draw_panel", "panel_numbers"]

ROWS = {
    "patch-precision": ("patches with a finding", "k, patches an image"),
    "deletion-prediction": ("still called diseased", "tiles hidden"),
}
ARMS = ("dense", "sparse", "ridge")
FLOORS = {
    "patch-precision": ("random", "centre", "reference-ceiling"),
    "deletion-prediction": ("random", "centre", "true-mask"),
}
BY = ["metric", "dataset", "task", "model", "arm", "method", "step"]


def panel_numbers(
    table: pd.DataFrame,
    *,
    model: str | None = None,
    task: str = "binary",
    arms: tuple[str, ...] = ARMS,
    methods: tuple[str, ...] = POST_HOC,
    failed: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The points of all curves.

    Args:
        table: `results.csv`.
        model: the architecture; None takes the first.
        task: the data sets of one task, as in the table.
        arms: whose own map is shown; `converted` stands in where nobody trained `dense`.
        methods: explain the black box.
        failed: `failed.csv`; a cell in it is a row without a number.

    Returns:
        metric, dataset, task, model, arm, method, step, and the columns of `over_seeds`.

    Raises:
        SoftCAMError: the table has neither curve.
    """
    import pandas as pd

    model = model or str(table["model"].iloc[0])
    table = table[table["model"] == model]
    holes, parts = Holes.of(failed), []
    for metric in ROWS:
        rows = map_rows(table, metric)
        rows = rows[(rows["step"] != "-") & (rows["task"] == task)]
        lost = [dataset for dataset, own in holes.places(model) if own == task]
        for dataset in in_order([*rows["dataset"], *lost]):
            part = rows[rows["dataset"] == dataset]
            for arm, method in _wanted(part, metric, arms, methods):
                own = part[(part["arm"] == arm) & (part["method"] == method)]
                points = over_seeds(own.assign(step=own["step"].astype(int)), BY, holes)
                if points.empty and (dataset, task, model, arm) in holes:
                    keys = (metric, dataset, task, model, arm, method, -1)
                    points = _hole(dict(zip(BY, keys, strict=True)))
                parts.append(points)
    parts = [part for part in parts if len(part)]
    if not parts:
        raise SoftCAMError(
            f"the results of {model} have no curve of {' or '.join(ROWS)}: evaluate with them."
        )
    return pd.concat(parts, ignore_index=True)


def _wanted(
    rows: pd.DataFrame, metric: str, arms: tuple[str, ...], methods: tuple[str, ...]
) -> list[tuple[str, str]]:
    """(arm, method) of each line, in the order of the legend."""
    trained = set(rows["arm"])
    own = ["converted" if a == "dense" and "dense" not in trained else a for a in arms]
    lines = [("black-box", method) for method in methods] + [(arm, "softcam") for arm in own]
    return lines + [("black-box", floor) for floor in FLOORS[metric]]


def _hole(keys: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([{**keys, "seeds": 0, "n": 0, "status": FAILED}])


@paper_style()
def draw_panel(numbers: pd.DataFrame) -> Figure:
    """Draw `panel_numbers`: a line a map, grey ones for floors and ceiling.

    The bands of SoftCAM's lines go from the lowest to the highest bound of the seeds' 95 %
    intervals over images; those of the others are in the numbers and would hide the lines.
    """
    metrics = [name for name in ROWS if (numbers["metric"] == name).any()]
    datasets = in_order(numbers["dataset"])
    size = {"height": 20 + 52 * len(metrics), "width": 30 + 145 * min(1.0, len(datasets) / 3)}
    figure, axes = paper_figure(len(metrics), len(datasets), sharey="row", sharex="row", **size)
    legend: dict[str, Any] = {}
    for row, metric in enumerate(metrics):
        for column, dataset in enumerate(datasets):
            own = numbers[(numbers["metric"] == metric) & (numbers["dataset"] == dataset)]
            lost = _curves(axes[row, column], own, legend)
            title = f"{'abcdefgh'[row * len(datasets) + column]}  {named(dataset)}"
            axes[row, column].set_title(title, loc="left")
            axes[row, column].set_xlabel("\n".join([ROWS[metric][1], _images(own), *_holes(lost)]))
        axes[row, 0].set_ylabel(ROWS[metric][0])
        axes[row, 0].set_ylim(0, 1.04)
    figure.legend(
        legend.values(), legend.keys(), loc="outside lower center",
        ncol=max(2, int(figure.get_figwidth() / 1.65)), handlelength=3.2,
    )  # fmt: skip
    return figure


def _holes(lost: dict[str, list[str]]) -> list[str]:
    """A line for each reason why values are missing; few maps by name, more by their number."""
    names = {status: ", ".join(titles) for status, titles in lost.items()}
    return [
        f"{status}: {names[status] if len(titles) < 3 else f'{len(titles)} maps'}"
        for status, titles in lost.items()
    ]


def _curves(ax: Any, rows: pd.DataFrame, legend: dict[str, Any]) -> dict[str, list[str]]:
    """Draw the lines of one panel; gives those without a value, or with fewer seeds, by why."""
    lost: dict[str, list[str]] = {}
    measured = rows[rows["status"] == "measured"]
    last = measured["step"].max() if len(measured) else 1
    for (arm, method), line in rows.groupby(["arm", "method"], sort=False):
        look = look_of(str(arm), str(method))
        known = line[line["status"] == "measured"].sort_values("step")
        if known.empty:
            lost.setdefault(str(line["status"].iloc[0]), []).append(look.title)
            continue
        seeds, asked = int(known["seeds"].min()), int(known["seeds_asked"].max())
        if seeds < asked:
            lost.setdefault(f"{seeds} of {asked} seeds", []).append(look.title)
        line = known
        x, y = line["step"].astype(float), line["value"].astype(float)
        strong = method == "softcam"
        (drawn,) = ax.plot(
            x, y, **look.line(), marker=look.marker, markevery=max(1, int(last // 5)),
            linewidth=1.6 if strong else 1.0, zorder=4 if strong else 3,
        )  # fmt: skip
        if strong:
            band = line["low"].astype(float), line["high"].astype(float)
            ax.fill_between(x, *band, color=look.colour, alpha=0.13, linewidth=0)
        legend.setdefault(look.title, drawn)
    if len(measured):
        ax.set_xlim(np.min(measured["step"]) - 0.5, last + 0.5)
    return lost


def _images(rows: pd.DataFrame) -> str:
    """How many images and seeds stand behind the lines."""
    n = rows.loc[rows["n"] > 0, "n"]
    if n.empty:
        return ""
    images = f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
    return f"n = {images}, {_counted(int(rows['seeds'].max()), 'seed')}"


def _counted(n: int, word: str) -> str:
    return f"{n} {word}" + "s" * (n != 1)
