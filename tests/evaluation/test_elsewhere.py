"""Maps from files: the rows of a run's own maps, and what does not fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.evaluation import evaluate
from softcam.explainers import class_maps
from softcam.outside import write_maps
from tests.evaluation.known import QUICK, FakeRun, bright_square, one, rows


def outside(path: Path, run: FakeRun, method: str = "softcam", only: int | None = None) -> Path:
    """What a run's own maps are, as a file."""
    data, model = run.data("test"), run.converted()
    logits, maps = class_maps(method, model, data.batch(range(len(data))))
    n, outputs = logits.shape
    classes = np.tile(np.arange(outputs), n)
    ids, every = np.repeat(data.ids, outputs), np.ones(n * outputs, bool)
    every = every if only is None else classes == only
    return write_maps(
        path, ids[every], classes[every], maps.flatten(0, 1).numpy()[every],
        logits.repeat_interleave(outputs, 0).detach().numpy()[every],
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_a_runs_own_maps_from_a_file_get_the_same_rows(tmp_path: Path, classes: int) -> None:
    run = FakeRun(bright_square(16, 2, max(2, classes)), "dense", classes=classes)
    file = outside(tmp_path / "Theirs 2.npz", run)
    table, per_image = evaluate([run], maps=[file], fills=["mean-colour", "blur"], **QUICK)
    own, theirs = (
        rows(table, run_id=name)[lambda t: ~t["metric"].str.startswith(("cascade", "label"))]
        for name in (run.id, "theirs-2")
    )
    own = own[own["method"].isin(["softcam", "-", "chance", "reference-ceiling"])]
    own = own[~own["metric"].str.contains("agreement")]
    assert set(theirs["arm"]) == {"outside"}
    theirs = theirs.assign(method=theirs["method"].replace("theirs-2", "softcam"))
    columns = ["method", "gauge", "target", "finding", "fill", "metric", "step", "occluded_run"]
    numbers = ["value", "ci_low", "ci_high", "n", "n_excluded"]
    both = [each.set_index(columns)[numbers].sort_index().astype(float) for each in (own, theirs)]
    assert len(both[0]) > 100
    pd.testing.assert_frame_equal(*both, atol=1e-6)


def test_maps_of_one_class_are_raw_and_nothing_else(tmp_path: Path) -> None:
    run = FakeRun(bright_square(8), "dense")
    file = outside(tmp_path / "theirs.npz", run, only=1)
    table, _ = evaluate([run], maps=[file], metrics=["pointing-accuracy", "audc"], **QUICK)
    theirs = rows(table, method="theirs")
    assert set(theirs["gauge"]) == {"raw"} and (theirs["n"] == 4).all()
    assert one(theirs, metric="pointing-accuracy")["value"] == 1


@pytest.mark.parametrize(
    "name, said",
    [("random", "rename"), ("SoftCAM", "rename"), ("true mask", "rename"), ("chance", "rename")],
)
def test_a_file_that_is_called_like_a_method(tmp_path: Path, name: str, said: str) -> None:
    run = FakeRun(bright_square(8), "dense")
    run.model = lambda: pytest.fail("nothing is computed before files are checked")  # type: ignore[method-assign]
    file = outside(tmp_path / f"{name}.npz", run)
    with pytest.raises(SoftCAMError, match=said):
        evaluate([run], maps=[file], **QUICK)


def test_files_that_do_not_fit_are_refused_first(tmp_path: Path) -> None:
    run = FakeRun(bright_square(8), "dense")
    file = outside(tmp_path / "theirs.npz", run)
    run.model = lambda: pytest.fail("nothing is computed before files are checked")  # type: ignore[method-assign]
    with pytest.raises(SoftCAMError, match="rename"):
        evaluate([run], maps=[file, file], **QUICK)
    other = FakeRun(bright_square(8, fingerprint="other"), "dense", name="other")
    with pytest.raises(SoftCAMError, match="one set of images"):
        evaluate([run, other], maps=[file], **QUICK)
    with pytest.raises(SoftCAMError, match="fingerprint fingerprint; fake/test, fingerprint other"):
        evaluate([run, other], maps=[file], **QUICK)
    small = bright_square(6, fingerprint="small")
    with pytest.raises(SoftCAMError, match=r"\(fake/test, 8 images; fake/test, 6 images\): make"):
        evaluate([run], maps=[file], data=small, **QUICK)
    halved = replace(small, images=small.images[:, :16, :24])
    told = "(fake/test, 32 x 32 px, 8 images; fake/test, 24 x 16 px, 6 images)"
    with pytest.raises(SoftCAMError, match=re.escape(told)):
        evaluate([run], maps=[file], data=halved, **QUICK)
    with pytest.raises(SoftCAMError, match="cannot be read"):
        evaluate([run], maps=[tmp_path / "nothing.npz"], **QUICK)
    with pytest.raises(SoftCAMError, match="at least one run"):
        evaluate([], maps=[file], data=bright_square(8), only="correct", **QUICK)


def test_an_image_without_a_map_is_excluded_and_counted(tmp_path: Path) -> None:
    run, data = FakeRun(bright_square(8), "dense"), bright_square(8)
    maps = torch.rand(3, 4, 4)
    file = write_maps(tmp_path / "few.npz", ["i1", "i3", "i0"], [1, 1, 1], maps, torch.randn(3, 2))
    table, _ = evaluate([run], maps=[file], metrics=["pointing-accuracy", "audc", "auc"], **QUICK)
    few = rows(table, method="few")
    assert len(few) == 4 and ((few["n"] + few["n_excluded"]) == 4).all()
    row = one(few, metric="pointing-accuracy")
    assert (row["n"], row["n_excluded"]) == (2, 2)
    assert one(table, run_id="few", metric="auc")["n"] == 3
    assert len(data) == 8
