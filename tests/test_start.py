"""start.py without installing anything: the stamp, the mending, the words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import start
from tools import environment

LOCK = (
    "numpy==2.0.0 ; python_full_version < '3.12'\n"
    "numpy==2.1.0 ; python_full_version >= '3.12'\n"
    "nvidia-cublas==13.0 ; sys_platform == 'linux'\n"
    "cuda-toolkit==13.0 ; sys_platform == 'linux'\n"
    "torch==2.15.0\n"
    "torchvision==0.29.2\n"
    "triton==3.9.0 ; sys_platform == 'linux'\n"
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a lock and a `.venv` that has a Python and no packages."""
    (tmp_path / "lock.txt").write_text(LOCK, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    for name, path in {"ROOT": "", "VENV": ".venv", "LOCK": "lock.txt"}.items():
        monkeypatch.setattr(environment, name, tmp_path / path)
    monkeypatch.setattr(environment, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(start, "ROOT", tmp_path)
    monkeypatch.setattr(start, "VENV", tmp_path / ".venv")
    windows = os.name == "nt"
    packages = "Lib/site-packages" if windows else "lib/python3.11/site-packages"
    (tmp_path / ".venv" / packages).mkdir(parents=True)
    environment.in_venv("python").parent.mkdir(exist_ok=True)
    environment.in_venv("python").touch()
    return tmp_path


def install(name: str, version: str, files: dict[str, str], recorded: bool = True) -> Path:
    """Put a package into `.venv` as pip would; return the folder of its record."""
    site = environment.site_packages()
    assert site is not None
    record = [f"{path},,{len(text)}" for path, text in files.items()]
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text, encoding="utf-8", newline="")
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n", encoding="utf-8")
    if recorded:
        (info / "RECORD").write_text("\n".join([*record, f"{info.name}/RECORD,,"]), "utf-8")
    return info


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> list[tuple[str, ...]]:
    """Calls of pip, recorded instead of run."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        environment, "pip_install", lambda *a, **_: calls.append(tuple(map(str, a)))
    )
    monkeypatch.setattr(environment, "create_venv", lambda: None)
    return calls


def test_an_installation_is_done_once(pip: list[tuple[str, ...]]) -> None:
    assert not environment.is_ready()
    environment.prepare()
    assert environment.is_ready()
    assert [call[-2] for call in pip] == ["-r", "--editable"]
    environment.prepare()
    assert len(pip) == 2, "a fresh environment was installed again"


@pytest.mark.parametrize("name", ["lock.txt", "pyproject.toml"])
def test_a_changed_file_makes_it_stale(
    pip: list[tuple[str, ...]], checkout: Path, name: str
) -> None:
    environment.prepare()
    with (checkout / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert not environment.is_ready()
    environment.prepare()
    assert environment.is_ready()


def test_other_extras_or_another_folder_make_it_stale(
    pip: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(environment, "EXTRAS", ("test", "more"))
        assert not environment.is_ready()
    monkeypatch.setattr(environment, "ROOT", tmp_path / "moved")
    assert not environment.is_ready(), "the editable installation points to the old folder"


def test_without_its_python_it_is_not_ready(pip: list[tuple[str, ...]]) -> None:
    environment.prepare()
    environment.in_venv("python").unlink()
    assert not environment.is_ready()


def test_a_killed_installation_leaves_no_stamp(
    pip: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, checkout: Path
) -> None:
    environment.prepare()
    (checkout / "lock.txt").write_text(LOCK + "six==1.17.0\n", encoding="utf-8")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environment, "pip_install", killed)
        with pytest.raises(KeyboardInterrupt):
            environment.prepare()
    (checkout / "lock.txt").write_text(LOCK, encoding="utf-8")
    assert not environment.is_ready(), "the stamp of the earlier installation was still there"
    environment.prepare()
    assert environment.is_ready()


def test_packages_in_pieces_are_found_and_the_whole_ones_left(checkout: Path) -> None:
    whole = install("whole", "1.0", {"whole/__init__.py": "x = 1\n"})
    short = install("short", "1.0", {"short/__init__.py": "x = 1\n"})
    gone = install("gone", "1.0", {"gone/__init__.py": "x = 1\n"})
    bare = install("bare", "1.0", {"bare/__init__.py": "x = 1\n"}, recorded=False)
    (short.parent / "short/__init__.py").write_text("x", encoding="utf-8")
    (gone.parent / "gone/__init__.py").unlink()
    assert environment.remove_damaged() == ["bare", "gone", "short"]
    assert whole.exists()
    assert not any(record.exists() for record in (short, gone, bare)), "pip would skip these"
    assert environment.remove_damaged() == []


def test_a_cpu_pair_of_the_right_version_is_kept(checkout: Path) -> None:
    install("torch", "2.15.0+cpu", {"torch/__init__.py": ""})
    install("torchvision", "0.29.2+cpu", {"torchvision/__init__.py": ""})
    lines = environment.requirements()
    assert [line.split("==")[0] for line in lines] == ["numpy", "numpy", "torch", "torchvision"]


@pytest.mark.parametrize("partner", [None, "0.29.2", "0.28.0+cpu"])
def test_a_cpu_torch_without_its_torchvision_is_refused(
    checkout: Path, partner: str | None
) -> None:
    install("torch", "2.15.0+cpu", {"torch/__init__.py": ""})
    if partner:
        install("torchvision", partner, {"torchvision/__init__.py": ""})
    with pytest.raises(environment.Failure, match=r"needs 0\.29\.2\+cpu"):
        environment.requirements()


@pytest.mark.parametrize("version", ["2.15.0", "2.14.1+cpu", "2.13.0+cpu"])
def test_any_other_torch_gets_the_whole_lock(checkout: Path, version: str) -> None:
    install("torch", version, {"torch/__init__.py": ""})
    assert environment.requirements() == LOCK.splitlines()


def test_little_room_is_said_before_anything_is_made(
    pip: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    usage = type("usage", (), {"free": 1.5e9})
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(environment, "VENV", tmp_path / "none" / ".venv")
    monkeypatch.setattr(environment, "stamp_path", lambda: tmp_path / "stamp.txt")
    monkeypatch.setattr(environment, "create_venv", lambda: environment.VENV.mkdir(parents=True))
    environment.prepare()
    assert "only 1.5 GB are free" in capsys.readouterr().out.splitlines()[0]


@pytest.mark.slow
def test_pip_failures_come_with_their_mend(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "in_venv", lambda _: Path(sys.executable))
    with pytest.raises(environment.Failure) as failure:
        environment.pip_install("--no-index", "--find-links", str(checkout), "torch==0.0.0")
    assert "No matching distribution found for torch" in str(failure.value)
    assert "Intel Mac" in str(failure.value)


def test_children_wait_passively_and_speak_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    env = environment.child_environment()
    assert env["OMP_WAIT_POLICY"] == "passive"
    assert env["PYTHONUTF8"] == "1"
    assert env["PATH"].startswith(str(environment.in_venv("python").parent))


def test_an_unknown_word_names_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(["tutrial"]) == 1
    error = capsys.readouterr().err
    assert "unknown word 'tutrial'" in error
    assert "'tutorial'" in error


def test_help_lists_every_word_and_only_those(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main([]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert listed == list(start.WORDS)


def test_arguments_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(start, "prepare", lambda: None)
    monkeypatch.setattr(start, "call", lambda *command: calls.append(command) or 3)
    assert start.main(["tutorial", "--profile", "quick"]) == 3
    assert calls[0][1:] == ("run", "tutorial", "--profile", "quick")


def test_an_old_python_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start.sys, "version_info", (3, 9, 1))
    assert start.main(["test"]) == 1
    assert "needs Python 3.11 or newer" in capsys.readouterr().err


def test_clean_takes_caches_and_leaves_work(checkout: Path) -> None:
    gone = [checkout / "__pycache__", checkout / "softcam/data/__pycache__"]
    kept = [checkout / "data/cache/__pycache__", checkout / "runs/a", checkout / ".venv"]
    for folder in (*gone, *kept):
        folder.mkdir(parents=True, exist_ok=True)
    assert start.main(["clean"]) == 0
    assert not any(folder.exists() for folder in gone)
    assert all(folder.exists() for folder in kept)
    assert start.main(["clean", "--al"]) == 1
    assert start.main(["clean", "--all"]) == 0
    assert not (checkout / ".venv").exists()
    assert (checkout / "runs/a").exists()


def test_a_failed_check_fails_the_run_although_the_tests_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []

    def python(*arguments: object, **_: str) -> int:
        order.append(str(arguments[1]))
        return int(arguments[1] == "mypy")

    monkeypatch.setattr(start, "python", python)
    monkeypatch.setattr(start, "call", lambda *_: 0)
    assert start.test([]) == 1
    assert order == ["ruff", "ruff", "mypy", "pytest"], "pytest must come last"
    assert "FAILED already: mypy" in capsys.readouterr().out


def test_without_a_path_the_run_holds_every_test_and_notebook(
    monkeypatch: pytest.MonkeyPatch, checkout: Path
) -> None:
    (checkout / "notebooks").mkdir()
    for name in ("00_first.ipynb", "01_second.ipynb", "scratch.ipynb"):
        (checkout / "notebooks" / name).touch()
    runs: list[list[str]] = []

    def python(*arguments: object, **variables: str) -> int:
        runs.append([*map(str, arguments), *variables.values()])
        return 0

    monkeypatch.setattr(start, "python", python)
    monkeypatch.setattr(start, "call", lambda *_: 0)
    start.test(["-x"])
    assert {"tests", "--nbval-lax", "-x", "loadfile"} <= set(runs[-1])
    assert [Path(each).name for each in runs[-1] if each.endswith(".ipynb")] == [
        "00_first.ipynb",
        "01_second.ipynb",
    ]
    start.test([f"{checkout / 'lock.txt'}::test_one"])
    assert not [each for each in runs[-1] if each.endswith(".ipynb") or each == "tests"]


def test_only_the_standard_library_is_imported() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); import start; "
        "print(sorted(m for m in {n.split('.')[0] for n in sys.modules} "
        "if m not in sys.stdlib_module_names and m not in ('start', 'tools', '__main__')))"
    )
    root = Path(start.__file__).parent
    command = [sys.executable, "-I", "-S", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == "[]"
