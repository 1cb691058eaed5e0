"""The model card: the README.md that lies beside the weights and is shown on the Hub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["NOTICE", "model_card"]

NOTICE = "For teaching and research, not for clinical use."
_FRONT = """\
---
library_name: softcam
pipeline_tag: image-classification
tags:
- softcam
- explainability
---
"""
_USE = """\
```python
from softcam import SoftCAM

model = SoftCAM.from_pretrained("FOLDER OR HUB NAME"{net})
explanation = model.explain(images)  # RGB in [0, 1], (B, 3, H, W)
explanation.maps.mean((2, 3))  # the logits
```
"""


def model_card(config: Mapping[str, Any]) -> str:
    """Markdown with the Hub's front matter.

    Args:
        config: what config.json holds.
    """
    named, done = config["architecture"], config["conversion"]
    size, normalize = config["image_size"], config["normalize"]
    names = config["class_names"] or [f"{config['num_classes']} logits without names"]
    network = "built by its owner; `net=` takes it"
    if named:
        options = f" with `{json.dumps(named['options'])}`" if named["options"] else ""
        network = f"`{named['name']}`{options}"
    rows = {
        "network": network,
        "classes": ", ".join(map(str, names)),
        "link": config["link"],
        "image size": f"{size[0]} x {size[1]} px (height x width)" if size else "not said",
        "normalisation": "inside, mean {}, std {}".format(*map(_rounded, normalize))
        if normalize
        else "none",
        "conversion": done["kind"] if done else "none: built as it is",
        "softcam": config["softcam_version"],
    }
    notes = [f"- {note}" for note in done["notes"]] if done else []
    parts = [
        f"# A SoftCAM model\n\n**{NOTICE}**",
        "A classifier whose prediction is the mean of its class-evidence maps (Djoumessi & "
        'Berens, "Soft-CAM", MIDL 2026).',
        "\n".join(["| | |", "|---|---|", *(f"| {key} | {rows[key]} |" for key in rows)]),
        *(["\n".join(notes)] if notes else []),
        _USE.format(net="" if named else ", net=your_network"),
    ]
    return _FRONT + "\n" + "\n\n".join(parts)


def _rounded(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
