"""Generated parts of a page: what stands between their marks, and nothing else, is replaced."""

from __future__ import annotations

import pytest

from softcam.blocks import marks, with_block
from softcam.common import SoftCAMError

BEGIN, END = marks("sums")


def test_what_stands_between_the_marks_is_replaced() -> None:
    page = f"above\n\n{BEGIN}\nold\n{END}\n\nbelow {marks('other')[0]}\n"
    once = with_block(page, "sums", "new\\1")
    assert once == f"above\n\n{BEGIN}\n\nnew\\1\n\n{END}\n\nbelow {marks('other')[0]}\n"
    assert with_block(once, "sums", "new\\1") == once, "a second time changes nothing"
    assert with_block(f"{BEGIN}{END}", "sums", "") == f"{BEGIN}\n\n\n\n{END}"


@pytest.mark.parametrize(
    "text",
    [
        "neither",
        BEGIN,
        END,
        f"{END}{BEGIN}",
        f"{BEGIN}{BEGIN}{END}",
        f"{BEGIN}{END}{END}",
        f"{END}{BEGIN}{END}",
        f"{BEGIN}{END}{BEGIN}",
        f"{BEGIN}{END}{BEGIN}{END}",
        "".join(marks("other")),
    ],
)
def test_a_page_without_both_marks_once_is_refused(text: str) -> None:
    with pytest.raises(SoftCAMError, match="^page.md needs the markers .*sums: begin"):
        with_block(text, "sums", "new", page="page.md")
