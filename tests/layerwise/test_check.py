"""The lesion rate against cases whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.data import ImageSet, PhantomOptions, phantom_splits
from softcam.data.records import pack_masks
from softcam.layerwise import lesion_rate
from softcam.layerwise.check import LABEL_OF, layer_label, noise_like
from softcam.layerwise.clusters import ClusterMap, LayerExplanation
from softcam.layerwise.concepts import LABEL_COLUMNS


class Bright(nn.Module):
    """Class 1 where there is something bright; its one layer is the brightness itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.fc = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.fill_(1 / 3)
            self.conv.weight[1] *= -1
            self.fc.weight.copy_(torch.tensor([[0.0, 0.0], [100.0, 0.0]]))
            self.fc.bias.copy_(torch.tensor([0.5, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


def spots(n: int = 8, side: int = 24) -> ImageSet:
    """Dark images with one bright box, the finding, elsewhere in each; and a mask beside it."""
    images = np.zeros((2 * n, side, side), np.uint8)
    masks = np.zeros((2 * n, 2, side, side), bool)
    for i in range(n):
        row, column = 1 + 6 * (i % 3), 1 + 6 * (i // 3)
        masks[i, 0, row : row + 4, column : column + 4] = True
        images[i][masks[i, 0]] = 255
    masks[:, 1, 12:, 20:] = True
    labels = np.array([1] * n + [0] * n)
    ids = tuple(f"{i}" for i in range(2 * n))
    return ImageSet(
        "spots", "val", ("dark", "bright"), images, labels, ids, ids, pack_masks(masks),
        ("box", "bone"), ("box",), np.ones(2 * n, bool),
    )  # fmt: skip


def rates(table: pd.DataFrame) -> dict[str, float]:
    own = table[table["question"] == LABEL_OF["layer"]]
    return dict(zip(own["maps"], own["value"], strict=True))


def test_a_network_that_sees_the_finding_is_told_from_all_that_do_not() -> None:
    data, blind = spots(), Bright()
    nn.init.zeros_(blind.conv.weight)
    found = lesion_rate(Bright(), data, untrained=blind, progress=False, n_boot=200)
    assert found.layers == ("conv",)
    value = rates(found.table)
    assert value["trained"] == 1 and value["untrained"] == 0
    assert value["maps of noise"] < 0.5 and value["maps of another image"] == 0
    assert set(found.table["n"]) == {8} and found.table["value"].between(0, 1).all()
    silent = found.table.set_index("maps")["unlabelled"]
    assert (silent["untrained"] == 1).all() and (silent["trained"] == 0).all()
    assert set(found.labels["image"]) == set(data.ids[:8])
    assert set(found.labels["class_name"]) == {"bright"}
    assert found.labels.groupby("image")["label"].first().eq("box").all()


def test_only_correctly_classified_images_with_a_finding_are_asked() -> None:
    data = spots()
    images = data.images.copy()
    images[0] //= 200  # too dark to be called bright
    found = lesion_rate(Bright(), replace(data, images=images), progress=False, n_boot=50)
    assert set(found.labels["image"]) == set(data.ids[1:8])
    some = lesion_rate(Bright(), data, indices=[3, 5, 9], progress=False, n_boot=50)
    assert set(some.labels["image"]) == {"3", "5"}
    first = lesion_rate(Bright(), data, limit=2, progress=False, n_boot=50)
    assert set(first.labels["image"]) == {"0", "1"}
    one = lesion_rate(Bright(), data, limit=1, progress=False, n_boot=50).table
    assert "maps of another image" not in set(one["maps"]) and one["ci_low"].isna().all()


def test_the_same_seed_gives_the_same_table() -> None:
    first, second = (lesion_rate(Bright(), spots(), progress=False, n_boot=50) for _ in range(2))
    pd.testing.assert_frame_equal(first.table, second.table)


def test_a_layer_is_called_by_scores_weighed_by_share() -> None:
    rows = [
        ("", "", "last", 0, 60.0, "lungs", 0.5, 1),
        ("", "", "last", 0, 60.0, "opacity", 0.3, 1),
        ("", "", "last", 1, 30.0, "opacity", 0.5, 1),
    ]
    labels = pd.DataFrame(rows, columns=list(LABEL_COLUMNS))
    assert layer_label(labels) == "opacity"  # 18 + 15 against 30
    assert layer_label(labels[:2]) == "lungs"
    assert layer_label(labels[:0]) is None


def test_maps_of_noise_keep_size_and_share() -> None:
    cluster = ClusterMap("a", 0, np.zeros((5, 7), np.float32), 40.0, (1, 2))
    given = LayerExplanation("a", (5, 7), 4, 2, (cluster,), None)
    noisy = noise_like(given, np.random.default_rng(0)).clusters[0]
    assert noisy.map.shape == (5, 7) and noisy.map.std() > 0.2
    assert noisy.share == 40 and not cluster.map.any()


def test_on_phantoms_all_kinds_of_maps_get_an_answer(project: Path) -> None:
    from softcam.backbones import build_net
    from softcam.wrappers import BlackBox

    options = PhantomOptions("cxr", size=32, n_train=12, n_val=1, n_test=1)
    data = phantom_splits(options, progress=False).train
    nets = [BlackBox(build_net("resnet10t-w8-os8", 2)) for _ in range(2)]
    logits = nets[0](data.batch(range(12)))
    assert logits.shape == (12, 2)
    with torch.no_grad():
        nets[0].get_classifier().bias[1] += 100  # everything is diseased
    found = lesion_rate(
        nets[0],
        data,
        untrained=nets[1],
        layers=["net.layer1", "net.layer4"],
        limit=2,
        progress=False,
        n_boot=20,
    )
    assert found.table["maps"].nunique() == 4 and len(found.table) == 2 * 4 * 2
    assert set(found.table["layer"]) == set(found.layers) == {"net.layer1", "net.layer4"}


def test_bad_input() -> None:
    data = spots()
    with pytest.raises(SoftCAMError, match="one class an image"):
        lesion_rate(Bright(), replace(data, labels=np.ones((16, 2), int)), progress=False)
    with pytest.raises(SoftCAMError, match="classifies none of them correctly"):
        lesion_rate(Bright(), replace(data, images=data.images * 0), progress=False)
    with pytest.raises(SoftCAMError, match="2 logits for 3 classes"):
        lesion_rate(Bright(), replace(data, classes=("a", "b", "c")), progress=False)
    with pytest.raises(SoftCAMError, match="limit"):
        lesion_rate(Bright(), data, limit=0, progress=False)
