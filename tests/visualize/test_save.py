"""Figures carry their caption, and a text for those who cannot see them."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from softcam.common import SoftCAMError
from softcam.visualize import describe, new_figure, read_alt, read_caption, save_figure, seen_in


def test_a_figure_is_found_again_with_its_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTCAM_OUT", str(tmp_path))
    path = save_figure(Figure(), "04-lambda", "Maps at four weights,\n  größer is stronger.")
    assert path == tmp_path / "figures" / "04-lambda.png"
    assert read_caption(path) == "Maps at four weights, größer is stronger."
    assert read_alt(path) == read_caption(path), "without another text the caption stands in"


def test_what_is_seen_is_kept_beside_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTCAM_OUT", str(tmp_path))
    figure, _ = new_figure()
    path = save_figure(figure, "04-lambda", "Paler.", alt="Four maps,\n  größer, each paler.")
    assert read_caption(path) == "Paler." and read_alt(path) == "Four maps, größer, each paler."
    assert seen_in(figure) == "Four maps, größer, each paler."


def test_a_notebook_gets_the_text_with_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By IPython's own formatters, pyplot's way of showing figures set up among them."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.pylabtools import select_figure_formats

    monkeypatch.setenv("SOFTCAM_OUT", str(tmp_path))
    shell = InteractiveShell()
    figure, _ = new_figure()
    save_figure(figure, "04-lambda", "Paler.", alt="Four maps, each paler than the one before.")
    for prepare in (lambda: None, lambda: select_figure_formats(shell, {"png"})):
        prepare()
        data, said = shell.display_formatter.format(figure)
        assert said["image/png"] == {"alt": "Four maps, each paler than the one before."}
        assert data["image/png"].startswith("iVBORw0KGgo"), "a PNG in base64"


def test_a_figure_that_was_not_saved_is_described() -> None:
    figure, axes = new_figure()
    axes[0, 0].set(title="Deletion", xlabel="patches", ylabel="probability")
    _, said = figure._repr_mimebundle_()
    assert said["image/png"]["alt"] == describe(figure)
    assert "probability against patches" in describe(figure)


@pytest.mark.parametrize(("name", "caption"), [("Über uns", "text"), ("a/b", "text"), ("ok", " ")])
def test_names_and_captions_are_checked(name: str, caption: str) -> None:
    with pytest.raises(SoftCAMError):
        save_figure(Figure(), name, caption)
