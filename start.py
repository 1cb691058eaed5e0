"""The one door to softcam: `python start.py WORD` on Linux, macOS and Windows.

Makes `.venv` from `lock.txt` when it is missing or stale, then does what WORD says. Needs nothing
but Python >= 3.11: only the standard library is imported, and older Pythons can still read this
file, so that they can say what is wrong.
"""

from __future__ import annotations

import difflib
import os
import shutil
import sys
from pathlib import Path

from tools.environment import (
    OLDEST_PYTHON,
    ROOT,
    VENV,
    Failure,
    call,
    in_venv,
    prepare,
    python,
    say,
)

CACHES = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache")
# Two workers of one thread each: on two cores that beats one worker of two threads.
IN_PARALLEL = ("-n", "2", "--dist", "loadfile")
KEPT = {".git", ".venv", "data", "runs"}  # `clean` does not look inside


def tutorial(arguments: list[str]) -> int:
    """run notebooks 00-06 and write runs/tutorial/report.html (--profile quick: minutes)"""
    return call(in_venv("softcam"), "run", "tutorial", *arguments)


def test(arguments: list[str]) -> int:
    """lint, format, types, order of rooms, then every test and every notebook"""
    checks = {
        "ruff check": ("-m", "ruff", "check", "."),
        "ruff format": ("-m", "ruff", "format", "--check", "."),
        "mypy": ("-m", "mypy"),
    }
    failed = [name for name, command in checks.items() if python(*command)]
    if call(in_venv("lint-imports")):
        failed.append("lint-imports")
    if failed:
        say(f"FAILED already: {', '.join(failed)} (see above); the tests run all the same")
    notebooks = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    named = any(Path(argument.split("::")[0]).exists() for argument in arguments)
    chosen: list[str | Path] = []
    if not named:
        chosen = [*IN_PARALLEL, "--nbval-lax", "--nbval-current-env", "tests", *notebooks]
    status = python("-m", "pytest", *chosen, *arguments, OMP_NUM_THREADS="1")
    return status or int(bool(failed))


def test_fast(arguments: list[str]) -> int:
    """the unit tests only (two to three minutes)"""
    chosen = [*IN_PARALLEL, "-m", "not notebook and not slow"]
    return python("-m", "pytest", *chosen, *arguments, OMP_NUM_THREADS="1")


def lab(arguments: list[str]) -> int:
    """open JupyterLab in notebooks/"""
    return python("-m", "jupyterlab", *arguments, cwd=ROOT / "notebooks")


def bench(arguments: list[str]) -> int:
    """measure the times that the README speaks of, on this machine"""
    return python("-m", "tests.benchmarks", *arguments)


def reproduce(arguments: list[str]) -> int:
    """every table and figure: train, choose, measure, draw (--profile quick: minutes)"""
    return call(in_venv("softcam"), "reproduce", "all", *arguments)


def explore(arguments: list[str]) -> int:
    """open the evidence explorer in a browser; Ctrl-C ends it"""
    return call(in_venv("softcam"), "explore", *arguments)


def course(arguments: list[str]) -> int:
    """the instructor's bundle: course --secret FILE --roster CSV; course grade"""
    return call(in_venv("softcam"), "course", *arguments)


def site(arguments: list[str]) -> int:
    """build the pages of runs/site from executed notebooks"""
    return python("-m", "tools.site", *arguments)


def clean(arguments: list[str]) -> int:
    """remove caches; with --all also .venv (data/ and runs/ stay)"""
    if unknown := [argument for argument in arguments if argument != "--all"]:
        raise Failure(f"clean knows only --all, found {' '.join(unknown)}")
    for folder, names, _ in os.walk(ROOT):
        for name in [*CACHES, ".ipynb_checkpoints"]:
            if name in names:
                shutil.rmtree(Path(folder, name), ignore_errors=True)
        skipped = KEPT if Path(folder) == ROOT else set()
        names[:] = [name for name in names if name not in skipped]
    if "--all" in arguments:
        shutil.rmtree(VENV, ignore_errors=True)
    return 0


def show_help(arguments: list[str]) -> int:
    """say this"""
    print("python start.py WORD [arguments that are passed on]\n")
    for word, function in WORDS.items():
        print(f"  {word:10} {function.__doc__}")
    return 0


WORDS = {
    "tutorial": tutorial,
    "test": test,
    "test-fast": test_fast,
    "lab": lab,
    "bench": bench,
    "reproduce": reproduce,
    "explore": explore,
    "course": course,
    "site": site,
    "clean": clean,
    "help": show_help,
}


def main(arguments: list[str]) -> int:
    """Do one word; return the exit status."""
    word, *rest = arguments or ["help"]
    word = {"-h": "help", "--help": "help"}.get(word, word)
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise Failure(
                f"softcam needs Python 3.11 or newer; this is {sys.version.split()[0]} "
                f"({sys.executable}). Install a newer one (python.org, or conda create -n softcam "
                "python=3.11) and start this file with it: python3.11 start.py " + word
            )
        if word not in WORDS:
            close = difflib.get_close_matches(word, WORDS, n=1, cutoff=0.4)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise Failure(f"unknown word {word!r}.{hint} Known: {', '.join(WORDS)}.")
        if word not in ("clean", "help"):
            prepare()
        return WORDS[word](rest)
    except Failure as failure:
        print(f"start.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("start.py: stopped; run the same command again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
