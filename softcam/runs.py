"""A run: its configuration, its directory, and what can be read back from it.

`runs/DATASET/MODEL-ARM-sSEED-HASH8/` holds config.json (resolved), weights.safetensors (best by
the named validation metric), last.safetensors, history.csv, environment.json and, last of all,
done.json. A directory without done.json is not a finished run, whatever else is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

from softcam import common, stored
from softcam.common import SoftCAMError, UnknownNameError, choose, digest, read_json, runs_root
from softcam.evidence import SoftCAM
from softcam.wrappers import BlackBox

if TYPE_CHECKING:
    import pandas as pd

    from softcam.data.records import ImageSet, Splits

__all__ = ["ARMS", "Run", "TrainConfig", "build_model", "find_runs", "run_directory"]

ARMS: dict[str, tuple[bool, bool]] = {  # arm: (has an L1 weight, has an L2 weight)
    "black-box": (False, False),
    "dense": (False, False),
    "sparse": (True, False),
    "ridge": (False, True),
    "elastic": (True, True),
    "logit-control": (True, False),
    "hoyer": (True, False),
}
T = TypeVar("T")
SELECT = {"auc": max, "accuracy": max, "quadratic-kappa": max, "loss": min}
_NOT_HASHED = ("data", "weights")  # where things lie, not what is computed
_HASHED_IF_CHANGED: dict[str, Any] = {"penalty_on": "all", "cosine_epochs": None}  # younger


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training result; every option of `softcam train` is one of these.

    Attributes:
        data: `phantoms:cxr`, `phantoms:oct`, `phantoms:fundus` or `folder:PATH`.
        size: image side in pixels.
        data_options: keywords of the data source (`n_train`, `difficulty`, `finding_classes` ...).
        model: timm name with options, such as `resnet10t-w32-os8`.
        arm: black-box, dense, sparse, ridge, elastic, logit-control or hoyer.
        l1_per_cell, l2_per_cell: penalty weights per cell (see `penalties.paper_lambdas`).
        penalty_on: `all` images of a batch, or the `first` of each, as in the public code.
        epochs, batch_size (of all processes together), lr, weight_decay: as usual; the last
            partial batch is dropped.
        optimizer: `adamw` (warm-up and cosine a step) or `sgd-paper` (clipped cosine an epoch,
            whose half period is cosine_epochs; None takes epochs, the public code always 50).
        augment: a policy of `data.transforms`: none, flip, light, fundus.
        class_weights: weigh the cross-entropy by inverse class frequency.
        freeze_bn: `auto` (only for given weights and batches under 16), `yes`, `no`, or `force`
            (also from scratch, where frozen statistics are those of nothing).
        weights: a local safetensors file in timm's format; pretrained: timm's own download.
        normalize: ((r, g, b) means, (r, g, b) stds) on [0, 1]; None measures the training split.
        link: `softmax`, or `sigmoid` (two classes, one logit; or one logit a finding); `auto` is
            sigmoid for a multi-label set and softmax for all others.
        select: validation metric that names the best epoch: auc, accuracy, quadratic-kappa or loss.
        seed: initialisation, order, augmentation and dropout.
        mixed_precision: `no`, `bf16` or `fp16`.
    """

    data: str = "phantoms:cxr"
    size: int = 96
    data_options: Mapping[str, Any] = field(default_factory=dict)
    model: str = "resnet10t-w32-os8"
    arm: str = "dense"
    l1_per_cell: float = 0.0
    l2_per_cell: float = 0.0
    penalty_on: Literal["all", "first"] = "all"
    epochs: int = 10
    batch_size: int = 32
    optimizer: Literal["adamw", "sgd-paper"] = "adamw"
    cosine_epochs: int | None = None
    lr: float = 2e-3
    weight_decay: float = 0.05
    augment: str = "flip"
    class_weights: bool = False
    freeze_bn: Literal["auto", "yes", "no", "force"] = "auto"
    weights: str | None = None
    pretrained: bool = False
    normalize: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    link: Literal["auto", "softmax", "sigmoid"] = "auto"
    select: str = "auc"
    seed: int = 0
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"

    def __post_init__(self) -> None:
        choose("arm", self.arm, ARMS)
        choose("penalty_on", self.penalty_on, ("all", "first"))
        choose("optimizer", self.optimizer, ("adamw", "sgd-paper"))
        choose("validation metric", self.select, SELECT)
        choose("link", self.link, ("auto", "softmax", "sigmoid"))
        choose("freeze_bn", self.freeze_bn, ("auto", "yes", "no", "force"))
        choose("mixed_precision", self.mixed_precision, ("no", "bf16", "fp16"))
        for name, most in (("size", 4096), ("epochs", 10**6), ("batch_size", 10**6)):
            common.as_integer(name, getattr(self, name), 1, most)
        common.as_integer("seed", self.seed, 0, 2**32 - 1)
        if self.cosine_epochs is not None:
            common.as_integer("cosine_epochs", self.cosine_epochs, 1, 10**6)
            choose("optimizer with cosine_epochs", self.optimizer, ("sgd-paper",))
        for name in ("lr", "weight_decay", "l1_per_cell", "l2_per_cell"):
            common.as_number(name, getattr(self, name))
        for name in {"spec", "size", "progress"} & set(self.data_options):
            raise SoftCAMError(f"{name!r} is no option of the data: give it by itself.")
        found = (self.l1_per_cell > 0, self.l2_per_cell > 0)
        if found != ARMS[self.arm]:
            l1, l2 = ("> 0" if need else "0" for need in ARMS[self.arm])
            raise SoftCAMError(
                f"arm {self.arm!r} wants l1_per_cell {l1} and l2_per_cell {l2}, found "
                f"{self.l1_per_cell} and {self.l2_per_cell}; a profile (--profile tutorial) brings "
                "the weights of each arm."
            )
        if self.freeze_bn == "yes" and not (self.weights or self.pretrained):
            raise SoftCAMError(
                "freeze_bn='yes' from scratch would freeze the statistics of random numbers: "
                "give weights, leave it at 'auto', or say 'force' if you mean it."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build from plain values (JSON, YAML); an unknown name raises with the closest one."""
        known = [f.name for f in fields(cls)]
        for name in values:
            choose("training option", name, known)
        clean = dict(values)
        if clean.get("normalize"):
            mean, std = clean["normalize"]
            clean["normalize"] = (tuple(mean), tuple(std))
        return cls(**clean)

    def with_arm(self, arm: str, l1_per_cell: float = 0.0, l2_per_cell: float = 0.0) -> TrainConfig:
        """The same start, data, order and epochs with another penalty: what a fair arm is."""
        return replace(self, arm=arm, l1_per_cell=l1_per_cell, l2_per_cell=l2_per_cell)

    def for_labels(self, multi_label: bool) -> TrainConfig:
        """The same with its link decided; a softmax over several findings is refused."""
        if multi_label and self.link == "softmax":
            raise SoftCAMError(
                "link='softmax' says that an image shows exactly one class, but these labels are "
                "findings, of which an image may show several or none: leave link out, which "
                "gives each a sigmoid, or learn a single one with label_column=ONE."
            )
        decided = replace(self, link="sigmoid" if multi_label else "softmax")
        return decided if self.link == "auto" else self

    def outputs(self, classes: int, multi_label: bool = False) -> int:
        """Number of logits for a number of classes: one for a two-class sigmoid."""
        if self.link != "sigmoid" or multi_label:
            return classes
        if classes != 2:
            raise SoftCAMError(f"a sigmoid link takes two classes here, the data have {classes}.")
        return 1


def run_hash(config: TrainConfig, fingerprint: str) -> str:
    """Eight hex digits over what decides the result; paths stay out, contents come in."""
    decided = config.for_labels(False)  # for findings `run_directory` has done it
    left_out = {k for k, v in _HASHED_IF_CHANGED.items() if getattr(decided, k) == v}
    values = {k: v for k, v in asdict(decided).items() if k not in {*_NOT_HASHED, *left_out}}
    values["data_options"] = dict(config.data_options)
    weights = Path(config.weights).read_bytes() if config.weights else b""
    return digest(values, fingerprint, weights, length=8)


def run_directory(config: TrainConfig, data: Splits) -> Path:
    """Where the run of this configuration on these data lies (it may not exist yet)."""
    config = config.for_labels(data.multi_label)
    name = f"{config.model}-{config.arm}-s{config.seed}-{run_hash(config, data.fingerprint)}"
    return runs_root() / data.name / name


def build_model(
    config: TrainConfig, classes: int, normalize: Any, multi_label: bool = False
) -> BlackBox | SoftCAM:
    """The untrained network of an arm; every arm starts from the same numbers for a seed."""
    from softcam.backbones import build_net
    from softcam.common import seed_everything
    from softcam.convert import to_softcam

    seed_everything(config.seed)
    config = config.for_labels(multi_label)
    net = build_net(
        config.model,
        config.outputs(classes, multi_label),
        pretrained=config.pretrained,
        weights=Path(config.weights) if config.weights else None,
    )
    black_box = BlackBox(net, normalize, "sigmoid" if config.link == "sigmoid" else "softmax")
    return black_box if config.arm == "black-box" else to_softcam(black_box)


@dataclass(frozen=True)
class Run:
    """A finished run on disk. Open one with `Run.open(path)` or get it from `train`."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a finished run by its folder, also below `runs/`; else an error says what it is."""
        path = Path(path)
        if not path.is_dir() and (runs_root() / path).is_dir():
            path = runs_root() / path
        if not path.is_dir():
            known = [str(run.path.relative_to(runs_root())) for run in find_runs()]
            raise UnknownNameError("run", str(path), known)
        if not (path / "done.json").is_file():
            raise stored.no_finished_run(path)
        return cls(path)

    @cached_property
    def record(self) -> dict[str, Any]:
        """config.json: the resolved configuration and what follows from it; not yet checked."""
        return read_json(self.path / "config.json")

    def _read(self, name: str, read: Callable[[Any], T]) -> T:
        return stored.read_field(self.path, self.record, name, read)

    @property
    def config(self) -> TrainConfig:
        return self._read("config", lambda v: TrainConfig.from_dict(stored.config_values(v)))

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def arm(self) -> str:
        return self.config.arm

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def dataset(self) -> str:
        return self._read("dataset", stored.text)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._read("classes", stored.words)

    @property
    def lambdas(self) -> tuple[float, float]:
        """(lambda1, lambda2) on the paper's scale, on the sums."""
        return self._read("lambda1", stored.weight), self._read("lambda2", stored.weight)

    def history(self) -> pd.DataFrame:
        """One row an epoch: losses, penalty, validation metrics, learning rate, seconds."""
        import pandas as pd

        return pd.read_csv(self.path / "history.csv")

    def data(self, split: str) -> ImageSet:
        """The split this run was trained or is tested on; refuses data that have changed."""
        from softcam.data.sources import open_data

        config, expected = self.config, self._read("fingerprint", stored.text)
        splits = open_data(config.data, size=config.size, **config.data_options)
        if splits.fingerprint != expected:
            raise stored.changed_data(config.data, self.id, splits.fingerprint, expected)
        return splits[split]

    def model(self, which: Literal["best", "last"] = "best") -> BlackBox | SoftCAM:
        """The trained network in eval mode, on the CPU."""
        name = {"best": "weights", "last": "last"}[choose("checkpoint", which, ("best", "last"))]
        config = replace(self.config, weights=None, pretrained=False, freeze_bn="no")
        with torch.random.fork_rng(devices=[]):
            normalize = self._read("normalize", stored.normalisation)
            findings = bool(self.record.get("multi_label"))
            model = build_model(config, len(self.classes), normalize, findings)
        stored.put_weights(model, self.path / f"{name}.safetensors")
        return model.eval()

    def converted(self) -> SoftCAM:
        """A black-box run through `to_softcam`, untouched: the arm `converted`."""
        from softcam.convert import to_softcam

        if self.arm != "black-box":
            raise SoftCAMError(f"only a black box can be converted, run {self.id} is {self.arm}.")
        return to_softcam(self.model()).eval()


def find_runs(dataset: str | None = None) -> list[Run]:
    """All finished runs of the project, or of one data set, in the order of their names."""
    root = runs_root()
    return [Run(path.parent) for path in sorted(root.glob(f"{dataset or '*'}/*/done.json"))]
