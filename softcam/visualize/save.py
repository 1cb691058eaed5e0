"""Keep a figure where the report finds it, with its caption inside the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.common import SoftCAMError, atomic_path, output_root

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["read_caption", "save_figure"]


def save_figure(figure: Figure, name: str, caption: str, *, dpi: int = 120) -> Path:
    """Write `figures/NAME.png` under the notebook's output folder, atomically.

    Args:
        figure: the figure; it stays open.
        name: lower-case words joined by hyphens, beginning with the notebook's number.
        caption: what a reader who cannot see the picture should know; kept in the PNG's
            `Description`, which the report uses as caption and as alternative text.
        dpi: pixels an inch.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise SoftCAMError(f"a figure's name is like '04-lambda-and-maps', found {name!r}.")
    if not caption.strip():
        raise SoftCAMError(f"figure {name!r} needs a caption: it is also the text for the blind.")
    path = output_root() / "figures" / f"{name}.png"
    with atomic_path(path) as temporary:
        figure.savefig(
            temporary,
            dpi=dpi,
            bbox_inches="tight",
            facecolor="white",
            metadata={"Description": " ".join(caption.split())},
        )
    return path


def read_caption(path: str | Path) -> str:
    """The caption that `save_figure` put into a PNG; empty for other pictures."""
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get("Description", ""))
