"""Explain image files with a trained model: one picture an image, the prediction laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from softcam.common import SoftCAMError, atomic_path
from softcam.evidence import SoftCAM

__all__ = ["explain_files", "open_model"]


@dataclass(frozen=True)
class OpenedModel:
    """A trained SoftCAM with what its predictions mean: class names and image size."""

    model: SoftCAM
    classes: tuple[str, ...]
    size: int


def open_model(name: str | Path) -> OpenedModel:
    """A run directory or a shipped checkpoint as a SoftCAM; a black box is converted."""
    from softcam.checkpoints import load_checkpoint, read_record
    from softcam.convert import to_softcam
    from softcam.runs import Run

    if Path(name).is_dir():
        run = Run.open(name)
        model, classes, size = run.model(), run.classes, run.config.size
    else:
        record, model = read_record(name), load_checkpoint(name)
        classes, size = tuple(record["classes"]), int(record["config"]["size"])
    softcam = model if isinstance(model, SoftCAM) else to_softcam(model)
    return OpenedModel(softcam.eval(), classes, size)


def explain_files(
    model: str | Path,
    images: Sequence[str | Path],
    out: str | Path,
    targets: Sequence[int] | None = None,
) -> list[Path]:
    """Draw the evidence for image files and write the numbers beside the pictures.

    Args:
        model: a run directory, or a shipped checkpoint by name or path.
        images: files that `data.read_image` reads; they are resized and cropped as in training.
        out: folder for NAME.png and NAME.json (logits, probabilities, maps in logits).
        targets: the classes whose maps are drawn, counted from 0; None draws all of them, and of
            several findings (a sigmoid each) the most probable one.

    Returns:
        The pictures, in the order of the images.

    Raises:
        SoftCAMError: no images, two of one name, a file that is not a usable image, or a target
            that is no class.
    """
    opened = open_model(model)
    paths = [Path(image) for image in images]
    names = [path.stem for path in paths]
    if not paths or len(set(names)) < len(names):
        raise SoftCAMError(f"expected one or more images of different names, found {names}.")
    chosen = None if targets is None else _checked(targets, opened)
    return [_explain_one(opened, path, Path(out), chosen) for path in paths]


def _checked(targets: Sequence[int], opened: OpenedModel) -> list[int]:
    """The targets, each once; an error names the classes there are."""
    outputs = opened.model.get_classifier().out_channels
    known = ", ".join(f"{c} = {name}" for c, name in enumerate(opened.classes[-outputs:]))
    wrong = [each for each in targets if each not in range(outputs)]
    if wrong or not len(targets):
        raise SoftCAMError(f"targets are {list(targets)}, expected some of {known}.")
    return list(dict.fromkeys(targets))


def _explain_one(opened: OpenedModel, path: Path, out: Path, targets: list[int] | None) -> Path:
    from softcam.common import write_json
    from softcam.data import Geometry, read_image
    from softcam.visualize import prediction_panel

    pixels = read_image(path)
    pixels = Geometry(pixels.shape[0], pixels.shape[1], opened.size).image(pixels)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255  # (1, 3, S, S)
    explanation = opened.model.explain(x)
    logits = explanation.logits[0]
    if targets is None and explanation.link == "sigmoid":
        targets = [int(logits.argmax())]
    figure = prediction_panel(pixels, explanation, opened.classes, targets=targets, title=path.name)
    picture = out / f"{path.stem}.png"
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight", facecolor="white")
    numbers: dict[str, Any] = {
        "classes": list(opened.classes),
        "targets": list(range(len(logits))) if targets is None else targets,
        "logits": logits.tolist(),
        "probabilities": explanation.probabilities[0].tolist(),
        "bias": explanation.bias.tolist(),
        "maps": explanation.maps[0].tolist(),
        "note": "maps in logits, (C, h, w); their mean over h and w is the logit",
    }
    write_json(out / f"{path.stem}.json", numbers)
    return picture
