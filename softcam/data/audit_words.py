"""The findings of an audit in words that claim no more than was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softcam.data.duplicates import LIMIT, Duplicates, Patients

if TYPE_CHECKING:
    from softcam.data.auditing import Audit, Blank, Shortcut
    from softcam.data.separating import Separation

__all__ = ["blank_words", "duplicate_words", "patient_words", "shortcut_words"]

NAMED = 5  # as many pairs, patients or columns are named
TITLES = {
    "pixels": "Of the pixels",
    "file": "Of the files",
    "table": "Of the table",
}


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")


def _count(number: int, what: str) -> str:
    """`1 pair`, `2 pairs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duplicate_words(duplicates: Duplicates, images: int) -> list[str]:
    """Pairs of images, those across splits first."""
    pairs = duplicates.pairs
    if not pairs:
        return [f"No two of {images:,} images are the same or nearly so."]
    if not duplicates.complete:
        return [
            f"More than {LIMIT:,} pairs of images are alike: either the set is full of copies, or "
            "its images differ too little for this comparison."
        ]
    exact = sum(pair.exact for pair in pairs)
    names = [f"{p.ids[0]} and {p.ids[1]} ({' and '.join(dict.fromkeys(p.splits))})" for p in pairs]
    out = [
        f"{_count(len(pairs), 'pair')} of images that are the same ({exact:,}) or nearly so "
        f"({len(pairs) - exact:,}): {duplicates.count(across=True):,} across splits, "
        f"{duplicates.count(same_label=False):,} with different labels: {_some(names)}."
    ]
    if duplicates.count(across=True):
        out.append("A pair across splits is a leak: look at it, and leave one of the two out.")
    return out


def patient_words(patients: Patients) -> list[str]:
    """Patients across splits and labels, and what cannot be known."""
    out = []
    if patients.known:
        out.append(
            f"{_count(patients.known, 'patient')}: {len(patients.crossing):,} in several splits, "
            f"{len(patients.mixed):,} with images of several labels."
        )
    if patients.crossing:
        out.append(f"In several splits are {_some(list(patients.crossing))}: this is a leak.")
    if patients.unknown:
        out.append(
            f"{_count(patients.unknown, 'image')} without a patient's name: whether a patient is "
            "in several splits cannot be checked there."
        )
    return out


def _auc(found: Separation) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def shortcut_words(audit: Audit) -> list[str]:
    """What tells the classes apart without what the images show."""
    rest = "each class against the others, averaged; " if len(audit.classes) > 2 else ""
    out = [
        "Trivial features, fitted on train and measured on test: AUC with its 95 % interval; "
        f"{rest}0.5 is guessing. By chance alone, one in forty features that mean nothing has its "
        "interval above it."
    ]
    for each in audit.of_kind("seen"):
        found = each.auc
        said = f"undefined, {found.reason}" if found.reason else _auc(found)
        out.append(f"All that follow from pixels and files together: {said}.")
    for kind, title in TITLES.items():
        several = audit.of_kind(kind)
        if several:
            out.append(f"{title}: {_telling(several)}")
    if any(each.auc.tells for kind in ("pixels", "file") for each in audit.of_kind(kind)):
        out.append(
            "Such a feature may follow from the disease (an opacity is bright) or from how the "
            "image came about. It says what is enough to tell the classes apart, not what a "
            "network uses."
        )
    if audit.of_kind("table"):
        out.append(
            "Columns of the table are not shown to a network: what they tell describes the table, "
            "not the pixels, and a column made from the label tells nothing."
        )
    return out


def _telling(found: tuple[Shortcut, ...]) -> str:
    telling = [f"{each.name} {_auc(each.auc)}" for each in found if each.auc.tells]
    undefined: dict[str, list[str]] = {}
    for each in found:
        if each.auc.reason:
            undefined.setdefault(each.auc.reason, []).append(each.name)
    asked = len(found) - sum(map(len, undefined.values()))
    out = f"{len(telling)} of {asked} features tell the classes apart"
    out += f": {', '.join(telling)}." if telling else "."
    for reason, names in undefined.items():
        out += f" Nothing can be said where {reason}: {', '.join(names)}."
    return out


def blank_words(audit: Audit) -> list[str]:
    """Where the table says nothing, apart from what it says; columns that are alike together."""
    alike: dict[tuple[int, ...], list[Blank]] = {}
    for each in audit.blanks:
        alike.setdefault(each.blank, []).append(each)
    return [_blank(several, audit) for several in alike.values()]


def _blank(several: list[Blank], audit: Audit) -> str:
    first = several[0]
    parts = [
        f"{blank:,} of {images:,} images of {name!r}"
        for name, blank, images in zip(audit.classes, first.blank, first.images, strict=True)
        if images
    ]
    columns = ", ".join(each.column for each in several)
    filled = first.filled_for
    out = f"Blank in the table for {', '.join(parts)}: {columns}."
    if first.exact:
        blank = [repr(each) for c, each in enumerate(audit.classes) if c not in filled]
        out += f" That is exactly when the label is {' or '.join(blank)}."
    if len(filled) == 1:
        return (
            f"{out} Filled for {audit.classes[filled[0]]!r} alone: that they are blank tells the "
            "class, which describes the table, not the pixels; and whether their values go with "
            "the class can be neither shown nor excluded."
        )
    names = {each.column for each in several}
    telling = [s for s in audit.of_kind("blank") if s.name in names and s.auc.tells]
    if telling:
        said = ", ".join(f"{each.name} {_auc(each.auc)}" for each in telling)
        out += f" Being blank tells the classes apart, in the table, not in the pixels: {said}."
    return out
