"""A model as a folder: model.safetensors, config.json and README.md, as on the Hugging Face Hub.

config.json is written last and holds the digest of the weights, so that a folder is whole or says
that it is not. Weights are safetensors; a pickle is refused, never read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import nn

from softcam import stored
from softcam.common import (
    SoftCAMError,
    __version__,
    as_integer,
    choose,
    read_json,
    write_json,
    write_text,
)
from softcam.convert import to_softcam
from softcam.evidence import Conversion, SoftCAM
from softcam.proof import own_copy, quiet
from softcam.travel import hub
from softcam.travel.card import model_card
from softcam.travel.recipe import (
    architecture_of,
    head_width_of,
    parse_architecture,
    rebuilt,
)
from softcam.travel.weights import fill, read_state, refuse_pickles, write_state
from softcam.wrappers import Normalize

__all__ = ["from_pretrained", "push_to_hub", "save_pretrained"]

log = logging.getLogger(__name__)

CONFIG, WEIGHTS = hub.FILES
FORMAT = 1
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
NET = (
    "give it with net=: SoftCAM.from_pretrained(folder, net=your_network), the classifier that was "
    "converted or a SoftCAM of the same layers, with any weights"
)


def save_pretrained(
    model: SoftCAM,
    folder: str | Path,
    *,
    architecture: str | Mapping[str, Any] | None = None,
    class_names: Sequence[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Path:
    """Write a model to a folder that `from_pretrained` and the Hugging Face Hub read.

    Each file is replaced whole; a README.md that is there stays. Rates that only training knows
    (stochastic depth) and frozen parameters are not kept.

    Args:
        model: a SoftCAM, however it was made.
        folder: made if it is not there.
        architecture: how the network is built: a model name (`resnet10t-w32-os8`,
            `torchvision:resnet18`) or `{"name": ..., "options": {...}}` with keywords of timm's
            `create_model`. It is built again and compared. None finds out by itself where it can;
            where it cannot, the folder needs your network when it is read, and a warning says so.
        class_names: C words (two for one sigmoid logit); None keeps `model.class_names`.
        image_size: pixels, a side or (height, width); None keeps `model.image_size`.

    Returns:
        The folder.

    Raises:
        SoftCAMError: no SoftCAM, another number of names than classes, or an architecture that
            does not give this model.
    """
    if not isinstance(model, SoftCAM):
        raise SoftCAMError(f"expected a SoftCAM, found a {type(model).__name__}: to_softcam it.")
    folder = Path(folder)
    config = _config(model, class_names, image_size)
    config["architecture"] = _named(model, architecture)
    config["sha256"] = write_state(folder / WEIGHTS, model)
    if not (folder / "README.md").exists():
        write_text(folder / "README.md", model_card(config))
    write_json(folder / CONFIG, config)
    return folder


def from_pretrained(source: str | Path, *, net: nn.Module | None = None, **options: Any) -> SoftCAM:
    """Read a model that `save_pretrained` wrote; in eval mode, on the CPU unless `net` is not.

    A folder is read without a network. Nothing is unpickled.

    Args:
        source: a folder, or `owner/name` on the Hugging Face Hub where there is no such folder.
        net: your network, for a folder that does not name its own: the classifier that was
            converted, or a SoftCAM of the same layers. It stays as it is; a copy gets the weights.
        options: for the Hub: revision, token, cache_dir, force_download, local_files_only.

    Raises:
        SoftCAMError: no such folder, a file that is missing, damaged or of another version, a
            pickle, or a network that these weights do not fit.
    """
    folder = _found(source, options)
    file, record = folder / CONFIG, _record(folder)

    def read(name: str, how: Any) -> Any:
        return stored.read_field(folder, record, name, how)

    classes = read("num_classes", lambda v: as_integer("num_classes", v, 1, 10**7))
    width = read("head_width", lambda v: v and as_integer("head_width", v, 1, 10**7))
    architecture = read("architecture", lambda v: parse_architecture(v) if v else None)
    normalize = read("normalize", lambda v: Normalize(*(stored.normalisation(v) or ())))
    link = read("link", lambda v: choose("link", v, ("softmax", "sigmoid")))
    conversion = read("conversion", _conversion)
    names = read("class_names", lambda v: stored.words(v) if v else None)
    size = read("image_size", _size)
    digest = read("sha256", stored.text)
    state = read_state(folder / WEIGHTS, digest)
    if net is not None:
        model = _around(net, classes, width)
    elif architecture is None:
        raise SoftCAMError(f"{file} names no network, for it was one of your own: {NET}.")
    else:
        model = rebuilt(architecture, classes, width)
    fill(model, state, folder)
    model.normalize = normalize.to(model.get_classifier().weight.device)
    model.link, model.conversion = link, conversion
    model.class_names, model.image_size = names, size
    model.architecture = architecture.plain() if architecture else None
    return model.eval()


def push_to_hub(
    model: SoftCAM,
    repo_id: str,
    *,
    architecture: str | Mapping[str, Any] | None = None,
    class_names: Sequence[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    **options: Any,
) -> str:
    """Save a model to the Hugging Face Hub, in the layout of `save_pretrained`.

    Args:
        model, architecture, class_names, image_size: as in `save_pretrained`.
        repo_id: `owner/name`; made if it does not exist.
        options: of the Hub's mixin: private, token, branch, commit_message, create_pr.

    Returns:
        The address of the commit.
    """
    kept = {"architecture": architecture, "class_names": class_names, "image_size": image_size}
    return hub.upload(lambda folder: save_pretrained(model, folder, **kept), repo_id, **options)  # type: ignore[arg-type]


def _config(
    model: SoftCAM, names: Sequence[str] | None, size: int | tuple[int, int] | None
) -> dict[str, Any]:
    classes = model.get_classifier().out_channels
    names = model.class_names if names is None else names
    expected = {classes, 2} if classes == 1 and model.link == "sigmoid" else {classes}
    if isinstance(names, str) or (names is not None and len(names) not in expected):
        raise SoftCAMError(f"the model has {classes} logits, found the class names {names!r}.")
    size = (size, size) if isinstance(size, int) else size or model.image_size
    return {
        "softcam_format": FORMAT,
        "softcam_version": __version__,
        "library_name": "softcam",
        "num_classes": classes,
        "class_names": None if names is None else [str(name) for name in names],
        "image_size": None if size is None else list(_size(list(size)) or ()),
        "normalize": model.normalize.values(),
        "link": model.link,
        "conversion": asdict(model.conversion) if model.conversion else None,
        "head_width": head_width_of(model),
    }


def _named(model: SoftCAM, said: str | Mapping[str, Any] | None) -> dict[str, Any] | None:
    if said is not None:
        found, reason = architecture_of(model, parse_architecture(said))
        if found is None:
            raise SoftCAMError(f"{reason}. Leave the architecture out, or name all its options.")
        return found.plain()
    kept = model.architecture
    found, reason = architecture_of(model, parse_architecture(kept) if kept else None)
    if found is None:
        log.warning("saved without an architecture (%s). To read it, %s.", reason, NET)
    return found.plain() if found else None


def _found(source: str | Path, options: Mapping[str, Any]) -> Path:
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    refuse_pickles(folder)
    if folder.is_file():
        raise SoftCAMError(
            f"{folder} is a file: give the folder that save_pretrained wrote "
            "(load_checkpoint reads the single files of export_checkpoint)."
        )
    if HUB_NAME.fullmatch(str(source)):
        return hub.download(str(source), **options)
    raise SoftCAMError(f"there is no folder {folder}, and a name on the Hub is 'owner/name'.")


def _record(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    if not file.is_file():
        for other in sorted(folder.iterdir()):
            refuse_pickles(other)
        raise SoftCAMError(f"{folder} has no {CONFIG}: it is no folder of save_pretrained.")
    record = read_json(file)
    version = record.get("softcam_format")
    if version is None:
        raise SoftCAMError(f"{file} says no 'softcam_format': it is not of save_pretrained.")
    if version != FORMAT:
        raise SoftCAMError(
            f"{file} has format {version!r} (softcam {record.get('softcam_version')}), this "
            f"softcam {__version__} reads format {FORMAT}: install the version that wrote it."
        )
    return record


def _conversion(value: Any) -> Conversion | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, found {value!r}")
    known = {each.name for each in fields(Conversion)}
    values: dict[str, Any] = {key: each for key, each in value.items() if key in known}
    values["notes"] = tuple(values["notes"])
    return Conversion(**values)


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    height, width = (as_integer("the image size", each, 1, 10**6) for each in value)
    return height, width


def _around(net: nn.Module, classes: int, head_width: int | None) -> SoftCAM:
    if isinstance(net, SoftCAM):
        copied = own_copy(net)
        assert isinstance(copied, SoftCAM)
        return copied
    with quiet():
        if head_width is None:
            return to_softcam(net, num_classes=classes)
        return to_softcam(net, num_classes=classes, head_width=head_width)
