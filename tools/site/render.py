"""Sphinx, called in this process: every warning is an error, and all of them are listed at once."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from softcam.common import SoftCAMError

__all__ = ["render"]

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SHOWN = 40  # warnings in a message


def render(stage: Path, out: Path, work: Path) -> None:
    """Turn the pages of `stage`, which holds `conf.py`, into HTML in `out`.

    Args:
        stage: the pages.
        out: an empty or missing folder.
        work: for Sphinx's own files; not part of the site.

    Raises:
        SoftCAMError: Sphinx is not installed, or warned: a link that leads nowhere, a formula or
            a docstring that cannot be read.
    """
    try:
        import furo  # noqa: F401
        import myst_nb  # noqa: F401
        from sphinx.application import Sphinx
        from sphinx.errors import SphinxError
        from sphinx.util.docutils import docutils_namespace, patch_docutils
    except ImportError as error:
        raise SoftCAMError(
            f"the site needs Sphinx, MyST-NB and furo ({error}): pip install -e '.[docs]'."
        ) from error
    said = io.StringIO()
    with _loggers_as_they_were(), patch_docutils(str(stage)), docutils_namespace():
        try:
            app = Sphinx(
                str(stage), str(stage), str(out), str(work), "html", status=None, warning=said
            )
            app.build(force_all=True)
        except SphinxError as error:
            raise SoftCAMError(f"Sphinx stopped: {error} {_listed(said, stage)}") from error
    if said.getvalue().strip():
        raise SoftCAMError(f"Sphinx warned, and the site was not built:\n{_listed(said, stage)}")


def _listed(said: io.StringIO, stage: Path) -> str:
    text = COLOUR.sub("", said.getvalue()).replace(f"{stage}/", "")
    lines = text.strip().splitlines()
    more = f"\n... and {len(lines) - SHOWN} more lines" if len(lines) > SHOWN else ""
    return "\n".join(lines[:SHOWN]) + more


@contextlib.contextmanager
def _loggers_as_they_were() -> Iterator[None]:
    """Sphinx puts handlers on its logger that outlive it."""
    logger = logging.getLogger("sphinx")
    handlers, level, hands_on = logger.handlers[:], logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = handlers, hands_on
        logger.setLevel(level)
