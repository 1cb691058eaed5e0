"""One finished round of the labelling game, and how the text of a player is shown."""

from __future__ import annotations

import html
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from softcam.common import SoftCAMError, as_integer
from softcam.layerwise.reveal import STEPS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "NUMBERS", "Round", "rounds_frame", "shown"]

COLUMNS = (
    "round_id", "session", "player", "time", "image", "layer", "cluster", "class_name", "guess",
    "correct", "resigned", "reveal", "words",
)  # fmt: skip
NUMBERS = ("cluster", "correct", "resigned", "reveal")
LAST = len(STEPS) - 1


@dataclass(frozen=True)
class Round:
    """One finished round.

    Attributes:
        session: the game it belongs to; whoever knows it can go on with that game.
        player: the nickname, may be empty.
        image: id of the image.
        layer, cluster: of the ClusterMap that was shown.
        class_name: the class of the image.
        guess: the class that was guessed; empty after resigning.
        resigned: whether the player gave up.
        reveal: index of the step in `STEPS`, 0..5; always 5 after resigning, as in the paper.
        words: what gave it away, as typed; may be empty.
        round_id: a round is stored once, however often it is added.
        time: when it ended, UTC, ISO 8601.
    """

    session: str
    player: str
    image: str
    layer: str
    cluster: int
    class_name: str
    guess: str
    resigned: bool
    reveal: int
    words: str
    round_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        for name in (name for name in COLUMNS if name not in NUMBERS):
            if not isinstance(getattr(self, name), str):
                raise SoftCAMError(
                    f"{name} of a round is {getattr(self, name)!r}: expected text, which may be "
                    "empty."
                )
        as_integer("cluster of a round", self.cluster, 0, 2**31)
        as_integer("reveal of a round", self.reveal, 0, LAST)
        if not isinstance(self.resigned, bool) or (
            self.resigned and (self.reveal, self.guess) != (LAST, "")
        ):
            raise SoftCAMError(
                f"resigned of a round is {self.resigned!r}, with guess {self.guess!r} at step "
                f"{self.reveal}: expected False, or True with an empty guess at step {LAST}."
            )

    @property
    def correct(self) -> bool:
        """Whether the guess is the class of the image."""
        return not self.resigned and self.guess == self.class_name

    @property
    def points(self) -> int:
        """6 for a right guess at the first step, one less with each further step; else 0."""
        return self.correct * (len(STEPS) - self.reveal)

    @property
    def key(self) -> tuple[str, str, int]:
        """(image, layer, cluster): what was asked."""
        return self.image, self.layer, self.cluster

    def row(self) -> tuple[str | int, ...]:
        """The values in the order of `COLUMNS`."""
        values = (getattr(self, name) for name in COLUMNS)
        return tuple(int(value) if isinstance(value, bool) else value for value in values)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Round:
        """The round of a row, by the names of `COLUMNS`; `correct` follows from the others.

        Raises:
            SoftCAMError: a value is missing or of another kind.
        """
        names = [name for name in COLUMNS if name != "correct"]
        if missing := [name for name in names if name not in values]:
            raise SoftCAMError(f"a round without {', '.join(missing)}: expected all its columns.")
        given = {name: values[name] for name in names}
        if given["resigned"] in (0, 1):
            given["resigned"] = bool(given["resigned"])
        return cls(**given)


def rounds_frame(rows: Iterable[tuple[str | int, ...]]) -> pd.DataFrame:
    """Rows in the order of `COLUMNS` as the table that `RoundStore.rounds` gives."""
    import pandas as pd

    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    # dtype object: pandas' own text type cannot hold half a surrogate pair.
    series = {
        name: pd.Series(values, dtype="int64" if name in NUMBERS else object)
        for name, values in zip(COLUMNS, columns, strict=True)
    }
    return pd.DataFrame(series)


def shown(text: str, limit: int = 200) -> str:
    """Text of a player as HTML that shows it: escaped, cut at `limit` characters, always UTF-8."""
    cut = text if len(text) <= limit else f"{text[:limit]}..."
    readable = "".join("\ufffd" if "\ud800" <= c <= "\udfff" or c == "\0" else c for c in cut)
    return html.escape(readable)
