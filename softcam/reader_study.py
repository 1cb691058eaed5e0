"""Does a map help those who read it, or does any picture? A reader study with a placebo.

Every reader decides every case once, with the answer of a model beside it, and in one of three
conditions: no map (`none`), the map of that model (`own`), the map of another one (`other`, the
placebo). The conditions are drawn by a balanced Latin square (Williams, 1949), so that readers
are compared with themselves, over six readers every condition comes first, second and third
equally often and each follows each equally often, and over three readers every case has been
read in every condition. What a sheet asks does not say which map is shown.

    plan = study_plan(["r1", "r2", "r3"], wrong, seed=4)
    write_sheets(plan, folder)                  # one CSV a reader, to be filled in
    answers = read_sheets(plan, sorted(folder.glob("*.csv")))
    compare_conditions(answers, truth, advice)

For teaching and research, not for clinical use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from softcam.common import SoftCAMError, rng, write_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CONDITIONS",
    "compare_conditions",
    "read_sheets",
    "reader_measures",
    "simulated_answers",
    "study_plan",
    "write_sheets",
]

CONDITIONS = ("none", "own", "other")
PAIRS = (("own", "none"), ("other", "none"), ("own", "other"))
SHEET = ["reader", "position", "case", "answer", "confidence"]
MOST_SURE = 5


def study_plan(
    readers: Sequence[str], wrong: Sequence[bool] | np.ndarray, *, seed: int
) -> pd.DataFrame:
    """Who reads which case when, and in which condition.

    Args:
        readers: an id each; a multiple of six balances everything.
        wrong: (N,) of each case, whether the model's answer is wrong; these are spread evenly
            over the conditions, since only they can show over-reliance.
        seed: draws the blocks and the order of the cases.

    Returns:
        Columns `reader`, `position` (from 1), `case` (0 to N - 1), `condition`.

    Raises:
        SoftCAMError: no readers or one twice, or less than three right or three wrong answers.
    """
    import pandas as pd

    names, mistaken = list(readers), np.asarray(wrong, dtype=bool)
    if not names or len(set(names)) < len(names):
        raise SoftCAMError(f"expected one id or more, each once, found {names}.")
    if min(mistaken.sum(), (~mistaken).sum()) < 3:
        raise SoftCAMError(
            f"the model is wrong on {mistaken.sum()} of {len(mistaken)} cases: expected three "
            "wrong and three right ones or more, one of both for every condition."
        )
    draw = rng(seed, 0)
    ordered = [draw.permutation(np.flatnonzero(mistaken == kind)) for kind in (True, False)]
    mixed = np.concatenate(ordered)
    blocks = [mixed[start::3] for start in range(3)]
    rows = []
    for number, reader in enumerate(names):
        own, position = rng(seed, 1, number), 0
        for place in (0, 1, 2) if number % 6 < 3 else (2, 1, 0):
            condition = CONDITIONS[(place + number) % 3]
            for case in own.permutation(blocks[place]):
                position += 1
                rows.append((reader, position, int(case), condition))
    return pd.DataFrame(rows, columns=["reader", "position", "case", "condition"])


def write_sheets(plan: pd.DataFrame, folder: str | Path) -> list[Path]:
    """An answer sheet for each reader, `READER.csv`: the condition is not in it.

    `answer` (0 or 1) and `confidence` (1 a guess, 5 certain) are empty.

    Raises:
        SoftCAMError: a sheet is there already; it may hold answers.
    """
    target, written = Path(folder), []
    for reader, rows in plan.groupby("reader", sort=False):
        path = target / f"{reader}.csv"
        if path.exists():
            raise SoftCAMError(f"{path} is there already and may hold answers: move it away.")
        sheet = rows.assign(answer="", confidence="")[SHEET]
        written.append(write_text(path, sheet.to_csv(index=False, lineterminator="\n")))
    return written


def read_sheets(plan: pd.DataFrame, paths: Iterable[str | Path]) -> pd.DataFrame:
    """The answers of filled sheets, with the condition of each from the plan.

    Returns:
        The columns of the plan, `answer` (0, 1) and `confidence` (1 to 5). Empty lines of a sheet
        are left out: whoever did not answer said nothing.

    Raises:
        SoftCAMError: no sheet, one that cannot be read or is not of this plan, the same line
            twice, or an answer that is none; names the sheet.
    """
    import pandas as pd

    sheets = [_sheet(Path(path), plan) for path in paths]
    if not sheets:
        raise SoftCAMError("no answer sheets: name one CSV or more.")
    answers = pd.concat(sheets, ignore_index=True)
    if answers.duplicated(["reader", "case"]).any():
        row = answers[answers.duplicated(["reader", "case"])].iloc[0]
        raise SoftCAMError(f"reader {row.reader} answers case {row.case} twice.")
    return answers


def _sheet(path: Path, plan: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    try:
        # sep=None also reads what a spreadsheet saves with semicolons
        found = pd.read_csv(path, sep=None, engine="python", dtype={"reader": str})
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise SoftCAMError(f"the sheet {path} cannot be read: {error}.") from error
    if missing := [name for name in SHEET if name not in found]:
        raise SoftCAMError(f"the sheet {path} lacks the columns {', '.join(missing)}.")
    filled = found[SHEET].dropna(subset=["answer", "confidence"], how="all")
    values = filled[["answer", "confidence"]].apply(pd.to_numeric, errors="coerce")
    fine = values.answer.isin([0, 1]) & values.confidence.isin(range(1, MOST_SURE + 1))
    if not fine.all():
        row = filled[~fine].iloc[0]
        raise SoftCAMError(
            f"{path}, position {row.position}: expected an answer 0 or 1 and a confidence from 1 "
            f"to {MOST_SURE}, found {row.answer!r} and {row.confidence!r}."
        )
    joined = filled[["reader", "position", "case"]].assign(**values.astype(int))
    merged = joined.merge(plan, on=["reader", "position", "case"], how="left")
    if merged.condition.isna().any():
        raise SoftCAMError(f"the sheet {path} is not of this plan: other readers, cases or seed?")
    return merged


def simulated_answers(
    plan: pd.DataFrame,
    truth: np.ndarray,
    advice: np.ndarray,
    *,
    skill: float,
    follows: Mapping[str, float],
    seed: int,
) -> pd.DataFrame:
    """Answers of readers that do not exist, of known behaviour. To try the analysis, no finding.

    In a condition the reader takes the model's answer with the probability `follows`; else the
    answer is their own, right with the probability `skill`. They are surer where they follow.

    Args:
        plan: as from `study_plan`.
        truth, advice: (N,) 0 or 1 a case: what is right, and what the model says.
        skill: of every reader alone, 0 to 1.
        follows: condition to probability.
        seed: draws the answers.

    Returns:
        As `read_sheets`, and a column `simulated` that is true throughout.
    """
    if set(follows) != set(CONDITIONS):
        raise SoftCAMError(f"expected `follows` for {', '.join(CONDITIONS)}, found {set(follows)}.")
    draw, case = rng(seed, 2), plan.case.to_numpy()
    right = draw.random(len(plan)) < skill
    alone = np.where(right, np.asarray(truth)[case], 1 - np.asarray(truth)[case])
    following = draw.random(len(plan)) < plan.condition.map(follows).to_numpy()
    answer = np.where(following, np.asarray(advice)[case], alone)
    confidence = np.clip(draw.integers(2, 5, len(plan)) + following, 1, MOST_SURE)
    return plan.assign(answer=answer, confidence=confidence, simulated=True)


def reader_measures(
    answers: pd.DataFrame, truth: np.ndarray, advice: np.ndarray
) -> dict[str, pd.DataFrame]:
    """Of each measure a table, a row a reader and a column a condition; NaN where undefined.

    accuracy: share of right answers. confidence: mean, 1 to 5. over-reliance: of the cases on
    which the model is wrong, the share in which the reader gives the model's answer.
    """
    case = answers.case.to_numpy()
    right, said = np.asarray(truth)[case], np.asarray(advice)[case]
    given = answers.answer.to_numpy()
    followed = np.where(said != right, (given == said).astype(float), np.nan)
    values = {
        "accuracy": (given == right).astype(float),
        "confidence": answers.confidence.to_numpy(dtype=float),
        "over-reliance": followed,
    }
    return {
        name: answers.assign(value=value)
        .pivot_table(index="reader", columns="condition", values="value", aggfunc="mean")
        .reindex(columns=list(CONDITIONS))
        for name, value in values.items()
    }


def compare_conditions(
    answers: pd.DataFrame,
    truth: np.ndarray,
    advice: np.ndarray,
    *,
    n_boot: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Differences between conditions, within readers, with 95 % intervals over readers.

    Readers are drawn anew, with all their answers; the cases stay. So the intervals say what
    other readers would do on these cases, not what these readers would do on others.

    Returns:
        A row for each measure and pair: `measure`, `a`, `b`, `n` readers who have both, `mean_a`,
        `mean_b`, `difference` (a - b), `low`, `high` (percentiles; NaN below three readers).
    """
    import pandas as pd

    rows = []
    for name, table in reader_measures(answers, truth, advice).items():
        for a, b in PAIRS:
            both = table[[a, b]].dropna().to_numpy()
            mean_a, mean_b = both.mean(0) if len(both) else (np.nan, np.nan)
            low, high = _interval(both[:, 0] - both[:, 1], n_boot, seed)
            rows.append((name, a, b, len(both), mean_a, mean_b, mean_a - mean_b, low, high))
    columns = ["measure", "a", "b", "n", "mean_a", "mean_b", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _interval(differences: np.ndarray, n_boot: int, seed: int) -> tuple[float, float]:
    if len(differences) < 3:
        return np.nan, np.nan
    chosen = rng(seed, 3).integers(0, len(differences), (n_boot, len(differences)))
    low, high = np.percentile(differences[chosen].mean(1), [2.5, 97.5])
    return float(low), float(high)
