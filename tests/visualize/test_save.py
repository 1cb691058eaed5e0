"""Figures carry their caption."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from softcam.common import SoftCAMError
from softcam.visualize.save import read_caption, save_figure


def test_a_figure_is_found_again_with_its_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTCAM_OUT", str(tmp_path))
    path = save_figure(Figure(), "04-lambda", "Maps at four weights,\n  größer is stronger.")
    assert path == tmp_path / "figures" / "04-lambda.png"
    assert read_caption(path) == "Maps at four weights, größer is stronger."


@pytest.mark.parametrize(("name", "caption"), [("Über uns", "text"), ("a/b", "text"), ("ok", " ")])
def test_names_and_captions_are_checked(name: str, caption: str) -> None:
    with pytest.raises(SoftCAMError):
        save_figure(Figure(), name, caption)
