"""Profiles are one YAML; arms differ in the penalty alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from softcam.common import UnknownNameError
from softcam.data import PhantomOptions
from softcam.profiles import load_profile
from softcam.runs import ARMS

NAMES = ("quick", "tutorial", "laptop", "full")


@pytest.mark.parametrize("name", NAMES)
def test_every_arm_of_every_profile_is_a_valid_configuration(name: str) -> None:
    profile = load_profile(name)
    assert set(profile.arms) <= set(ARMS)
    plain = profile.config("dense")
    PhantomOptions("cxr", size=plain.size, **plain.data_options)
    for arm in ARMS:
        config = profile.config(arm)
        without = replace(config, arm="dense", l1_per_cell=0.0, l2_per_cell=0.0)
        assert without == plain, f"arm {arm} differs from dense in more than its penalty"


def test_changes_and_data_options_are_added() -> None:
    config = load_profile("quick").config("sparse", data_options={"difficulty": "hard"}, seed=3)
    assert config.seed == 3
    assert config.data_options["difficulty"] == "hard"
    assert "n_train" in config.data_options
    folder = load_profile("quick").config("sparse", data="folder:eyes")
    assert folder.data_options == {}, "a folder has no number of phantoms"


def test_the_environment_names_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTCAM_PROFILE", "laptop")
    assert load_profile().name == "laptop"
    assert load_profile("quick").name == "quick", "what is said aloud wins"
    monkeypatch.delenv("SOFTCAM_PROFILE")
    assert load_profile().name == "tutorial"
    with pytest.raises(UnknownNameError, match="did you mean 'tutorial'"):
        load_profile("tutorail")
