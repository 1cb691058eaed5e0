"""`workflow/deviations.toml`, every key of it checked."""

from __future__ import annotations

import datetime
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError, choose
from softcam.reproduce.deviations.records import Effect, Trap
from softcam.reproduce.plan import config_folder

__all__ = ["read_traps"]

_TRAP = ("id", "topic", "paper", "code", "ours")
_EFFECT = ("id", "quantity", "predicted", "reason")


def read_traps(file: str | Path | None = None) -> list[Trap]:
    """Every trap, in the order of the file.

    Args:
        file: None takes `workflow/deviations.toml` of the checkout.

    Raises:
        SoftCAMError: no TOML; a key that is unknown, missing or of a wrong value; an id twice; a
            trap without an effect that does not say why.
    """
    file = config_folder().parent / "deviations.toml" if file is None else Path(file)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SoftCAMError(f"{file} cannot be read as TOML: {error}.") from error
    committed = values.get("committed")
    if not isinstance(committed, datetime.date) or isinstance(committed, datetime.datetime):
        raise SoftCAMError(f"{file}: expected `committed`, a date without quotes, such as "
                           f"2026-11-22, found {committed!r}.")  # fmt: skip
    for key in values:
        choose(f"key in {file}", key, ("committed", "trap"))
    traps = [_trap(file, each, committed) for each in values.get("trap", [])]
    if not traps:
        raise SoftCAMError(f"{file} holds no trap: expected tables [[trap]].")
    ids = [trap.id for trap in traps] + [e.id for trap in traps for e in trap.effects]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise SoftCAMError(f"{file}: these ids stand there twice: {', '.join(twice)}.")
    return traps


def _trap(file: Path, values: Mapping[str, Any], committed: datetime.date) -> Trap:
    words = _words(file, values, _TRAP, ("effect", "not_measured"))
    effects = tuple(_effect(file, each) for each in values.get("effect", []))
    why = values.get("not_measured", "")
    if bool(effects) == bool(why):
        raise SoftCAMError(
            f"{file}, trap {words['id']!r}: expected either tables [[trap.effect]] or "
            "`not_measured`, which says why there is none."
        )
    return Trap(**words, effects=effects, not_measured=why, committed=committed)


def _effect(file: Path, values: Mapping[str, Any]) -> Effect:
    words = _words(file, values, _EFFECT, ("least", "most"))
    bounds = {name: values.get(name) for name in ("least", "most")}
    for name, value in bounds.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or math.isnan(float(value)):  # type: ignore[arg-type]
            raise SoftCAMError(
                f"{file}, effect {words['id']!r}, {name}: found {value!r}, expected a number, "
                "inf and -inf included."
            )
    least, most = (float(bounds[name]) for name in ("least", "most"))  # type: ignore[arg-type]
    if least > most or (math.isinf(least) and math.isinf(most)):
        raise SoftCAMError(
            f"{file}, effect {words['id']!r}: nothing can lie between {least:g} and {most:g}, or "
            "everything does: expected a range that can be missed."
        )
    return Effect(**words, least=least, most=most)


def _words(
    file: Path, values: Mapping[str, Any], needed: tuple[str, ...], more: tuple[str, ...]
) -> dict[str, str]:
    where = f"{file}, {values.get('id', 'a table without id')!r}"
    for key in values:
        choose(f"key in {where}", key, (*needed, *more))
    for key in needed:
        if not isinstance(values.get(key), str) or not values[key].strip():
            raise SoftCAMError(
                f"{where}, {key}: found {values.get(key)!r}, expected words in quotes."
            )
    return {key: values[key] for key in needed}
