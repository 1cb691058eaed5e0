"""The state dict of a black box, into the SoftCAM that was made of it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.copying import own_copy
from softcam.evidence import SoftCAM
from softcam.travel.inverse import backbone_names, to_black_box
from softcam.wrappers import BlackBox

__all__ = ["load_black_box_state"]


def load_black_box_state(
    model: SoftCAM, state: Mapping[str, Tensor], net: nn.Module | None = None
) -> None:
    """Load a state dict of the network that `model` was converted from, in place.

    The same as loading it there and converting again. The names must be those of the network (or
    of its `BlackBox`), and all must find their place.

    Args:
        model: a converted SoftCAM; of kind `exact` with the network's own linear layer, or any
            kind that keeps the head's weights where `net` is given.
        state: tensors by name, such as `net.state_dict()` or a safetensors file read by
            `softcam.backbones.read_weights`.
        net: a network of the class that was converted, with any weights; it stays as it is. A
            copy gets the state and is converted, which also carries folded layers.

    Raises:
        SoftCAMError: the model holds folded or other layers, or the state is of another network;
            the model is then unchanged.
    """
    start = "net." if all(key.startswith("net.") for key in state) else ""  # of a BlackBox
    state = {key.removeprefix(start): value for key, value in state.items()}
    placed = _converted(model, state, net) if net is not None else _placed(model, state)
    own = model.state_dict()
    for key, value in placed.items():
        if key not in own or value.shape != own[key].shape:
            expected = tuple(own[key].shape) if key in own else "nothing"
            raise SoftCAMError(
                f"{key} would be {tuple(value.shape)}, expected {expected}: the state is that of "
                "another network, or of another number of classes."
            )
    model.load_state_dict(placed)


def _converted(model: SoftCAM, state: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    if model.conversion is not None and model.conversion.kind == "paper":
        raise SoftCAMError(
            "a model of kind 'paper' has a fresh head, which no state of the black box holds: "
            "convert the network after loading its state."
        )
    copied = own_copy(net.net if isinstance(net, BlackBox) else net)
    try:
        copied.load_state_dict(state)
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise SoftCAMError(f"the state does not fit {type(net).__name__} ({last}).") from error
    return to_softcam(copied).state_dict()


def _placed(model: SoftCAM, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state under the names of `model`: by name for the backbone, what is left for the head."""
    to_black_box(model)  # a layer that is not the network's own cannot be put back, and raises
    names = backbone_names(model)
    backbone = set(names.values())
    rest = [key for key in state if key not in backbone]
    missing = [name for name in names.values() if name not in state]
    path = rest[0].rpartition(".")[0] if rest else ""
    conv = model.get_classifier()
    head = {f"{path}.weight", *([f"{path}.bias"] if conv.bias is not None else [])}
    if missing or set(rest) != head:
        found = f"it lacks {missing[0]}" if missing else f"beside the backbone it has {rest[:4]}"
        raise SoftCAMError(
            f"the state does not fit: {found}, expected {len(backbone)} tensors of the backbone "
            "and one linear layer. Give the network with net=, which also takes auxiliary heads "
            "and folded layers."
        )
    weight = state[f"{path}.weight"]
    if weight.flatten(1).shape != conv.weight.flatten(1).shape:
        raise SoftCAMError(
            f"{path}.weight is {tuple(weight.shape)}, expected {tuple(conv.weight.shape[:2])}."
        )
    own = next(key for key, value in model.named_modules() if value is conv)
    placed = {key: state[name] for key, name in names.items()}
    placed[f"{own}.weight"] = weight.reshape(conv.weight.shape)
    if conv.bias is not None:
        placed[f"{own}.bias"] = state[f"{path}.bias"]
    return placed
