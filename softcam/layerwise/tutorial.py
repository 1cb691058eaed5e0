"""The rounds that the tutorial ships. They are made up by a program: nobody played them.

`tools/tutorial_rounds.py` writes both tables: what made-up players answered, and the shares of the
cluster maps that they were shown. Clusters may come out otherwise on another machine, so the shares
go with the rounds instead of being computed again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from softcam.common import SoftCAMError
from softcam.layerwise.tables import read_rounds

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROUNDS", "SHARES", "tutorial_rounds"]

ROUNDS = Path(__file__).with_name("tutorial_rounds.csv")
SHARES = Path(__file__).with_name("tutorial_shares.csv")


def tutorial_rounds() -> tuple[pd.DataFrame, dict[tuple[str, str, int], float]]:
    """Made-up rounds of the labelling game, and the shares of their maps.

    Every row says what it is: `session`, `player` and `round_id` begin with "made-up".

    Returns:
        The rounds as `RoundStore.rounds` gives them, and (image, layer, cluster) -> per cent of
        the layer's weight, both as `label_clusters` takes them.
    """
    import pandas as pd

    if not SHARES.is_file():
        raise SoftCAMError(f"{SHARES} is missing: install softcam again, or clone it anew.")
    table = pd.read_csv(SHARES, dtype={"image": str, "layer": str})
    keys = zip(table["image"], table["layer"], map(int, table["cluster"]), strict=True)
    return read_rounds(ROUNDS), dict(zip(keys, map(float, table["share"]), strict=True))
