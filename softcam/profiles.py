"""Profiles: how large the story is told, from `quick` (tests) to `full` (a GPU); one YAML file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from softcam.common import choose
from softcam.runs import ARMS, TrainConfig

__all__ = ["Profile", "load_profile"]


@dataclass(frozen=True)
class Profile:
    """One size of the story.

    Attributes:
        name: quick, tutorial, laptop or full.
        arms: the arms that are trained side by side at this size.
        data_options: keywords of the phantoms (`n_train`, `n_val`, `n_test`).
        train: training options that all arms share.
        evaluate: keywords of `evaluate` (`limit`, `n_boot`).
    """

    name: str
    arms: tuple[str, ...]
    data_options: Mapping[str, Any]
    train: Mapping[str, Any]
    evaluate: Mapping[str, Any]

    def config(
        self, arm: str = "dense", *, data: str = "phantoms:cxr", **changes: Any
    ) -> TrainConfig:
        """The training configuration of an arm at this size.

        Args:
            arm: its penalty weights come from the rule in profiles.yaml.
            data: a data source; `data_options` given here are added to the profile's.
            changes: any other field of `TrainConfig`.
        """
        choose("arm", arm, ARMS)
        own = dict(changes.pop("data_options", {}))
        options = {**self.data_options, **own} if data.startswith("phantoms:") else own
        values = {**self.train, **_table()["arms"][arm], **changes}
        return TrainConfig.from_dict({**values, "data": data, "arm": arm, "data_options": options})


def load_profile(name: str | None = None) -> Profile:
    """A profile by name; None reads `SOFTCAM_PROFILE` and falls back to `tutorial`.

    Raises:
        UnknownNameError: no such profile; the message has the closest names.
    """
    name = name or os.environ.get("SOFTCAM_PROFILE", "tutorial")
    profiles = _table()["profiles"]
    values = profiles[choose("profile", name, profiles)]
    return Profile(name=name, **{**values, "arms": tuple(values["arms"])})


@cache
def _table() -> dict[str, Any]:
    import yaml

    file = Path(__file__).with_name("profiles.yaml")
    return yaml.safe_load(file.read_text(encoding="utf-8"))
