"""The explorer in a browser tab: a static page with models, phantoms and Python's answers.

    python -m tools.tab OUT

The page's own files lie in `docs/tab`. The models are shipped checkpoints as ONNX with two outputs,
in float32: half precision would move a cell by more than the 1e-3 logits that the page promises.
"""

from __future__ import annotations

from tools.tab.building import LARGEST, PAGE, build
from tools.tab.content import MODELS
from tools.tab.runtime import CACHE, NoRuntime, fetch_runtime, find_runtime

__all__ = [
    "CACHE",
    "LARGEST",
    "MODELS",
    "PAGE",
    "NoRuntime",
    "build",
    "fetch_runtime",
    "find_runtime",
]
