"""Train and measure the phantom study of phantom_study.yaml; a killed study goes on.

    python tools/phantom_study.py [--study FILE] [--processes 2]

Runs lie where `softcam train` puts them; tables go to runs/study/DIFFICULTY/.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def jobs(study: dict[str, Any]) -> list[tuple[str, int, str]]:
    """(difficulty, seed, arm), the order in which they are run."""
    found = [
        (d, s, a) for d in study["difficulties"] for s in study["seeds"] for a in study["arms"]
    ]
    return found + [(d, study["seeds"][0], a) for d in study["difficulties"] for a in study["once"]]


def train_one(job: tuple[dict[str, Any], str, int, str]) -> str:
    """Train one cell of the study in a process of its own; returns the run's path."""
    import torch

    from softcam import load_profile, train

    torch.set_num_threads(1)  # two processes of one thread beat one process of two
    study, difficulty, seed, arm = job
    options = {"difficulty": difficulty, "seed": seed}
    profile = load_profile(study["profile"])
    config = profile.config(arm, data=study["data"], data_options=options, seed=seed)
    path = str(train(config, progress=False).path)
    logging.getLogger("study").info("trained %s %s seed %d: %s", difficulty, arm, seed, path)
    return path


def main() -> None:
    """Train every cell, then evaluate one difficulty after the other."""
    import yaml

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    study = yaml.safe_load(arguments.study.read_text(encoding="utf-8"))
    cells = jobs(study)
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.processes) as pool:
        paths = pool.map(train_one, [(study, *cell) for cell in cells], chunksize=1)
    _evaluate(study, cells, paths)


def _evaluate(study: dict[str, Any], cells: list[tuple[str, int, str]], paths: list[str]) -> None:
    from softcam import Run, evaluate, load_profile, write_report
    from softcam.common import runs_root
    from softcam.results import write_results

    options = load_profile(study["profile"]).evaluate
    for difficulty in study["difficulties"]:
        runs = [Run.open(p) for p, cell in zip(paths, cells, strict=True) if cell[0] == difficulty]
        folder = runs_root() / "study" / difficulty
        table, per_image = evaluate(runs, profile=study["profile"], **options)
        write_results(table, per_image, folder)
        write_report(folder)


if __name__ == "__main__":
    main()
