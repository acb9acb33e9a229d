from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

import stoker

from .conftest import Reply, Request, Scripted

DATASET = {"id": "ds_1", "object": "dataset", "status": "processing"}


def test_an_upload_is_read_in_pieces_and_told_how_far_it_is(
    server: Scripted, client: stoker.Client, tmp_path: Path
) -> None:
    file = tmp_path / "big.npz"
    size = 48 << 20
    with file.open("wb") as opened:
        opened.truncate(size)
    received: list[int] = []

    def keep(request: Request) -> Reply:
        received.append(len(request.body))
        request.body = request.body[:400]
        return Reply(202, DATASET)

    server.replies = [keep]
    seen: list[tuple[int, int | None]] = []
    tracemalloc.start()
    try:
        client.datasets.upload(file, name="big", options={"a": 1}, progress=lambda *at: seen.append(at))
        tops = [
            line for line in tracemalloc.take_snapshot().statistics("filename") if "httpx" in line.traceback[0].filename
        ]
    finally:
        tracemalloc.stop()
    assert received[0] > size and seen[-1] == (size, size) and len(seen) > 100
    assert sum(line.size for line in tops) < 4 << 20
    head = server.requests[0].body.decode("latin-1")
    assert 'name="name"\r\n\r\nbig\r\n' in head and 'name="options"\r\n\r\n{"a": 1}\r\n' in head
    assert head.index('name="name"') < head.index('name="file"; filename="big.npz"')


def test_a_repeated_upload_begins_at_the_file_s_beginning(
    server: Scripted, client: stoker.Client, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"a,b\n1,2\n" * 1000)
    server.replies = [Reply(hang_up=True), Reply(503), Reply(202, DATASET)]
    assert client.datasets.upload(file).id == "ds_1"
    assert all(file.read_bytes() in request.body for request in server.requests) and len(server.requests) == 3
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


def test_waiting_for_a_dataset(server: Scripted, client: stoker.Client) -> None:
    server.replies = [Reply(document=DATASET), Reply(document=DATASET | {"status": "ready", "examples": 5})]
    assert client.datasets.wait("ds_1").examples == 5
    error = {"code": "csv_ragged", "message": "expected 3 fields, received 4", "where": "line 7"}
    server.replies = [Reply(document=DATASET | {"status": "failed", "error": error})]
    with pytest.raises(stoker.DatasetFailedError, match=r"ds_1 failed: expected 3 fields, received 4 \(at line 7\)"):
        client.datasets.wait("ds_1")


def test_a_missing_file_is_the_systems_own_error(client: stoker.Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.datasets.upload(tmp_path / "absent.zip")
