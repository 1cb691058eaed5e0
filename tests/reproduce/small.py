"""The smallest sweep that the tests share: phantoms of 32 px, one epoch, a few images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SMALL: dict[str, Any] = {
    "title": "small",
    "profile": "quick",
    "seeds": [0, 1],
    "data": {
        "cxr": {"source": "phantoms:cxr", "options": {"n_train": 16, "n_val": 24, "n_test": 16}}
    },
    "models": {"resnet10t-w8-os8": {}},
    "train": {"size": 32, "epochs": 1, "batch_size": 8},
    "arms": ["black-box", "sparse", "elastic"],
    "arms_once": ["dense"],
    "lambdas": {
        "sparse": [0.1, 0.01],
        "follow": {"elastic": {"l1_per_cell": 0.5, "l2_per_cell": 0.25}},
    },
    "select": {"draws": 20, "images": 8},
    "evaluate": {"methods": ["softcam", "grad-cam"], "metrics": ["auc", "pointing-accuracy"],
                 "limit": 2, "n_boot": 10},
    "later": {"methods": ["softcam"]},
    "path": {"methods": ["softcam"], "metrics": ["auc"]},
}  # fmt: skip
MODEL = "resnet10t-w8-os8"


def write_plan(folder: Path, name: str = "small", **changes: Any) -> str:
    """A configuration file with these changes to `SMALL`; a value None takes the key away."""
    values = {k: v for k, v in {**SMALL, **changes}.items() if v is not None}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)
