"""The sweep: every training, choice, measurement and figure of one configuration, in order.

A configuration is a file `workflow/config/NAME.yaml` (`plan`). It unfolds into cells (`cells`),
each with a hash of everything that decides it; a stage does one cell (`stages`, `select`,
`collect`), and `runner` does them all on one machine. `workflow/Snakefile` does the same on many.

>>> from softcam.reproduce import load_plan, reproduce
>>> folder = reproduce(load_plan("quick"))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softcam.lazy import lazy_names

if TYPE_CHECKING:
    from softcam.reproduce.cells import Cell, expand
    from softcam.reproduce.cost import Estimate, estimate
    from softcam.reproduce.plan import Plan, load_plan, plan_names
    from softcam.reproduce.runner import reproduce
    from softcam.reproduce.select import choose_weight
    from softcam.reproduce.space import Space
    from softcam.reproduce.stages import run_cell

# Loaded on first use, as in `softcam`.
_LAZY = {
    "Cell": "softcam.reproduce.cells",
    "Estimate": "softcam.reproduce.cost",
    "Plan": "softcam.reproduce.plan",
    "Space": "softcam.reproduce.space",
    "choose_weight": "softcam.reproduce.select",
    "estimate": "softcam.reproduce.cost",
    "expand": "softcam.reproduce.cells",
    "load_plan": "softcam.reproduce.plan",
    "plan_names": "softcam.reproduce.plan",
    "reproduce": "softcam.reproduce.runner",
    "run_cell": "softcam.reproduce.stages",
}

__all__ = [
    "Cell",
    "Estimate",
    "Plan",
    "Space",
    "choose_weight",
    "estimate",
    "expand",
    "load_plan",
    "plan_names",
    "reproduce",
    "run_cell",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
