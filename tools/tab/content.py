"""What the page shows: phantoms with their twins, models in words, and what Python answers."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from softcam.common import SoftCAMError, __version__, write_json, write_text
from softcam.data import SOURCES
from softcam.data.phantoms import SPLIT_START, PhantomOptions, Scene, draw_scene, render
from softcam.explain import OpenedModel
from softcam.visualize import common_limit
from softcam.visualize.publication import MANIFEST
from softcam.visualize.style import DIVERGING

__all__ = ["MODELS", "Picture", "draw_pictures", "write_answers", "write_pictures"]

EACH = 2  # phantoms of each kind: class with and without marker

# title, and what a reader should know; nothing here is a result
MODELS: dict[str, tuple[str, str]] = {
    "cxr-sparse": (
        "sparse SoftCAM",
        "Trained with an L1 penalty on its maps, on phantoms where the marker (a letter burnt into "
        "the picture) says nothing about the class.",
    ),
    "cxr-marker": (
        "SoftCAM, marker in training",
        "The same network and penalty, but in its training every picture with an opacity had the "
        "marker, and no other. Watch where its evidence lies, and take the marker out.",
    ),
    "cxr-black-box": (
        "black box, converted",
        "An ordinary network (mean of the features, then one linear layer), trained without any "
        "map. Converted, it is the same function, and its map is its class activation map.",
    ),
}


@dataclass(frozen=True)
class Picture:
    """A phantom as the page shows it: pixels (H, W) uint8, and for each part twin and mask."""

    name: str
    title: str
    pixels: np.ndarray
    twins: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]

    def all(self) -> Iterator[tuple[str, np.ndarray]]:
        """Key of the answer and pixels: the phantom, then each twin."""
        yield self.name, self.pixels
        for part, pixels in self.twins.items():
            yield f"{self.name} {part}", pixels


def draw_pictures(size: int) -> list[Picture]:
    """The first phantoms of the test set that show each class with and without the marker."""
    options = PhantomOptions("cxr", size=size)
    wanted = {(label, marked): EACH for label in range(2) for marked in (False, True)}
    found: dict[tuple[int, bool], list[Scene]] = {kind: [] for kind in wanted}
    index = SPLIT_START["test"]
    while any(len(found[kind]) < count for kind, count in wanted.items()):
        scene = draw_scene(options, index)
        kind = (scene.label, scene.marker is not None)
        if len(found[kind]) < wanted[kind]:
            found[kind].append(scene)
        index += 1
    scenes = [(options.classes[kind[0]], scene) for kind in found for scene in found[kind]]
    return [_picture(f"{i}. {title}", scene) for i, (title, scene) in enumerate(scenes, 1)]


def _picture(title: str, scene: Scene) -> Picture:
    whole = render(scene)
    parts = {"opacity": "lesions"} if scene.lesions else {}
    if scene.marker is not None:
        parts["marker"] = "marker"
    return Picture(
        name=f"phantom-{scene.index}",
        title=f"{title}, marker" if scene.marker is not None else title,
        pixels=whole.image,
        twins={part: render(scene.without(what)).image for part, what in parts.items()},
        masks={part: whole.masks[part] for part in parts},
    )


def write_pictures(pictures: Sequence[Picture], page: Path) -> None:
    """PNGs, and beside them the record that says whose images they show."""
    folder = page / "pictures"
    folder.mkdir()
    source = SOURCES["phantoms"]
    record: dict[str, Any] = {}
    for picture in pictures:
        for key, pixels in picture.all():
            name = _file(key)
            Image.fromarray(pixels).save(folder / name, optimize=True)
            record[Path(name).stem] = {
                "source": source.name, "share": source.shares(""), "credit": source.credit,
                "licence": source.licence,
                "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()},
            }  # fmt: skip
    write_json(folder / MANIFEST, record)


def _file(key: str) -> str:
    return f"{key.replace(' ', '-without-')}.png"


def write_answers(
    opened: Mapping[str, OpenedModel], pictures: Sequence[Picture], page: Path
) -> None:
    """`explorer.json`: what there is; `expected.json`: Python's logits and maps."""
    expected: dict[str, Any] = {}
    described = []
    for name, each in opened.items():
        answers = {key: _answer(each, pixels) for p in pictures for key, pixels in p.all()}
        expected[name] = answers
        maps = [answers[picture.name]["maps"] for picture in pictures]
        described.append(_described(name, each, np.array(maps)))
    about = {
        "models": described,
        "pictures": [_listed(picture) for picture in pictures],
        "colours": _colours(),
        "versions": f"Built with softcam {__version__}, torch {torch.__version__}.",
    }
    write_json(page / "explorer.json", about)
    write_text(page / "expected.json", json.dumps(expected, separators=(",", ":")))


def _answer(opened: OpenedModel, pixels: np.ndarray) -> dict[str, Any]:
    images = torch.from_numpy(pixels).float().div(255).expand(1, 3, -1, -1)
    found = opened.model.explain(images)
    maps = found.maps[0].flatten(1).double().numpy().round(6)
    logits = found.logits[0].double().numpy().round(6)
    return {"logits": logits.tolist(), "maps": maps.tolist()}


def _described(name: str, opened: OpenedModel, maps: np.ndarray) -> dict[str, Any]:
    """What the page must know of a model; `limit` is the contribution at full colour.

    It is one number for all pictures and views: of raw and centred maps and of the contrast.
    """
    model = opened.model
    if model.link != "softmax" or not 1 < maps.shape[1] == len(opened.classes):
        raise SoftCAMError(f"{name}: the page shows softmax models of two or more classes.")
    title, says = MODELS.get(name, (name, ""))
    cells = maps - model.bias.cpu().numpy()[:, None]  # what the picture adds: the page shows these
    centred = cells - cells.mean(1, keepdims=True)
    contrasts = [cells[:, c] - cells[:, d] for c in range(cells.shape[1]) for d in range(c)]
    return {
        "name": name, "title": title, "says": says, "file": f"models/{name}.onnx",
        "classes": list(opened.classes), "size": opened.size,
        "bias": model.bias.tolist(), "mean": model.mean_colour.tolist(),
        "limit": common_limit([each / cells.shape[2] for each in (cells, centred, *contrasts)]),
    }  # fmt: skip


def _listed(picture: Picture) -> dict[str, Any]:
    parts = [
        {"part": part, "file": f"pictures/{_file(f'{picture.name} {part}')}", "mask": _packed(mask)}
        for part, mask in picture.masks.items()
    ]
    file = f"pictures/{_file(picture.name)}"
    return {"name": picture.name, "title": picture.title, "file": file, "parts": parts}


def _packed(mask: np.ndarray) -> str:
    return base64.b64encode(np.packbits(mask.ravel()).tobytes()).decode("ascii")


def _colours() -> str:
    """The 256 colours of the package's signed scale, as RGB bytes."""
    from matplotlib import colormaps

    colours = (colormaps[DIVERGING](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    return base64.b64encode(colours.tobytes()).decode("ascii")
