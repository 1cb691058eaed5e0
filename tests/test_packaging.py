"""pyproject.toml, the locks and environment.yml agree, and every import is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import sync_lock

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("lock.txt", "lock-oldest.txt")
PARTNERS = {"2.6": "0.21", "2.15": "0.29"}  # torch and the torchvision built for it
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
# Cheap beside torch; everything else is imported where it is used.
AT_THE_TOP = {"numpy", "torch", "PIL", "tqdm", "typer", "yaml"}


def project() -> dict:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def lines(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def declared(*, with_extras: bool, without: tuple[str, ...] = ()) -> dict[str, Requirement]:
    texts = list(project()["dependencies"])
    if with_extras:
        extras = project()["optional-dependencies"].items()
        texts += [text for name, extra in extras if name not in without for text in extra]
    return {canonicalize_name(each.name): each for each in map(Requirement, texts)}


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_each_declared_range_holds_its_pin(lock: str, python: str) -> None:
    pins = sync_lock.pins(ROOT / lock, python)
    for name, requirement in declared(with_extras=True).items():
        assert name in pins, f"{lock} has no pin for {name}: run tools/sync_lock.py"
        assert pins[name] in requirement.specifier, f"{lock}: {name} {pins[name]}, {requirement}"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_exact_pins_and_no_addresses(lock: str) -> None:
    for line in lines(lock):
        assert re.fullmatch(r"[a-z0-9-]+==[\w.!+]+( ; .+)?", line), f"{lock}: {line!r}"
        assert "://" not in line


@pytest.mark.parametrize("lock", LOCKS)
def test_torch_and_torchvision_are_a_pair(lock: str) -> None:
    pins = sync_lock.pins(ROOT / lock)
    torch, torchvision = (pins[name].rsplit(".", 1)[0] for name in ("torch", "torchvision"))
    assert pins["torch"] != "2.13.0", "the CPU file of torch 2.13.0 has no torchvision partner"
    assert PARTNERS.get(torch) == torchvision


def test_the_installed_pair_agrees_with_torchvisions_own_requirement() -> None:
    needs = [Requirement(text) for text in metadata.requires("torchvision") or ()]
    torch = next(each for each in needs if each.name == "torch")
    assert metadata.version("torch") in torch.specifier


def test_the_oldest_lock_is_the_oldest_torch_allowed() -> None:
    oldest = min(
        each.version for each in declared(with_extras=False)["torch"].specifier
        if each.operator == ">="
    )  # fmt: skip
    assert sync_lock.pins(ROOT / "lock-oldest.txt")["torch"].startswith(f"{oldest}.")


def test_environment_yml_is_what_the_tool_writes() -> None:
    expected = sync_lock.environment_yml(sync_lock.pins(ROOT / "lock.txt"))
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == expected


def test_environment_yml_has_the_locks_pins_and_names_the_notebooks() -> None:
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    packages = yaml.safe_load(text)["dependencies"][-1]["pip"]
    pins = sync_lock.pins(ROOT / "lock.txt")
    named = dict(line.split("==") for line in packages if "==" in line)
    assert set(named) == set(declared(with_extras=False))
    assert named == {name: pins[name] for name in named}
    for line in text.split("dependencies:\n")[1].splitlines():
        if line.strip() not in ("- pip:", ""):
            assert re.search(r"  # (\d\d|none: )", line), f"which notebook needs it? {line!r}"


def imports(path: Path) -> set[tuple[str, bool]]:
    """(top-level package, whether it is imported when the module is) of one file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        found |= {(name.split(".")[0], id(node) not in later) for name in names}
    return found


def third_party() -> list[tuple[Path, str, bool]]:
    own = {*sys.stdlib_module_names, "softcam"}
    files = sorted((ROOT / "softcam").rglob("*.py"))
    assert len(files) > 10, "the package was not found"
    return [(f, name, top) for f in files for name, top in sorted(imports(f)) if name not in own]


@pytest.mark.slow
def test_every_third_party_import_is_declared() -> None:
    needed = set(declared(with_extras=False))
    offered = set(declared(with_extras=True, without=("test",)))
    for path, name, top in third_party():
        package = canonicalize_name(DISTRIBUTIONS.get(name, name))
        where = f"{path.relative_to(ROOT)} imports {name}"
        assert package in offered, f"{where}: not in pyproject.toml"
        assert not top or package in needed, f"{where} at the top: an extra, not always there"


@pytest.mark.slow
def test_heavy_packages_are_imported_where_they_are_used() -> None:
    for path, name, top in third_party():
        assert not top or name in AT_THE_TOP, (
            f"{path.relative_to(ROOT)} imports {name} at the top: move it into the function"
        )


def test_the_readme_names_the_pins_of_the_lock() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pins = sync_lock.pins(ROOT / "lock.txt")
    named = re.findall(r"\b(torch|torchvision)==([\d.]+\d)", text)
    assert {name for name, _ in named} == {"torch", "torchvision"}
    for name, version in named:
        assert version == pins[name], f"README says {name}=={version}, the lock {pins[name]}"


def test_the_readme_lists_the_words_of_start_py() -> None:
    import start

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"python3? start\.py ([a-z-]+)", text))
    assert named <= set(start.WORDS), f"the README promises {named - set(start.WORDS)}"
    assert {"tutorial", "test"} <= named


def test_the_readmes_python_runs_as_it_stands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    explanation, model = names["explanation"], names["model"]
    error = (explanation.maps.mean((2, 3)) - explanation.logits).abs().max()
    assert error < 1e-5, "the README says that the maps' means are the logits"
    assert explanation.contrast(1, 0).shape == explanation.maps[:, 0].shape
    assert model.conversion is not None and model.conversion.max_logit_difference < 1e-5
