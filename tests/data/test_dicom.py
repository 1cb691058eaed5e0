"""DICOM: greys against the formulas of PS3.3 C.11 in plain NumPy, and every refusal."""

from __future__ import annotations

import importlib.util
import io
import struct
import types
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from softcam.common import DataError, SoftCAMError
from softcam.data.dicom import dicom_headers, read_dicom
from softcam.data.views import view_of
from tests.data.dicom_files import dicom

pydicom = pytest.importorskip("pydicom", reason="the extra softcam[dicom] is not installed")

SHAPE = (10, 12)
CT = "1.2.840.10008.5.1.4.1.1.2"


def draw(low: int, high: int, dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Random values, both ends among them."""
    pixels = np.random.default_rng(7).integers(low, high, shape, endpoint=True)
    pixels[0, 0], pixels[0, 1] = low, high
    return pixels.astype(dtype)


def grey(data: bytes) -> np.ndarray:
    """The one channel of a grey image."""
    pixels = read_dicom(data, "a.dcm").pixels
    assert pixels.dtype == np.uint8 and (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint((values.astype(float) - low) / (high - low) * 255).astype(np.uint8)


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big", "rle"])
@pytest.mark.parametrize(
    ("dtype", "bits", "low", "high"),
    [
        ("uint8", 8, 0, 255),
        ("uint16", 12, 0, 4095),
        ("uint16", 16, 0, 65535),
        ("int16", 16, -32768, 32767),
        ("int16", 12, -2048, 2047),
    ],
)
def test_the_range_of_the_stored_bits_becomes_0_to_255(
    syntax: str, dtype: str, bits: int, low: int, high: int
) -> None:
    pixels = draw(low, high, dtype)
    found = grey(dicom(pixels, syntax, bits=bits))
    np.testing.assert_array_equal(found, scaled(pixels, low, high))
    dark = draw(0, high // 4, dtype)  # the range is that of the bits, not of the image
    np.testing.assert_array_equal(grey(dicom(dark, syntax, bits=bits)), scaled(dark, low, high))


def test_monochrome1_is_inverted() -> None:
    pixels = draw(0, 4095, "uint16")
    inverted = grey(dicom(pixels, bits=12, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(inverted, np.rint(255 - pixels * (255 / 4095)).astype(np.uint8))


def test_bits_above_the_stored_ones_are_no_part_of_the_value() -> None:
    pixels = draw(0, 4095, "uint16")
    overlay = pixels | np.uint16(0xA000)
    np.testing.assert_array_equal(grey(dicom(overlay, bits=12)), scaled(pixels, 0, 4095))


def test_single_bits() -> None:
    pixels = draw(0, 1, "uint8", (8, 16))
    packed = np.packbits(pixels, bitorder="little")
    one = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    data = dicom(packed.reshape(8, 2), Columns=16, **one)
    np.testing.assert_array_equal(grey(data), pixels * 255)


def linear(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, written value by value."""
    found = []
    for x in values.ravel().tolist():
        if x <= centre - 0.5 - (width - 1) / 2:
            found.append(0.0)
        elif x > centre - 0.5 + (width - 1) / 2:
            found.append(255.0)
        else:
            found.append(((x - (centre - 0.5)) / (width - 1) + 0.5) * 255)
    return np.rint(np.reshape(found, values.shape)).astype(np.uint8)


@pytest.mark.parametrize(("centre", "width"), [(2000, 800), (40.5, 1), (0, 9000)])
def test_a_linear_window(centre: float, width: float) -> None:
    pixels = draw(0, 4095, "uint16")
    data = dicom(pixels, bits=12, WindowCenter=centre, WindowWidth=width)
    np.testing.assert_array_equal(grey(data), linear(pixels, centre, width))
    several = dicom(pixels, bits=12, WindowCenter=[centre, 100], WindowWidth=[width, 7])
    np.testing.assert_array_equal(grey(several), grey(data))


@pytest.mark.parametrize("slope", [1.0, 0.5, -2.0])
def test_a_window_is_in_rescaled_units(slope: float) -> None:
    pixels = draw(-2048, 2047, "int16")
    data = dicom(
        pixels,
        bits=12,
        SOPClassUID=CT,
        RescaleSlope=slope,
        RescaleIntercept=-1024,
        WindowCenter=40,
        WindowWidth=400,
    )
    np.testing.assert_array_equal(grey(data), linear(pixels * slope - 1024, 40, 400))


def test_other_window_functions() -> None:
    pixels = draw(0, 4095, "uint16")
    window = {"bits": 12, "WindowCenter": 2000, "WindowWidth": 800}
    exact = grey(dicom(pixels, VOILUTFunction="LINEAR_EXACT", **window))
    expected = np.clip((pixels.astype(float) - 2000) / 800 + 0.5, 0, 1) * 255
    np.testing.assert_array_equal(exact, np.rint(expected).astype(np.uint8))
    sigmoid = grey(dicom(pixels, VOILUTFunction="SIGMOID", **window))
    expected = 255 / (1 + np.exp(-4 * (pixels.astype(float) - 2000) / 800))
    np.testing.assert_array_equal(sigmoid, np.rint(expected).astype(np.uint8))
    blank = grey(dicom(pixels, VOILUTFunction="", **window))
    np.testing.assert_array_equal(blank, linear(pixels, 2000, 800))


def test_rescale_without_a_window_only_turns_the_range() -> None:
    pixels = draw(0, 4095, "uint16")
    plain = grey(dicom(pixels, bits=12))
    up = dicom(pixels, bits=12, RescaleSlope=3, RescaleIntercept=-1024)
    np.testing.assert_array_equal(grey(up), plain)
    down = dicom(pixels, bits=12, RescaleSlope=-1, RescaleIntercept=4095)
    np.testing.assert_array_equal(grey(down), scaled(4095 - pixels, 0, 4095))
    blank = dicom(pixels, bits=12, WindowCenter=None, WindowWidth=None)
    np.testing.assert_array_equal(grey(blank), plain)


def lut(values: list[int], first: int, bits: int, packed: bool = False, entries: int = 0) -> Any:
    item = pydicom.Dataset()
    item.LUTDescriptor = [entries or len(values), first, bits]
    item.add_new("LUTData", "OW" if packed else "US", bytes(values) if packed else values)
    return pydicom.Sequence([item])


@pytest.mark.parametrize("packed", [False, True])
def test_a_voi_lut_wins_over_the_window(packed: bool) -> None:
    """Longer than its entries are wide, and with values before its first and behind its last."""
    pixels = draw(0, 4095, "uint16")
    table = np.random.default_rng(3).integers(0, 256, 3000)
    data = dicom(
        pixels,
        bits=12,
        VOILUTSequence=lut(table.tolist(), 500, 8, packed),
        WindowCenter=7,
        WindowWidth=3,
    )
    index = np.clip(pixels.astype(int) - 500, 0, 2999)
    np.testing.assert_array_equal(grey(data), table[index])


def test_a_modality_lut_comes_before_the_window() -> None:
    pixels = draw(0, 255, "uint8")
    table = np.random.default_rng(4).integers(0, 4096, 256)
    sequence = lut(table.tolist(), 0, 12)
    window = dicom(pixels, ModalityLUTSequence=sequence, WindowCenter=900, WindowWidth=700)
    np.testing.assert_array_equal(grey(window), linear(table[pixels], 900, 700))
    alone = dicom(pixels, ModalityLUTSequence=sequence)
    np.testing.assert_array_equal(grey(alone), scaled(table[pixels], 0, 4095))


@pytest.mark.parametrize("syntax", ["explicit", "big", "rle"])
def test_rgb(syntax: str) -> None:
    pixels = draw(0, 255, "uint8", (*SHAPE, 3))
    np.testing.assert_array_equal(read_dicom(dicom(pixels, syntax), "a").pixels, pixels)
    deep = draw(0, 65535, "uint16", (*SHAPE, 3))
    found = read_dicom(dicom(deep, syntax), "a").pixels
    np.testing.assert_array_equal(found, scaled(deep, 0, 65535))


def test_rgb_by_planes() -> None:
    pixels = draw(0, 255, "uint8", (*SHAPE, 3))
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(pixels.shape)
    data = dicom(planes, PlanarConfiguration=1)
    np.testing.assert_array_equal(read_dicom(data, "a").pixels, pixels)


def test_ybr_becomes_rgb() -> None:
    """PS3.3 C.7.6.3.1.2, with the inverse of its matrix."""
    pixels = draw(0, 255, "uint8", (*SHAPE, 3))
    y, cb, cr = (pixels[..., i].astype(float) for i in range(3))
    red = y + 1.402 * (cr - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    blue = y + 1.772 * (cb - 128)
    expected = np.clip(np.stack([red, green, blue], -1), 0, 255)
    found = read_dicom(dicom(pixels, PhotometricInterpretation="YBR_FULL"), "a").pixels
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette(bits: int) -> None:
    pixels = draw(0, 99, "uint8")
    colours = np.random.default_rng(5).integers(0, 256, (3, 100))
    header: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, column in zip(("Red", "Green", "Blue"), colours, strict=True):
        values = column.astype("u1") if bits == 8 else (column * 257).astype("<u2")
        header[f"{name}PaletteColorLookupTableDescriptor"] = [100, 0, bits]
        header[f"{name}PaletteColorLookupTableData"] = values.tobytes()
    np.testing.assert_array_equal(
        read_dicom(dicom(pixels, **header), "a").pixels, colours.T[pixels]
    )


def photograph(channels: int = 1) -> np.ndarray:
    small = np.random.default_rng(6).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(small).resize((64, 48)))
    return large if channels == 3 else np.ascontiguousarray(large[..., 0])


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


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    """JPEG process 14 with predictor 1 (ITU T.81 H): the difference to the left, Huffman coded."""
    height, width = pixels.shape
    bits, values = "", pixels.astype(int)
    for row in range(height):
        for column in range(width):
            left = values[row, column - 1] if column else values[row - 1, 0] if row else 2048
            step = int(values[row, column] - left)
            size = abs(step).bit_length()
            bits += format(size, "04b")  # thirteen codes, all of four bits
            if size:
                bits += format(step if step > 0 else step + 2**size - 1, f"0{size}b")
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    sizes = bytes([0, 0, 0, 13] + [0] * 12) + bytes(range(13))
    return b"".join(
        [
            b"\xff\xd8\xff\xc3" + struct.pack(">HBHHB3B", 11, 12, height, width, 1, 1, 0x11, 0),
            b"\xff\xc4" + struct.pack(">HB", 3 + len(sizes), 0) + sizes,
            b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 1, 0, 0),
            coded + b"\xff\xd9",
        ]
    )


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


def test_without_pydicom_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SoftCAMError, match=r"softcam\[dicom\]") as caught:
        read_dicom(b"", "a.dcm")
    assert not isinstance(caught.value, DataError), "never skipped as a fault of one image"


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


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


def test_headers_are_text() -> None:
    data = dicom(photograph(), "jpeg", PixelSpacing=[0.2, 0.2], drop=("PatientSex",))
    found = dicom_headers(data, "a", ["ViewPosition", "PatientAge", "PatientSex", "PixelSpacing"])
    assert found == {
        "ViewPosition": "PA",
        "PatientAge": "51",
        "PatientSex": "",
        "PixelSpacing": "[0.2, 0.2]",
    }


def test_the_view_dicom_reads_it() -> None:
    picture = view_of("dicom").read(dicom(photograph()), "a")
    assert picture.crop is None and picture.pixels.shape == (48, 64, 3)
