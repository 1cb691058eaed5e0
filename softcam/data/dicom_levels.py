"""From the values that a grey DICOM image stores to greys, as PS3.3 C.11 of the standard says.

The way from a value to a grey depends on nothing else in the image, so it is worked out once for
every possible value:

1. the bits that are stored, signed or not (bits above them, such as old overlays, are ignored);
2. the modality LUT, or rescale slope and intercept; without them the value itself, except in CT
   and PET, which must have them;
3. the first VOI LUT, else the first window (LINEAR, LINEAR_EXACT or SIGMOID); without either the
   whole range that the stored bits can hold fills [0, 255];
4. MONOCHROME1 is inverted, so that high is bright.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from softcam.common import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["MAX_BITS", "grey_levels", "lacks_rescale"]

MAX_BITS = 16
# storage of CT and PET: their values mean nothing before rescale
RESCALED = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.128")


def grey_levels(dataset: Dataset, bits: int, name: str) -> np.ndarray:
    """What every stored value looks like.

    Args:
        dataset: the header of a grey image.
        bits: how many are stored, at most `MAX_BITS`.
        name: for messages.

    Returns:
        (2^bits,) uint8; the place is the value's bits, so that of two's complement comes after
        the positive values.

    Raises:
        DataError: a rescale, window or LUT that is incomplete or no number.
    """
    values = np.arange(2**bits)
    if dataset.get("PixelRepresentation"):
        values[values >= 2 ** (bits - 1)] -= 2**bits
    if dataset.get("ModalityLUTSequence"):
        values, top = _look_up(dataset, dataset.ModalityLUTSequence[0], values, name)
        low, high = 0.0, float(top)
    else:
        slope, intercept = _rescale(dataset, name)
        with np.errstate(over="ignore", invalid="ignore"):
            values = values * slope + intercept
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(high - low) or high <= low:
            raise DataError(
                f"{name}: rescale slope {slope} and intercept {intercept} leave no greys."
            )
    if dataset.get("VOILUTSequence"):
        values, top = _look_up(dataset, dataset.VOILUTSequence[0], values, name)
        shown = values * (255 / top)
    elif (window := _window(dataset, name)) is not None:
        from pydicom.pixels.processing import apply_windowing

        with np.errstate(over="ignore"):  # the exponential of a narrow sigmoid
            shown = apply_windowing(values, window)
    else:
        shown = (values - low) * (255 / (high - low))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 255 - shown
    return np.rint(np.clip(shown, 0, 255)).astype(np.uint8)


def lacks_rescale(dataset: Dataset) -> bool:
    """Whether the header says nothing of what the stored values stand for."""
    said = (dataset.get(k) for k in ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"))
    return all(value is None or value == "" for value in said)


def _rescale(dataset: Dataset, name: str) -> tuple[float, float]:
    """Slope and intercept; (1, 0) where the header has neither."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    lacking = [value is None for value in (slope, intercept)]
    needed = dataset.get("SOPClassUID") in RESCALED
    if any(lacking) and (needed or not all(lacking)):
        raise DataError(
            f"{name}: rescale slope {slope} and intercept {intercept}: without them the values of "
            "this kind of image mean nothing; get a complete file."
        )
    if any(lacking):
        return 1.0, 0.0
    if not np.isfinite([slope, intercept]).all() or not slope:
        raise DataError(f"{name}: rescale slope {slope} and intercept {intercept} are no numbers.")
    return float(slope), float(intercept)


def _window(dataset: Dataset, name: str) -> Dataset | None:
    """The window alone, so that its output fills [0, 255]; None where the header has none."""
    from pydicom import Dataset

    centre, width = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    given = [value is not None and value != "" for value in (centre, width)]
    if not any(given):
        return None
    if not all(given):
        raise DataError(f"{name}: window centre {centre} and width {width}: one is missing.")
    if not np.isfinite([*np.atleast_1d(centre), *np.atleast_1d(width)]).all():
        raise DataError(f"{name}: window centre {centre} and width {width} are no numbers.")
    window = Dataset()
    window.PhotometricInterpretation, window.PixelRepresentation = "MONOCHROME2", 0
    window.BitsStored = 8
    window.WindowCenter, window.WindowWidth = centre, width
    window.VOILUTFunction = dataset.get("VOILUTFunction") or "LINEAR"
    return window


def _look_up(
    dataset: Dataset, item: Dataset, values: np.ndarray, name: str
) -> tuple[np.ndarray, int]:
    """Values through a LUT, and the largest value that it can give (PS3.3 C.11.1.1)."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries % 2**16 or 2**16
    table = item.LUTData
    if isinstance(table, bytes):
        packed = len(table) < 2 * entries  # 8-bit entries, two a word
        order = "<" if dataset.original_encoding[1] else ">"
        table = np.frombuffer(table, np.uint8 if packed else f"{order}u2")
    table = np.atleast_1d(np.asarray(table, np.int64))
    if len(table) < entries or not 8 <= bits <= MAX_BITS:
        raise DataError(f"{name}: a LUT of {len(table)} values, {entries} of {bits} bits expected.")
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, entries - 1)
    return table[index], 2**bits - 1
