"""One page from a folder of results: what was found, in words first, then tables and figures.

The page is a single HTML file with its pictures inside, fit to be sent to a colleague.
"""

from __future__ import annotations

import base64
import datetime
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.common import SoftCAMError, read_json, write_text
from softcam.report.maps import (
    at_a_glance,
    faithfulness,
    fill_agreement,
    localisation,
    masked,
    sanity,
    twins,
)
from softcam.report.tables import classification, controls, names_over_seeds, over_seeds, paired
from softcam.results import read_per_image, read_table
from softcam.seeds import with_seed_intervals

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_report"]

log = logging.getLogger(__name__)

_ARM_ORDER = (
    "black-box", "converted", "dense", "sparse", "ridge", "elastic", "logit-control", "hoyer",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A figure with its caption and its alternative text; `data` is the PNG in base64."""

    name: str
    caption: str
    alt: str
    data: str


def write_report(folder: str | Path) -> Path:
    """Write `report.html` into a folder that holds `results.csv`, `figures/` or executed notebooks.

    Returns:
        The path of the page.

    Raises:
        SoftCAMError: the folder holds none of them.
    """
    import jinja2

    folder = Path(folder)
    table = _read_table(folder / "results.csv")
    file = folder / "per_image.parquet"
    per_image = read_per_image(file) if table is not None and file.is_file() else None
    if table is not None and per_image is not None and table["seed"].nunique() > 1:
        models, maps = names_over_seeds(table)
        table = with_seed_intervals(table, per_image, [*models, *maps])
    pictures = _pictures(folder / "figures")
    notebooks = _notebooks(folder / "progress.json")
    if table is None and not pictures and not notebooks:
        raise SoftCAMError(
            f"{folder} holds no results.csv, no figures/ and no executed notebook: "
            "run `softcam run tutorial` or `softcam evaluate` first."
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"), autoescape=True
    )
    page = environment.get_template("report.html").render(
        title=_title(folder.name, table),
        date=datetime.date.today().isoformat(),
        question=_question(folder / "question.json", table, per_image),
        words=_words(table),
        seeds=over_seeds(table),
        paired=None if per_image is None else paired(table, per_image),
        controls=None if per_image is None else controls(table, per_image),
        classification=classification(table),
        glance=at_a_glance(table),
        localisation=localisation(table),
        faithfulness=faithfulness(table),
        agreement=fill_agreement(table),
        masked=masked(table),
        twins=twins(table),
        sanity=sanity(table),
        pictures=pictures,
        notebooks=notebooks,
        facts=_facts(table),
        notes=_notes(table),
        real=[] if table is None else [d for d in table["dataset"].unique() if "phantoms" not in d],
        versions=_versions(),
    )
    return write_text(folder / "report.html", page)


def _read_table(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    table = read_table(path)
    rank = {arm: i for i, arm in enumerate(_ARM_ORDER)}
    table = table.sort_values("seed", key=lambda seeds: seeds.astype(str), kind="stable")
    return table.sort_values("arm", key=lambda arms: arms.map(rank), kind="stable")


def _title(name: str, table: pd.DataFrame | None) -> str:
    datasets = "" if table is None else ", ".join(table["dataset"].unique())
    return f"SoftCAM report: {name}" + (f" ({datasets})" if datasets else "")


def _words(table: pd.DataFrame | None) -> list[str]:
    from softcam.reading import findings_in_words

    return [] if table is None else findings_in_words(table)


def _question(
    path: Path, table: pd.DataFrame | None, per_image: pd.DataFrame | None
) -> dict[str, Any] | None:
    """The answers to what a study asked beforehand, where it asked (`softcam.claims`)."""
    if not path.is_file() or table is None or per_image is None:
        return None
    from softcam.claims import answers, answers_in_words, study_claim

    asked = json.loads(path.read_text(encoding="utf-8"))
    draws = {name: asked[name] for name in ("n_boot", "n_draws", "seed") if name in asked}
    claim = study_claim(**{name: value for name, value in asked.items() if name not in draws})
    found = answers(claim, table, per_image, **draws)
    return {**asked, "words": answers_in_words(found, claim.smallest_effect)}


def _pictures(folder: Path) -> list[Picture]:
    from softcam.visualize.save import read_alt, read_caption

    return [
        Picture(
            path.stem,
            read_caption(path),
            read_alt(path),
            base64.b64encode(path.read_bytes()).decode(),
        )
        for path in sorted(folder.glob("*.png"))
    ]


def _notebooks(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    record = json.loads(path.read_text(encoding="utf-8"))
    return [
        {"name": name, "seconds": f"{row['seconds']:.0f}", "profile": row["profile"]}
        for name, row in sorted(record["notebooks"].items())
    ]


def _facts(table: pd.DataFrame | None) -> list[str]:
    """What a table does not say in its cells: sizes, lambdas, excluded images."""
    if table is None:
        return []
    facts = []
    for _, part in table.groupby(["run_id", "arm"], sort=False):
        first = part.iloc[0]
        excluded = int(part["n_excluded"].max())
        facts.append(
            f"{first['dataset']}, {first['arm']}, seed {first['seed']}: {first['model']}, "
            f"lambda1 {float(first['lambda1']):.3g}, lambda2 {float(first['lambda2']):.3g} "
            f"(the paper's scale), {int(part['n'].max())} {first['split']} images"
            + (f", at most {excluded} excluded from a measure" if excluded else "")
        )
    return facts


def _notes(table: pd.DataFrame | None) -> list[str]:
    """What was said of the data when the runs were trained, where the runs still are."""
    from softcam.common import runs_root

    said: dict[str, int] = {}
    pairs: Any = [] if table is None else table[["dataset", "run_id"]].drop_duplicates().to_numpy()
    for dataset, run_id in pairs:
        file = runs_root() / dataset / run_id / "config.json"
        if not file.is_file():
            continue
        try:
            notes = _notes_of(read_json(file))
        except (SoftCAMError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be used (%r): the report says nothing of this run", file, error)
            continue
        for note in notes:
            said[f"{dataset}: {note}"] = said.get(f"{dataset}: {note}", 0) + 1
    return [f"{note} ({n} run{'s' * (n > 1)})." for note, n in said.items()]


def _notes_of(record: dict[str, Any]) -> list[str]:
    """How one run was trained, and what was said of its data."""
    config = record["config"]
    options = ", ".join(f"{k} {v}" for k, v in config["data_options"].items() if k != "seed")
    counts = ", ".join(f"{record['counts'][s]} {s}" for s in ("train", "val", "test"))
    how = f"{config['size']} px, {counts} images; {config['epochs']} epochs of batches of "
    how += f"{config['batch_size']}, best by validation {config['select']}"
    how += f"; data options: {options}" if options else ""
    return [how, *record["data_notes"]]


def _versions() -> dict[str, str]:
    from softcam.checkpoints import environment

    found = environment()
    return {"Python": found["python"], "platform": found["platform"], **found["versions"]}
