"""Genuine small DICOM files, written by pydicom with the headers that an X-ray archive gives."""

from __future__ import annotations

import io
import struct
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
CT = "1.2.840.10008.5.1.4.1.1.2"
SHAPE = (10, 12)


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


def draw(low: int, high: int, dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Random values, both ends among them."""
    pixels = np.random.default_rng(7).integers(low, high, shape, endpoint=True)
    pixels[0, 0], pixels[0, 1] = low, high
    return pixels.astype(dtype)


def photograph(channels: int = 1) -> np.ndarray:
    small = np.random.default_rng(6).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(small).resize((64, 48)))
    return large if channels == 3 else np.ascontiguousarray(large[..., 0])


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


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


def lut(values: list[int], first: int, bits: int, packed: bool = False, entries: int = 0) -> Any:
    import pydicom

    item = pydicom.Dataset()
    item.LUTDescriptor = [entries or len(values), first, bits]
    item.add_new("LUTData", "OW" if packed else "US", bytes(values) if packed else values)
    return pydicom.Sequence([item])


def grey(data: bytes) -> np.ndarray:
    """The one channel of a grey image."""
    from softcam.data.dicom import read_dicom

    pixels = read_dicom(data, "a.dcm").pixels
    assert pixels.dtype == np.uint8 and (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint((values.astype(float) - low) / (high - low) * 255).astype(np.uint8)
