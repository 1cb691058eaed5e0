"""The coverage table: one architecture is one row, and what is said of all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from softcam import to_softcam
from softcam.backbones import build_net
from softcam.blocks import marks
from softcam.common import SoftCAMError
from softcam.coverage import (
    Row,
    insert_block,
    look,
    measure,
    read_table,
    refresh,
    totals,
    write_tables,
)
from softcam.coverage.architecture import build, forward_ratio, two_classes
from softcam.coverage.spatial import has_spatial_map
from softcam.coverage.table import BLOCK

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "docs" / "coverage.csv"


# --- one architecture ---


def test_one_architecture_is_one_row() -> None:
    row = measure("timm", "test_resnet", 60e6)
    assert (row.library, row.architecture, row.kind) == ("timm", "test_resnet", "exact")
    assert row.logit_difference is not None and row.logit_difference < 1e-5
    assert (row.stride, row.map_224, row.map_512) == (32, "7x7", "16x16")
    net = build_net("test_resnet", 1000)
    assert row.parameters == sum(p.numel() for p in net.parameters())
    assert row.forward_ratio is None


def test_a_refusal_is_a_row_with_its_reason_and_a_large_one_is_only_counted() -> None:
    row = measure("timm", "test_vit", 60e6)
    assert (row.kind, row.logit_difference, row.map_224) == ("none", None, "-")
    assert "cannot become a SoftCAM" in row.notes
    large = measure("timm", "vgg16", 60e6)
    assert (large.kind, large.parameters) == ("larger", 138_357_544)
    assert not large.within(138e6) and large.within(139e6)
    assert replace(large, library="torchvision").within(138e6), "torchvision's list is whole"


def test_a_network_of_one_size_says_which() -> None:
    facts = look(to_softcam(build_net("test_resnet", 2)).eval(), (96, 96), (2, 64))
    assert facts.sizes[64] == "2x2"

    model = to_softcam(build_net("resnet10t-w8", 2)).eval()
    backbone = model.backbone
    model.backbone = nn.Sequential(Only96(), backbone)
    facts = look(model, (96, 96))
    assert facts.sizes == {224: "-", 512: "-"}
    assert facts.notes == ("a map of 3x3 cells at its own size, 96x96 px",)
    assert facts.receptive_field == "whole image"  # its field is longer than 2 * 96 px


class Only96(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (96, 96)
        return x


@pytest.mark.slow
def test_the_forward_ratio_is_near_one() -> None:
    net = build("timm", "test_resnet")
    both = two_classes("timm", "test_resnet", net, to_softcam(net).eval())
    assert [tuple(each(torch.rand(2, 3, 64, 64)).shape) for each in both] == [(2, 2)] * 2
    assert 0.2 < forward_ratio(*both) < 5
    net = build("torchvision", "squeezenet1_1")  # without the verb that swaps a classifier
    net, model = two_classes("torchvision", "squeezenet1_1", net, to_softcam(net).eval())
    torch.testing.assert_close(net(torch.zeros(1, 3, 64, 64)), model(torch.zeros(1, 3, 64, 64)))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("test_resnet", {}, True),  # (B, D, h, w)
        ("test_efficientnet", {}, True),
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1), "embed_dim": 24}, True),  # BhwD
        ("test_vit2", {}, True),  # tokens, one of them no patch
        ("test_vit", {}, False),  # a class token
        ("test_vit", {"global_pool": "avg"}, True),  # one that is not read
        ("test_vit3", {}, False),  # attention over the tokens instead of their mean
    ],
)
def test_who_has_a_map(name: str, options: dict, expected: bool) -> None:
    import timm

    net = timm.create_model(name, **options).eval()
    size = net.pretrained_cfg["input_size"][1:]
    assert has_spatial_map(net, size) is expected
    assert has_spatial_map(nn.Conv2d(3, 3, 1), size) is None, "nobody to ask"


# --- tables ---

ROWS = [
    Row("timm", "1.0", "a", "exact", True, 2.04e-7, 32, "7x7", "16x16", "435", 11_000, 1.0204, ""),
    Row("timm", "1.0", "b", "none", False, notes="no map | no mean,\npooling"),
    Row("torchvision", "0.2", "c", "paper", None, None, 32, "7x7", "-", "whole image", 9),
    Row("timm", "1.0", "d", "none", True, notes="two maps"),
    Row("timm", "1.0", "e", "failed", notes="segmentation fault"),
]


def test_the_csv_comes_back(tmp_path: Path) -> None:
    table, page = write_tables(tmp_path, ROWS)
    back = read_table(table)
    assert [row.architecture for row in back] == ["a", "b", "c", "d", "e"]
    assert [row.spatial_map for row in back] == [True, False, None, True, None]
    assert (back[0].logit_difference, back[0].forward_ratio) == (2.0e-7, 1.020)
    assert back[1].notes == "no map | no mean, pooling" and back[1].stride is None
    assert back[2] == ROWS[2]
    text = page.read_text()
    assert "no map \\| no mean" in text
    assert "- `d` (none): two maps\n- `e` (failed): segmentation fault\n" in text
    assert "- `b`" not in text, "it has no map to begin with"
    with pytest.raises(SoftCAMError, match="no coverage table"):
        read_table(page)
    with pytest.raises(SoftCAMError, match="no coverage table"):
        read_table(tmp_path / "missing.csv")


def test_totals_by_hand() -> None:
    assert totals(ROWS).splitlines()[2:] == [
        "| timm 1.0 | 4 | 1 | 0 | 0 | 2 | 1 |",
        "| torchvision 0.2 | 1 | 0 | 0 | 1 | 0 | 0 |",
        "| both | 5 | 1 | 0 | 1 | 2 | 1 |",
        "",
        "Of timm's 3 architectures with a spatial map, 1 convert (33.3 %); `d`, `e` did not.",
        "",
        "The largest logit difference of an exact conversion, as a share of the logit scale: "
        "2.0e-07.",
    ]
    many = [replace(ROWS[3], architecture=f"m{i}") for i in range(6)]
    assert "6 architectures with a spatial map, 0 convert (0.0 %); what stood" in totals(many)
    assert totals(ROWS[2:3]).endswith("| both | 1 | 0 | 0 | 1 | 0 | 0 |"), "nothing else to say"


def test_the_block_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = marks(BLOCK)
    page.write_text(f"above\n\n{begin}\nold\n{end}\n\nbelow\n", encoding="utf-8")
    table, _ = write_tables(tmp_path, ROWS)
    once = refresh(page, table).read_text(encoding="utf-8")
    assert once.startswith("above\n\n") and once.endswith("\n\nbelow\n")
    assert totals(ROWS) in once and "old" not in once
    assert refresh(page, table).read_text(encoding="utf-8") == once
    kept = tmp_path / "docs" / "kept.csv"
    page.write_text(f"{begin}{end}", encoding="utf-8")
    assert totals(ROWS) in refresh(page, kept, table).read_text(encoding="utf-8")
    assert kept.read_text() == table.read_text()
    with pytest.raises(SoftCAMError, match="no coverage table"):
        refresh(page, kept, page)
    assert kept.read_text() == table.read_text(), "the old one is kept"
    with pytest.raises(SoftCAMError, match="needs the markers"):
        insert_block("no markers", ROWS)


def test_the_readme_shows_the_committed_table() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert insert_block(page, read_table(COMMITTED)) == page, (
        "from softcam.coverage import refresh; refresh('README.md', 'docs/coverage.csv')"
    )
