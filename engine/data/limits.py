"""The bounds of what an uploaded file may ask of a parser. Reaching one is a DataError, never a crash."""

from __future__ import annotations

MAX_ENTRIES = 500_000
"""Entries of an archive."""
MAX_DIRECTORY_BYTES = 64 << 20
"""An archive's central directory, which is read into memory."""
MAX_NAME_BYTES = 1024
"""An entry's name."""
FREE_EXPANSION_BYTES = 256 << 20
"""What any archive may unpack to, however small it is."""
MAX_EXPANSION = 100
"""Beyond that, what an archive may unpack to for each byte of its own."""

MAX_IMAGE_BYTES = 64 << 20
"""One encoded image."""
MAX_PIXELS = 64 << 20
"""Width times height of one image."""
MAX_CLASSES = 10_000
"""Classes of an image folder, and distinct texts of a category column; a column with more is free text."""
MAX_CATEGORY_CHARACTERS = 8 << 20
"""Distinct texts of all category columns together; the column that would go beyond it becomes free text."""
MAX_LISTED_VALUES = 1_000
"""Distinct values of an integer column that a profile lists, so that it may serve as classes or be one-hot."""
LISTED_IN_ALL = 200_000
FEWEST_LISTED = 20
"""Many columns share what all profiles may list, but each may list so many."""

MAX_HEADER_BYTES = 4096
"""An .npy file's header; numpy itself writes 118 bytes for anything but structured types."""
MAX_RANK = 8
MAX_ARRAYS = 1_000
"""Arrays of an npz file."""

MAX_COLUMNS = 10_000
MAX_ROWS = 100_000_000
MAX_ROW_BYTES = 16 << 20
"""One row of a CSV file, quoted line breaks included; a field is bounded by the csv module's 131,072 characters."""
MAX_TEXT = 256
"""Characters of a category; a column with a longer text is free text."""
MAX_COLUMN_NAME = 200

MAX_WIDTH = 65_536
"""Numbers an example may have in one input made of table columns."""
MAX_STORED_BYTES = 256 << 30
"""All columns of a dataset, decoded."""
FREE_DECODED_BYTES = 4 << 30
"""What any upload may be decoded to, however small it is."""
MAX_DECODED = 200
"""Beyond that, what an upload may be decoded to for each byte of its own."""
PREVIEW_EXAMPLES = 100
PREVIEW_COLUMNS = 100
CHUNK_BYTES = 8 << 20
"""What is held of a column at a time."""
