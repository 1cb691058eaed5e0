"""Normalisation, against what each text should become, written by hand."""

from __future__ import annotations

import itertools

import pytest

from softcam.layerwise.texts import MAX_TEXT, MAX_WORD, STOP_WORDS, normalise, singular

CLASSES = ["normal", "opacity", "gas pump", "grade 3", "church"]

NASTY = {
    "": "",
    " \t\n ": "",
    "...!?": "",
    "The RIBS, I think!": "ribs",
    "I don't know": "",
    "it\u2019s the heart\u2019s edge": "hearts edge",
    "I don\u00b4t know the lung\u00b4s edge": "lungs edge",
    "don\u200d't `rib`": "rib",
    "\u1e9e'\u0149": "ß n",
    "x-ray of ﬁne lines": "x ray fine lines",
    "ＲＩＢＳ": "ribs",
    "e\u0301paule": "épaule",
    "ÉPAULE": "épaule",
    "\u0301\u0301": "",
    "🔥🔥 hot": "🔥 🔥 hot",
    "👩\u200d⚕\ufe0f": "👩 ⚕",
    "soft\u00adhyphen \u202egnol\u202c": "softhyphen gnol",
    "<script>alert('patch')</script>": "script alert patch script",
    "'; DROP TABLE rounds; --": "drop table rounds",
    '=HYPERLINK("x")': "hyperlink x",
    "$\\frac{1}{2}$": "frac 1 2",
    "heart\x00\ud800 shadow": "heart shadow",
    "肋骨、心臓": "肋骨 心臓",
    "a_b": "b",
}


@pytest.mark.parametrize("typed", NASTY, ids=ascii)
def test_nasty_texts_become_plain_words(typed: str) -> None:
    assert normalise(typed, CLASSES) == NASTY[typed]


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("opacity", ""),
        ("Opacities!", ""),
        ("opacityish", "opacityish"),
        ("two gas pumps", "two"),
        ("gas", "gas"),
        ("pump gas", "pump gas"),
        ("gas gas pump pump", ""),
        ("gas of the pump", ""),
        ("churches with a tower", "tower"),
        ("grade 3 lung", "lung"),
        ("grade 2 lung", "grade 2 lung"),
    ],
)
def test_class_names_go_in_singular_and_plural_and_nothing_else(typed: str, left: str) -> None:
    assert normalise(typed, CLASSES) == left


def test_names_without_words_remove_nothing() -> None:
    assert normalise("patch", ["", "?!", "the other"]) == "patch"
    assert normalise("patches", ["patch"]) == "" == normalise("patch", ["patches"])


def test_what_is_too_long_is_cut_between_words_and_long_words_inside() -> None:
    assert normalise("a" * 10_000) == "a" * MAX_WORD
    cut = normalise("rib lung " * 1200)
    assert len(cut) <= MAX_TEXT and set(cut.split()) == {"rib", "lung"}
    assert len(cut) > MAX_TEXT - 5, "more was cut than had to be"
    exact = " ".join(["abcd"] * 200) + " z"  # 999 characters, then two more
    assert normalise(exact) == exact[:999]


def test_once_more_changes_nothing() -> None:
    for typed in [*NASTY, "gas the gas pump pump", "İstanbul ǅ ﷺ", "rib lung " * 1200]:
        once = normalise(typed, CLASSES)
        assert normalise(once, CLASSES) == once


def test_stop_words_are_written_as_texts_come_out() -> None:
    assert all(word == word.lower() and word.isalpha() for word in STOP_WORDS)
    assert not STOP_WORDS & {"left", "right", "behind", "above", "white", "small"}


def test_singular_by_rule() -> None:
    words = {
        "ribs": "rib",
        "patches": "patch",
        "opacities": "opacity",
        "masses": "mass",
        "boxes": "box",
        "edges": "edge",
        "mass": "mass",
        "sinus": "sinus",
        "diagnosis": "diagnosis",
        "gas": "gas",
        "rib": "rib",
    }
    assert {word: singular(word) for word in words} == words


def test_normalising_again_changes_nothing_whatever_stands_beside_an_apostrophe() -> None:
    signs = ["a", "ß", "'", "\u00b4", "\u02bc", "\u0149", "\u0301", "\ufe0f", "\u200d", " "]
    for typed in itertools.product(signs, repeat=4):
        once = normalise("".join(typed))
        assert normalise(once) == once, ascii("".join(typed))
