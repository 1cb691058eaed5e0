"""Rounds and items for the tests of the game."""

from __future__ import annotations

from typing import Any

import numpy as np

from softcam.layerwise.clusters import ClusterMap
from softcam.layerwise.play import Item
from softcam.layerwise.records import Round

CLASSES = ("healthy", "ill")
NASTY = (
    "",
    "x" * 10_000,
    "\U0001fac1 lung \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "'); DROP TABLE rounds; --",
    "before\0after",
    "half \ud83d pair \udc00",
    '=HYPERLINK("http://evil")',
    "'=1+1",
    "''@x",
    "'quoted'",
    "+1\r\n-2\t@3",
    "\t=1",
    "\uff1d1",
    "line\nbreak, comma; \"quote\" and 'apostrophe'",
    "\ufeffmark",
)


def a_round(**given: Any) -> Round:
    facts: dict[str, Any] = dict(
        session="s", player="", image="im0", layer="layer4", cluster=0, class_name="ill",
        guess="ill", resigned=False, reveal=0, words="",
    )  # fmt: skip
    return Round(**(facts | given))


def items(count: int) -> list[Item]:
    """Squares on a dark ground: bright ones are ill. The cluster map knows where they are."""
    found = []
    for number in range(count):
        image = np.full((48, 48, 3), 30, np.uint8)
        top = 8 + 4 * (number % 5)
        image[top : top + 12, 16:28] = 230 if number % 2 else 120
        seen = np.zeros((12, 12), np.float32)
        seen[top // 4 : top // 4 + 3, 4:7] = 1
        cluster = ClusterMap("layer4", 0, seen, 60.0, (1, 5))
        found.append(Item(image, f"im{number}", CLASSES[number % 2], cluster))
    return found
