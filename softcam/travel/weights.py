"""The tensors of a model in one safetensors file; a pickle is refused, never read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from softcam.backbones import read_weights
from softcam.common import SoftCAMError, atomic_path, damaged

__all__ = ["WEIGHTS", "fill", "read_state", "refuse_pickles", "write_state"]

WEIGHTS = "model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
PICKLED = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # zip; bare pickle
REFUSED = (
    "A pickle can run code when it is read, and is refused; expected a folder with "
    "model.safetensors. If you trust it, load it yourself into your network, convert that with "
    "to_softcam, and call save_pretrained."
)


def write_state(file: Path, model: nn.Module) -> str:
    """Write the state dict atomically, each tensor once; returns the SHA-256 of the file.

    A tensor that several names share is kept under the first.

    Raises:
        SoftCAMError: two tensors overlap without being the same one.
    """
    from safetensors.torch import save

    names = _shared(model.state_dict())
    state = {key: value for key, value in model.state_dict().items() if names[key] == key}
    try:
        data = save({k: v.detach().cpu().contiguous() for k, v in state.items()}, {"format": "pt"})
    except RuntimeError as error:
        raise SoftCAMError(
            f"its tensors cannot be written as safetensors ({str(error).strip().splitlines()[0]}): "
            "give layers that share a part of a tensor a copy each."
        ) from error
    with atomic_path(file) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_state(file: Path, digest: str) -> dict[str, Tensor]:
    """The tensors of a file, by name.

    Args:
        file: in safetensors format.
        digest: its SHA-256.

    Raises:
        SoftCAMError: it is missing (perhaps with a pickle in its place), damaged, or another file.
    """
    if not file.is_file():
        for other in sorted(file.parent.iterdir()):
            refuse_pickles(other)
    else:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
            opened.seek(0)
            if opened.read(4).startswith(PICKLED):
                raise SoftCAMError(f"{file} is a pickle under another name. {REFUSED}")
        if found != digest:
            raise damaged(file, "it is not the file that the config.json beside it was written for")
    # Copies: what was read is the file itself, mapped into memory, and the file may be replaced.
    return {key: value.clone() for key, value in read_weights(file).items()}


def fill(model: nn.Module, state: dict[str, Tensor], where: Path) -> None:
    """Give `model` the tensors of `state`, bit for bit and in their precision.

    Args:
        model: changed in place; its device and frozen parameters stay.
        state: as `write_state` keeps it.
        where: the folder, for messages.

    Raises:
        SoftCAMError: a tensor is missing, too many, or of another shape.
    """
    own = model.state_dict()
    whole = {key: state[name] for key, name in _shared(own).items() if name in state} | state
    problems = [
        *(f"missing: {key}" for key in own if key not in whole),
        *(f"unexpected: {key}" for key in whole if key not in own),
        *(
            f"shape: {key} is {tuple(whole[key].shape)}, expected {tuple(value.shape)}"
            for key, value in own.items()
            if key in whole and whole[key].shape != value.shape
        ),
        *(
            f"type: {key} is {whole[key].dtype}, expected {value.dtype}"
            for key, value in own.items()
            if key in whole and whole[key].is_floating_point() != value.is_floating_point()
        ),
    ]
    if problems:
        shown = "\n  ".join(problems[:10])
        raise SoftCAMError(
            f"the weights in {where} do not fit the network: {len(problems)} tensors differ. "
            f"The network must be the one that was saved, option for option.\n  {shown}"
        )
    last = [key for key in state if key.startswith("evidence.") and key.endswith("weight")][-1]
    model.to(state[last].dtype)  # for what the network computes with but does not save
    with torch.no_grad():
        for tensors in (model.named_parameters, model.named_buffers):
            for key, tensor in tensors(remove_duplicate=False):
                if key in whole:
                    tensor.data = whole[key].to(tensor.device)  # tensors that are shared stay so


def refuse_pickles(file: Path) -> None:
    """Raise where a file is a pickle by its name."""
    if file.suffix.lower() in PICKLES:
        raise SoftCAMError(f"{file} is a pickle. {REFUSED}")


def _shared(state: dict[str, Tensor]) -> dict[str, str]:
    """For each name the first name of the same tensor."""
    first: dict[tuple[object, ...], str] = {}
    return {
        key: first.setdefault((value.data_ptr(), value.shape, value.stride(), value.device), key)
        if value.numel()
        else key
        for key, value in state.items()
    }
