"""From checked tables to arrays: every image of a folder read, cropped and written, and counted."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import DataError, digest, hides_bar
from softcam.data.cache import SplitsMeta
from softcam.data.folder_findings import Findings
from softcam.data.folder_labels import Label, Labels, check_splits
from softcam.data.geometry import Geometry, clip_box
from softcam.data.images import decode_image, read_bytes, read_mask
from softcam.data.records import SPLITS
from softcam.data.writer import SplitWriter

__all__ = ["FolderBuilder"]

NAMED = 5  # as many skipped images are named in a note

log = logging.getLogger(__name__)


class FolderBuilder:
    """Turns a folder into the arrays of the cache.

    Args:
        folder: the data set.
        labels, findings: its tables, read and checked.
        size: side of the square images in pixels.
        on_error: `stop` at what cannot be used, or `skip` and count it.
        options: stored with the set.
    """

    def __init__(
        self,
        folder: Path,
        labels: Labels,
        findings: Findings,
        size: int,
        on_error: str,
        options: dict[str, Any],
    ) -> None:
        self.folder, self.labels, self.findings = folder, labels, findings
        self.size, self.on_error, self.options = size, on_error, options
        self.kept: list[Label] = []
        self.skipped: list[str] = []
        self.counts: Counter[str] = Counter()
        self.contents: dict[str, str] = {}  # file name to digest of its bytes
        self.records: dict[str, str] = {}  # file name to digest of all that is known of it

    def write(self, temporary: Path, progress: bool = True) -> SplitsMeta:
        """Write the three splits into `temporary`; warn of what was clipped or skipped."""
        from tqdm import tqdm

        total = len(self.labels.rows)
        hidden = hides_bar(progress)
        with tqdm(total=total, desc=f"reading {self.folder.name}", disable=hidden) as bar:
            for split in SPLITS:
                shape = (self.size, self.size, 3)
                with SplitWriter(temporary, split, shape, len(self.findings.names)) as writer:
                    for item in self.labels.rows:
                        if item.split == split:
                            self._append(writer, item)
                            bar.update()
        notes = [*self.labels.notes, *self._checked()]
        return SplitsMeta(
            classes=self.labels.classes,
            mask_names=self.findings.names,
            finding_names=self.findings.finding_names,
            fingerprint=self._fingerprint(),
            options=self.options,
            notes=tuple(dict.fromkeys(notes)),
        )

    def _append(self, writer: SplitWriter, item: Label) -> None:
        try:
            data = read_bytes(item.path)
            image = decode_image(data, item.path)
            geometry = Geometry(image.shape[0], image.shape[1], self.size)
            masks, known = self._masks(item, geometry)
        except DataError as error:
            if self.on_error == "stop":
                raise DataError(f"{error} Mend it, or leave it out: --on-error skip.") from error
            log.warning("left out: %s", error)
            self.skipped.append(item.filename)
            return
        annotated = bool(known) if item.annotated is None else item.annotated
        writer.append(
            geometry.image(image),
            masks,
            id=item.filename,
            label=item.label,
            patient=item.patient,
            annotated=annotated,
        )
        self.kept.append(item)
        self.contents[item.filename] = hashlib.sha256(data).hexdigest()
        self.records[item.filename] = digest(
            [item.filename, item.label, item.patient, item.split, annotated],
            self.contents[item.filename],
            known,
        )

    def _masks(self, item: Label, geometry: Geometry) -> tuple[np.ndarray, list[Any]]:
        """The masks (K, size, size) bool of one image, and a list of what they were made from."""
        masks = np.zeros((len(self.findings.names), self.size, self.size), bool)
        known: list[Any] = []
        for marked in self.findings.boxes.get(item.filename, []):
            inside = clip_box(marked.box, geometry.height, geometry.width)
            if inside is None:
                if self.on_error == "stop":
                    raise marked.row.error(
                        "x",
                        f"the box {marked.box} (x, y, width, height) lies outside the image of "
                        f"{geometry.width} x {geometry.height} pixels.",
                    )
                self.counts["boxes outside their image are left out"] += 1
                continue
            if inside != marked.box:
                self.counts["boxes are clipped at the edge of their image"] += 1
            self._add(masks, marked.kind, geometry.box_mask(inside))
            known.append([marked.kind, *marked.box])
        for kind, path in self.findings.masks.get(item.filename, []):
            mask = read_mask(path)
            if mask.shape != (geometry.height, geometry.width):
                raise DataError(
                    f"{path}: {mask.shape[1]} x {mask.shape[0]} pixels, its image "
                    f"{item.filename!r} has {geometry.width} x {geometry.height}."
                )
            if mask.any():
                self._add(masks, kind, geometry.mask(mask))
            known.append([kind, digest(np.packbits(mask).tobytes())])
        return masks, known

    def _add(self, masks: np.ndarray, kind: str, mask: np.ndarray) -> None:
        if not mask.any():
            self.counts[f"marks of class {kind!r} lie outside the central square"] += 1
        masks[self.findings.names.index(kind)] |= mask

    def _checked(self) -> list[str]:
        """What was clipped, left out or found in two splits; each is also a warning."""
        notes = list(self.findings.notes)
        notes += [f"{count} {what}." for what, count in sorted(self.counts.items())]
        if self.skipped:
            names = ", ".join(self.skipped[:NAMED]) + (" ..." if len(self.skipped) > NAMED else "")
            notes.append(f"{len(self.skipped)} images cannot be used and are left out: {names}.")
            source = self.folder / "labels.csv"
            splits, labels = [i.split for i in self.kept], [i.label for i in self.kept]
            notes += check_splits(source, splits, labels, self.labels.classes)
        notes += self._leaks()
        for note in notes:
            warnings.warn(f"{self.folder.name}: {note}", stacklevel=2)
        return notes

    def _leaks(self) -> list[str]:
        """Images whose files are identical though they lie in different splits."""
        same: dict[str, list[Label]] = {}
        for item in self.kept:
            same.setdefault(self.contents[item.filename], []).append(item)
        leaks = [items for items in same.values() if len({item.split for item in items}) > 1]
        if not leaks:
            return []
        names = " = ".join(item.filename for item in leaks[0])
        return [f"{len(leaks)} images lie in several splits under other names ({names})."]

    def _fingerprint(self) -> str:
        """SHA-256 over labels, boxes, masks and image digests, in the order of the table."""
        names = [item.filename for item in self.labels.rows if item.filename in self.records]
        return digest(
            list(self.labels.classes),
            list(self.findings.finding_names),
            [self.records[name] for name in names],
        )
