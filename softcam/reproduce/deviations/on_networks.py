"""Effects on trained networks: gradients of the penalty, the head, deletion. No training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from softcam.common import rng
from softcam.evaluation.question import output_index, some_of
from softcam.evidence import SoftCAM
from softcam.metrics import OcclusionScores, occlusion_scores
from softcam.metrics.paper import first_bright_row
from softcam.penalties import elastic_net
from softcam.reproduce.deviations.material import Material, Place
from softcam.reproduce.deviations.on_maps import share
from softcam.reproduce.deviations.records import Measured
from softcam.reproduce.deviations.spread import absolute, over_rows, undefined
from softcam.reproduce.specification.maps import KeptMaps
from softcam.runs import Run, build_model

__all__ = ["GRADIENTS", "ON_NETWORKS"]

STREAM = 0x44455649  # keeps these draws apart from others with the same seed
WEIGHTS = 20_000  # of the network, drawn, in which gradients are compared
BATCH = 16
HEADS = 10  # new heads, each with another seed
GAME = 0.003
Found = Iterable[tuple[str, Measured]]


def first_sample(material: Material) -> Found:
    """Gradients of the L1 penalty over many batches, of the first image and of all, one data set.

    In training mode, where batch norm couples the images of a batch, and with frozen batch norm.
    """
    place = next((p for p in material.places if "sparse" in p.runs), None)
    if place is None:
        return
    run = place.runs["sparse"]
    model = run.model("last")
    assert isinstance(model, SoftCAM)
    where = f"{place}, batches of {BATCH}"
    for training, name in ((True, "first-noise"), (False, "first-noise-frozen")):
        arrays = _gradients(model.train(training), run, material)
        yield name, over_rows(noise_ratio, arrays, where, material, "batches")
        if training:
            yield "first-bias", over_rows(expected_along, arrays, where, material, "batches")


def _gradients(model: SoftCAM, run: Run, material: Material) -> tuple[np.ndarray, np.ndarray]:
    """(batches, WEIGHTS) each: of the penalty on the first image, and of the mean over all."""
    data, draw = run.data("train"), rng(material.seed, 0, STREAM)
    parameters = [p for p in model.parameters() if p.requires_grad]
    kept = draw.permutation(sum(p.numel() for p in parameters))[:WEIGHTS]
    found: list[list[np.ndarray]] = [[], []]
    for _ in range(material.batches):
        rows = draw.choice(len(data), BATCH, replace=len(data) < BATCH)
        maps = model.evidence_maps(data.batch(rows))
        for part, each in zip((maps[:1], maps), found, strict=True):
            penalty = elastic_net(part, run.lambdas[0], 0.0)
            gradient = torch.autograd.grad(penalty, parameters, retain_graph=part is not maps)
            each.append(torch.cat([g.flatten() for g in gradient])[kept].double().numpy())
    return np.stack(found[0]), np.stack(found[1])


def expected_along(first: np.ndarray, mean: np.ndarray) -> float:
    """The mean of one set of gradients (n, P) along that of another, as a share of its length."""
    direction = mean.mean(0)
    return float(first.mean(0) @ direction / (direction @ direction))


def noise_ratio(first: np.ndarray, mean: np.ndarray) -> float:
    """Total variance of gradients (n, P) over that of others, over the batch size; NaN over 0."""
    return share(first.var(0), mean.var(0)) / BATCH


def dense_at_start(material: Material, place: Place) -> Found:
    """A black box and a dense SoftCAM of the same seed, before any training."""
    run = next(iter(place.runs.values()))
    config, images = replace(run.config, weights=None, pretrained=False), _images(material, run)
    logits = []
    with torch.no_grad():
        for arm in ("black-box", "dense"):
            net = build_model(config.with_arm(arm), len(run.classes), None).eval()
            logits.append(net(images).double())
    share = (logits[1] - logits[0]).abs().max() / logits[0].abs().max()
    yield (
        "dense-start",
        Measured(float(share), n=len(images), unit="images", data=f"{place}, untrained"),
    )


def cam_is_map(material: Material, place: Place) -> Found:
    """Grad-CAM of the black box, times the cells plus the bias, against its converted twin."""
    run = place.runs.get("black-box")
    if run is None:
        return
    grad = material.maps(run)
    softcam = run.converted()
    images = grad.data.batch(grad.indices)
    maps = softcam.explain(images).maps.double()
    cam = grad.maps.double() * maps.shape[2] * maps.shape[3]
    cam = cam + softcam.bias.double()[None, :, None, None]
    share = float((cam - maps).abs().max() / maps.abs().max())
    yield "cam-is-map", Measured(share, n=len(maps), unit="images", data=str(place))


def new_head(material: Material, place: Place) -> Found:
    """Test accuracy of the black box's features under its own head, and under new ones."""
    run = place.runs.get("black-box")
    if run is None:
        return
    data, softcam = run.data("test"), run.converted()
    rows = some_of(np.arange(len(data)), material.limit, material.seed)
    labels = torch.from_numpy(np.asarray(data.labels)[rows])
    if softcam.link == "sigmoid" or not isinstance(softcam.evidence, nn.Conv2d):
        return
    with torch.no_grad():
        features = softcam.forward_features(data.batch(rows))
        kept = softcam.evidence(features).mean((2, 3)).argmax(1) == labels
        fresh = torch.zeros(len(rows), dtype=torch.float64)
        for seed in range(HEADS):
            torch.manual_seed(seed)
            head = nn.Conv2d(features.shape[1], softcam.evidence.out_channels, 1)
            fresh += (head(features).mean((2, 3)).argmax(1) == labels).double() / HEADS
    gain = kept.double() - fresh
    where = f"{place}, mean of {HEADS} new heads"
    yield "head-accuracy", over_rows(np.mean, (gain.numpy(),), where, material)


def fill_is_mean(material: Material, place: Place) -> Found:
    """0 in the normalised tensor is the mean colour."""
    model = material.model(next(iter(place.runs.values())))
    known = model.normalize.values()
    if known is None:
        return
    colour = torch.tensor(known[0]).view(1, 3, 1, 1)
    largest = float(model.normalize(colour).abs().max())
    yield "fill-zero", Measured(largest, data=str(place))


def bright_row(material: Material, place: Place) -> Found:
    """Marked pixels above the first bright row of their image."""
    maps = material.sparse(place)
    if maps is None:
        return
    tops = first_bright_row(maps.data.batch(maps.indices))
    findings = maps.findings_of(np.arange(len(maps.indices)))
    rows = torch.arange(findings.shape[1])[None, :, None]
    above = (findings & (rows < tops[:, None, None])).sum((1, 2)).numpy()
    marked = findings.sum((1, 2)).numpy()
    yield "bright-lost", over_rows(share, (above, marked), str(place), material)


def deletion(material: Material, place: Place) -> Found:
    """Tiles hidden in the order of the sparse SoftCAM's maps: fills, readings, networks."""
    run, data = place.runs.get("sparse"), str(place)
    if run is None:
        return
    if not len(_predicted(material.maps(run))):
        for name in ON_NETWORKS[deletion]:
            yield name, undefined(f"{data}: no image is predicted as its label")
        return
    plain, blurred = (_scores(material, run, run, f) for f in ("mean-colour", "blur"))
    yield "fill-choice", absolute(_area_difference(blurred, plain, data, material))
    kept = _starts(plain)
    own = area(plain.probability[kept])
    for name, cut in (("max-area", True), ("max-uncut", False)):
        largest = area(plain.confidence[kept], cut=cut)
        yield name, over_rows(np.mean, (largest - own,), data, material)
    box = place.runs.get("black-box")
    if box is not None:
        there = _scores(material, run, box, "mean-colour")
        yield "own-crossed", absolute(_area_difference(plain, there, data, material))


def _area_difference(
    a: OcclusionScores, b: OcclusionScores, data: str, material: Material
) -> Measured:
    """Areas of two answers about the same images, over those that both start with the target."""
    both = _starts(a) & _starts(b)
    difference = area(a.probability[both]) - area(b.probability[both])
    return over_rows(np.mean, (difference,), data, material)


def _starts(scores: OcclusionScores) -> np.ndarray:
    return scores.finite & scores.predicted[:, 0]


def area(values: np.ndarray, *, cut: bool = False) -> np.ndarray:
    """(n,): area under each curve (n, S) relative to its start; `cut` lets none rise above it."""
    relative = values / values[:, :1]
    if cut:
        relative = np.minimum(relative, 1)
    return (relative[:, 1:] + relative[:, :-1]).mean(1) / 2


def _scores(material: Material, run: Run, occluded: Run, fill: str) -> OcclusionScores:
    """What a network says of images hidden in the order of the maps of another run.

    Over images whose target the run predicts: the others have nothing to lose.
    """
    maps, model = material.maps(run), material.model(occluded)
    positions = some_of(_predicted(maps), material.occluded, material.seed)
    own = maps.read(maps.gauges[-1], maps.targets, positions.tolist())
    chosen = maps.indices[positions]
    targets = output_index(maps.targets[positions], maps.logits.shape[1])
    return occlusion_scores(
        model, maps.data.batch(chosen), own, targets, fill=fill,
        classes=np.asarray(maps.data.labels)[chosen], keys=chosen.tolist(), seed=material.seed,
    )  # fmt: skip


def _predicted(maps: KeptMaps) -> np.ndarray:
    """Positions of the images whose target is the prediction."""
    return np.flatnonzero(maps.predicted == maps.targets)


def game_opponents(material: Material, place: Place) -> Found:
    """The 2 x 2 game in totals: healthy images show the map of class 0, or the disease's."""
    maps = material.sparse(place)
    if maps is None:
        return
    if maps.gauges == ("raw",) or maps.logits.shape[1] != 2:
        return
    model = material.model(place.runs["sparse"])
    assert isinstance(model, SoftCAM)
    healthy = np.flatnonzero(np.asarray(maps.data.labels) == 0)
    healthy = some_of(healthy, min(material.limit, len(maps.indices)), material.seed)
    if not len(healthy):
        yield "game-opponents", undefined(f"{place}: no healthy image")
        return
    others, n = model.explain(maps.data.batch(healthy)).maps.double(), len(healthy)
    arrays = tuple(shares_above(e) for e in (maps.maps[:n, 1], others[:, 0], others[:, 1]))
    yield "game-opponents", over_rows(rise, arrays, str(place), material, "games")


def rise(ill: np.ndarray, zero: np.ndarray, one: np.ndarray) -> float:
    """The score against the maps of class 1 of the healthy images, minus against class 0."""
    return score(ill, one) - score(ill, zero)


def shares_above(maps: Tensor) -> np.ndarray:
    """(n,): the share of cells of each map above the threshold of the game."""
    return (maps > GAME).double().mean((1, 2)).numpy()


def score(ill: np.ndarray, healthy: np.ndarray) -> float:
    """One diseased map against three healthy ones, in totals; NaN where nothing is above."""
    total = ill.mean() + 3 * healthy.mean()
    return float(ill.mean() / total) if total > 0 else np.nan


def _images(material: Material, run: Run) -> Tensor:
    data = run.data("test")
    return data.batch(some_of(np.arange(len(data)), 16, material.seed))


GRADIENTS = {first_sample: ("first-bias", "first-noise", "first-noise-frozen")}
ON_NETWORKS = {
    dense_at_start: ("dense-start",),
    cam_is_map: ("cam-is-map",),
    new_head: ("head-accuracy",),
    fill_is_mean: ("fill-zero",),
    bright_row: ("bright-lost",),
    deletion: ("fill-choice", "max-area", "max-uncut", "own-crossed"),
    game_opponents: ("game-opponents",),
}
