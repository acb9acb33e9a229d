"""Image folders: layouts, sizes, colours, and every bad picture."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from engine.data import limits
from engine.errors import DataError

from .conftest import picture, zipped


def refused(take, entries, code, **options):
    with pytest.raises(DataError) as caught:
        take(zipped(entries), "pets.zip", **options)
    assert caught.value.code == code
    return caught.value


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_claiming(width, height, depth=8, data=100):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(data))) + chunk(b"IEND", b""))


def jpeg_claiming(width, height):
    content = bytearray(picture(kind="JPEG"))
    start = content.index(b"\xff\xc0")
    content[start + 5:start + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def test_png_and_jpeg_pixels_and_labels_are_kept_in_order(take):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 5, 6, 3), np.uint8)
    dataset = take(zipped({"b/2.png": encoded(Image.fromarray(pixels[3])),
                           "a/1.png": encoded(Image.fromarray(pixels[0])),
                           "b/1.jpg": encoded(Image.fromarray(pixels[2]), "JPEG"),
                           "a/2.PNG": encoded(Image.fromarray(pixels[1]))}), "x.zip")
    assert dataset.manifest["classes"] == ["a", "b"]
    assert dataset.manifest["target"] == "label"
    np.testing.assert_array_equal(dataset.columns["label"], [0, 0, 1, 1])
    np.testing.assert_array_equal(dataset.columns["image"][[0, 1, 3]], pixels[[0, 1, 3]])
    jpeg = Image.open(io.BytesIO(encoded(Image.fromarray(pixels[2]), "JPEG")))
    np.testing.assert_array_equal(dataset.columns["image"][2], np.asarray(jpeg))


def test_given_splits_order_the_rows(take):
    names = ["Train/a/1.png", "test/a/1.png", "val/b/1.png", "Train/b/1.png"]
    dataset = take(zipped({name: picture(value=20 * number) for number, name in enumerate(names)}), "x.zip")
    assert dataset.manifest["splits"] == {"train": [0, 2], "validation": [2, 3], "test": [3, 4]}
    np.testing.assert_array_equal(dataset.columns["image"][:, 0, 0, 0], [0, 60, 40, 20])
    assert sorted(dataset.manifest["warnings"]) == ["class 'a' has no examples in the validation split",
                                                    "class 'b' has no examples in the test split"]


def test_folders_around_everything_and_system_files_are_ignored(take):
    dataset = take(zipped({"my data/v1/cat/1.png": picture(), "my data/v1/dog/1.png": picture(),
                           "__MACOSX/my data/v1/cat/._1.png": b"junk", "my data/.DS_Store": b"junk",
                           "my data/v1/cat/Thumbs.db": b"junk", "my data/readme.txt": b"hello",
                           "my data/v1/empty/": b""}), "x.zip")
    assert dataset.manifest["classes"] == ["cat", "dog"]
    assert dataset.manifest["warnings"] == [
        "1 entries are no pictures and were ignored, the first is 'my data/readme.txt'",
        "the folder 'my data/v1/empty' has no pictures"]


def test_a_single_class_is_warned_about(take):
    assert take(zipped({"cat/1.png": picture()}), "x.zip").manifest["warnings"] == ["there is only one class"]


@pytest.mark.parametrize("names", [["1.png", "2.png"], ["cat/1.png", "2.png"], ["a/cat/1.png", "dog/1.png"],
                                   ["train/1.png", "test/1.png"], ["train/cat/1.png", "test/1.png"],
                                   ["train/cat/x/1.png", "test/cat/x/1.png"], ["train/cat/1.png", "other/cat/1.png"]])
def test_other_layouts_are_refused(take, names):
    refused(take, {name: picture() for name in names}, "folder_layout")


def test_pictures_without_train_or_at_all_are_refused(take):
    refused(take, {"test/cat/1.png": picture()}, "no_train_split")
    refused(take, {"cat/readme.txt": b"hello"}, "no_examples")
    refused(take, {}, "no_examples")


def test_different_sizes_need_the_option_and_name_the_first(take):
    entries = {"a/1.png": picture((4, 4, 3)), "a/2.png": picture((4, 4, 3)), "b/1.png": picture((6, 4, 3)),
               "b/2.png": picture((9, 9, 3))}
    error = refused(take, entries, "image_sizes_differ")
    assert error.where == "entry 'b/1.png'"
    assert "expected 4 x 4 (height x width) as the first picture, received 6 x 4" in error.detail
    assert take(zipped(entries), "x.zip", image_size=[3, 7]).columns["image"].shape == (4, 3, 7, 3)


def test_resizing_keeps_flat_colours_and_antialiases(take):
    checker = np.indices((64, 64)).sum(axis=0) % 2 * 255
    content = zipped({"a/1.png": encoded(Image.fromarray(checker.astype(np.uint8))),
                      "a/2.png": picture((50, 40), value=77)})
    image = take(content, "x.zip", image_size=[8, 8]).columns["image"]
    assert np.all(image[1] == 77)
    assert abs(image[0].astype(int) - 127).max() <= 3


def test_colour_is_inferred_and_can_be_told(take):
    gray, rgb = picture((4, 4), value=50), picture((4, 4, 3), value=50)
    assert take(zipped({"a/1.png": gray, "a/2.png": gray}), "x.zip").columns["image"].shape == (2, 4, 4, 1)
    assert take(zipped({"a/1.png": gray, "a/2.png": rgb}), "x.zip").columns["image"].shape == (2, 4, 4, 3)
    assert take(zipped({"a/1.png": rgb}), "x.zip", color="grayscale").columns["image"].shape == (1, 4, 4, 1)
    assert take(zipped({"a/1.png": gray}), "x.zip", color="rgb").columns["image"].shape == (1, 4, 4, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_is_read(take, mode):
    image = Image.new("RGB", (4, 4), (200, 200, 200)).convert(mode)
    column = take(zipped({"a/1.png": encoded(image)}), "x.zip").columns["image"]
    assert abs(int(column[0, 0, 0, 0]) - (255 if mode == "1" else 200)) <= 4


def test_palettes_with_transparency_and_cmyk_jpegs_are_read(take):
    palette = Image.new("P", (4, 4))
    palette.putpalette([10, 20, 30] * 256)
    transparent = encoded(palette, transparency=bytes([0] * 10))
    cmyk = encoded(Image.new("CMYK", (4, 4), (0, 0, 0, 128)), "JPEG")
    dataset = take(zipped({"a/1.png": transparent, "a/2.jpg": cmyk}), "x.zip")
    np.testing.assert_array_equal(dataset.columns["image"][0, 0, 0], [10, 20, 30])


@pytest.mark.parametrize(("name", "content", "code"), [
    ("1.png", lambda: png_claiming(60_000, 60_000), "image_too_large"),
    ("1.jpg", lambda: jpeg_claiming(60_000, 60_000), "image_too_large"),
    ("1.png", lambda: png_claiming(4, 4, data=9), "image_broken"),
    ("1.png", lambda: png_claiming(0, 4), "image_broken"),
    ("1.png", lambda: png_claiming(4, 4, depth=16), "image_depth"),
    ("1.png", lambda: picture()[:-30], "image_broken"),
    ("1.jpg", lambda: picture((64, 64, 3), "JPEG")[:300], "image_broken"),
    ("1.jpg", lambda: b"\xff\xd8\xff\xe0", "image_broken"),
    ("1.png", lambda: picture(kind="EPS"), "image_format"),
    ("1.png", lambda: picture(kind="GIF"), "image_format"),
    ("1.png", lambda: picture(kind="BMP"), "image_format"),
    ("1.png", lambda: picture(kind="TIFF"), "image_format"),
    ("1.png", lambda: b"", "image_format"),
    ("1.jpg", lambda: b"<html>", "image_format"),
    ("1.gif", lambda: picture(kind="GIF"), "image_format"),
    ("1.bmp", lambda: picture(kind="BMP"), "image_format"),
    ("1.webp", lambda: b"RIFF", "image_format"),
    ("1.png", lambda: encoded(Image.fromarray(np.zeros((4, 4), np.uint16))), "image_depth"),
])
def test_bad_pictures_are_refused_by_name(take, name, content, code):
    error = refused(take, {"a/0.png": picture(), f"b/{name}": content()}, code)
    assert error.where == f"entry 'b/{name}'"


def test_pictures_that_decode_to_far_more_than_the_upload_are_refused(take, monkeypatch):
    monkeypatch.setattr(limits, "FREE_DECODED_BYTES", 1 << 20)
    refused(take, {f"a/{number}.png": picture((1000, 1000)) for number in range(9)}, "dataset_too_large")


def test_a_text_bomb_is_refused(take):
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "x" * 20_000_000, zip=True)
    refused(take, {"a/1.png": encoded(Image.new("RGB", (4, 4)), pnginfo=info)}, "image_broken")


def test_an_animation_is_refused(take):
    frames = [Image.new("RGB", (4, 4), (80 * number, 0, 0)) for number in range(3)]
    content = encoded(frames[0], save_all=True, append_images=frames[1:])
    refused(take, {"a/1.png": content}, "image_animated")


def test_a_jpeg_named_png_is_still_read(take):
    assert take(zipped({"a/1.png": picture(kind="JPEG")}), "x.zip").manifest["examples"] == 1


def test_profile_and_preview(take):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 5, 6, 3), np.uint8)
    dataset = take(zipped({f"{'ab'[n % 2]}/{n}.png": encoded(Image.fromarray(pixels[n])) for n in range(6)}), "x.zip")
    profile = dataset.manifest["profile"]
    assert profile["label"]["classes"] == {"a": 3, "b": 3}
    assert profile["label"]["splits"] == {"train": {"a": 3, "b": 3}}
    np.testing.assert_allclose(profile["image"]["mean"], pixels.mean())
    np.testing.assert_allclose(profile["image"]["std"], pixels.std())
    np.testing.assert_allclose(profile["image"]["channels"]["mean"], pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(profile["image"]["channels"]["std"], pixels.std(axis=(0, 1, 2)))
    for row, shown in enumerate(dataset.manifest["preview"]):
        kind, data = shown["image"].split(",")
        assert kind == "data:image/png;base64"
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))),
                                      dataset.columns["image"][row])
        assert shown["label"] == "ab"[dataset.columns["label"][row]]
