"""Which class is asked about, in which images."""

from __future__ import annotations

import numpy as np
import torch

from softcam.evaluation.question import ask, findings_of, output_index, some_of
from tests.evaluation.known import bright_square


def test_limit_is_a_seeded_choice_of_diseased_images() -> None:
    data = bright_square(40)
    few, again, other = ask(data, 5, 0), ask(data, 5, 0), ask(data, 5, 1)
    assert len(few.occluded) == 5 and (data.labels[few.occluded] == 1).all()
    assert (few.occluded == again.occluded).all() and set(few.occluded) != set(other.occluded)
    for limit in (None, 20, 1000):
        assert ask(data, limit, 0).occluded.tolist() == list(range(1, 40, 2))


def test_a_larger_limit_holds_the_smaller_one() -> None:
    every = np.arange(50) * 3
    for a, b in ((3, 7), (7, 30)):
        assert set(some_of(every, a, 4)) < set(some_of(every, b, 4)) < set(every)
    assert (np.diff(some_of(every, 7, 4)) > 0).all()


def test_two_classes_are_asked_for_the_second_wherever_a_finding_is_marked() -> None:
    data = bright_square(8)
    data.masks[0] = data.masks[1]  # marked though healthy
    question = ask(data, None, 0)
    assert question.name == "class:1" and question.targets.tolist() == [1] * 8
    assert question.located.tolist() == [0, 1, 3, 5, 7]
    assert question.occluded.tolist() == [1, 3, 5, 7]


def test_several_classes_are_asked_for_the_label_and_never_of_healthy_images() -> None:
    data = bright_square(8, classes=3)
    data.masks[0] = data.masks[1]
    question = ask(data, 2, 0)
    assert question.name == "label" and (question.targets == data.labels).all()
    assert question.located.tolist() == [1, 3, 5, 7]
    assert len(question.occluded) == len(question.twinned) == 2


def test_only_some_images_may_be_asked() -> None:
    question = ask(bright_square(8), None, 0, only=[0, 1, 2, 5])
    assert question.located.tolist() == question.occluded.tolist() == [1, 5]
    assert len(ask(bright_square(8), None, 0, only=[]).located) == 0


def test_the_logit_of_a_class() -> None:
    classes = np.array([0, 1, 1])
    assert output_index(classes, 1).tolist() == [0, 0, 0]
    assert output_index(classes, 2).tolist() == [0, 1, 1]
    assert output_index(classes, 2).dtype == torch.long


def test_what_is_marked() -> None:
    data = bright_square(4)
    assert (findings_of(data, np.array([3, 1]))[0].numpy() == data.finding(3)).all()
    assert findings_of(data, np.array([], int)).shape == (0, 32, 32)
