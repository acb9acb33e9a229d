"""Which pictures an archive of class folders has, and the split and class of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.data.archive import Archive, Entry, shown
from engine.data.format import SPLIT_NAMES, SPLITS
from engine.errors import DataError, show

PICTURES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif"}
OTHER_PICTURES = {".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".eps", ".ico", ".heic", ".heif", ".avif", ".svg",
                  ".psd", ".jp2", ".ppm", ".pgm", ".tga"}
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".npz"}
SYSTEM_FOLDERS = {"__MACOSX"}
SYSTEM_FILES = {"Thumbs.db", "desktop.ini"}
MAX_WARNINGS = 20


@dataclass(frozen=True)
class Picture:
    """An entry of the archive, the split it belongs to and its class."""

    split: str
    label: str
    entry: Entry


def find_pictures(archive: Archive) -> tuple[list[Picture], list[str]]:
    """Every picture, ordered by split, class and name, and warnings about what a user may not expect."""
    found: list[tuple[tuple[str, ...], Entry]] = []
    ignored: list[str] = []
    for entry in archive.entries:
        path = PurePosixPath(entry.name)
        if path.parts[0] in SYSTEM_FOLDERS or path.name.startswith(".") or path.name in SYSTEM_FILES:
            continue
        suffix = path.suffix.lower()
        if suffix in OTHER_PICTURES:
            raise DataError("image_format", f"expected PNG or JPEG, received {suffix[1:].upper()}", where=shown(entry))
        if suffix in ARCHIVES:
            raise DataError("archive_nested", "expected pictures, received an archive in the archive",
                            where=shown(entry))
        if suffix in PICTURES:
            found.append((path.parts, entry))
        else:
            ignored.append(entry.name)
    warnings = []
    if ignored:
        warnings.append(f"{len(ignored)} entries are no pictures and were ignored, the first is {show(ignored[0])}")
    pictures = sorted(_placed(found), key=lambda item: (SPLITS.index(item.split), item.label, item.entry.name))
    if not pictures:
        raise DataError("no_examples", "expected pictures in a folder for each class, received none")
    return pictures, warnings + _empty_folders(archive, pictures) + _surprises(pictures)


def _placed(found: list[tuple[tuple[str, ...], Entry]]) -> Iterator[Picture]:
    depth = 0
    while found and all(len(parts) - depth > 2 and parts[depth] == found[0][0][depth] for parts, _ in found) \
            and found[0][0][depth].lower() not in SPLIT_NAMES:
        depth += 1  # a folder around everything says nothing
    tops = {parts[depth].lower() for parts, _ in found}
    divided = tops <= set(SPLIT_NAMES) and (len(tops) > 1 or any(len(parts) - depth > 2 for parts, _ in found))
    expected = "train/class/picture" if divided else "class/picture or train/class/picture"
    for parts, entry in found:
        if len(parts) - depth != (3 if divided else 2):
            raise DataError("folder_layout", f"expected {expected}, received another depth of folders",
                            where=shown(entry))
        yield Picture(SPLIT_NAMES[parts[depth].lower()] if divided else "train", parts[-2], entry)


def _empty_folders(archive: Archive, pictures: list[Picture]) -> list[str]:
    used = {str(parent) for picture in pictures for parent in PurePosixPath(picture.entry.name).parents}
    empty = [folder for folder in archive.folders if folder not in used and folder.split("/")[0] not in SYSTEM_FOLDERS]
    return [f"the folder {show(folder)} has no pictures" for folder in empty[:MAX_WARNINGS]]


def _surprises(pictures: list[Picture]) -> list[str]:
    counts = Counter((picture.split, picture.label) for picture in pictures)
    classes = sorted({picture.label for picture in pictures})
    splits = [split for split in SPLITS if any(counts[split, label] for label in classes)]
    if "train" not in splits:
        raise DataError("no_train_split", f"expected a train folder beside {', '.join(splits)}, received none")
    warnings = ["there is only one class"] if len(classes) == 1 else []
    missing = [f"class {show(label)} has no examples in the {split} split"
               for split in splits for label in classes if not counts[split, label]]
    return warnings + missing[:MAX_WARNINGS]
