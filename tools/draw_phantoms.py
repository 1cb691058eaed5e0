"""Draw the phantoms: `figures/phantoms.png` and, with --references, the committed test images.

Usage: python tools/draw_phantoms.py [--references]
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from softcam.common import atomic_path, project_root
from softcam.data import SOURCES
from softcam.data.phantoms import LESIONS, PhantomOptions, draw_scene, render
from softcam.visualize import write_record

COLUMNS, SIDE, SEED = 6, 192, 5
TASKS = {"cxr": "multi", "oct": "multi", "fundus": "multi"}
TITLES = {"cxr": "Chest X-ray", "oct": "OCT B-scan", "fundus": "Fundus photograph"}


def write_references() -> None:
    """The 128-px images that the tests compare with, from the table beside them."""
    folder = project_root() / "tests" / "data" / "phantoms"
    table = json.loads((folder / "references.json").read_text(encoding="utf-8"))
    for name, entry in table.items():
        scene = draw_scene(PhantomOptions(**entry["options"]), entry["index"])
        with atomic_path(folder / f"{name}.png") as path:
            Image.fromarray(render(scene, 128).image).save(path, optimize=True)


def _pick(options: PhantomOptions) -> list[int]:
    """The first items of the set that show every class in turn."""
    picked: list[int] = []
    for column in range(COLUMNS):
        wanted = column % len(options.classes)
        index = picked[-1] + 1 if picked else 0
        while draw_scene(options, index).label != wanted:
            index += 1
        picked.append(index)
    return picked


def _reduce(picture: Image.Image) -> Image.Image:
    """To a palette of greys, outline colours and the reds of the lower third: a small file."""
    width, height = picture.size
    reds = picture.crop((0, 2 * height // 3, width, height)).quantize(150, kmeans=2)
    greys = [level for grey in np.linspace(0, 255, 90).round() for level in [int(grey)] * 3]
    yellow = [255, 212, 0, 200, 160, 20, 150, 125, 40, 225, 195, 90]
    colours = ((reds.getpalette() or [])[: 3 * 150] + greys + yellow)[: 3 * 256]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours + [0] * (768 - len(colours)))
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def draw_figure(path: Path) -> None:
    """Three modalities, one pair of rows each: the image, and its lesions outlined."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(6, COLUMNS, figsize=(9.0, 9.5), facecolor="white")
    for block, (modality, task) in enumerate(TASKS.items()):
        options = PhantomOptions(modality, task, size=SIDE, seed=SEED)
        for column, index in enumerate(_pick(options)):
            scene = draw_scene(options, index)
            phantom = render(scene)
            lesions = np.any([phantom.masks[name] for name in LESIONS[modality]], axis=0)
            for row in (2 * block, 2 * block + 1):
                axis = axes[row, column]
                axis.imshow(phantom.image, cmap="gray", vmin=0, vmax=255)
                axis.set_xticks([])
                axis.set_yticks([])
                for spine in axis.spines.values():
                    spine.set_visible(False)
            axes[2 * block, column].set_title(options.classes[scene.label], fontsize=9, pad=3)
            if lesions.any():
                axes[2 * block + 1, column].contour(
                    lesions, levels=[0.5], colors="#ffd400", linewidths=0.8
                )
        axes[2 * block, 0].set_ylabel(TITLES[modality], fontsize=9)
        axes[2 * block + 1, 0].set_ylabel("lesions outlined", fontsize=9)
    figure.subplots_adjust(left=0.03, right=0.995, top=0.975, bottom=0.005, wspace=0.03, hspace=0.1)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90)
    plt.close(figure)
    picture = _reduce(Image.open(buffer).convert("RGB"))
    with atomic_path(path) as temporary:
        picture.save(temporary, optimize=True)
    write_record(path, SOURCES["phantoms"])


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--references", action="store_true", help="write the test images too")
    if parser.parse_args().references:
        write_references()
    draw_figure(project_root() / "figures" / "phantoms.png")


if __name__ == "__main__":
    main()
