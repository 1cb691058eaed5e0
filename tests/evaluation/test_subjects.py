"""The models of a run, the methods that apply to each, and what a kept answer depends on."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from softcam.common import SoftCAMError
from softcam.evaluation.subjects import Subject, model_digest, open_run, subjects
from softcam.explainers import get_explainer
from softcam.runs import Run
from tests.evaluation.known import FakeRun, bright_square

NAMES = ("softcam", "grad-cam", "guided-backprop", "random", "centre", "edge")


def of(run: FakeRun, cache: bool = True, **more: Any) -> list[Subject]:
    methods = [get_explainer(name) for name in NAMES]
    return subjects(run, methods, "test", "unit", cache, **more)


def test_a_black_box_appears_twice_and_each_method_where_it_applies() -> None:
    black_box, converted = of(FakeRun(bright_square()))
    assert [black_box.arm, converted.arm] == ["black-box", "converted"]
    post_hoc, controls = {"grad-cam", "guided-backprop"}, {"random", "centre", "edge"}
    assert {m.name for m in black_box.methods} == post_hoc | controls
    assert {m.name for m in converted.methods} == {"softcam"}
    (sparse,) = of(FakeRun(bright_square(), "sparse"))
    assert {m.name for m in sparse.methods} == {"softcam"} | controls
    (sparse,) = of(FakeRun(bright_square(), "sparse"), post_hoc=["sparse"])
    assert {m.name for m in sparse.methods} == set(NAMES)
    black_box, _ = of(FakeRun(bright_square()), post_hoc=["sparse"])
    assert {m.name for m in black_box.methods} == controls


@pytest.mark.parametrize("kind", ["retrained", None])
def test_no_converted_arm_where_the_conversion_is_not_exact(kind, monkeypatch, caplog) -> None:
    run = FakeRun(bright_square())
    model = run.converted()

    def converted():
        if kind is None:
            raise SoftCAMError("no head to convert")
        object.__setattr__(model.conversion, "kind", kind)
        return model

    monkeypatch.setattr(run, "converted", converted)
    with caplog.at_level(logging.WARNING):
        assert [each.arm for each in of(run)] == ["black-box"]
    assert "no arm 'converted'" in caplog.text


def test_what_keeps_a_run_from_loading_is_said_once(monkeypatch, caplog) -> None:
    run = FakeRun(bright_square())

    def broken():
        raise SoftCAMError("there is no weights file")

    monkeypatch.setattr(run, "model", broken)
    monkeypatch.setattr(run, "converted", broken)
    with caplog.at_level(logging.WARNING), pytest.raises(SoftCAMError, match="no weights file"):
        of(run)
    assert not caplog.text


def test_columns_and_cache(tmp_path) -> None:
    (sparse,) = of(FakeRun(bright_square(), "sparse", path=tmp_path))
    assert sparse.cache == tmp_path / "cache"
    assert of(FakeRun(bright_square(), "sparse", path=tmp_path), cache=False)[0].cache is None
    assert sparse.keys["backbone"] == "resnet10t" and sparse.keys["finding"] == "square"
    assert sparse.outputs == 0
    sparse.load()
    assert sparse.outputs == 2


def test_the_digest_sees_every_weight_and_the_normalisation() -> None:
    def digest(**options) -> str:
        return model_digest(FakeRun(bright_square(), **options).model())

    plain = digest()
    assert plain == digest()
    other = FakeRun(bright_square())
    other.net.fc.bias.data[1] += 1e-6
    changed = [
        digest(normalize=((0.1, 0.1, 0.2), (1.0, 1.0, 1.0))),
        digest(gain=torch.ones(4, 4)),
        digest(classes=1),
        digest(arm="sparse"),
        model_digest(other.model()),
    ]
    assert len({plain, *changed}) == 6


def test_the_key_sees_model_data_and_what_is_asked() -> None:
    def key(data=None, **more):
        (subject,) = of(FakeRun(data or bright_square(), "sparse"))
        subject.load()
        return subject.key(**more)

    assert key() == key()
    others = [
        key(bright_square(14)), key(bright_square(fingerprint="b")),
        key(bright_square(split="val")), key(method="x"),
    ]  # fmt: skip
    assert all(each != key() for each in others)


def test_a_run_in_the_making_is_refused(tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "lock").write_text("")
    with pytest.raises(SoftCAMError, match="not a finished run"):
        open_run(tmp_path)
    (tmp_path / "done.json").write_text("{}")
    assert isinstance(open_run(str(tmp_path)), Run)
    run = FakeRun(bright_square())
    assert open_run(run) is run
