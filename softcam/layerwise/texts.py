"""What players typed, made comparable: the same words, however they were written.

A text becomes words of letters, digits and marks between single spaces. Nothing is interpreted:
HTML and SQL lose their signs and stay as the words they hold, an emoji is a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["MAX_TEXT", "MAX_WORD", "STOP_WORDS", "normalise", "singular"]

MAX_TEXT = 1000  # characters that are compared: more than the sentence model reads
MAX_WORD = 40  # characters of a word: longer than any in medicine that a player would type

# Words that say nothing about what was seen. Where it was seen (left, above, behind) stays.
STOP_WORDS = frozenset(
    """
    a about all almost also although always am an and another any anything are around as at be
    because been being both but by can cannot cant clue could did didnt do does doesnt doing
    dont dunno each either else even every few for from get gets give given gives got guess
    guessed had has hasnt have having he her here hers him his how however i id idea ideas idk
    if ill im in into is isnt it its itself ive just know like likely look looked looking looks
    lot made make makes many may maybe me mere might mine more most much must my myself neither
    no none nor not nothing now of off often on once one ones only onto or other others our ours
    out own part perhaps possible possibly pretty probably quite rather really saw say see
    seeing seem seemed seems seen several shall she should since so some somehow someone
    something sort still such sure than that thats the their theirs them then there theres these
    they thing things think this those though thought through to too under unsure until up upon
    us very visible was wasnt we well were what whatever when where whether which while who
    whole whose why will with within without would yes yet you your yours
    """.split()
)

# NFKC makes a space and an accent of the acute, so they are one before it, and once more after it.
_APOSTROPHES = str.maketrans(dict.fromkeys("`´\u2018\u2019\u02bc\uff07", "'"))
_INSIDE = re.compile(r"(?<=\w)'(?=\w)")
_ES = ("sses", "shes", "ches", "xes", "zes")  # plurals in -es; others take an s alone
_NO_PLURAL = ("ss", "us", "is")  # mass, sinus, diagnosis


def normalise(text: str, class_names: Sequence[str] = ()) -> str:
    """The words of a text that say what was seen, in small letters between single spaces.

    In this order: Unicode NFKC and small letters; signs, controls and halves of a surrogate pair
    become spaces, an apostrophe inside a word goes, each symbol such as an emoji stands alone;
    a word is cut at `MAX_WORD` characters; `STOP_WORDS` go; class names go, in the singular and
    the plural, for a player who types the answer has not said what was seen; the rest is cut at
    `MAX_TEXT` characters, between words.

    Returns: the text, empty where no word is left. Normalising it once more changes nothing.
    """
    words = _words(text)
    names = sorted({tuple(_words(name)) for name in class_names} - {()}, key=_longest_first)
    before = -1
    while before != len(words):  # what stood around a name may be one in its turn
        before = len(words)
        for name in names:
            words = _without(words, name)
    joined = " ".join(words)
    return joined if len(joined) <= MAX_TEXT else joined[: MAX_TEXT + 1].rpartition(" ")[0]


def singular(word: str) -> str:
    """A word without the ending of an English plural, by rule: ribs, patches, opacities.

    The rule is blind (lens gives len), so it only serves to tell whether two words that were both
    typed are forms of one.
    """
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(_ES):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(_NO_PLURAL):
        return word[:-1]
    return word


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    # Small letters of some signs, and what a joiner kept apart, are not in normal form themselves.
    plain = unicodedata.normalize("NFKC", "".join(c for c in plain if not _joins(c)))
    plain = _INSIDE.sub("", plain.translate(_APOSTROPHES))
    words = (word[:MAX_WORD] for word in "".join(map(_sign, plain)).split())
    return [word for word in words if word not in STOP_WORDS and not _only_marks(word)]


def _sign(character: str) -> str:
    """A character of a word as it is, a symbol between spaces, anything else as a space."""
    kind = unicodedata.category(character)
    if kind == "So":
        return f" {character} "
    return character if kind[0] in "LNM" else " "


def _joins(character: str) -> bool:
    """Whether it has no width: joiners, soft hyphens, variants."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"


def _only_marks(word: str) -> bool:
    """Whether nothing is there that an accent could stand on."""
    return all(unicodedata.category(character)[0] == "M" for character in word)


def _longest_first(words: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    return -len(words), words


def _without(words: list[str], name: tuple[str, ...]) -> list[str]:
    """The words without every run that is the name, its last word in the singular or plural."""
    wanted = (*name[:-1], singular(name[-1]))
    kept, at = [], 0
    while at < len(words):
        run = words[at : at + len(name)]
        if len(run) == len(name) and (*run[:-1], singular(run[-1])) == wanted:
            at += len(name)
        else:
            kept.append(words[at])
            at += 1
    return kept
