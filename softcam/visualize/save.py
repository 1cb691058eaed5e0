"""Keep a figure where the report finds it, with its caption and a text for the blind inside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.common import SoftCAMError, atomic_path, output_root

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["read_alt", "read_caption", "save_figure"]


def save_figure(figure: Figure, name: str, caption: str, *, alt: str = "", dpi: int = 120) -> Path:
    """Write `figures/NAME.png` under the notebook's output folder, atomically.

    Args:
        figure: the figure; it stays open, and shows its alternative text wherever it is shown.
        name: lower-case words joined by hyphens, beginning with the notebook's number.
        caption: what the figure says; kept in the PNG's `Description`.
        alt: the alternative text: what is to be *seen*, for a reader who cannot see it. What the
            panels show, and what stands out in them; not the title again. Kept in the PNG's
            `Comment`, and the figure's label. Empty takes the caption.
        dpi: pixels an inch.

    Raises:
        SoftCAMError: a name of another form, or no caption.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise SoftCAMError(f"a figure's name is like '04-lambda-and-maps', found {name!r}.")
    if not caption.strip():
        raise SoftCAMError(f"figure {name!r} needs a caption: it is also the text for the blind.")
    caption, alt = " ".join(caption.split()), " ".join((alt or caption).split())
    figure.set_label(alt)
    path = output_root() / "figures" / f"{name}.png"
    with atomic_path(path) as temporary:
        figure.savefig(
            temporary,
            dpi=dpi,
            bbox_inches="tight",
            facecolor="white",
            metadata={"Description": caption, "Comment": alt},
        )
    return path


def read_caption(path: str | Path) -> str:
    """The caption that `save_figure` put into a PNG; empty for other pictures."""
    return _read(path, "Description")


def read_alt(path: str | Path) -> str:
    """The alternative text that `save_figure` put into a PNG, else its caption; may be empty."""
    return _read(path, "Comment") or read_caption(path)


def _read(path: str | Path, key: str) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get(key, ""))
