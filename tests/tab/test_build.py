"""Building the page: what is drawn, what is written down, and what happens without npm."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from softcam.common import SoftCAMError
from softcam.explain import open_model
from softcam.visualize import unpublishable
from softcam.visualize.explorer.reading import read_explanation
from tools.tab import (
    LARGEST,
    NoRuntime,
    build,
    building,
    content,
    fetch_runtime,
    find_runtime,
    runtime,
)
from tools.tab.content import Picture, draw_pictures, write_answers, write_pictures


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return draw_pictures(96)


def with_npm(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    monkeypatch.setattr(runtime.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(runtime.subprocess, "run", run)


def test_without_npm_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    with pytest.raises(NoRuntime, match="npm is not installed"):
        build(tmp_path / "site", cache=tmp_path / "cache")
    assert not (tmp_path / "site").exists()


def test_npm_that_fails_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(command: list[str], **_: Any) -> None:
        raise runtime.subprocess.CalledProcessError(1, command, stderr=b"no network\n")

    with_npm(monkeypatch, offline)
    with pytest.raises(NoRuntime, match="could not fetch the page's runtime: no network"):
        fetch_runtime(tmp_path)
    assert find_runtime(tmp_path) is None and not list(tmp_path.iterdir())


def test_what_npm_brings_is_kept_and_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def install(command: list[str], cwd: Path, **_: Any) -> None:
        calls.append(command[1:3])
        dist = cwd / "node_modules" / "onnxruntime-web" / "dist"
        dist.mkdir(parents=True)
        assert (cwd / "package-lock.json").is_file()
        for name in (runtime.GLUE, runtime.WASM, "much-more.wasm"):
            (dist / name).write_text(name)

    with_npm(monkeypatch, install)
    folder = fetch_runtime(tmp_path / "cache")
    assert calls == [["ci", "--ignore-scripts"]] and find_runtime(tmp_path / "cache") == folder
    assert {path.name for path in folder.iterdir()} == {runtime.GLUE, runtime.WASM}
    runtime.copy_runtime(folder, tmp_path / "page")
    packed = (tmp_path / "page" / f"{runtime.WASM}.gz").read_bytes()
    assert gzip.decompress(packed).decode() == runtime.WASM


def test_an_npm_package_without_the_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_npm(monkeypatch, lambda *_, **__: SimpleNamespace(returncode=0))
    with pytest.raises(NoRuntime, match="is not in its package"):
        fetch_runtime(tmp_path)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SoftCAMError, match="holds something else"):
        build(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_each_class_with_and_without_the_marker(pictures: list[Picture]) -> None:
    kinds = ["opacity" in each.twins and "marker" in each.twins for each in pictures]
    assert len(pictures) == 8 and sum(kinds) == 2
    assert len({each.name for each in pictures}) == 8
    for each in pictures:
        for part, twin in each.twins.items():
            changed, mask = each.pixels != twin, each.masks[part]
            assert changed.any() and mask.any(), f"{each.name} without {part} is the same"
            assert (changed & mask).any(), f"{part} of {each.name} is elsewhere"
        if "marker" in each.twins:
            rows, columns = np.nonzero(each.pixels != each.twins["marker"])
            marked = np.nonzero(each.masks["marker"])
            for changed, mask in ((rows, marked[0]), (columns, marked[1])):
                assert changed.min() >= mask.min() - 2 and changed.max() <= mask.max() + 2


def test_pictures_are_lossless_and_may_be_published(
    pictures: list[Picture], tmp_path: Path
) -> None:
    write_pictures(pictures, tmp_path)
    files = sorted((tmp_path / "pictures").glob("*.png"))
    assert len(files) == sum(1 + len(each.twins) for each in pictures)
    for each in pictures:
        kept = np.asarray(Image.open(tmp_path / "pictures" / f"{each.name}.png"))
        np.testing.assert_array_equal(kept, each.pixels)
    (tmp_path / "docs").mkdir()
    shown = (tmp_path / "pictures").rename(tmp_path / "docs" / "pictures")
    assert unpublishable(tmp_path) == {}
    Image.new("L", (9, 9)).save(shown / files[0].name)
    assert len(unpublishable(tmp_path)) == 1, "another picture of the same name is not noticed"


def test_answers_and_description_are_those_of_the_model(
    pictures: list[Picture], tmp_path: Path
) -> None:
    opened = open_model("cxr-sparse")
    chosen = pictures[-2:]
    write_answers({"cxr-sparse": opened}, chosen, tmp_path)
    about = json.loads((tmp_path / "explorer.json").read_text(encoding="utf-8"))
    expected = json.loads((tmp_path / "expected.json").read_text(encoding="utf-8"))["cxr-sparse"]
    values: list[np.ndarray] = []
    for each in chosen:
        images = torch.from_numpy(each.pixels / np.float32(255)).expand(1, 3, -1, -1)
        explained = opened.model.explain(images)
        answer = expected[each.name]
        np.testing.assert_allclose(answer["maps"], explained.maps[0].flatten(1), atol=1e-5)
        np.testing.assert_allclose(answer["logits"], explained.logits[0], atol=1e-5)
        cells = [(c, gauge) for gauge in ("raw", "centred") for c in range(2)] + [(1, "contrast")]
        values += [np.abs(read_explanation(explained, *each).cells) for each in cells]
    together = np.concatenate([each.ravel() for each in values])
    (model,) = about["models"]
    assert model["limit"] == pytest.approx(np.percentile(together, 99), rel=1e-4)
    assert model["classes"] == ["normal", "opacity"] and model["size"] == 96
    assert model["bias"] == opened.model.bias.tolist()
    assert len(base64.b64decode(about["colours"])) == 256 * 3
    mask = np.unpackbits(
        np.frombuffer(base64.b64decode(about["pictures"][0]["parts"][0]["mask"]), np.uint8)
    )
    np.testing.assert_array_equal(mask.reshape(96, 96), chosen[0].masks["opacity"])


def test_models_of_several_sizes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"one": 96, "two": 128}
    monkeypatch.setattr(building, "open_model", lambda name: SimpleNamespace(size=sizes[name]))
    monkeypatch.setattr(building, "find_runtime", lambda cache: tmp_path)
    with pytest.raises(SoftCAMError, match=r"one image size, found \[96, 128\]"):
        build(tmp_path / "site", models=("one", "two"), cache=tmp_path)


def test_a_page_that_is_too_large_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heavy(opened: object, page: Path) -> None:
        (page / "heavy.onnx").write_bytes(bytes(LARGEST))

    monkeypatch.setattr(building, "open_model", lambda name: SimpleNamespace(size=96))
    monkeypatch.setattr(building, "find_runtime", lambda cache: tmp_path)
    monkeypatch.setattr(building, "copy_runtime", lambda dist, folder: None)
    monkeypatch.setattr(building, "_write_models", heavy)
    monkeypatch.setattr(building, "write_answers", lambda opened, pictures, page: None)
    with pytest.raises(SoftCAMError, match="the page has 20.* MB, at most 20 are meant"):
        build(tmp_path / "site", models=("one",))
    assert not list(tmp_path.iterdir()), "something was left behind"


@pytest.mark.parametrize(("link", "classes"), [("softmax", 1), ("sigmoid", 3)])
def test_models_that_the_page_cannot_show_are_refused(link: str, classes: int) -> None:
    model = SimpleNamespace(link=link, bias=torch.zeros(classes))
    opened: Any = SimpleNamespace(model=model, classes=["a"] * classes, size=96)
    with pytest.raises(SoftCAMError, match="softmax models of two or more classes"):
        content._described("x", opened, np.zeros((2, classes, 144)))
