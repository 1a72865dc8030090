"""Pictures as people have them, turned into what a network takes: (H, W, 3) uint8 RGB."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

PictureSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]

MAX_PIXELS = 500_000_000

# Named, because Pillow's full list holds formats that start other programs (EPS: Ghostscript).
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM")
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
# Tags of TIFF that Pillow does not heed where numbers are wider than 8 bits.
_BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 258, 262, 284, 339
_BAND = 1 << 22  # pixels converted at a time, so that a huge picture is not held three times
_pillow_limit = threading.Lock()


class PictureError(ValueError):
    """A picture that cannot be read. The message names it and says what to do about it."""


def open_picture(source: PictureSource, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Reads a picture as contiguous (H, W, 3) uint8 RGB, upright.

    ``source``: a path, the bytes of a file, a ``PIL.Image`` or an array. Files may be JPEG, PNG,
    TIFF, WebP, BMP, GIF or PNM; of several frames or pages the first is taken. Arrays are (H, W),
    (H, W, 1), (H, W, 3) or (H, W, 4) with alpha: bool, unsigned, or floating point. A (H, W, 3)
    uint8 array comes back as it is, not copied.

    - EXIF rotation is applied; grey and palette become RGB; CMYK is converted; transparency is
      laid over white.
    - 16-bit grey, and arrays of integers wider than 8 bits, are divided by the full scale of the
      least of 8, 10, 12, 14, 16 or 32 bits that holds their greatest value, for cameras write 12
      bits into 16. 16-bit colour files are divided by the full scale of 16 bits.
    - Floating point is [0, 1] where nothing exceeds 1, else treated like integers. Negative or
      non-finite values are refused.

    Memory: the decoded file (1 to 4 bytes a pixel) beside the result (3 bytes a pixel).

    Raises :class:`PictureError` for what cannot be read, is damaged, is empty, or has more than
    ``max_pixels`` pixels; ``TypeError`` for a source of another type.
    """
    if isinstance(source, np.ndarray):
        _check_pixels("the array", source.shape[1::-1], max_pixels)
        return _from_array("the array", source)
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "the image")
        return _decode(name, source, max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read("the bytes given", io.BytesIO(source), max_pixels)
    if isinstance(source, str | os.PathLike):
        if isinstance(source, str):
            _refuse_what_is_no_path(source)
        path = Path(source)
        if path.is_dir():
            raise PictureError(f"{path}: is a folder; name the pictures in it")
        if not path.exists():
            raise PictureError(f"{path}: there is no such file; check the path")
        try:
            with path.open("rb") as file:
                # A pipe with a name, such as a shell's <(...), is read but once.
                whole = file if file.seekable() else io.BytesIO(file.read())
                return _read(str(path), whole, max_pixels)
        except OSError as error:
            raise PictureError(f"{path}: cannot be opened: {error.strerror or error}") from error
    cure = ""
    if hasattr(source, "movedim"):  # a tensor, known without PyTorch
        cure = "; of a (3, H, W) tensor give tensor.movedim(0, -1).cpu().numpy()"
    elif hasattr(source, "__iter__"):
        cure = "; give a counter several pictures as a list"
    raise TypeError(
        "source: expected a path, bytes, a PIL.Image or a numpy array, "
        f"got {type(source).__name__}{cure}"
    )


def _refuse_what_is_no_path(text: str) -> None:
    if not text:
        raise PictureError("source: '' names no picture; give a path")
    if text.lower().startswith(("http://", "https://")):
        raise PictureError(
            f"{text}: is an address; download it and give its bytes, or use `fastcount count`"
        )


def upright_size(path: Path) -> tuple[int, int]:
    """(H, W) of the picture that :func:`open_picture` reads from ``path``, without decoding it.

    Raises :class:`PictureError` for a file that :func:`open_picture` would not decode.
    """
    with open_undecoded(path) as image:
        turned = _orientation(image) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


@contextmanager
def open_undecoded(path: Path) -> Iterator[Image.Image]:
    """The picture file as Pillow opens it, for those who want its pixels as they are stored.

    Formats, the usual limit and errors are those of :func:`open_picture`; whatever goes wrong in
    the block, where Pillow decodes, becomes a :class:`PictureError` too.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise PictureError(f"{path}: cannot be opened: {error.strerror or error}") from error
    with file, _opened(str(path), file) as image:
        _check_pixels(str(path), image.size, MAX_PIXELS)
        try:
            yield image
        except MemoryError:
            raise
        except Exception as error:  # decoders of damaged files raise nearly anything
            raise PictureError(
                f"{path}: is damaged or cut short ({error}); copy or download it again"
            ) from error


def _read(name: str, file: Any, max_pixels: int) -> NDArray[np.uint8]:
    with _opened(name, file) as image:
        return _decode(name, image, max_pixels)


def _opened(name: str, file: Any) -> Image.Image:
    if not file.read(1):
        raise PictureError(f"{name}: is empty (0 bytes); copy or download it again")
    file.seek(0)
    try:
        # Pillow's own guard is a module variable; ours, below, replaces it before any decoding.
        with _pillow_limit:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return Image.open(file, formats=FORMATS)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except UnidentifiedImageError:
        raise PictureError(
            f"{name}: is not a picture that can be read, or its header is damaged; "
            "convert it to JPEG or PNG, or copy it again"
        ) from None
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise PictureError(f"{name}: is damaged ({error}); copy or download it again") from error


def _decode(name: str, image: Image.Image, max_pixels: int) -> NDArray[np.uint8]:
    _check_pixels(name, image.size, max_pixels)
    try:
        tags = dict(getattr(image, "tag_v2", {}))  # a turned image has none
        _refuse_what_pillow_misreads(name, image, tags)
        image.load()
        upright = _UPRIGHT.get(_orientation(image))
        if upright is not None:
            image = image.transpose(upright)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return _wide_grey(name, image, tags)
        return _to_rgb(image)
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(
            f"{name}: {image.width}x{image.height} pixels do not fit in memory; scale it down"
        ) from error
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise PictureError(
            f"{name}: is damaged or cut short ({error}); copy or download it again"
        ) from error


def _refuse_what_pillow_misreads(name: str, image: Image.Image, tags: dict[int, Any]) -> None:
    if tags.get(_PLANES) == 2 and max(tags.get(_BITS, (8,))) > 8:
        raise PictureError(
            f"{name}: keeps each colour of more than 8 bits in a plane of its own, which cannot be "
            "read; save it with interleaved colours, or with 8 bits"
        )
    deep = any("16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    if image.format == "PNG" and deep and "transparency" in image.info:
        raise PictureError(
            f"{name}: has 16 bits and a transparent colour, which cannot be read; save it with an "
            "alpha channel, or with 8 bits"
        )


def _wide_grey(name: str, image: Image.Image, tags: dict[int, Any]) -> NDArray[np.uint8]:
    """Of more than 8 bits."""
    values = np.asarray(image)
    if image.mode == "I" and tags.get(_BITS) == (32,) and tags.get(_SAMPLE_FORMAT, (1,)) == (1,):
        values = values.view(np.uint32)
    result = _from_array(name, values)
    if tags.get(_PHOTOMETRIC) == 0:  # zero is white
        np.subtract(255, result, out=result)
    return result


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a picture with spoilt EXIF is still a picture
        return 1


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    transparent = image.has_transparency_data
    result = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        whole = bottom - top == image.height  # crop would copy it
        band = image if whole else image.crop((0, top, image.width, bottom))
        if transparent:
            rgba = band.convert("RGBA")
            band = Image.new("RGB", rgba.size, (255, 255, 255))
            band.paste(rgba, mask=rgba.getchannel("A"))
        elif band.mode != "RGB":
            band = band.convert("RGB")
        result[top : top + rows] = np.asarray(band)
    return result


def _from_array(name: str, values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4):
        hint = "; move the channels last" if values.ndim == 3 and values.shape[0] in (1, 3) else ""
        raise PictureError(
            f"{name}: expected the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            f"got {values.shape}{hint}"
        )
    height, width, channels = values.shape
    if values.dtype == np.uint8 and channels == 3:
        return np.ascontiguousarray(values)
    scale = _scale(name, values)
    result = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        band = values[top : top + rows].astype(np.float32) * np.float32(scale)
        if channels == 4:
            alpha = band[:, :, 3:] / np.float32(255)
            band = band[:, :, :3] * alpha + np.float32(255) * (1 - alpha)
        result[top : top + rows] = np.rint(band).clip(0, 255).astype(np.uint8)
    return result


def _scale(name: str, values: NDArray[Any]) -> float:
    """What the values are multiplied by to lie in [0, 255]."""
    if values.dtype == np.uint8:
        return 1.0
    if values.dtype == np.bool_:
        return 255.0
    if values.dtype.kind not in "iuf":
        raise PictureError(f"{name}: cannot make a picture of {values.dtype}; use uint8")
    least, greatest = float(values.min()), float(values.max())
    if not (np.isfinite(least) and np.isfinite(greatest)):
        raise PictureError(f"{name}: holds values that are not finite; replace them")
    if least < 0:
        raise PictureError(f"{name}: holds negative values (least {least:g}); shift them to 0")
    if values.dtype.kind == "f" and greatest <= 1:
        return 255.0
    for bits in (8, 10, 12, 14, 16, 32):
        if greatest <= 2**bits - 1:
            return 255.0 / (2**bits - 1)
    raise PictureError(f"{name}: values up to {greatest:g} exceed 32 bits; scale them to [0, 1]")


def _check_pixels(name: str, size: tuple[int, ...], max_pixels: int) -> None:
    pixels = 1
    for side in size:
        pixels *= side
    if pixels == 0:
        raise PictureError(f"{name}: has no pixels")
    if pixels > max_pixels:
        raise PictureError(
            f"{name}: has {' x '.join(map(str, size))} = {pixels:,} pixels, more than "
            f"max_pixels={max_pixels:,}; pass a larger max_pixels, or cut or scale the picture"
        )
