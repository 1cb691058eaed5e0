"""Causal truth on phantoms: what each part adds to the logits, and what a map says of it.

A phantom can be drawn again with one lesion or the marker taken out and every other pixel as it
was: its twin. What the model says of the image minus what it says of the twin is the true effect
of that one part, by intervention and without an occluding patch that the model never saw.

    effects = twin_effects(model, data, data.with_findings())
    evidence = evidence_on(maps, rows, effects.masks)     # rows: which map belongs to which part
    true = effects.effect("contrast", targets, others)    # targets, others: one class a part
    bootstrap_statistic(get_measure("twin-r2"), evidence, true, groups=effects.image)

The effects of several parts need not add up to the effect of all: a network is not linear.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from softcam.common import SoftCAMError, choose, hides_bar
from softcam.data.phantoms import GENERATOR_VERSION, PhantomOptions, Scene, draw_scene, render
from softcam.data.records import ImageSet, pack_masks

__all__ = ["TwinEffects", "is_phantom", "twin_effects"]


@dataclass(frozen=True)
class TwinEffects:
    """What each removed part adds to the logits: M parts, one row each.

    Attributes:
        image: (M,) int64, index into the `ImageSet`; several parts of one image are neighbours.
        part: (M,) lesion type or `marker`.
        change: (M, C) float64, logits(image) - logits(twin): what the part adds to each logit.
        masks: (M, H, ceil(W / 8)) uint8, where the part is (packed bits, see `pack_masks`).
        n_hidden: parts left out since their removal changes no pixel, for example behind the
            heart or smaller than the resolution shows: the model cannot react to them.
    """

    image: np.ndarray
    part: tuple[str, ...]
    change: np.ndarray
    masks: np.ndarray
    n_hidden: int = 0

    def __len__(self) -> int:
        return len(self.image)

    @property
    def n_alike(self) -> np.ndarray:
        """(M,) parts of the same type in the image, itself among them: they back each other up."""
        pairs = [f"{image} {name}" for image, name in zip(self.image, self.part, strict=True)]
        _, same, count = np.unique(pairs, return_inverse=True, return_counts=True)
        return np.asarray(count[same])

    def effect(
        self, gauge: str, targets: np.ndarray, others: np.ndarray | None = None
    ) -> np.ndarray:
        """The true effect of each part on one class, in the gauge of the map: (M,) logits.

        Args:
            gauge: `raw`, the change of the target's logit; `centred`, minus the mean change of
                all logits; `contrast`, minus the change of the logit `others`.
            targets: (M,) integers, the class that the map explains.
            others: (M,) integers, for `contrast` the class that the map is held against: that
                of the highest other logit in the image itself.

        Raises:
            SoftCAMError: another gauge, a class out of range, or a gauge that one logit or a
                call without `others` does not have.
        """
        choose("gauge", gauge, ("raw", "centred", "contrast"))
        own = self._logit("targets", targets)
        if gauge == "raw":
            return own
        if self.change.shape[1] < 2:
            raise SoftCAMError(f"one logit has no other class: gauge {gauge!r} needs two at least.")
        if gauge == "centred":
            return np.asarray(own - self.change.mean(1))
        if others is None:
            raise SoftCAMError("the contrast needs `others`, the class to compare with, a part.")
        return np.asarray(own - self._logit("others", others))

    def _logit(self, name: str, classes: np.ndarray) -> np.ndarray:
        classes, outputs = np.asarray(classes), self.change.shape[1]
        if classes.shape != (len(self),) or classes.dtype.kind not in "iu":
            raise SoftCAMError(
                f"expected {name} as one integer a part, shape ({len(self)},), found "
                f"{classes.dtype} {classes.shape}."
            )
        if len(self) and not 0 <= classes.min() <= classes.max() < outputs:
            raise SoftCAMError(
                f"{name} run from {classes.min()} to {classes.max()}, but the model has "
                f"{outputs} logits, counted from 0."
            )
        return np.asarray(self.change[np.arange(len(self)), classes])

    def arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays by name, for `np.savez`; `from_arrays` is the inverse."""
        plain = {name: getattr(self, name) for name in ("image", "change", "masks")}
        part, hidden = np.array(self.part, dtype=np.str_), np.array(self.n_hidden)
        return {**plain, "part": part, "n_hidden": hidden}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> TwinEffects:
        """From what `arrays` gave, for example an open `np.load(path, allow_pickle=False)`."""
        missing = [each.name for each in fields(cls) if each.name not in arrays]
        if missing:
            raise SoftCAMError(f"these are no twin effects: {', '.join(missing)} missing.")
        part = tuple(str(name) for name in arrays["part"])
        image, change, masks = (np.asarray(arrays[name]) for name in ("image", "change", "masks"))
        if not len(image) == len(part) == len(change) == len(masks):
            raise SoftCAMError(
                f"expected one row a part, found {len(image)} images, {len(part)} parts, "
                f"{len(change)} changes and {len(masks)} masks."
            )
        return cls(image, part, change, masks, int(arrays["n_hidden"]))


def is_phantom(data: ImageSet) -> bool:
    """Whether the images are phantoms, so that twins of them can be drawn."""
    own = {"generator", *(each.name for each in fields(PhantomOptions))}
    return set(data.options) == own and all(name.isdecimal() for name in data.ids)


def twin_effects(
    model: nn.Module,
    data: ImageSet,
    indices: Iterable[int] | np.ndarray,
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> TwinEffects:
    """Take out each lesion and the marker, one at a time, and ask the model again.

    A part whose removal changes no pixel is left out and counted in `n_hidden`. The mask of one
    lesion is where it lies itself, also under another lesion of its type; where a lesion is too
    faint for a mask but changes pixels, it is the pixels that change.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, C); put in eval mode for it and left
            as it was.
        data: a split of phantoms.
        indices: which of its images.
        batch_size: images a forward pass; the memory is bounded by it, and by a mask a part.
        progress: show a bar.

    Raises:
        SoftCAMError: no phantoms, phantoms that another version of the generator drew, an index
            out of range, or a logit that is NaN or infinite.
    """
    rows = _Rows()
    pictures = _pictures(data, _checked(data, indices), rows, progress)
    change = np.zeros((0, 1))
    logits = _ask(model, pictures, batch_size)
    if len(logits):
        change = logits[rows.original] - logits[rows.twin]
    shape = (0, data.size[0], -(-data.size[1] // 8))
    masks = np.stack(rows.masks) if rows.masks else np.zeros(shape, np.uint8)
    image = np.array(rows.image, dtype=np.int64)
    return TwinEffects(image, tuple(rows.part), change, masks, rows.n_hidden)


@dataclass
class _Rows:
    """What is known of the parts while their pictures are on the way to the model."""

    image: list[int] = field(default_factory=list)
    part: list[str] = field(default_factory=list)
    original: list[int] = field(default_factory=list)  # which picture shows the image itself
    twin: list[int] = field(default_factory=list)  # and which one the twin
    masks: list[np.ndarray] = field(default_factory=list)
    n_hidden: int = 0


def _checked(data: ImageSet, indices: Iterable[int] | np.ndarray) -> np.ndarray:
    if not is_phantom(data):
        raise SoftCAMError(
            f"{data.name} is no set of phantoms: only a phantom can be drawn again without one of "
            "its parts; for other images use deletion."
        )
    version = data.options["generator"]
    if version != GENERATOR_VERSION:
        raise SoftCAMError(
            f"version {version} of the generator drew these phantoms, this is version "
            f"{GENERATOR_VERSION}: draw the set again."
        )
    chosen = np.array(list(indices), dtype=np.int64)
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(data):
        raise SoftCAMError(
            f"indices run from {chosen.min()} to {chosen.max()}, but {data.name}/{data.split} "
            f"has {len(data)} images, counted from 0."
        )
    return chosen


def _pictures(
    data: ImageSet, indices: np.ndarray, rows: _Rows, progress: bool
) -> Iterator[np.ndarray]:
    """Each image that has a visible part, then its twins; the parts are entered in `rows`."""
    options = PhantomOptions(**{k: v for k, v in data.options.items() if k != "generator"})
    count = 0
    for index in tqdm(indices, "twins", leave=False, disable=hides_bar(progress)):
        scene = draw_scene(options, int(data.ids[index]))
        whole = render(scene)
        pixels = data.images[index].astype(int)
        if np.abs(pixels - whole.image).max() > 1:  # platforms may differ in rounding
            raise SoftCAMError(
                f"image {data.ids[index]} of {data.name} is not what its options draw: build the "
                "data set again."
            )
        original = count
        for name, twin, mask in _parts(scene, whole.masks):
            pixels = render(twin).image
            changed = whole.image != pixels
            if not changed.any():
                rows.n_hidden += 1
                continue
            if count == original:
                yield whole.image
                count += 1
            yield pixels
            rows.image.append(int(index))
            rows.part.append(name)
            rows.original.append(original)
            rows.twin.append(count)
            where = mask if mask.any() else changed.reshape(*mask.shape, -1).any(-1)
            rows.masks.append(pack_masks(where))
            count += 1


def _parts(
    scene: Scene, masks: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, Scene, np.ndarray]]:
    """Name, twin and mask of each part of a scene."""
    for number, lesion in enumerate(scene.lesions):
        mask = masks[lesion.kind]
        if len(scene.lesions_of(lesion.kind)) > 1:
            mask = mask & render(_alone(scene, number)).masks[lesion.kind]
        yield lesion.kind, scene.without(number), mask
    if scene.marker is not None:
        yield "marker", scene.without("marker"), masks["marker"]


def _alone(scene: Scene, number: int) -> Scene:
    """The scene with one lesion, in its place: cysts push each other away, so the others stay.

    They keep their height, which swells the retina, and lose their width, and so their mask.
    """
    kept = tuple(
        lesion if i == number else replace(lesion, parameters={**lesion.parameters, "rx": 1e-5})
        for i, lesion in enumerate(scene.lesions)
        if i == number or "rx" in lesion.parameters
    )
    return replace(scene, lesions=kept)


def _ask(model: nn.Module, pictures: Iterator[np.ndarray], batch_size: int) -> np.ndarray:
    """The logits of each picture, (P, C) float64."""
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    found: list[np.ndarray] = []
    waiting: list[np.ndarray] = []

    def send() -> None:
        pixels = torch.from_numpy(np.stack(waiting)).float() / 255
        colour = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
        logits = model(colour.expand(-1, 3, -1, -1).contiguous().to(device))
        found.append(logits.double().cpu().numpy())
        waiting.clear()

    with _evaluating(model), torch.no_grad():
        for picture in pictures:
            waiting.append(picture)
            if len(waiting) == batch_size:
                send()
        if waiting:
            send()
    logits = np.concatenate(found) if found else np.zeros((0, 1))
    if not np.isfinite(logits).all():
        raise SoftCAMError("the model gives a logit that is NaN or infinite: it has no effects.")
    return logits


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every module in the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
