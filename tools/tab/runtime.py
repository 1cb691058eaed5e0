"""onnxruntime-web, which runs the models in the page: fetched by npm once, kept, shipped packed.

`docs/tab/package-lock.json` pins it by version and checksum. It is never committed.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from softcam.common import SoftCAMError, digest

__all__ = [
    "CACHE",
    "PAGE",
    "PINS",
    "NoRuntime",
    "copy_runtime",
    "fetch_runtime",
    "find_runtime",
    "replace",
]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tab"
CACHE = ROOT / "data" / "cache" / "tab"
PATIENCE = 300  # seconds
PINS = ("package.json", "package-lock.json")
GLUE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


class NoRuntime(SoftCAMError):
    """The runtime is not there and cannot be fetched: the page cannot be built on this machine."""


def find_runtime(cache: str | Path = CACHE) -> Path | None:
    """The folder with the two files of the pinned runtime, if they were fetched before."""
    folder = _folder(cache)
    return folder if all((folder / name).is_file() for name in (GLUE, WASM)) else None


def fetch_runtime(cache: str | Path = CACHE) -> Path:
    """Let npm fetch the pinned runtime, and keep its two files; scripts of packages are not run.

    Raises:
        NoRuntime: npm is missing or fails, for example without a network.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NoRuntime("npm is not installed, and only it brings the page's runtime.")
    folder = _folder(cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".npm-") as temporary:
        work, kept = Path(temporary) / "work", Path(temporary) / "kept"
        work.mkdir()
        kept.mkdir()
        for name in PINS:
            shutil.copy(PAGE / name, work / name)
        _install(npm, work)
        for name in (GLUE, WASM):
            file = work / "node_modules" / "onnxruntime-web" / "dist" / name
            if not file.is_file():
                raise NoRuntime(f"npm ran, but {name} is not in its package.")
            shutil.copy(file, kept / name)
        replace(kept, folder)
    return folder


def _install(npm: str, folder: Path) -> None:
    options = (
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--fetch-retries=1",
        "--loglevel=error",
    )
    command = [npm, "ci", *options]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        raise NoRuntime(f"npm could not fetch the page's runtime: {said or error}") from error


def _folder(cache: str | Path) -> Path:
    pins = digest((PAGE / "package-lock.json").read_bytes(), length=12)
    return Path(cache) / f"runtime-{pins}"


def replace(new: Path, old: Path) -> None:
    """Put a folder in the place of another, or of none."""
    if old.exists():
        aside = new.with_name("old")
        os.replace(old, aside)
    os.replace(new, old)


def copy_runtime(dist: Path, folder: Path) -> None:
    """The glue as it is, the WebAssembly packed; the same bytes for the same runtime."""
    folder.mkdir()
    shutil.copy(dist / GLUE, folder / GLUE)
    packed = gzip.compress((dist / WASM).read_bytes(), mtime=0)
    (folder / f"{WASM}.gz").write_bytes(packed)
