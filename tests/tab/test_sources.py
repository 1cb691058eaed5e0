"""The page's own files: what they may reach, and that they fit together; no browser needed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools.tab.runtime import PAGE

PAGES = sorted(PAGE.glob("*.html")) + sorted(PAGE.glob("*.js")) + sorted(PAGE.glob("*.css"))
HTML = (PAGE / "index.html").read_text(encoding="utf-8")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_runtime_is_pinned_exactly_and_no_address_is_named() -> None:
    wanted = json.loads(text(PAGE / "package.json"))["dependencies"]
    locked = json.loads(text(PAGE / "package-lock.json"))["packages"]
    assert locked[""]["dependencies"] == wanted
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name} is not pinned exactly"
        assert locked[f"node_modules/{name}"]["version"] == version
    for name, package in locked.items():
        assert "resolved" not in package, f"{name} names where it comes from"
        assert not name or package["integrity"].startswith("sha512-"), f"{name} has no checksum"
    assert "http" not in re.sub(r"sha512-[\w+/=]+", "", text(PAGE / "package-lock.json"))


def test_the_policy_allows_this_address_only() -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', HTML)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'"
    allowed = {word for rule in rules.values() for word in rule.split()}
    assert allowed == {"'none'", "'self'", "'wasm-unsafe-eval'", "blob:", "data:"}
    assert HTML.index("Content-Security-Policy") < HTML.index("<script")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_file_names_an_address_elsewhere(path: Path) -> None:
    assert not re.findall(r"(?:https?|wss?)://|[\"'(]//", text(path))


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.js")), ids=lambda path: path.name)
def test_a_module_finds_what_it_imports_and_asks_for(path: Path) -> None:
    code = text(path)
    assert code.count("\n") < 300, "a file past 300 lines is asking to be two"
    for names, file in re.findall(r"import\s+\{([^}]+)\}\s+from \"\./([\w.]+)\"", code):
        exported = re.findall(
            r"export (?:async )?(?:function|const|class) (\w+)", text(PAGE / file)
        )
        missing = {name.strip() for name in names.split(",") if name.strip()} - set(exported)
        assert not missing, f"{file} has no {missing}"
    ids = set(re.findall(r'\bid="([\w-]+)"', HTML))
    asked = set(re.findall(r'(?:find|tell|range)\(\s*"([\w-]+)"', code))
    assert asked <= ids, f"the page has no {asked - ids}"


def test_every_field_has_a_label_and_every_picture_a_name() -> None:
    for tag, attributes in re.findall(r"<(input|select)([^>]*)>", HTML):
        (name,) = re.findall(r'\bid="([\w-]+)"', attributes) or [""]
        before = HTML[: HTML.index(attributes)]
        wrapped = before.count("<label") > before.count("</label>")
        assert wrapped or f'for="{name}"' in HTML, f"{tag} {name} has no label"
    for attributes in re.findall(r"<canvas([^>]*)>", HTML):
        assert "aria-label=" in attributes or 'aria-hidden="true"' in attributes, attributes


def test_the_page_says_what_a_reader_must_know() -> None:
    said = re.sub(r"<[^>]+>", "", HTML)
    for words in ("not for clinical use", "never leaves your device", "cannot follow"):
        assert words in said


def test_the_page_and_the_glossary_mean_the_same_by_their_words() -> None:
    glossary = text(PAGE.parent / "site" / "glossary.md")
    assert "\nimage share\n" in glossary and "{term}`contribution` = image share + $b_c" in glossary
    words = re.sub(r"<[^>]+>", "", HTML)
    related = "contribution, as the glossary has it, is its image share + bias / number of cells"
    assert related in words
    assert words.count("contribution") == 1, "a number without the bias is no contribution"
