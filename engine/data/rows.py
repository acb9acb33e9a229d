"""Rows of a CSV file (RFC 4180, UTF-8) with bounds on everything, read in blocks of columns."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

from engine.data import limits
from engine.errors import DataError, show

DELIMITERS = (",", ";", "\t")
BLOCK_CELLS = 200_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]{1,5})?")


@dataclass(frozen=True)
class Block:
    """Some rows, by column; `lines` says on which line of the file each row begins."""

    lines: list[int]
    columns: list[tuple[str, ...]]


class Table:
    """A CSV file with a header. Fields are stripped of blanks around them."""

    def __init__(self, path: Path, delimiter: str | None) -> None:
        self._path = path
        self.bytes = path.stat().st_size
        self.delimiter = delimiter or self._sniff()
        self.warnings: list[str] = []
        self.names = self._header()

    def _sniff(self) -> str:
        """The candidate that divides the header most, and the first row as often; a comma if none does."""
        best, highest = ",", (False, 1)
        for delimiter in DELIMITERS:
            try:
                with _Lines(self._path) as lines:
                    (_, header), (_, row) = islice(chain(_rows(lines, delimiter), repeat((0, []))), 2)
            except DataError:
                continue  # not this one; if it is none, reading the header with the best will say why
            score = (len(header) > 1 and len(row) == len(header), len(header))
            if score > highest:
                best, highest = delimiter, score
        return best

    def _header(self) -> list[str]:
        with _Lines(self._path) as lines:
            _, header = next(_rows(lines, self.delimiter), (0, []))
        if not header:
            raise DataError("no_examples", "expected a header and rows, received an empty file")
        if len(header) > limits.MAX_COLUMNS:
            raise DataError("csv_too_many_columns", f"expected at most {limits.MAX_COLUMNS} columns, "
                            f"received {len(header)}", where="line 1")
        names = [name.strip() for name in header]
        if all(NUMBER.fullmatch(name) for name in names):
            raise DataError("csv_no_header", "expected the columns' names, received numbers only", where="line 1")
        for place, name in enumerate(names):
            if not name:
                names[place] = f"column_{place + 1}"
                self.warnings.append(f"column {place + 1} has no name and is called {names[place]}")
            if len(name) > limits.MAX_COLUMN_NAME or not name.isprintable():
                raise DataError("column_name", f"expected at most {limits.MAX_COLUMN_NAME} printable characters, "
                                f"received {show(name)}", where=f"line 1, column {place + 1}")
        seen: set[str] = set()
        for place, name in enumerate(names):
            if name in seen:
                raise DataError("csv_duplicate_column", f"expected different names, received {show(name)} twice",
                                where=f"line 1, column {place + 1}")
            seen.add(name)
        return names

    def blocks(self, progress: Callable[[int], None] = lambda read: None) -> Iterator[Block]:
        """All rows after the header; `progress` is told how many bytes have been read."""
        per_block = max(1, BLOCK_CELLS // len(self.names))
        numbers: list[int] = []
        block: list[list[str]] = []
        with _Lines(self._path) as lines:
            rows = _rows(lines, self.delimiter)
            next(rows)
            for count, (number, row) in enumerate(rows, 1):
                if len(row) != len(self.names):
                    raise DataError("csv_ragged", f"expected {len(self.names)} fields as in the header, "
                                    f"received {len(row)}", where=f"line {number}")
                if count > limits.MAX_ROWS:
                    raise DataError("csv_too_many_rows", f"expected at most {limits.MAX_ROWS} rows, received more")
                numbers.append(number)
                block.append(row)
                if len(block) == per_block:
                    yield _block(numbers, block)
                    progress(lines.bytes)
                    numbers, block = [], []
            if block:
                yield _block(numbers, block)
                progress(lines.bytes)


def _block(lines: list[int], rows: list[list[str]]) -> Block:
    return Block(lines, [tuple(map(str.strip, column)) for column in zip(*rows, strict=True)])


def _rows(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not blank, with the number of the line on which it begins."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.row_bytes = 0
        number = lines.number + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field limit" in str(error):
                raise DataError("csv_field_too_long", f"expected fields of at most {csv.field_size_limit()} characters",
                                where=f"line {number}") from None
            raise DataError("csv_malformed", f"expected quoted fields as RFC 4180 has them: {error}",
                            where=f"line {number}") from None
        if row:
            yield number, row


class _Lines:
    """Decoded lines of a file; never more than a row's limit in memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.number = 0
        self.bytes = 0
        self.row_bytes = 0

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(limits.MAX_ROW_BYTES + 1)
        if not line:
            raise StopIteration
        self.bytes += len(line)
        self.row_bytes += len(line)
        if self.number == 0:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise DataError("csv_encoding", "expected UTF-8, received UTF-16", where="line 1")
            line = line.removeprefix(BYTE_ORDER_MARK)
        self.number += 1
        if self.row_bytes > limits.MAX_ROW_BYTES:
            raise DataError("csv_row_too_long", f"expected at most {limits.MAX_ROW_BYTES} bytes in a row, "
                            "received more", where=f"line {self.number}")
        if b"\0" in line:
            raise DataError("csv_nul", "expected text, received a NUL byte", where=f"line {self.number}")
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError("csv_encoding", f"expected UTF-8, received the byte 0x{line[error.start]:02x} at its place "
                            f"{error.start + 1}", where=f"line {self.number}") from None
