from __future__ import annotations

import json

import pytest

from api.errors import Problem
from api.json_body import parse


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        0,
        -1,
        1.5,
        "",
        "é𝄞",
        {"a": {"b": [1, 2, {"c": None}]}},
        {"": {"/~": True}},
        2**63 - 1,
        -(2**63) + 1,
    ],
)
def test_reads_what_json_writes(document):
    assert parse(json.dumps(document).encode()) == document
    assert parse(json.dumps(document, ensure_ascii=False).encode()) == document


REFUSED = [
    (b'{"a": NaN}', "/a"),
    (b'{"a": [1, Infinity]}', "/a/1"),
    (b'{"a": [1, -Infinity]}', "/a/1"),
    (b'{"training": {"optimizer": {"learning_rate": 1e400}}}', "/training/optimizer/learning_rate"),
    (b'{"a": -1e400}', "/a"),
    (b'{"a": ' + b"9" * 5000 + b"}", "/a"),
    (b'{"a": -' + b"9" * 5000 + b"}", "/a"),
    (b'{"a": 0.' + b"1" * 5000 + b"}", "/a"),
    (b'{"a": 9223372036854775808}', "/a"),
    (b'{"a": {"b": 1, "c": 2, "b": 3}}', "/a/b"),
    (b'{"a": "\\u0000"}', "/a"),
    (b'{"a": "\\ud800"}', "/a"),
    (b'{"a\\u0000": 1}', "/a\\u0000"),
    (b'{"x/y": {"~": NaN}}', "/x~1y/~0"),
    (b'{"a": [{"b": 1, "b": 1}]}', "/a/0/b"),
]


@pytest.mark.parametrize(("raw", "pointer"), REFUSED)
def test_points_to_every_refused_value(raw, pointer):
    with pytest.raises(Problem) as caught:
        parse(raw)
    assert caught.value.status_code == 422
    assert [fault.pointer for fault in caught.value.errors] == [pointer]


def test_reports_all_faults_in_the_documents_order():
    with pytest.raises(Problem) as caught:
        parse(b'{"a": NaN, "b": {"c": [1e999, 2]}, "d": -Infinity}')
    assert [fault.pointer for fault in caught.value.errors] == ["/a", "/b/c/0", "/d"]


@pytest.mark.parametrize("depth", [65, 500, 10_000, 1_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_limited(depth, opening, closing):
    with pytest.raises(Problem) as caught:
        parse(opening * depth + b"1" + closing * depth)
    assert caught.value.status_code == 422
    assert "deep" in caught.value.detail


def test_the_deepest_allowed_document_is_read():
    assert parse(b"[" * 63 + b"1" + b"]" * 63)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b"{a: 1}",
        b"[1,]",
        b"01",
        b"1 2",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'"\xc3"',
        b"undefined",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "line\nbreak"}',
        b"[" * 100,
    ],
)
def test_what_is_not_json_is_a_400_that_does_not_repeat_it(raw):
    with pytest.raises(Problem) as caught:
        parse(raw)
    assert caught.value.status_code == 400
    assert "break" not in caught.value.detail


def test_pointers_begin_where_the_document_stands():
    with pytest.raises(Problem) as caught:
        parse(b'{"a": NaN}', pointer="/options")
    assert caught.value.errors[0].pointer == "/options/a"
