"""What occlusion costs beyond the forward passes that it cannot do without."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from softcam import BlackBox
from softcam.backbones import build_net
from softcam.common import seed_everything
from softcam.metrics import occlusion_scores
from softcam.metrics.masking import DELETED, REVEALED
from tests.benchmarks.timing import paired, report

MODEL, SIZE, BATCH, IMAGES, CELLS = "resnet10t-w32-os8", 96, 64, 6, 12
NORMALIZE = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def against_forward(question: str, fill: str, images: int = IMAGES, pairs: int = 7) -> list[float]:
    """Ratios of the time of `occlusion_scores` to plain passes of as many images."""
    seed_everything(0)
    model = BlackBox(build_net(MODEL, 2), NORMALIZE).eval()
    x, maps = torch.rand(images, 3, SIZE, SIZE), torch.randn(images, CELLS, CELLS)
    targets = torch.zeros(images).long()
    total = images * len({"deletion": DELETED, "insertion": REVEALED}[question])
    ready: list[Tensor] = list(torch.rand(total, 3, SIZE, SIZE).split(BATCH))

    def plain() -> object:
        with torch.no_grad():
            return [model(batch) for batch in ready]

    def metric() -> object:
        return occlusion_scores(
            model, x, maps, targets, question=question, fill=fill, chunk=BATCH  # type: ignore[arg-type]
        )  # fmt: skip

    return paired(metric, plain, pairs)


def on_threads(threads: int, measured: Callable[[], list[float]]) -> list[float]:
    """The same with a number of threads of its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return measured()
    finally:
        torch.set_num_threads(before)


def occlusion() -> None:
    """Print the ratios; the bar for the two static fills is 1.15."""
    for threads in (1, 2):
        for question in ("deletion", "insertion"):
            for fill in ("mean-colour", "blur"):
                ratios = on_threads(threads, lambda q=question, f=fill: against_forward(q, f))
                report(f"{question}, {fill} / forward, {SIZE} px, {threads} threads", ratios)
    for question in ("deletion", "insertion"):
        ratios = on_threads(1, lambda q=question: against_forward(q, "linear", 4, 5))
        report(f"{question}, linear / forward, {SIZE} px, 1 threads", ratios)
