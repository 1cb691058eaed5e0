"""Every public name of every room has its entry, once, with its docstring."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("docutils", reason="docutils, of the extra docs, is not installed")
from tools.site.api import public_rooms, write_api

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r"^\.\. (?:autoclass|autofunction|py:data):: (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    stage = tmp_path_factory.mktemp("api")
    assert write_api(ROOT, stage) > 400
    return {path.stem: path.read_text(encoding="utf-8") for path in (stage / "api").glob("*.rst")}


def test_every_public_name_is_in_the_table_of_its_room(pages: dict[str, str]) -> None:
    for room in public_rooms(ROOT):
        for section in room.sections:
            for name in section.names:
                assert f":py:obj:`{name} <" in pages[room.name], f"{section.path}.{name}"


def test_every_link_of_a_table_leads_to_one_entry(pages: dict[str, str]) -> None:
    entries = [name.replace("::", ".") for page in pages.values() for name in ENTRY.findall(page)]
    assert len(entries) == len(set(entries))
    linked = {target for page in pages.values() for target in re.findall(r"<(softcam\S+)>`", page)}
    assert linked == set(entries)


def test_the_lowest_room_describes_what_others_hand_on(pages: dict[str, str]) -> None:
    assert ".. autoclass:: softcam.evidence::SoftCAM" in pages["evidence"]
    assert "autoclass:: softcam::SoftCAM" not in pages["softcam"]
    assert "<softcam.evidence.SoftCAM>`" in pages["softcam"]
    # A function of the lower room, handed on by the package.
    assert ":py:obj:`evaluate <softcam.evaluation.evaluate>`" in pages["softcam"]


def test_measures_and_methods_stand_with_their_source(pages: dict[str, str]) -> None:
    from softcam.explainers import explainers
    from softcam.metrics import measures

    for each in measures():
        assert f"``{each.name}``" in pages["metrics"]
    for name in explainers():
        assert f"``{name}``" in pages["explainers"]
    assert "Zhang et al." in pages["metrics"] and "IJCNN 2020" in pages["explainers"]


def test_every_public_function_and_class_has_a_docstring(pages: dict[str, str]) -> None:
    empty = re.findall(r"<(softcam\S+)>`\n     - $", "\n".join(pages.values()), re.MULTILINE)
    assert not empty, f"no docstring: {empty}"
