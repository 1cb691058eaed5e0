"""Methods that explain a prediction, one file a method, looked up by name.

`softcam` reads the evidence maps, `b-cos` the linear map of a B-cos network, which explains itself
as well. Its rivals: from the paper `grad-cam`, `guided-backprop`, `integrated-gradients`,
`score-cam` and `layer-cam`; `cam`, `hires-cam`, `eigen-cam`, `fm-g-cam`,
`opti-cam`, `rise` and `superpixels` besides. The controls `random`, `centre`, `edge` and
`fake-cam` know no model. `broad_cam.broad_cam` and `fam.fam` make a method from data and are
experimental. See `registry` for the signature and for how to add one.
"""

from softcam.explainers import (
    b_cos,
    broad_cam,
    cam,
    controls,
    eigen_cam,
    fake_cam,
    fam,
    fm_g_cam,
    grad_cam,
    guided_backprop,
    hires_cam,
    integrated_gradients,
    layer_cam,
    opti_cam,
    rise,
    score_cam,
    softcam,
    superpixels,
)
from softcam.explainers.opti_cam import OptimisedMasks, optimise_masks
from softcam.explainers.registry import (
    Explainer,
    class_maps,
    explain_with,
    explainer,
    explainers,
    get_explainer,
    passes,
)

__all__ = [
    "Explainer",
    "OptimisedMasks",
    "b_cos",
    "broad_cam",
    "cam",
    "class_maps",
    "controls",
    "eigen_cam",
    "explain_with",
    "explainer",
    "explainers",
    "fake_cam",
    "fam",
    "fm_g_cam",
    "get_explainer",
    "grad_cam",
    "guided_backprop",
    "hires_cam",
    "integrated_gradients",
    "layer_cam",
    "opti_cam",
    "optimise_masks",
    "passes",
    "rise",
    "score_cam",
    "softcam",
    "superpixels",
]
