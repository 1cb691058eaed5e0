"""Specification curve: in what share of the defensible ways to ask does sparse beat Grad-CAM?

A comparison of maps takes choices that no paper can argue for one by one: the zero of the map, how
it is brought to the image, what is cut off, which measure, which class, which fill, which seed.
Here all of them are taken, from maps that were kept by the evaluation, each as a paired
difference; and the whole curve is held against what it would be if the two sides of each image
could as well be exchanged. Source: Simonsohn, Simmons and Nelson, Nature Human Behaviour 2020.

    write_specification("runs/reproduce/laptop")
    table, shares = read_specification("runs/reproduce/laptop")
    plot_specification(table)
"""

from __future__ import annotations

from softcam.reproduce.specification.curve import CURVE, SHARES, Curve, curve_of
from softcam.reproduce.specification.figure import CAPTION, plot_specification
from softcam.reproduce.specification.writing import read_specification, write_specification

__all__ = [
    "CAPTION",
    "CURVE",
    "SHARES",
    "Curve",
    "curve_of",
    "plot_specification",
    "read_specification",
    "write_specification",
]
