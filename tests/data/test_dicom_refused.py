"""DICOM files that cannot be shown: each is named, with the reason."""

from __future__ import annotations

import importlib.util
import struct

import numpy as np
import pytest

from softcam.common import DataError, SoftCAMError
from softcam.data.dicom import dicom_headers, read_dicom
from tests.data.dicom_files import CT, SHAPE, dicom, draw, jpeg, lossless_jpeg, lut, photograph

pytest.importorskip("pydicom", reason="the extra softcam[dicom] is not installed")

UNUSABLE = {
    "no pixel data": ({"drop": ("PixelData",)}, r"no pixel data \(7FE0,0010\)"),
    "several frames": ({"NumberOfFrames": 3}, "3 frames, expected one"),
    "meaning": ({"PhotometricInterpretation": "HSV"}, "'HSV', expected one of MONOCHROME1"),
    "no meaning": ({"drop": ("PhotometricInterpretation",)}, "interpretation is None"),
    "meaning against samples": ({"PhotometricInterpretation": "RGB"}, "1 samples a pixel"),
    "no bits": ({"drop": ("BitsStored",)}, "None of 8 bits"),
    "too many bits": ({"BitsStored": 12}, "12 of 8 bits"),
    "high bit": ({"HighBit": 6}, "high bit is 6, expected 7"),
    "no rows": ({"drop": ("Rows",)}, "None rows"),
    "bomb": ({"Rows": 60000, "Columns": 60000}, "at most 100,000,000"),
    "strip": ({"Columns": 2000}, "2000 x 10 pixels, expected"),
    "tiny": ({"Rows": 2}, "at least 8 a side"),
    "fewer pixels than said": ({"Rows": 40}, "damaged or truncated"),
    "half a rescale": ({"RescaleSlope": 2}, r"slope 2.* and intercept None"),
    "CT without rescale": ({"SOPClassUID": CT}, "mean nothing"),
    "slope 0": ({"RescaleSlope": 0, "RescaleIntercept": 1}, "are no numbers"),
    "half a window": ({"WindowCenter": 3}, "width None: one is missing"),
    "window of no numbers": ({"WindowCenter": "nan", "WindowWidth": "nan"}, "are no numbers"),
    "rescale beyond all numbers": (
        {"RescaleSlope": 1e308, "RescaleIntercept": 0},
        "leave no greys",
    ),
    "rescale to one value": ({"RescaleSlope": 1e-16, "RescaleIntercept": 1e10}, "leave no greys"),
    "narrow window": ({"WindowCenter": 3, "WindowWidth": 0}, "Window Width"),
    "window of another kind": (
        {"WindowCenter": 3, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
        "CUBIC",
    ),
    "short LUT": ({"VOILUTSequence": lut([1, 2], 0, 8, entries=9)}, "2 values, 9 of 8 bits"),
    "floats": ({"drop": ("PixelData",), "FloatPixelData": bytes(480)}, "floating-point"),
    "deflated": ({"syntax": "deflated"}, "deflated"),
    "video": ({"syntax": "mpeg2", "frame": jpeg(draw(0, 255, "uint8"))}, "MPEG2"),
    "JPEG without a header": ({"syntax": "jpeg", "frame": bytes(50)}, "has no header"),
    "JPEG of a header": (
        {"syntax": "jpeg", "frame": lossless_jpeg(np.zeros(SHAPE))[:40]},
        "cannot be decoded",
    ),
    "JPEG of another size": (
        {"syntax": "jpeg", "frame": jpeg(photograph())},
        "is 64 x 48 pixels, the DICOM header says 12 x 10",
    ),
    "JPEG 2000 bomb": (
        {
            "syntax": "j2k",
            "frame": b"\xff\x4f\xff\x51" + struct.pack(">2H8I", 41, 0, *[60000] * 2, *[0] * 6),
        },
        "is 60000 x 60000 pixels",
    ),
}


@pytest.mark.parametrize("problem", UNUSABLE)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(problem: str) -> None:
    header, message = UNUSABLE[problem]
    with pytest.raises(DataError, match=rf"^sets/a\.dcm: .*{message}"):
        read_dicom(dicom(draw(0, 255, "uint8"), **header), "sets/a.dcm")


@pytest.mark.parametrize("data", [b"", b"no DICOM" * 50, jpeg(photograph())])
def test_other_files_are_named(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^a\.dcm: not a DICOM file"):
        read_dicom(data, "a.dcm")
    with pytest.raises(DataError, match=r"^a\.dcm: not a DICOM file"):
        dicom_headers(data, "a.dcm", ["Modality"])


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "rle", "jpeg"])
def test_a_file_cut_off_anywhere_is_an_error(syntax: str) -> None:
    data = dicom(photograph(), syntax)
    for end in range(0, len(data) - 12, 97):  # the last bytes may only close the sequence
        with pytest.raises(DataError, match=r"^a\.dcm: "):
            read_dicom(data[:end], "a.dcm")


@pytest.mark.parametrize("syntax", ["explicit", "rle", "jpeg"])
def test_flipped_bytes_give_an_image_or_a_data_error(syntax: str) -> None:
    data = dicom(photograph(), syntax, WindowCenter=100, WindowWidth=50)
    random = np.random.default_rng(8)
    outcomes = set()
    for _ in range(40):
        damaged = bytearray(data)
        for place in random.integers(132, len(data), 4):
            damaged[place] = random.integers(256)
        try:
            pixels = read_dicom(bytes(damaged), "a.dcm").pixels
            assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
            outcomes.add("image")
        except DataError as error:
            assert str(error).startswith("a.dcm: ")
            outcomes.add("error")
    assert outcomes == {"image", "error"}


def test_without_pydicom_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SoftCAMError, match=r"softcam\[dicom\]") as caught:
        read_dicom(b"", "a.dcm")
    assert not isinstance(caught.value, DataError), "never skipped as a fault of one image"
