"""Make lock.txt, lock-oldest.txt and environment.yml agree with pyproject.toml.

    python tools/sync_lock.py             keeps every pin that still fits
    python tools/sync_lock.py --upgrade   takes the newest versions

Compiling needs `uv` (pip install uv); without it the locks stay as they are and only
environment.yml is written again. tests/test_packaging.py checks the result.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.11"
OLDEST = ("torch==2.6.0", "torchvision==0.21.0")
NEEDED_BY = {  # which notebooks stop without it
    "torch": "00-07",
    "torchvision": "00-07, through timm; 03 by itself",
    "timm": "00-07: the backbones",
    "numpy": "00-07",
    "scipy": "none: the linear fill of softcam evaluate",
    "scikit-learn": "11: clusters of feature maps and of words",
    "threadpoolctl": "11: the same clusters on any number of cores",
    "pandas": "04, 06, 07: tables",
    "pyarrow": "06: per_image.parquet",
    "pillow": "01: real images",
    "matplotlib": "00-07: pictures",
    "safetensors": "00-07: weights",
    "accelerate": "04, 06: training",
    "captum": "02, 06: Grad-CAM",
    "torchcam": "none: Score-CAM, Layer-CAM",
    "tensorboard": "04, 06: training curves",
    "tqdm": "01, 04, 06: progress",
    "filelock": "04, 06: one training a run directory",
    "pyyaml": "00-07: profiles",
    "jinja2": "none: the report after 06",
    "typer": "none: the softcam command",
    "packaging": "none: softcam doctor",
    "psutil": "none: softcam doctor",
    "jupyterlab": "00-07: to open them",
    "jupyter-client": "00-07: softcam run",
    "ipykernel": "00-07: the kernel",
    "ipython": "11: the game on its page",
    "ipywidgets": "00-07: progress bars",
    "anywidget": "none: the evidence explorer",
    "traitlets": "none: the evidence explorer",
    "nbconvert": "none: grading assignments",
    "nbformat": "00-07: softcam run",
    "nbclient": "00-07: softcam run",
    "papermill": "00-07: softcam run",
}


def compile_lock(target: Path, constraints: tuple[str, ...], upgrade: bool) -> None:
    """Resolve pyproject.toml for every platform into `target`, without index addresses."""
    uv = shutil.which("uv")
    if uv is None:
        print(f"uv is not installed (pip install uv): {target.name} stays as it is")
        return
    with tempfile.TemporaryDirectory() as folder:
        limits = Path(folder) / "constraints.txt"
        limits.write_text("\n".join(constraints) + "\n", encoding="utf-8")
        command = [uv, "pip", "compile", "pyproject.toml", "--universal", "--quiet"]
        command += ["--python-version", PYTHON, "--extra", "test", "--constraints", str(limits)]
        command += ["--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--output-file", str(target), *(["--upgrade"] if upgrade else [])]
        subprocess.run(command, cwd=ROOT, check=True)


def pins(lock: Path, python: str = PYTHON) -> dict[str, str]:
    """Name to version of a lock, as it is on `python` under Linux."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
    }
    found: dict[str, str] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found[canonicalize_name(requirement.name)] = str(requirement.specifier)[2:]
    return found


def dependencies() -> list[str]:
    """The names that softcam itself declares, in their order."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["dependencies"]
    return [canonicalize_name(re.split(r"[<>=!~;\[ ]", line)[0]) for line in declared]


def environment_yml(locked: dict[str, str]) -> str:
    """The text of environment.yml: conda brings Python, pip brings the pins of the lock."""
    lines = [
        "# For conda, mamba, Binder: conda env create -f environment.yml; conda activate softcam",
        "# The pins are those of lock.txt; behind each, the notebooks that need it.",
        "# Written by tools/sync_lock.py.",
        "name: softcam",
        "channels: [conda-forge]",
        "dependencies:",
        f"  - python={PYTHON}  # 00-07",
        "  - pip  # none: brings the rest",
        "  - pip:",
    ]
    for name in dependencies():
        lines.append(f"      - {name}=={locked[name]}  # {NEEDED_BY[name]}")
    return "\n".join([*lines, "      - --editable .  # 00-07: softcam itself", ""])


def main() -> int:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade
    compile_lock(ROOT / "lock.txt", (), upgrade)
    compile_lock(ROOT / "lock-oldest.txt", OLDEST, upgrade)
    text = environment_yml(pins(ROOT / "lock.txt"))
    (ROOT / "environment.yml").write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
