"""What a conversion costs: `python start.py bench conversion`.

Forward pass of the converted network over that of the original, at 224 px and two classes, for a
fixed list of twenty architectures: they take turns, and the median of the paired ratios is printed
with its quartiles. The bar is 1.05. With 1000 classes the evidence layer weighs every cell for
every class, where the original weighs only the mean. Beside each ratio stands the one that the
multiply-adds predict: a head that is applied at each cell costs as many times more as there are
cells, which no implementation can mend. Last, the seconds that `to_softcam` takes for a ResNet-50,
its probe included; the bar is 0.5 s.

`--models resnet18 vgg16` measures these instead, `--pairs 5` is quick, and `--threads 1` is for a
machine that does other things besides.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from softcam import SoftCAM, to_softcam
from softcam.backbones import build_net
from softcam.common import seed_everything
from tests.benchmarks.timing import paired, quartiles

SIDE, BATCH, BAR, SECONDS = 224, 2, 1.05, 0.5
# One or two of each family that people take, from light to heavy, those with large maps among them.
MODELS = (
    "bagnet33", "convnextv2_atto", "cspresnet50", "darknet53", "densenet121", "dla34",
    "efficientnet_b0", "hrnet_w18_small", "inception_v3", "mobilenetv2_100",
    "mobilenetv3_large_100", "regnetx_008", "regnety_008", "resnet18", "resnet50",
    "resnext50_32x4d", "rexnet_100", "swin_tiny_patch4_window7_224", "vgg16",
    "xception41",
)  # fmt: skip


def both(name: str, classes: int) -> tuple[nn.Module, SoftCAM, Tensor]:
    """A network, its conversion, and a batch for them."""
    seed_everything(0)
    net = build_net(name, classes).eval()
    return net, to_softcam(net).eval(), torch.rand(BATCH, 3, SIDE, SIDE)


def ratios(net: nn.Module, model: SoftCAM, x: Tensor, pairs: int) -> list[float]:
    """Converted over original, sorted."""
    with torch.inference_mode():
        return paired(lambda: model(x), lambda: net(x), pairs, warm=2)


def predicted(net: nn.Module, model: SoftCAM, x: Tensor) -> float:
    """The same ratio, of multiply-adds."""
    counts = []
    for each in (model, net):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            each(x)
        counts.append(counter.get_total_flops())
    return counts[0] / counts[1]


def conversion_seconds(name: str, times: int) -> list[float]:
    """Seconds of `to_softcam`, sorted; the first one, which warms up, left out."""
    net = build_net(name, 2).eval()
    found = []
    for _ in range(times + 1):
        started = time.perf_counter()
        to_softcam(net)
        found.append(time.perf_counter() - started)
    return sorted(found[1:])


def main(arguments: list[str]) -> None:
    """One line a network, then the conversion itself."""
    parser = argparse.ArgumentParser(prog="bench conversion", description="Cost of a conversion.")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    if options.pairs < 2:
        parser.error("--pairs must be at least 2, or there are no quartiles")
    torch.set_num_threads(options.threads)
    out = sys.stdout.write
    out(f"converted / original, {SIDE} px, batch {BATCH}, {options.threads} threads\n")
    heading = "".join(f"{text:<24}{'predicted':<11}" for text in (f"C = 2 (bar {BAR})", "C = 1000"))
    out(f"{'':<30}{'kind':<11}{heading}\n")
    medians = []
    for name in options.models:
        cells = []
        for classes in (2, 1000):
            net, model, x = both(name, classes)
            found = ratios(net, model, x, options.pairs)
            cells.append(f"{quartiles(found):<24}{predicted(net, model, x):<11.3f}")
            if classes == 2:
                medians.append(statistics.median(found))
        assert model.conversion is not None
        out(f"{name:<30}{model.conversion.kind:<11}{''.join(cells)}\n")
        sys.stdout.flush()
    out(f"median over the networks {statistics.median(medians):.3f}, ")
    out(f"within the bar {sum(each <= BAR for each in medians)} of {len(medians)}\n")
    seconds = conversion_seconds("resnet50", max(2, options.pairs // 5))
    out(f"to_softcam, resnet50, in seconds (bar {SECONDS}): {quartiles(seconds)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
