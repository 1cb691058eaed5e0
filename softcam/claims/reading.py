"""A claim read from `workflow/claims/ID.toml`, every key of it checked.

id = "sparse-beats-post-hoc"        # the name of the file
hypothesis = "one sentence about side a"
paper_says = "what the paper says, and where that is known from"
datasets = ["phantoms-oct", "oct-drusen"]    # `*` stands for any characters
task = "binary"                     # may be left out, as `model`
smallest_effect = 0.05              # in the endpoint's unit
alternative = "better"              # or "not worse", "equal"; of a measure without a merit
                                    # of its own, such as gini, better means larger
test = "paired permutation"         # of "better"; of the others "interval"
alpha = 0.05
committed = 2026-11-21

[endpoint]                          # protocol, gauge, fill, step, occluded may be left out
metric = "pixel-auprc"

[sides.a]
arm = "sparse"
method = "softcam"                  # "-" for the model itself

[[sides.b]]                         # the claim must be true of each
arm = "black-box"
method = ["grad-cam", "layer-cam"]  # or "post-hoc": all that were measured
"""

from __future__ import annotations

import datetime
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softcam.claims.records import ALTERNATIVES, POST_HOC, TESTS, Claim, Endpoint, Side
from softcam.common import SoftCAMError, choose
from softcam.explainers import explainers
from softcam.metrics import FILLS, Measure, measures
from softcam.runs import ARMS

__all__ = ["read_claim", "read_claims"]

_KEYS = ("id", "hypothesis", "paper_says", "datasets", "task", "model", "smallest_effect",
         "alternative", "test", "alpha", "committed", "endpoint", "sides")  # fmt: skip
_OPTIONAL = ("task", "model")
_ENDPOINT = ("metric", "protocol", "gauge", "fill", "step", "occluded")
_TASKS = ("binary", "multi-class", "multi-label", "-")


def read_claims(folder: str | Path) -> list[Claim]:
    """Every claim of a folder, in the order of their names; a reader adds one by adding a file.

    Raises:
        SoftCAMError: no claim in the folder, or one that is wrong.
    """
    files = sorted(Path(folder).glob("*.toml"))
    if not files:
        raise SoftCAMError(f"{folder} holds no claim: expected files ID.toml.")
    return [read_claim(file) for file in files]


def read_claim(file: str | Path) -> Claim:
    """One claim.

    Raises:
        SoftCAMError: no TOML; a key that is unknown (with the closest known one), missing or
            of a wrong value. The message names file, key, what was found and what is expected.
    """
    file = Path(file)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SoftCAMError(f"{file} cannot be read as TOML: {error}.") from error
    table = _Table(file, "", values)
    table.known(_KEYS, optional=_OPTIONAL)
    name = table.word("id")
    if name != file.stem:
        raise table.wrong("id", f"the name of the file, {file.stem!r}")
    alternative = table.one_of("alternative", ALTERNATIVES)
    if table.word("test") != TESTS[alternative]:
        raise table.wrong("test", f"{TESTS[alternative]!r}, the test of {alternative!r}")
    endpoint, measure = _endpoint(table)
    a, b = _sides(table, measure)
    if any(side.number for side in b) and (len(b) > 1 or alternative == "better"):
        raise table.wrong("sides", "a paper's number alone on side b, and not 'better'")
    return Claim(
        name, table.word("hypothesis"), table.word("paper_says"), tuple(table.words("datasets")),
        endpoint, a, b, table.number("smallest_effect"), alternative, table.number("alpha", 1.0),
        table.date("committed"), table.word("model", "-"), table.one_of("task", _TASKS, "-"),
    )  # fmt: skip


@dataclass(frozen=True)
class _Table:
    """A table of a TOML file, and how to say what is wrong with it."""

    file: Path
    name: str
    values: Mapping[str, Any]

    def wrong(self, key: str, expected: str) -> SoftCAMError:
        found = repr(self.values[key]) if key in self.values else "nothing"
        place = f"{self.name}.{key}" if self.name else key
        return SoftCAMError(f"{self.file}, {place}: found {found}, expected {expected}.")

    def known(self, keys: Iterable[str], optional: Iterable[str] = ()) -> None:
        keys, where = list(keys), f" [{self.name}]" if self.name else ""
        for key in self.values:
            choose(f"key in {self.file}{where}", key, keys)
        for key in keys:
            if key not in self.values and key not in optional:
                raise self.wrong(key, "a value: the key is missing")

    def word(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, "words in quotes")
        return value

    def words(self, key: str) -> list[str]:
        value = self.values.get(key)
        value = [value] if isinstance(value, str) else value
        words = isinstance(value, list) and all(isinstance(v, str) and v for v in value)
        if not words or not value or len(set(value)) < len(value):
            raise self.wrong(key, "a list of at least one word in quotes, none of them twice")
        return list(value)

    def one_of(self, key: str, known: Iterable[Any], default: str | None = None) -> Any:
        word = self.word(key, default)
        return self._chosen(key, word, known)

    def _chosen(self, key: str, word: str, known: Iterable[str]) -> str:
        try:
            return choose(key, word, known)
        except SoftCAMError as error:
            raise SoftCAMError(f"{self.file}, {self.name or 'top'}: {error}") from error

    def all_of(self, key: str, known: Iterable[str]) -> tuple[str, ...]:
        known = list(known)
        return tuple(self._chosen(key, word, known) for word in self.words(key))

    def number(self, key: str, most: float = math.inf) -> float:
        value = self.values[key]
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not plain or not 0 < value < most or math.isinf(value):
            raise self.wrong(key, "a number above 0" + (f" and below {most:g}" if most < 9 else ""))
        return float(value)

    def date(self, key: str) -> datetime.date:
        value = self.values[key]
        if isinstance(value, datetime.datetime) or not isinstance(value, datetime.date):
            raise self.wrong(key, "a date without quotes, such as 2026-11-21")
        return value

    def table(self, key: str, value: Any) -> _Table:
        name = f"{self.name}.{key}" if self.name else key
        if not isinstance(value, dict):
            raise SoftCAMError(f"{self.file}, {name}: found {value!r}, expected a table [{name}].")
        return _Table(self.file, name, value)


def _endpoint(top: _Table) -> tuple[Endpoint, Measure]:
    table = top.table("endpoint", top.values["endpoint"])
    table.known(_ENDPOINT, optional=_ENDPOINT[1:])
    protocol = table.one_of("protocol", ("corrected", "paper"), "corrected")
    known = {m.name: m for m in measures("classification")} | {
        m.name: m for m in measures(protocol=protocol)
    }
    testable = {name: m for name, m in known.items() if _is_testable(m)}
    measure = testable[table.one_of("metric", testable)]
    step, fill = table.word("step", "-"), table.word("fill", "-")
    steps = [str(each) for each in measure.steps or ()]
    if (step not in steps) if steps else step != "-":
        raise table.wrong(
            "step", f"one of {', '.join(steps)}" if steps else "none: it has no steps"
        )
    hides = measure.kind == "occlusion" and measure.reads != "masked"
    if hides == (fill == "-"):
        raise table.wrong("fill", f"{', '.join(FILLS)}" if hides else "none: nothing is hidden")
    occluded = table.one_of("occluded", ("own", *ARMS), "own")
    if occluded != "own" and not hides:
        raise table.wrong("occluded", "none: no network is shown anything hidden")
    gauge = table.one_of("gauge", ("contrast", "raw"), "contrast")
    return Endpoint(measure.name, protocol, gauge, fill, step, occluded), measure


def _is_testable(measure: Measure) -> bool:
    compared = measure.kind in ("classification", "map", "labelled", "occlusion")
    return compared and measure.direction != "one" and measure.joint == "-"


def _sides(top: _Table, measure: Measure) -> tuple[Side, tuple[Side, ...]]:
    table = top.table("sides", top.values["sides"])
    table.known(("a", "b"))
    a = _side(table.table("a", table.values["a"]), measure, several=False)
    many = table.values["b"]
    if not isinstance(many, list) or not many:
        raise table.wrong("b", "at least one table [[sides.b]]")
    return a, tuple(_side(table.table("b", each), measure, several=True) for each in many)


def _side(table: _Table, measure: Measure, *, several: bool) -> Side:
    if several and "number" in table.values:
        table.known(("number",))
        return Side(number=table.word("number"))
    table.known(("arm", "method"))
    arm = table.one_of("arm", (*ARMS, "converted"))
    if measure.kind == "classification":
        return Side(arm, table.all_of("method", ("-",)))
    methods = table.all_of("method", (*explainers(), *([POST_HOC] if several else [])))
    if not several and len(methods) != 1:
        raise table.wrong("method", "one method: the claim is about it")
    return Side(arm, methods)
