"""What often goes wrong in assignment 2, each as a function that gives the wrong result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from softcam.checks.invariant_mistakes import RELU, SCALE, scaled
from softcam.checks.nets import TinyResNet, ask
from softcam.checks.records import Mistake

__all__ = ["DIFFERENCE", "FEATURES", "SOFTCAM", "difference", "largest"]

Pair = tuple[np.ndarray, np.ndarray]


def _features(net: TinyResNet, images: np.ndarray) -> np.ndarray:
    return ask(net, images, net.pooling)


def _pooled(net: TinyResNet, images: np.ndarray) -> np.ndarray:
    return _features(net, images).mean((2, 3))


def _weight(net: TinyResNet) -> np.ndarray:
    return np.asarray(net.fc.weight.detach().double().numpy())


def _bias(net: TinyResNet) -> np.ndarray:
    return np.asarray(net.fc.bias.detach().double().numpy())


LAST = "print the net: which layer is the first whose output has no height and width any more?"

FEATURES = (
    Mistake(
        "pooled",
        "You go one layer too far: these features are pooled already.",
        LAST,
        _pooled,
    ),
    Mistake(
        "pooled",
        "You go one layer too far: these features are pooled already.",
        LAST,
        lambda net, images: _pooled(net, images)[:, :, None, None],
    ),
    Mistake(
        "too-early",
        "You stop one stage too early: the last stage of the net is missing.",
        LAST,
        lambda net, images: ask(net, images, "layer2"),
    ),
    Mistake(
        "logits",
        "You return the logits: the net has been run to its end.",
        LAST,
        lambda net, images: _pooled(net, images) @ _weight(net).T + _bias(net),
    ),
    Mistake(
        "batch-mean",
        "You average over the images of the batch.",
        "every image has features of its own.",
        lambda net, images: _features(net, images).mean(0, keepdims=True).repeat(len(images), 0),
    ),
)


def _with(
    logits: Callable[[np.ndarray], np.ndarray],
    maps: Callable[[np.ndarray], np.ndarray] = lambda a: a,
    bias: float = 1.0,
) -> Callable[[TinyResNet, np.ndarray], Pair]:
    """(logits, maps), each made in some way from the right maps, their bias times a factor."""

    def answer(net: TinyResNet, images: np.ndarray) -> Pair:
        a = np.einsum("cd,bdij->bcij", _weight(net), _features(net, images))
        a = a + bias * _bias(net)[:, None, None]
        return logits(a), maps(a)

    return answer


def _mean(a: np.ndarray) -> np.ndarray:
    return np.asarray(a.mean((2, 3)))


def _softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def _relu(a: np.ndarray) -> np.ndarray:
    return np.maximum(a, 0)


SAME = "the logits of the net and those of your model on the same image; they must agree."

SOFTCAM = (
    Mistake("bias-forgotten", "The bias of `fc` is missing.", SAME, _with(_mean, bias=0.0)),
    Mistake(
        "sum-for-mean",
        "You sum over the cells; the net takes their mean.",
        SAME,
        _with(lambda a: a.sum((2, 3))),
    ),
    Mistake(
        "max-for-mean",
        "You take the hottest cell; the net takes the mean of all.",
        SAME,
        _with(lambda a: a.max((2, 3))),
    ),
    Mistake(
        "relu-too-early",
        "You set negative cells of the maps to zero.",
        RELU,
        _with(lambda a: _mean(_relu(a)), _relu),
    ),
    Mistake(
        "relu-on-maps",
        "The logits are right, but you set negative cells of the maps to zero: now the mean of "
        "a map is not its logit.",
        RELU,
        _with(_mean, _relu),
    ),
    Mistake(
        "probabilities",
        "You return probabilities where the logits belong.",
        "a softmax comes after the model.",
        _with(lambda a: _softmax(_mean(a))),
    ),
    Mistake(
        "softmax-too-early",
        "You apply a softmax over the classes at each cell.",
        "maps are in logits.",
        _with(lambda a: _mean(_softmax(a)), _softmax),
    ),
    Mistake(
        "normalised-map",
        "The logits are right, but you scale each map to the range from 0 to 1.",
        SCALE,
        _with(_mean, scaled),
    ),
    Mistake(
        "batch-mean",
        "You average over the images of the batch.",
        "every image has logits of its own.",
        _with(lambda a: np.repeat(a.mean((0, 2, 3))[None], len(a), 0)),
    ),
)


def difference(
    net: nn.Module, softcam: nn.Module, images: np.ndarray, *, as_given: bool = False
) -> np.ndarray:
    """Logits of the one minus those of the other, (B, C), of copies; `as_given` keeps the modes."""
    first, second = (ask(each, images, as_given=as_given) for each in (net, softcam))
    return first - second


def largest(differences: np.ndarray) -> float:
    """The largest absolute value."""
    return float(np.abs(differences).max())


def _of_probabilities(net: nn.Module, softcam: nn.Module, images: np.ndarray) -> float:
    return largest(_softmax(ask(net, images)) - _softmax(ask(softcam, images)))


WORST = "one logit that is off in one image must show, whichever its sign."

DIFFERENCE = (
    Mistake(
        "train-mode",
        "You run a model in train mode: its batch norms look at the batch, and the logits differ.",
        "`training` of both models before you run them, and after.",
        lambda n, s, x: largest(difference(n, s, x, as_given=True)),
    ),
    Mistake(
        "abs-forgotten",
        "You forget the absolute value: a large negative difference does not count.",
        WORST,
        lambda n, s, x: float(difference(n, s, x).max()),
    ),
    Mistake(
        "abs-forgotten",
        "You forget the absolute value: a large negative difference does not count.",
        WORST,
        lambda n, s, x: float((-difference(n, s, x)).max()),
    ),
    Mistake(
        "abs-too-late",
        "You take the mean of signed differences: they cancel.",
        WORST,
        lambda n, s, x: abs(float(difference(n, s, x).mean())),
    ),
    Mistake(
        "mean-for-max",
        "You take the mean of the differences; the largest is asked for.",
        WORST,
        lambda n, s, x: float(np.abs(difference(n, s, x)).mean()),
    ),
    Mistake(
        "sum-for-max",
        "You take the sum of the differences; the largest is asked for.",
        WORST,
        lambda n, s, x: float(np.abs(difference(n, s, x)).sum()),
    ),
    Mistake(
        "squared",
        "You square the differences; the largest absolute one is asked for.",
        WORST,
        lambda n, s, x: float((difference(n, s, x) ** 2).max()),
    ),
    Mistake(
        "probabilities",
        "You compare probabilities; logits are asked for.",
        "a softmax hides a number that is added to all logits.",
        _of_probabilities,
    ),
)
