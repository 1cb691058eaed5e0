"""Power: the normal approximation against simulated studies, and its edges."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.claims import detectable, power
from softcam.claims.power import smaller_than, standard_error
from softcam.common import SoftCAMError
from softcam.metrics import Ratios, paired_difference, paired_permutation

N, SPREAD, EFFECT, STUDIES = 40, 0.3, 0.12, 300


def test_power_is_the_share_of_simulated_studies_that_show_the_effect() -> None:
    draw = np.random.default_rng(0)
    differences = EFFECT + SPREAD * draw.normal(size=(N, STUDIES))
    base = np.ones((N, STUDIES))
    first, second = Ratios(1 + differences, base), Ratios(base, base)
    p = paired_permutation(first, second, n_draws=1000).p
    expected = power(SPREAD / np.sqrt(N), EFFECT)
    assert 0.6 < expected < 0.8
    assert (p <= 0.05).mean() == pytest.approx(expected, abs=0.07)  # two standard errors


def test_the_error_read_from_an_interval_is_that_of_the_paired_mean() -> None:
    draw = np.random.default_rng(1)
    differences = draw.normal(size=(400, 1))
    ones = np.ones((400, 1))
    interval = paired_difference(Ratios(differences, ones), Ratios(0 * ones, ones), 2000)
    found = standard_error(float(interval.low[0]), float(interval.high[0]))
    assert found == pytest.approx(differences.std() / 20, rel=0.08)


def test_power_grows_with_effect_and_level_and_has_its_limits() -> None:
    assert power(1, 1) < power(1, 2) < power(1, 3)
    assert power(1, 2, 0.01) < power(1, 2, 0.05)
    assert power(0, 0.1) == 1 and np.isnan(power(np.nan, 0.1))
    assert power(1, 0.1, alternative="equal") == 0 and power(0.01, 1, alternative="equal") == 1
    assert power(1, 2, alternative="not worse") > power(1, 2, alternative="equal")
    with pytest.raises(SoftCAMError, match="effect > 0"):
        power(1, 0)


def test_the_detectable_effect_has_the_power_asked_for() -> None:
    assert power(0.2, detectable(0.2, share=0.8)) == pytest.approx(0.8)
    assert detectable(0.0) == 0


def test_a_difference_at_the_bound_has_an_even_chance() -> None:
    assert smaller_than(0.3, 0.1, 0.3) == 0.5
    assert smaller_than(0.1, 0.1, 0.3) == pytest.approx(0.02275, abs=1e-5)
    assert smaller_than(0.1, 0, 0.3) == 0 and smaller_than(0.4, 0, 0.3) == 1
