"""DICOM: greys against the formulas of PS3.3 C.11 in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from softcam.data.dicom import dicom_headers, read_dicom
from softcam.data.views import view_of
from tests.data.dicom_files import CT, SHAPE, dicom, draw, grey, lut, photograph, scaled

pytest.importorskip("pydicom", reason="the extra softcam[dicom] is not installed")


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


def test_a_grey_image_without_rescale_says_so() -> None:
    pixels = draw(0, 255, "uint8")
    (note,) = read_dicom(dicom(pixels), "a").notes
    assert note.startswith("have no rescale in their header")
    assert not read_dicom(dicom(pixels, RescaleSlope=1, RescaleIntercept=0), "a").notes
    table = lut(list(range(256)), 0, 8)
    assert not read_dicom(dicom(pixels, ModalityLUTSequence=table), "a").notes
    assert not read_dicom(dicom(draw(0, 255, "uint8", (*SHAPE, 3))), "a").notes, "colour has none"
