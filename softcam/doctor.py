"""Is this machine fit to run softcam? One check a question, each with its mend.

Nothing is printed and nothing raises: `diagnose` returns what it found, and the command line
shows it (`softcam doctor`).
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from softcam.common import SoftCAMError, project_root, runs_root

__all__ = ["Check", "diagnose"]

MEMORY_GB = 3.0  # what the tutorial may need at most
DISK_GB = 2.0  # caches, runs and figures of the tutorial, with room to spare
REINSTALL = "run `python start.py test-fast`: it installs the versions of lock.txt again."


@dataclass(frozen=True)
class Check:
    """One question about the machine.

    Attributes:
        name: what was looked at.
        ok: whether softcam can work with it.
        found: what is there, in words.
        mend: what to do about it; empty when there is nothing to do.
    """

    name: str
    ok: bool
    found: str
    mend: str = ""


def diagnose() -> list[Check]:
    """Look at Python, packages, device, memory, disk, Jupyter kernel and write access.

    Returns:
        The checks in the order in which they are worth mending. A check that fails in an
        unforeseen way is `ok=False` with the error as what was found.
    """
    return [_run(name, check) for name, check in _CHECKS.items()]


def _run(name: str, check: Callable[[], tuple[bool, str, str]]) -> Check:
    """Call one check; whatever it raises is a finding, not an end."""
    try:
        ok, found, mend = check()
    except Exception as error:  # a broken package can raise anything when it is imported
        ok, found, mend = False, f"{type(error).__name__}: {error}", REINSTALL
    return Check(name, ok, found, "" if ok else mend)


def _python() -> tuple[bool, str, str]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return sys.version_info >= (3, 11), found, "install Python 3.11 or newer; remove .venv."


def _torch_pair() -> tuple[bool, str, str]:
    """A torchvision built for another torch imports, or even not, but has no operators."""
    import torch

    mend = (
        "torch and torchvision must be a pair (2.6 with 0.21, ... 2.15 with 0.29; torch 2.13.0 "
        f"has no CPU partner): {REINSTALL}"
    )
    try:
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        torchvision.ops.nms(boxes, torch.tensor([1.0]), 0.5)
    except Exception as error:  # RuntimeError, AttributeError, OSError: as the versions differ
        return False, f"torch {torch.__version__}, torchvision fails: {error}", mend
    found = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    return True, found, mend


def _outside_their_range() -> Iterator[str]:
    """Packages that softcam declares, and whose installed version does not fit."""
    from packaging.requirements import Requirement

    for line in metadata.requires("softcam") or ():
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"{requirement.name} is missing (needs {requirement.specifier})"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} (needs {requirement.specifier})"


def _packages() -> tuple[bool, str, str]:
    try:
        wrong = list(_outside_their_range())
    except metadata.PackageNotFoundError:
        return False, "softcam itself is not installed here", REINSTALL
    return not wrong, "; ".join(wrong) or "every version is in its range", REINSTALL


def _device() -> tuple[bool, str, str]:
    """Any device will do: the tutorial is made for two CPU cores."""
    import torch

    threads = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        return True, f"GPU {torch.cuda.get_device_name(0)}; {threads}", ""
    if torch.backends.mps.is_available():
        return True, f"Apple GPU (mps); {threads}", ""
    return True, f"CPU; {threads}", ""


def _memory() -> tuple[bool, str, str]:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / 1e9
    found = f"{free:.1f} GB free of {memory.total / 1e9:.1f} GB"
    mend = f"close other programs, or take the profile quick; {MEMORY_GB:g} GB should be free."
    return free >= MEMORY_GB, found, mend


def _disk() -> tuple[bool, str, str]:
    root = project_root()
    free = shutil.disk_usage(root).free / 1e9
    mend = f"free {DISK_GB:g} GB, or set SOFTCAM_ROOT to a folder on a larger disk."
    return free >= DISK_GB, f"{free:.1f} GB free at {root}", mend


def _kernel() -> tuple[bool, str, str]:
    """Notebooks run in the kernel `python3`, which must be this very Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    mend = "run `python -m ipykernel install --sys-prefix --name python3` with this Python."
    try:
        version = metadata.version("ipykernel")
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except (metadata.PackageNotFoundError, NoSuchKernel) as error:
        return False, f"no kernel python3: {error}", mend
    own = command in ("python", "python3", sys.executable)  # Jupyter puts itself for `python`
    return own, f"python3 (ipykernel {version}) starts {command}", mend


def _write_access() -> tuple[bool, str, str]:
    mend = "make the folder writable, or set SOFTCAM_ROOT to one of your own."
    try:
        folder = runs_root()
        where = folder if folder.exists() else folder.parent
        with tempfile.NamedTemporaryFile(dir=where) as file:
            found = f"{Path(file.name).parent} can be written to"
    except (OSError, SoftCAMError) as error:
        return False, str(error), mend
    return True, found, mend


_CHECKS: dict[str, Callable[[], tuple[bool, str, str]]] = {
    "Python": _python,
    "torch and torchvision": _torch_pair,
    "packages": _packages,
    "device": _device,
    "memory": _memory,
    "disk": _disk,
    "Jupyter kernel": _kernel,
    "write access": _write_access,
}
