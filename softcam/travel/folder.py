"""A model as a folder: model.safetensors, config.json and README.md, as on the Hugging Face Hub.

config.json is written last and holds the digest of the weights, so that a folder is whole or says
that it is not. Weights are safetensors; a pickle is refused, never read. What is read must give the
logits again that it gave when it was saved (`softcam.travel.sample`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from torch import nn

from softcam.common import SoftCAMError, choose, write_json, write_text
from softcam.convert import to_softcam
from softcam.copying import own_copy
from softcam.evidence import SoftCAM
from softcam.proof import quiet
from softcam.travel import hub
from softcam.travel.card import model_card
from softcam.travel.config import CONFIG, Config, config_of, read_config
from softcam.travel.guess import architecture_of
from softcam.travel.recipe import parse_architecture, rebuilt
from softcam.travel.sample import difference
from softcam.travel.weights import WEIGHTS, fill, read_state, refuse_pickles, write_state

__all__ = ["from_pretrained", "push_to_hub", "save_pretrained"]

log = logging.getLogger(__name__)

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
    config = config_of(model, class_names, image_size)
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
            pickle, or a network that these weights do not fit or that gives other logits.
    """
    folder = _found(source, options)
    config = read_config(folder)
    state = read_state(folder / WEIGHTS, config.sha256)
    model = _built(folder, config) if net is None else _around(net, config)
    fill(model, state, folder)
    model.normalize = config.normalize.to(model.get_classifier().weight.device)
    model.link, model.conversion = config.link, config.conversion
    model.class_names, model.image_size = config.class_names, config.image_size
    model.architecture = config.architecture.plain() if config.architecture else None
    other = difference(model, config.sample) if config.sample else ""
    if other:
        raise SoftCAMError(
            f"the weights in {folder} fit the network and yet it is another one than was saved: "
            f"{other}. What holds no weights differs, such as a stride, a padding or an "
            "activation (after finer_maps give net=finer_maps(...)), or another version of its "
            "package."
        )
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
    for name in options:
        choose("option", name, ("net", *hub.OPTIONS))
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


def _built(folder: Path, config: Config) -> SoftCAM:
    """The network that the folder names, with random weights."""
    file = folder / CONFIG
    if config.architecture is None:
        raise SoftCAMError(f"{file} names no network, for it was one of your own: {NET}.")
    try:
        return rebuilt(config.architecture, config.num_classes, config.head_width)
    except SoftCAMError as error:
        raise SoftCAMError(f"the architecture in {file} cannot be built: {error}") from error


def _around(net: nn.Module, config: Config) -> SoftCAM:
    """A copy of a network that was given, converted as the one that was saved."""
    if isinstance(net, SoftCAM):
        return cast(SoftCAM, own_copy(net))
    with quiet():
        if config.head_width is None:
            return to_softcam(net, num_classes=config.num_classes)
        return to_softcam(net, num_classes=config.num_classes, head_width=config.head_width)
