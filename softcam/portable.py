"""What lets a model travel: `save_pretrained`, `from_pretrained` and `push_to_hub` as methods.

The names and the layout of the folder are those of the Hugging Face Hub. The work is done in
`softcam.travel`. That room knows how networks are built and converted, so it comes after the models
it serves; it is therefore looked up when a method is called, as `import softcam` does for the names
that cost time to load.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Portable"]


class Portable:
    """Saves itself to a folder and comes back from one, or from the Hugging Face Hub.

    Attributes:
        architecture: how the network is built by name, or None where nobody said so; a plain
            object as config.json holds it, kept so that the model can be saved again.
        class_names: what the C logits stand for, or None.
        image_size: (height, width) in pixels that the model is meant for, or None for any.
    """

    architecture: dict[str, Any] | None = None
    class_names: tuple[str, ...] | None = None
    image_size: tuple[int, int] | None = None

    def save_pretrained(self, folder: str | Path, **options: Any) -> Path:
        """Write the model to a folder; see `softcam.travel.save_pretrained` for the options."""
        saved: Path = import_module("softcam.travel").save_pretrained(self, folder, **options)
        return saved

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, net: nn.Module | None = None, **hub: Any
    ) -> Self:
        """Read a model from a folder or the Hub; see `softcam.travel.from_pretrained`."""
        model: Self = import_module("softcam.travel").from_pretrained(source, net=net, **hub)
        return model

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Save the model to the Hugging Face Hub; see `softcam.travel.push_to_hub`."""
        address: str = import_module("softcam.travel").push_to_hub(self, repo_id, **options)
        return address
