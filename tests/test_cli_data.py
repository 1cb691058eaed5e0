"""The verbs of `softcam data`: what they print, write and end with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import softcam.cli as cli
from softcam.data import SOURCES
from softcam.data.cache import cache_root

SMALL = ["--size", "24"]


def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["data", *words])


@pytest.fixture
def spec(project: Path) -> str:
    folder = project / "data" / "films"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["filename,label,split,patient_id,view"]
    for i in range(40):
        pixels = rng.integers(0, 200, (24, 24), np.uint8) + 50 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{i:02d}.png")
        split = ("train", "train", "val", "test")[i // 2 % 4]
        rows.append(f"{i:02d}.png,{i % 2},{split},{i // 2},{'PA' if i % 2 else ''}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return "folder:films"


def test_list_names_every_source_its_terms_and_what_is_here(spec: str) -> None:
    said = call("list").output
    for name, source in SOURCES.items():
        assert f"\n{name}: {source.title}" in said
    assert "here:    folder:films" in said
    assert said.count("nothing found") == len(SOURCES) - 2, "phantoms are always there"
    assert "CC BY-NC 4.0" in said and "not of dermamnist" in said


def test_info_reads_the_tables_and_prepares_nothing(spec: str, project: Path) -> None:
    (project / "data" / "films" / "images" / "00.png").write_bytes(b"")
    result = call("info", spec)
    assert result.exit_code == 0, result.output
    assert "train: 20 images [10, 10], 10 patients, 0 with a marked finding" in result.output
    assert "further columns: view" in result.output
    assert not cache_root().exists()


def test_prepare_says_where_and_a_second_call_does_nothing(spec: str) -> None:
    words = ["prepare", spec, *SMALL, "--workers", "0"]
    first = call(*words)
    assert first.exit_code == 0, first.output
    (folder,) = cache_root().glob("folder-films-*")
    assert str(folder) in first.output
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert call(*words).output == first.output
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_prepare_takes_split_files(spec: str, project: Path) -> None:
    rows = "\n".join(f"{i:02d}.png,{('test', 'val', 'train')[i // 2 % 3]}" for i in range(40))
    (project / "given.csv").write_text(f"filename,split\n{rows}\n", encoding="utf-8")
    result = call("prepare", spec, *SMALL, "--workers", "0", "--splits", str(project / "given.csv"))
    assert result.exit_code == 0, result.output
    assert "train: 12 images" in result.output and "test: 14 images" in result.output


def test_verify_ends_with_one_where_something_differs(spec: str, project: Path) -> None:
    words = ["verify", spec, *SMALL, "--data-option", "workers=0"]
    assert "no counts are known" in call(*words).output
    assert call(*words, "--deep").exit_code == 0
    # a file that changes behind the time stamp which the cache trusts
    path = project / "data" / "films" / "images" / "07.png"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    import os

    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert call(*words).exit_code == 0, "the tables are as they were"
    result = call(*words, "--deep")
    assert result.exit_code == 1
    assert "differs: 1 of 40 files have changed since: images/07.png." in result.output


def test_verify_prints_every_count_that_differs(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from softcam.data import sources

    read = sources._read

    def expecting(*words: object) -> object:
        store, catalogue = read(*words)  # type: ignore[arg-type]
        return store, replace(catalogue, expected={"train": (10, 11), "test": (9, 5)})

    monkeypatch.setattr(sources, "_read", expecting)
    result = call("verify", spec)
    assert result.exit_code == 1
    assert "differs: train: 10 images of '1', expected 11 (-1)." in result.output
    assert result.output.count("differs:") == 2


def test_show_writes_a_sheet_and_what_is_on_it(spec: str, project: Path) -> None:
    out = project / "runs" / "sheet.png"
    result = call("show", spec, "--out", str(out), "--split", "train", "--n", "3", "--size", "32")
    assert result.exit_code == 0, result.output
    said = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert said["split"] == "train" and len(said["images"]) == 6 and said["share"] is False
    assert Image.open(out).size[0] > 300


def test_audit_says_it_and_writes_it(spec: str, project: Path) -> None:
    out = project / "audit.json"
    words = ["--data-option", "workers=0", "--n-boot", "50", "--out", str(out)]
    result = call("audit", spec, *SMALL, *words)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "mean brightness 1.00 (1.00 to 1.00)" in said
    assert "20 of 20 images of '0', 0 of 20 images of '1': view." in said
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["images"] == {"train": 20, "val": 10, "test": 10}
    assert {each["kind"] for each in found["shortcuts"]} == {
        "seen", "pixels", "file", "table", "blank",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("verify phantoms:cxr", "are drawn"),
        ("prepare phantoms:cxr --splits x.csv", "splits of their own"),
        ("prepare phantoms:cxr --workers 2", "leave out --workers"),
        ("info folders:x", "did you mean 'folder'"),
        ("show phantoms:cxr --out x.png --split tset", "did you mean 'test'"),
        ("audit phantoms:cxr --data-option size=9", "'size' is no option"),
    ],
)
def test_a_slip_is_refused(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["softcam", "data", *words.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(project.iterdir())
