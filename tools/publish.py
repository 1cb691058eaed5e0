"""Bring a finished reproduction into the checkout: its tables, its pages, its part of the README.

    .venv/bin/python tools/publish.py laptop

The figures are in `figures/` already, where the sweep put them. What is written here is made from
the tables of `runs/reproduce/NAME/` and from nothing else.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pandas as pd

from softcam.blocks import with_block
from softcam.common import SoftCAMError, atomic_path, runs_root, write_text
from softcam.reproduce.deviations import refresh_deviations

ROOT = Path(__file__).resolve().parent.parent
BLOCK = "reproduction"
TABLES = (
    "claims.csv", "selection.csv", "specification-shares.csv", "paper-against-ours.csv",
    "deviations.csv", "failed.csv", "times.csv",
)  # fmt: skip
LARGE = ("results.csv",)  # stored as .gz
VERDICTS = ("holds", "does not hold", "undecided")
PICTURES = {
    "maps": "Images of phantoms with their lesions outlined, beside the maps of every method",
    "localisation-and-deletion": "Curves of six panels: how often the brightest patches of each "
    "map hold a finding, and how soon hiding them changes the decision",
}


def publish(name: str, root: Path = ROOT) -> list[Path]:
    """Write everything; return the files.

    Raises:
        SoftCAMError: the reproduction is not finished, or a page lacks the marks.
    """
    folder = runs_root() / "reproduce" / name
    lacking = [each for each in (*TABLES, *LARGE, "claims.md") if not (folder / each).is_file()]
    if lacking:
        raise SoftCAMError(
            f"{folder} has no {', '.join(lacking)}: finish it first, "
            f"`python start.py reproduce --profile {name}`."
        )
    out = root / "figures" / name
    written = [write_text(out / each, (folder / each).read_text("utf-8")) for each in TABLES]
    written += [_compressed(folder / each, out / f"{each}.gz") for each in LARGE]
    page = root / "docs" / f"{name}.md"
    written.append(write_text(page, results_page(folder, root / "figures", name)))
    written.append(refresh_deviations(root / "docs" / "deviations.md", out / "deviations.csv"))
    written.append(refresh_readme(root / "README.md", out, name))
    return written


def refresh_readme(readme: Path, tables: Path, name: str) -> Path:
    """Put what the tables say into the block `reproduction`."""
    text = readme.read_text("utf-8")
    return write_text(readme, with_block(text, BLOCK, readme_block(tables, name), page=readme))


def readme_block(tables: Path, name: str) -> str:
    """The pictures, and how many claims ended how on each data set."""
    claims = pd.read_csv(tables / "claims.csv")
    tested = claims[claims["verdict"].isin(VERDICTS)]
    places = list(tested[["dataset", "task"]].drop_duplicates().itertuples(index=False, name=None))
    several = {name for name, _ in places if [d for d, _ in places].count(name) > 1}
    heads = [f"{name}, {task}" if name in several else name for name, task in places]
    lines = [f"![{alt}](figures/{stem}.png)\n" for stem, alt in PICTURES.items()]
    lines += [
        f"From the profile `{name}`: phantoms, so *replication on substitutes*. How "
        f"{tested['claim'].nunique()} claims that were written down before the results came out "
        f"([each one, with its rival, interval and power](docs/{name}.md)). A difference with its "
        "95 % interval; how large it must be to count was fixed beforehand, so that a certain one "
        "may still be too small:",
        "",
        f"| claim | {' | '.join(heads)} |",
        "|" + "---|" * (1 + len(heads)),
    ]
    for claim, rows in tested.groupby("claim", sort=True):
        own = [rows[(rows["dataset"] == d) & (rows["task"] == t)] for d, t in places]
        cells = [_verdicts(each) for each in own]
        lines.append(f"| {rows['hypothesis'].iloc[0]} (`{claim}`) | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_shares(tables)])


def _verdicts(rows: pd.DataFrame) -> str:
    said = []
    for row in rows.to_dict("records"):
        difference, low, high = (float(row[each]) for each in ("difference", "ci_low", "ci_high"))
        word = str(row["verdict"])
        shown = f"**{word}**" if word == "does not hold" else word
        said.append(f"{shown}, {difference:+.3f} [{low:+.3f}, {high:+.3f}]")
    return "<br>".join(said) or "-"


def _shares(tables: Path) -> list[str]:
    """One sentence a data set on the specification curve."""
    shares = pd.read_csv(tables / "specification-shares.csv")
    lines = [
        "Sparse SoftCAM against Grad-CAM, under every sensible choice of how to measure "
        "([figure](figures/specification-curve.png)):",
        "",
    ]
    for row in shares.to_dict("records"):
        lines.append(
            f"- {row['dataset']}, {row['task']}, {int(row['specifications'])} ways to ask: sparse "
            f"is clearly ahead in {row['share_sparse_clear']:.0%}, Grad-CAM in "
            f"{row['share_rival_clear']:.0%}; by more than {row['smallest_effect']} in "
            f"{row['share_sparse_beyond']:.0%} and {row['share_rival_beyond']:.0%}. Ahead at all, "
            f"however little, is sparse in {row['share_sparse']:.0%}, where chance alone gives "
            f"{row['null_share_low']:.0%} to {row['null_share_high']:.0%}."
        )
    return lines


def results_page(folder: Path, figures: Path, name: str) -> str:
    """Every table of the reproduction on one page."""
    times = pd.read_csv(folder / "times.csv").drop_duplicates("cell")  # not what was repeated
    parts = [
        f"# Results of the profile `{name}`\n",
        f"Written by `tools/publish.py {name}` from `runs/reproduce/{name}/`; the tables behind it "
        f"lie in `figures/{name}/`. All images are phantoms, drawn by this package: a verdict here "
        "is a replication on substitutes and says nothing of the paper's data. For teaching and "
        f"research, not for clinical use. {len(times)} cells, "
        f"{times['seconds'].sum() / 60:.0f} minutes of single processes.\n",
    ]
    for stem in ("table-classification", "table-consistency", "table-activation"):
        parts.append(_lower((figures / f"{stem}.md").read_text("utf-8")))
    parts.append(_lower((folder / "claims.md").read_text("utf-8")))
    return "\n".join(parts)


def _lower(markdown: str) -> str:
    """The same with every heading one level down."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in markdown.split("\n"))


def _compressed(source: Path, target: Path) -> Path:
    """The same bytes for the same table: no time and no name are stored."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as part, part.open("wb") as raw:
        with gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
            file.write(source.read_bytes())
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/publish.py NAME, for example laptop")
    try:
        for each in publish(sys.argv[1]):
            print(each)
    except SoftCAMError as error:
        sys.exit(f"publish.py: {error}")
