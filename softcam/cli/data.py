"""`softcam data`: what there is, what it holds, whether it is right, and what it may hide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softcam.cli.options import (
    Data,
    DataOption,
    FindingClasses,
    LabelColumn,
    OnError,
    Progress,
    data_options,
)
from softcam.common import SoftCAMError, choose

if TYPE_CHECKING:
    from softcam.data import Catalogue, Source

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Data sets: what they hold, and what they may hide.")

Size = Annotated[int, typer.Option(help="side of the prepared images in pixels")]
SplitFiles = Annotated[
    str | None,
    typer.Option(
        "--splits",
        help="which image is in which split: a CSV with a column split, or a folder of three, "
        "such as the authors' (default: the set's own, or drawn by patient)",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=0, help="processes that prepare; default: all processors")
]
WIDTH = 96


@app.command("list")
def data_list() -> None:
    """Every source of data: what it is, its terms, what of it is here, how to get it."""
    from softcam.common import data_root
    from softcam.data import SOURCES
    from softcam.data.found import found_sets

    typer.echo(f"looked under {data_root()}")
    for source in SOURCES.values():
        here = found_sets(source)
        typer.echo(f"\n{source.name}: {source.title}")
        rows = {
            "here": ", ".join(here) or "nothing found",
            "form": source.form,
            "get": source.get,
            "terms": source.licence,
            "credit": source.credit,
            "show": _shown(source),
        }
        for name, text in rows.items():
            lines = textwrap.wrap(text, WIDTH - 11, break_long_words=False, break_on_hyphens=False)
            typer.echo(f"  {name + ':':8s} " + f"\n{' ' * 11}".join(lines))


def _shown(source: Source) -> str:
    if not source.share:
        return "images may not be published"
    but = f", but not of {', '.join(source.unshared)}" if source.unshared else ""
    return f"images may be published with the credit{but}"


@app.command("info")
def data_info(
    data: Data,
    size: Size = 96,
    splits: SplitFiles = None,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
) -> None:
    """Count images, classes, patients and findings from the tables; nothing is prepared."""
    options = _options(data, size, splits, data_option, label_column, finding_classes, on_error)
    if data.startswith("phantoms"):
        _describe_splits(data, size, options)
        return
    from softcam.data import open_catalogue

    store, catalogue = open_catalogue(data, size, **options)
    typer.echo(f"{catalogue.name}: {', '.join(catalogue.classes)}; {store.path}")
    for split in ("train", "val", "test"):
        _describe_items(catalogue, split)
    if catalogue.mask_names:
        typer.echo(f"marked: {', '.join(catalogue.mask_names)}")
        typer.echo(f"findings: {', '.join(catalogue.finding_names) or 'none'}")
    if catalogue.metadata:
        typer.echo(f"further columns: {', '.join(catalogue.metadata)}")
    _notes([*catalogue.notes, *catalogue.warnings])


def _describe_items(catalogue: Catalogue, split: str) -> None:
    items = [item for item in catalogue.items if item.split == split]
    counts = [0] * len(catalogue.classes)
    for item in items:
        flags = item.label if isinstance(item.label, tuple) else ()
        for c in range(len(counts)):
            counts[c] += flags[c] if flags else item.label == c
    kinds = set(catalogue.finding_names)
    marks = [{m.kind for m in item.boxes} | {m.kind for m in item.masks} for item in items]
    marked = sum(bool(kinds & found) for found in marks)
    patients = len({item.patient for item in items})
    _echo_split(split, len(items), counts, patients, marked)


def _echo_split(name: str, images: int, counts: Sequence[int], patients: int, marked: int) -> None:
    typer.echo(
        f"{name}: {images:,} images {list(counts)}, {patients:,} patients, "
        f"{marked:,} with a marked finding"
    )


def _describe_splits(data: str, size: int, options: dict[str, Any]) -> None:
    """Open the data set, and say what the arrays hold."""
    from softcam.data import open_data

    splits = open_data(data, size, **options)
    typer.echo(f"{splits.name}: {', '.join(splits.classes)}; fingerprint {splits.fingerprint[:12]}")
    for name in ("train", "val", "test"):
        part = splits[name]
        patients = len(set(part.patients))
        _echo_split(name, len(part), part.counts, patients, len(part.with_findings()))
    _notes(splits.notes)
    if splits.folder is not None:
        typer.echo(str(splits.folder))


def _notes(notes: Sequence[str]) -> None:
    for note in notes:
        typer.echo(f"note: {note}")


@app.command("prepare")
def data_prepare(
    data: Data,
    size: Size = 96,
    splits: SplitFiles = None,
    workers: Workers = None,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
    progress: Progress = True,
) -> None:
    """Turn the images into arrays, once; what was stopped goes on, a second call does nothing."""
    options = _options(data, size, splits, data_option, label_column, finding_classes, on_error)
    if workers is not None and data.startswith("phantoms"):
        raise SoftCAMError("phantoms are drawn by one process: leave out --workers.")
    more = {"progress": progress} if workers is None else {"progress": progress, "workers": workers}
    _describe_splits(data, size, {**options, **more})


@app.command("verify")
def data_verify(
    data: Data,
    deep: Annotated[
        bool, typer.Option("--deep", help="also compare every file with when it was prepared")
    ] = False,
    size: Size = 96,
    splits: SplitFiles = None,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
    progress: Progress = True,
) -> None:
    """Compare with the counts of a faithful preparation; exit code 1 where something differs."""
    from softcam.data import open_catalogue
    from softcam.data.verify import verify

    options = _options(data, size, splits, data_option, label_column, finding_classes, on_error)
    differences = verify(data, deep=deep, size=size, progress=progress, **options)
    for difference in differences:
        typer.echo(f"differs: {difference}")
    if differences:
        raise typer.Exit(1)
    expected = open_catalogue(data, size, progress=progress, **options)[1].expected
    of = ", ".join("all splits together" if key == "all" else key for key in expected)
    counts = f"the counts of {of} are as expected" if of else "no counts are known to compare with"
    files = "every file is as it was when it was prepared" if deep else "no file was read (--deep)"
    typer.echo(f"nothing differs: {counts}; {files}.")


@app.command("show")
def data_show(
    data: Data,
    out: Annotated[Path, typer.Option(help="the picture to write, FILE.png")],
    split: Annotated[str, typer.Option(help="train, val or test")] = "test",
    n: Annotated[int, typer.Option(help="images of each class")] = 6,
    seed: Annotated[int, typer.Option(help="of the choice")] = 0,
    size: Size = 224,
    splits: SplitFiles = None,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
    progress: Progress = True,
) -> None:
    """Write a contact sheet: some images of each class, with what is marked in them."""
    from softcam.data import SOURCES, open_sample
    from softcam.visualize import write_contact_sheet

    options = _options(data, size, splits, data_option, label_column, finding_classes, on_error)
    sample = open_sample(data, split, n, seed=seed, size=size, progress=progress, **options)
    word, _, name = data.partition(":")
    typer.echo(str(write_contact_sheet(out, sample, SOURCES[word], name)))


@app.command("audit")
def data_audit(
    data: Data,
    out: Annotated[Path | None, typer.Option(help="also write all numbers, FILE.json")] = None,
    size: Size = 96,
    splits: SplitFiles = None,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
    n_boot: Annotated[int, typer.Option(min=0, help="bootstrap draws")] = 500,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    progress: Progress = True,
) -> None:
    """Look for leaks between the splits, and for shortcuts to the labels."""
    from softcam.common import write_json
    from softcam.data import audit, open_catalogue, open_data

    options = _options(data, size, splits, data_option, label_column, finding_classes, on_error)
    prepared = open_data(data, size, progress=progress, **options)
    store = catalogue = None
    if not data.startswith("phantoms"):
        store, catalogue = open_catalogue(data, size, progress=progress, **options)
    found = audit(prepared, catalogue, store, n_boot=n_boot, seed=seed, progress=progress)
    for sentence in found.sentences():
        typer.echo(textwrap.fill(f"- {sentence}", WIDTH, subsequent_indent="  "))
    if out is not None:
        typer.echo(str(write_json(out, found.to_dict())))


def _options(
    data: str,
    size: int,
    splits: str | None,
    words: list[str] | None,
    label_column: str | None,
    finding_classes: str | None,
    on_error: str | None,
) -> dict[str, Any]:
    """Keywords of the data source; what is wrong with them is said before anything is opened."""
    from softcam.data import SOURCES
    from softcam.runs import TrainConfig

    options = data_options(words, label_column, finding_classes, on_error)
    TrainConfig(data=data, size=size, data_options=options)
    if splits is not None:
        word = data.partition(":")[0]
        choose("data source", word, SOURCES)
        if "splits" not in SOURCES[word].options():
            raise SoftCAMError(f"{word!r} data have splits of their own: leave out --splits.")
        options["splits"] = splits
    return options
