"""The verdicts of a reproduction: each claim on each data set, as a table and as a page.

`workflow/claims/*.toml` are read (`softcam.claims.reading` says how one is written), and each is
judged on the chosen runs. A verdict on phantoms is called a replication on substitutes: it never
stands for the paper's data. Numbers of the paper decide only where they were read in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from softcam.claims import LEAST, NO_RESULTS, VERDICTS, Claim, Verdict, judge, read_claims
from softcam.common import SoftCAMError, hides_bar, project_root, write_text
from softcam.reproduce.numbers import chosen_rows, paper_numbers
from softcam.results import PER_IMAGE, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "claims_table", "read_images", "read_selection", "write_claims"]

COLUMNS = (
    "claim", "dataset", "stands_for", "task", "model", "target", "verdict", "reason", "metric",
    "alternative", "smallest_effect", "rivals", "deciding_rival", "difference", "ci_low",
    "ci_high", "p_holm", "n", "seeds", "power", "detectable", "hypothesis", "paper_says",
    "committed",
)  # fmt: skip


def write_claims(
    folder: str | Path,
    *,
    claims: str | Path | None = None,
    numbers: str | Path | None = None,
    n_boot: int = 1000,
    n_draws: int = 10_000,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Judge every claim by the results of a folder: `claims.csv`, and `claims.md` for readers.

    Args:
        folder: with results.csv, per_image.parquet and, where weights were chosen, selection.csv.
        claims: folder of the claims; None takes `workflow/claims` of the project.
        numbers: another table of the paper's numbers.
        n_boot, n_draws, seed: of intervals and permutation tests.
        progress: show a bar.

    Returns:
        The path of claims.csv.

    Raises:
        SoftCAMError: no results, or a claim that is wrong.
    """
    folder = Path(folder)
    asked = read_claims(project_root() / "workflow" / "claims" if claims is None else claims)
    table = _results(folder)
    images = read_images(folder / "per_image.parquet", {each.endpoint.metric for each in asked})
    known = paper_numbers(file=numbers)
    values = zip(known["value"], known["kind"], strict=True)
    of_paper = {str(i): (float(v), str(k)) for i, (v, k) in zip(known["id"], values, strict=True)}
    found: list[Verdict] = []
    for claim in tqdm(asked, "claims", disable=hides_bar(progress), leave=False):
        found += judge(
            claim, table, images, numbers=of_paper, n_boot=n_boot, n_draws=n_draws, seed=seed
        )
    rows = claims_table(found)
    write_text(folder / "claims.md", _page(asked, found, folder.name))
    text = rows.to_csv(index=False, lineterminator="\n", na_rep="-", float_format="%.6g")
    return write_text(folder / "claims.csv", text)


def claims_table(found: Sequence[Verdict]) -> pd.DataFrame:
    """Verdicts as a table, `COLUMNS`; numbers are NaN where nothing was compared."""
    import pandas as pd

    return pd.DataFrame([_row(each) for each in found], columns=list(COLUMNS))


def read_selection(folder: str | Path) -> pd.DataFrame | None:
    """selection.csv of a folder; None where no weight was chosen."""
    import pandas as pd

    file = Path(folder) / "selection.csv"
    return pd.read_csv(file, dtype={"run_id": str}) if file.is_file() else None


def _results(folder: Path) -> pd.DataFrame:
    for name in ("results.csv", "per_image.parquet"):
        if not (folder / name).is_file():
            raise SoftCAMError(f"{folder} has no {name}: measure the runs first.")
    return chosen_rows(read_table(folder / "results.csv"), read_selection(folder))


def read_images(file: Path, metrics: set[str]) -> pd.DataFrame:
    """Rows of single images of these measures alone: a whole table can be many times larger."""
    import pyarrow.parquet

    words = [name for name in PER_IMAGE if name not in ("value", "weight")]
    wanted = sorted({*metrics, "label", "logit"})
    kept = [("metric", "in", wanted)]
    return pyarrow.parquet.read_table(file, read_dictionary=words, filters=kept).to_pandas()


def _row(verdict: Verdict) -> dict[str, Any]:
    claim, one = verdict.claim, verdict.deciding
    compared: dict[str, Any] = {"deciding_rival": "-", "n": 0, "seeds": "-"}
    compared |= dict.fromkeys(("difference", "ci_low", "ci_high", "p_holm"), math.nan)
    if one is not None:
        compared = {
            "deciding_rival": one.rival, "difference": one.difference, "ci_low": one.low,
            "ci_high": one.high, "p_holm": one.p, "n": one.n, "seeds": one.seeds,
        }  # fmt: skip
    return {
        "claim": claim.id, "dataset": verdict.dataset, "stands_for": verdict.stands_for,
        "task": verdict.task, "model": verdict.model, "target": verdict.target,
        "verdict": verdict.verdict, "reason": verdict.reason, "metric": claim.endpoint.metric,
        "alternative": claim.alternative, "smallest_effect": claim.smallest_effect,
        "rivals": len(verdict.answers), **compared, "power": verdict.power,
        "detectable": verdict.detectable, "hypothesis": claim.hypothesis,
        "paper_says": claim.paper_says, "committed": claim.committed.isoformat(),
    }  # fmt: skip


def _page(asked: Sequence[Claim], found: Sequence[Verdict], name: str) -> str:
    counts = [f"{sum(v.verdict == w for v in found)} {w}" for w in VERDICTS]
    lines = [
        f"# Claims: {name}", "",
        f"{len(asked)} claims, {len(found)} verdicts: {', '.join(counts)}.", "",
        "A difference is side a minus the deciding rival, the one that the claim is true of least; "
        "positive is for side a. In brackets its 95 % interval. Power: the chance to show the "
        "claim of the deciding rival alone, with this spread, if the true difference is the "
        "smallest effect of interest (of 'better') or none (of the others); of all rivals at once "
        f"it is smaller. It is 0 where a rival has fewer than {LEAST} images, from which nothing "
        "is concluded. A verdict on phantoms is a replication on substitutes "
        "and says nothing of the paper's data.", "",
        "| claim | data | called | network | verdict | difference |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for each in found:
        if each.answers:
            cells = _cells(each)
            lines.append(f"| {each.claim.id} | {' | '.join(cells[:5])} |")
    lines.append("")
    for claim in asked:
        own = [each for each in found if each.claim.id == claim.id]
        lines += _section(claim, own)
    return "\n".join(lines)


def _section(claim: Claim, found: Sequence[Verdict]) -> list[str]:
    endpoint = claim.endpoint
    what = ", ".join(
        f"{key} {value}" for key, value in vars(endpoint).items()
        if key not in ("metric", "gauge") and value not in ("-", "own", "corrected")
    )  # fmt: skip
    what += f"{', ' if what else ''}{endpoint.gauge} maps" if claim.a.methods != ("-",) else ""
    rivals = "; ".join(str(side) for side in claim.b)
    nowhere = [each.dataset for each in found if each.reason == NO_RESULTS]
    asked = [each for each in found if each.reason != NO_RESULTS]
    rows = [
        "| data | called | network | verdict | difference | n | power | because |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(each) for each in sorted(asked, key=lambda v: VERDICTS.index(v.verdict))), "",
    ] if asked else []  # fmt: skip
    left = [f"Not testable here, {NO_RESULTS}: {', '.join(nowhere)}.", ""] if nowhere else []
    return [
        f"## {claim.id}", "", claim.hypothesis, "",
        f"*The paper:* {claim.paper_says}", "",
        f"*Endpoint:* {endpoint.metric}{f' ({what})' if what else ''}. "
        f"*Sides:* {claim.a}, against {rivals}. "
        f"*Smallest effect:* {claim.smallest_effect:g}; shown by {claim.test}, alpha "
        f"{claim.alpha:g} over all rivals. *Written down:* {claim.committed}.", "",
        *rows, *left,
    ]  # fmt: skip


def _line(verdict: Verdict) -> str:
    return "| " + " | ".join(_cells(verdict)) + " |"


def _cells(verdict: Verdict) -> list[str]:
    """Data, what they are called, network, verdict, difference, n, power, reason."""
    one, data = verdict.deciding, verdict.dataset
    if verdict.target not in ("-", "class:1", "label"):
        data += f", {verdict.target}"
    said, n, chance = "-", "-", "-"
    if one is not None:
        known = not math.isnan(one.low)
        interval = f"[{one.low:+.3f}, {one.high:+.3f}]" if known else "[no interval]"
        said, n = f"{one.difference:+.3f} {interval} to {one.rival}", str(one.n)
        chance = "-" if math.isnan(verdict.power) else f"{verdict.power:.2f}"
    cells = [data, verdict.stands_for, verdict.model, f"**{verdict.verdict}**", said, n, chance,
             verdict.reason]  # fmt: skip
    return [cell.replace("|", "/") for cell in cells]
