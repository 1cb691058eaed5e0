"""The Hugging Face Hub: a folder goes up, a folder comes down, through the Hub's own mixin.

The mixin is worn by a parcel and not by `SoftCAM` itself: loading it costs more than `import
softcam` may. `huggingface_hub` comes with timm.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError
from softcam.proof import first_line
from softcam.travel.config import CONFIG
from softcam.travel.weights import WEIGHTS

__all__ = ["FILES", "OPTIONS", "download", "upload"]

FILES = (CONFIG, WEIGHTS)
OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")


def download(repo_id: str, **options: Any) -> Path:
    """The folder in the Hub's cache that holds a repository's configuration and weights.

    Args:
        repo_id: `owner/name`.
        options: of the mixin, those in `OPTIONS`.

    Raises:
        SoftCAMError: the repository, one of the two files, or the network is not there.
    """
    parcel = _parcel()
    try:
        folder: Path = parcel.from_pretrained(repo_id, **options).content
    except Exception as error:  # the Hub's errors share no base class
        raise SoftCAMError(
            f"{repo_id!r} is no folder here, and cannot be had from the Hugging Face Hub "
            f"({type(error).__name__}: {first_line(error).rstrip('.')}). Check the name and the "
            f"network; the repository must hold {' and '.join(FILES)} (pickles are not read)."
        ) from error
    return folder


def upload(write: Callable[[Path], object], repo_id: str, **options: Any) -> str:
    """Upload what `write` puts into an empty folder; returns the address of the commit.

    Args:
        write: called with the folder.
        repo_id: `owner/name`; made if it does not exist.
        options: of the mixin's `push_to_hub`: private, token, branch, commit_message, create_pr.

    Raises:
        SoftCAMError: the Hub refuses or cannot be reached; or what `write` raises.
    """
    try:
        return str(_parcel()(write).push_to_hub(repo_id, **options))
    except (SoftCAMError, TypeError):
        raise
    except Exception as error:
        raise SoftCAMError(
            f"{repo_id!r} cannot be written on the Hugging Face Hub ({type(error).__name__}: "
            f"{first_line(error).rstrip('.')}): log in with `hf auth login`, or copy a folder of "
            "save_pretrained there yourself."
        ) from error


def _parcel() -> Any:
    hub = import_module("huggingface_hub")

    class Parcel(hub.ModelHubMixin, library_name="softcam"):  # type: ignore[name-defined, call-arg]
        """What the mixin carries: a function that writes on the way up, a folder coming down."""

        def __init__(self, content: Any) -> None:
            self.content = content

        def _save_pretrained(self, save_directory: Path) -> None:
            self.content(save_directory)

        @classmethod
        def _from_pretrained(cls, *, model_id: str, **options: Any) -> Any:
            paths = [hub.hf_hub_download(model_id, name, **options) for name in FILES]
            return cls(Path(paths[0]).parent)

    return Parcel
