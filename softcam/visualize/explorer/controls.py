"""The fields and buttons of an explorer, each with its name; they follow what the state says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from softcam.layerwise.panels import box
from softcam.visualize.explorer.asking import fills_of
from softcam.visualize.explorer.canvas import make_slider
from softcam.visualize.explorer.region import Region
from softcam.visualize.explorer.state import COSTLY, State
from softcam.visualize.explorer.subjects import Subject
from softcam.visualize.explorer.words import GAUGE_NAMES, cost

__all__ = ["Controls"]

_WIDE = {"description_width": "8rem"}
_SIDES = ("x", "y", "width", "height")


class Controls:
    """What a reader chooses with.

    Args:
        state: what is chosen from.
        safely: wraps what may be refused.
        choose: told of each choice, as `State.choose`.
        draw: told when only the look changes.
        has_slider: whether the subjects have an order.

    Attributes:
        what, looks, region: boxes of widgets.
    """

    def __init__(
        self,
        state: State,
        safely: Callable[[Callable[..., None]], Callable[..., None]],
        choose: Callable[..., None],
        draw: Callable[[], None],
        has_slider: Callable[[Sequence[Subject]], bool],
    ) -> None:
        import ipywidgets as widgets

        self._widgets, self._state = widgets, state
        self._safely, self._choose = safely, choose
        self._following = False  # while the fields follow the state, they are no choices
        self._parts: tuple[str, ...] = ()
        self._make_what(has_slider(state.subjects))
        self._make_region()
        self._make_looks(safely(draw))

    @property
    def smooth(self) -> bool:
        return bool(self._smooth.value)

    @property
    def outlined(self) -> bool:
        return bool(self._outlined.value)

    @property
    def shared(self) -> bool:
        """Whether all images and networks have one colour scale."""
        return bool(self._scale.value)

    def on_compute(self, act: Callable[[], None]) -> None:
        """What the button does that asks for a costly map."""
        self._compute.on_click(lambda _: act())

    def on_part(self, act: Callable[[int], None]) -> None:
        """What the button of a phantom's part does, told its number."""
        self._on_part = act

    def busy(self, working: bool) -> None:
        """Say on the button that a costly map is being computed."""
        self._compute.disabled = working
        self._compute.description = "Computing ..." if working else "Compute this map"

    def _field(self, kind: str, name: str, choice: str, **given: Any) -> Any:
        """A widget whose value is a choice of the state."""
        layout = self._widgets.Layout(width="min(26rem, 98%)")
        field = getattr(self._widgets, kind)(description=name, style=_WIDE, layout=layout, **given)
        field.observe(functools.partial(self._changed, choice), "value")
        return field

    def _changed(self, choice: str, change: Any) -> None:
        if not self._following and change["new"] is not None:
            self._safely(functools.partial(self._choose, **{choice: change["new"]}))()

    def _make_what(self, slider: bool) -> None:
        labels = [each.label for each in self._state.subjects]
        if slider:
            self._subject = make_slider("Lambda", labels)
            self._subject.observe(functools.partial(self._changed, "subject"), "value")
        else:
            options = [(label, n) for n, label in enumerate(labels)]
            self._subject = self._field("Dropdown", "Network", "subject", options=options, value=0)
        if len(labels) == 1:
            self._subject.layout.display = "none"
        self._picture = self._field("Dropdown", "Image", "picture")
        self._target = self._field("Dropdown", "Class", "target")
        self._method = self._field("Dropdown", "Explainer", "method")
        self._gauge = self._field("Dropdown", "Read as", "gauge")
        self._cost = self._widgets.HTML()
        self._compute = self._button("Compute this map")
        self._waiting = box(self._cost, self._widgets.HBox([self._compute]))
        self.what = box(
            self._picture, self._subject, self._target, self._method, self._gauge, self._waiting
        )

    def _make_region(self) -> None:
        keep = [("erase the region", False), ("keep only the region", True)]
        self._keep = self._field("Dropdown", "What to do", "keep", options=keep)
        self._fill = self._field("Dropdown", "Painted over with", "fill")
        self._sides = {}
        for name in _SIDES:
            field = self._widgets.BoundedIntText(
                description=name, min=0, max=10**6, style={"description_width": "3rem"},
                layout=self._widgets.Layout(width="7.5rem"),
            )  # fmt: skip
            field.observe(self._on_side, "value")
            self._sides[name] = field
        self._none = self._button("No region")
        nothing = self._safely(functools.partial(self._choose, region=None))
        self._none.on_click(lambda _: nothing())
        fields = self._widgets.HBox([*self._sides.values(), self._none])
        fields.add_class("softcam-fields")
        self._part_buttons = self._widgets.HBox()
        self._part_buttons.add_class("softcam-fields")
        self.region = box(self._keep, self._fill, fields, self._part_buttons)

    def _on_side(self, change: Any) -> None:
        if self._following:
            return
        numbers = [int(self._sides[name].value) for name in _SIDES]
        size = self._state.shown.size
        if self._state.region is None:  # of which one side is typed first: a quarter, not a pixel
            for place, side in ((2, size[1]), (3, size[0])):
                numbers[place] = numbers[place] or max(1, side // 4)
        self._safely(functools.partial(self._choose, region=Region.inside(numbers, size)))()

    def _make_looks(self, draw: Callable[[], None]) -> None:
        plain = self._widgets.Layout(width="min(24rem, 98%)")
        scales = [("the same for all images", True), ("this map alone", False)]
        self._scale = self._widgets.Dropdown(
            description="Colour scale", options=scales, style=_WIDE, layout=plain
        )
        checkbox = functools.partial(self._widgets.Checkbox, indent=False, layout=plain)
        self._smooth = checkbox(False, description="Blend the cells into each other")
        self._outlined = checkbox(False, description="Outline what is truly there")
        for each in (self._scale, self._smooth, self._outlined):
            each.observe(lambda change: None if self._following else draw(), "value")
        self.looks = box(self._scale, self._smooth, self._outlined)

    def _button(self, text: str) -> Any:
        return self._widgets.Button(description=text, layout=self._widgets.Layout(width="auto"))

    def draw(self) -> None:
        """Options and values as the state has them now."""
        self._following = True
        try:
            self._follow()
        finally:
            self._following = False

    def _follow(self) -> None:
        state = self._state
        pictures = [(_picture_name(p.name, p.truth, p.uploaded), n)
                    for n, p in enumerate(state.pictures)]  # fmt: skip
        methods = [(_method_name(state, m), m.name) for m in state.methods]
        _offer(self._picture, pictures, state.picture)
        _offer(self._target, [(name, c) for c, name in enumerate(state.names)], state.target)
        _offer(self._method, methods, state.method)
        _offer(self._gauge, [(GAUGE_NAMES[g], g) for g in state.gauges], state.gauge)
        _offer(self._fill, [(f.replace("-", " "), f) for f in fills_of(state.model)], state.fill)
        self._subject.value, self._keep.value = state.subject, state.keep
        # The maps of another method have no common scale: there is nothing to choose.
        self._scale.layout.display = None if state.method == "softcam" else "none"
        self._outlined.disabled = state.shown.finding is None
        self._cost.value = f"<p>{cost(state)}</p>" if state.waits else ""
        self._waiting.layout.display = None if state.waits else "none"
        height, width = state.shown.size
        for name, most in zip(_SIDES, (width - 1, height - 1, width, height), strict=True):
            self._sides[name].max = most
            self._sides[name].value = 0 if state.region is None else getattr(state.region, name)
        self._offer_parts()

    def _offer_parts(self) -> None:
        names = tuple(part.name for part in self._state.parts())
        if names == self._parts:
            return
        self._parts = names
        buttons = []
        for number, name in enumerate(names):
            button = self._button(f"Around the {name}")
            button.on_click(lambda _, n=number: self._on_part(n))
            buttons.append(button)
        self._part_buttons.children = buttons


def _offer(field: Any, options: list[tuple[str, Any]], value: Any) -> None:
    """New options only where they differ, for they empty the field."""
    if list(field.options) != options:
        field.options = options
    if field.value != value:
        field.value = value


def _picture_name(name: str, truth: str, uploaded: bool) -> str:
    return f"{name} (your image)" if uploaded else f"{name}: {truth}" if truth else name


def _method_name(state: State, method: Any) -> str:
    if method.needs == "nothing" or method.name == "fake-cam":
        return f"{method.title} (a control: knows nothing of the network)"
    if state.passes_of(method) > COSTLY:
        return f"{method.title} (costly)"
    return str(method.title)
