"""What a user reads who sent a file or an option that is not what it was meant to be."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data import check_options
from engine.errors import DataError, DefinitionError
from tests.engine.data.conftest import picture, saved, zipped

TABLE = "height,bought\n1,0\n2,1\n"


def refused(take, content, filename, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        take(content, filename, **options)
    return caught.value


def test_a_file_of_another_kind_is_no_broken_archive(take):
    error = refused(take, TABLE, "x.csv", format="image-folder")
    assert str(error) == "expected a zip archive, received a file of another kind"
    cut = zipped({"a/1.png": picture(), "b/1.png": picture()})[:-10]
    assert "one that ends too early" in str(refused(take, cut, "x.zip", format="image-folder"))


def test_a_guess_is_said(take):
    assert "read as csv" in str(refused(take, "hello", "a.txt"))
    assert "read as" not in str(refused(take, "hello", "a.csv"))
    assert "read as" not in str(refused(take, "hello", "a.txt", format="csv"))


def test_texts_in_arrays_come_with_advice(take):
    error = refused(take, saved(x=np.zeros((2, 3)), y=np.array(["cat", "dog"])), "x.npz")
    assert "integers 0, 1, … and give their names in the option classes" in str(error)


@pytest.mark.parametrize(
    ("start", "filename", "options", "good"),
    [
        (b"a,b\n1,2\n", "x.csv", {"target": "b"}, True),
        (b"a,b\n1,2\n", None, {"target": "b"}, True),
        (b"a,b\n1,2\n", "x.csv", {"image_size": [4, 4]}, False),
        (b"PK\x03\x04", "x.zip", {"image_size": [4, 4]}, True),
        (b"PK\x03\x04", "x.zip", {"target": "y"}, True),
        (b"PK\x03\x04", "x.npz", {"image_size": [4, 4]}, False),
        (b"PK\x03\x04", "x.zip", {"delimiter": ";"}, False),
        (b"\x00\x01", "x.bin", {"anything": 1}, True),
    ],
)
def test_options_are_checked_by_the_files_beginning(start, filename, options, good):
    if good:
        check_options(options, start, filename)
    else:
        with pytest.raises(DefinitionError, match="/options/"):
            check_options(options, start, filename)
