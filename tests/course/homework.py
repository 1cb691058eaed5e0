"""A process with the masks of one assignment: which of softcam's own functions are open in it.

Run by `test_masking.py` as `python homework.py NUMBER`; prints as JSON what came of each line.
"""

from __future__ import annotations

import json
import sys

from softcam.course import mask

HOLES = {
    1: [
        "from softcam.explainers import class_maps",
        "from softcam.explainers import explain_with",
        "from softcam.explainers.registry import class_maps",
    ],
    2: [
        "from softcam.explainers.features import split_at_features",
        "from softcam.explainers.features import split_at",
        "from softcam.explainers.grad_cam import split_at",
        "from softcam.explainers.hires_cam import each_class",
        "from softcam.explainers.layers import cut_last",
        "from softcam.visualize.explorer.computing import split_at_features",
        "from softcam.cut import truncated",
        "from softcam.trial import cut_features",
        "from softcam.explainers import class_maps",
    ],
    4: [
        "from softcam.metrics import measures",
        "from softcam.metrics.registry import measures",
        "from softcam.metrics.registry import _MEASURES",
        "from softcam.metrics import get_measure",
        "from softcam.evaluation import measure_catalogue",
        "from softcam.seeds import get_measure",
        "from softcam.metrics.paper import activation_precision",
        "from softcam.metrics.paper.mass import activation_precision",
        "from softcam.reproduce.specification.measuring import map_measures",
    ],
    5: [
        "from softcam.shortcuts import take_apart",
        "from softcam.shortcuts import evidence_inside",
        "from softcam.shortcuts import PartEvidence",
        "from softcam.shortcuts.parts import take_apart",
        "from softcam.shortcuts.repairing import evidence_inside",
    ],
}
GOES_ON = {
    1: ["from softcam import load_checkpoint; load_checkpoint('cxr-sparse')"],
    2: [
        "from softcam.data.phantoms import PhantomOptions, draw_scene, render",
        "from softcam.visualize import common_limit, new_figure, show_evidence",
    ],
    4: ["from softcam.visualize import new_figure, show_evidence"],
    5: [
        "from softcam import load_checkpoint; load_checkpoint('cxr-marker')",
        "from softcam.data.phantoms import PhantomOptions, draw_scene, render",
        "from softcam.shortcuts import redrawn",
    ],
}


def outcome(line: str) -> str:
    """What comes of a line in a cell."""
    try:
        exec(compile(line, "<cell>", "exec"), {"__name__": "__main__"})
    except ImportError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


if __name__ == "__main__":
    number = int(sys.argv[1])
    for line in HOLES[number]:  # each exists before
        exec(compile(line, "<before>", "exec"), {"__name__": "__main__"})
    mask(number)
    print(json.dumps({line: outcome(line) for line in [*HOLES[number], *GOES_ON[number]]}))
