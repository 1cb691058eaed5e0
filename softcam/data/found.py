"""Which data sets are there already, by the names under which `open_data` takes them."""

from __future__ import annotations

from softcam.common import data_root
from softcam.data.registry import Source

__all__ = ["found_sets"]


def found_sets(source: Source) -> list[str]:
    """The sets of a source that lie under `data_root()`, as `folder:nih-cxr`.

    Of a source with one set, its folder or archive is found under the name of the source, `rsna`
    or `rsna.zip`; elsewhere it is found only by its path. Nothing is opened.
    """
    root = data_root()
    if source.reader is None:
        from softcam.data.phantoms import MODALITIES

        return [f"{source.name}:{name}" for name in MODALITIES]
    if source.name == "folder":
        tables = sorted(root.glob("*/labels.csv"))
        return [f"folder:{path.parent.name}" for path in tables]
    if source.by_name:
        files = sorted((root / source.name).glob("*.npz"))
        names = dict.fromkeys(path.stem.split("_")[0] for path in files)
        return [f"{source.name}:{name}" for name in names]
    places = [root / source.name, root / f"{source.name}.zip"]
    return [f"{source.name}:{path.name}" for path in places if path.exists()]
