"""What a failed dataset says of its cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.data import ingest
from engine.errors import DataError
from worker.ingest import explain


def told(folder: Path, content: str, **options):
    source = folder / "x.csv"
    source.write_text(content)
    with pytest.raises(DataError) as caught:
        ingest(source, folder, options=options)
    return explain(caught.value)


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"targt": "bought"}, "/options/targt"),
        ({"target": "brought"}, "/options/target"),
        ({"split": "part"}, "/options/split"),
        ({"types": {"hight": "number"}}, "/options/types/hight"),
    ],
)
def test_an_option_at_fault_is_pointed_to(tmp_path, options, pointer):
    error = told(tmp_path, "height,bought\n1,0\n2,1\n", **options)
    assert error["pointer"] == pointer
    assert error["message"].startswith("expected one of")


def test_a_fault_of_the_file_points_to_no_option(tmp_path):
    error = told(tmp_path, "a,b\n1\n")
    assert error["pointer"] is None
    assert error["message"].startswith("line 2: ")
