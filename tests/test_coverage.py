"""The coverage table: receptive fields against arithmetic, and a survey that nothing stops."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor, nn

import softcam.coverage.catalogue as catalogue
from softcam import to_softcam
from softcam.backbones import build_net
from softcam.common import SoftCAMError, read_json
from softcam.coverage import (
    Limits,
    Row,
    insert_block,
    look,
    measure,
    read_table,
    receptive_field,
    refresh,
    survey,
    totals,
    write_tables,
)
from softcam.coverage.architecture import forward_ratio
from softcam.coverage.children import path_of, work_through
from softcam.coverage.code import digest_of_code, sources
from softcam.coverage.table import BEGIN, END
from tests.coverage_tasks import fate

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "docs" / "coverage.csv"
KEY = {"code": "x"}


# --- receptive field ---


def field_by_arithmetic(layers: list[tuple[int, int, int]]) -> int:
    """1 + sum of (kernel - 1) * dilation * the strides before."""
    field, jump = 1, 1
    for kernel, stride, dilation in layers:
        field += (kernel - 1) * dilation * jump
        jump *= stride
    return field


STACKS = [
    [(1, 1, 1)],
    [(3, 1, 1)],
    [(7, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1)],
    [(3, 2, 1), (5, 2, 1), (3, 1, 4), (1, 1, 1), (3, 2, 1), (3, 1, 2)],
    [(3, 2, 1)] * 5 + [(3, 1, 1)] * 8,  # wider than the first strip
    [(4, 4, 1), (2, 2, 1)],  # patches, without padding
]


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("layers", STACKS)
def test_a_stack_of_convolutions(layers: list[tuple[int, int, int]], padded: bool) -> None:
    stack, width = nn.Sequential(), 3
    for kernel, stride, dilation in layers:
        padding = dilation * (kernel - 1) // 2 if padded and kernel % 2 else 0
        stack.append(nn.Conv2d(width, 4, kernel, stride, padding, dilation))
        stack += nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())
        width = 4
    small = not padded and len(layers) > 6  # 64 px are not wide enough, 128 px neither
    expected = "-" if small else str(field_by_arithmetic(layers))
    assert receptive_field(stack.eval()) == expected


def test_nothing_hides_a_dependence() -> None:
    stack = nn.Sequential(nn.Conv2d(3, 2, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU6())
    nn.init.zeros_(stack[0].weight)  # type: ignore[arg-type]
    nn.init.constant_(stack[0].bias, -1.0)  # type: ignore[arg-type]  # every ReLU is dead
    assert receptive_field(stack) == "6"


@pytest.mark.parametrize("name", ["bagnet9t-w8", "bagnet17t-w8", "bagnet33t-w8", "bagnet33-w4"])
def test_a_bagnet_sees_its_window(name: str) -> None:
    net = build_net(name, 2).eval()
    model = to_softcam(net).eval()
    assert look(model, (224, 224), (64,)).receptive_field == str(net.receptive_field)


def test_published_fields() -> None:
    """435 px for ResNet-18, from its layers (Araujo et al., Distill 2019)."""
    net = build_net("resnet18-w2", 2).eval()
    assert receptive_field(net.forward_features) == "435"  # type: ignore[arg-type]


class Everywhere(nn.Module):
    """A convolution, and the mean of the whole image at every cell."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::8, ::8] + x.mean((2, 3), keepdim=True)


class OneSize(nn.Module):
    """Takes images of 32x32 px only."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (32, 32)
        return self.conv(x)


def test_what_has_no_length() -> None:
    far = nn.Conv2d(3, 1, 65, stride=64, padding=2048, dilation=64)  # 4097 px, with holes
    assert receptive_field(Everywhere()) == "whole image"
    assert receptive_field(far) == "> 3072"
    assert receptive_field(OneSize(5), (32, 32)) == "5"
    assert receptive_field(OneSize(41), (32, 32)) == "> 24"
    assert receptive_field(OneSize(5), (48, 48)) == "-"
    assert receptive_field(lambda x: x / 0 * 0) == "-"  # NaN out of nothing is no field


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


def test_the_forward_ratio_is_near_one() -> None:
    assert 0.2 < forward_ratio("timm", "test_resnet") < 5


# --- the survey ---


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
    with pytest.raises(SoftCAMError, match="spoil each other's times"):
        survey(tmp_path, limits=Limits(timed=True), processes=2)
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


# --- tables ---

ROWS = [
    Row("timm", "1.0", "a", "exact", 2.04e-7, 32, "7x7", "16x16", "435", 11_000, 1.0204, ""),
    Row("timm", "1.0", "b", "none", notes="no map | no mean,\npooling"),
    Row("torchvision", "0.2", "c", "paper", None, 32, "7x7", "-", "whole image", 9),
]


def test_the_csv_comes_back(tmp_path: Path) -> None:
    table, page = write_tables(tmp_path, ROWS)
    back = read_table(table)
    assert [row.architecture for row in back] == ["a", "b", "c"]
    assert (back[0].logit_difference, back[0].forward_ratio) == (2.0e-7, 1.020)
    assert back[1].notes == "no map | no mean, pooling" and back[1].stride is None
    assert back[2] == ROWS[2]
    assert "no map \\| no mean" in page.read_text()
    with pytest.raises(SoftCAMError, match="no coverage table"):
        read_table(page)
    with pytest.raises(SoftCAMError, match="no coverage table"):
        read_table(tmp_path / "missing.csv")


def test_totals_by_hand() -> None:
    assert totals(ROWS).splitlines()[2:] == [
        "| timm 1.0 | 2 | 1 | 0 | 0 | 1 | 0 |",
        "| torchvision 0.2 | 1 | 0 | 0 | 1 | 0 | 0 |",
        "| both | 3 | 1 | 0 | 1 | 1 | 0 |",
    ]


def test_the_block_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n\n{BEGIN}\nold\n{END}\n\nbelow\n", encoding="utf-8")
    table, _ = write_tables(tmp_path, ROWS)
    once = refresh(page, table).read_text(encoding="utf-8")
    assert once.startswith("above\n\n") and once.endswith("\n\nbelow\n")
    assert totals(ROWS) in once and "old" not in once
    assert refresh(page, table).read_text(encoding="utf-8") == once
    for text in ("no markers", f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"):
        with pytest.raises(SoftCAMError, match="needs the markers"):
            insert_block(text, ROWS)


@pytest.mark.skipif(not COMMITTED.is_file(), reason="the table has not been made yet")
def test_the_readme_shows_the_committed_table() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert insert_block(page, read_table(COMMITTED)) == page, (
        "from softcam.coverage import refresh; refresh('README.md', 'docs/coverage.csv')"
    )
