"""Make `.venv` from `lock.txt`, so that a killed installation is noticed and mended.

Part of `start.py`: only the standard library is imported. The stamp is written last, so that
`.venv` counts as ready only after an installation that went to its end, from the lock as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "lock.txt"
PYPROJECT = ROOT / "pyproject.toml"
EXTRAS = ("test",)  # what lock.txt was compiled with
OLDEST_PYTHON = (3, 11)
NEEDED_GB = 8 if sys.platform == "linux" else 4  # on Linux the default torch brings CUDA along
GPU_PACKAGES = ("nvidia-", "cuda-", "triton")  # needed by torch's CUDA wheels only

MENDS = (  # what pip says -> what to do
    ("No space left on device", f"free about {NEEDED_GB} GB and run the same command again."),
    (
        "No matching distribution found for torch",
        "there is no torch for this Python on this machine. Use 64-bit Python 3.11 to 3.13; "
        "on an Intel Mac use Colab (see README, Platforms).",
    ),
    ("SSLError", "a proxy or an old certificate store is in the way: set PIP_CERT or PIP_PROXY."),
    ("ProxyError", "the proxy refused: set PIP_PROXY, or unset HTTPS_PROXY."),
    ("NewConnectionError", "no connection to the package registry: check the network, run again."),
    ("NameResolutionError", "no connection to the package registry: check the network, run again."),
    ("Read timed out", "the network is slow: run again, what was fetched is kept."),
    ("Permission denied", f"{ROOT} must be writable: move the checkout to a folder of your own."),
)


class Failure(Exception):
    """Something went wrong; the message says what, and the mend."""


def say(text: str) -> None:
    """Print one line at once, also when the output is a file."""
    print(f"start.py: {text}", flush=True)


def in_venv(name: str) -> Path:
    """The path of an executable of `.venv`."""
    return VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name


def site_packages() -> Path | None:
    """Where `.venv` keeps its packages, or None while there is no such folder."""
    found = [VENV / "Lib" / "site-packages", *VENV.glob("lib/python3*/site-packages")]
    return next((path for path in found if path.is_dir()), None)


def stamp_path() -> Path:
    """The file that says that the installation ended, and from which lock."""
    return VENV / "softcam-stamp.txt"


def fingerprint() -> str:
    """SHA-256 over everything that an installation depends on."""
    parts = [LOCK.read_bytes(), PYPROJECT.read_bytes(), ",".join(EXTRAS).encode()]
    parts.append(str(ROOT).encode())  # the checkout is installed by its path
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_ready() -> bool:
    """Whether `.venv` was installed to the end, from this lock."""
    try:
        stamped = stamp_path().read_text(encoding="utf-8").strip()
    except OSError:
        return False
    return stamped == fingerprint() and in_venv("python").exists()


def child_environment() -> dict[str, str]:
    """The variables of every child: `.venv` first, UTF-8, threads that sleep while they wait."""
    env = dict(os.environ)
    env["VIRTUAL_ENV"] = str(VENV)
    env["PATH"] = str(in_venv("python").parent) + os.pathsep + env.get("PATH", "")
    env["PYTHONUTF8"] = "1"
    env["PYTHONNOUSERSITE"] = "1"
    env.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when torch loads
    env.pop("PYTHONHOME", None)
    return env


def call(*command: str | Path, cwd: Path = ROOT, **variables: str) -> int:
    """Run a command in the environment of `.venv`; return its exit status."""
    sys.stdout.flush()
    env = {**child_environment(), **variables}
    return subprocess.call([str(part) for part in command], cwd=cwd, env=env)


def python(*arguments: str | Path, cwd: Path = ROOT, **variables: str) -> int:
    """Run `.venv`'s Python; return its exit status."""
    return call(in_venv("python"), *arguments, cwd=cwd, **variables)


def works(*arguments: str) -> bool:
    """Whether `.venv`'s Python runs with these arguments; silent."""
    command = [str(in_venv("python")), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def create_venv() -> None:
    """Make `.venv`, or make it anew when its Python is gone or too old; give it pip."""
    if not works("-c", f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"):
        say(f"making .venv with Python {sys.version.split()[0]}")
        result = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(VENV)],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise Failure(
                f"Python could not make a virtual environment:\n{result.stdout}{result.stderr}"
                "On Debian and Ubuntu: sudo apt install python3-venv, then run again."
            )
    if not works("-m", "pip", "--version") and not works("-m", "ensurepip"):
        raise Failure(".venv has no pip and cannot get one: python start.py clean --all, run again")


def canonical(name: str) -> str:
    """A package name as the registry compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> list[Distribution]:
    """Every package in `.venv`, whole or not."""
    site = site_packages()
    return list(distributions(path=[str(site)])) if site else []


def keeps_own_torch() -> bool:
    """Whether `.venv` holds the lock's torch in a build that was chosen by hand, as `+cpu`.

    Raises:
        Failure: its torchvision is missing or of another build; the two would not work together.
    """
    here = {canonical(each.name or ""): each.version for each in installed()}
    torch, _, build = here.get("torch", "").partition("+")
    if not build:
        return False
    pin = re.findall(r"^(torch|torchvision)==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    wanted = dict(pin)
    if torch != wanted["torch"]:
        say(f"torch {torch}+{build} is here, the lock has {wanted['torch']}: replacing it")
        return False
    partner = f"{wanted['torchvision']}+{build}"
    if here.get("torchvision") != partner:
        raise Failure(
            f"torch {torch}+{build} is in .venv, with torchvision {here.get('torchvision', '-')}; "
            f"it needs {partner}: install torchvision=={wanted['torchvision']} from where torch "
            "came from, or run `python start.py clean --all` and take the default."
        )
    say(f"keeping torch {torch}+{build} and its torchvision, which are here already")
    return True


def requirements() -> list[str]:
    """The lock's lines; without the CUDA packages where torch needs none."""
    text = LOCK.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if keeps_own_torch():
        lines = [line for line in lines if not line.startswith(GPU_PACKAGES)]
    return lines


def is_whole(package: Distribution) -> bool:
    """Whether every file a package lists is there in its full size."""
    try:
        files = package.files
        return bool(files) and all(
            Path(str(package.locate_file(file))).stat().st_size == file.size
            for file in files or ()
            if file.size is not None
        )
    except OSError:
        return False


def remove_damaged() -> list[str]:
    """Take away the records of packages that a killed installation left in pieces.

    pip takes a package for installed as soon as its record is there; without one it installs it
    again. Returns the names.
    """
    names = []
    for package in installed():
        if not is_whole(package):
            names.append(canonical(package.name or "?"))
            record = Path(str(package.locate_file("."))) / str(getattr(package, "_path", ""))
            if record.name.endswith(".dist-info"):
                shutil.rmtree(record, ignore_errors=True)
    return sorted(names)


def pip_install(*arguments: str | Path, count: int = 0) -> None:
    """Run pip, say the large downloads, and turn its failure into a mend."""
    command = [str(in_venv("python")), "-m", "pip", "install", "--no-deps", "--no-input"]
    command += ["--progress-bar=off", "--disable-pip-version-check", *map(str, arguments)]
    lines: list[str] = []
    fetched = 0
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as pip:
        for line in pip.stdout or ():
            lines.append(line.rstrip())
            fetched += line.startswith("Collecting ")
            if line.startswith("Collecting ") and count and fetched % 25 == 0:
                say(f"  {fetched} of at most {count} packages")
            if re.search(r"(Downloading|Using cached) .*\((\d{2,}(\.\d)? MB|[\d.]+ GB)\)", line):
                say(f"  {line.strip()}")
            if line.startswith("Installing collected packages") and count:
                say("  unpacking: up to a few minutes without a word")
    if pip.returncode:
        output = "\n".join(lines[-25:])
        mend = next((mend for sign, mend in MENDS if sign in output), "see README, Troubleshooting")
        raise Failure(f"pip could not install:\n{output}\nWhat to do: {mend}")


def prepare() -> None:
    """Bring `.venv` up to the lock, if it is not; a killed run is mended by the next one."""
    if is_ready():
        return
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < NEEDED_GB and not VENV.exists():
        say(f"only {free:.1f} GB are free here; the installation needs about {NEEDED_GB} GB")
    create_venv()
    stamp_path().unlink(missing_ok=True)
    if damaged := remove_damaged():
        say(f"an earlier installation was cut off; installing again: {', '.join(damaged)}")
    lines = requirements()
    wanted = VENV / "softcam-requirements.txt"
    wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    say(f"installing up to {len(lines)} packages into .venv (once; 2 to 10 minutes)")
    pip_install("-r", wanted, count=len(lines))
    pip_install("--no-build-isolation", "--editable", ROOT)
    temporary = stamp_path().with_suffix(".tmp")
    temporary.write_text(fingerprint() + "\n", encoding="utf-8")
    os.replace(temporary, stamp_path())
    say("the environment is ready")
