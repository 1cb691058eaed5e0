"""A process that grades: tries what a student might, and prints as JSON what came of each try.

Run by `test_guard.py` as `python child.py COURSE OUTSIDE`, inside the folder of a submission.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from softcam.course.guard import enter

COURSE, OUTSIDE = Path(sys.argv[1]), Path(sys.argv[2])
found: dict[str, str] = {}


def attempt(name: str, function: Callable[[], object]) -> None:
    """Note the exception, or that there was none."""
    try:
        function()
    except BaseException as error:
        found[name] = f"{type(error).__name__}: {error}"
    else:
        found[name] = "done"


def run(code: str) -> Callable[[], object]:
    """Code as a cell of a notebook would run it."""
    return lambda: exec(compile(code, "<cell>", "exec"), {"__name__": "__main__"})


def hungry() -> None:
    hog = [bytearray(200_000_000) for _ in range(40)]
    raise RuntimeError(f"got {len(hog)}")


def forever(features: object, weight: object) -> None:
    while True:
        pass


def warns(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    warnings.warn("deprecated, they say", stacklevel=1)
    print("loud", file=sys.stderr)
    return torch.einsum("cd,bdhw->bchw", weight, features)


enter(
    assignment=1,
    student="ada",
    variant="00ff",
    closed=[str(COURSE), str(OUTSIDE / "key.txt")],
    temporary=tempfile.mkdtemp(dir=OUTSIDE.parent),
    check_seconds=1,
    megabytes=1000,
)

# --- names that solve the assignment -------------------------------------------------------------
attempt("from-package", run("from softcam import to_softcam"))
attempt("from-module", run("from softcam.convert import to_softcam"))
attempt("attribute", run("import softcam.convert as c; c.to_softcam"))
attempt("importlib", run("import importlib; importlib.import_module('softcam').to_softcam"))
attempt("getattr", run("import softcam; getattr(softcam, 'SoftCAM')"))
attempt("dict", run("import softcam.convert; vars(softcam.convert)['to_softcam']"))
attempt("elsewhere", run("import softcam.travel.inverse as t, softcam.checkpoints as k; k.SoftCAM"))
attempt("module", run("from softcam.explainers.cam import *; cam"))
BY_PATH = """
import importlib.util as u, softcam
spec = u.spec_from_file_location("mine", softcam.__path__[0] + "/convert.py")
module = u.module_from_spec(spec)
spec.loader.exec_module(module)
module.to_softcam
"""
attempt("by-path", run(BY_PATH))
attempt("afresh", run("import sys; del sys.modules['softcam.convert']; import softcam.convert"))
attempt("references", run("from softcam.checks.invariant import evidence_maps"))
attempt("sealed", run("from softcam.course import open_sources"))
attempt("replaced", run("import softcam.course as k; k.check = print"))
attempt("pretending", run("__name__ = 'softcam.convert'\nfrom softcam import to_softcam"))
attempt("star", run("from softcam import *"))
attempt("others", run("from softcam import open_data, to_black_box; import softcam.metrics"))
attempt("inside", run("from softcam.backbones import build_net; build_net('resnet10t', 2)"))

# --- the checks go on working --------------------------------------------------------------------
attempt(
    "check",
    run(
        "import torch\n"
        "from softcam.course import check\n"
        "def cam(f, w): return torch.einsum('cd,bdhw->bchw', w, f)\n"
        "print(check('cam', cam, student='ada', hidden=True), file=__import__('io').StringIO())"
    ),
)
from softcam.course import check  # noqa: E402

attempt("too-long", lambda: check("cam", forever, student="ada"))
attempt("warning", lambda: found.__setitem__("said", str(check("cam", warns, student="bob"))))

# --- the guard ------------------------------------------------------------------------------------
attempt("connect", run("import socket; socket.create_connection(('127.0.0.1', 9))"))
attempt("raw", run("import socket; socket.socket().connect(('127.0.0.1', 9))"))
attempt("listen", run("import socket; socket.socket().bind(('127.0.0.1', 0))"))
attempt("name", run("import socket; socket.getaddrinfo('localhost', 80)"))
attempt("datagram", run("import socket as s; s.socket(2, 2).sendto(b'x', ('127.0.0.1', 9))"))
attempt("urllib", run("import urllib.request as u; u.urlopen('http://127.0.0.1:9')"))
attempt("process", run("import subprocess, sys; subprocess.run([sys.executable, '-V'])"))
attempt("system", run("import os; os.system('true')"))
SPAWN = "import multiprocessing as m; m.get_context('spawn').Process(target=print).start()"
attempt("spawn", run(SPAWN))
attempt("kill", run("import os; os.kill(os.getppid(), 0)"))
attempt("kill-own", run("import os; os.kill(os.getpid(), 0)"))
attempt("own-file", run("open('mine.txt', 'w').write('x'); open('mine.txt').read()"))
attempt("own-folder", run("import os; os.mkdir('sub'); open('sub/a', 'w').close()"))
attempt("temporary", run("import tempfile; tempfile.TemporaryFile().write(b'x')"))
attempt("outside", run(f"open({str(OUTSIDE / 'new.txt')!r}, 'w')"))
attempt("climb", run("open('../up.txt', 'a')"))
attempt("remove", run(f"import os; os.remove({str(OUTSIDE / 'kept.txt')!r})"))
attempt("rename", run(f"import os; os.rename('mine.txt', {str(OUTSIDE / 'moved.txt')!r})"))
attempt("link", run(f"import os; os.symlink({str(OUTSIDE)!r}, 'door')"))
attempt("read-outside", run(f"open({str(OUTSIDE / 'kept.txt')!r}).read()"))
attempt("gradebook", run(f"import sqlite3; sqlite3.connect({str(COURSE / 'gradebook.db')!r})"))
attempt("solutions", run(f"open({str(COURSE / 'source' / 'secret.txt')!r})"))
attempt("secret", run(f"open({str(OUTSIDE / 'my.secret')!r}).read()"))
attempt("named-secret", run(f"open({str(OUTSIDE / 'key.txt')!r}).read()"))
SEALED = Path(__file__).parents[2] / "notebooks" / "assignments" / "solutions.sealed"
attempt("sealed-file", run(f"open({str(SEALED)!r}).read()"))
attempt("tests", run(f"open({str(Path(__file__).with_name('submissions.py'))!r}).read()"))
attempt("others-work", run("import os; os.listdir('../..')"))
attempt("memory", hungry)

print(json.dumps(found))
