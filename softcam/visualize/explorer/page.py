"""An explorer on a page of its own: a notebook of one cell, for JupyterLab and for Voila."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError
from softcam.layerwise.page import write_cell

__all__ = ["show_explorer", "write_explorer"]


def write_explorer(path: str | Path, models: Sequence[str], **given: Any) -> Path:
    """Write the notebook of an explorer; return its path.

    Args:
        path: of the notebook; one that is there is replaced.
        models, given: of `show_explorer`; plain values, for they are written into the cell.
    """
    words = [repr(list(models)), *(f"{name}={value!r}" for name, value in given.items())]
    code = (
        "from softcam.visualize.explorer.page import show_explorer\n\n"
        f"show_explorer({', '.join(words)})"
    )
    return write_cell(Path(path), "explorer", code)


def show_explorer(
    models: Sequence[str],
    *,
    data: str | None = None,
    split: str = "test",
    images: int = 12,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> None:
    """Show an explorer in a notebook; what is wrong with it is shown in its place.

    Args:
        models: runs or shipped checkpoints.
        data: as in `open_data`; None takes what the first network was trained for.
        split: `train`, `val` or `test`.
        images: how many, as many of each class as of the next.
        options: keywords of the data source, over those of the training.
        seed: of the choice of images.
    """
    import ipywidgets as widgets
    from IPython import display as ipython

    from softcam.layerwise.panels import STYLE, notice
    from softcam.layerwise.records import shown
    from softcam.visualize.explorer.explorer import explore
    from softcam.visualize.explorer.pictures import deal_rows
    from softcam.visualize.explorer.subjects import Subject, data_of, open_source

    show: Any = ipython.display
    try:
        sources = [open_source(each) for each in models]
        chosen = data_of(sources[0].config, split, data=data, options=options, progress=False)
        subjects = [Subject.of(each) for each in sources]
        explorer = explore(subjects, chosen, rows=deal_rows(chosen, images, seed), progress=False)
    except SoftCAMError as error:
        show(widgets.HTML(STYLE + notice(shown(str(error), 2000), "bad")))
        return
    show(explorer.widget)
