"""What `test_processes` starts: two processes of one training.

    torchrun --standalone --nproc-per-node 2 -m tests.two_processes FOLDER

Each writes what it found to FOLDER, and compares nothing: the one process that knows what to
expect is the test.
"""

from __future__ import annotations

import copy
import functools
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

import softcam.training as training
from softcam.common import SoftCAMError, seed_everything, write_json
from softcam.evidence import SoftCAM
from softcam.objective import Objective, class_weights, loss_of_part
from softcam.processes import agreed, check_resumed, filled_together, join, locked
from softcam.runs import TrainConfig, build_model
from softcam.wrappers import BlackBox
from tests.tiny import TINY

if TYPE_CHECKING:
    from accelerate import Accelerator

WEIGHTS = {
    "black-box": (0.0, 0.0), "sparse": (0.7, 0.0), "ridge": (0.0, 0.7), "elastic": (0.5, 0.3),
    "logit-control": (0.7, 0.0), "hoyer": (0.7, 0.0),
}  # fmt: skip
LAMBDAS = (0.01, 0.02)
# With plain steps and a batch norm that is frozen, only the order of sums is another. Batches of
# 15 are divided into 8 and 7.
SAME = replace(
    TINY, arm="sparse", l1_per_cell=0.1, augment="none", freeze_bn="force", optimizer="sgd-paper",
    lr=0.01, class_weights=True, batch_size=15,
)  # fmt: skip
KILLED = replace(SAME, arm="hoyer", l1_per_cell=0.5)


@functools.cache
def _built(black_box: bool, multi_label: bool) -> BlackBox | SoftCAM:
    config = TINY.with_arm("black-box" if black_box else "dense")
    return build_model(config, 2, ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), multi_label)


@dataclass(frozen=True)
class Case:
    """One gradient: an arm, the labels, and how the batch is divided."""

    arm: str
    images: int = 4
    weighted: bool = False
    multi_label: bool = False
    penalty_on: Literal["all", "first"] = "all"

    @property
    def config(self) -> TrainConfig:
        chosen = replace(TINY.with_arm(self.arm, *WEIGHTS[self.arm]), penalty_on=self.penalty_on)
        return chosen.for_labels(self.multi_label)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Images in float64, and labels whose class weights differ between the two parts."""
        generator = torch.Generator().manual_seed(5)
        images = torch.rand(self.images, 3, 32, 32, generator=generator, dtype=torch.float64)
        labels = torch.tensor([0, 1, 0, 0, 1])[: self.images]
        return images, torch.stack([labels, labels.flip(0)], 1) if self.multi_label else labels

    def objective(self) -> tuple[Objective, Tensor | None]:
        """In float64 with frozen batch norm, and its class weights."""
        model = copy.deepcopy(_built(self.arm == "black-box", self.multi_label))
        weights = class_weights(self.batch()[1].numpy(), 2) if self.weighted else None
        return Objective(model, self.config, *LAMBDAS, weights).double().eval(), weights


# Every arm with every kind of label; a batch of 5 is divided into 3 and 2.
KINDS: dict[str, dict[str, Any]] = {
    "of five": {"images": 5},
    "weighted": {"images": 5, "weighted": True},
    "findings": {"images": 5, "weighted": True, "multi_label": True},
    "first": {"images": 5, "penalty_on": "first"},
}
CASES = {f"{arm}, {kind}": Case(arm, **KINDS[kind]) for arm in WEIGHTS for kind in KINDS}


def gradients(accelerator: Accelerator, case: Case) -> dict[str, Tensor]:
    """The gradient of every weight, as the optimizer would find it, and the means reported."""
    objective, weights = case.objective()
    images, labels = case.batch()
    own = images[accelerator.process_index :: accelerator.num_processes]
    wrapped = accelerator.prepare(objective)
    loss, means = loss_of_part(accelerator, wrapped, case.config, own, labels, weights)
    accelerator.backward(loss)
    found = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    return {**found, "means": means}


def killed_and_resumed() -> str:
    """Both processes end after the first epoch; a second call trains the rest."""
    whole = training._train_epoch

    def killed(*arguments: Any) -> dict[str, float]:
        if arguments[-2] == 1:  # the epoch
            raise KeyboardInterrupt
        return whole(*arguments)

    training._train_epoch = killed  # type: ignore[assignment]
    try:
        training.train(KILLED, progress=False)
    except KeyboardInterrupt:
        training._train_epoch = whole
    return training.train(KILLED, progress=False).id


def diverges(accelerator: Accelerator) -> str:
    """What this process says when the images of the other process alone are no numbers."""
    prepared = training._images_ahead

    def spoilt(*arguments: object) -> object:
        for step, images in enumerate(prepared(*arguments)):  # type: ignore[arg-type]
            yield images * torch.nan if step == 1 and accelerator.process_index == 1 else images

    training._images_ahead = spoilt  # type: ignore[assignment]
    try:
        training.train(replace(TINY, seed=1), progress=False)
    except SoftCAMError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        training._images_ahead = prepared
    return "nothing"


def refusal(accelerator: Accelerator) -> str:
    """What is said of a start after another number of epochs in each process."""
    check_resumed(accelerator, 3)
    try:
        check_resumed(accelerator, 3 + accelerator.process_index)
    except SoftCAMError as error:
        return str(error)
    return "nothing"


def main(folder: Path) -> None:
    accelerator = join("no")
    torch.set_num_threads(1)
    rank = accelerator.process_index
    seed_everything(rank)  # nothing may hang on equal random numbers by chance
    if rank == 0:
        torch.save({name: gradients(accelerator, CASES[name]) for name in CASES}, folder / "g.pt")
    else:
        for case in CASES.values():
            gradients(accelerator, case)
    rows = {
        n: filled_together(accelerator, n, lambda some: torch.tensor([[i, i**2] for i in some]))
        for n in (1, 5)
    }
    with locked(folder, accelerator):
        held = agreed(accelerator, rank + 7)
    write_json(
        folder / f"{rank}.json",
        {
            "processes": accelerator.num_processes,
            "rows": {str(n): table.tolist() for n, table in rows.items()},
            "agreed": held,
            "refusal": refusal(accelerator),
            "diverges": diverges(accelerator),
            "resumed": killed_and_resumed(),
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
