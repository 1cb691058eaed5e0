"""The made-up rounds of the tutorial: marked as such, repeatable, and fit for the labels."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from softcam.common import SoftCAMError, UnknownNameError, rng
from softcam.data.phantoms.options import mask_names
from softcam.layerwise import label_clusters, tutorial_rounds
from softcam.layerwise.records import COLUMNS, Round
from softcam.layerwise.tables import read_rounds, write_rounds

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ["normal", "opacity", "effusion"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = ROOT / "tools" / "tutorial_rounds.py"
    spec = importlib.util.spec_from_file_location("tutorial_rounds_tool", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def concepts() -> pd.DataFrame:
    """As `match_concepts` has them: ribs first, the lesion last, in 6 images."""
    rows = []
    for k in range(6):
        for layer, label, score in (
            ("l1", "ribs", 0.7),
            ("l2", "lungs", 0.5),
            ("l3", "opacity", 0.9),
        ):
            rows.append((f"{k}", "opacity", layer, 0, 40.0, label, score, 1))
            rows.append((f"{k}", "opacity", layer, 0, 40.0, "heart", 0.1, 1))
    columns = ["image", "class_name", "layer", "cluster", "share", "label", "score", "votes"]
    return pd.DataFrame(rows, columns=columns)


def test_every_row_says_that_it_is_made_up(tool: ModuleType, tmp_path: Path) -> None:
    rounds = tool.made_up_rounds(concepts(), CLASSES, players=3)
    assert tuple(rounds.columns) == COLUMNS and len(rounds) == 6 * 3 * 3
    for name in ("round_id", "session", "player"):
        assert rounds[name].str.startswith("made-up").all()
    assert rounds["round_id"].is_unique and rounds["time"].str.startswith("2000-").all()
    for row in rounds.to_dict("records"):
        assert Round.of(row).correct == row["correct"]
    written = read_rounds(write_rounds(tmp_path / "rounds.csv", rounds))
    pd.testing.assert_frame_equal(written, rounds)


def test_the_same_seed_gives_the_same_rounds_in_any_order_of_rows(tool: ModuleType) -> None:
    first = tool.made_up_rounds(concepts(), CLASSES, seed=4)
    mixed = concepts().iloc[rng(1).permutation(36)]
    pd.testing.assert_frame_equal(tool.made_up_rounds(mixed, CLASSES, seed=4), first)
    assert not first.equals(tool.made_up_rounds(concepts(), CLASSES, seed=5))


@pytest.mark.slow
def test_the_parts_come_back_as_labels(tool: ModuleType) -> None:
    rounds = tool.made_up_rounds(concepts(), CLASSES, players=12)
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    shares = {(str(k), f"l{n}", 0): 40.0 for k in range(6) for n in (1, 2, 3)}
    found = label_clusters(rounds, shares, class_names=CLASSES)
    top = (
        found.groupby(["image", "layer"])["label"]
        .first()
        .groupby("layer")
        .agg(lambda labels: labels.mode()[0])
    )
    assert top["l1"] in {"ribs", "rib", "stripes", "bones", "lines", "cage", "white"}
    assert top["l2"] in {"lung", "lungs", "edge", "black", "dark"}
    assert top["l3"] in {"patch", "patches", "cloud", "white", "spot"}


def test_there_are_words_for_all_parts_of_a_chest(tool: ModuleType) -> None:
    assert set(tool.WORDS) == set(mask_names("cxr"))
    for words in tool.WORDS.values():
        assert not {"opacity", "effusion", "normal"} & set(" ".join(words).split())


def test_unknown_parts_and_classes_are_named(tool: ModuleType) -> None:
    with pytest.raises(UnknownNameError, match="'disc'"):
        tool.made_up_rounds(concepts().assign(label="disc"), CLASSES)
    with pytest.raises(SoftCAMError, match="class 'opacity'"):
        tool.made_up_rounds(concepts(), ["normal", "drusen"])


def test_the_shipped_rounds_are_made_up_and_have_all_their_shares(tool: ModuleType) -> None:
    rounds, shares = tutorial_rounds()
    for name in ("round_id", "session", "player"):
        assert rounds[name].str.startswith(tool.MADE_UP).all()
    assert rounds["time"].str.startswith("2000-").all() and rounds["round_id"].is_unique
    keys = set(zip(rounds["image"], rounds["layer"], rounds["cluster"], strict=True))
    assert keys == set(shares) and all(0 < share <= 100 for share in shares.values())
    assert set(rounds["class_name"]) == {"normal", "opacity"}


@pytest.mark.parametrize("line", ["CHECKPOINT", "PHANTOMS"])
def test_the_tool_and_the_notebook_draw_and_load_the_same(tool: ModuleType, line: str) -> None:
    text = (ROOT / "notebooks" / "11_layers_in_words.ipynb").read_text(encoding="utf-8")
    value = getattr(tool, line)
    wanted = json.dumps(json.dumps(value))[1:-1] if isinstance(value, dict) else value
    assert wanted in text
