"""Each check of the doctor says what is wrong when it is wrong, and nothing when it is not."""

from __future__ import annotations

import shutil
import tempfile
from collections import namedtuple
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from softcam import doctor


def found(name: str) -> doctor.Check:
    return next(check for check in doctor.diagnose() if check.name == name)


def test_every_check_has_a_mend_when_it_fails_and_none_when_it_does_not() -> None:
    checks = doctor.diagnose()
    assert [check.name for check in checks] == list(doctor._CHECKS)
    for check in checks:
        assert check.found, f"{check.name} says nothing"
        assert bool(check.mend) != check.ok, f"{check.name}: ok={check.ok}, mend={check.mend!r}"


def test_this_environment_has_a_working_pair_and_kernel() -> None:
    for name in ("Python", "torch and torchvision", "device", "Jupyter kernel"):
        check = found(name)
        assert check.ok, f"{name}: {check.found}"


def test_an_error_inside_a_check_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[bool, str, str]:
        raise ImportError("libfoo.so: cannot open shared object file")

    monkeypatch.setitem(doctor._CHECKS, "device", broken)
    check = found("device")
    assert not check.ok
    assert "ImportError: libfoo.so" in check.found
    assert "start.py" in check.mend


def test_a_torchvision_of_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def nms(*_: Any) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    check = found("torch and torchvision")
    assert not check.ok
    assert "nms does not exist" in check.found
    assert "pair" in check.mend


@pytest.mark.parametrize(
    ("installed", "says"),
    [
        ("2.13.0", "torch 2.13.0 (needs"),
        ("2.5.1", "torch 2.5.1 (needs"),
        (None, "torch is missing"),
    ],
)
def test_a_version_outside_its_range(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, says: str
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise metadata.PackageNotFoundError(name)
        return installed

    wanted = ["torch>=2.6,!=2.13.0,<2.16", 'pytest>=8; extra == "test"']
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    monkeypatch.setattr(metadata, "version", version)
    check = found("packages")
    assert not check.ok
    assert says in check.found
    assert "pytest" not in check.found, "an extra that was not asked for is no fault"


def test_a_cpu_wheel_is_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["torch>=2.6,!=2.13.0,<2.16"])
    monkeypatch.setattr(metadata, "version", lambda _: "2.15.0+cpu")
    assert found("packages").ok


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 3 * 10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    check = found("disk")
    assert not check.ok
    assert check.found.startswith("0.3 GB free")


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    memory = namedtuple("memory", "total available")(4 * 10**9, 10**9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    check = found("memory")
    assert not check.ok
    assert "1.0 GB free of 4.0 GB" in check.found
    assert "quick" in check.mend


def test_a_kernel_of_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    spec = KernelSpec(argv=["/elsewhere/python", "-m", "ipykernel_launcher"])
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda *_: spec)
    check = found("Jupyter kernel")
    assert not check.ok
    assert "/elsewhere/python" in check.found


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied", "runs")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    check = found("write access")
    assert not check.ok
    assert "Permission denied" in check.found


def test_a_root_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path / "gone"))
    for name in ("disk", "write access"):
        check = found(name)
        assert not check.ok
        assert "SOFTCAM_ROOT" in check.found


def test_looking_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    assert found("write access").ok
    assert list(tmp_path.iterdir()) == []
