"""The models of the runs under evaluation, each with the methods that apply to it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch

from softcam.backbones import parse_model_name
from softcam.bcos import BCOS
from softcam.common import SoftCAMError, digest
from softcam.data.records import ImageSet
from softcam.evidence import SoftCAM
from softcam.explainers import Explainer
from softcam.shards import code_digest
from softcam.wrappers import BlackBox

__all__ = ["Model", "RunLike", "Subject", "open_run", "subjects", "task_of"]

log = logging.getLogger(__name__)
Model = BlackBox | SoftCAM


class RunLike(Protocol):
    """What an evaluation needs of a run; `softcam.runs.Run` is one.

    With an attribute `path`, a folder, what is costly is kept in `path/cache` for the next time.
    """

    @property
    def id(self) -> str: ...
    @property
    def arm(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def lambdas(self) -> tuple[float, float]: ...
    @property
    def config(self) -> Any: ...
    def model(self) -> Model: ...
    def converted(self) -> SoftCAM: ...
    def data(self, split: str) -> ImageSet: ...


@dataclass
class Subject:
    """One model under evaluation.

    Attributes:
        run: where it comes from.
        arm: the run's, or `converted`.
        methods: explainers that apply to it.
        data: the split.
        cache: folder for what is costly; None keeps it in memory.
        keys: the columns that are the same in all its rows.
        outputs: number of logits, known once it was loaded.
        digest: of everything its predictions depend on, known once it was loaded.
    """

    run: RunLike
    arm: str
    methods: list[Explainer]
    data: ImageSet
    cache: Path | None
    keys: Mapping[str, Any]
    outputs: int = field(default=0, init=False)
    digest: str = field(default="", init=False)

    @property
    def name(self) -> str:
        return f"{self.run.id} ({self.arm})"

    def seen_as(self, **changes: Any) -> Subject:
        """The same model with other methods, data or keys."""
        other = replace(self, **changes)
        other.outputs, other.digest = self.outputs, self.digest
        return other

    def key(self, **more: Any) -> dict[str, Any]:
        """What an answer of this model about an image of these data depends on, for `Shards`."""
        data = self.data
        return {
            "model": self.digest,
            "data": [data.fingerprint, data.split, *data.size, _ids_digest(data.ids)],
            "code": code_digest(),
            **more,
        }

    def load(self) -> Model:
        """The model in eval mode, on the GPU where there is one."""
        model = self.run.converted() if self.arm == "converted" else self.run.model()
        if not self.digest:
            self.digest = model_digest(model)
            self.outputs = outputs_of(model, self.data)
        model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        # A third less time on a CPU; the same values up to the order of the sums.
        return model.to(memory_format=torch.channels_last)


def model_digest(model: Model) -> str:
    """SHA-256 over the architecture and every weight and buffer, the normalisation's too."""
    parts: list[Any] = [repr(model), model.link]
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        value = value.detach().cpu().contiguous()
        parts += [f"{name} {value.dtype} {tuple(value.shape)}"]
        parts += [value.view(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""]
    return digest(*parts)


@lru_cache(maxsize=4)
def _ids_digest(ids: tuple[str, ...]) -> str:
    return digest(*ids)


@torch.no_grad()
def outputs_of(model: Model, data: ImageSet) -> int:
    """Number of logits."""
    return int(model(data.batch([0])).shape[1])


def task_of(data: ImageSet) -> str:
    """What is learned from a set, as the tables call it."""
    if data.multi_label:
        return "multi-label"
    return "binary" if len(data.classes) == 2 else "multi-class"


def open_run(run: RunLike | str | Path) -> RunLike:
    """A run as it is, or the one in this folder."""
    from softcam.runs import Run

    return Run.open(run) if isinstance(run, str | Path) else run


def subjects(
    run: RunLike,
    methods: Sequence[Explainer],
    split: str,
    profile: str,
    cache: bool,
    post_hoc: Collection[str] = ("black-box",),
) -> list[Subject]:
    """The models of a run: itself and, where the head allows it, the converted black box.

    Post-hoc methods explain the arms, or runs by their id, in `post_hoc`; `converted` has its own
    evidence maps and not one weight changed. A B-cos network explains itself: no other method is
    put upon it.
    """
    data = run.data(split)
    path = getattr(run, "path", None)
    root = Path(path) / "cache" if cache and path is not None else None

    def subject(arm: str, allowed: tuple[str, ...]) -> Subject:
        chosen = [method for method in methods if method.needs in allowed]
        return Subject(run, arm, chosen, data, root, _keys(run, arm, data, profile))

    if parse_model_name(run.config.model)[0] in BCOS:
        return [subject(run.arm, ("b-cos", "nothing"))]
    asked = run.arm in post_hoc or run.id in post_hoc
    also = ("features", "images") if asked else ()
    if run.arm != "black-box":
        return [subject(run.arm, ("evidence", "nothing", *also))]
    found = [subject(run.arm, ("nothing", *also))]
    if _converts(run):
        found.append(subject("converted", ("evidence",)))
    return found


def _converts(run: RunLike) -> bool:
    try:
        converted = run.converted()
    except SoftCAMError as error:
        run.model()  # a run that cannot be read is no matter of conversion: this says so
        log.warning("%s: no arm 'converted': %s", run.id, error)
        return False
    if converted.conversion is not None and converted.conversion.kind != "exact":
        log.warning("%s: no arm 'converted': its head would have to be trained anew", run.id)
        return False
    return True


def _keys(run: RunLike, arm: str, data: ImageSet, profile: str) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "dataset": data.name,
        "task": task_of(data),
        "split": data.split,
        "profile": profile,
        "model": run.config.model,
        "backbone": parse_model_name(run.config.model)[0],
        "arm": arm,
        "lambda1": run.lambdas[0],
        "lambda2": run.lambdas[1],
        "seed": run.seed,
        "finding": "+".join(data.finding_names) or "-",
    }
