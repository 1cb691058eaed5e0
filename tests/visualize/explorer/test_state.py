"""All numbers of the explorer, on a network that can be calculated by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from softcam import open_data
from softcam.common import SoftCAMError
from softcam.explainers import explain_with
from softcam.twins import twin_effects
from softcam.visualize.explorer.pictures import Picture, open_pictures
from softcam.visualize.explorer.region import Region, box_of
from softcam.visualize.explorer.state import MOST_UPLOADS, State
from softcam.visualize.explorer.subjects import Subject
from softcam.visualize.overlay import common_limit
from softcam.wrappers import BlackBox
from tests.visualize.explorer import local_nets
from tests.visualize.explorer.local_nets import CLASSES, black_box, local_softcam, pictures, state

REGIONS = [Region(0, 0, 8, 8), Region(3, 10, 13, 5), Region(0, 0, 32, 32), Region(31, 31, 1, 1)]


@pytest.mark.parametrize("region", REGIONS, ids=str)
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("gauge", ["raw", "centred", "contrast"])
def test_where_cells_see_only_themselves_map_and_network_agree(
    region: Region, keep: bool, gauge: str
) -> None:
    """Mean colour is 0 after normalisation, so of a painted cell the bias is left."""
    shown = state(gauge=gauge, region=region, keep=keep, fill="mean-colour")
    answers = shown.answers()
    assert answers is not None and answers.by_map is not None
    assert answers.by_map == pytest.approx(answers.by_network, abs=1e-5)
    painted = answers.painted != shown.shown.image
    hidden = torch.from_numpy(region.mask((32, 32)) ^ keep)
    assert not painted[:, ~hidden].any(), "a pixel that stays has changed"
    expected = torch.tensor(local_nets.MEAN)[:, None].expand(3, int(hidden.sum()))
    torch.testing.assert_close(answers.painted[:, hidden], expected)


def test_with_everything_erased_the_bias_is_left() -> None:
    answers = state(region=Region(0, 0, 32, 32)).answers()
    assert answers is not None
    bias = state().model.bias[state().target]  # type: ignore[union-attr]
    assert answers.by_map == pytest.approx(float(bias), abs=1e-6)


def test_blur_shows_something_else_than_mean_colour() -> None:
    seen = [state(region=REGIONS[1], fill=fill).answers() for fill in ("mean-colour", "blur")]
    assert seen[0] and seen[1] and seen[0].by_map == seen[1].by_map
    assert abs(seen[0].by_network - seen[1].by_network) > 1e-3


def test_without_a_region_nothing_is_asked() -> None:
    assert state().answers() is None


def test_the_contrast_stays_against_the_class_it_began_with() -> None:
    """Erasing may change which class comes second; the difference must be of the same two."""
    shown = state(gauge="contrast", region=Region(0, 0, 32, 16))
    other, answers = shown.other, shown.answers()
    assert answers is not None and other is not None
    with torch.no_grad():
        after = shown.model(answers.painted[None])[0]
    expected = float(after[shown.target] - after[other])
    assert answers.by_network == pytest.approx(expected, abs=1e-5)


def test_a_sigmoid_has_one_zero() -> None:
    one = State([Subject(local_softcam(1, "sigmoid"), "one", ("healthy", "ill"))], pictures())
    assert one.gauges == ("raw",) and one.names == ("ill",) and one.other is None
    with pytest.raises(SoftCAMError, match="gauge"):
        one.choose(gauge="contrast")
    three = State([Subject(local_softcam(3, "sigmoid"), "three")], pictures())
    assert three.gauges == ("raw",) and three.names == ("class 0", "class 1", "class 2")


def test_a_black_box_offers_only_what_is_computed_after_the_prediction() -> None:
    shown = State([Subject(black_box(), "box", CLASSES)], pictures())
    names = [each.name for each in shown.methods]
    assert "softcam" not in names and "b-cos" not in names and shown.method == names[0]
    assert shown.method == "grad-cam"
    reading = shown.reading()
    assert reading is not None and not reading.exact
    target = torch.tensor([shown.target])
    expected = explain_with("grad-cam", shown.model, shown.shown.image[None], target)[0]
    np.testing.assert_allclose(reading.cells, expected.numpy(), atol=1e-6)
    assert shown.bias is None


def test_going_to_a_black_box_and_back_puts_right_what_no_longer_fits() -> None:
    subjects = [Subject(local_softcam(), "maps", CLASSES), Subject(black_box(), "box", CLASSES)]
    shown = State(subjects, pictures())
    assert shown.method == "softcam"
    shown.choose(subject=1)
    assert shown.method == "grad-cam"
    shown.choose(subject=0, method="softcam")
    assert shown.reading().exact  # type: ignore[union-attr]


def test_a_costly_map_waits_until_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = state()
    asked: list[Any] = []
    monkeypatch.setattr(shown.computing, "maps", lambda *given: asked.append(given) or {
        "raw": torch.zeros(4, 4)})  # fmt: skip
    shown.choose(method="rise")
    assert shown.waits and shown.passes == 256 and shown.reading() is None and not asked
    shown.compute()
    assert shown.reading() is not None and len(asked) == 1
    shown.choose(picture=1)
    assert shown.waits and shown.reading() is None, "the next image costs as much again"


def test_what_was_computed_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = state(method="grad-cam")
    first = shown.reading()
    shown.choose(picture=1)
    shown.reading()
    monkeypatch.setattr(shown.model, "forward", None)
    monkeypatch.setattr(shown.model, "forward_features", None)
    shown.choose(picture=0)
    again = shown.reading()
    assert first is not None and again is not None
    np.testing.assert_array_equal(first.cells, again.cells)
    assert shown.passes == 0


@pytest.mark.parametrize(
    "given",
    [{"subject": 1}, {"picture": 2}, {"picture": -1}, {"target": 3}, {"method": "softcm"},
     {"gauge": "centered"}, {"fill": "pink"}, {"subjects": 0}, {"picture": 1, "target": 9}],
    ids=str,
)  # fmt: skip
def test_a_choice_that_there_is_not_changes_nothing(given: dict[str, Any]) -> None:
    shown = state(region=REGIONS[1])
    before = (shown.subject, shown.picture, shown.target, shown.method, shown.gauge, shown.fill)
    with pytest.raises(SoftCAMError):
        shown.choose(**given)
    after = (shown.subject, shown.picture, shown.target, shown.method, shown.gauge, shown.fill)
    assert before == after and shown.region == REGIONS[1]


def test_one_colour_scale_for_all_images_and_networks() -> None:
    subjects = [Subject(local_softcam(seed=s), f"net {s}", CLASSES) for s in (0, 1)]
    shown, cells = State(subjects, pictures(3)), []
    for subject in subjects:
        for picture in pictures(3):
            e = subject.model.explain(picture.image[None])  # type: ignore[union-attr]
            own = (e.maps - e.bias[None, :, None, None])[0].double() / 16
            for c in range(3):
                rest = [k for k in range(3) if k != c]
                best = max(rest, key=lambda k, at=e: float(at.logits[0, k]))
                cells += [own[c].numpy(), (own[c] - own[best]).numpy()]
    assert shown.limit() == pytest.approx(common_limit(cells), rel=1e-5)
    shown.choose(picture=2, subject=1)
    assert shown.limit() == pytest.approx(common_limit(cells), rel=1e-5), "it must not follow"


def test_of_too_many_uploads_the_oldest_goes() -> None:
    shown = state(region=REGIONS[0])
    for number in range(MOST_UPLOADS + 2):
        image = torch.full((3, 32, 32), number / 20)
        shown.add(Picture("mine.png", image, uploaded=True))
        assert shown.shown.uploaded and float(shown.shown.image[0, 0, 0]) == image[0, 0, 0]
    assert shown.region is None
    assert len(shown.pictures) == 2 + MOST_UPLOADS
    assert len({each.name for each in shown.pictures}) == len(shown.pictures)
    assert [each.name for each in shown.pictures[:2]] == ["image 0", "image 1"]
    first = float(shown.pictures[2].image[0, 0, 0])
    assert first == pytest.approx(2 / 20), "the oldest two are gone"
    seen = {float(shown.computing.logits(shown.model, p)[0]) for p in shown.pictures[2:]}
    assert len(seen) == MOST_UPLOADS, "two uploads of one name share an answer"


def test_an_upload_that_the_network_cannot_take_is_not_added() -> None:
    shown = state()
    with pytest.raises(SoftCAMError, match="cannot be asked"):
        shown.add(Picture("small.png", torch.rand(3, 4, 4), uploaded=True))
    assert len(shown.pictures) == 2 and shown.picture == 0


def test_the_region_stays_inside_a_smaller_picture() -> None:
    small = replace(pictures()[1], image=torch.rand(3, 16, 16))
    shown = State([Subject(local_softcam(), "local")], [pictures()[0], small])
    shown.choose(region=Region(10, 4, 20, 20))
    shown.choose(picture=1)
    assert shown.region == Region(10, 4, 6, 12)


@pytest.mark.parametrize("gauge", ["raw", "contrast"])
def test_the_twins_of_a_phantom_say_what_its_parts_are_worth(gauge: str, project: Any) -> None:
    data = open_data("phantoms:cxr", 32, n_train=4, n_val=4, n_test=12, shortcut=1.0,
                     progress=False).test  # fmt: skip
    row = int(data.with_findings()[0])
    model = local_softcam(2)
    shown = State([Subject(model, "local", data.classes)], open_pictures(data, 32, [row]))
    shown.choose(target=1, gauge=gauge)
    effects = twin_effects(model, data, [row])
    others = np.zeros(len(effects), np.int64)
    true = effects.effect(gauge, np.ones(len(effects), np.int64), others)
    assert len(shown.parts()) == len(effects) > 1
    for part, change in zip(shown.parts(), true, strict=True):
        shown.choose(region=box_of(part.mask), keep=False)
        answers = shown.answers()
        assert answers is not None
        said = {name: (share, value) for name, share, value in answers.twins}
        share, value = said[part.name]
        assert share == 1 and answers.value - value == pytest.approx(change, abs=1e-6)
        shown.choose(keep=True)
        assert shown.answers().twins == (), "a twin cannot keep"  # type: ignore[union-attr]
    corner = Region(0, 31, 1, 1)
    shown.choose(region=corner, keep=False)
    assert shown.answers().twins == ()  # type: ignore[union-attr]


def test_other_images_have_no_twins() -> None:
    assert state().parts() == []


def test_a_network_without_a_feature_map_is_offered_what_needs_none() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
    shown = State([Subject(BlackBox(net).eval(), "flat")], pictures())
    names = {each.name for each in shown.methods}
    assert "grad-cam" not in names and "integrated-gradients" in names
    assert shown.fill != "mean-colour", "this network knows no mean colour"


def test_a_method_of_one_pass_a_channel_costs_them_all() -> None:
    shown = State([Subject(black_box(), "box")], pictures())
    shown.choose(method="score-cam")
    assert shown.passes == 5 + 1
