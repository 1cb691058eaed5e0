"""Compressed DICOM: what Pillow decodes, and every stream that no decoder may see."""

from __future__ import annotations

import importlib.util
import io
import types

import numpy as np
import pytest
from PIL import Image, features

from softcam.common import DataError
from softcam.data.dicom import read_dicom
from tests.data.dicom_files import dicom, draw, grey, jpeg, lossless_jpeg, photograph, scaled

pytest.importorskip("pydicom", reason="the extra softcam[dicom] is not installed")


def test_jpeg_is_what_pillow_decodes() -> None:
    pixels = photograph()
    expected = np.asarray(Image.open(io.BytesIO(jpeg(pixels))))
    np.testing.assert_array_equal(grey(dicom(pixels, "jpeg")), expected)


def test_colour_jpeg_is_what_pillow_decodes() -> None:
    pixels = photograph(3)
    expected = np.asarray(Image.open(io.BytesIO(jpeg(pixels)))).astype(int)
    data = dicom(pixels, "jpeg", PhotometricInterpretation="YBR_FULL_422")
    found = read_dicom(data, "a").pixels
    assert np.abs(found - expected).max() <= 2, "two roundings of one conversion"


@pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow is without JPEG 2000")
def test_jpeg_2000() -> None:
    pixels = photograph()
    np.testing.assert_array_equal(grey(dicom(pixels, "j2k")), pixels)
    deep = draw(0, 65535, "uint16", (32, 40))
    np.testing.assert_array_equal(grey(dicom(deep, "j2k")), scaled(deep, 0, 65535))
    colour = photograph(3)
    data = dicom(colour, "j2k", PhotometricInterpretation="YBR_RCT")
    np.testing.assert_array_equal(read_dicom(data, "a").pixels, colour)


@pytest.mark.skipif(importlib.util.find_spec("gdcm") is None, reason="python-gdcm is missing")
def test_lossless_jpeg() -> None:
    pixels = draw(0, 4095, "uint16", (16, 20))
    data = dicom(pixels, "jpeg-lossless", bits=12, frame=lossless_jpeg(pixels))
    np.testing.assert_array_equal(grey(data), scaled(pixels, 0, 4095))


def test_without_a_decoder_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = draw(0, 4095, "uint16")
    data = dicom(pixels, "jpeg-lossless", bits=12, frame=lossless_jpeg(pixels))
    nothing = types.SimpleNamespace(available_plugins=())
    monkeypatch.setattr("pydicom.pixels.decoders.base.get_decoder", lambda uid: nothing)
    with pytest.raises(DataError, match=r"^a\.dcm: JPEG Lossless.*softcam\[dicom\]"):
        read_dicom(data, "a.dcm")


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The decoders that are asked from now on; none of them can."""
    plugins: list[str] = []

    def refuse(dataset: object, decoding_plugin: str = "") -> None:
        plugins.append(decoding_plugin)
        raise ValueError("cannot")

    monkeypatch.setattr("pydicom.pixels.utils.pixel_array", refuse)
    return plugins


LOSSLESS = lossless_jpeg(np.zeros((16, 20)))
# GDCM ends the whole process at most of these
DAMAGED = {
    "bits": (6, 128, "128 bits a pixel, the DICOM header says 16"),
    "components": (11, 2, "2 components, the DICOM header says 1"),
    "kind": (3, 0xC1, "of another kind than the DICOM header says"),
    "Huffman table": (19, 0x80, "a Huffman table is no table"),
    "Huffman codes": (23, 200, "a Huffman table is no table"),
    "Huffman length": (18, 0x80, "does not lead to the pixels"),
    "scan": (LOSSLESS.index(b"\xff\xda") + 4, 3, "the scan is of no component"),
    "marker": (LOSSLESS.index(b"\xff\xda") + 1, 0xDC, "does not lead to the pixels"),
}


@pytest.mark.parametrize("place", DAMAGED)
def test_a_damaged_header_reaches_no_decoder(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at, value, message = DAMAGED[place]
    frame = bytearray(LOSSLESS)
    frame[at] = value
    data = dicom(np.zeros((16, 20), "uint16"), "jpeg-lossless", bits=12, frame=bytes(frame))
    plugins = asked(monkeypatch)
    with pytest.raises(DataError, match=rf"^a\.dcm: the header of the compressed.*{message}"):
        read_dicom(data, "a.dcm")
    assert not plugins


@pytest.mark.parametrize("syntax", ["jpeg", "j2k", "rle"])
def test_gdcm_is_not_asked_for_what_others_read(
    syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dicom(photograph(), syntax)
    plugins = asked(monkeypatch)
    with pytest.raises(DataError, match=r"^a\.dcm: .*cannot be decoded"):
        read_dicom(data, "a.dcm")
    assert plugins and "gdcm" not in plugins
