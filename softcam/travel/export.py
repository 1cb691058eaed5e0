"""One graph with two outputs, logits and maps: `torch.export`, and ONNX for other runtimes.

The graph takes RGB in [0, 1]; the normalisation is a part of it. Each export is run beside the
model at other batch sizes, and other image sizes where it takes them, before it counts.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, __version__, as_integer, atomic_path
from softcam.copying import own_copy
from softcam.evidence import SoftCAM
from softcam.proof import first_line, quiet
from softcam.travel.card import NOTICE

__all__ = ["Exported", "export_onnx", "export_program"]

log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # in logits, or of the largest of them where that exceeds 1
LARGEST = 5 * 2**28  # bytes; beyond 1.5 GiB the exporter puts the weights into a second file
ONE_SIZE = "the network takes one image size only"
Outputs = tuple[Tensor, Tensor]  # logits (B, C), maps (B, C, h, w)
Size = tuple[int, int]


@dataclass(frozen=True)
class Exported:
    """What an export takes, and how close it is to the model.

    Attributes:
        dynamic_size: it takes images of any size that the model takes; else only `image_size`.
            The batch is always free.
        image_size: (height, width) in pixels it was traced at.
        checked: shapes (B, 3, H, W) on which the outputs were compared.
        logit_difference: the largest |difference| of a logit, in logits.
        map_difference: the largest |difference| of a cell of a map, in logits.
        note: why the size is not free, empty where it is.
    """

    dynamic_size: bool
    image_size: Size
    checked: tuple[tuple[int, ...], ...]
    logit_difference: float
    map_difference: float
    note: str = ""


class _Both(nn.Module):
    """Logits and maps of one pass; the logits are the mean of these very maps."""

    def __init__(self, model: SoftCAM) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Outputs:
        maps = self.model.evidence_maps(images)
        return maps.mean((2, 3)), maps


def export_program(
    model: SoftCAM, *, image_size: int | Size | None = None, dynamic_size: bool | None = None
) -> tuple[torch.export.ExportedProgram, Exported]:
    """The model in eval mode as a `torch.export` program, on the CPU in float32.

    Args:
        model: stays as it is; a copy is exported.
        image_size: pixels to trace at; None takes `model.image_size`, else the size that the
            network insists on, else 224.
        dynamic_size: True or False to insist; None frees the size where the network allows it.

    Returns:
        The program, `program.module()(images)` gives (logits, maps); and what was checked.

    Raises:
        SoftCAMError: the network cannot be exported like this, or the outputs differ.
    """
    both, size = _prepared(model, image_size)

    def trace(free: bool) -> torch.export.ExportedProgram:
        return _traced(both, size, free)

    def runner(program: Any) -> Callable[[Tensor], Outputs]:
        return cast(Callable[[Tensor], Outputs], program.module())

    return _checked(both, size, dynamic_size, trace, runner)


def export_onnx(
    model: SoftCAM,
    file: str | Path,
    *,
    image_size: int | Size | None = None,
    dynamic_size: bool | None = None,
) -> Exported:
    """Write the model in eval mode as ONNX, checked with onnxruntime; float32.

    Input `images` (B, 3, H, W), RGB in [0, 1]; outputs `logits` (B, C) and `maps` (B, C, h, w).
    The file's metadata has what a reader needs besides: link, class names, image size and whether
    it is free. Needs the packages of the extra `export`.

    Args:
        model: stays as it is; a copy is exported.
        file: ends in .onnx; replaced whole, and only when the check has passed.
        image_size, dynamic_size: as in `export_program`.

    Raises:
        SoftCAMError: a package is missing, the network cannot be exported like this, or the
            outputs differ by more than 1e-4.
    """
    file = Path(file)
    if file.suffix != ".onnx":
        raise SoftCAMError(f"an ONNX file ends in .onnx, found {file.name}.")
    missing = [n for n in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(n)]
    if missing:
        raise SoftCAMError(
            f"the export needs the packages of the extra `export`: pip install {' '.join(missing)}"
        )
    both, size = _prepared(model, image_size)
    with atomic_path(file) as temporary:

        def trace(free: bool) -> Path:
            _write_onnx(both, temporary, size, free)
            return temporary

        _, exported = _checked(both, size, dynamic_size, trace, _runtime)
    return exported


def _write_onnx(both: _Both, file: Path, size: Size, free: bool) -> None:
    weight = sum(t.numel() * t.element_size() for t in both.state_dict().values())
    if weight > LARGEST:
        raise SoftCAMError(f"its weights, {weight / 2**30:.1f} GiB, are too many for one ONNX file")
    with _hushed():
        program = torch.onnx.export(
            _traced(both, size, free),  # given the module, it would try one way after the other
            (),
            input_names=["images"],
            output_names=["logits", "maps"],
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(_metadata(both.model, size, free))
        program.save(file)


def _metadata(model: SoftCAM, size: Size, free: bool) -> dict[str, str]:
    """ONNX allows words only."""
    kind = model.conversion.kind if model.conversion else "none"
    return {
        "softcam_version": __version__,
        "link": model.link,
        "class_names": json.dumps(model.class_names),
        "conversion": kind,
        "image_size": json.dumps(size),
        "dynamic_size": json.dumps(free),
        "notice": NOTICE,
    }


def _runtime(file: Path) -> Callable[[Tensor], Outputs]:
    runtime = import_module("onnxruntime")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Outputs:
        logits, maps = session.run(["logits", "maps"], {"images": images.numpy()})
        return torch.from_numpy(logits), torch.from_numpy(maps)

    return run


def _prepared(model: SoftCAM, image_size: int | Size | None) -> tuple[_Both, Size]:
    if not isinstance(model, SoftCAM):
        raise SoftCAMError(f"expected a SoftCAM, found a {type(model).__name__}: to_softcam it.")
    size = model.image_size or _fixed_size(model) or 224 if image_size is None else image_size
    height, width = (size, size) if isinstance(size, int) else size
    for side in (height, width):
        as_integer("the image size", side, 1, 10**5)
    copied = own_copy(model).to("cpu", torch.float32).to(memory_format=torch.contiguous_format)
    both = _Both(cast(SoftCAM, copied)).eval()
    return both.requires_grad_(False), (height, width)


def _fixed_size(model: SoftCAM) -> Size | None:
    """(height, width) in pixels that a network with position tables was built for."""
    net = getattr(model.backbone, "net", model.backbone)
    size = getattr(getattr(net, "patch_embed", None), "img_size", None)
    return (int(size[0]), int(size[1])) if size else None


def _traced(both: _Both, size: Size, free: bool) -> torch.export.ExportedProgram:
    """The program, with a free batch and perhaps a free size."""
    axes = (0, 2, 3) if free else (0,)
    shapes = ({axis: torch.export.Dim.DYNAMIC for axis in axes},)
    return torch.export.export(both, (_images((2, 3, *size)),), dynamic_shapes=shapes, strict=False)


def _checked(
    both: _Both,
    size: Size,
    dynamic_size: bool | None,
    trace: Callable[[bool], Any],
    runner: Callable[[Any], Callable[[Tensor], Outputs]],
) -> tuple[Any, Exported]:
    """The first of a free and a fixed size that can be traced and gives the model's outputs."""
    note = ""
    for free in (True, False) if dynamic_size is None else (dynamic_size,):
        try:
            with quiet(), torch.no_grad():
                program = trace(free)
                exported = _compared(both, runner(program), size, free, note)
            if note:
                log.warning("exported for images of %dx%d px only: %s.", *size, note)
            return program, exported
        except SoftCAMError as error:
            note = str(error)
        except Exception as error:  # exporters raise whatever the network's code leads them to
            note = f"{type(error).__name__}: {first_line(error).rstrip('.')[:200]}"
            if free and not any(_takes(both, shape) for shape in _other_sizes(size)):
                note = ONE_SIZE
    mend = " Ask for a fixed size with dynamic_size=False." if dynamic_size else ""
    raise SoftCAMError(f"this network cannot be exported at {size[0]}x{size[1]} px: {note}.{mend}")


def _compared(
    both: _Both, run: Callable[[Tensor], Outputs], size: Size, free: bool, note: str
) -> Exported:
    worst, checked = [0.0, 0.0], []
    same = [(batch, 3, *size) for batch in (1, 3)]  # two images were traced
    others = [shape for shape in _other_sizes(size) if free and _takes(both, shape)]
    if free and not others:
        raise SoftCAMError(ONE_SIZE)
    for shape in same + others:
        x = _images(shape)
        expected, found = both(x), run(x)
        for k, (own, other) in enumerate(zip(expected, found, strict=True)):
            if own.shape != other.shape:
                raise SoftCAMError(f"it gives {tuple(other.shape)} for {tuple(own.shape)}")
            far = float((own - other).abs().max())
            bar = TOLERANCE * max(1.0, float(own.abs().max()))
            if not far <= bar:
                what = ("logits", "maps")[k]
                raise SoftCAMError(f"its {what} differ by {far:.2g} at {shape[2]}x{shape[3]} px")
            worst[k] = max(worst[k], far)
        checked.append(shape)
    return Exported(free, size, tuple(checked), worst[0], worst[1], note)


def _other_sizes(size: Size) -> list[tuple[int, int, int, int]]:
    height, width = size
    return [(1, 3, height + 32, width + 64), (2, 3, height + 7, width + 19)]


def _takes(both: _Both, shape: tuple[int, int, int, int]) -> bool:
    try:
        with torch.no_grad():
            both(_images(shape))
    except Exception:  # a network may raise anything at a size it does not take
        return False
    return True


def _images(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@contextmanager
def _hushed() -> Iterator[None]:
    """The exporter warns about its own inside; what matters here is compared afterwards."""
    import warnings

    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
