"""Retinal OCT: a scan that is opened for its size alone is still checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import DataError
from softcam.data.sets.oct import read_oct
from tests.data.sets.test_oct import folder, jpeg, names, table


def test_points_in_a_scan_that_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder(tmp_path / "data", names(), jpeg((768, 496)))
    points = table(tmp_path / "points.csv", ["DRUSEN-902-1.jpeg,3,5"], "filename,x,y")
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"DRUSEN-902-1\.jpeg: more than .* make it smaller"):
        read_oct(data, points=points, point_frame="paper")
