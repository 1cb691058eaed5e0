"""A survey that nothing stops, and that goes on where it was."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import softcam.coverage.catalogue as catalogue
from softcam.common import SoftCAMError, read_json
from softcam.coverage import Limits, Row, survey
from softcam.coverage.children import path_of, work_through
from softcam.coverage.code import digest_of_code, sources
from tests.coverage_tasks import fate

ROOT = Path(__file__).resolve().parent.parent
KEY = {"code": "x"}


@pytest.mark.slow
def test_whatever_happens_to_one_does_not_stop_the_rest(tmp_path: Path) -> None:
    fates = ["aborts", "exits", "raises", "hangs", "works"]
    limits = Limits(max_parameters=7, timeout=3)
    todo = [("timm", name) for name in fates]
    work_through(tmp_path, todo, KEY, limits, 2, len(todo), progress=False, task=fate)
    rows = {}
    for name in fates:
        stored = read_json(path_of(tmp_path, "timm", name))
        assert stored["key"] == KEY
        rows[name] = Row(**stored["row"])
    assert [rows[name].kind for name in fates] == ["failed"] * 4 + ["exact"]
    assert rows["aborts"].notes == (
        "its process was ended by SIGABRT; terminate called: a bad assertion"
    )
    assert rows["exits"].notes == "its process ended with exit status 3"
    assert rows["raises"].notes == "ValueError: no such layer"
    assert rows["hangs"].notes == "not finished after 3 s"
    assert rows["works"].parameters == 7
    logs = {path.stem for path in (tmp_path / "logs").iterdir()}
    assert logs == {f"timm-{name}" for name in fates[:4]}
    assert "no such layer" in (tmp_path / "logs" / "timm-raises.log").read_text()


@pytest.mark.slow
def test_too_much_memory_ends_a_child(tmp_path: Path) -> None:
    limits = Limits(memory=0.001)
    work_through(tmp_path, [("timm", "hangs")], KEY, limits, 1, 1, progress=False, task=fate)
    row = read_json(path_of(tmp_path, "timm", "hangs"))["row"]
    assert (row["kind"], row["notes"]) == ("failed", "took more than 0.001 GB of memory")


@pytest.mark.slow
def test_an_interrupt_keeps_what_is_finished_and_leaves_no_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import softcam.coverage.children as children

    real = children._finish

    def interrupted(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(children, "_finish", interrupted)
    todo = [("timm", "works"), ("timm", "hangs")]
    with pytest.raises(KeyboardInterrupt):
        work_through(tmp_path, todo, KEY, Limits(), 2, 2, progress=False, task=fate)
    assert not multiprocessing.active_children()
    assert path_of(tmp_path, "timm", "works").is_file()
    assert not path_of(tmp_path, "timm", "hangs").is_file()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_kill_keeps_what_is_finished_and_leaves_no_child(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from softcam.coverage.children import Limits, work_through\n"
        "from tests.coverage_tasks import fate\n"
        "if __name__ == '__main__':\n"
        "    todo = [('timm', 'works'), ('timm', 'hangs')]\n"
        f"    work_through(Path({str(tmp_path)!r}), todo, {KEY}, Limits(), 2, 2, False, fate)\n"
    )
    survey = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    waiting, works = tmp_path / "logs" / "timm-hangs.log", path_of(tmp_path, "timm", "works")
    assert until(lambda: works.is_file() and waiting.is_file() and waiting.read_text())
    survey.kill()
    survey.wait()
    assert Row(**read_json(works)["row"]).kind == "exact"
    assert [path.name for path in works.parent.iterdir()] == [works.name]
    child = int(waiting.read_text())
    gone = until(lambda: not psutil.pid_exists(child))
    if not gone:
        psutil.Process(child).kill()
    assert gone, "nobody ended the child"


def until(done: Callable[[], object]) -> bool:
    """It came true; the limit is for a machine that is busy."""
    end = time.monotonic() + 120
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(done())


@pytest.mark.slow
def test_a_survey_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written() -> dict[str, int]:
        return {p.name: p.stat().st_mtime_ns for p in (tmp_path / "rows").iterdir()}

    rows = survey(tmp_path, pattern="test_resnet", progress=False)
    assert [row.architecture for row in rows] == ["test_resnet"]
    first = written()
    both = survey(tmp_path, pattern="test_[rv]*[tm]", limits=Limits(1e6), progress=False)
    assert [row.architecture for row in both] == ["test_resnet", "test_vit"]
    second = written()
    assert first.items() <= second.items(), "a row that was there was measured again"

    # A limit on the parameters hides rows and does not delete them.
    assert survey(tmp_path, pattern="test_resnet", limits=Limits(10), progress=False) == []
    assert written() == second

    path_of(tmp_path, "timm", "test_vit").write_text("{", encoding="utf-8")
    key = {**catalogue.current_key(), "code": "other"}
    monkeypatch.setattr(catalogue, "current_key", lambda: key)
    again = survey(tmp_path, pattern="test_[rv]*[tm]", progress=False)
    assert [row.architecture for row in again] == ["test_resnet", "test_vit"]
    assert not set(second.values()) & set(written().values()), "a stale row was kept"


def test_what_a_survey_refuses(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="no architecture .* fits 'resnett"):
        survey(tmp_path, pattern="resnett*")
    with pytest.raises(SoftCAMError, match="processes must be at least 1"):
        survey(tmp_path, processes=0)
    with pytest.raises(SoftCAMError, match="timeout must be above 0"):
        survey(tmp_path, limits=Limits(timeout=0))


def test_the_digest_follows_the_code_and_not_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import softcam.coverage.code as code

    found = {path.relative_to(ROOT).as_posix() for path in sources("softcam.coverage.architecture")}
    assert {"softcam/convert.py", "softcam/evidence.py", "softcam/coverage/field.py"} <= found
    assert not {"softcam/coverage/survey.py", "softcam/training.py"} & found

    digests = []
    for text in ('"""A."""\nx = 1\n', '"""B."""\n\nx = 1  # one\n', "x = 2\n"):
        (tmp_path / "some.py").write_text(text)
        monkeypatch.setattr(code, "sources", lambda module: [tmp_path / "some.py"])
        digests.append(digest_of_code("some"))
    assert digests[0] == digests[1] != digests[2]
