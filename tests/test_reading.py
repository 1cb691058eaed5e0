"""The sentences follow from the numbers, and what speaks against SoftCAM comes first."""

from __future__ import annotations

import pandas as pd

from softcam.reading import findings_in_words
from softcam.results import COLUMNS


def table(*rows: tuple[str, str, str, str, float]) -> pd.DataFrame:
    """Rows (arm, method, gauge, metric, value) with an interval of +- 0.05 around them."""
    keys = ("arm", "method", "gauge", "metric", "value")
    full = [
        dict.fromkeys(COLUMNS, "-") | {"dataset": "phantoms-cxr", "n": 100, "seed": 0}
        | dict(zip(keys, row, strict=True))
        | {"ci_low": row[-1] - 0.05, "ci_high": row[-1] + 0.05}
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(full, columns=list(COLUMNS))


def seeds(keys: tuple[str, str, str, str], *values: float) -> pd.DataFrame:
    """Rows (arm, method, gauge, metric) of seeds 0, 1, ...: a run each."""
    rows = table(*((*keys, value) for value in values))
    rows["seed"] = range(len(values))
    rows["run_id"] = [f"{keys[0]}-s{i}" for i in range(len(values))]
    return rows


def pointing(softcam: float, grad_cam: float = 0.4) -> pd.DataFrame:
    return table(
        ("black-box", "grad-cam", "contrast", "pointing-accuracy", grad_cam),
        ("sparse", "softcam", "contrast", "pointing-accuracy", softcam),
        ("sparse", "softcam", "raw", "pointing-accuracy", 0.01),
        ("sparse", "centre", "-", "pointing-accuracy", 0.2),
        ("sparse", "chance", "-", "pointing-accuracy", 0.1),
        ("sparse", "reference-ceiling", "-", "pointing-accuracy", 0.8),
    )


def test_nothing_to_say() -> None:
    assert findings_in_words(table()) == []


def test_pointing_with_floor_ceiling_and_baseline() -> None:
    said = findings_in_words(pointing(0.6))
    own = next(s for s in said if s.startswith("phantoms-cxr: The evidence map of sparse"))
    assert "0.60 [0.55, 0.65]" in own and "75% of the reference ceiling 0.80" in own
    assert "; more often than the best floor, a map of the image centre (0.20)" in own
    assert any("is better than grad-cam on the black box" in s for s in said)


def test_a_map_at_its_floor_is_said_first() -> None:
    said = findings_in_words(pointing(0.22))
    assert "not more often, within the interval, than the best floor" in said[0]
    assert "is worse than grad-cam" in said[1]


def test_overlapping_intervals_are_no_win() -> None:
    said = findings_in_words(pointing(0.45))
    assert "not clearly different from grad-cam" in said[0]


def test_activation_precision_below_chance() -> None:
    def precision(value: float) -> str:
        rows = table(
            ("sparse", "softcam", "contrast", "activation-precision", value),
            ("sparse", "chance", "-", "activation-precision", 0.3),
        )
        return findings_in_words(rows)[0]

    below = "the model reads something else than the marked findings; what is not established"
    assert below in precision(0.1)
    assert "inside the interval" in precision(0.27)
    assert precision(0.5).endswith("chance is 0.30.")


def test_classification_names_best_and_those_within() -> None:
    def said(black_box: float) -> str:
        rows = table(
            ("black-box", "-", "-", "auc", black_box),
            ("converted", "-", "-", "auc", black_box),
            ("sparse", "-", "-", "auc", 0.93),
            ("ridge", "-", "-", "auc", 0.7),
            ("sparse", "-", "-", "accuracy", 0.1),
        )
        return findings_in_words(rows)[0]

    assert "The black box classifies best: AUC 0.95 [0.90, 1.00], 100 images, 1 seed" in said(0.95)
    assert "Within its interval: sparse SoftCAM. Below it: ridge SoftCAM (0.70" in said(0.95)
    assert "Sparse SoftCAM classifies best" in said(0.5) and "converted" not in said(0.5)


def test_seeds_are_averaged() -> None:
    rows = seeds(("sparse", "-", "-", "auc"), 0.9, 0.7)
    said = findings_in_words(rows)
    expected = "AUC 0.80 [0.75, 0.85; seeds 0.70 to 0.90], 100 images, mean of 2 seeds"
    assert expected in said[0]
    assert "smallest and largest value over seeds" in said[-1], "the brackets must be explained"


def test_runs_of_one_seed_are_not_taken_for_seeds() -> None:
    rows = seeds(("sparse", "-", "-", "auc"), 0.9, 0.7)
    rows["seed"], rows["run_id"] = 0, ["easy", "hard"]
    (said,) = findings_in_words(rows)
    assert "not averaged: evaluate them apart" in said


def test_arms_are_compared_over_the_seeds_they_share() -> None:
    """Seed 0 is easy: an arm with seed 0 alone must not win by it."""
    auc, pointing = ("-", "-", "auc"), ("contrast", "pointing-accuracy")
    rows = pd.concat(
        [
            seeds(("black-box", *auc), 0.99, 0.8),
            seeds(("dense", *auc), 0.99),
            seeds(("black-box", "grad-cam", *pointing), 0.7, 0.3),
            seeds(("dense", "softcam", *pointing), 0.7),
        ]
    )
    said = " ".join(findings_in_words(rows))
    assert "The black box classifies best" in said and "Within its interval" not in said
    fewer = (
        "Dense SoftCAM was trained with fewer seeds (0): AUC 0.990 [0.940, 1.040], the black box"
    )
    assert fewer in said and "with the same 0.990 [0.940, 1.040]." in said
    assert "is not clearly different from grad-cam on the black box (0.70 [0.65, 0.75])" in said


def test_a_gain_in_the_mean_alone_is_no_gain() -> None:
    pointing = ("contrast", "pointing-accuracy")
    rows = pd.concat(
        [
            seeds(("black-box", "grad-cam", *pointing), 0.3, 0.3, 0.3),
            seeds(("sparse", "softcam", *pointing), 0.9, 0.9, 0.25),
        ]
    )
    said = findings_in_words(rows)[0]
    assert "not clearly different" in said and said.endswith("ahead in 2 of 3 seeds.")


def test_a_sweep_of_the_penalty_is_not_taken_for_seeds() -> None:
    rows = table(("sparse", "-", "-", "auc", 0.9), ("sparse", "-", "-", "auc", 0.7))
    rows["lambda1"], rows["lambda2"] = [1e-5, 3e-5], 0.0
    said = findings_in_words(rows)[0]
    assert "Sparse SoftCAM (lambda1 1e-05, lambda2 0) classifies best: AUC 0.90" in said
    assert "Below it: sparse SoftCAM (lambda1 3e-05, lambda2 0) (0.70" in said


def test_deletion_against_a_random_order_on_the_same_model() -> None:
    said = findings_in_words(
        table(
            ("black-box", "grad-cam", "contrast", "audc", 0.3),
            ("converted", "softcam", "contrast", "audc", 0.3),
            ("sparse", "softcam", "contrast", "audc", 0.79),
            ("black-box", "random", "-", "audc", 0.9),
            ("sparse", "random", "-", "audc", 0.8),
        )
    )
    assert "sparse SoftCAM ranks first are hidden, the prediction does not clearly" in said[0]
    assert sum("prediction falls faster" in s for s in said) == 2
    assert "compare networks as well as maps" in said[-1]


def test_a_deletion_curve_that_never_falls_says_nothing() -> None:
    rows = table(
        ("black-box", "grad-cam", "contrast", "audc", 1.0),
        ("black-box", "random", "-", "audc", 1.0),
    ).assign(ci_low=1.0, ci_high=1.0)
    (said,) = findings_in_words(rows)
    assert "deletion says nothing here" in said


def test_calibration_is_against_only_where_it_is_clearly_worse() -> None:
    def first(ece: float) -> str:
        rows = table(
            ("black-box", "-", "-", "ece", 0.1), ("black-box", "-", "-", "logit-size", 4.0),
            ("sparse", "-", "-", "ece", ece), ("sparse", "-", "-", "logit-size", 1.0),
            ("sparse", "-", "-", "auc", 0.9),
        )  # fmt: skip
        return findings_in_words(rows)[0]

    assert "calibration error of 0.40 [0.35, 0.45] and a mean |logit| of 1.00" in first(0.4)
    assert "classifies best" in first(0.1)
