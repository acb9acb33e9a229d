"""CSV tables with a header; the types of the columns are inferred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path

import numpy as np

from engine import registry
from engine.data import limits
from engine.data.archive import is_archive
from engine.data.format import SPLIT_NAMES, SPLITS, Column, Contents, Format, ProgressFunction, Sample, Writer
from engine.data.npy import MAGIC, ArrayFile
from engine.data.readers import mapping
from engine.data.rows import DELIMITERS, NUMBER, Block, Table
from engine.data.texts import BEFORE, TextFile
from engine.data.types import MISSING, TYPES, Budget, Conversion, Inference
from engine.errors import DataError, nearest, pointer_to, show
from engine.options import choice, option, optional, sequence, text

SUFFIXES = (".csv", ".tsv", ".txt")


@registry.register("format", "csv")
@dataclass(frozen=True, kw_only=True)
class Csv(Format):
    """A comma, semicolon or tab separated table in UTF-8 with a header line.

    Its columns are integers, numbers, booleans, categories or free text.
    """

    delimiter: str | None = option(optional(choice(*DELIMITERS)), default=None,
                                   doc="default: what divides header and first row into most columns")
    target: str | None = option(optional(text(limits.MAX_COLUMN_NAME)), default=None,
                                doc="the column that jobs predict if they name no other")
    types: Mapping[str, str] = option(mapping(text(limits.MAX_COLUMN_NAME), choice(*TYPES)), default={},
                                      doc="the types of columns for which the inferred one does not serve")
    missing: tuple[str, ...] = option(sequence(text(limits.MAX_TEXT), 0, 100), default=MISSING[1:],
                                      doc="texts that stand for a missing value, besides the empty one")
    split: str | None = option(optional(text(limits.MAX_COLUMN_NAME)), default=None,
                               doc="a column that says train, validation or test; it is not kept as a feature")

    @classmethod
    def may_begin(cls, start: bytes, suffix: str) -> bool:
        """By the file's name, or because it begins with printable lines."""
        if is_archive(start) or start.startswith(MAGIC):
            return False
        return suffix in SUFFIXES or (b"\n" in start and all(byte >= 32 or byte in b"\t\r\n" for byte in start)
                                      and start.lstrip()[:1] not in (b"{", b"[", b"<"))

    def read(self, source: Path, writer: Writer, progress: ProgressFunction) -> Contents:
        """Once through the file for the types, then once for the rows of each split."""
        table = Table(source, self.delimiter)
        named = [(pointer_to("/options/types", name), name) for name in self.types]
        for pointer, name in [*named, ("/options/target", self.target), ("/options/split", self.split)]:
            if name is not None and name not in table.names:
                raise DataError("unknown_column", f"expected one of the header's names, received {show(name)}"
                                f"{nearest(name, table.names)}", where=pointer)
        texts = frozenset(("", *self.missing))
        budget = Budget(limits.MAX_CATEGORY_CHARACTERS)
        inferred = {name: Inference(texts, self.types.get(name), budget) for name in table.names if name != self.split}
        counts: Counter[str] = Counter()
        for block in table.blocks(lambda read: progress(read, 2 * table.bytes)):
            counts.update(self._splits(table, block))
            for name, values in zip(table.names, block.columns, strict=True):
                if name != self.split:
                    inferred[name].feed(values)
        _collect_late(table, inferred)
        splits = {split: counts[split] for split in SPLITS if counts[split]}
        if not splits or not inferred:
            raise DataError("no_examples", "expected at least one row of values, received none")
        if "train" not in splits:
            raise DataError("no_train_split", "expected rows of the train split, received none", where=show(self.split))
        columns = _layout(inferred)
        files = {dtype: writer.file(dtype, "int64" if dtype == "str" else dtype, (sum(splits.values()), count))
                 for dtype, count in Counter(column.dtype for column in columns).items()}
        written = {column.name: TextFile(writer.file(column.texts.removesuffix(".npy"), "uint8",
                                                     (BEFORE + inferred[column.name].bytes,)))
                   for column in columns if column.texts}
        for number, split in enumerate(splits):
            before = (len(splits) + number) * table.bytes
            self._write(table, split, inferred, files, written, texts,
                        partial(_report, progress, before, len(splits), 2 * table.bytes))
        warnings = table.warnings + [f"column {show(name)} has no values" for name, column in inferred.items()
                                     if column.missing == column.rows]
        warnings += _names_like_values(inferred)
        target = next((column for column in columns if column.name == self.target), None)
        return Contents(columns=columns, splits=splits, target=self.target, warnings=warnings,
                        classes=target.categories if target else None)

    def _splits(self, table: Table, block: Block) -> list[str]:
        if self.split is None:
            return ["train"] * len(block.lines)
        names = []
        for line, value in zip(block.lines, block.columns[table.names.index(self.split)], strict=True):
            if value.lower() not in SPLIT_NAMES:
                raise DataError("csv_split", f"expected train, validation or test, received {show(value)}",
                                where=f"line {line}, column {show(self.split)}")
            names.append(SPLIT_NAMES[value.lower()])
        return names

    def _write(self, table: Table, split: str, inferred: Mapping[str, Inference], files: Mapping[str, ArrayFile],
               written: Mapping[str, TextFile], texts: frozenset[str], progress: Callable[[int], None]) -> None:
        convert = {name: Conversion(name, column, texts) for name, column in inferred.items() if column.type != "text"}
        for block in table.blocks(progress):
            chosen = np.array([name == split for name in self._splits(table, block)])
            parts: dict[str, list[np.ndarray]] = {dtype: [] for dtype in files}
            for name, values in zip(table.names, block.columns, strict=True):
                if name in written:
                    present = ["" if value in texts else value for value in values]
                    parts["str"].append(written[name].append(list(compress(present, chosen))))
                elif name in convert:
                    parts[inferred[name].dtype].append(convert[name](values, block.lines)[chosen])
            for dtype, file in files.items():
                file.append(np.stack(parts[dtype], axis=1))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Every type with missing values; semicolons, quotes and a byte order mark; a split column."""
        every = (b"id,size,weight,city,member\n1,1.5,3,Rome,true\n2,,4,Oslo,false\n3,2e3,NA,,TRUE\n"
                 b'4,-.5,7,"Rome",False\n')
        quoted = "\ufeffname;note\n\"a \"\"b\"\"\";\"two\nlines\"\nc;d\n".encode()
        divided = b"x,part,y\n1,test,a\n2,train,b\n3,train,a\n4,val,b\n"
        return (Sample(name="types", filename="people.csv", content=lambda: every, splits={"train": 4},
                       columns={"id": "integer", "size": "number", "weight": "integer", "city": "category",
                                "member": "boolean"}),
                Sample(name="quoted", filename="notes.txt", content=lambda: quoted, splits={"train": 2},
                       columns={"name": "category", "note": "category"}),
                Sample(name="split column", filename="x.csv", content=lambda: divided, options={"split": "part"},
                       splits={"train": 2, "validation": 1, "test": 1}, columns={"x": "integer", "y": "category"}))


def _names_like_values(inferred: Mapping[str, Inference]) -> list[str]:
    """A warning if the first line may be a row like the others, whose values a file without a header loses."""
    numbers = [name for name in inferred if NUMBER.fullmatch(name)]
    values = [name for name, column in inferred.items() if name in (column.categories or ())]
    signs = [f"{what}: {', '.join(map(show, names[:3]))}{', …' if len(names) > 3 else ''}"
             for what, names in (("names that are numbers", numbers), ("names that are values, too", values)) if names]
    if not signs:
        return []
    return [f"the header line looks like data ({'; '.join(signs)}); if it is, put a line of names above it"]


def _collect_late(table: Table, inferred: Mapping[str, Inference]) -> None:
    """Once more through the file for columns whose first blocks looked like numbers."""
    late = [name for name, column in inferred.items() if column.late and column.type == "category"]
    if late:
        for block in table.blocks():
            for name in late:
                inferred[name].collect(block.columns[table.names.index(name)])


def _report(progress: ProgressFunction, before: int, passes: int, total: int, read: int) -> None:
    """The passes that write count as one half of the work, the pass that infers types as the other."""
    progress((before + read) // passes, total)


def _layout(inferred: Mapping[str, Inference]) -> list[Column]:
    """The columns' places in the files that they share."""
    used: Counter[str] = Counter()
    columns = []
    for name, column in inferred.items():
        place = used[column.dtype]
        columns.append(Column(name=name, type=column.type, dtype=column.dtype, categories=column.categories,
                              file=f"{column.dtype}.npy", index=place,
                              texts=f"text-{place}.npy" if column.type == "text" else None))
        used[column.dtype] += 1
    return columns
