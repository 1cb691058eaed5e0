"""Keep a figure of the paper: PNG, PDF, the numbers behind it, and what it was made from.

`NAME.png` (300 dpi), `NAME.pdf` (TrueType fonts) and `NAME.csv` lie side by side, and
`manifest.json` has an entry a figure: inputs with their digests, parameters, versions, the
alternative text, and credit and licence of every image shown. The same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import torch

from softcam.common import (
    SoftCAMError,
    __version__,
    atomic_path,
    digest,
    project_root,
    read_json,
    write_json,
    write_text,
)
from softcam.data.registry import source_of
from softcam.visualize.paper.looks import DPI, paper_style
from softcam.visualize.publication import MANIFEST, TAG, is_private
from softcam.visualize.style import describe

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from softcam.data.registry import Source

__all__ = ["ShownImage", "drop_stale_figures", "save_paper_figure"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShownImage:
    """An image that a figure shows.

    Attributes:
        data: the data set as `open_data` takes it, `phantoms:cxr` or `folder:PATH`.
        split: train, val or test.
        id: the image's name in it.
    """

    data: str
    split: str
    id: str

    @property
    def source(self) -> Source:
        return source_of(self.data.partition(":")[0])

    @property
    def shared(self) -> bool:
        """Whether it may be published."""
        return self.source.shares(self.data.partition(":")[2])

    def record(self) -> dict[str, str]:
        """The image with its credit and licence, without the place where it lies."""
        name = Path(self.data.partition(":")[2]).name
        kept = {**asdict(self), "data": f"{self.source.name}:{name}"}
        return {**kept, "credit": self.source.credit, "licence": self.source.licence}


def save_paper_figure(
    figure: Figure,
    name: str,
    table: pd.DataFrame,
    out: str | Path,
    *,
    inputs: Iterable[str | Path],
    parameters: Mapping[str, Any],
    images: Sequence[ShownImage] = (),
    caption: str = "",
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Write `NAME.png`, `NAME.pdf`, `NAME.csv` and the figure's entry in `manifest.json`.

    Args:
        figure: at its printed size, see `paper_figure`.
        name: lower-case words joined by hyphens.
        table: the numbers that are drawn, no more and no fewer.
        out: the folder.
        inputs: the files that the numbers come from.
        parameters: what was chosen, as JSON-able values.
        images: every image that is shown.
        caption: what a reader should know; it opens the alternative text.
        texts: further files of the same name, ending to text, such as `{"tex": ...}`.

    Returns:
        The path of the PNG.

    Raises:
        SoftCAMError: the name is none, an image may not be published and git keeps the folder, or
            the folder's manifest is damaged.
    """
    out = Path(out).expanduser().absolute()
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise SoftCAMError(f"a figure's name is like 'lambda-path', found {name!r}.")
    closed = sorted({each.record()["data"] for each in images if not each.shared})
    if closed and not is_private(out / f"{name}.png"):
        raise SoftCAMError(
            f"{out} is kept by git, and {name} shows images of {', '.join(closed)}, which may not "
            "be published: write below runs/ of the project, or outside of any checkout."
        )
    alt = " ".join(f"{caption} {describe(figure)}".split())
    files = _pictures(figure, out / name, alt, "no" if closed else "yes")
    files += [_numbers(table, out / f"{name}.csv")]
    for ending, text in (texts or {}).items():
        files.append(write_text(out / f"{name}.{ending}", text))
    entry = {
        "alt": alt,
        "files": {path.name: _digest(path) for path in files},
        "images": [each.record() for each in images],
        "inputs": {_place(path): _digest(path) for path in map(Path, inputs)},
        "parameters": dict(parameters),
        "share": not closed,
        "versions": _versions(),
    }
    _enter(out / MANIFEST, name, entry)
    return out / f"{name}.png"


def drop_stale_figures(out: str | Path, folder: str | Path, drawn: Iterable[str]) -> list[str]:
    """Remove the figures of a folder's tables as they were before that are not drawn any more.

    What could not be drawn this time, of tables that are still the same, stays; so do figures from
    other folders, and a file that somebody has changed since.

    Args:
        out: where the figures and their manifest are.
        folder: of the tables.
        drawn: the names of the figures that the tables give now.

    Returns:
        The names of the figures that are gone.
    """
    out = Path(out).expanduser().absolute()
    manifest, kept = out / MANIFEST, set(drawn)
    if not manifest.is_file():
        return []
    with _locked(manifest):
        entries = read_json(manifest)
        stale = {
            name: entry
            for name, entry in entries.items()
            if name not in kept and _outdated(entry["inputs"], Path(folder), out)
        }
        for name, entry in stale.items():
            for file, sum_then in entry["files"].items():
                if (out / file).is_file() and _digest(out / file) == sum_then:
                    (out / file).unlink()
            log.info("%s: %s is not drawn any more and was removed", out, name)
        if stale:
            write_json(manifest, {n: each for n, each in entries.items() if n not in stale})
    return sorted(stale)


def _outdated(inputs: Mapping[str, str], folder: Path, out: Path) -> bool:
    """Whether a manifest's inputs are all files of a folder, and one is not as it was.

    Outside of the project a name is all there is: it counts for the folder's own figures only.
    """
    real, root = folder.resolve(), project_root()
    if real.is_relative_to(root):
        here = [real.relative_to(root).as_posix()]
    else:
        here = ["."] if out.resolve().is_relative_to(real) else []
    parents = {PurePosixPath(name).parent.as_posix() for name in inputs}
    if not parents <= set(here):
        return False
    now = {name: folder / PurePosixPath(name).name for name in inputs}
    return any(not now[n].is_file() or _digest(now[n]) != then for n, then in inputs.items())


def _pictures(figure: Figure, stem: Path, alt: str, share: str) -> list[Path]:
    """Both pictures, without a date, so that they change only with what they show."""
    png, pdf = (stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "pdf"))
    with paper_style():
        with atomic_path(png) as temporary:
            said: dict[str, Any] = {"Description": alt, TAG: share, "Software": None}
            small = {"optimize": True}
            figure.savefig(temporary, dpi=DPI, facecolor="white", metadata=said, pil_kwargs=small)
        with atomic_path(pdf) as temporary:
            said = {"Title": stem.name, "Subject": alt, "CreationDate": None}
            figure.savefig(temporary, dpi=DPI, facecolor="white", metadata=said)
    return [png, pdf]


def _numbers(table: pd.DataFrame, path: Path) -> Path:
    return write_text(path, table.to_csv(index=False, lineterminator="\n", na_rep="-"))


def _enter(manifest: Path, name: str, entry: dict[str, Any]) -> None:
    """Put one entry among the others; several processes may do so at a time."""
    with _locked(manifest):
        others = read_json(manifest) if manifest.is_file() else {}
        write_json(manifest, {**others, name: entry})


def _locked(manifest: Path) -> AbstractContextManager[object]:
    from filelock import FileLock

    return FileLock(
        Path(tempfile.gettempdir()) / f"softcam-{digest(str(manifest), length=16)}.lock"
    )


def _place(path: Path) -> str:
    """A path as the manifest names it: in the project, or the name alone."""
    real, root = path.resolve(), project_root()
    return real.relative_to(root).as_posix() if real.is_relative_to(root) else real.name


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _versions() -> dict[str, str]:
    import matplotlib

    return {
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "matplotlib": matplotlib.__version__,
        "softcam": __version__,
    }
