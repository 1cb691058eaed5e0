"""What an explanation costs beside a prediction: `python start.py bench explainers`.

Every registered method by `explain_with`, all its checks included, against the plain forward pass
of the same network on the same images; beside it the same method in pytorch-grad-cam and torchcam.
Printed are

    runs    how often an image goes through the network's first layer, counted, not declared
    ratio   time / time of the plain pass: median and quartiles of interleaved pairs
    MB      by how much the process grows at most; the plain pass has a line of its own

and then the bars. Memory comes first, all of it, because fast allocation leaves gaps. Costly
methods get fewer pairs. `--quick` takes three pairs of most, and costly methods with one image
only; `--slow` adds Opti-CAM on ResNet-50; `--methods` measures some methods only and no bars.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from softcam import BlackBox, SoftCAM, to_softcam
from softcam.backbones import build_net
from softcam.common import seed_everything
from softcam.explainers import explain_with, explainers, get_explainer, optimise_masks, passes
from tests.benchmarks import rivals
from tests.benchmarks.memory import growth, returned
from tests.benchmarks.timing import paired, quartiles, seconds, watched

SMALL, LARGE = ("resnet10t-w32-os8", 96), ("resnet50", 224)
CLASSES, BATCHES = 2, (1, 8)
FEW = 50  # methods of so many passes or more are costly: not on the large network
NORMALIZE = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
BARS = {"grad-cam": 1.2}
ENOUGH = 16  # plain passes in one timing: more would say no more
# `b-cos` explains networks of its own, which none here is.
METHODS = sorted(name for name, each in explainers().items() if each.needs != "b-cos")

Call = Callable[[], object]
Megabytes = dict[tuple[str, str, str], float]  # by setting, method and library
PLAIN = "(plain pass)"


@dataclass(frozen=True)
class Setting:
    """A network with random weights, its conversion, and what they are shown."""

    network: str
    black_box: BlackBox
    softcam: SoftCAM
    images: Tensor
    targets: Tensor

    def model(self, name: str) -> BlackBox | SoftCAM:
        return self.softcam if get_explainer(name).needs == "evidence" else self.black_box

    def plain(self) -> object:
        with torch.no_grad():
            return self.black_box(self.images)

    def __str__(self) -> str:
        return f"{self.network}, {self.images.shape[2]} px, batch {len(self.images)}"


@dataclass(frozen=True)
class Cost:
    """Ratios of time to the plain pass, and runs of the network an image."""

    ratios: list[float]
    runs: float


def setting(network: tuple[str, int], batch: int) -> Setting:
    seed_everything(0)
    name, size = network
    black_box = BlackBox(build_net(name, CLASSES), NORMALIZE).eval()
    images = torch.rand(batch, 3, size, size)
    targets = torch.arange(batch) % CLASSES
    return Setting(name, black_box, to_softcam(black_box).eval(), images, targets)


def cost(call: Call, model: nn.Module, at: Setting, budget: float) -> Cost:
    """Measure one call in about `budget` seconds, or in as long as three pairs take."""
    seen = list[int]()
    with watched(model, seen):
        once = seconds(call)
    if once < 2:  # the first call has imported a library
        once = seconds(call)
    single = min(seconds(at.plain) for _ in range(3))
    # One plain pass beside a long search would be lost in the noise.
    repeats = max(1, min(ENOUGH, round(once / single / 4)))
    pairs = int(max(3, min(25, budget / (once + repeats * single))))
    ratios = paired(call, lambda: [at.plain() for _ in range(repeats)], pairs, warm=0)
    at.black_box.zero_grad()  # a library leaves gradients of all weights behind
    return Cost([ratio * repeats for ratio in ratios], sum(seen) / len(at.images))


def calls(at: Setting, names: list[str]) -> Iterator[tuple[str, str, Call]]:
    """Each method, and below ours the same in the libraries."""
    given = at.black_box, at.black_box.net.layer4, at.images, at.targets
    others = {
        "pytorch-grad-cam": rivals.pytorch_grad_cam(*given),  # type: ignore[arg-type]
        "torchcam": rivals.torchcam(*given),  # type: ignore[arg-type]
    }
    for name in names:
        model = at.model(name)
        yield name, "softcam", lambda n=name, m=model: explain_with(n, m, at.images, at.targets)  # type: ignore[misc]
        for whose, theirs in others.items():
            if name in theirs:
                yield name, whose, theirs[name]


def held(at: Setting, names: list[str]) -> Megabytes:
    """How much each method makes the process grow."""
    small = replace(at, images=at.images[:1, :, :64, :64], targets=at.targets[:1])
    for _, _, call in calls(small, names):
        call()  # what is imported once
    at.plain()
    found = {(str(at), PLAIN, "-"): growth(at.plain)}
    for name, whose, call in calls(at, names):
        at.black_box.zero_grad()
        found[str(at), name, whose] = growth(call)
    at.black_box.zero_grad()
    return found


def show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def line(name: str, whose: str, found: Cost, megabytes: float) -> None:
    bar = BARS.get(name) if whose == "softcam" else None
    text = f"{name:<22}{whose:<18}{found.runs:>7.1f}{quartiles(found.ratios):<26}"
    show(f"{text}{megabytes:>9.1f}" + ("" if bar is None else f"  (bar: {bar})"))


def table(at: Setting, names: list[str], budget: float, grown: Megabytes) -> None:
    """Every method on one network and batch, with the libraries' below ours."""
    at.plain()
    ms = 1000 * statistics.median(seconds(at.plain) for _ in range(5))
    show(f"\n{at}: the plain pass takes {ms:.1f} ms")
    show(f"{'method':<22}{'whose':<18}{'runs':>7}{'   ratio [quartiles]':<26}{'MB':>9}")
    show(f"{'(plain pass)':<22}{'-':<18}{1:>7.1f}{1:8.2f}{grown[str(at), PLAIN, '-']:>27.1f}")
    for name, whose, call in calls(at, names):
        model = at.model(name)
        line(name, whose, cost(call, model, at, budget), grown[str(at), name, whose])


def evidence(at: Setting) -> Call:
    """Logits and all maps of a SoftCAM."""

    def explained() -> object:
        explanation = at.softcam.explain(at.images)
        return explanation.logits, explanation.maps

    return explained


def evidence_memory(at: Setting) -> None:
    """Beside the plain pass of the network that the SoftCAM was made from."""
    explained = evidence(at)
    explained(), at.plain()
    ours, plain = (min(growth(call) for _ in range(3)) for call in (explained, at.plain))
    maps = at.softcam.explain(at.images).maps
    show(
        f"SoftCAM, logits + {CLASSES} maps, {at}: {ours:.1f} MB, plain {plain:.1f} MB; the maps "
        f"are {maps.nbytes / 1e6:.3f} MB (bar: no more than the maps)"
    )


class _Enough(Exception):
    """The first chunks have run."""


def first_chunks(chunks: int) -> float:
    """MB by which Score-CAM makes the process grow until the network has run `chunks` times."""
    at, left = setting(LARGE, 8), [0]

    def count(_module: nn.Module, _inputs: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _Enough

    def start() -> None:
        left[0] = chunks
        try:
            explain_with("score-cam", at.black_box, at.images, at.targets)
        except _Enough:
            return
        raise RuntimeError("Score-CAM ended before its first chunks did")

    handle = at.black_box.register_forward_pre_hook(count)
    try:
        start()
        return growth(start)
    finally:
        handle.remove()


def together(at: Setting, steps: int, pairs: int) -> list[float]:
    """Opti-CAM on a whole batch against one call an image."""

    def alone() -> object:
        ones = zip(at.images.split(1), at.targets.split(1), strict=True)
        return [optimise_masks(at.black_box, x, t, steps=steps) for x, t in ones]

    def batch() -> object:
        return optimise_masks(at.black_box, at.images, at.targets, steps=steps)

    optimise_masks(at.black_box, at.images, at.targets, steps=1)
    return paired(batch, alone, pairs, warm=0)


def bars(quick: bool, slow: bool, budget: float) -> None:
    """The times that have a bar and no line in the tables."""
    show("")
    for batch in BATCHES:
        at = setting(LARGE, batch)
        found = cost(evidence(at), at.softcam, at, budget)
        show(
            f"SoftCAM, logits + {CLASSES} maps, {at} / plain: {quartiles(found.ratios)} (bar: 1.03)"
        )
    steps, pairs = (10, 3) if quick else (100, 5)
    at = setting(SMALL, 16)
    ratios = together(at, steps, pairs)
    show(f"Opti-CAM, {steps} steps, {at} / 16 calls: {quartiles(ratios)} (bar: 0.6)")
    if slow:
        at = setting(LARGE, 4)
        ratios = together(at, steps // 5, pairs)
        show(f"Opti-CAM, {steps // 5} steps, {at} / 4 calls: {quartiles(ratios)}")


def memory_bars(chunks: int) -> None:
    """Those of memory."""
    for batch in BATCHES:
        evidence_memory(setting(LARGE, batch))
    found = first_chunks(chunks)
    show(f"Score-CAM, {LARGE[0]}, {LARGE[1]} px, batch 8, first chunks: {found:.0f} MB (bar: 500)")


def chosen(options: argparse.Namespace) -> Iterator[tuple[Setting, list[str]]]:
    """Every network and batch, with the methods that are measured there."""
    names = options.methods or METHODS
    for network in (SMALL, LARGE):
        for batch in BATCHES:
            at = setting(network, batch)
            few = [n for n in names if passes(get_explainer(n), at.model(n)) < FEW]
            every = network == SMALL and not (options.quick and batch > 1)
            slow = ["opti-cam"] if options.slow and network == LARGE and batch == 1 else []
            yield at, names if every else few + slow


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="bench explainers", description="What an explanation costs beside a prediction."
    )
    parser.add_argument("--quick", action="store_true", help="few pairs")
    parser.add_argument("--slow", action="store_true", help="Opti-CAM on ResNet-50 too")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME")
    options = parser.parse_args(arguments)
    budget = 1.0 if options.quick else 20.0
    before, grown = torch.get_num_threads(), Megabytes()
    torch.set_num_threads(options.threads)
    show(f"torch {torch.__version__}, {options.threads} threads, {CLASSES} classes")
    try:
        with returned():
            if options.methods is None:
                memory_bars(4 if options.quick else 12)
            for at, names in chosen(options):
                grown |= held(at, names)
        for at, names in chosen(options):
            table(at, names, budget, grown)
        if options.methods is None:
            bars(options.quick, options.slow, budget)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main(sys.argv[1:])
