"""A preparation that is killed goes on from what was finished, to the very same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from softcam.data.cache import cache_root
from softcam.data.catalogue import Catalogue
from softcam.data.prepare import prepared_splits
from softcam.data.store import FolderStore
from tests.data.stores import Counting, draw
from tests.data.test_prepare import SIZE, files_of

# A script as people write it, without a guard: no process may run it again.
SCRIPT = """
import sys
from pathlib import Path
from softcam.data.prepare import prepared_splits
from tests.data.stores import Dying, draw
folder = Path(sys.argv[1])
prepared_splits(Dying(folder, sys.argv[2]), draw(folder), {size}, workers=int(sys.argv[3]))
"""


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "script.py"
    path.write_text(SCRIPT.format(size=SIZE))
    return path


def killed(script: Path, folder: Path, last: str, workers: int) -> None:
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, str(script), str(folder), last, str(workers)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr


def finished(folder: Path) -> tuple[Catalogue, int]:
    """The catalogue again, and how many chunks of it are done."""
    shutil.rmtree(folder.with_name("again"), ignore_errors=True)
    catalogue = draw(folder.with_name("again"))
    (parts,) = cache_root().glob(".parts-tiny-*")
    return catalogue, len(list((parts / "done").glob("*.json")))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_call_is_finished_by_the_next(script: Path, project: Path, workers: int) -> None:
    folder = project / "tiny"
    killed(script, folder, "train140.png", workers)
    psutil.wait_procs([psutil.Process(pid) for pid in left_running(folder)], timeout=60)
    assert not left_running(folder), "a process outlives the one that was killed"
    catalogue, chunks = finished(folder)
    assert 1 <= chunks <= 4
    (parts,) = cache_root().glob(".parts-tiny-*")
    (parts / "done" / ".000001.json.x.tmp").write_text("half")
    store = Counting(folder)
    resumed = prepared_splits(store, catalogue, SIZE, workers=0)
    assert len(store.reads) < 170 and set(store.reads.values()) == {1}
    if workers == 0:
        assert len(store.reads) == 170 - 2 * 64, "it died in the third chunk"
    found = files_of(resumed)
    assert [path.name for path in cache_root().iterdir()] == [resumed.folder.name]  # type: ignore[union-attr]
    shutil.rmtree(cache_root())
    assert files_of(prepared_splits(FolderStore(folder), catalogue, SIZE, workers=0)) == found


def left_running(folder: Path) -> list[int]:
    """The process that pulled the trigger, where it still runs."""
    pid = int((folder.parent / "pid").read_text())
    return [pid] if psutil.pid_exists(pid) else []


def test_a_part_that_was_written_to_is_made_again(project: Path) -> None:
    folder = project / "tiny"
    catalogue = draw(folder)
    whole = prepared_splits(FolderStore(folder), catalogue, SIZE, workers=0)
    found = files_of(whole)
    assert whole.folder is not None
    (whole.folder / "val" / "images.npy").write_bytes(b"short")
    with pytest.warns(UserWarning, match="damaged"):
        again = prepared_splits(FolderStore(folder), catalogue, SIZE, workers=0)
    assert files_of(again) == found


def test_old_parts_of_other_sets_are_swept(project: Path) -> None:
    for name, age in (("old", 15), ("young", 13)):
        done = cache_root() / f".parts-{name}-0" / "done"
        done.mkdir(parents=True)
        before = time.time() - age * 24 * 3600
        os.utime(done, (before, before))
    prepared_splits(FolderStore(project / "tiny"), draw(project / "tiny"), SIZE, workers=0)
    assert [path.name for path in cache_root().glob(".*")] == [".parts-young-0"]


def test_what_a_killed_build_left_is_removed_at_once(project: Path) -> None:
    catalogue = draw(project / "tiny")
    store = FolderStore(project / "tiny")
    first = prepared_splits(store, catalogue, SIZE, workers=0)
    assert first.folder is not None
    from softcam.data.cache import _machine

    gone = next(pid for pid in range(2**22, 2**22 + 10**6) if not psutil.pid_exists(pid))
    shutil.rmtree(first.folder)
    ours = cache_root() / f".{first.folder.name}.{_machine()}-{gone}-x"
    other = cache_root() / f".{first.folder.name}.{_machine()}-{os.getpid()}-x"
    for path in (ours, other):
        path.mkdir()
    prepared_splits(store, catalogue, SIZE, workers=0)
    assert not ours.exists() and other.exists()
