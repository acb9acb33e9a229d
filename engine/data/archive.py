"""A zip reader that trusts nothing: the whole directory is checked before the first byte is unpacked.

Nothing is ever extracted under an entry's name, and an entry never gives more bytes than the directory declared for it.
Layout after PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3 (zip64); stored and deflated entries only.
"""

from __future__ import annotations

import mmap
import re
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import TracebackType

from engine.data import limits
from engine.errors import DataError, show

END, END64, LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
DIRECTORY_ENTRY, LOCAL_ENTRY = b"PK\x01\x02", b"PK\x03\x04"
STORED, DEFLATED = 0, 8
ENCRYPTED, UTF8 = 0x1, 0x800
UNIX = 3
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the archive. Its local header and data lie between `offset` and `end`."""

    name: str
    raw_name: bytes
    method: int
    crc: int
    compressed: int
    size: int
    offset: int
    end: int


class Archive:
    """The files of a zip archive, in the directory's order. Raises DataError for whatever is wrong with it."""

    def __init__(self, path: Path) -> None:
        size = path.stat().st_size
        if size < 22:
            raise DataError("archive_truncated", f"expected a zip archive, received {size} bytes")
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            everything = list(_directory(self._map))
            self.entries = _check(everything, size)
            self.folders = tuple(entry.name.rstrip("/") for entry in everything if entry.name.endswith("/"))
        except BaseException:
            self._map.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._map.close()

    def read(self, entry: Entry, limit: int) -> bytes:
        """A whole entry of at most `limit` bytes."""
        if entry.size > limit:
            raise DataError("entry_too_large", f"expected at most {limit} bytes, received {entry.size}",
                            where=shown(entry))
        return b"".join(self.chunks(entry))

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """An entry's bytes, about a megabyte at a time; size and checksum are verified at the end."""
        start = self._data_start(entry)
        stop = start + entry.compressed
        pieces = (self._map[position:min(position + CHUNK, stop)] for position in range(start, stop, CHUNK))
        crc, received = 0, 0
        for chunk in pieces if entry.method == STORED else _inflated(pieces, shown(entry)):
            received += len(chunk)
            if received > entry.size:
                raise DataError("archive_bomb", f"expected {entry.size} bytes as declared, received more",
                                where=shown(entry))
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if received != entry.size or crc != entry.crc:
            raise DataError("archive_malformed", "expected the declared size and checksum, received others",
                            where=shown(entry))

    def _data_start(self, entry: Entry) -> int:
        header = self._map[entry.offset:entry.offset + 30]
        if len(header) < 30 or header[:4] != LOCAL_ENTRY:
            raise DataError("archive_malformed", "expected an entry where the directory says, received other bytes",
                            where=shown(entry))
        flags, method = struct.unpack_from("<HH", header, 6)
        name_length, extra_length = struct.unpack_from("<HH", header, 26)
        start = int(entry.offset + 30 + name_length + extra_length)
        name = self._map[entry.offset + 30:entry.offset + 30 + name_length]
        if name != entry.raw_name or method != entry.method or flags & ENCRYPTED:
            raise DataError("archive_malformed", "expected what the directory says of it, received another header",
                            where=shown(entry))
        if start + entry.compressed > entry.end:
            raise DataError("archive_overlap", "expected entries apart, received one that runs into the next",
                            where=shown(entry))
        return start


def shown(entry: Entry) -> str:
    """An entry's name for a message."""
    return f"entry {show(entry.name, 120)}"


def is_archive(start: bytes) -> bool:
    """Whether a file that begins with these bytes is a zip archive."""
    return start[:4] in (LOCAL_ENTRY, END)


def _inflated(pieces: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Deflated data unpacked, at most a chunk at a time whatever its ratio."""
    inflate = zlib.decompressobj(-15)
    try:
        for piece in pieces:
            if inflate.eof:
                break
            yield inflate.decompress(piece, CHUNK)
            while inflate.unconsumed_tail:
                yield inflate.decompress(inflate.unconsumed_tail, CHUNK)
        yield inflate.flush()
    except zlib.error:
        raise DataError("archive_malformed", "expected deflated data, received corrupt bytes", where=where) from None
    if not inflate.eof or inflate.unused_data:
        raise DataError("archive_malformed", "expected deflated data to the entry's end, received less", where=where)


def _directory(data: mmap.mmap) -> Iterator[Entry]:
    offset, size, count = _locate(data)
    if count > limits.MAX_ENTRIES or size > limits.MAX_DIRECTORY_BYTES:
        raise DataError("archive_too_many_entries", f"expected at most {limits.MAX_ENTRIES} entries, received {count}")
    table = data[offset:offset + size]
    position, found = 0, 0
    names: set[str] = set()
    while position < size:
        if position + 46 > size or table[position:position + 4] != DIRECTORY_ENTRY:
            raise DataError("archive_malformed", "expected an entry of the directory, received other bytes",
                            where=f"byte {offset + position}")
        (system, flags, method, crc, compressed, unpacked, name_length, extra_length, comment_length, disk,
         attributes, start) = struct.unpack_from("<5xBxxHH4xIIIHHHHxxII", table, position)
        after_name = position + 46 + name_length
        raw_name = table[position + 46:after_name]
        extra = table[after_name:after_name + extra_length]
        position = after_name + extra_length + comment_length
        found += 1
        if position > size or found > count:
            raise DataError("archive_malformed", "expected the entries that the end record declares, received more")
        name = _name(raw_name, flags)
        if name in names:
            raise DataError("archive_duplicate", "expected different names, received one twice",
                            where=f"entry {show(name, 120)}")
        names.add(name)
        unpacked, compressed, start, disk = _wide(extra, unpacked, compressed, start, disk)
        entry = Entry(name, raw_name, method, crc, compressed, unpacked, start, offset)
        _supported(entry, system, flags, attributes >> 16, disk)
        yield entry
    if found != count:
        raise DataError("archive_malformed", f"expected {count} entries as declared, received {found}")


def _locate(data: mmap.mmap) -> tuple[int, int, int]:
    """Offset, size and number of entries of the directory."""
    tail_start = max(0, len(data) - 65_535 - 22)
    tail = data[tail_start:]
    position = len(tail) - 22
    while True:
        position = tail.rfind(END, 0, position + 4)
        if position < 0:
            if not is_archive(data[:4]):
                raise DataError("archive_malformed", "expected a zip archive, received a file of another kind")
            raise DataError("archive_truncated", "expected a whole zip archive, received one that ends too early")
        if position + 22 + struct.unpack_from("<H", tail, position + 20)[0] == len(tail):
            break
        position -= 1
    disk, first_disk, here, count, size, offset = struct.unpack_from("<HHHHII", tail, position + 4)
    end = tail_start + position
    if 0xFFFF in (here, count) or 0xFFFFFFFF in (size, offset):
        if end >= 20 and data[end - 20:end - 16] == LOCATOR64:
            end = struct.unpack_from("<Q", data, end - 12)[0]
            if end + 56 > len(data) or data[end:end + 4] != END64:
                raise DataError("archive_malformed", "expected a zip64 end record, received none")
            disk, first_disk, here, count, size, offset = struct.unpack_from("<IIQQQQ", data, end + 16)
    if disk or first_disk or here != count:
        raise DataError("archive_unsupported", "expected a single zip archive, received a part of several")
    if offset + size != end:
        raise DataError("archive_malformed", "expected the directory where its end record says, received other bytes")
    return offset, size, count


def _name(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        if flags & UTF8:
            raise DataError("archive_unsafe_name", "expected a name in UTF-8, received other bytes",
                            where=f"entry {show(raw, 120)}") from None
        name = raw.decode("cp437")
    parts = name.removesuffix("/").split("/")
    unsafe = (len(raw) > limits.MAX_NAME_BYTES or not name.isprintable() or "\\" in name
              or re.match(r"[A-Za-z]:", name) is not None or any(part in ("", ".", "..") for part in parts))
    if unsafe:
        raise DataError("archive_unsafe_name", "expected a relative path of plain names, received another",
                        where=f"entry {show(name, 120)}")
    return name


def _wide(extra: bytes, unpacked: int, compressed: int, start: int, disk: int) -> tuple[int, int, int, int]:
    """The four values with those that did not fit read from the zip64 extra field, which holds them in this order."""
    values = [unpacked, compressed, start, disk]
    full = [0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF]
    if values[:3] == [value for value in values[:3] if value != 0xFFFFFFFF]:
        return unpacked, compressed, start, disk
    position = 0
    while position + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, position)
        field = extra[position + 4:position + 4 + length]
        position += 4 + length
        if tag != 1:
            continue
        at = 0
        for index in range(4):
            width = 8 if index < 3 else 4
            if values[index] == full[index] and at + width <= len(field):
                values[index] = int.from_bytes(field[at:at + width], "little")
                at += width
    return values[0], values[1], values[2], values[3]


def _supported(entry: Entry, system: int, flags: int, mode: int, disk: int) -> None:
    where = shown(entry)
    if flags & ENCRYPTED:
        raise DataError("archive_encrypted", "expected an archive without a password", where=where)
    if entry.method not in (STORED, DEFLATED):
        raise DataError("archive_unsupported", f"expected a stored or deflated entry, received method {entry.method}",
                        where=where)
    if system == UNIX and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError("archive_link", "expected files and folders only, received a link or a device", where=where)
    if disk:
        raise DataError("archive_unsupported", "expected a single zip archive, received a part of several", where=where)
    if entry.name.endswith("/") and entry.size:
        raise DataError("archive_malformed", "expected a folder without data, received some", where=where)
    if entry.method == STORED and entry.size != entry.compressed:
        raise DataError("archive_malformed", "expected a stored entry of one size, received two", where=where)


def _check(entries: list[Entry], archive_bytes: int) -> tuple[Entry, ...]:
    """Refuse overlaps and bombs; the files among the entries, each knowing where the next begins."""
    total = sum(entry.size for entry in entries)
    allowed = max(limits.FREE_EXPANSION_BYTES, limits.MAX_EXPANSION * archive_bytes)
    if total > allowed:
        raise DataError("archive_bomb", f"expected at most {allowed} bytes from an archive of {archive_bytes}, "
                                        f"received {total}")
    by_offset = sorted(range(len(entries)), key=lambda index: entries[index].offset)
    ends: dict[int, int] = {}
    for index, following in zip_longest(by_offset, by_offset[1:]):
        entry = entries[index]
        end = entry.end if following is None else entries[following].offset
        if entry.offset + 30 + len(entry.raw_name) + entry.compressed > end:
            raise DataError("archive_overlap", "expected entries apart, received one that runs into the next",
                            where=shown(entry))
        ends[index] = end
    return tuple(Entry(entry.name, entry.raw_name, entry.method, entry.crc, entry.compressed, entry.size, entry.offset,
                       ends[index])
                 for index, entry in enumerate(entries) if not entry.name.endswith("/"))
