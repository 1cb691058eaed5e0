"""Speed as ratios within one run: `python start.py bench`.

Times of one machine say little about another and nothing in a test; the ratio of two things that
take turns in one process does. Each pair is interleaved, and the median of the paired ratios is
printed with its quartiles. `bench maps` measures the measures on maps alone, with its options;
`bench rows` the memory of a long evaluation. `bench explainers` measures what an explanation costs
beside a prediction, `bench conversion` what a conversion costs over a list of networks, `bench
data` what the preparation of real images costs and `bench loader` what reading them does. `bench
explorer` and `bench tab` measure in Chromium how fast the two explorers draw, `bench course` how
long a class takes to grade; where something is missing for these, they say what. All of these take
long and are no part of the rest.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch

from softcam import BlackBox, SoftCAM, TrainConfig, to_softcam
from softcam.backbones import build_net
from softcam.common import seed_everything
from softcam.objective import Objective, build_optimizer
from tests.benchmarks import conversion, course, data, explainers, explorer, loader, maps, rows, tab
from tests.benchmarks.occlusion import occlusion
from tests.benchmarks.timing import paired, report

PARTS = {
    "maps": maps,
    "rows": rows,
    "explainers": explainers,
    "conversion": conversion,
    "data": data,
    "loader": loader,
    "explorer": explorer,
    "tab": tab,
    "course": course,
}
MODEL, SIZE, BATCH, CLASSES = "resnet10t-w32-os8", 96, 32, 2


def models(name: str) -> tuple[BlackBox, SoftCAM]:
    """A black box and its conversion, in eval mode."""
    seed_everything(0)
    black_box = BlackBox(build_net(name, CLASSES))
    return black_box.eval(), to_softcam(black_box).eval()


def forward(name: str, size: int, batch: int) -> list[float]:
    """`explain` (logits, probabilities, all maps) against the plain backbone + FC."""
    black_box, softcam = models(name)
    x = torch.rand(batch, 3, size, size)

    def plain() -> object:
        with torch.no_grad():
            return black_box(x)

    def explained() -> object:
        explanation = softcam.explain(x)
        return explanation.probabilities, explanation.maps

    return paired(explained, plain)


def step(arm: str, l1: float, l2: float) -> list[float]:
    """A training step of an arm against the black box's."""
    black_box, softcam = models(MODEL)
    x, labels = torch.rand(BATCH, 3, SIZE, SIZE), torch.randint(0, CLASSES, (BATCH,))

    def stepper(model: BlackBox | SoftCAM, config: TrainConfig) -> Callable[[], object]:
        optimizer = build_optimizer(config, model)
        objective = Objective(model, config, l1, l2).train()

        def one() -> object:
            cross_entropy, penalty = objective(x, labels)
            optimizer.zero_grad()
            (cross_entropy + penalty).backward()
            return optimizer.step()

        return one

    config = TrainConfig(arm=arm, l1_per_cell=l1, l2_per_cell=l2)
    return paired(stepper(softcam, config), stepper(black_box, TrainConfig(arm="black-box")))


def import_cost() -> list[float]:
    """Seconds that `import softcam` takes beyond `import torch`, each in a fresh interpreter."""

    def seconds(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    seconds("import softcam")
    return sorted(seconds("import softcam") - seconds("import torch") for _ in range(7))


def main(arguments: list[str]) -> None:
    """Print every ratio; the name of a part, as in `maps ...`, measures that part alone."""
    if arguments and (part := PARTS.get(arguments[0])):
        try:
            return part.main(arguments[1:])
        except pytest.skip.Exception as reason:  # what a test would be skipped for
            sys.stdout.write(f"{arguments[0]} is not measured: {reason}\n")
            return None
    sys.stdout.write(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    sys.stdout.write(f"{'ratio, median of interleaved pairs':<58} median [quartiles]\n")
    report(f"explain / plain forward, {MODEL}, 96 px, batch 32", forward(MODEL, SIZE, BATCH))
    report("explain / plain forward, resnet50, 224 px, batch 4", forward("resnet50", 224, 4))
    report("training step, dense / black box", step("dense", 0.0, 0.0))
    report("training step, sparse / black box", step("sparse", 0.01, 0.0))
    report("training step, elastic / black box", step("elastic", 0.01, 0.01))
    occlusion()
    report("import softcam - import torch, in seconds", import_cost())
    maps.main([])
    rows.main([])


if __name__ == "__main__":
    main(sys.argv[1:])
