"""The results tables, on a network whose maps are known by construction."""

from __future__ import annotations

import copy
import types

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, UnknownNameError
from softcam.data.records import ImageSet, pack_masks
from softcam.evaluate import evaluate, measure_catalogue
from softcam.evidence import Conversion, SoftCAM
from softcam.results import COLUMNS, KEYS, read_results, write_results
from softcam.scan import ask, in_gauge
from softcam.wrappers import BlackBox

SIZE, CELL = 32, 8


class Brightness(nn.Module):
    """A feature a cell, its mean brightness, and a linear head: bright cells speak for class 1.

    So the map points at the brightest cell, and everything can be worked out by hand.
    """

    num_features = 1

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.fc = nn.Linear(1, classes)
        slopes = torch.arange(classes).float() if classes > 1 else torch.ones(1)
        self.fc.weight.data = 40 * slopes[:, None]
        # A dark cell speaks against class 1; one bright cell outweighs all fifteen.
        self.fc.bias.data = 1.4 * slopes

    def forward_features(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, CELL).mean(1, keepdim=True)

    def forward_head(self, z: Tensor) -> Tensor:
        return self.fc(z.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class _Features(nn.Module):
    def __init__(self, net: Brightness) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net.forward_features(x)


NORMALIZE = ((0.1, 0.1, 0.1), (1.0, 1.0, 1.0))


class FakeRun:
    """What `evaluate` needs of a run, without training one."""

    def __init__(self, data: ImageSet, arm: str = "black-box", classes: int = 2, **options) -> None:
        self.id, self.arm, self.seed, self.lambdas = f"fake-{arm}-s0", arm, 0, (0.0, 0.0)
        self.config = types.SimpleNamespace(model="resnet10t-w32-os8")
        self._data, self._link = data, "sigmoid" if classes == 1 else "softmax"
        self._net = Brightness(classes)
        self._normalize = options.get("normalize", NORMALIZE)

    def data(self, split: str) -> ImageSet:
        return self._data

    def model(self) -> BlackBox | SoftCAM:
        if self.arm == "black-box":
            return BlackBox(self._net, self._normalize, self._link).eval()
        return self._softcam()

    def converted(self) -> SoftCAM:
        return self._softcam()

    def _softcam(self) -> SoftCAM:
        net = copy.deepcopy(self._net)
        conv = nn.Conv2d(1, net.fc.out_features, 1)
        conv.weight.data = net.fc.weight.data[:, :, None, None].clone()
        conv.bias.data = net.fc.bias.data.clone()
        exact = Conversion("exact", 0.0, CELL)
        return SoftCAM(_Features(net), conv, self._normalize, self._link, exact).eval()


def bright_square(n: int = 12, misplaced: int = 0, classes: int = 2) -> ImageSet:
    """Odd images: one bright cell, marked as finding; even ones dark and healthy.

    In the first `misplaced` diseased images the mark is in another place than the bright cell.
    """
    draw = np.random.default_rng(0)
    images = draw.integers(0, 20, (n, SIZE, SIZE)).astype(np.uint8)
    masks = np.zeros((n, 1, SIZE, SIZE), bool)
    labels = np.arange(n) % 2 * (1 if classes == 2 else 1 + np.arange(n) // 2 % (classes - 1))
    for k, i in enumerate(np.flatnonzero(labels)):
        r, c = divmod(int(i) % 16, 4)
        cell = slice(r * CELL, (r + 1) * CELL), slice(c * CELL, (c + 1) * CELL)
        images[i][cell] = 250
        marked = (3 - r, 3 - c) if k < misplaced else (r, c)
        masks[i, 0, marked[0] * CELL : (marked[0] + 1) * CELL,
              marked[1] * CELL : (marked[1] + 1) * CELL] = True  # fmt: skip
    return ImageSet(
        "fake", "test", tuple(f"class {c}" for c in range(classes)), images,
        labels.astype(np.int64), tuple(f"i{k}" for k in range(n)),
        tuple(f"p{k // 4}" for k in range(n)), pack_masks(masks), ("square",), ("square",),
        np.ones(n, bool), "fingerprint",
    )  # fmt: skip


def one(table: pd.DataFrame, **where: str) -> pd.Series:
    rows = table[np.logical_and.reduce([table[k] == v for k, v in where.items()])]
    assert len(rows) == 1, f"{len(rows)} rows for {where}"
    return rows.iloc[0]


@pytest.fixture(scope="module")
def results() -> tuple[pd.DataFrame, pd.DataFrame]:
    data = bright_square(misplaced=2)
    runs = [FakeRun(data), FakeRun(data, "sparse")]
    return evaluate(runs, n_boot=50, progress=False, profile="unit")


def test_columns_are_those_agreed_and_nothing_is_blank(results) -> None:
    table, per_image = results
    assert tuple(table.columns) == COLUMNS
    assert tuple(per_image.columns) == (*KEYS, "image_id", "patient_id", "value", "weight")
    keys = table[list(KEYS)]
    assert not keys.isna().any().any() and not (keys == "").any().any()
    assert not table.duplicated(list(KEYS)).any(), "two rows say the same thing"
    assert set(table["profile"]) == {"unit"} and set(table["backbone"]) == {"resnet10t"}


def test_every_arm_and_method_is_there(results) -> None:
    table, _ = results
    found = set(map(tuple, table[["arm", "method", "gauge"]].to_numpy()))
    gauges = ("raw", "centred", "contrast")
    assert found == {
        *((arm, "-", "-") for arm in ("black-box", "converted", "sparse")),
        *(("black-box", "grad-cam", g) for g in gauges),
        *((arm, "softcam", g) for arm in ("converted", "sparse") for g in gauges),
        *((arm, method, "-") for arm in ("black-box", "sparse")
          for method in ("random", "centre", "chance", "reference-ceiling")),
    }  # fmt: skip


def test_values_worked_out_by_hand(results) -> None:
    table, _ = results
    for arm in ("black-box", "converted", "sparse"):
        assert one(table, arm=arm, metric="auc")["value"] == 1
    method = {"arm": "sparse", "method": "softcam", "gauge": "contrast"}
    pointing = one(table, **method, metric="pointing-accuracy")
    assert pointing["value"] == pytest.approx(4 / 6)  # 2 of 6 marks are elsewhere
    assert (pointing["n"], pointing["n_excluded"]) == (6, 0)
    assert pointing["ci_kind"] == "bootstrap over groups"
    floor = one(table, arm="sparse", method="chance", metric="pointing-accuracy")
    assert floor["value"] == pytest.approx(CELL**2 / SIZE**2)
    ceiling = {"arm": "sparse", "method": "reference-ceiling"}
    assert one(table, **ceiling, metric="pointing-accuracy")["value"] == 1


def test_converted_black_box_equals_the_same_softcam(results) -> None:
    table, _ = results
    columns = ["method", "gauge", "metric", "step"]
    halves = [
        table[(table["arm"] == arm) & table["method"].isin(["softcam", "-"])].set_index(columns)
        for arm in ("converted", "sparse")
    ]
    assert len(halves[0]) > 100
    pd.testing.assert_series_equal(halves[0]["value"], halves[1]["value"], atol=1e-6)


def test_contrast_of_grad_cam_is_the_contrast_of_the_evidence_map(results) -> None:
    table, _ = results
    order_only = ["pointing-accuracy", "audc"]
    for metric in order_only:
        a = one(table, arm="black-box", method="grad-cam", gauge="contrast", metric=metric)
        b = one(table, arm="converted", method="softcam", gauge="contrast", metric=metric)
        assert a["value"] == pytest.approx(b["value"])


def test_deletion_falls_at_the_first_tiles_and_random_later(results) -> None:
    table, _ = results
    curve = {"metric": "deletion-prediction", "arm": "sparse"}
    assert one(table, **curve, method="softcam", gauge="raw", step="0")["value"] == 1
    audc = {"metric": "audc", "arm": "sparse"}
    own = one(table, **audc, method="softcam", gauge="raw")
    assert own["value"] < one(table, **audc, method="random")["value"]
    assert (own["fill"], own["occluded_run"]) == ("mean-colour", "fake-sparse-s0")


def test_per_image_averages_to_the_table(results) -> None:
    table, per_image = results
    rows = table[table["metric"].isin(["pointing-accuracy", "patch-precision", "accuracy", "audc"])]
    words = per_image.astype(dict.fromkeys(KEYS, str))
    words["total"] = words["value"] * words["weight"]
    sums = words.groupby(list(KEYS))[["total", "weight"]].sum()
    means = sums["total"] / sums["weight"]
    for _, row in rows.iterrows():
        value = means.get(tuple(str(row[k]) for k in KEYS), np.nan)
        assert value == pytest.approx(row["value"], nan_ok=True), f"{row['metric']} {row['method']}"


def test_limit_is_a_seeded_choice_of_diseased_images() -> None:
    data = bright_square(40)
    few, again, other = ask(data, 5, 0), ask(data, 5, 0), ask(data, 5, 1)
    assert len(few.occluded) == 5 and (data.labels[few.occluded] == 1).all()
    assert (few.occluded == again.occluded).all() and set(few.occluded) != set(other.occluded)
    assert len(ask(data, None, 0).occluded) == 20


def test_several_classes_are_asked_for_their_label() -> None:
    data = bright_square(24, classes=3)
    table, _ = evaluate(
        [FakeRun(data, "dense", classes=3)], methods=["softcam"], n_boot=20, progress=False,
        metrics=["accuracy", "quadratic-kappa", "pointing-accuracy"],
    )  # fmt: skip
    assert set(table["task"]) == {"multi-class"}
    assert "quadratic-kappa" in set(table["metric"])
    pointing = table[(table["metric"] == "pointing-accuracy") & (table["method"] == "softcam")]
    assert set(pointing["target"]) == {"label"} and set(pointing["n"]) == {12}


def test_one_logit_has_a_raw_map_only() -> None:
    data = bright_square()
    table, _ = evaluate(
        [FakeRun(data, "dense", classes=1)], methods=["softcam"], n_boot=20, limit=2, progress=False
    )
    assert set(table[table["method"] == "softcam"]["gauge"]) == {"raw"}
    pointing = one(table, method="softcam", metric="pointing-accuracy")
    assert (pointing["value"], pointing["target"]) == (1, "class:1")


def test_without_findings_there_are_no_localisation_rows() -> None:
    data = bright_square()
    bare = ImageSet(**{**data.__dict__, "finding_names": ()})
    table, _ = evaluate([FakeRun(bare)], n_boot=20, limit=2, progress=False)
    assert "pointing-accuracy" not in set(table["metric"])
    assert {"auc", "audc"} <= set(table["metric"])


def test_with_two_classes_centred_is_half_the_contrast() -> None:
    maps, logits = torch.randn(4, 2, 3, 3), torch.randn(4, 2)
    target = torch.tensor([0, 1, 1, 0])
    centred, contrast = (in_gauge(g, maps, logits, target) for g in ("centred", "contrast"))
    assert torch.allclose(2 * centred, contrast, atol=1e-6)


def test_gauges_by_hand() -> None:
    maps = torch.tensor([[[[1.0]], [[5.0]], [[3.0]]]])
    logits = torch.tensor([[9.0, 0.0, 1.0]])  # the highest other is class 0, not the largest map
    target = torch.tensor([2])
    values = [float(in_gauge(g, maps, logits, target)) for g in ("raw", "centred", "contrast")]
    assert values == [3, 0, 2]
    with pytest.raises(SoftCAMError, match="no other class"):
        in_gauge("contrast", maps[:, :1], logits[:, :1], target * 0)


@pytest.mark.parametrize(
    "wrong, closest",
    [
        ({"methods": ["grad_cam"]}, "'grad-cam'"),
        ({"metrics": ["pointing"]}, "'pointing-accuracy'"),
    ],
)
def test_unknown_names_are_an_error_with_the_closest(wrong: dict, closest: str) -> None:
    with pytest.raises(UnknownNameError, match=closest):
        evaluate([FakeRun(bright_square())], progress=False, **wrong)


def test_no_run_and_no_such_run() -> None:
    with pytest.raises(SoftCAMError, match="no runs"):
        evaluate([])
    with pytest.raises(UnknownNameError, match="unknown run"):
        evaluate(["runs/nowhere/at-all"])


def test_no_mean_colour_is_an_error_before_the_pass() -> None:
    run = FakeRun(bright_square(), normalize=None)
    with pytest.raises(SoftCAMError, match="fill"):
        evaluate([run], progress=False)
    table, _ = evaluate([run], methods=["random"], fill=(0, 0, 0), n_boot=9, progress=False)
    assert "0,0,0" in set(table["fill"])


def test_written_and_read_again(results, tmp_path) -> None:
    table, per_image = results
    write_results(table, per_image, tmp_path)
    again, images = read_results(tmp_path)
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    assert len(images) == len(per_image)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["per_image.parquet", "results.csv"]
    with pytest.raises(SoftCAMError, match="gauge"):
        write_results(table.drop(columns="gauge"), per_image, tmp_path)


def test_catalogue_covers_the_story() -> None:
    story = {"accuracy", "auc", "quadratic-kappa", "ece", "brier", "audc", "patch-precision"}
    story |= {"pointing-accuracy", "activation-precision", "activation-sensitivity"}
    assert story <= set(measure_catalogue())
