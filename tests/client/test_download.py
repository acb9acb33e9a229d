from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import stoker

from .conftest import Reply, Request, Scripted

CONTENT = bytes(range(256)) * 20_000
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


def serve(request: Request, *, cut_after: int | None = None, content: bytes = CONTENT) -> Reply:
    """Answers as the server does: whole, or from where Range says if If-Range still holds."""
    span = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    headers = {"ETag": ETAG, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if span and request.headers.get("if-range") == ETAG:
        start = int(span[1])
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Reply(206, body=content[start:], headers=headers, cut_after=cut_after)
    return Reply(200, body=content, headers=headers, cut_after=cut_after)


def test_a_download_that_breaks_goes_on_where_it_was(server: Scripted, client: stoker.Client, tmp_path: Path) -> None:
    cut = lambda request: serve(request, cut_after=2_000_000)  # noqa: E731
    server.replies = [cut, Reply(hang_up=True), cut, serve]
    seen: list[tuple[int, int | None]] = []
    file = client.jobs.weights("job_1", tmp_path / "w.safetensors", progress=lambda *at: seen.append(at))
    assert file.read_bytes() == CONTENT
    assert next(request.headers.get("range") for request in server.requests) is None
    assert all(request.headers["if-range"] == ETAG for request in server.requests[1:])
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert list(tmp_path.iterdir()) == [file]


def test_a_later_call_takes_up_an_earlier_one_s_part(server: Scripted, client: stoker.Client, tmp_path: Path) -> None:
    server.replies = [lambda request: serve(request, cut_after=3_000_000), Reply(404)]
    with pytest.raises(stoker.NotFoundError):
        client.jobs.weights("job_1", tmp_path / "w")
    server.requests.clear()
    server.replies = [serve]
    assert client.jobs.weights("job_1", tmp_path / "w").read_bytes() == CONTENT
    kept = int(server.requests[-1].headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < kept < len(CONTENT)


def test_other_bytes_than_promised_leave_nothing_behind(
    server: Scripted, client: stoker.Client, tmp_path: Path
) -> None:
    server.replies = [lambda request: serve(request, content=CONTENT[:-1] + b"!")]
    with pytest.raises(stoker.IntegrityError, match="SHA-256"):
        client.jobs.weights("job_1", tmp_path / "w")
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(
    server: Scripted, client: stoker.Client, tmp_path: Path
) -> None:
    output = tmp_path / "w"
    output.write_bytes(b"yesterday's")
    server.replies = [lambda request: serve(request, cut_after=100), Reply(409, {"title": "Conflict"})]
    with pytest.raises(stoker.ConflictError):
        client.jobs.weights("job_1", output)
    assert output.read_bytes() == b"yesterday's"


def test_a_part_of_a_file_that_changed_is_begun_anew(server: Scripted, client: stoker.Client, tmp_path: Path) -> None:
    old = {"ETag": f'"{"0" * 64}"'}
    server.replies = [Reply(body=b"x" * 1000, headers=old, cut_after=500), serve]
    assert client.jobs.weights("job_1", tmp_path / "w").read_bytes() == CONTENT


def test_a_place_where_no_file_can_be_is_named_before_anything_is_sent(
    server: Scripted, client: stoker.Client, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder") as caught:
        client.jobs.weights("job_1", tmp_path / "absent" / "w.npz")
    assert caught.value.filename == str(tmp_path / "absent")
    with pytest.raises(IsADirectoryError) as folder:
        client.jobs.weights("job_1", tmp_path)
    assert folder.value.filename == str(tmp_path) and not server.requests


def test_the_format_is_the_names_ending(server: Scripted, client: stoker.Client, tmp_path: Path) -> None:
    server.replies = [Reply(body=b"bytes")]
    for name, chosen, query in (("w.npz", None, "?format=npz"), ("w.SafeTensors", None, "?format=safetensors"),
                                ("w", None, ""), ("w.bin", "npz", "?format=npz"),
                                ("w.weights.h5", None, "?format=h5")):  # fmt: skip
        client.jobs.weights("job_1", tmp_path / name, format=chosen)
        assert server.requests[-1].path == "/v1/jobs/job_1/weights" + query
    with pytest.raises(stoker.OutputError, match=r"x\.bin: expected a name that ends with \.safetensors or \.npz or"):
        client.jobs.weights("job_1", tmp_path / "x.bin")
    assert len(server.requests) == 5


def test_a_server_that_sends_nothing_is_given_up(server: Scripted, client: stoker.Client, tmp_path: Path) -> None:
    server.replies = [Reply(hang_up=True)]
    with pytest.raises(stoker.ConnectionFailedError):
        client.jobs.weights("job_1", tmp_path / "w")
