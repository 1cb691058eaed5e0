"""Occluded images: every question and fill against images built pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, UnknownNameError
from softcam.convert import to_softcam
from softcam.metrics import OcclusionScores, occlusion_scores
from softcam.metrics.paper.tiles import paper_tile_ranks
from softcam.wrappers import BlackBox
from tests.metrics import oracle_occlusion as oracle

BLACK = (0.0, 0.0, 0.0)
MEAN = (0.4, 0.5, 0.6)


class CountsBright(nn.Module):
    """Class 1 while more than `limit` pixels are bright."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.batches: list[int] = []
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        self.modes.append(self.training)
        bright = (x[:, 0] > 0.5).float().sum((1, 2)) - self.limit
        return torch.stack([torch.zeros_like(bright), bright], 1)


def small_net(link: str = "softmax", outputs: int = 3) -> BlackBox:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(3),
        nn.Flatten(), nn.Linear(54, outputs),
    )  # fmt: skip
    nn.init.normal_(net[-1].weight, std=0.15)  # type: ignore[arg-type]
    return BlackBox(net, (MEAN, (0.2, 0.2, 0.2)), link=link).eval()  # type: ignore[arg-type]


def scene(images: int = 3, size: tuple[int, int] = (20, 27)) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.rand(images, 3, *size, generator=draw), torch.randn(images, 4, 5, generator=draw)


def occluded(cells: np.ndarray, image: np.ndarray, question: str, fill: str) -> np.ndarray:
    if question == "masked":
        return oracle.under_map(cells, image)
    flat = {"mean-colour": MEAN, "colour": (0.1, 0.9, 0.3)}
    paint = (
        oracle.blurred(image)
        if fill == "blur"
        else np.broadcast_to(np.array(flat[fill])[:, None, None], image.shape)
    )
    return oracle.painted(image, oracle.hidden(cells, image.shape[1:], question), paint)


@pytest.mark.parametrize("fill", ["mean-colour", "blur", "colour"])
@pytest.mark.parametrize("question", ["deletion", "insertion", "masked"])
@pytest.mark.parametrize(
    ("link", "outputs", "size"),
    [("softmax", 3, (20, 27)), ("sigmoid", 2, (13, 17)), ("softmax", 2, (48, 48))],
)
def test_equals_the_definition(
    question: str, fill: str, link: str, outputs: int, size: tuple[int, int]
) -> None:
    model = small_net(link, outputs)
    images, maps = scene(size=size)
    targets = torch.tensor([0, 1, outputs - 1])
    scores = occlusion_scores(
        model, images, maps, targets, question=question,  # type: ignore[arg-type]
        fill=(0.1, 0.9, 0.3) if fill == "colour" else fill, chunk=7,
    )  # fmt: skip
    for i, image in enumerate(images.double().numpy()):
        shown = occluded(maps[i].double().numpy(), image, question, fill)
        with torch.no_grad():
            logits = torch.cat([model(torch.from_numpy(x)[None].float()) for x in shown])
        expected = oracle.answers(logits.double().numpy(), int(targets[i]), link)
        np.testing.assert_array_equal(scores.predicted[i], expected.pop("predicted"))
        for name, values in expected.items():
            np.testing.assert_allclose(scores.arrays()[name][i], values, atol=1e-6, err_msg=name)
    assert scores.probability.std(1).max() > 1e-3, "hiding tiles should move the probability"


@pytest.mark.parametrize("question", ["deletion", "insertion"])
def test_a_softcam_is_asked_like_any_model(question: str) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    black_box = BlackBox(net, (MEAN, (0.2, 0.2, 0.2))).eval()
    images, maps = scene(2)
    asked = (images, maps, torch.tensor([0, 1]))
    one, other = (
        occlusion_scores(model, *asked, question=question)  # type: ignore[arg-type]
        for model in (black_box, to_softcam(black_box))
    )
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)


def test_by_hand() -> None:
    """6x6 px, four 3x3 tiles, all bright: 36, 27, 18, 9, 0 bright pixels against a limit of 20."""
    images, maps = torch.ones(1, 3, 6, 6), torch.rand(1, 2, 2)
    model = BlackBox(CountsBright(20))
    deleted = occlusion_scores(model, images, maps, torch.tensor([1]), fill=BLACK)
    assert deleted.predicted.tolist() == [[True] * 2 + [False] * 28]
    shown = occlusion_scores(
        model, images, maps, torch.tensor([1]), question="insertion", fill=BLACK
    )
    # 3 of 4 tiles from 62.5 % on, which is from 65 % on: point 13.
    assert shown.predicted.tolist() == [[False] * 13 + [True] * 8]


def test_one_sigmoid_logit() -> None:
    head = BlackBox(nn.Sequential(CountsBright(20), nn.Linear(2, 1, bias=False)), link="sigmoid")
    head.net[1].weight.data = torch.tensor([[0.0, 1.0]])  # type: ignore[index, union-attr]
    scores = occlusion_scores(
        head, torch.ones(1, 3, 6, 6), torch.rand(1, 2, 2), torch.tensor([0]), fill=BLACK
    )
    assert scores.predicted[0, :4].tolist() == [True, True, False, False]


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_the_distance_from_one_survives_saturation(link: str) -> None:
    """1 - p is 0 in double precision from a logit of 37 on; the complement is not."""
    head = nn.Sequential(CountsBright(0), nn.Linear(2, 2, bias=False))
    head[1].weight.data = torch.tensor([[0.0, -1.0], [0.0, 1.0]])
    model = BlackBox(head, link=link)  # type: ignore[arg-type]
    scores = occlusion_scores(
        model, torch.ones(1, 3, 8, 8), torch.zeros(1, 2, 2), torch.tensor([1]), question="masked"
    )
    logit = 128 if link == "softmax" else 64
    assert scores.probability[0, 0] == 1.0
    assert scores.complement[0, 0] == pytest.approx(np.exp(-float(logit)), rel=1e-6)


def test_a_constant_map_blackens_the_image() -> None:
    model = BlackBox(CountsBright(20))
    scores = occlusion_scores(
        model, torch.ones(1, 3, 6, 6), torch.full((1, 2, 2), 3.0), torch.tensor([1]),
        question="masked",
    )  # fmt: skip
    assert scores.predicted.tolist() == [[True, False]]


def test_every_pass_is_full_and_in_eval_mode_and_modes_come_back() -> None:
    counter = CountsBright(1)
    model = BlackBox(nn.Sequential(counter, nn.Dropout(0.5)))
    model.train()
    model.net[1].eval()  # type: ignore[index, operator]
    images, maps = scene(2, (9, 9))
    occlusion_scores(model, images, maps, torch.zeros(2).long(), fill=BLACK, chunk=25)
    assert counter.batches == [25, 25, 10]
    assert not any(counter.modes)
    assert counter.training and not model.net[1].training  # type: ignore[index, union-attr]


def test_modes_come_back_after_an_error() -> None:
    model = small_net().train()
    with pytest.raises(SoftCAMError, match="target 3 is out of range"):
        occlusion_scores(model, torch.rand(1, 3, 9, 9), torch.rand(1, 3, 3), torch.tensor([3]))
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("question", ["deletion", "insertion", "masked"])
def test_a_nan_map_is_marked_and_the_others_stay(question: str) -> None:
    model = small_net()
    images, maps = scene(3)
    asked = {"targets": torch.zeros(3).long(), "question": question}
    whole = occlusion_scores(model, images, maps, **asked)  # type: ignore[arg-type]
    maps[1, 0, 0] = torch.inf
    holed = occlusion_scores(model, images, maps, **asked)  # type: ignore[arg-type]
    assert holed.finite.tolist() == [True, False, True]
    np.testing.assert_allclose(holed.probability[[0, 2]], whole.probability[[0, 2]], atol=1e-6)


def test_one_image_is_what_it_is_among_others() -> None:
    model = small_net()
    images, maps = scene(3)
    targets = torch.tensor([0, 1, 2])
    for fill in ("mean-colour", "blur", "linear"):
        asked = {"fill": fill, "seed": 3}
        every = occlusion_scores(model, images, maps, targets, keys=[7, "a", 9], **asked)  # type: ignore[arg-type]
        alone = occlusion_scores(
            model, images[1:2], maps[1:2], targets[1:2], keys=["a"], **asked  # type: ignore[arg-type]
        )  # fmt: skip
        np.testing.assert_allclose(alone.probability[0], every.probability[1], atol=1e-6)


def test_scores_travel_through_arrays() -> None:
    model = small_net()
    images, maps = scene(3)
    targets = torch.tensor([0, 1, 2])
    whole = occlusion_scores(model, images, maps, targets, classes=np.array([4, 5, 6]))
    assert whole.classes.tolist() == [4, 5, 6] and whole.labels.tolist() == [0, 1, 2]
    parts = [
        occlusion_scores(
            model, images[i : i + 1], maps[i : i + 1], targets[i : i + 1], classes=[4 + i]  # type: ignore[arg-type]
        )
        for i in range(3)
    ]  # fmt: skip
    joined = OcclusionScores.concatenate(parts)
    again = OcclusionScores.from_arrays(joined.arrays())
    for name, array in whole.arrays().items():
        np.testing.assert_allclose(again.arrays()[name], array, atol=1e-6, err_msg=name)
    with pytest.raises(SoftCAMError, match="expected the arrays"):
        OcclusionScores.from_arrays({"labels": whole.labels})
    with pytest.raises(SoftCAMError, match="no images"):
        OcclusionScores.concatenate([])
    with pytest.raises(SoftCAMError, match="complement of shape"):
        OcclusionScores.from_arrays({**whole.arrays(), "complement": whole.complement[:1]})


def test_the_paper_s_order_of_tiles() -> None:
    """512 px: bright pixels left at each point, of which those without a tile stay."""
    seen = []

    class Sees(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.extend((x[:, 0] > 0).flatten(1).sum(1).tolist())
            return torch.zeros(len(x), 2)

    images, maps = torch.ones(1, 3, 512, 512), torch.randn(1, 16, 16)
    images[:, :, :300] = 0.1
    model = BlackBox(Sees(), ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    occlusion_scores(model, images, maps, torch.tensor([1]), protocol="paper")
    ranks = paper_tile_ranks(images, maps)
    assert seen == [int((ranks >= i).sum()) for i in range(30)]
    assert seen[0] == 512 * 512 > seen[29]


def test_no_mean_colour_is_an_error_that_names_fill() -> None:
    model = BlackBox(CountsBright(1))
    with pytest.raises(SoftCAMError, match="fill="):
        occlusion_scores(model, torch.rand(1, 3, 6, 6), torch.rand(1, 2, 2), torch.tensor([1]))


def test_a_broken_model_is_named() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.full((len(x), 2), torch.nan)

    with pytest.raises(SoftCAMError, match="NaN"):
        occlusion_scores(
            BlackBox(Broken()), torch.rand(1, 3, 6, 6), torch.rand(1, 2, 2), torch.tensor([1]),
            fill=BLACK,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"question": "deletoin"}, "did you mean 'deletion'"),
        ({"fill": "blurr"}, "did you mean 'blur'"),
        ({"protocol": "papre"}, "did you mean 'paper'"),
    ],
)
def test_unknown_names(options: dict[str, str], says: str) -> None:
    with pytest.raises(UnknownNameError, match=says):
        occlusion_scores(
            small_net(), torch.rand(1, 3, 9, 9), torch.rand(1, 2, 2), torch.tensor([0]),
            **options,  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"maps": torch.rand(1, 2, 2)}, "2 images, 1 maps"),
        ({"targets": torch.tensor([0])}, "1 targets"),
        ({"maps": torch.rand(2, 1, 2, 2)}, "maps"),
        ({"maps": torch.ones(2, 2, 2).int()}, "int32"),
        ({"maps": torch.rand(2, 0, 2)}, "at least one cell"),
        ({"images": torch.ones(2, 3, 9, 9).byte()}, "uint8"),
        ({"targets": torch.tensor([0, -1])}, "smallest -1"),
        ({"targets": torch.tensor([0.0, 1.0])}, "integers"),
        ({"classes": np.array([1])}, "one class"),
        ({"keys": [1]}, "1 keys"),
        ({"chunk": 0}, "chunk=0"),
        ({"protocol": "paper", "question": "insertion"}, "found insertion"),
        ({"protocol": "paper", "fill": "blur"}, "with blur"),
        ({"protocol": "paper"}, "512"),
    ],
)
def test_wrong_input_is_named(changed: dict[str, object], says: str) -> None:
    given = {
        "images": torch.rand(2, 3, 9, 9), "maps": torch.rand(2, 2, 2),
        "targets": torch.tensor([0, 0]),
    }  # fmt: skip
    with pytest.raises(SoftCAMError, match=says):
        occlusion_scores(small_net(), **{**given, **changed})  # type: ignore[arg-type]
