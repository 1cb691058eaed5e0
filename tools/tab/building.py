"""Put the page together: its files, the runtime, the models, the phantoms and Python's answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from softcam.common import SoftCAMError, __version__, digest, project_root
from softcam.explain import OpenedModel, open_model
from softcam.travel import export_onnx
from tools.tab.content import MODELS, draw_pictures, write_answers, write_pictures
from tools.tab.runtime import CACHE, PAGE, PINS, copy_runtime, fetch_runtime, find_runtime, replace

__all__ = ["LARGEST", "PAGE", "build"]

NOT_COPIED = ("README.md", *PINS)
LARGEST = 20 * 10**6  # bytes of the whole page


def build(
    out: str | Path,
    *,
    models: Sequence[str] = tuple(MODELS),
    cache: str | Path = CACHE,
) -> Path:
    """Write the page into a folder, which is replaced whole, and only when the page is complete.

    Args:
        out: the folder; one that is no such page is left alone.
        models: shipped checkpoints, of one image size.
        cache: where the runtime is kept; exported models are kept in the project's `data/cache`.

    Returns:
        The folder.

    Raises:
        NoRuntime: npm is missing, or could not get the runtime.
        SoftCAMError: a package of the extra `export` is missing, `out` holds something else, or
            the page is over 20 MB.
    """
    out = Path(out)
    if out.exists() and not (out / "explorer.json").is_file() and any(out.iterdir()):
        raise SoftCAMError(f"{out} holds something else than this page: name an empty folder.")
    runtime = find_runtime(cache) or fetch_runtime(cache)
    opened = {name: open_model(name) for name in models}
    sizes = {each.size for each in opened.values()}
    if len(sizes) != 1:
        raise SoftCAMError(f"expected models of one image size, found {sorted(sizes)}.")
    pictures = draw_pictures(sizes.pop())
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        page = Path(temporary) / "page"
        shutil.copytree(PAGE, page, ignore=shutil.ignore_patterns(*NOT_COPIED))
        copy_runtime(runtime, page / "runtime")
        _write_models(opened, page)
        write_pictures(pictures, page)
        write_answers(opened, pictures, page)
        _check_size(page)
        replace(page, out)
    return out


def _write_models(opened: dict[str, OpenedModel], page: Path) -> None:
    (page / "models").mkdir()
    for name, each in opened.items():
        shutil.copy(_exported(each, name), page / "models" / f"{name}.onnx")


def _exported(opened: OpenedModel, name: str) -> Path:
    """The model as ONNX from the cache, or exported for its one image size, and checked."""
    state = opened.model.state_dict()
    weights = [f"{key} {state[key].cpu().numpy().tobytes().hex()}" for key in sorted(state)]
    key = digest(__version__, torch.__version__, opened.size, *weights, length=12)
    file = project_root() / "data" / "cache" / "tab" / "models" / f"{name}-{key}.onnx"
    if not file.is_file():
        export_onnx(opened.model, file, image_size=opened.size, dynamic_size=False)
    return file


def _check_size(page: Path) -> None:
    total = sum(file.stat().st_size for file in page.rglob("*") if file.is_file())
    if total > LARGEST:
        raise SoftCAMError(
            f"the page has {total / 1e6:.1f} MB, at most {LARGEST / 1e6:.0f} are meant: "
            "ship fewer models."
        )
