"""One image file to RGB bytes, whatever its kind; or one sentence that says why not.

| stored as | becomes |
|---|---|
| 8-bit grey, 1-bit | the same value in R, G and B |
| 16-bit grey | scaled so that its bit range fills [0, 255]; see `bit_range` |
| palette | its colours |
| alpha, or a transparent colour | composited on black |
| CMYK, YCbCr | converted by Pillow |
| EXIF orientation | turned upright; boxes and masks refer to the upright image |
| 16-bit TIFF in which 0 is white | inverted, so that high is bright |
| several frames | the first |

Refused: missing, empty, truncated, not an image, a format that is not in `FORMATS`, over
`MAX_PIXELS`, under `MIN_SIDE`, a strip longer than `MAX_ASPECT` times its width, and floating-point
grey, whose range nobody wrote down.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from softcam.common import DataError

__all__ = [
    "MAX_ASPECT",
    "MAX_PIXELS",
    "MIN_SIDE",
    "bit_range",
    "decode_image",
    "decode_mask",
    "image_size",
    "read_image",
    "read_mask",
]

MAX_PIXELS = 100_000_000  # a 10,000 x 10,000 image; anything larger is a mistake or an attack
MIN_SIDE = 8
MAX_ASPECT = 20
# of all that Pillow knows; it would give an EPS file to Ghostscript, which is a program
FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF", "TGA")
ORIENTATION, TURNED = 274, (5, 6, 7, 8)  # the EXIF tag, and where it lays the image on its side
PHOTOMETRIC = 262  # of a TIFF; 0: white is zero
BIT_DEPTHS = (8, 10, 12, 14, 16)


def bit_range(grey: np.ndarray) -> int:
    """The largest value that 16-bit grey data can hold: 255, 1023, 4095, 16383 or 65535.

    Files seldom say how many of their 16 bits are used, and 12-bit data over 65535 would be
    nearly black. Taken is the smallest of 8, 10, 12, 14 and 16 bits that holds the maximum.
    """
    top = int(grey.max())
    return next(2**bits - 1 for bits in BIT_DEPTHS if top < 2**bits)


def read_image(path: str | Path) -> np.ndarray:
    """The image in a file, upright, as (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file is missing or no image that can be used; the message names it.
    """
    return decode_image(read_bytes(path), path)


def decode_image(data: bytes, name: str | Path) -> np.ndarray:
    """Like `read_image` for bytes that are in memory already; `name` is used in messages."""
    return _rgb(_load(data, name), name)


def read_mask(path: str | Path) -> np.ndarray:
    """A mask file as (H, W) bool: every pixel above 0 in any channel is marked.

    A palette image counts by its indices, an image with alpha by its colours.
    """
    return decode_mask(read_bytes(path), path)


def decode_mask(data: bytes, name: str | Path) -> np.ndarray:
    """Like `read_mask` for bytes that are in memory already; `name` is used in messages."""
    image = _load(data, name)
    if image.mode in ("RGBA", "LA"):
        image = image.convert("RGB")
    marked: np.ndarray = np.asarray(image) > 0
    return np.asarray(marked.any(-1)) if marked.ndim == 3 else marked


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file; a `DataError` that names it where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def image_size(data: bytes, name: str | Path) -> tuple[int, int]:
    """(height, width) of the upright image; its pixels are not decoded.

    Raises:
        DataError: as `decode_image`, as far as the header shows it.
    """
    with _read(data, name) as image:
        turned = image.getexif().get(ORIENTATION, 1) in TURNED
        return (image.width, image.height) if turned else (image.height, image.width)


def _load(data: bytes, name: str | Path) -> Image.Image:
    """Decode completely and turn upright."""
    with _read(data, name) as image:
        white_is_zero = image.mode.startswith("I") and _tag(image, PHOTOMETRIC) == 0
        image.load()
        upright = ImageOps.exif_transpose(image)
        upright.info["white is zero"] = white_is_zero
        return upright


@contextmanager
def _read(data: bytes, name: str | Path) -> Iterator[Image.Image]:
    """The image with its header read; what goes wrong in the block becomes a `DataError`."""
    if not data:
        raise DataError(f"{name}: the file is empty (0 bytes).")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
        if image.format not in FORMATS:
            raise DataError(f"{name}: {image.format} is not read; save it as PNG, JPEG or TIFF.")
        _check_size(image, name)
        yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: more than {MAX_PIXELS:,} pixels; make it smaller.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not an image that Pillow knows (PNG, JPEG, TIFF ...).") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, KeyError) as error:
        raise DataError(f"{name}: the image is damaged or truncated ({error}).") from error


def _tag(image: Image.Image, number: int) -> object:
    """A tag of a TIFF; None of another format."""
    return image.tag_v2.get(number) if isinstance(image, TiffImageFile) else None


def _check_size(image: Image.Image, name: str | Path) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{name}: {width} x {height} pixels, at most {MAX_PIXELS:,} are read; make it smaller."
        )
    if min(width, height) < MIN_SIDE:
        raise DataError(
            f"{name}: {width} x {height} pixels, at least {MIN_SIDE} a side are expected."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DataError(
            f"{name}: {width} x {height} pixels is a strip; the long side may be at most "
            f"{MAX_ASPECT} times the short one."
        )


def _rgb(image: Image.Image, name: str | Path) -> np.ndarray:
    if image.mode.startswith("I"):
        return _sixteen_bit(image, name)
    if image.mode == "F":
        raise DataError(f"{name}: floating-point pixels of unknown range; save 8 or 16 bits.")
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            black = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(black, image)
        return np.array(image.convert("RGB"))
    except ValueError as error:
        raise DataError(f"{name}: mode {image.mode} cannot become RGB ({error}).") from error


def _sixteen_bit(image: Image.Image, name: str | Path) -> np.ndarray:
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise DataError(
            f"{name}: grey values from {grey.min()} to {grey.max()}, expected 0 to 65535."
        )
    top = bit_range(grey)
    if image.info.get("white is zero"):
        grey = top - grey
    scaled = np.rint(grey * (255 / top)).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)
