"""PNG and JPEG pictures to uint8 arrays, and small PNG data URIs back."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin, PngImagePlugin

from engine.data import limits
from engine.errors import DataError

Pixels = npt.NDArray[np.uint8]
Result = TypeVar("Result")

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
OTHER_KINDS = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%!PS": "EPS",
               b"\xc5\xd0\xd3\xc6": "EPS", b"RIFF": "WebP", b"PK\x03\x04": "a zip archive", b"\0\0\x01\0": "ICO",
               b"<svg": "SVG", b"<?xml": "XML", b"%PDF": "PDF", b"\x93NUMPY": "an .npy array"}
GRAY_MODES = ("1", "L", "LA")
PREVIEW_PIXELS = 64


def probe(data: bytes, where: str) -> tuple[int, int, bool]:
    """(height, width, whether it is gray) of an encoded image, from its header alone."""
    image = _guarded(lambda: _open(data, where), where)
    return image.height, image.width, image.mode in GRAY_MODES


def decode(data: bytes, where: str, *, gray: bool, size: tuple[int, int] | None) -> Pixels:
    """The pixels (height, width, 1 or 3); resized to `size` (height, width) with an antialiased bilinear filter."""
    return _guarded(lambda: _pixels(_open(data, where), gray, size), where)


def _open(data: bytes, where: str) -> Image.Image:
    # The plugins themselves, not Image.open: that would try each of Pillow's forty parsers on hostile bytes.
    if data.startswith(PNG):
        if data[24:25] == b"\x10":
            raise DataError("image_depth", "expected 8 bits a channel, received 16", where=where)
        png = PngImagePlugin.PngImageFile(io.BytesIO(data))
        if getattr(png, "is_animated", False):
            raise DataError("image_animated", "expected a single picture, received an animation", where=where)
        image: Image.Image = png
    elif data.startswith(JPEG):
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    else:
        known = [name for magic, name in OTHER_KINDS.items() if data.startswith(magic)]
        raise DataError("image_format", f"expected PNG or JPEG, received {known[0] if known else 'something else'}",
                        where=where)
    if image.width * image.height > limits.MAX_PIXELS:
        raise DataError("image_too_large", f"expected at most {limits.MAX_PIXELS} pixels, received "
                        f"{image.width} x {image.height}", where=where)
    return image


def _pixels(image: Image.Image, gray: bool, size: tuple[int, int] | None) -> Pixels:
    image.load()
    mode = "L" if gray else "RGB"
    if image.mode == "P":
        image = image.convert("RGBA")  # Pillow asks for this step where a palette has transparency
    if image.mode != mode:
        image = image.convert(mode)
    if size is not None and (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8)
    return pixels[:, :, None] if gray else pixels


def _guarded(read: Callable[[], Result], where: str) -> Result:
    try:
        return read()
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, IndexError … on broken bytes: whatever
        # they raise here is the file's fault.
        kind = "truncated" if "truncated" in str(error).lower() else "broken"
        raise DataError("image_broken", f"expected a whole PNG or JPEG, received a {kind} one", where=where) from error


def data_uri(pixels: Pixels) -> str:
    """A PNG of at most 64 x 64 as a data URI; pixels (height, width) or (height, width, 1, 3 or 4)."""
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels))
    image.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def is_picture(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> bool:
    """Whether examples of this shape can be shown as pictures."""
    return dtype == np.uint8 and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) and min(shape[:2]) > 1
