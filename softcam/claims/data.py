"""Whose data a result is about: the paper's, a substitute's, or somebody's own."""

from __future__ import annotations

__all__ = ["PAPER", "SUBSTITUTES", "paper_set", "stands_for"]

# The paper's data sets by the first words of their names here, and what they are pictures of.
PAPER = {"kaggle-dr": "fundus", "oct": "oct", "rsna": "cxr"}
SUBSTITUTES = "replication on substitutes"


def stands_for(dataset: str) -> str:
    """What a result on these data may be called: `paper`, a replication on substitutes, `folder`.

    `paper` says that the data are the paper's; nothing more. Phantoms are substitutes; all other
    sets count as a folder of somebody's own.
    """
    if paper_set(dataset):
        return "paper"
    return SUBSTITUTES if dataset.startswith("phantoms-") else "folder"


def paper_set(dataset: str) -> str:
    """The paper's data set that this is, a key of `PAPER`, or nothing."""
    return next((n for n in PAPER if dataset == n or dataset.startswith(f"{n}-")), "")
