"""The compressed image inside a DICOM file: checked, then decoded by what is installed.

| written as | read by, the first of them that can |
|---|---|
| RLE | pylibjpeg-rle, pydicom |
| JPEG of 8 bits, JPEG 2000 | Pillow, pylibjpeg-openjpeg |
| high-throughput JPEG 2000 | pylibjpeg-openjpeg |
| lossless JPEG, JPEG of 12 bits | python-gdcm |
| JPEG-LS | pyjpegls, python-gdcm |

The header of the stream has to be whole and to agree with the DICOM header before a decoder sees
it: none unpacks a bomb then, and GDCM, which ends the whole process at some damaged headers, is
not asked. It is not asked either for what others read.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from softcam.common import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["INSTALL", "stored_values"]

INSTALL = "pip install 'softcam[dicom]'"
# of several decoders the first that can: the same pixels whatever else is installed
DECODERS = ("pillow", "pylibjpeg", "pydicom", "pyjpegls", "gdcm")
# what GDCM is asked for, by the marker that begins such a frame (ITU T.81 B.1.1.3, T.87)
GDCM = {
    "1.2.840.10008.1.2.4.51": (0xC0, 0xC1),
    "1.2.840.10008.1.2.4.57": (0xC3,),
    "1.2.840.10008.1.2.4.70": (0xC3,),
    "1.2.840.10008.1.2.4.80": (0xF7,),
    "1.2.840.10008.1.2.4.81": (0xF7,),
}
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
HUFFMAN, SCAN = 0xC4, 0xDA
BESIDE = (0xDB, 0xDD, 0xFE, 0xF8, *range(0xE0, 0xF0))  # quantisation, restart, comment, LS, APPn


def stored_values(dataset: Dataset, name: str) -> np.ndarray:
    """The stored values, (H, W) or (H, W, 3), colour as RGB.

    Raises:
        DataError: a stream that is damaged, has another size than the header says, or that
            nothing installed can read; the message begins with `name`.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return pixel_array(dataset)
    if not syntax.name.startswith("RLE"):
        _check_frame(dataset, name)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise DataError(
            f"{name}: {syntax.name} cannot be read; save the image uncompressed."
        ) from error
    able = [plugin for plugin in decoder.available_plugins if plugin != "gdcm" or syntax in GDCM]
    problems: list[str] = []
    for plugin in sorted(able, key=_rank):
        try:
            return pixel_array(dataset, decoding_plugin=plugin)
        except Exception as error:  # any: the next decoder may read it
            problems.append(f"{plugin}: {error}")
    if not problems or (syntax in GDCM and "gdcm" not in able):
        problems.append(f"for more decoders: {INSTALL}")
    raise DataError(f"{name}: {syntax.name} cannot be decoded ({'; '.join(problems)}).")


def _rank(decoder: str) -> int:
    return DECODERS.index(decoder) if decoder in DECODERS else len(DECODERS)


def _check_frame(dataset: Dataset, name: str) -> None:
    from pydicom.encaps import get_frame

    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    found = _coded_size(frame)
    expected = (int(dataset.Rows), int(dataset.Columns))
    if found is None:
        raise DataError(f"{name}: the compressed image has no header: damaged or truncated.")
    if found != expected:
        raise DataError(
            f"{name}: the compressed image is {found[1]} x {found[0]} pixels, the DICOM header "
            f"says {expected[1]} x {expected[0]}."
        )
    markers = GDCM.get(dataset.file_meta.TransferSyntaxUID)
    if markers is not None and (problem := _problem(frame, dataset, markers)):
        raise DataError(f"{name}: the header of the compressed image is damaged: {problem}.")


def _coded_size(frame: bytes) -> tuple[int, int] | None:
    """(height, width) written in a JPEG, JPEG-LS or JPEG 2000 stream; None where there is none."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)  # JPEG 2000, bare or in a JP2 box
    if frame[:2] != b"\xff\xd8":
        if start < 0 or len(frame) < start + 24:
            return None
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        return bottom - top, right - left
    for marker, body in _segments(frame):
        if marker in FRAMES and len(body) >= 5:
            height, width = struct.unpack_from(">2H", body, 1)
            return height, width
    return None


def _segments(frame: bytes) -> list[tuple[int, bytes]]:
    """Marker and content of every segment of a JPEG up to its first scan, as far as they go on."""
    found, at = [], 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", frame, at + 2)
        if length < 2 or at + 2 + length > len(frame):
            break
        found.append((marker, frame[at + 4 : at + 2 + length]))
        if marker == SCAN:
            break
        at += 2 + length
    return found


def _problem(frame: bytes, dataset: Dataset, markers: tuple[int, ...]) -> str | None:
    """Why the header of a JPEG is not what GDCM can be given, or None."""
    samples, known = int(dataset.SamplesPerPixel), (*markers, HUFFMAN, SCAN, *BESIDE)
    segments = _segments(frame)
    if not segments or segments[-1][0] != SCAN:
        return "it does not lead to the pixels"
    frames = [body for marker, body in segments if marker in markers]
    if len(frames) != 1 or any(marker not in known for marker, _ in segments):
        return "it is of another kind than the DICOM header says"
    bits, count = frames[0][0], frames[0][5] if len(frames[0]) > 5 else 0
    if len(frames[0]) != 6 + 3 * count or count != samples:
        return f"{count} components, the DICOM header says {samples}"
    if not 2 <= bits <= int(dataset.BitsAllocated):
        return f"{bits} bits a pixel, the DICOM header says {dataset.BitsAllocated}"
    if any(not _is_huffman(body) for marker, body in segments if marker == HUFFMAN):
        return "a Huffman table is no table"
    scan = segments[-1][1]
    if len(scan) < 4 or len(scan) != 4 + 2 * scan[0] or not 1 <= scan[0] <= count:
        return "the scan is of no component"
    return None


def _is_huffman(body: bytes) -> bool:
    """Whether all of a segment is Huffman tables (ITU T.81 B.2.4.2)."""
    at = 0
    while at + 17 <= len(body):
        if body[at] & 0xEC:  # class 0 or 1, place 0 to 3
            return False
        at += 17 + sum(body[at + 1 : at + 17])
    return at == len(body) > 0
