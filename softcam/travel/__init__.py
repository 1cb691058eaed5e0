"""A model that travels: to a folder or the Hub and back, to ONNX, to and from its black box.

- `save_pretrained`, `from_pretrained`, `push_to_hub`: a folder with weights and configuration
- `export_onnx`, `export_program`: one graph with two outputs, logits and maps
- `load_black_box_state`, `to_black_box`: the weights of the network that was converted, both ways
"""

from softcam.travel.export import Exported, export_onnx, export_program
from softcam.travel.folder import from_pretrained, push_to_hub, save_pretrained
from softcam.travel.inverse import PooledNet, to_black_box
from softcam.travel.states import load_black_box_state

__all__ = [
    "Exported",
    "PooledNet",
    "export_onnx",
    "export_program",
    "from_pretrained",
    "load_black_box_state",
    "push_to_hub",
    "save_pretrained",
    "to_black_box",
]
