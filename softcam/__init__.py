"""Self-explainable CNNs: class-evidence maps that are the prediction (SoftCAM).

>>> from softcam import to_softcam
>>> model = to_softcam(my_model)  # doctest: +SKIP
>>> explanation = model.explain(images)  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# Idle OpenMP threads spin by default and take the core from the other process on small machines;
# the runtime reads the variable once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from softcam.common import (  # noqa: E402
    __version__,
    output_root,
    project_root,
    seed_everything,
)
from softcam.evidence import (  # noqa: E402
    Conversion,
    Explanation,
    SoftCAM,
)
from softcam.lazy import lazy_names  # noqa: E402
from softcam.penalties import (  # noqa: E402
    elastic_net,
    hoyer_penalty,
    hoyer_spread,
    logit_control,
    paper_lambdas,
)
from softcam.wrappers import BlackBox  # noqa: E402

if TYPE_CHECKING:
    from softcam.checkpoints import export_checkpoint, load_checkpoint
    from softcam.convert import to_softcam
    from softcam.data import open_data
    from softcam.evaluation import evaluate
    from softcam.finer import finer_maps, recalibrate_batch_norm
    from softcam.notebooks import run_notebooks
    from softcam.predictions import compare_prediction, predict_first
    from softcam.profiles import load_profile
    from softcam.report import write_report
    from softcam.runs import Run, TrainConfig, find_runs
    from softcam.training import train
    from softcam.travel import export_onnx, export_program, load_black_box_state, to_black_box
    from softcam.validation import predict
    from softcam.visualize.explorer import explore

# Loaded on first use: `import softcam` costs little more than `import torch`.
_LAZY = {
    "Run": "softcam.runs",
    "TrainConfig": "softcam.runs",
    "compare_prediction": "softcam.predictions",
    "evaluate": "softcam.evaluation",
    "explore": "softcam.visualize.explorer",
    "export_checkpoint": "softcam.checkpoints",
    "export_onnx": "softcam.travel",
    "export_program": "softcam.travel",
    "find_runs": "softcam.runs",
    "finer_maps": "softcam.finer",
    "load_black_box_state": "softcam.travel",
    "load_checkpoint": "softcam.checkpoints",
    "load_profile": "softcam.profiles",
    "open_data": "softcam.data",
    "predict": "softcam.validation",
    "predict_first": "softcam.predictions",
    "recalibrate_batch_norm": "softcam.finer",
    "run_notebooks": "softcam.notebooks",
    "to_black_box": "softcam.travel",
    "to_softcam": "softcam.convert",
    "train": "softcam.training",
    "write_report": "softcam.report",
}

__all__ = [
    "__version__",
    "BlackBox",
    "Conversion",
    "Explanation",
    "Run",
    "SoftCAM",
    "TrainConfig",
    "compare_prediction",
    "elastic_net",
    "evaluate",
    "explore",
    "export_checkpoint",
    "export_onnx",
    "export_program",
    "find_runs",
    "finer_maps",
    "load_black_box_state",
    "load_checkpoint",
    "hoyer_penalty",
    "hoyer_spread",
    "load_profile",
    "logit_control",
    "open_data",
    "output_root",
    "paper_lambdas",
    "predict",
    "predict_first",
    "project_root",
    "recalibrate_batch_norm",
    "run_notebooks",
    "seed_everything",
    "to_black_box",
    "to_softcam",
    "train",
    "write_report",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
