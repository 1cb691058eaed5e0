"""Results side by side: what a function returned as NumPy arrays, whether two agree, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy import allclose  # a notebook may put something else into `numpy`

__all__ = [
    "Unfit",
    "array_in_words",
    "as_arrays",
    "differences",
    "number_in_words",
    "plain",
    "reference_arrays",
    "same",
    "shapes",
]

Arrays = tuple[np.ndarray, ...] | str
RELATIVE, ABSOLUTE = 1e-4, 1e-5  # float32 against float64
SHOWN = 32  # numbers of an example


class Unfit(Exception):
    """A result of the wrong kind: `slug` and words."""

    def __init__(self, slug: str, words: str) -> None:
        super().__init__(words)
        self.slug = slug


def plain(value: Any) -> Any:
    """Tensors as NumPy arrays of their own memory, floats as float64; anything else as it is."""
    if isinstance(value, torch.Tensor):
        array = value.detach().cpu().numpy().copy()
        return array.astype(np.float64) if value.is_floating_point() else array
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


def as_arrays(found: Any, expected: Any) -> Arrays:
    """What a student's function returned, in the form of what was expected.

    Raises:
        Unfit: None, or another type than the expected one. Shapes are not looked at.
    """
    if found is None:
        raise Unfit(
            "returns-none", "Your function returns None: the line with `return` is missing."
        )
    if isinstance(expected, str):
        if not isinstance(found, str):
            raise Unfit("type", f"Your function returns {_kind(found)}, expected a word (str).")
        return found
    if isinstance(expected, tuple):
        return _tuple(found, expected)
    if isinstance(expected, float):
        return (np.asarray(_number(found)),)
    return (_tensor(found),)


def reference_arrays(value: Any) -> Arrays:
    """The same of what a reference or a mistake gives."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, tuple) else (value,)
    return tuple(np.asarray(part, np.float64) for part in parts)


def same(a: Arrays, b: Arrays) -> bool:
    """Whether two results agree: same shapes, same values up to rounding, NaN where NaN is."""
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return len(a) == len(b) and all(_close(x, y) for x, y in zip(a, b, strict=True))


def _close(x: np.ndarray, y: np.ndarray) -> bool:
    if x.shape != y.shape:
        return False
    finite = np.abs(y[np.isfinite(y)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return bool(allclose(x, y, rtol=RELATIVE, atol=ABSOLUTE * scale, equal_nan=True))


def shapes(value: Arrays) -> str:
    """`(2, 3)`, or `(2, 3) and (4,)`."""
    if isinstance(value, str):
        return "a word"
    return " and ".join(str(tuple(part.shape)) for part in value)


def number_in_words(value: float) -> str:
    """Four digits, without the sign of a zero."""
    return f"{float(value) + 0.0:.4g}"


def array_in_words(array: np.ndarray) -> str:
    """The numbers, rounded, yes and no as 1 and 0; only the shape where there are many."""
    if array.size > SHOWN:
        return f"shape {tuple(array.shape)}"
    if array.ndim == 0:
        return number_in_words(float(array))
    numbers = array.astype(np.float64)
    how: Any = {"float_kind": number_in_words}
    text = np.array2string(numbers, separator=", ", formatter=how)
    return " ".join(text.split())


def differences(found: Arrays, expected: Arrays) -> list[str]:
    """Found and expected side by side: whole where they are small, else where they differ most."""
    if isinstance(found, str) or isinstance(expected, str):
        return [f"found:    {found!r}", f"expected: {expected!r}"]
    lines = []
    for k, (f, e) in enumerate(zip(found, expected, strict=True), 1):
        if _close(f, e):
            continue
        part = f" (result {k} of {len(found)})" if len(found) > 1 else ""
        if f.shape == e.shape and f.size > SHOWN:
            away = np.where(np.isnan(f) ^ np.isnan(e), np.inf, np.abs(np.nan_to_num(f - e)))
            place = np.unravel_index(int(away.argmax()), f.shape)
            part += f" at [{', '.join(map(str, place))}]"
            f, e = f[place], e[place]
        lines += [
            f"found{part}:    {array_in_words(np.asarray(f))}",
            f"expected{part}: {array_in_words(np.asarray(e))}",
        ]
    return lines


def _tuple(found: Any, expected: tuple[Any, ...]) -> Arrays:
    if not isinstance(found, (tuple, list)):
        raise Unfit(
            "type", f"Your function returns {_kind(found)}, expected {len(expected)} tensors."
        )
    if len(found) != len(expected):
        raise Unfit(
            "type", f"Your function returns {len(found)} things, expected {len(expected)} tensors."
        )
    return tuple(_tensor(part) for part in found)


def _number(found: Any) -> float:
    if isinstance(found, (torch.Tensor, np.ndarray)) and found.size and found.ndim:
        words = f"Your function returns {_kind(found)} of shape {tuple(found.shape)}"
        raise Unfit("type", f"{words}, expected one number for the whole batch.")
    try:
        return float(found.detach() if isinstance(found, torch.Tensor) else found)
    except (TypeError, ValueError):
        raise Unfit("type", f"Your function returns {_kind(found)}, expected a number.") from None


def _tensor(found: Any) -> np.ndarray:
    if not isinstance(found, torch.Tensor):
        raise Unfit("type", f"Your function returns {_kind(found)}, expected a torch.Tensor.")
    if not found.is_floating_point():
        words = f"Your function returns a tensor of {found.dtype}, expected floating-point numbers."
        raise Unfit("type", words)
    return np.asarray(plain(found))


def _kind(found: Any) -> str:
    if isinstance(found, np.ndarray):
        return "a NumPy array"
    if isinstance(found, torch.Tensor):
        return "a torch.Tensor"
    name = type(found).__name__
    return f"an {name}" if name == "int" else f"a {name}"
