"""A file comes whole and right, or an error says how to get it; a local server plays the web."""

from __future__ import annotations

import errno
import hashlib
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softcam.common import DataError
from softcam.data import fetch as module
from softcam.data.fetch import fetch

BODY = np.random.default_rng(0).bytes(3_000_017)
SHA = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


class Web(ThreadingHTTPServer):
    """A server of one file that can be told to misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges = True  # whether it understands Range
        self.cuts: list[int] = []  # after how many bytes the next answers end
        self.code = 200
        self.asked: list[str | None] = []  # the Range of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.npz?download=1"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        web, wanted = self.server, self.headers.get("Range")
        web.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and web.ranges else 0
        if web.code != 200 or start >= len(BODY):
            return self.send_error(web.code if web.code != 200 else 416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        end = start + web.cuts.pop(0) if web.cuts else None
        self.wfile.write(BODY[start:end])
        return None

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def local(request: urllib.request.Request, timeout: float) -> Any:
    """An opener for http on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, None, timeout)


def get(web: Web, target: Path, **options: Any) -> Path:
    return fetch(web.url, target, **{"sha256": SHA, "opener": local, **options})


def refused(web: Web, target: Path, match: str, **options: Any) -> str:
    """The message of the error; it must name address, place and checksum."""
    with pytest.raises(DataError, match=match) as caught:
        get(web, target, **options)
    message = str(caught.value)
    assert web.url in message and str(target) in message and "By hand" in message
    assert not target.exists(), "nothing under the final name"
    return message


@pytest.mark.parametrize("checksum", [{"sha256": SHA}, {"sha256": None, "md5": MD5.upper()}])
def test_whole(web: Web, tmp_path: Path, checksum: dict[str, str]) -> None:
    target = tmp_path / "new" / "file.npz"
    assert get(web, target, size=len(BODY), **checksum) == target
    assert target.read_bytes() == BODY and web.asked == [None]
    assert not list(tmp_path.rglob("*.part"))
    assert get(web, target, **checksum) == target
    assert web.asked == [None], "what is there and right is not fetched again"


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_where_it_ended(web: Web, tmp_path: Path, ranges: bool) -> None:
    part, target = tmp_path / ".file.npz.part", tmp_path / "file.npz"
    part.write_bytes(BODY[:1_000_000])
    web.ranges = ranges
    get(web, target)
    assert target.read_bytes() == BODY
    assert web.asked == ["bytes=1000000-"], "asked for the rest; all of it is taken as well"


def test_a_connection_that_breaks_is_taken_up_again(web: Web, tmp_path: Path) -> None:
    web.cuts = [1_500_000, 700_000]
    assert get(web, tmp_path / "file.npz").read_bytes() == BODY
    assert web.asked == [None, "bytes=1500000-", "bytes=2200000-"]


def test_cut_off_for_good_keeps_what_came(web: Web, tmp_path: Path) -> None:
    web.cuts = [1_000_000, 0]
    message = refused(web, tmp_path / "file.npz", "cut off at 1,000,000 of 3,000,017 bytes")
    assert "call again" in message
    assert (tmp_path / ".file.npz.part").read_bytes() == BODY[:1_000_000]
    assert get(web, tmp_path / "file.npz").read_bytes() == BODY
    assert web.asked[-1] == "bytes=1000000-"


def test_a_part_of_another_file_is_dropped(web: Web, tmp_path: Path) -> None:
    (tmp_path / ".file.npz.part").write_bytes(b"\0" * 1_000_000)
    assert get(web, tmp_path / "file.npz").read_bytes() == BODY
    assert web.asked == ["bytes=1000000-", None]


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_a_part_that_is_whole_or_too_long(web: Web, tmp_path: Path, extra: bytes) -> None:
    (tmp_path / ".file.npz.part").write_bytes(BODY + extra)
    assert get(web, tmp_path / "file.npz").read_bytes() == BODY
    assert len(web.asked) == (2 if extra else 1)


def test_wrong_checksum(web: Web, tmp_path: Path) -> None:
    message = refused(web, tmp_path / "file.npz", "of what came is", sha256="0" * 64)
    assert SHA in message and "0" * 64 in message
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))


def test_wrong_size(web: Web, tmp_path: Path) -> None:
    refused(web, tmp_path / "file.npz", "offers 3,000,017 bytes, expected 5", size=5)


@pytest.mark.parametrize("code", [403, 404, 500])
def test_the_server_says_no(web: Web, tmp_path: Path, code: int) -> None:
    web.code = code
    refused(web, tmp_path / "file.npz", f"answers {code}")


def test_no_connection(web: Web, tmp_path: Path) -> None:
    web.shutdown()
    web.server_close()
    refused(web, tmp_path / "file.npz", "no connection")


def test_full_disk_before_and_while(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        usage = type("Usage", (), {"free": 1000})()
        patch.setattr("shutil.disk_usage", lambda path: usage)
        refused(web, tmp_path / "file.npz", "disk is full .*3,000,017 bytes .* 1,000 are free")
    copy = module._copy

    def full(answer: Any, file: Any, sums: Any, bar: Any) -> None:
        file.write(BODY[:2000])
        file.flush()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    refused(web, tmp_path / "file.npz", "disk is full .*2,000 bytes are kept")
    monkeypatch.setattr(module, "_copy", copy)
    assert get(web, tmp_path / "file.npz").read_bytes() == BODY
    assert web.asked[-1] == "bytes=2000-"


def test_a_folder_that_is_a_file(web: Web, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    refused(web, tmp_path / "data" / "file.npz", "cannot be written")


def test_two_at_once_fetch_once(web: Web, tmp_path: Path) -> None:
    target = tmp_path / "file.npz"
    threads = [threading.Thread(target=get, args=(web, target)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == BODY and web.asked == [None]


def test_a_file_put_there_by_hand_is_checked_once(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file.npz"
    target.write_bytes(BODY[:-1])
    with pytest.raises(DataError, match=f"expected {SHA}.*Delete it"):
        get(web, target)
    assert target.stat().st_size == len(BODY) - 1, "nobody's file is deleted"
    target.write_bytes(BODY)
    get(web, target)
    monkeypatch.setattr(module, "_checksum", None)
    assert get(web, target) == target and not web.asked
    target.write_bytes(BODY[::-1])
    with pytest.raises(TypeError):
        get(web, target)  # a changed file would be read again


def test_only_https(web: Web, tmp_path: Path) -> None:
    refused(web, tmp_path / "file.npz", "https", opener=None)
    with pytest.raises(DataError, match="https"):
        fetch(Path(__file__).as_uri(), tmp_path / "x", sha256=SHA)


def test_redirects_leave_https_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default opener has no handler for anything but https."""
    kinds = []
    monkeypatch.setattr(
        urllib.request.OpenerDirector, "open", lambda self, *_, **__: kinds.append(self.handle_open)
    )
    module._open_https(urllib.request.Request("https://localhost/x"), 1.0)
    assert "https" in kinds[0] and not {"http", "file", "ftp", "data"} & set(kinds[0])


@pytest.mark.parametrize(
    "checksum", [{}, {"md5": MD5, "sha256": SHA}, {"md5": "123"}, {"sha256": "g" * 64}]
)
def test_a_checksum_is_needed(tmp_path: Path, checksum: dict[str, str]) -> None:
    with pytest.raises(DataError, match="checksum|in hex"):
        fetch("https://localhost/x", tmp_path / "x", **checksum)
