"""Sanity checks: does a map notice that the model behind it was destroyed?"""

from __future__ import annotations

from softcam.sanity.randomisation import Cascade, cascade, is_label_twin, label_randomisation

__all__ = ["Cascade", "cascade", "is_label_twin", "label_randomisation"]
