"""The sizes of everything that an image passes on its way through a SoftCAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.evidence import SoftCAM

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["architecture_numbers", "stages"]

MOST = 6  # stages that are told apart


def stages(model: SoftCAM, image: Tensor) -> list[tuple[int, int, int]]:
    """(channels, height, width) after each stage of the backbone, the features Z last.

    A stage is a child of the backbone that changes the size; where it has fewer than three of
    them, as in VGG, a layer after which the map is smaller.

    Args:
        model: in eval mode.
        image: (3, H, W) in [0, 1].
    """
    tops = [child for _, child in model.backbone.named_children()]
    while len(tops) == 1 and list(tops[0].children()):  # a wrapper around the net
        tops = list(tops[0].children())
    found = _sizes(model, tops, image)
    if len({size[1:] for size in found}) < 3:
        leaves = [m for m in model.backbone.modules() if not list(m.children())]
        found = _sizes(model, leaves, image)
    last = {size[1:]: size for size in found}  # the last of each height and width
    kept = [size for i, size in enumerate(found) if i == 0 or size != found[i - 1]]
    if len(kept) > MOST:
        kept = list(last.values())
    return kept[-MOST:]


@torch.no_grad()
def _sizes(model: SoftCAM, modules: list[nn.Module], image: Tensor) -> list[tuple[int, int, int]]:
    found: list[tuple[int, int, int]] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            channels, height, width = output.shape[1:]
            found.append((channels, height, width))

    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        z = model.forward_features(image[None])
    finally:
        for hook in hooks:
            hook.remove()
    channels, height, width = z.shape[1:]
    return [*found, (channels, height, width)]


def architecture_numbers(model: SoftCAM, image: Tensor) -> pd.DataFrame:
    """What `draw_architecture` draws: part, channels, height, width, parameters, value.

    `value` is the logit or probability of a class; parameters are those of the part alone.
    """
    import pandas as pd

    if not isinstance(model, SoftCAM):
        raise SoftCAMError(
            f"an architecture is drawn of a SoftCAM, found {type(model).__name__}: to_softcam(it)."
        )
    each = stages(model, image)
    rows: list[dict[str, object]] = [_part("image", 3, *image.shape[1:])]
    rows += [_part(f"stage {k}", *size) for k, size in enumerate(each[:-1], 1)]
    inside = sum(p.numel() for p in model.backbone.parameters())
    rows.append(_part("features Z", *each[-1]) | {"parameters": inside})
    explained = model.explain(image[None])
    head = sum(p.numel() for p in model.evidence.parameters())
    rows.append(_part("evidence maps A", *explained.maps.shape[1:]) | {"parameters": head})
    for name, values in (("logit", explained.logits), ("probability", explained.probabilities)):
        rows += [_part(f"{name} {c}", 1, 1, 1) | {"value": float(v)}
                 for c, v in enumerate(values[0])]  # fmt: skip
    return pd.DataFrame(
        rows, columns=["part", "channels", "height", "width", "parameters", "value"]
    )


def _part(name: str, channels: int, height: int, width: int) -> dict[str, object]:
    return {"part": name, "channels": channels, "height": height, "width": width}
