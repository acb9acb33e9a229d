from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from stoker.server_sent_events import lines, messages

STREAM = (
    '\ufeff: a comment\n\nid: 1\nevent: status\ndata: {"a": 1}\n\n'
    "retry: 2500\nid:2\r\ndata: first\r\ndata:second\r\n\r\n"
    "event: status\rdata: \u2028not a line end\r\revent: only\n\nid: 3\nevent: done\ndata\n\ndata: cut off"
).encode()


def whole() -> list[tuple[str, str, str]]:
    return [(m.event, m.data, m.id) for m in messages([STREAM])]


def test_a_stream_reads_as_the_standard_says() -> None:
    assert whole() == [
        ("status", '{"a": 1}', "1"),
        ("message", "first\nsecond", "2"),
        ("status", "\u2028not a line end", "2"),
        ("done", "", "3"),
    ]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_where_the_pieces_are_cut_does_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:stop] for start, stop in itertools.pairwise(edges)]
    assert [(m.event, m.data, m.id) for m in messages(pieces)] == whole()


def test_the_id_goes_on_from_the_last_connection() -> None:
    assert [m.id for m in messages([b"data: x\n\n"], last_id="41")] == ["41"]


def test_a_carriage_return_at_a_piece_s_end_waits_for_its_line_feed() -> None:
    assert list(lines([b"a\r", b"\nb\n"])) == ["a", "b"]
