"""Genuine small DICOM files, written by pydicom with the headers that an X-ray archive gives."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

UIDS = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big": "1.2.840.10008.1.2.2",
    "jpeg": "1.2.840.10008.1.2.4.50",
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "j2k": "1.2.840.10008.1.2.4.90",
    "mpeg2": "1.2.840.10008.1.2.4.100",
    "rle": "1.2.840.10008.1.2.5",
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def dicom(
    pixels: np.ndarray,
    syntax: str = "explicit",
    *,
    bits: int = 0,
    frame: bytes = b"",
    drop: tuple[str, ...] = (),
    **header: Any,
) -> bytes:
    """A DICOM file.

    Args:
        pixels: (H, W) or (H, W, 3) of 8 or 16 bits.
        syntax: a key of `UIDS`; JPEG at quality 90, JPEG 2000 without loss.
        bits: how many are stored; all by default.
        frame: the compressed image, where Pillow is not to make it.
        drop: header fields to leave out.
        header: further header fields, or other values for those below.
    """
    from pydicom import dcmwrite
    from pydicom.config import disable_value_validation
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, RLELossless, generate_uid

    dataset = Dataset()
    with disable_value_validation():  # the challenge writes an age as 51, not 051Y
        _fill(dataset, pixels, bits, header)
    dataset.file_meta = FileMetaDataset()
    dataset.SOPInstanceUID = generate_uid()
    uid = UID(UIDS[syntax])
    dataset.file_meta.TransferSyntaxUID = uid if syntax != "rle" else UID(UIDS["explicit"])
    if uid.is_encapsulated and syntax != "rle":
        dataset.PixelData = encapsulate([frame or _encoded(pixels, syntax)])
        dataset["PixelData"].VR = "OB"
    else:
        order = ">" if syntax == "big" else "<"
        dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    if syntax == "rle":
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    for keyword in drop:
        delattr(dataset, keyword)
    buffer = io.BytesIO()
    with disable_value_validation():
        dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _encoded(pixels: np.ndarray, syntax: str) -> bytes:
    buffer = io.BytesIO()
    if syntax == "jpeg":
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG2000", irreversible=False, no_jp2=True)
    return buffer.getvalue()


def _fill(dataset: Any, pixels: np.ndarray, bits: int, header: dict[str, Any]) -> None:
    """The header of an X-ray, as the challenge has it."""
    dataset.SOPClassUID = SECONDARY_CAPTURE
    dataset.Modality, dataset.ConversionType = "CR", "WSD"
    dataset.PatientAge, dataset.PatientSex, dataset.ViewPosition = "51", "F", "PA"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
