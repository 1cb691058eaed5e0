"""What the explorer says: sums that are right, names that are only text, the text of a picture."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest

from softcam.visualize.explorer import tables, words
from softcam.visualize.explorer.drawing import sign_colour
from softcam.visualize.explorer.reading import Reading
from softcam.visualize.explorer.region import Region
from softcam.visualize.explorer.state import State
from softcam.visualize.explorer.subjects import Subject
from tests.visualize.explorer.local_nets import black_box, local_softcam, pictures, state

NASTY = "<script>alert('x')</script>&amp;\""


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", html)).replace("\u2212", "-")


def numbers(html: str) -> list[float]:
    return [float(each) for each in re.findall(r"[+-]?\d+\.\d{3}\b", plain(html))]


@pytest.mark.parametrize("gauge", ["raw", "centred", "contrast"])
def test_the_sum_is_spelled_out(gauge: str) -> None:
    shown = state(gauge=gauge)
    reading = shown.reading()
    assert reading is not None
    value, positive, negative, bias = numbers(words.spelled_out(shown, reading))
    assert value == pytest.approx(positive + negative + bias, abs=0.002)
    assert [value, positive, negative, bias] == pytest.approx(
        [reading.value, reading.positive, reading.negative, reading.rest], abs=5e-4
    )
    text = plain(words.spelled_out(shown, reading))
    assert f"from {int((reading.cells > 0).sum())} cell" in text and "exact" in text


def test_other_methods_are_not_said_to_add_up() -> None:
    shown = State([Subject(black_box(), "box")], pictures())
    text = plain(words.spelled_out(shown, shown.reading()))
    assert "is in no cell" in text and "exact" not in text and "after the prediction" in text
    assert "black box" in plain(words.no_maps(shown)) and words.no_maps(state()) == ""
    shown.choose(method="eigen-cam")
    text = plain(words.spelled_out(shown, shown.reading()))
    assert "are no logits" in text and "exact" not in text
    shown.choose(method="rise")
    assert "not computed yet" in words.spelled_out(shown, shown.reading())
    assert "256 forward passes" in words.cost(shown)


def test_only_a_softcam_has_image_shares_and_they_are_no_contributions() -> None:
    for method, head in (
        ("softcam", "image share"),
        ("grad-cam", "logits"),
        ("eigen-cam", "value"),
    ):
        shown = state(method=method)
        reading = shown.reading()
        assert reading is not None
        table = tables.top_cells(shown, reading)
        assert f'<th scope="col">{head}</th>' in table
        related = (
            "contribution, as the glossary has it, is its image share + bias / number of cells"
        )
        assert (related in plain(table)) == reading.exact, method
        assert ("image share" in words.colour_bar(1, reading, False)) == reading.exact, method


def test_what_grad_cam_leaves_of_a_softcam_is_the_bias() -> None:
    shown = state(method="grad-cam")
    text = plain(words.spelled_out(shown, shown.reading()))
    assert "is left, which here is the bias" in text


def test_each_row_of_logits_adds_up() -> None:
    shown = state()
    rows = re.findall(r"<tr.*?</tr>", tables.logit_table(shown))[1:]
    assert len(rows) == 3
    for c, row in enumerate(rows):
        positive, negative, bias, logit = numbers(row)
        assert logit == pytest.approx(positive + negative + bias, abs=0.002)
        assert logit == pytest.approx(float(shown.logits[c]), abs=5e-4)
        assert words.percent(float(shown.probabilities[c])) in row
    assert [("softcam-chosen" in row) for row in rows].index(True) == shown.target


def test_of_many_classes_the_highest_are_listed_and_the_chosen_one() -> None:
    shown = State([Subject(local_softcam(20), "many")], pictures())
    lowest = int(shown.logits.argmin())
    shown.choose(target=lowest)
    text = plain(tables.logit_table(shown))
    best = shown.logits.argsort(descending=True)[:5].tolist()
    found = {int(each) for each in re.findall(r"class (\d+)", text)}
    assert found == {lowest, *best} and "6 highest of 20" in text


def test_the_answers_say_who_says_what() -> None:
    shown = state(region=Region(0, 0, 16, 16))
    answers = shown.answers()
    assert answers is not None
    html = tables.region_table(shown, answers)
    found = numbers(html)
    expected = [
        answers.value,
        answers.by_map,
        answers.value - answers.by_map,
        answers.by_network,
        answers.value - answers.by_network,
    ]  # type: ignore[operator]
    assert found == pytest.approx(expected, abs=5e-4)
    assert "the map" in plain(html) and "the network" in plain(html) and 'alt="' in html
    assert "only a guess about pixels" in plain(html)
    shown.choose(method="rise")
    assert "before it is computed" in plain(tables.region_table(shown, shown.answers()))
    shown.choose(method="eigen-cam")
    assert "not in logits" in plain(tables.region_table(shown, shown.answers()))
    assert "Drag a rectangle" in tables.region_table(shown, None)


def test_the_top_cells_are_the_text_of_the_picture() -> None:
    shown = state()
    reading = shown.reading()
    assert reading is not None
    rows = re.findall(r"<tr>(?:<td>.*?)</tr>", tables.top_cells(shown, reading))
    cells = reading.cells
    first = re.findall(r"<td>(.*?)</td>", rows[0])
    row, column = np.unravel_index(cells.argmax(), cells.shape)
    assert first[:3] == [str(row + 1), str(column + 1), f"{column * 8}, {row * 8}"]
    listed = [numbers(each)[-1] for each in rows]
    high = sorted(cells[cells > 0].tolist(), reverse=True)[:5]
    low = sorted(cells[cells < 0].tolist())[:5][::-1]
    assert listed == pytest.approx([*high, *low], abs=5e-4)


def test_names_are_only_text() -> None:
    subject = Subject(local_softcam(), "net", (NASTY, "b", "c"))
    from dataclasses import replace

    shown = State([subject], [replace(pictures()[0], truth=NASTY, name=NASTY)])
    shown.choose(target=0, region=Region(0, 0, 8, 8))
    for gauge in ("raw", "centred", "contrast"):
        shown.choose(gauge=gauge)
        html = words.spelled_out(shown, shown.reading()) + tables.logit_table(shown)
        html += tables.region_table(shown, shown.answers())
        assert "<script" not in html and NASTY in unescape(html)


def test_a_picture_has_a_sentence() -> None:
    from dataclasses import replace

    shown = state()
    shown.pictures[0] = replace(shown.shown, truth="ill")
    text = words.describe_picture(shown, shown.reading())
    assert "image 0" in text and "in truth ill" in text and "4 by 4 cells" in text
    reading = shown.reading()
    assert reading is not None
    bar = words.colour_bar(0.25, reading, True)
    assert "\u22120.25" in bar and "logits" in bar and 'role="img"' in bar


def test_a_map_of_one_sign_is_drawn_about_its_mean() -> None:
    reading = Reading(np.array([[2.0, 4.0]]), 1.0, False, False)
    assert reading.middle == 3.0
    bar = words.colour_bar(1.0, reading, False)
    assert "+2 less" in bar and "+3 (its mean)" in bar and "+4 more" in bar
    for cells, in_logits in (([[-2.0, 4.0]], False), ([[0.0, 4.0]], False), ([[2.0, 4.0]], True)):
        assert Reading(np.array(cells), 1.0, in_logits, in_logits).middle == 0


def test_numbers_have_a_sign_and_a_true_minus() -> None:
    assert words.number(1.23456) == "+1.235" and words.number(-2) == "\u22122.000"
    assert words.number(-0.0001) == words.number(0) == "0.000"


def test_a_probability_is_never_called_sure() -> None:
    for share, text in [(0.5, "50.0%"), (0.99961, "99.961%"), (1, "over 99.999%"),
                        (0, "under 0.001%"), (0.0002, "0.020%")]:  # fmt: skip
        assert words.percent(share) == text


def test_the_colours_of_bars_are_seen_on_white_and_on_black() -> None:
    def light(channel: int) -> float:
        share = channel / 255
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    for sign in (-1, 1):
        found = re.findall(r"\d+", sign_colour(sign))
        shine = sum(w * light(int(c)) for w, c in zip((0.2126, 0.7152, 0.0722), found, strict=True))
        assert (shine + 0.05) / 0.05 > 3 and 1.05 / (shine + 0.05) > 3, "contrast as in WCAG"
        assert (int(found[0]) > int(found[2])) == (sign > 0), "red is for, blue against"
