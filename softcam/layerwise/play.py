"""The labelling game without its widgets: what is asked, what may be done, what is stored.

    showing --more--> showing          up to the last step
    showing --guess or resign--> answered --next--> showing, or finished

A session is known by its rounds in the store alone: opened again, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softcam.common import SoftCAMError, choose, digest, rng
from softcam.layerwise.clusters import ClusterMap
from softcam.layerwise.records import LAST, Round
from softcam.layerwise.reveal import STEPS, as_pixels, revealed
from softcam.layerwise.rounds import RoundStore

__all__ = ["Item", "Play"]

_STREAM = 71  # of the order of the items


@dataclass(frozen=True)
class Item:
    """One thing to guess.

    Attributes:
        image: (3, H, W) in [0, 1], or (H, W) or (H, W, 3) uint8.
        image_id: its name in the rounds.
        truth: the name of its class.
        cluster: what is shown of it.
    """

    image: np.ndarray
    image_id: str
    truth: str
    cluster: ClusterMap

    @property
    def key(self) -> tuple[str, str, int]:
        """(image, layer, cluster), as in `Round.key`."""
        return self.image_id, self.cluster.layer, self.cluster.index


class Play:
    """One player's way through the items, in an order of its own.

    Args:
        items: each image, layer and cluster once.
        classes: the names to choose from, two or more.
        store: where finished rounds go.
        session: any text that is not empty; the same text goes on with the same session.
        player: nickname, stored with the rounds from now on; if empty, the last one of the session.
        seed: of the order, together with the session.

    Attributes:
        item: what is shown now, None when all is done.
        step: index in `STEPS` of what is shown.
        answer: the round that was just finished, until `next`.
        problem: why rounds are not stored, empty when they are.

    Raises:
        SoftCAMError: items or classes that do not fit together, or a store that cannot be read.
    """

    def __init__(
        self,
        items: Sequence[Item],
        classes: Sequence[str],
        store: RoundStore,
        *,
        session: str,
        player: str = "",
        seed: int = 0,
    ) -> None:
        self.classes = _checked_classes(classes)
        _check_items(items, self.classes)
        if not isinstance(session, str) or not session.strip():
            raise SoftCAMError(f"session is {session!r}: expected text that is not empty.")
        self.store, self.session, self.player = store, session, player
        number = int(digest(session.encode("utf-8", "surrogatepass"), length=12), 16)
        order = rng(seed, number, _STREAM).permutation(len(items))
        self.items = tuple(items[i] for i in order)
        self.item: Item | None = None
        self.step = 0
        self.answer: Round | None = None
        self.problem = ""
        self.retry()
        self.refresh()
        if not player and self._rounds:
            self.player = self._rounds[-1].player

    @property
    def total(self) -> int:
        """How many rounds there are."""
        return len(self.items)

    @property
    def done(self) -> int:
        """How many of them are finished."""
        return len({each.key for each in self._rounds})

    @property
    def correct(self) -> int:
        """How many were guessed right."""
        return sum(each.correct for each in self._rounds)

    @property
    def points(self) -> int:
        """The sum of the rounds' points."""
        return sum(each.points for each in self._rounds)

    def picture(self) -> np.ndarray:
        """The image as far as it is shown, (H, W, 3) uint8; all of it after the answer."""
        item = self._current()
        return revealed(item.image, item.cluster, 1 if self.answer else STEPS[self.step])

    def more(self) -> bool:
        """Show one step more; False if there is none."""
        self._unanswered()
        if self.step == LAST:
            return False
        self.step += 1
        return True

    def guess(self, class_name: str, words: str = "") -> Round:
        """Answer, and store the round."""
        choose("class", class_name, self.classes)
        return self._finish(class_name, False, words)

    def resign(self, words: str = "") -> Round:
        """Give up, and store the round; it counts as the last step."""
        return self._finish("", True, words)

    def next(self) -> Item | None:
        """Go on to the next item; None when all is done."""
        if self.answer is None:
            raise SoftCAMError("this round is not finished: guess or resign first.")
        self._choose()
        return self.item

    def retry(self) -> bool:
        """Store what waits; False, and why in `problem`, if it must go on waiting."""
        try:
            self.store.retry()
        except SoftCAMError as error:
            self.problem = str(error)
        else:
            self.problem = ""
        return not self.problem

    def refresh(self) -> None:
        """Go to the first item that this session has not done, by what the store says now."""
        known = {item.key for item in self.items}
        rounds = self.store.of_session(self.session)
        self._rounds = [each for each in rounds if each.key in known]
        self._choose()

    def _choose(self) -> None:
        done = {each.key for each in self._rounds}
        self.item = next((item for item in self.items if item.key not in done), None)
        self.step, self.answer = 0, None

    def _finish(self, guess: str, resigned: bool, words: str) -> Round:
        self._unanswered()
        item = self._current()
        answer = Round(
            session=self.session,
            player=self.player,
            image=item.image_id,
            layer=item.cluster.layer,
            cluster=item.cluster.index,
            class_name=item.truth,
            guess=guess,
            resigned=resigned,
            reveal=LAST if resigned else self.step,
            words=words,
        )
        try:
            self.store.add(answer)
        except SoftCAMError as error:
            self.problem = str(error)
        else:
            self.problem = ""
        self.answer = answer
        self._rounds.append(answer)
        return answer

    def _current(self) -> Item:
        if self.item is None:
            raise SoftCAMError("all rounds of this session are finished: nothing is left to show.")
        return self.item

    def _unanswered(self) -> None:
        self._current()
        if self.answer is not None:
            raise SoftCAMError("this round is finished: go on with `next`.")


def _checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    names = tuple(classes)
    fit = all(isinstance(name, str) and name.strip() for name in names)
    if isinstance(classes, str) or len(names) < 2 or len(set(names)) < len(names) or not fit:
        raise SoftCAMError(f"classes are {classes!r}: expected two or more different names.")
    return names


def _check_items(items: Sequence[Item], classes: Sequence[str]) -> None:
    if not items:
        raise SoftCAMError("no items: expected one or more things to guess.")
    seen = set()
    for item in items:
        choose(f"class of image {item.image_id!r}", item.truth, classes)
        as_pixels(item.image)
        if item.key in seen:
            raise SoftCAMError(f"item {item.key} comes twice: expected each cluster map once.")
        seen.add(item.key)
