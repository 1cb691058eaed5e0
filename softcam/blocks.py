"""The part of a Markdown page that is generated: what stands between two comments of one name."""

from __future__ import annotations

from softcam.common import SoftCAMError

__all__ = ["marks", "with_block"]


def marks(name: str) -> tuple[str, str]:
    """The comments before and behind the block called `name`; a reader of the page sees neither."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def with_block(text: str, name: str, block: str, *, page: object = "the page") -> str:
    """`text` with `block` between the marks of `name`, and nothing else changed.

    Args:
        page: what the error calls the text, its path for one.

    Raises:
        SoftCAMError: `text` does not have both marks, once each and in this order.
    """
    first, last = marks(name)
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in before + after:
        raise SoftCAMError(
            f"{page} needs the markers {first} and {last}, once each and in this order: put them "
            "where the text is to stand."
        )
    return f"{before}{first}\n\n{block}\n\n{last}{after}"
