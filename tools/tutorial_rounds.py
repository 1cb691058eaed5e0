"""Make up rounds of the labelling game for the tutorial: no person has typed any of them.

What a made-up player sees in a cluster map is drawn from the masks that the map lies on; the words
are those below, now and then misspelt. Every row says that it is made up: the session, the player
and the id of the round begin with `made-up`, and the time is the year 2000.

    python tools/tutorial_rounds.py

writes `tutorial_rounds.csv` and `tutorial_shares.csv` beside `softcam.layerwise.tutorial`, which
reads them. The network and the phantoms are those of notebook 11.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError, as_integer, atomic_path, choose, rng
from softcam.layerwise.records import LAST, Round, rounds_frame
from softcam.layerwise.tables import write_rounds

if TYPE_CHECKING:
    import pandas as pd

MADE_UP = "made-up"
CHECKPOINT = "cxr-sparse"
PHANTOMS: dict[str, Any] = {"n_train": 1, "n_val": 1, "n_test": 60, "seed": 2026}
STREAM = 0x524F554E  # apart from other draws with the same seed
START = datetime(2000, 1, 1, tzinfo=UTC)

WORDS = {  # what somebody who is no radiologist might type about a part of a chest phantom
    "lungs": ("lung", "lungs", "dark lung", "edge of the lung", "the lungs", "black area"),
    "heart": ("heart", "the heart", "heart shadow", "edge of the heart", "big heart"),
    "ribs": ("ribs", "rib", "rib cage", "stripes", "white stripes", "bones", "lines of the ribs"),
    "clavicles": ("collarbone", "collar bones", "clavicle", "clavicles", "bones at the top"),
    "spine": ("spine", "spinal column", "the spine in the middle", "middle line"),
    "diaphragm": ("diaphragm", "lower edge", "bottom of the lung", "curve at the bottom"),
    "opacity": ("white patch", "patch", "cloud", "a cloud in the lung", "white spot", "patches"),
    "effusion": ("fluid", "fluid at the bottom", "white bottom", "water", "level of fluid"),
    "interstitial": ("fine net", "net", "grainy lung", "fine lines"),
    "cardiomegaly": ("large heart", "wide heart", "heart too big"),
    "lookalike": ("small spot", "round spot", "dot", "bright dot"),
    "marker": ("letter", "the letter", "letters", "L or R", "text in the corner"),
}
NOTHING = ("", "", "no idea", "nothing", "grey", "blurry grey", "???")
FRAMES = ("{}", "{}", "{}", "{}!", "I think {}", "looks like {}", "maybe {}?")
SLIP, NAMES_CLASS = 0.08, 0.05  # how often a word is misspelt, the class typed instead


def made_up_rounds(
    labels: pd.DataFrame, classes: Sequence[str], *, players: int = 4, seed: int = 0
) -> pd.DataFrame:
    """Rounds in the columns of `RoundStore.rounds`, every cluster map played by every player.

    A made-up player notices a part of the map with odds like its score. The higher the best score,
    the earlier the guess and the rarer the giving up; a guess is mostly right where the part is
    the lesion of the class, and little better than chance elsewhere.

    Args:
        labels: as `match_concepts(..., merge=False)` gives them; scores in (0, 1].
        classes: what players choose from.
        players: how many there are.
        seed: the same seed gives the same rounds, whatever the order of the rows.

    Raises:
        UnknownNameError: a label without words here.
        SoftCAMError: a class of the labels that is not in `classes`.
    """
    as_integer("players", players, 1, 1000)
    for label in sorted(set(labels["label"])):
        choose("part", label, WORDS)
    rows: list[tuple[str | int, ...]] = []
    place: list[str] = ["image", "class_name", "layer", "cluster"]
    for number, (key, parts) in enumerate(labels.groupby(place, sort=True)):
        image, class_name, layer, cluster = map(str, key)
        if class_name not in classes:
            raise SoftCAMError(
                f"the labels speak of class {class_name!r}: expected one of {', '.join(classes)}."
            )
        found = dict(sorted(zip(parts["label"], parts["score"].astype(float), strict=True)))
        for player in range(players):
            answer = _answer(found, class_name, classes, rng(seed, STREAM, number, player))
            rows.append(
                Round(
                    f"{MADE_UP} for the tutorial",
                    f"{MADE_UP} {player + 1}",
                    image,
                    layer,
                    int(cluster),
                    class_name,
                    *answer,
                    round_id=f"{MADE_UP}-{number * players + player:05d}",
                    time=(START + timedelta(seconds=30 * len(rows))).isoformat(),
                ).row()
            )
    return rounds_frame(rows)


def _answer(
    found: dict[str, float], truth: str, classes: Sequence[str], draw: np.random.Generator
) -> tuple[str, bool, int, str]:
    """Guess, whether the player gave up, reveal step, words."""
    best = min(max(found.values()), 1.0)
    if draw.random() < 0.3 * (1 - best):
        return "", True, LAST, str(draw.choice(NOTHING))
    odds = np.array(list(found.values()))
    part = str(draw.choice(list(found), p=odds / odds.sum()))
    step = int(draw.binomial(LAST, 1 - best))
    sure = 0.85 if part == truth else 1 / len(classes) + 0.2
    others = [name for name in classes if name != truth]
    right = not others or draw.random() < sure
    guess = truth if right else str(draw.choice(others))
    words = guess if draw.random() < NAMES_CLASS else _slipped(str(draw.choice(WORDS[part])), draw)
    text = str(draw.choice(FRAMES)).format(words)
    return guess, False, step, text.capitalize() if draw.random() < 0.2 else text


def _slipped(words: str, draw: np.random.Generator) -> str:
    """The words, sometimes with two letters of a word swapped or one missing, never its first."""
    inside = [k for k in range(1, len(words) - 1) if words[k - 1 : k + 2].isalpha()]
    if draw.random() >= SLIP or not inside:
        return words
    at = int(draw.choice(inside))
    if draw.random() < 0.5:
        return words[:at] + words[at + 1] + words[at] + words[at + 2 :]
    return words[:at] + words[at + 1 :]


def played_maps(
    per_class: int,
) -> tuple[pd.DataFrame, dict[tuple[str, str, int], float], list[str]]:
    """What the tutorial's cluster maps lie on, their shares, and the classes.

    Args:
        per_class: how many images of each class, the first ones.
    """
    import pandas as pd

    from softcam import load_checkpoint, open_data
    from softcam.layerwise import explain_layers, masks_of, match_concepts, shares_of

    model = load_checkpoint(CHECKPOINT)
    images = open_data("phantoms:cxr", size=96, **PHANTOMS).test
    tables, explained = [], {}
    for label, class_name in enumerate(images.classes):
        for i in map(int, np.flatnonzero(np.asarray(images.labels) == label)[:per_class]):
            name = images.ids[i]
            explained[name] = explain_layers(model, images.batch([i])[0], label)
            masks = masks_of(images, i)
            tables.append(
                match_concepts(
                    explained[name], masks, image=name, class_name=class_name, merge=False
                )
            )
    return pd.concat(tables, ignore_index=True), shares_of(explained), list(images.classes)


def main() -> None:
    """Read the command line and write the two tables."""
    import pandas as pd

    from softcam.layerwise.tutorial import ROUNDS, SHARES

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=6, help="of each class")
    parser.add_argument("--players", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    labels, shares, classes = played_maps(given.images)
    rounds = made_up_rounds(labels, classes, players=given.players, seed=given.seed)
    write_rounds(ROUNDS, rounds)
    keys = sorted(set(zip(rounds["image"], rounds["layer"], rounds["cluster"], strict=True)))
    rows = [(*key, round(shares[key], 4)) for key in keys]
    with atomic_path(SHARES) as temporary:
        columns = ["image", "layer", "cluster", "share"]
        pd.DataFrame(rows, columns=columns).to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
