"""A table as it is printed: as a figure of its own, in Markdown, and in LaTeX."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from softcam.claims.data import SUBSTITUTES, stands_for
from softcam.visualize.paper.looks import (
    DOUBLE,
    in_order,
    look_of,
    named,
    paper_figure,
    paper_style,
)
from softcam.visualize.paper.rows import FAILED
from softcam.visualize.style import FLOOR

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["draw_table", "latex", "markdown", "page"]

HEADS = {
    "accuracy": "accuracy", "auc": "AUC", "quadratic-kappa": "quadratic kappa",
    "consistency-positive": "r+, diseased", "consistency-negative": "r-, healthy",
    "activation-precision": "activation precision",
    "activation-sensitivity": "activation sensitivity",
}  # fmt: skip
CALLED = {
    "paper": "the paper's data", SUBSTITUTES: SUBSTITUTES, "folder": "not the paper's data",
}  # fmt: skip
DASH = "\N{EN DASH}"
NOTE = "mean over seeds [95 % interval] (smallest to largest seed); n: test images of a seed"
LINE, TOP = 4.3, 13.0  # mm: of a row; of title and head
LABEL, COUNT = 34.0, 9.0  # mm: first and last column


@dataclass(frozen=True)
class Group:
    """The lines of one data set and network.

    Attributes:
        title: what stands above them.
        rows: (name, a cell a measure, n).
    """

    title: str
    rows: tuple[tuple[str, tuple[str, ...], str], ...]


def page(numbers: pd.DataFrame) -> tuple[list[str], list[Group]]:
    """Names of the measures and the groups of lines, as words."""
    metrics = list(dict.fromkeys(numbers["metric"]))
    groups = []
    for dataset in in_order(numbers["dataset"]):
        own = numbers[numbers["dataset"] == dataset]
        for (task, model), part in own.groupby(["task", "model"], sort=False):
            title = f"{named(dataset)}, {task}, {model}: {CALLED[stands_for(dataset)]}"
            rows = []
            for (arm, method), line in part.groupby(["arm", "method"], sort=False):
                rows.append(_row(look_of(str(arm), str(method)).title, line, metrics))
                rows += [*_fewer(line, metrics), *_published(line, metrics)]
            groups.append(Group(title, tuple(rows)))
    heads = [HEADS.get(name, name) for name in metrics]
    return heads, groups


def _row(name: str, line: pd.DataFrame, metrics: list[str]) -> tuple[str, tuple[str, ...], str]:
    by_metric = {row["metric"]: row for _, row in line.iterrows()}
    cells = tuple(_cell(by_metric[m]) if m in by_metric else "-" for m in metrics)
    n = [int(value) for value in line["n"] if value > 0]
    count = "" if not n else f"{min(n)}" if min(n) == max(n) else f"{min(n)}/{max(n)}"
    return name, cells, count


def _fewer(line: pd.DataFrame, metrics: list[str]) -> list[tuple[str, tuple[str, ...], str]]:
    """How many of the seeds that were asked for stand behind a number, where some are missing."""
    found = {
        row["metric"]: f"{row['seeds']:.0f} of {row['seeds_asked']:.0f} seeds"
        for _, row in line.iterrows()
        if row["status"] == "measured" and row["seeds"] < row["seeds_asked"]
    }
    return [("  not all seeds", tuple(found.get(m, "-") for m in metrics), "")] if found else []


def _published(line: pd.DataFrame, metrics: list[str]) -> list[tuple[str, tuple[str, ...], str]]:
    """What was published beside ours, and where it was read; nothing where nothing was."""
    found = {}
    for _, row in line.iterrows():
        value, kind, weight = row["published"], row["published_kind"], row["published_at"]
        if value != "-":
            where = kind if weight == "-" else f"{kind}, {weight}"
            found[row["metric"]] = f"{value.removeprefix('0')} ({where})"
    return [("  as published", tuple(found.get(m, "-") for m in metrics), "")] if found else []


def _cell(row: Any) -> str:
    """`.974 [.965, .984] (.970-.980)`, or why there is no number."""
    if row["status"] != "measured":
        return str(row["status"])
    text = _short(row["value"])
    if not math.isnan(float(row["low"])):
        text += f" [{_short(row['low'])}, {_short(row['high'])}]"
    if row["seeds"] > 1:
        text += f" ({_short(row['smallest'])}{DASH}{_short(row['largest'])})"
    return text


def _short(value: Any) -> str:
    """Three digits without the zero before the point, as in the paper."""
    text = f"{float(value):.3f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


@paper_style()
def draw_table(numbers: pd.DataFrame, title: str) -> Figure:
    """Draw the numbers of `table_numbers` as a page would set them, two columns wide."""
    heads, groups = page(numbers)
    lines = sum(len(group.rows) + 1.2 for group in groups)
    height = TOP + LINE * (lines + 1.5)
    figure, axes = paper_figure(height=height)
    figure.set_layout_engine("none")
    ax = axes[0, 0]
    ax.set_position((0, 0, 1, 1))
    ax.set(xlim=(0, DOUBLE), ylim=(height, 0))
    ax.set_axis_off()
    ax.set_title(title)
    ax.title.set_visible(False)  # for those who cannot see it; the page has it at the left
    left, width = LABEL, (DOUBLE - LABEL - COUNT) / len(heads)
    ax.text(2, 3.6, title, fontweight="bold", fontsize=8.5, va="center")
    _rule(ax, 6.6, 0.9)
    for k, head in enumerate(heads):
        ax.text(left + k * width, 9.4, head, va="center", fontweight="bold")
    ax.text(DOUBLE - 2, 9.4, "n", va="center", ha="right", fontweight="bold")
    _rule(ax, 12.0, 0.5)
    y = TOP + LINE / 2
    for group in groups:
        ax.text(2, y, group.title, va="center", style="italic")
        for name, cells, n in group.rows:
            y += LINE
            ax.text(5, y, name, va="center", fontsize=7)
            for k, cell in enumerate(cells):
                colour = "#B00000" if cell == FAILED else FLOOR if cell == "-" else "black"
                ax.text(left + k * width, y, cell, va="center", fontsize=7, color=colour)
            ax.text(DOUBLE - 2, y, n, va="center", ha="right", fontsize=7)
        y += 1.2 * LINE
    _rule(ax, y - 0.55 * LINE, 0.9)
    ax.text(2, y + 0.2 * LINE, NOTE, va="center", fontsize=7, color=FLOOR)
    return figure


def _rule(ax: Any, y: float, width: float) -> None:
    ax.plot([2, DOUBLE - 2], [y, y], color="black", linewidth=width)


def markdown(numbers: pd.DataFrame, title: str) -> str:
    """The same as Markdown, a table a data set and network."""
    heads, groups = page(numbers)
    lines = [f"# {title}", "", NOTE + "."]
    for group in groups:
        lines += ["", f"**{group.title}**", "", f"| | {' | '.join(heads)} | n |"]
        lines.append("|" + " --- |" * (len(heads) + 2))
        lines += [f"| {name} | {' | '.join(cells)} | {n} |" for name, cells, n in group.rows]
    return "\n".join(lines) + "\n"


def latex(numbers: pd.DataFrame, title: str) -> str:
    """The same as a LaTeX `tabular` that needs the package booktabs."""
    heads, groups = page(numbers)
    columns = len(heads) + 2
    lines = [f"% {title}; {_escaped(NOTE)}", rf"\begin{{tabular}}{{{'l' * (columns - 1)}r}}"]
    lines += [r"\toprule", " & ".join(["", *map(_escaped, heads), r"$n$ \\"])]
    for group in groups:
        said = rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{_escaped(group.title)}}}}} \\"
        lines += [r"\midrule", said]
        for row in group.rows:
            lines.append(" & ".join(_escaped(cell) for cell in (row[0], *row[1], row[2])) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    for letter in "%&_#":
        text = text.replace(letter, f"\\{letter}")
    return text.replace(DASH, "--")
