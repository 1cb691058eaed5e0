"""The list of measures, the batches they take, and the ratios they give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError, UnknownNameError
from softcam.metrics import MapBatch, Ratios, get_measure, measure, measure_maps, measures, registry
from tests.metrics.test_localisation import scenes


def test_every_measure_declares_itself() -> None:
    names = [each.name for each in measures()]
    assert {"pointing-accuracy", "activation-precision", "activation-sensitivity",
            "patch-precision", "deletion-prediction", "deletion-probability", "audc", "accuracy",
            "auc", "quadratic-kappa", "ece", "brier", "logit-size", "logit-contrast"} <= set(
        names
    )  # fmt: skip
    for each in measures():
        assert each.direction in ("higher", "lower", "one", "none") and each.source and each.unit, (
            each.name
        )
        assert get_measure(each.name) is each


def test_an_unknown_name_gets_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="pointing-accuracy"):
        get_measure("pointing-acuracy")
    with pytest.raises(UnknownNameError, match="corrected"):
        get_measure("pointing-accuracy", "paperr")  # type: ignore[arg-type]


def test_a_measure_is_one_function_and_a_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MEASURES", {})

    @measure(name="mean-map", title="Mean of the map", direction="higher", source="this test")
    def mean_map(batch: MapBatch) -> Ratios:
        return Ratios.where(batch.scored, batch.clean.mean((1, 2)))

    maps, findings = scenes()
    found = measure_maps(maps, findings, ["mean-map"])["mean-map"]
    np.testing.assert_allclose(found.per_image[8], maps[8].mean())
    with pytest.raises(SoftCAMError, match="already"):
        measure(name="mean-map", title="", direction="lower", source="")(mean_map)
    measure(name="mean-map", title="", direction="lower", source="", protocol="paper")(mean_map)
    assert get_measure("mean-map", "paper").direction == "lower"


def test_chunks_do_not_change_a_value() -> None:
    maps, findings = scenes()
    once, parts = measure_maps(maps, findings), measure_maps(maps, findings, chunk=3)
    assert list(once) == [each.name for each in measures("map")]
    for name in once:
        np.testing.assert_array_equal(once[name].numerator, parts[name].numerator, name)
        np.testing.assert_array_equal(once[name].denominator, parts[name].denominator, name)


@pytest.mark.parametrize("each", measures("map"), ids=lambda each: each.name)
def test_the_declared_gauge_holds(each: registry.Measure) -> None:
    """`order`: a constant added to the map changes nothing. `zero`: it does."""
    maps, findings = scenes()
    maps = maps.double()
    before = each(MapBatch(maps, findings)).value
    after = each(MapBatch(maps + 0.75, findings)).value
    assert np.allclose(before, after, atol=1e-9) == (each.gauge == "order")


def test_only_measures_on_maps_are_measured_on_maps() -> None:
    with pytest.raises(SoftCAMError, match="no measure on maps alone"):
        measure_maps(*scenes(), ["deletion-prediction"])
    with pytest.raises(SoftCAMError, match="no images"):
        measure_maps(torch.zeros(0, 2, 2), torch.zeros(0, 4, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    ("maps", "findings", "says"),
    [
        (torch.zeros(2, 3, 3), torch.zeros(3, 9, 9, dtype=torch.bool), "one an image"),
        (torch.zeros(2, 1, 3, 3), torch.zeros(2, 9, 9, dtype=torch.bool), r"maps \(B, h, w\)"),
        (torch.zeros(2, 3, 3).long(), torch.zeros(2, 9, 9, dtype=torch.bool), "floating-point"),
        (torch.zeros(2, 0, 3), torch.zeros(2, 9, 9, dtype=torch.bool), "at least one cell"),
        (torch.zeros(2, 3, 3), torch.zeros(2, 9, 9), "findings as bool"),
    ],
)
def test_a_batch_says_what_it_expects(
    maps: torch.Tensor, findings: torch.Tensor, says: str
) -> None:
    with pytest.raises(SoftCAMError, match=says):
        MapBatch(maps, findings)


def test_integer_findings_mean_not_zero() -> None:
    maps, findings = scenes()
    as_bytes = measure_maps(maps, findings.to(torch.uint8) * 255)
    for name, ratios in measure_maps(maps, findings).items():
        np.testing.assert_array_equal(ratios.numerator, as_bytes[name].numerator)


def test_half_precision_and_gradients_are_taken_as_they_come() -> None:
    maps = torch.randn(2, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    found = measure_maps(maps, torch.ones(2, 12, 12, dtype=torch.bool))
    assert found["pointing-accuracy"].value == 1


def test_ratios_by_hand() -> None:
    ratios = Ratios(np.array([[1.0, 0], [2, 0]]), np.array([[2.0, 0], [6, 0]]))
    np.testing.assert_array_equal(ratios.value, [3 / 8, np.nan])
    np.testing.assert_array_equal(ratios.per_image, [[0.5, np.nan], [1 / 3, np.nan]])
    assert ratios.n.tolist() == [2, 0] and ratios.n_excluded.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("numerator", "denominator", "says"),
    [([np.nan], [1.0], "NaN"), ([1.0], [-1.0], "negative"), ([1.0, 2.0], [1.0], "one shape")],
)
def test_ratios_refuse_what_cannot_be_averaged(
    numerator: list[float], denominator: list[float], says: str
) -> None:
    with pytest.raises(SoftCAMError, match=says):
        Ratios(np.array(numerator), np.array(denominator))


def test_a_measure_over_correct_images_asks_which_they_are() -> None:
    maps, findings = torch.rand(3, 64, 64), torch.zeros(3, 512, 512, dtype=torch.bool)
    findings[:, :80, :80] = True
    name = "patch-precision-tp"
    assert name not in measure_maps(maps, findings, protocol="paper")
    with pytest.raises(SoftCAMError, match="give `predicted`"):
        measure_maps(maps, findings, [name], protocol="paper")
    right = torch.tensor([True, False, True])
    found = measure_maps(8 * maps, findings, [name], protocol="paper", predicted=right, chunk=2)
    assert found[name].n_excluded[0] == 1, "the wrongly predicted image counts as left out"
