"""Methods that explain a prediction, one file a method, looked up by name.

`softcam` (the evidence maps), `grad-cam` (the post-hoc baseline) and the controls `random`,
`centre` and `edge`. See `registry` for the signature and for how to add one.
"""

from softcam.explainers import controls, grad_cam, softcam
from softcam.explainers.registry import (
    Explainer,
    class_maps,
    explain_with,
    explainer,
    explainers,
    get_explainer,
)

__all__ = [
    "Explainer",
    "class_maps",
    "controls",
    "explain_with",
    "explainer",
    "explainers",
    "get_explainer",
    "grad_cam",
    "softcam",
]
