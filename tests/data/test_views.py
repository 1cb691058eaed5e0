"""Views by name: each is there, and a plain image is what Pillow decodes."""

from __future__ import annotations

import importlib
import io

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, UnknownNameError
from softcam.data.views import VIEWS, view_of


def test_every_view_has_its_reader() -> None:
    for view in VIEWS.values():
        module, _, function = view.reader.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_a_plain_image_is_decoded_whole() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    picture = view_of("image").read(file.getvalue(), "a.png")
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.crop is None
    with pytest.raises(DataError, match=r"a\.png: the image is damaged"):
        view_of("image").read(file.getvalue()[:200], "a.png")
    with pytest.raises(UnknownNameError, match="'fundus'"):
        view_of("fundos")
