"""The last step of a preparation: tables, manifest, fingerprint and notes over all chunks."""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import DataError, digest
from softcam.data.cache import MANIFEST, SplitsMeta
from softcam.data.catalogue import Catalogue
from softcam.data.one_image import Recipe
from softcam.data.parts import Chunk, Parts
from softcam.data.records import SPLITS
from softcam.data.splitting import check_splits
from softcam.data.views import view_of
from softcam.data.writer import COLUMNS, ArrayWriter, label_text, write_table

__all__ = ["MANIFEST_COLUMNS", "assemble"]

MANIFEST_COLUMNS = (
    "id", "split", "source", "sha256", "width", "height", "crop", "transform", "version",
)  # fmt: skip
NAMED = 5  # as many images are named in a note
GEOMETRY = 1  # counts up when `geometry` would make other pixels of the same picture

log = logging.getLogger(__name__)


class Ledger:
    """What is known of all images, read from the finished chunks one after the other."""

    def __init__(self, parts: Parts, chunks: list[Chunk], recipe: Recipe, total: int) -> None:
        self.parts, self.chunks, self.recipe = parts, chunks, recipe
        self.counts: Counter[str] = Counter()
        self.skipped: list[str] = []
        self.remarks: dict[str, list[str]] = {}  # notes of pictures, and the images of each
        self.records: list[str] = [""] * total  # by place in the catalogue; skipped ones are blank
        self.contents: dict[bytes, list[tuple[str, str]]] = {}  # of each file: split and id
        self.kept: dict[str, np.ndarray] = {}

    def rows(self, split: str) -> Iterator[dict[str, Any]]:
        """The rows of a split in order, while everything else is counted."""
        kept = np.zeros(self.parts.counts[split], bool)
        for chunk in self.chunks:
            if chunk.split != split:
                continue
            found = self.parts.done(chunk, self.recipe.on_error)
            if found is None:
                raise DataError(
                    f"{self.parts.folder}: a part is gone; has another process deleted it? Call "
                    "again, it goes on from the others."
                )
            self.counts.update(found["counts"])
            for name, message in found["skipped"]:
                log.warning("left out: %s", message)
                self.skipped.append(name)
            for place, (row, position) in enumerate(
                zip(found["rows"], chunk.positions, strict=True), chunk.start
            ):
                if row is None:
                    continue
                kept[place] = True
                self.records[position] = row["record"]
                for note in row["notes"]:
                    self.remarks.setdefault(note, []).append(row["id"])
                content = bytes.fromhex(row["sha256"])
                self.contents.setdefault(content, []).append((split, row["id"]))
                yield row
        self.kept[split] = kept

    def leaks(self) -> list[str]:
        """Images whose files are identical though they lie in different splits."""
        leaks = [same for same in self.contents.values() if len({split for split, _ in same}) > 1]
        if not leaks:
            return []
        names = " = ".join(name for _, name in leaks[0][:NAMED]) + " ..." * (len(leaks[0]) > NAMED)
        return [f"{len(leaks)} images lie in several splits under other names ({names})."]


def assemble(
    folder: Path,
    recipe: Recipe,
    parts: Parts,
    chunks: list[Chunk],
    catalogue: Catalogue,
    options: dict[str, Any],
) -> SplitsMeta:
    """Move the finished arrays into `folder`, write their tables; warn of what was left out.

    The fingerprint is a SHA-256 over class names, finding names, and of every image, in the order
    of the catalogue, over its id, label, patient, split, marks and the digest of its file.
    """
    ledger = Ledger(parts, chunks, recipe, len(catalogue.items))
    view = view_of(recipe.view)
    transform = f"{recipe.view}, short side to {recipe.size} bilinear, central square"
    made = (transform, f"{view.version}.{GEOMETRY}")
    manifest: list[tuple[Any, ...]] = []
    labels: list[Any] = []
    for split in SPLITS:
        (folder / split).mkdir()
        table = []
        for row in ledger.rows(split):
            text = label_text(row["label"])
            table.append((row["id"], text, row["patient"], int(row["annotated"])))
            manifest.append((row["id"], split, *_source(row), *made))
            labels.append(row["label"])
        write_table(folder / split / "table.csv", COLUMNS, table)
    notes = _notes(ledger, recipe, catalogue, [row[1] for row in manifest], labels)
    write_table(folder / MANIFEST, MANIFEST_COLUMNS, manifest)
    for split in SPLITS:
        for file in ("images", "masks"):
            _move(parts, split, file, ledger.kept[split], folder / split / f"{file}.npy")
    other_view = [] if recipe.view == "image" else [[recipe.view, view.version]]
    return SplitsMeta(
        classes=tuple(catalogue.classes),
        mask_names=tuple(catalogue.mask_names),
        finding_names=tuple(catalogue.finding_names),
        fingerprint=digest(
            list(catalogue.classes),
            list(catalogue.finding_names),
            [record for record in ledger.records if record],
            *other_view,
        ),
        options=options,
        notes=tuple(dict.fromkeys(notes)),
        multi_label=catalogue.multi_label,
        source=str(recipe.store.path.absolute()),
        expected={split: tuple(counts) for split, counts in catalogue.expected.items()},
    )


def _source(row: dict[str, Any]) -> tuple[Any, ...]:
    """File, SHA-256, stored width and height, crop."""
    crop = " ".join(f"{value:g}" for value in row["crop"] or ())
    return row["name"], row["sha256"], row["width"], row["height"], crop


def _notes(
    ledger: Ledger, recipe: Recipe, catalogue: Catalogue, splits: list[str], labels: list[Any]
) -> list[str]:
    """What was clipped, left out or found in two splits, which is also warned of; then remarks."""
    notes = [f"{count} {what}." for what, count in sorted(ledger.counts.items())]
    if ledger.skipped:
        names = _named(ledger.skipped)
        notes.append(f"{len(ledger.skipped)} images cannot be used and are left out: {names}")
        place = f"{recipe.store.path / catalogue.table}, column 'split'"
        notes += check_splits(place, splits, labels, catalogue.classes)
    notes += ledger.leaks()
    for note in [*catalogue.warnings, *notes]:
        warnings.warn(f"{recipe.store.path.name}: {note}", stacklevel=2)
    remarks = sorted(ledger.remarks.items())
    return notes + [f"{len(ids)} images {what}: {_named(ids)}" for what, ids in remarks]


def _named(ids: list[str]) -> str:
    """The first of some images, as the end of a sentence."""
    return ", ".join(ids[:NAMED]) + (" ..." if len(ids) > NAMED else ".")


def _move(parts: Parts, split: str, file: str, kept: np.ndarray, target: Path) -> None:
    """An array into its folder; where images were left out, a copy without their places."""
    path = parts.array(split, file)
    if kept.all():
        os.replace(path, target)
        return
    source = np.load(path, mmap_mode="r")
    writer = ArrayWriter(target, parts.shape(split, file)[1:])
    for place in np.flatnonzero(kept):
        writer.append(source[place])
    writer.close()
