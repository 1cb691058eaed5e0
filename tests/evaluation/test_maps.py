"""Maps and answers are kept, a killed evaluation goes on, and a changed thing is computed again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from softcam.evaluation import evaluate, evaluate_to
from softcam.evaluation.maps import method_code
from softcam.explainers import explainers
from softcam.explainers.registry import _EXPLAINERS, explainer
from softcam.results import read_results
from tests.evaluation.known import CELL, QUICK, FakeRun, bright_square, one, same

METRICS = ["auc", "pointing-accuracy", "audc", "cascade-correlation"]
OPTIONS = {"methods": ["counted", "softcam"], "metrics": METRICS, **QUICK}


class Counter:
    """A method from outside that knows how many maps were asked of it, and can break down."""

    def __init__(self) -> None:
        self.images, self.fails_at = 0, -1

    def register(self, function=None) -> None:
        counter = self

        def counted(model, images, targets):
            if counter.images == counter.fails_at:
                raise KeyboardInterrupt
            counter.images += len(images)
            return images.mean(1)[:, ::CELL, ::CELL]

        _EXPLAINERS.pop("counted", None)
        register = explainer(
            name="counted", title="", paper="", cost="", gauges=("-",), needs="nothing"
        )
        register(function or counted)


@pytest.fixture
def counter(monkeypatch) -> Iterator[Counter]:
    from softcam.evaluation import maps

    monkeypatch.setattr(maps, "BATCH", 4)
    counter = Counter()
    counter.register()
    yield counter
    _EXPLAINERS.pop("counted")


def whole(table: pd.DataFrame, images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return table, images.astype(str)


def test_a_second_time_nothing_is_computed(tmp_path: Path, counter: Counter, monkeypatch) -> None:
    run = FakeRun(bright_square(16), "sparse", path=tmp_path)
    first = whole(*evaluate([run], **OPTIONS))
    asked = counter.images
    assert asked > 8
    calls: list[int] = []
    forward = type(run.net).forward_features
    monkeypatch.setattr(
        type(run.net), "forward_features", lambda net, x: calls.append(len(x)) or forward(net, x)
    )
    second = whole(*evaluate([run], **OPTIONS))
    assert counter.images == asked and calls == [1], "one image says how many logits there are"
    for before, after in zip(first, second, strict=True):
        same(before, after)


def test_other_images_and_measures_add_to_what_is_there(tmp_path: Path, counter: Counter) -> None:
    run = FakeRun(bright_square(32), "sparse", path=tmp_path)
    options = {**OPTIONS, "metrics": ["audc"]}
    for limit, images in ((3, 3), (7, 7), (5, 7), (None, 16)):
        evaluate([run], limit=limit, **options)
        assert counter.images == images
    evaluate([run], **{**options, "metrics": ["audc", "consistency-positive"]})
    assert counter.images == 32


def test_a_killed_evaluation_goes_on_where_it_stopped(tmp_path: Path, counter: Counter) -> None:
    data, out = bright_square(32), tmp_path / "out"
    options = {**OPTIONS, "metrics": METRICS[:3]}
    expected = whole(*evaluate([FakeRun(data, "sparse")], **options))
    run = FakeRun(data, "sparse", path=tmp_path / "run")
    counter.images, counter.fails_at = 0, 8
    with pytest.raises(KeyboardInterrupt):
        evaluate_to(out, [run], **options)
    assert list(out.iterdir()) == []
    counter.fails_at = -1
    evaluate_to(out, [run], **options)
    assert counter.images == 16, "no image was computed twice"
    assert sorted(each.name for each in out.iterdir()) == ["per_image.parquet", "results.csv"]
    assert not list(tmp_path.rglob("*.tmp*"))
    table, images = read_results(out)
    pd.testing.assert_frame_equal(table, expected[0], check_dtype=False)
    same(images.astype(str), expected[1])


KILLED = """
import os, signal, sys
from pathlib import Path
from softcam.evaluation import evaluate_to, maps
from tests.evaluation.test_maps import Counter, OPTIONS
from tests.evaluation.known import CELL, FakeRun, bright_square
maps.BATCH = 4
seen = []
def dies(model, images, targets):
    seen.extend(images)
    if len(seen) > 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return images.mean(1)[:, ::CELL, ::CELL]
counter = Counter()
counter.register(dies)
maps.method_code = lambda method: method.name
run = FakeRun(bright_square(32), "sparse", path=Path(sys.argv[1]) / "run")
evaluate_to(Path(sys.argv[1]) / "out", [run], **{**OPTIONS, "metrics": ["audc"]})
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_is_shot_leaves_only_whole_pieces(
    tmp_path: Path, counter: Counter, monkeypatch
) -> None:
    from softcam.evaluation import maps

    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "out" / "results.csv").exists()
    assert not (tmp_path / "out" / "per_image.parquet").exists()
    monkeypatch.setattr(maps, "method_code", lambda method: method.name)
    run = FakeRun(bright_square(32), "sparse", path=tmp_path / "run")
    options = {**OPTIONS, "metrics": ["audc"]}
    evaluate_to(tmp_path / "out", [run], **options)
    assert counter.images == 8, "two of four pieces were there"
    expected, _ = evaluate([FakeRun(bright_square(32), "sparse")], **options)
    table, _ = read_results(tmp_path / "out")
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_a_changed_method_is_computed_again(tmp_path: Path, counter: Counter) -> None:
    run = FakeRun(bright_square(8), "sparse", path=tmp_path)
    first, _ = evaluate([run], **OPTIONS)
    seen: list[int] = []

    def other(model, images, targets):
        seen.extend(range(len(images)))
        return -images.mean(1)[:, ::CELL, ::CELL]

    counter.register(other)
    second, _ = evaluate([run], **OPTIONS)
    assert len(seen) > 4
    pointing = {"method": "counted", "metric": "pointing-accuracy"}
    assert one(first, **pointing)["value"] == 1 and one(second, **pointing)["value"] == 0


def test_a_method_whose_text_nobody_knows_is_never_taken_from_the_disk(
    tmp_path: Path, counter: Counter
) -> None:
    run = FakeRun(bright_square(8), "sparse", path=tmp_path)
    for sign, value in ((1, 1), (-1, 0)):
        space: dict = {"CELL": CELL}
        text = f"def f(model, images, targets): return {sign} * images.mean(1)[:, ::CELL, ::CELL]"
        exec(text, space)
        counter.register(space["f"])
        assert method_code(explainers()["counted"]) is None
        table, _ = evaluate([run], **OPTIONS)
        row = one(table, method="counted", metric="pointing-accuracy")
        assert row["value"] == value
    assert not list(tmp_path.rglob("maps-counted*"))


@pytest.mark.parametrize("what", ["weights", "normalize", "images"])
def test_a_changed_run_is_computed_again(tmp_path: Path, what: str) -> None:
    options = {"methods": ["softcam"], "metrics": ["pointing-accuracy", "audc"], **QUICK}
    data = bright_square(8)
    run = FakeRun(data, "sparse", path=tmp_path)
    evaluate([run], **options)
    if what == "weights":
        run.net.fc.weight.data[1] *= -1
        run.net.fc.bias.data[1] = 20
    if what == "normalize":
        run._normalize = ((0.2, 0.1, 0.0), (1.0, 0.5, 1.0))
    if what == "images":
        run._data = bright_square(8, misplaced=3, fingerprint="other")
    fresh = FakeRun(run._data, "sparse", normalize=run._normalize)
    fresh.net = run.net
    expected = whole(*evaluate([fresh], **options))
    for before, after in zip(expected, whole(*evaluate([run], **options)), strict=True):
        same(before, after)


@pytest.mark.slow
def test_a_damaged_cache_is_mended(tmp_path: Path, counter: Counter, caplog) -> None:
    run = FakeRun(bright_square(16), "sparse", path=tmp_path)
    first = whole(*evaluate([run], **OPTIONS))
    asked = counter.images
    files = sorted((tmp_path / "cache").rglob("*.safetensors"))
    for k, path in enumerate(files):
        path.write_bytes(path.read_bytes()[:-4] if k % 2 else b"")
    with caplog.at_level(logging.WARNING):
        second = whole(*evaluate([run], **OPTIONS))
    assert "computed again" in caplog.text and counter.images == 2 * asked
    for before, after in zip(first, second, strict=True):
        same(before, after)


@pytest.mark.parametrize("how", ["file in the way", "read-only", "no cache"])
def test_where_nothing_can_be_kept_memory_serves(
    tmp_path: Path, monkeypatch, caplog, how: str
) -> None:
    run = FakeRun(bright_square(8), "sparse", path=tmp_path)
    options = {"methods": ["softcam"], "metrics": METRICS, **QUICK}
    expected, _ = evaluate([FakeRun(bright_square(8), "sparse")], **options)
    if how == "file in the way":
        (tmp_path / "cache").write_text("")
    if how == "read-only":

        def refuse(path, *rest, **more):
            if tmp_path in path.parents:
                raise PermissionError(f"read-only: {path}")
            real(path, *rest, **more)

        real = Path.mkdir
        monkeypatch.setattr(Path, "mkdir", refuse)
    with caplog.at_level(logging.WARNING):
        table, _ = evaluate([run], cache=how != "no cache", **options)
    same(expected, table)
    assert ("nothing is kept" in caplog.text) == (how != "no cache")
    assert {p.name for p in tmp_path.iterdir()} <= {"cache"}


TWICE = """
import sys
from pathlib import Path
from softcam.evaluation import evaluate_to
from tests.evaluation.known import QUICK, FakeRun, bright_square
run = FakeRun(bright_square(40), "sparse", path=Path(sys.argv[1]))
evaluate_to(sys.argv[2], [run], metrics=["pointing-accuracy", "audc", "gini"], **QUICK)
"""


@pytest.mark.slow
def test_two_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    outs = [tmp_path / "a", tmp_path / "b"]
    jobs = [
        subprocess.Popen([sys.executable, "-c", TWICE, str(tmp_path / "run"), str(out)], cwd=root,
                         env={**os.environ, "PYTHONPATH": str(root)})
        for out in outs
    ]  # fmt: skip
    assert [job.wait(120) for job in jobs] == [0, 0]
    first, second = (whole(*read_results(out)) for out in outs)
    for one_table, other in zip(first, second, strict=True):
        same(one_table, other)
    assert not list(tmp_path.rglob("*.tmp*"))
