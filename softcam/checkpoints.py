"""What training leaves on disk, written so that a kill at any point loses nothing finished.

Order matters: the best weights and the table are replaced before the state to resume from, so a
killed epoch is repeated as a whole, with the same result; done.json comes last of all.
Weights are safetensors; the resume state is read with `weights_only=True`, never unpickled.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import logging
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from softcam.common import (
    SoftCAMError,
    UnknownNameError,
    __version__,
    atomic_path,
    project_root,
    read_json,
    write_json,
)
from softcam.evidence import SoftCAM
from softcam.penalties import paper_lambdas
from softcam.runs import SELECT, Run, TrainConfig, build_model
from softcam.wrappers import BlackBox

if TYPE_CHECKING:
    from softcam.data.records import Splits

__all__ = [
    "best_epoch",
    "checkpoint_command",
    "environment",
    "export_checkpoint",
    "finish",
    "keep_epoch",
    "load_checkpoint",
    "load_state",
    "read_record",
    "resolved_record",
    "save_weights",
]

log = logging.getLogger(__name__)
_PACKAGES = ("torch", "torchvision", "timm", "numpy", "accelerate")


def environment(device: Any = "cpu") -> dict[str, Any]:
    """Versions, machine and threads, for environment.json."""

    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "-"),
        "versions": {"softcam": __version__, **{name: version(name) for name in _PACKAGES}},
    }


def _check_size(model: nn.Module, size: tuple[int, int]) -> None:
    """Refuse a size that a network without a map cannot take (a transformer of fixed size)."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, *size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise SoftCAMError(
            f"this network does not take images of {size[0]}x{size[1]} px ({error}): "
            "give the size it was made for with --size."
        ) from error
    finally:
        model.train(was_training)


def best_epoch(history: list[dict[str, float]], select: str) -> int:
    """The first epoch with the best validation value of `select`."""
    values = [row[f"val_{select}"] for row in history]
    return values.index(SELECT[select](values))


def resolved_record(
    config: TrainConfig, data: Splits, model: nn.Module, normalize: Any
) -> dict[str, Any]:
    """What config.json holds: the configuration, both lambda scales, and what was measured."""
    height, width = map_size(model, data.train.size)
    outputs = config.outputs(len(data.classes), data.multi_label)
    weights = config.l1_per_cell, config.l2_per_cell
    # A black box without a map has no penalty either.
    lambda1, lambda2 = paper_lambdas(*weights, outputs, max(height, 1), max(width, 1))
    return {
        "config": {**asdict(config), "data_options": dict(config.data_options)},
        "dataset": data.name,
        "classes": list(data.classes),
        "multi_label": data.multi_label,
        "fingerprint": data.fingerprint,
        "data_notes": list(data.notes),
        "counts": {s: len(data[s]) for s in ("train", "val", "test")},
        "normalize": normalize,
        "map_size": [height, width],
        "lambda1": lambda1,
        "lambda2": lambda2,
        "lambda_scale": "paper (weights of the sums); l1_per_cell and l2_per_cell are per cell",
    }


def map_size(model: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the evidence maps for images of `size`; (0, 0) for a net that has none."""
    from softcam.convert import to_softcam

    try:
        softcam = model if isinstance(model, SoftCAM) else to_softcam(model)
    except SoftCAMError:
        _check_size(model, size)
        return 0, 0
    was_training = softcam.training
    softcam.eval()
    with torch.no_grad():
        maps = softcam.evidence_maps(torch.zeros(1, 3, *size))
    softcam.train(was_training)
    return int(maps.shape[2]), int(maps.shape[3])


def keep_epoch(
    path: Path, model: nn.Module, optimizer: Any, select: str, history: list[dict[str, float]]
) -> None:
    """Best weights if the last epoch is the best so far, the table, then the resume state."""
    if best_epoch(history, select) == len(history) - 1:
        save_weights(path / "weights.safetensors", model)
    _write_history(path, history)
    core = getattr(optimizer, "optimizer", optimizer)
    state = {"model": model.state_dict(), "optimizer": core.state_dict(), "history": history}
    whole = io.BytesIO()  # on a full disk torch.save itself would raise something without a name
    torch.save(state, whole)
    with atomic_path(path / "resume" / "state.pt") as temporary:
        temporary.write_bytes(whole.getbuffer())


def load_state(path: Path, model: nn.Module, optimizer: Any) -> dict[str, Any] | None:
    """Put model and optimizer where a killed run stopped; None when there is nothing to resume."""
    file = path / "resume" / "state.pt"
    if not file.is_file():
        return None
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged zip or pickle raises almost anything
        raise SoftCAMError(
            f"{file} is damaged ({type(error).__name__}): begin this run again with --no-resume."
        ) from error
    model.load_state_dict(state["model"])
    getattr(optimizer, "optimizer", optimizer).load_state_dict(state["optimizer"])
    log.info("%s goes on after epoch %d", path.name, len(state["history"]))
    return state


def save_weights(
    file: Path,
    model: nn.Module,
    dtype: torch.dtype | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """The state dict as safetensors, atomically; floats as `dtype` where one is given."""
    from safetensors.torch import save

    tensors = {}
    for name, value in model.state_dict().items():
        value = value.detach().cpu().contiguous()
        tensors[name] = value.to(dtype) if dtype and value.is_floating_point() else value
    with atomic_path(file) as temporary:
        temporary.write_bytes(save(tensors, dict(metadata or {})))  # a full disk is an OSError


def finish(path: Path, model: nn.Module, select: str, history: list[dict[str, float]]) -> None:
    """The last weights, and done.json, which makes the run a finished one."""
    save_weights(path / "last.safetensors", model)
    best = best_epoch(history, select)
    files = ("weights.safetensors", "last.safetensors")
    sha256 = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in files}
    write_json(
        path / "done.json",
        {
            "best_epoch": best,
            "select": f"val_{select}",
            "value": history[best][f"val_{select}"],
            "sha256": sha256,
            "seconds": sum(row["seconds"] for row in history),
        },
    )


def export_checkpoint(run: Run, file: Path) -> Path:
    """The best weights as one small file to ship: float16, configuration and command inside.

    `load_checkpoint` reads it back; the metadata field `command` trains the same run again.
    """
    record = {**run.record, "run_id": run.id, "done": read_json(run.path / "done.json")}
    metadata = {
        "format": "pt",
        "softcam": json.dumps(record, sort_keys=True),
        "command": checkpoint_command(run.config),
    }
    save_weights(file, run.model(), torch.float16, metadata)
    return file


def checkpoint_command(config: TrainConfig) -> str:
    """The `softcam train` command line of a configuration; defaults are left out."""
    default = TrainConfig()
    usual = default.for_labels(False)  # what `auto` stands for
    words = ["softcam train", config.data]
    for name, value in vars(config).items():
        if name in ("data", "data_options") or value in (
            getattr(default, name),
            getattr(usual, name),
        ):
            continue
        option = f"--{name.replace('_', '-')}"
        if name == "normalize":
            value = "/".join(",".join(map(str, part)) for part in value)
        words.append(option if value is True else f"{option} {value}")
    options = sorted(config.data_options.items())
    words += [f"--data-option '{key}={json.dumps(value)}'" for key, value in options]
    return " ".join(words)


def load_checkpoint(name: str | Path) -> BlackBox | SoftCAM:
    """A shipped model by name (`data/checkpoints/NAME.safetensors`) or by path, in eval mode.

    Raises:
        SoftCAMError: no such file, or a file that `export_checkpoint` did not write.
    """
    from safetensors.torch import load_file

    file = _checkpoint_file(name)
    record = read_record(file)
    plain = {**record["config"], "weights": None, "pretrained": False, "freeze_bn": "no"}
    config = TrainConfig.from_dict(plain)
    with torch.random.fork_rng(devices=[]):
        findings = bool(record.get("multi_label"))
        model = build_model(config, len(record["classes"]), record["normalize"], findings)
    wanted = model.state_dict()
    tensors = load_file(file)
    model.load_state_dict({key: value.to(wanted[key].dtype) for key, value in tensors.items()})
    return model.eval()


def read_record(name: str | Path) -> dict[str, Any]:
    """What a shipped checkpoint says of itself: configuration, classes, normalisation, command."""
    from safetensors import SafetensorError, safe_open

    file = _checkpoint_file(name)
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise SoftCAMError(f"{file} is no whole safetensors file ({error}).") from error
    if "softcam" not in metadata:
        raise SoftCAMError(
            f"{file} holds weights but no softcam configuration: "
            "load it with `--weights`, or write it with `export_checkpoint`."
        )
    return {**json.loads(metadata["softcam"]), "command": metadata["command"]}


def _checkpoint_file(name: str | Path) -> Path:
    folder = project_root() / "data" / "checkpoints"
    file = Path(name)
    if file.suffix != ".safetensors":
        file = folder / f"{name}.safetensors"
    if not file.is_file():
        known = [path.stem for path in folder.glob("*.safetensors")]
        raise UnknownNameError("run directory or checkpoint file", str(name), known)
    return file


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    import pandas as pd

    with atomic_path(path / "history.csv") as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False)
