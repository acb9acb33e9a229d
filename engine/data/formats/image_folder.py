"""A zip archive of pictures with a folder for each class, optionally under train/, validation/ and test/."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from engine import registry
from engine.data import images, limits
from engine.data.archive import Archive, is_archive, shown
from engine.data.folders import Picture, find_pictures
from engine.data.format import SPLITS, Column, Contents, Format, ProgressFunction, Sample, Writer
from engine.errors import DataError
from engine.options import Reader, choice, integer, option, optional, sequence

REPORT_EVERY = 500


def _size() -> Reader:
    return optional(sequence(integer(minimum=1, maximum=4096), minimum=2, maximum=2))


@registry.register("format", "image-folder")
@dataclass(frozen=True, kw_only=True)
class ImageFolder(Format):
    """A zip archive of PNG and JPEG pictures with a folder for each class; train/ and test/ on top if wanted.

    Columns: `image` uint8 (height, width, channels) and `label` (the folder's name), which is the target.
    """

    image_size: tuple[int, int] | None = option(_size(), default=None,
                                                doc="[height, width] to resize to; needed if the pictures differ")
    color: str | None = option(optional(choice("rgb", "grayscale")), default=None,
                               doc="default: grayscale if every picture is, else rgb")

    @classmethod
    def may_begin(cls, start: bytes, suffix: str) -> bool:
        """A zip archive that is not called .npz."""
        return is_archive(start) and suffix != ".npz"

    @classmethod
    def matches(cls, source: Path, start: bytes, suffix: str) -> bool:
        """Any zip archive that is not an npz file."""
        if not cls.may_begin(start, suffix):
            return False
        with Archive(source) as archive:
            return not (archive.entries and all(entry.name.endswith(".npy") for entry in archive.entries))

    def read(self, source: Path, writer: Writer, progress: ProgressFunction) -> Contents:
        """Two passes: the headers of all pictures first, because the columns' shape must be known to write a row."""
        with Archive(source) as archive:
            pictures, warnings = find_pictures(archive)
            classes = sorted({picture.label for picture in pictures})
            if len(classes) > limits.MAX_CLASSES:
                raise DataError("too_many_classes", f"expected at most {limits.MAX_CLASSES} classes, "
                                f"received {len(classes)}")
            size, gray = self._common(archive, pictures, progress)
            shape = (*size, 1 if gray else 3)
            rows = len(pictures)
            image_file = writer.file("image", np.uint8, (rows, *shape))
            label_file = writer.file("label", np.int32, (rows,))
            codes = {label: code for code, label in enumerate(classes)}
            for done, picture in enumerate(pictures, 1):
                data = archive.read(picture.entry, limits.MAX_IMAGE_BYTES)
                image_file.append(images.decode(data, shown(picture.entry), gray=gray, size=size))
                if done % REPORT_EVERY == 0 or done == rows:
                    progress(rows + done, 2 * rows)
            label_file.append(np.array([codes[picture.label] for picture in pictures], np.int32))
        counts = Counter(picture.split for picture in pictures)
        columns = [Column(name="image", type="image", shape=shape, dtype="uint8", file=image_file.name),
                   Column(name="label", type="category", dtype="int32", file=label_file.name,
                          categories=tuple(classes))]
        return Contents(columns=columns, splits={split: counts[split] for split in SPLITS if counts[split]},
                        target="label", classes=tuple(classes), warnings=warnings,
                        spread_preview=True)

    def _common(self, archive: Archive, pictures: list[Picture],
                progress: ProgressFunction) -> tuple[tuple[int, int], bool]:
        """The size of all pictures, and whether they become grayscale."""
        first: tuple[int, int] | None = None
        all_gray = True
        for done, picture in enumerate(pictures, 1):
            where = shown(picture.entry)
            height, width, gray = images.probe(archive.read(picture.entry, limits.MAX_IMAGE_BYTES), where)
            all_gray = all_gray and gray
            first = first or (height, width)
            if self.image_size is None and (height, width) != first:
                raise DataError("image_sizes_differ", f"expected {first[0]} x {first[1]} (height x width) as the first "
                                f"picture, received {height} x {width}; give the option image_size [height, width] "
                                "to resize all", where=where)
            if done % REPORT_EVERY == 0:
                progress(done, 2 * len(pictures))
        if first is None:
            raise DataError("no_examples", "expected pictures in a folder for each class, received none")
        return self.image_size or first, all_gray if self.color is None else self.color == "grayscale"

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """A plain one, one with given splits in a folder of its own, and one of gray pictures of different sizes."""
        plain = {f"{label}/{number}.png": (6, 5, 3) for label in ("cat", "dog") for number in range(3)}
        given = {f"pets/{split}/{label}/{number}.png": (4, 4, 3)
                 for split, count in (("train", 3), ("test", 2)) for label in ("cat", "dog") for number in range(count)}
        mixed = {"a/1.png": (4, 4), "a/2.png": (6, 8), "b/1.png": (9, 3)}
        columns = {"image": "image", "label": "category"}
        return (Sample(name="plain", filename="pets.zip", content=lambda: _zip(plain), splits={"train": 6},
                       columns=columns),
                Sample(name="splits given", filename="pets.zip", content=lambda: _zip(given), columns=columns,
                       splits={"train": 6, "test": 4}),
                Sample(name="resized", filename="gray.zip", content=lambda: _zip(mixed), columns=columns,
                       options={"image_size": [5, 4]}, splits={"train": 3}))


def _zip(pictures: Mapping[str, tuple[int, ...]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, shape) in enumerate(pictures.items()):
            picture = io.BytesIO()
            Image.fromarray(np.full(shape, 20 * number, np.uint8)).save(picture, "PNG")
            archive.writestr(name, picture.getvalue())
    return buffer.getvalue()
