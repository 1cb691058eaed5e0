"""The sentences follow from the numbers, and what speaks against SoftCAM comes first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from softcam.reading import findings_in_words
from softcam.results import COLUMNS
from tests.results_tables import Tables


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
    better = (
        "In pointing accuracy, better than grad-cam on the black box (0.40 [0.35, 0.45]): "
        "sparse 0.60."
    )
    above = (
        "These maps point at the finding more often than the best floor, a map of the image "
        "centre (0.20); shares of the images, in round brackets of the reference ceiling 0.80: "
        "grad-cam on the black box 0.40 [0.35, 0.45] (50%) and sparse 0.60 [0.55, 0.65] (75%)."
    )
    assert said == [better, above]


def test_a_map_at_its_floor_is_said_first() -> None:
    said = findings_in_words(pointing(0.24))
    own = "The evidence map of sparse SoftCAM points at the finding in a share of 0.24 [0.19, 0.29]"
    assert said[0].startswith(own) and "30% of the reference ceiling 0.80" in said[0]
    assert "not more often, within the interval, than the best floor" in said[0]
    assert said[1].endswith(
        "worse than grad-cam on the black box (0.40 [0.35, 0.45]): sparse 0.24."
    )
    assert "grad-cam on the black box 0.40 [0.35, 0.45] (50%)." in said[2], "sparse is not above"


def test_a_share_is_left_out_where_the_ceiling_has_no_room() -> None:
    for ceiling in (0.0, 0.2):  # of one cell; not above the floor
        rows = pointing(0.6)
        rows.loc[rows["method"] == "reference-ceiling", "value"] = ceiling
        above = findings_in_words(rows)[1]
        assert "ceiling" not in above and above.endswith("sparse 0.60 [0.55, 0.65].")
        rows.loc[rows["method"] == "softcam", "value"] = 0.1
        assert "of the images; not more often" in findings_in_words(rows.assign(ci_low=0.05))[0]


def test_nothing_follows_from_a_single_image() -> None:
    rows = pd.concat(
        [
            pointing(0.6),
            table(
                ("black-box", "-", "-", "ece", 0.1), ("black-box", "-", "-", "logit-size", 4.0),
                ("sparse", "-", "-", "ece", 0.4), ("sparse", "-", "-", "logit-size", 1.0),
                ("sparse", "-", "-", "auc", 0.9),
                ("sparse", "softcam", "contrast", "activation-precision", 0.5),
                ("sparse", "chance", "-", "activation-precision", 0.3),
                ("sparse", "softcam", "contrast", "audc", 1.0),
                ("sparse", "random", "-", "audc", 0.9),
            ),
        ]
    ).assign(ci_low=np.nan, ci_high=np.nan, n=1)  # fmt: skip
    rows.loc[rows["method"] == "reference-ceiling", "n"] = 9  # of every image, maps or not
    assert findings_in_words(rows) == [
        f"{what} has no interval (1 image), so nothing follows from these values: {values}."
        for what, values in (
            ("The AUC", "sparse 0.90"),
            ("The calibration error", "the black box 0.10 and sparse 0.40"),
            ("Pointing accuracy", "grad-cam on the black box 0.40 and sparse 0.60"),
            ("Activation precision", "sparse 0.50"),
            ("The area under the deletion curve", "sparse 1.000"),
        )
    ]
    assert "has no interval, so" in findings_in_words(rows.assign(n=9))[0]


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
    above = "more lies in the marked finding than by chance (0.30): sparse 0.50 [0.45, 0.55]."
    assert precision(0.5) == f"Of the positive evidence, {above}"


def test_maps_below_chance_are_not_merged() -> None:
    rows = table(
        ("sparse", "softcam", "contrast", "activation-precision", 0.1),
        ("ridge", "softcam", "contrast", "activation-precision", 0.2),
        ("elastic", "softcam", "contrast", "activation-precision", 0.5),
        ("logit-control", "softcam", "contrast", "activation-precision", 0.6),
        ("sparse", "chance", "-", "activation-precision", 0.3),
    )
    first, second, above = findings_in_words(rows)
    assert "sparse" in first and "below chance" in first
    assert "ridge" in second and "below chance" in second
    assert above.endswith("elastic 0.50 [0.45, 0.55] and the logit control 0.60 [0.55, 0.65].")


def test_arms_with_one_verdict_share_a_sentence() -> None:
    pointing = ("contrast", "pointing-accuracy")
    rows = pd.concat(
        [
            seeds(("black-box", "grad-cam", *pointing), 0.5, 0.5),
            seeds(("ridge", "softcam", *pointing), 0.51, 0.49),
            seeds(("sparse", "softcam", *pointing), 0.7, 0.72),
            seeds(("logit-control", "softcam", *pointing), 0.52, 0.54),
            seeds(("elastic", "softcam", *pointing), 0.2, 0.2),
        ]
    )
    said = findings_in_words(rows)
    box = "grad-cam on the black box (0.50 [0.45, 0.55; seeds 0.50 to 0.50])"
    assert said[:3] == [
        f"In pointing accuracy, worse than {box}: elastic 0.20 (ahead in 0 of 2 seeds).",
        f"In pointing accuracy, not clearly different from {box}: ridge 0.50 (ahead in 1 of 2 "
        "seeds) and the logit control 0.53 (2 of 2).",
        f"In pointing accuracy, better than {box}: sparse 0.71 (ahead in 2 of 2 seeds).",
    ]


def trained_again(dense: float) -> pd.DataFrame:
    """Black box with seeds 0 and 1, and a dense SoftCAM with seed 0; a sparse one for company."""
    auc, pointing = ("-", "-", "auc"), ("contrast", "pointing-accuracy")
    return pd.concat(
        [
            seeds(("black-box", *auc), 0.9, 0.8),
            seeds(("sparse", *auc), 0.91, 0.82),
            seeds(("dense", *auc), 0.9 + (dense - 0.6) / 10),
            seeds(("black-box", "grad-cam", *pointing), 0.6, 0.3),
            seeds(("sparse", "softcam", *pointing), 0.61, 0.31),
            seeds(("dense", "softcam", *pointing), dense),
        ]
    )


def test_dense_measures_chance_in_training() -> None:
    said = findings_in_words(trained_again(0.8))
    assert (
        "chance in training, where rounding errors grow: with seed 0 they are 0.200 apart"
        in said[0]
    )
    assert "in pointing accuracy (0.80 [0.75, 0.85] and 0.60 [0.55, 0.65])" in said[0]
    assert "and 0.020 apart in AUC (0.92 [0.87, 0.97] and 0.90 [0.85, 0.95])" in said[0]
    assert said[0].endswith("Smaller differences between arms say nothing by themselves.")
    for sentence in said[1:]:
        verdict = any(w in sentence for w in ("classifies", "fewer seeds", "better", "different"))
        assert not (verdict and "dense" in sentence.lower()), "dense wins and loses by chance alone"


def test_a_dense_run_like_the_black_box_shows_no_chance() -> None:
    said = " ".join(findings_in_words(trained_again(0.6)))
    assert "chance in training" not in said and "classifies best" in said


def test_a_data_set_is_named_where_there_are_several() -> None:
    one = pointing(0.6)
    said = findings_in_words(pd.concat([one, one.assign(dataset="phantoms-oct")]))
    names = [s.split(": ")[0] for s in said]
    assert names == ["phantoms-cxr"] * 2 + ["phantoms-oct"] * 2


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
            seeds(("sparse", *auc), 0.99),
            seeds(("black-box", "grad-cam", *pointing), 0.7, 0.3),
            seeds(("sparse", "softcam", *pointing), 0.7),
        ]
    )
    said = " ".join(findings_in_words(rows))
    assert "The black box classifies best" in said and "Within its interval" not in said
    fewer = "Trained with fewer seeds, 0 (AUC of the black box with the same 0.990 [0.940, 1.040])"
    assert f"{fewer}: sparse SoftCAM, AUC 0.990 [0.940, 1.040]." in said
    base = "grad-cam on the black box with seed 0 (0.70 [0.65, 0.75])"
    assert f"not clearly different from {base}: sparse 0.70." in said


def test_a_gain_in_the_mean_alone_is_no_gain() -> None:
    pointing = ("contrast", "pointing-accuracy")
    rows = pd.concat(
        [
            seeds(("black-box", "grad-cam", *pointing), 0.3, 0.3, 0.3),
            seeds(("sparse", "softcam", *pointing), 0.9, 0.9, 0.25),
        ]
    )
    said = findings_in_words(rows)[0]
    assert "not clearly different" in said and said.endswith("sparse 0.68 (ahead in 2 of 3 seeds).")


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
    assert "the prediction does not clearly fall faster than with random patches" in said[0]
    assert said[0].endswith(": sparse 0.79 [0.74, 0.84] (0.80).")
    assert "(lower is better), worse than grad-cam" in said[1]
    both = "grad-cam on the black box 0.30 [0.25, 0.35] (0.90) and the converted black box 0.30"
    assert "the prediction falls faster" in said[2] and both in said[2]
    assert "compare networks as well as maps" in said[-1]


def test_a_deletion_curve_that_never_falls_says_nothing() -> None:
    rows = table(
        ("black-box", "grad-cam", "contrast", "audc", 1.0),
        ("black-box", "random", "-", "audc", 1.0),
    ).assign(ci_low=1.0, ci_high=1.0)
    (said,) = findings_in_words(rows)
    assert "deletion says nothing here" in said


def test_calibration_is_against_only_where_it_is_clearly_worse() -> None:
    def said(ece: float) -> list[str]:
        rows = table(
            ("black-box", "-", "-", "ece", 0.1), ("black-box", "-", "-", "logit-size", 4.0),
            ("sparse", "-", "-", "ece", ece), ("sparse", "-", "-", "logit-size", 1.0),
            ("ridge", "-", "-", "ece", 0.12), ("ridge", "-", "-", "logit-size", 2.0),
            ("dense", "-", "-", "ece", 0.5), ("dense", "-", "-", "logit-size", 3.0),
            ("sparse", "-", "-", "auc", 0.9),
        )  # fmt: skip
        return findings_in_words(rows)

    base = "The calibration error (and the mean |logit|) beside the black box's 0.10 "
    sparse, ridge = "sparse 0.40 [0.35, 0.45] (1.00)", "ridge 0.12 [0.07, 0.17] (2.00)"
    dense = "the same function as the black box, dense 0.50 [0.45, 0.55] (3.00)"
    verdicts = f"clearly worse, {sparse}; not clearly worse, {ridge}; {dense}."
    assert said(0.4)[0] == f"{base}[0.05, 0.15] (4.00): {verdicts}"
    assert "classifies best" in said(0.1)[0] and "not clearly worse, sparse 0.10" in said(0.1)[1]


def test_calibration_of_fewer_seeds_has_its_own_black_box() -> None:
    rows = pd.concat(
        [
            seeds((arm, "-", "-", metric), *values)
            for arm, metric, values in (
                ("black-box", "ece", (0.1, 0.3)), ("black-box", "logit-size", (4.0, 2.0)),
                ("sparse", "ece", (0.2,)), ("sparse", "logit-size", (1.0,)),
            )
        ]
    )  # fmt: skip
    own = "sparse 0.20 [0.15, 0.25] (1.00) with seed 0, where the black box has 0.10"
    assert own in findings_in_words(rows)[0]


def test_with_the_images_the_interval_is_over_seeds_too() -> None:
    """Three seeds far apart, each sure of itself: only the interval over seeds is wide."""
    tables = Tables()
    noise = np.random.default_rng(0).normal(0, 0.01, 50)
    for seed, mean in enumerate((0.2, 0.5, 0.8)):
        tables.add(mean + noise, run_id=f"r{seed}", arm="sparse", seed=seed, method="softcam",
                   gauge="contrast", metric="pointing-accuracy")  # fmt: skip
        tables.add(0 * noise + 0.35, run_id=f"r{seed}", arm="sparse", seed=seed, method="chance",
                   metric="pointing-accuracy")  # fmt: skip
    over_images = findings_in_words(tables.table())
    over_seeds = findings_in_words(tables.table(), tables.per_image())
    assert "[0.50, 0.50; seeds 0.20 to 0.80]" in over_images[0]
    assert "[0.20, 0.80; seeds 0.20 to 0.80]" in over_seeds[0]
    assert "mean of the intervals of the seeds" in over_images[-1]
    assert "over seeds and test images" in over_seeds[-1]
