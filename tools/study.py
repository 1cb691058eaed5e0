"""Train and measure one study of tools/studies/; a killed study goes on where it stopped.

    python tools/study.py phantoms-cxr [--weights FILE] [--processes 2]
    python tools/study.py phantoms-cxr --conditions default --seeds 0 1    # a part of it
    python tools/study.py rivals --train-only                              # no test image is read

Runs lie where `softcam train` puts them; tables and reports go to runs/study/NAME/CONDITION/. What
a study says under `evaluate` are keywords of `softcam.evaluate`; one with `layers` asks instead
what each layer is called (`softcam.layerwise.lesion_rate`). Under `tune`, options are tried on
the first seed and chosen by the validation split, as the study's own words say.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

STUDIES = Path(__file__).with_name("studies")
log = logging.getLogger("study")
Study = dict[str, Any]
Changes = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One training: where, with which seed, what, and with which changes to the profile."""

    condition: str
    seed: int
    arm: str
    changes: Changes = field(default_factory=dict)


def main() -> None:
    """Train every cell, then measure one condition after the other."""
    import yaml

    words = _parser().parse_args()
    study = yaml.safe_load((STUDIES / f"{words.study}.yaml").read_text(encoding="utf-8"))
    chosen = words.conditions or study["conditions"]
    study["conditions"] = {name: study["conditions"][name] for name in chosen}
    seeds = words.seeds or study["seeds"]
    if words.metrics:
        study["evaluate"]["metrics"] = words.metrics
    with multiprocessing.get_context("spawn").Pool(words.processes, maxtasksperchild=4) as pool:

        def trained(cells: Sequence[Cell]) -> list[str]:
            jobs = [(study, words.weights, cell) for cell in cells]
            return pool.map(train_one, jobs, chunksize=1)

        tried = tuning(study)
        tuned = choose_tuned(study, list(zip(tried, trained(tried), strict=True)))
        todo = [cell for cell in planned(study, tuned) if cell.seed in seeds]
        paths = trained(todo)
        if words.train_only:
            return
        if "layers" in study:
            for folder in pool.imap(layers_of, [(study, words.study, path) for path in paths]):
                log.warning("layers: %s", folder)
            return
        started = time.monotonic()
        by_seed = grouped(study, todo, paths)
        for _ in pool.imap_unordered(warm_one, by_seed, chunksize=1):
            pass  # seed by seed, so that two processes have the same to do
        whole = []
        for name in study["conditions"]:
            own = [path for path, cell in zip(paths, todo, strict=True) if cell.condition == name]
            whole.append((study, words.study, name, own))
        for report in pool.imap(evaluate_one, whole, chunksize=1):
            log.warning("report: %s", report)
        log.warning("evaluated in %.0f min", (time.monotonic() - started) / 60)


def grouped(
    study: Study, cells: Sequence[Cell], paths: Sequence[str]
) -> list[tuple[Study, str, list[str], bool]]:
    """For each condition and seed its runs, and whether the seed is the first."""
    first = min(cell.seed for cell in cells)
    groups: dict[tuple[str, int], list[str]] = {}
    for cell, path in zip(cells, paths, strict=True):
        groups.setdefault((cell.condition, cell.seed), []).append(path)
    return [(study, name, own, seed == first) for (name, seed), own in groups.items()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=sorted(path.stem for path in STUDIES.glob("*.yaml")))
    parser.add_argument("--weights", help="a local safetensors file for every run")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--conditions", nargs="+", help="only these")
    parser.add_argument("--seeds", nargs="+", type=int, help="only these")
    parser.add_argument("--metrics", nargs="+", help="only these; deletion curves cost most")
    parser.add_argument("--train-only", action="store_true", help="leave the test split unread")
    return parser


def tuning(study: Study) -> list[Cell]:
    """What is tried before the study proper, all on its first seed."""
    tune, seed = study.get("tune", {}), study["seeds"][0]
    return [
        Cell(condition, seed, arm, changes)
        for condition in study["conditions"]
        for arm in ("black-box", "sparse")
        for changes in tune.get(arm, [])
    ]


def choose_tuned(study: Study, tried: Iterable[tuple[Cell, str]]) -> dict[tuple[str, str], Changes]:
    """(condition, arm) to the chosen changes, by the validation loss of the tried runs."""
    losses: dict[tuple[str, str], list[tuple[Changes, float]]] = {}
    for cell, path in tried:
        done = json.loads((Path(path) / "done.json").read_text(encoding="utf-8"))
        if done["select"] != "val_loss":
            raise SystemExit(f"{path} was selected by {done['select']}: tuning needs val_loss")
        losses.setdefault((cell.condition, cell.arm), []).append((cell.changes, done["value"]))
    return {
        key: lowest(found) if key[1] == "black-box" else largest(found, study["tune"]["slack"])
        for key, found in losses.items()
    }


def lowest(found: Sequence[tuple[Changes, float]]) -> Changes:
    """The changes of the lowest loss."""
    return min(found, key=lambda each: each[1])[0]


def largest(found: Sequence[tuple[Changes, float]], slack: float) -> Changes:
    """The largest penalty whose loss lies at most `slack` above the lowest."""
    least = min(loss for _, loss in found)
    return max(
        (changes for changes, loss in found if loss <= least + slack),
        key=lambda changes: sum(changes.values()),
    )


def planned(study: Study, tuned: dict[tuple[str, str], Changes]) -> list[Cell]:
    """Every training of the study, in the order in which they are run."""
    seeds, found = study["seeds"], []
    for seed in seeds:
        for name in study["conditions"]:
            arms = [*study["arms"], *(study.get("arms_once", []) if seed == seeds[0] else [])]
            found += [Cell(name, seed, arm, changes_of(study, tuned, name, arm)) for arm in arms]
            found += [
                Cell(name, seed, arm, {**changes_of(study, tuned, name, arm), "model": model})
                for model, own in study.get("rivals", {}).items()
                for arm in own
            ]
    return found


def changes_of(
    study: Study, tuned: dict[tuple[str, str], Changes], condition: str, arm: str
) -> Changes:
    """What tuning says about an arm: its own choice, or its shares of the sparse arm's weight."""
    if arm == "dense":
        arm = "black-box"
    if (condition, arm) in tuned:
        return dict(tuned[condition, arm])
    shares = study.get("tune", {}).get("follow", {}).get(arm, {})
    weight = sum(tuned.get((condition, "sparse"), {}).values())
    return {name: share * weight for name, share in shares.items()}


def train_one(job: tuple[Study, str | None, Cell]) -> str:
    """Train one cell in a process of its own; returns the run's path."""
    import torch

    from softcam import load_profile, train

    torch.set_num_threads(1)  # two processes of one thread beat one process of two
    study, weights, cell = job
    options = dict(study["conditions"][cell.condition])
    data = options.pop("data", None) or study["data"]
    if study.get("seed_of_data"):
        options["seed"] = cell.seed
    changes = {**study.get("train", {}), "weights": weights, "seed": cell.seed, **cell.changes}
    config = load_profile(study["profile"]).config(
        cell.arm, data=data, data_options=options, **changes
    )
    path = train(config, progress=False).path
    log.warning("trained %s, seed %d, %s: %s", cell.condition, cell.seed, cell.arm, path.name)
    return str(path)


def warm_one(job: tuple[Study, str, list[str], bool]) -> None:
    """Ask everything of some runs, so that their answers lie in their caches."""
    import tempfile

    from softcam.evaluation import evaluate_to

    study, _, paths, first = job
    options = {**options_of(study, paths), "n_boot": 0}
    if not first and "methods" in options:
        options["methods"] = [name for name in options["methods"] if not is_dearest(name)]
    with tempfile.TemporaryDirectory() as folder:
        evaluate_to(folder, paths, **options)


def is_dearest(name: str) -> bool:
    """Whether only the first seed's networks are explained by this method."""
    from softcam.evaluation.costs import RARE
    from softcam.explainers import get_explainer

    forwards = get_explainer(name).forwards
    return isinstance(forwards, int) and forwards > RARE


def options_of(study: Study, paths: Sequence[str]) -> dict[str, Any]:
    """Keywords of `evaluate`; of the rival networks only their own maps are read."""
    import torch

    from softcam.runs import Run

    torch.set_num_threads(1)
    options = {"profile": study["profile"], "progress": False, **study["evaluate"]}
    if "post_hoc" in options:
        runs = [run for run in map(Run.open, paths) if run.arm in options["post_hoc"]]
        rivals = set(study.get("rivals", {}))
        options["post_hoc"] = [run.id for run in runs if run.config.model not in rivals]
    return options


def evaluate_one(job: tuple[Study, str, str, list[str]]) -> str:
    """Measure all runs of one condition; returns the report's path."""
    from softcam import write_report
    from softcam.common import runs_root, write_text
    from softcam.evaluation import evaluate_to

    study, name, condition, paths = job
    folder = runs_root() / "study" / name / condition
    evaluate_to(folder, paths, **options_of(study, paths))
    if "claims" in study:
        write_text(folder / "question.json", json.dumps(study["claims"], indent=2))
    return str(write_report(folder))


def layers_of(job: tuple[Study, str, str]) -> str:
    """What each layer of one run is called: rates, labels over the layers and their plot."""
    from dataclasses import replace

    import torch

    from softcam.common import atomic_path, runs_root
    from softcam.layerwise import global_labels, lesion_rate
    from softcam.runs import Run, build_model
    from softcam.visualize.global_labels import plot_global

    torch.set_num_threads(1)
    study, name, path = job
    run = Run.open(path)
    model, config = run.model(), replace(run.config, weights=None, pretrained=False)
    untrained = build_model(config, len(run.classes), model.normalize).eval()
    options = {"progress": False, **study["layers"]}
    found = lesion_rate(model, run.data("test"), untrained=untrained, **options)
    labels = global_labels(found.labels, layers=found.layers)
    folder = runs_root() / "study" / name / run.id
    for table, file in ((found.table, "rates.csv"), (labels, "labels.csv")):
        with atomic_path(folder / file) as temporary:
            table.to_csv(temporary, index=False)
    with atomic_path(folder / "labels.png") as temporary:
        plot_global(labels, title=run.id).savefig(temporary, dpi=120, facecolor="white")
    return str(folder)


if __name__ == "__main__":
    main()
