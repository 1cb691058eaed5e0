"""What a model says of occluded images: deletion, insertion, and the image under its own map.

Deletion hides the brightest tiles one by one; insertion starts from the hidden image and shows
them, the brightest first; `masked` multiplies the image with the map (Opti-CAM). What the answers
mean is in `faithfulness.py`.

Occlusion on each method's own network compares networks as much as maps: to compare maps, rank
the tiles of one and the same network by each of them, by chance, and by the true mask.

Sources: SoftCAM, figure 3; Petsiuk et al., RISE, BMVC 2018; Zhang et al., Opti-CAM, CVIU 2024.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, choose
from softcam.metrics.fills import Fill, Paint, fill_name, painter
from softcam.metrics.masking import as_mask, hide_by_rank, tile_ranks

__all__ = ["OcclusionScores", "Question", "occlusion_scores"]

Question = Literal["deletion", "insertion", "masked"]
QUESTIONS = ("deletion", "insertion", "masked")


@dataclass(frozen=True)
class OcclusionScores:
    """What a model says of occluded images, image by image, at S points.

    Attributes:
        labels: (B,) int, the class (index of the logit) that is watched.
        predicted: (B, S) bool, it is the prediction.
        probability: (B, S) float64, its probability.
        complement: (B, S) float64, 1 - probability, from the other logits: exact near 1 as well.
        confidence: (B, S) float64, the largest probability of any output.
        finite: (B,) bool, the map could be ranked (no NaN, no infinity).
        classes: (B,) int, the image's own label.
    """

    labels: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray
    complement: np.ndarray
    confidence: np.ndarray
    finite: np.ndarray
    classes: np.ndarray

    def __post_init__(self) -> None:
        images = self.labels.shape[0] if self.labels.ndim == 1 else -1
        flat, points = (images,), (images, self.predicted.shape[-1] if self.predicted.ndim else 0)
        for name, array in self.arrays().items():
            expected = flat if name in ("labels", "finite", "classes") else points
            if array.shape != expected:
                raise SoftCAMError(
                    f"expected one row an image in all arrays, found {name} of shape "
                    f"{array.shape} where {self.labels.shape[0]} images have labels."
                )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def points(self) -> int:
        """S, how many times the model was asked about each image."""
        return int(self.predicted.shape[1])

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything by name, to be kept on disk."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> OcclusionScores:
        """What `arrays` gave."""
        names = {each.name for each in fields(cls)}
        if set(arrays) != names:
            raise SoftCAMError(f"expected the arrays {sorted(names)}, found {sorted(arrays)}.")
        return cls(**{name: np.asarray(arrays[name]) for name in names})

    @classmethod
    def concatenate(cls, parts: Iterable[OcclusionScores]) -> OcclusionScores:
        """The images of several batches, one after the other."""
        found = [part.arrays() for part in parts]
        if not found:
            raise SoftCAMError("there are no images: the model was asked nothing.")
        return cls(**{name: np.concatenate([each[name] for each in found]) for name in found[0]})


def occlusion_scores(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    *,
    question: Question = "deletion",
    fill: Fill = "mean-colour",
    protocol: Literal["corrected", "paper"] = "corrected",
    classes: np.ndarray | Tensor | None = None,
    keys: Sequence[int | str] | None = None,
    seed: int = 0,
    chunk: int = 64,
) -> OcclusionScores:
    """Occlude each image in the order of its map and ask the model each time.

    Points: `deletion` 30, after 0 to 29 tiles; `insertion` 21, at 0, 5, ..., 100 % of the tiles;
    `masked` 2, the untouched image and x * n(up(S)) (Opti-CAM, eqs. 4 and 10), the map scaled to
    [0, 1] and multiplied before the normalisation; a constant map blackens the image.
    The model is put in eval mode for it and left as it was.

    Args:
        model: `BlackBox`, `SoftCAM`, or any module from (B, 3, H, W) in [0, 1] to logits (B, C)
            with `.probabilities(logits)` and `.link`. With a sigmoid link each output stands
            alone and is predicted where its probability exceeds 0.5.
        images: (B, 3, H, W) float in [0, 1].
        maps: (B, h, w), raw and signed, of the target class. Where a map has a NaN or an
            infinity, `finite` is False, and every measure excludes the image.
        targets: (B,) integers: the class that is watched.
        question: `deletion`, `insertion` or `masked`.
        fill: `mean-colour`, `blur`, `linear`, or a colour (3,) in [0, 1]; not used by `masked`.
        protocol: `paper` ranks the tiles as the public code does: deletion with mean colour, at
            512 and 496 px.
        classes: (B,) integers, the images' own labels; None takes the targets.
        keys: (B,) what names an image, for the noise of `linear`; None takes its place here.
        seed: of that noise.
        chunk: images a forward pass; bounds the memory.

    Raises:
        SoftCAMError: shapes that do not fit, a class out of range, a model without mean colour,
            an unknown question or fill, NaN logits.
    """
    choose("question", question, QUESTIONS)
    choose("protocol", protocol, ("corrected", "paper"))
    own = targets if classes is None else torch.as_tensor(classes)
    _check(images, maps, targets, own, keys, chunk)
    if protocol == "paper" and (question, fill_name(fill)) != ("deletion", "mean-colour"):
        raise SoftCAMError(
            f"protocol='paper' is deletion with fill='mean-colour', found {question} with "
            f"{fill_name(fill)}."
        )
    parameter = next(model.parameters(), images)
    images = images.detach().to(parameter.device)
    finite = maps.detach().isfinite().flatten(1).all(1).cpu()
    clean = torch.where(finite[:, None, None], maps.detach().cpu(), 0)
    if question == "masked":
        paint, points = _under(images, as_mask(clean, (images.shape[2], images.shape[3]))), 2
    else:
        hiding = hide_by_rank(_ranks(images, clean, protocol), question).to(images.device)
        paint = painter(fill, model, images, hiding, keys, seed)
        points = len(hiding.counts)
    logits = _ask(model, images, paint, points, targets, chunk)
    return OcclusionScores(
        labels=targets.cpu().numpy().astype(np.int64),
        finite=finite.numpy(),
        classes=own.cpu().numpy().astype(np.int64),
        **_answers(model, logits, targets.cpu(), points),
    )


def _ranks(images: Tensor, maps: Tensor, protocol: str) -> Tensor:
    """(B, H, W): the place of each pixel's tile, the brightest first."""
    if protocol == "paper":
        from softcam.metrics.paper.tiles import paper_tile_ranks

        return paper_tile_ranks(images, maps)
    return tile_ranks(maps, (images.shape[2], images.shape[3]))


def _under(images: Tensor, masks: Tensor) -> Paint:
    """The untouched image, then the image under its mask (B, H, W)."""
    factors = torch.stack([torch.ones_like(masks), masks], 1)[:, :, None]
    factors = factors.to(images.dtype).to(images.device)

    def paint(image: int, points: slice, out: Tensor) -> None:
        torch.mul(images[image], factors[image, points], out=out)

    return paint


def _ask(
    model: nn.Module, images: Tensor, paint: Paint, points: int, targets: Tensor, chunk: int
) -> Tensor:
    """The logits of every image at every point, (B * S, C) float64 on the CPU."""
    total = len(images) * points  # all (image, point) pairs in one row: every pass is full
    logits = []
    with _evaluating(model), torch.no_grad():
        for start in range(0, total, chunk):
            stop = min(start + chunk, total)
            x = images.new_empty((stop - start, *images.shape[1:]))
            at = start
            while at < stop:
                image, point = divmod(at, points)
                n = min(stop - at, points - point)
                paint(image, slice(point, point + n), x[at - start : at - start + n])
                at += n
            logits.append(model(x))
            if start == 0 and int(targets.max()) >= logits[0].shape[1]:
                raise SoftCAMError(
                    f"target {int(targets.max())} is out of range: the model has "
                    f"{logits[0].shape[1]} outputs, counted from 0."
                )
    found = torch.cat(logits).cpu().double()
    if not bool(found.isfinite().all()):
        raise SoftCAMError("the model gives a NaN or an infinite logit on occluded images.")
    return found


def _answers(
    model: nn.Module, logits: Tensor, targets: Tensor, points: int
) -> dict[str, np.ndarray]:
    """Predicted, probability, complement and confidence, (B, S) each."""
    watched = targets.long().repeat_interleave(points)[:, None]
    every: Tensor = model.probabilities(logits)  # type: ignore[operator]
    probability = every.gather(1, watched)[:, 0]
    if model.link == "sigmoid":  # each output stands alone
        predicted = probability > 0.5  # at 0.5 class 0, as everywhere
        complement = model.probabilities(-logits).gather(1, watched)[:, 0]  # type: ignore[operator]
    else:
        predicted = logits.argmax(1) == watched[:, 0]
        complement = every.scatter(1, watched, 0.0).sum(1)
    found = {
        "predicted": predicted,
        "probability": probability,
        "complement": complement,
        "confidence": every.amax(1),
    }
    return {name: each.reshape(-1, points).numpy() for name, each in found.items()}


def _check(
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    classes: Tensor,
    keys: Sequence[int | str] | None,
    chunk: int,
) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or maps.ndim != 3 or targets.ndim != 1:
        raise SoftCAMError(
            "expected images (B, 3, H, W), maps (B, h, w) and targets (B,), found "
            f"{tuple(images.shape)}, {tuple(maps.shape)} and {tuple(targets.shape)}."
        )
    if not images.is_floating_point() or not maps.is_floating_point() or 0 in maps.shape[1:]:
        raise SoftCAMError(
            f"expected images in [0, 1] and maps of at least one cell as floats, found "
            f"{images.dtype} and {maps.dtype} {tuple(maps.shape)}."
        )
    if not len(images) == len(maps) == len(targets) or not len(images):
        raise SoftCAMError(
            f"expected one map and one target an image, found {len(images)} images, "
            f"{len(maps)} maps and {len(targets)} targets."
        )
    if classes.shape != targets.shape or (keys is not None and len(keys) != len(images)):
        raise SoftCAMError(
            f"expected one class and one key an image, found classes {tuple(classes.shape)} and "
            f"{len(images) if keys is None else len(keys)} keys for {len(images)} images."
        )
    if targets.is_floating_point() or int(targets.min()) < 0 or chunk < 1:
        raise SoftCAMError(
            f"expected targets >= 0 as integers and chunk >= 1, found {targets.dtype}, "
            f"smallest {targets.min()}, and chunk={chunk}."
        )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every module in the mode it had (batch norm may be frozen)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
