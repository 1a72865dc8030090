"""Every kind of picture that people feed a counter, good and bad."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fastcount.pictures import PictureError, open_picture, upright_size

RGB = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "WEBP", "PPM"])
def test_lossless_formats_come_back_exactly(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    got = open_picture(encoded(Image.fromarray(RGB), form, **options))
    np.testing.assert_array_equal(got, RGB)
    assert got.flags.c_contiguous
    assert got.dtype == np.uint8


def test_jpeg_is_close() -> None:
    flat = np.full((32, 24, 3), (200, 40, 90), np.uint8)
    got = open_picture(encoded(Image.fromarray(flat), "JPEG", quality=95))
    assert np.abs(got.astype(int) - flat).max() <= 3


def test_every_kind_of_source_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ünï code.png"
    path.write_bytes(encoded(Image.fromarray(RGB)))
    for source in (path, str(path), path.read_bytes(), Image.open(path), RGB):
        np.testing.assert_array_equal(open_picture(source), RGB)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_with_a_name_is_a_source(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(encoded(Image.fromarray(RGB))))
    writer.start()
    np.testing.assert_array_equal(open_picture(pipe), RGB)
    writer.join()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(orientation: int) -> None:
    # What a camera stores for each tag value so that the upright picture is RGB.
    stored = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: RGB.transpose(1, 0, 2)[::-1],
        7: RGB.transpose(1, 0, 2)[::-1, ::-1],
        8: RGB.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif)
        np.testing.assert_array_equal(open_picture(data), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_without_decoding_is_the_upright_one(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    path.write_bytes(encoded(Image.fromarray(RGB), exif=exif))
    assert upright_size(path) == open_picture(path).shape[:2]


def test_an_array_that_is_right_is_not_copied() -> None:
    assert open_picture(RGB) is RGB or np.shares_memory(open_picture(RGB), RGB)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_spoilt_exif_does_not_spoil_the_picture() -> None:
    data = encoded(Image.fromarray(RGB), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff nonsense")
    np.testing.assert_array_equal(open_picture(data), RGB)


def test_grey_and_palette() -> None:
    grey = RGB[:, :, 0]
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(open_picture(encoded(Image.fromarray(grey))), expected)
    palette = Image.fromarray(grey).convert("P")
    np.testing.assert_array_equal(open_picture(encoded(palette)), expected)
    one_bit = Image.fromarray(grey > 127)
    np.testing.assert_array_equal(
        open_picture(encoded(one_bit)), np.where(expected > 127, 255, 0).astype(np.uint8)
    )


def test_transparency_is_laid_over_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0] = 200
    rgba[0, :, 3] = (0, 128, 255)
    expected = [[255, 255, 255], [227, 127, 127], [200, 0, 0]]
    for source in (encoded(Image.fromarray(rgba)), encoded(Image.fromarray(rgba), "TIFF"), rgba):
        assert np.abs(open_picture(source)[0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "1"])
def test_a_transparent_colour_is_white(mode: str) -> None:
    image = Image.new("L", (2, 1), 0)
    image.putpixel((1, 0), 255 if mode == "1" else 90)
    image = image.convert(mode)
    options = {} if mode == "LA" else {"transparency": (0, 0, 0) if mode == "RGB" else 0}
    if mode == "LA":
        image.putpixel((0, 0), (0, 0))
    got = open_picture(encoded(image, **options))
    assert got[0, 0].tolist() == [255, 255, 255]
    assert got[0, 1].tolist() == ([255] * 3 if mode == "1" else [90] * 3)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bit_grey_is_scaled_by_its_range(form: str, bits: int) -> None:
    full = 2**bits - 1
    values = np.array([[0, full // 2, full]], np.uint16)
    for source in (encoded(Image.fromarray(values), form), values, values.astype(np.int64)):
        np.testing.assert_array_equal(open_picture(source)[0, :, 1], [0, 127, 255])


def test_a_value_beyond_a_range_takes_the_next() -> None:
    for full, more in ((255, 1023), (1023, 4095), (4095, 16383), (16383, 65535)):
        values = np.array([[0, full + 1]], np.uint16)
        assert open_picture(values)[0, 1, 0] == round((full + 1) / more * 255)


def test_sixteen_bit_colour() -> None:
    colour = pytest.importorskip("cv2")
    values = RGB.astype(np.uint16) * 257
    ok, data = colour.imencode(".png", values[:, :, ::-1])
    assert ok
    np.testing.assert_array_equal(open_picture(data.tobytes()), RGB)
    values[0, 0] = 65535
    assert np.abs(open_picture(values)[1:].astype(int) - RGB[1:]).max() == 0


@pytest.mark.parametrize("top", [2**31 - 1, 2**31, 2**32 - 1])
def test_all_of_32_bits(top: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, np.array([[0, 2**31 - 1, top]], np.uint32))
    expected = np.array([0, 2**31 - 1, top]) / (2**32 - 1) * 255
    assert np.abs(open_picture(file.getvalue())[0, :, 1] - expected).max() < 0.51


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_whose_zero_is_white(kind: type) -> None:
    tifffile = pytest.importorskip("tifffile")
    full = np.iinfo(kind).max
    file = io.BytesIO()
    tifffile.imwrite(file, np.array([[0, full // 5, full]], kind), photometric="miniswhite")
    np.testing.assert_array_equal(open_picture(file.getvalue())[0, :, 1], [255, 204, 0])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colours_in_planes(compression: str | None) -> None:
    tifffile = pytest.importorskip("tifffile")

    def planes(values: np.ndarray) -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(
            file,
            np.ascontiguousarray(values.transpose(2, 0, 1)),
            photometric="rgb",
            planarconfig="separate",
            compression=compression,
        )
        return file.getvalue()

    np.testing.assert_array_equal(open_picture(planes(RGB)), RGB)
    with pytest.raises(PictureError, match="interleaved"):
        open_picture(planes(RGB.astype(np.uint16) * 257))


@pytest.mark.parametrize("colours", [1, 3])
def test_a_transparent_colour_of_16_bits_is_refused(colours: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    values = np.array([0x1234, 0x1235, 0xFFFF], ">u2").repeat(colours)
    header = struct.pack(">IIBBBBB", 3, 1, 16, 0 if colours == 1 else 2, 0, 0, 0)
    parts = {
        b"IHDR": header,
        b"tRNS": struct.pack(">H", 0x1234) * colours,
        b"IDAT": zlib.compress(b"\0" + values.tobytes()),
        b"IEND": b"",
    }
    whole = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts.items())
    with pytest.raises(PictureError, match="alpha channel"):
        open_picture(whole)
    del parts[b"tRNS"]
    plain = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts.items())
    assert open_picture(plain)[0, :, 0].tolist() == [0x12, 0x12, 0xFF]


def test_floating_point() -> None:
    values = (RGB / 255).astype(np.float32)
    np.testing.assert_array_equal(open_picture(values), RGB)
    tiff = encoded(Image.fromarray(values[:, :, 0]), "TIFF")
    np.testing.assert_array_equal(open_picture(tiff)[:, :, 2], RGB[:, :, 0])


def test_cmyk() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for form in ("JPEG", "TIFF"):
        got = open_picture(encoded(image, form))[8, 8].astype(int)
        assert np.abs(got - [255, 0, 0]).max() <= 3


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue", "lime")]
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if form == "WEBP" else {}
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
        got = open_picture(data)
        assert got.shape == (3, 4, 3)
        assert (got == [255, 0, 0]).all()


def test_first_picture_of_a_stereo_camera() -> None:
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("white", "black")]
    got = open_picture(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert (got == 255).all()


def test_one_pixel() -> None:
    assert open_picture(encoded(Image.new("RGB", (1, 1), "red"))).tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_a_cut_file_is_named(tmp_path: Path, form: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), form)
    path = tmp_path / f"cut.{form.lower()}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(PictureError, match=r"cut\..*(copy|download)"):
        open_picture(path)


@pytest.mark.filterwarnings("ignore")
def test_garbage_never_escapes_as_another_error() -> None:
    rng = np.random.default_rng(2)
    noise = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
    for form in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"):
        whole = np.frombuffer(encoded(noise, form), np.uint8)
        for _ in range(40):
            spoilt = whole.copy()
            spoilt[rng.integers(2, min(200, len(spoilt)), 6)] = rng.integers(0, 256, 6)
            with contextlib.suppress(PictureError):
                assert open_picture(spoilt.tobytes(), max_pixels=10**6).shape[2] == 3


def test_other_bad_files(tmp_path: Path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("not a picture")
    empty = tmp_path / "empty.png"
    empty.touch()
    postscript = tmp_path / "drawing.eps"
    postscript.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    for path, words in (
        (text, "not a picture"),
        (empty, "empty"),
        (postscript, "convert it"),
        (tmp_path, "folder"),
        (tmp_path / "missing.jpg", "no such file"),
    ):
        with pytest.raises(PictureError, match=words) as caught:
            open_picture(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 8, 8), np.uint8), "channels last"),
        (np.zeros((8,), np.uint8), "shape"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (np.full((2, 2), np.nan), "not finite"),
        (np.full((2, 2), -1), "negative"),
        (np.full((2, 2), 1j), "complex"),
    ],
)
def test_bad_arrays(array: np.ndarray, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        open_picture(array)


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="source"):
        open_picture(42)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        (torch.zeros((3, 8, 8), dtype=torch.uint8), TypeError, r"got Tensor; .*numpy\(\)"),
        ((each for each in (RGB,)), TypeError, "got generator; .*as a list"),
        ("", PictureError, "'' names no picture; give a path"),
        ("https://example.org/a.jpg", PictureError, "https://example.org/a.jpg: .*download it"),
    ],
)
def test_the_usual_mistakes_are_told_their_cure(
    source: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        open_picture(source)


def test_a_tensor_as_its_error_says() -> None:
    tensor = torch.from_numpy(RGB).permute(2, 0, 1)
    np.testing.assert_array_equal(open_picture(tensor.movedim(0, -1).cpu().numpy()), RGB)


@pytest.mark.filterwarnings("error")
def test_large_pictures_neither_warn_nor_pass_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("1", (20_000, 5_000)).save(path)  # above Pillow's warning
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(PictureError, match=r"wide\.png.*max_pixels=50,000,000"):
        open_picture(path, max_pixels=50_000_000)
    assert open_picture(path).shape == (5_000, 20_000, 3)
    assert upright_size(path) == (5_000, 20_000)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_size_of_what_cannot_be_opened_or_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"none\.png: cannot be opened"):
        upright_size(tmp_path / "none.png")
    header = tmp_path / "header.ppm"
    header.write_bytes(b"P6 30000 20000 255\n")
    with pytest.raises(PictureError, match=r"header\.ppm: has 30000 x 20000 .*max_pixels"):
        upright_size(header)
    header.write_bytes(b"P6 20000 20000 255\n")
    assert upright_size(header) == (20_000, 20_000)
