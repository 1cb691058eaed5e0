"""One DICOM file to RGB bytes; or one sentence that says why not.

Grey values are shown as `dicom_levels` says. Colour is RGB, YBR (converted by pydicom) or a
palette. The image is taken as it is stored: no overlay, presentation LUT or pixel aspect ratio is
applied.

Reads uncompressed files and, by Pillow, pylibjpeg-rle (MIT), pylibjpeg-openjpeg (MIT) and
python-gdcm (Apache-2.0), compressed ones (see `dicom_frames`). All of them come with
`pip install 'softcam[dicom]'`. pylibjpeg-libjpeg is under the GPL, and nothing here asks for it.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from softcam.common import DataError, SoftCAMError
from softcam.data.dicom_frames import INSTALL, stored_values
from softcam.data.dicom_levels import MAX_BITS, grey_levels, lacks_rescale
from softcam.data.images import MAX_ASPECT, MAX_PIXELS, MIN_SIDE
from softcam.data.views import Picture

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["dicom_headers", "needs_pydicom", "read_dicom"]

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"
NO_RESCALE = "have no rescale in their header, so their stored values are taken as they are"
DEFLATED = b"1.2.840.10008.1.2.1.99"  # the data set packed by zlib, to any size


def needs_pydicom() -> None:
    """Raise a `SoftCAMError` with the command that installs pydicom where it is missing."""
    if importlib.util.find_spec("pydicom") is None:
        raise SoftCAMError(f"DICOM files are read by pydicom, which is not installed: {INSTALL}.")


def read_dicom(data: bytes, name: str) -> Picture:
    """The image in a DICOM file as (H, W, 3) uint8 RGB.

    Args:
        data: the file.
        name: for messages.

    Raises:
        DataError: not DICOM, without pixel data, several frames, an unknown photometric
            interpretation, a CT or PET without rescale, truncated, too large, or compressed in a
            way that nothing installed can read; the message begins with `name`.
        SoftCAMError: pydicom is not installed.
    """
    needs_pydicom()
    try:
        with _quiet():
            return _picture(data, name)
    except (SoftCAMError, MemoryError):
        raise
    except Exception as error:  # pydicom raises whatever a damaged header makes it stumble over
        raise DataError(f"{name}: the DICOM file is damaged or truncated ({error}).") from error


def dicom_headers(data: bytes, name: str, keywords: Sequence[str]) -> dict[str, str]:
    """Header fields as text, by DICOM keyword; '' where the file does not have one.

    >>> dicom_headers(data, "a.dcm", ["ViewPosition"])  # doctest: +SKIP
    {'ViewPosition': 'AP'}
    """
    needs_pydicom()
    try:
        with _quiet():
            dataset = _parse(data, name, keywords)
            values = {keyword: dataset.get(keyword) for keyword in keywords}
    except SoftCAMError:
        raise
    except Exception as error:
        raise DataError(f"{name}: the DICOM header is damaged ({error}).") from error
    return {key: "" if value is None else str(value).strip() for key, value in values.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Not a word on every small fault of a header, such as the ages of the RSNA set."""
    from pydicom.config import disable_value_validation

    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def _picture(data: bytes, name: str) -> Picture:
    dataset = _parse(data, name)
    _check(dataset, name)
    bare = dataset.PhotometricInterpretation in GREY and lacks_rescale(dataset)
    return Picture(_render(dataset, name), notes=(NO_RESCALE,) if bare else ())


def _render(dataset: Dataset, name: str) -> np.ndarray:
    stored = stored_values(dataset, name)
    meaning = dataset.PhotometricInterpretation
    if meaning == PALETTE:
        from pydicom.pixels.processing import apply_color_lut

        colour = apply_color_lut(stored, dataset)[..., :3]
        return colour if colour.dtype == np.uint8 else (colour >> 8).astype(np.uint8)
    bits = int(dataset.BitsStored)
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    index = native.view(f"u{native.itemsize}") & (2**bits - 1)
    if meaning in GREY:
        return np.repeat(grey_levels(dataset, bits, name)[index][..., None], 3, axis=2)
    levels = np.rint(np.arange(2**bits) * (255 / (2**bits - 1))).astype(np.uint8)
    return index if bits == 8 and index.dtype == np.uint8 else levels[index]


def _parse(data: bytes, name: str, keywords: Sequence[str] | None = None) -> Dataset:
    """The data set; with `keywords` only these, and no pixels."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    if DEFLATED in data:
        raise DataError(
            f"{name}: the DICOM file is deflated, which is not read; save it uncompressed."
        )
    try:
        tags = None if keywords is None else list(keywords)
        return dcmread(
            io.BytesIO(data), stop_before_pixels=keywords is not None, specific_tags=tags
        )
    except InvalidDicomError as error:
        raise DataError(
            f"{name}: not a DICOM file ({len(data):,} bytes, without 'DICM' at byte 128)."
        ) from error


def _check(dataset: Dataset, name: str) -> None:
    """Raise for everything that the header says and that cannot be shown."""
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise DataError(f"{name}: floating-point pixels of unknown range; save 8 to 16 bits.")
    if not dataset.get("PixelData"):
        raise DataError(f"{name}: no pixel data (7FE0,0010): a report, or a file that was cut off.")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(f"{name}: {frames} frames, expected one; save each as a file of its own.")
    _check_meaning(dataset, name)
    bits, allocated = dataset.get("BitsStored"), dataset.get("BitsAllocated")
    if not bits or not allocated or not 1 <= bits <= min(allocated, MAX_BITS):
        raise DataError(f"{name}: {bits} of {allocated} bits are stored, expected 1 to {MAX_BITS}.")
    if dataset.get("HighBit", bits - 1) != bits - 1:
        raise DataError(
            f"{name}: the high bit is {dataset.HighBit}, expected {bits - 1} for {bits} bits."
        )
    rows, columns = dataset.get("Rows"), dataset.get("Columns")
    if not rows or not columns:
        raise DataError(f"{name}: {rows} rows and {columns} columns, expected both above 0.")
    _check_size(int(rows), int(columns), name)


def _check_meaning(dataset: Dataset, name: str) -> None:
    """The photometric interpretation is known and fits the number of samples."""
    meaning = dataset.get("PhotometricInterpretation")
    known = (*GREY, PALETTE, *COLOUR)
    if meaning not in known:
        raise DataError(
            f"{name}: the photometric interpretation is {meaning!r}, expected one of "
            f"{', '.join(known)}; save it as one of these."
        )
    samples, expected = dataset.get("SamplesPerPixel"), 3 if meaning in COLOUR else 1
    if samples != expected:
        raise DataError(
            f"{name}: {samples} samples a pixel, but the photometric interpretation {meaning} "
            f"has {expected}; one of the two is wrong."
        )


def _check_size(height: int, width: int, name: str) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(
            f"{name}: {width} x {height} pixels, at most {MAX_PIXELS:,} are read; make it smaller."
        )
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_ASPECT * min(height, width):
        raise DataError(
            f"{name}: {width} x {height} pixels, expected at least {MIN_SIDE} a side and no strip "
            f"longer than {MAX_ASPECT} times its width."
        )
