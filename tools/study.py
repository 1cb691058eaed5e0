"""Train and measure one study of tools/studies/; a killed study goes on where it stopped.

    python tools/study.py phantoms-cxr [--weights FILE] [--processes 2]
    python tools/study.py phantoms-cxr --conditions default --seeds 0 1    # a part of it

Runs lie where `softcam train` puts them; tables and reports go to runs/study/NAME/CONDITION/. What
a study says under `evaluate` are keywords of `softcam.evaluate`.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

STUDIES = Path(__file__).with_name("studies")
log = logging.getLogger("study")


def cells(study: dict[str, Any]) -> list[tuple[str, int, str]]:
    """(condition, seed, arm), in the order in which they are run."""
    names, seeds = list(study["conditions"]), study["seeds"]
    found = [(name, seed, arm) for seed in seeds for name in names for arm in study["arms"]]
    once = study.get("arms_once", [])
    return found + [(name, seeds[0], arm) for name in names for arm in once]


def train_one(job: tuple[dict[str, Any], str | None, tuple[str, int, str]]) -> str:
    """Train one cell in a process of its own; returns the run's path."""
    import torch

    from softcam import load_profile, train

    torch.set_num_threads(1)  # two processes of one thread beat one process of two
    study, weights, (condition, seed, arm) = job
    options = dict(study["conditions"][condition])
    if study.get("seed_of_data"):
        options["seed"] = seed
    changes = {**study.get("train", {}), "weights": weights, "seed": seed}
    profile = load_profile(study["profile"])
    config = profile.config(arm, data=study["data"], data_options=options, **changes)
    path = train(config, progress=False).path
    log.warning("trained %s, seed %d, %s: %s", condition, seed, arm, path.name)
    return str(path)


def evaluate_one(job: tuple[dict[str, Any], str, str, list[str]]) -> str:
    """Measure all runs of one condition; returns the report's path."""
    import torch

    from softcam import write_report
    from softcam.common import runs_root
    from softcam.evaluate import evaluate_to

    torch.set_num_threads(1)
    study, name, condition, paths = job
    options = {"profile": study["profile"], "progress": False, **study["evaluate"]}
    folder = evaluate_to(runs_root() / "study" / name / condition, paths, **options)
    return str(write_report(folder))


def main() -> None:
    """Train every cell, then measure one condition after the other."""
    import yaml

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=sorted(path.stem for path in STUDIES.glob("*.yaml")))
    parser.add_argument("--weights", help="a local safetensors file for every run")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--conditions", nargs="+", help="only these")
    parser.add_argument("--seeds", nargs="+", type=int, help="only these")
    parser.add_argument("--metrics", nargs="+", help="only these; deletion curves cost most")
    words = parser.parse_args()
    study = yaml.safe_load((STUDIES / f"{words.study}.yaml").read_text(encoding="utf-8"))
    chosen = words.conditions or study["conditions"]
    study["conditions"] = {name: study["conditions"][name] for name in chosen}
    study["seeds"] = words.seeds or study["seeds"]
    if words.metrics:
        study["evaluate"]["metrics"] = words.metrics
    todo = cells(study)
    with multiprocessing.get_context("spawn").Pool(words.processes, maxtasksperchild=4) as pool:
        jobs = [(study, words.weights, cell) for cell in todo]
        paths = pool.map(train_one, jobs, chunksize=1)
        own = {
            name: [path for path, cell in zip(paths, todo, strict=True) if cell[0] == name]
            for name in study["conditions"]
        }
        measure = [(study, words.study, name, found) for name, found in own.items()]
        for report in pool.imap(evaluate_one, measure, chunksize=1):
            log.warning("report: %s", report)


if __name__ == "__main__":
    main()
